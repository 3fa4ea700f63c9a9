//! Log files: rotated, compressed, reopened, and none of what can happen to them ends a service.

use super::stage::{LONG, Minisup, pipe};
use nix::sys::signal::Signal;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("minisup-log-files-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Runs a configuration in which FOLDER is this one.
    fn run(&self, configuration: &str) -> Minisup {
        Minisup::run(&configuration.replace("FOLDER", self.0.to_str().unwrap()), pipe().1)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < end, "still not: {what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Counts up, a line every few milliseconds.
const COUNTS: &str = "command = ['sh', '-c', 'i=0; while :; do echo line $i; i=$((i+1)); sleep 0.01; done']";

/// The numbers of all lines `line N`, in order.
fn numbers(text: &str) -> Vec<u32> {
    text.lines().map(|line| line.strip_prefix("line ").unwrap().parse().unwrap()).collect()
}

fn last(text: &str) -> u32 {
    *numbers(text).last().unwrap_or(&0)
}

fn zcat(path: &Path) -> String {
    let output = Command::new("zcat").arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Where the numbers do not go on from 1 to `last` one by one: the number before, and the one after.
fn strays(numbers: &[u32], last: u32) -> Vec<(u32, u32)> {
    let ends = [&[0], numbers, &[last + 1]].concat();
    ends.windows(2).map(|two| (two[0], two[1])).filter(|(before, after)| before + 1 != *after).collect()
}

#[test]
fn rotated_and_compressed_files_hold_every_line_once() {
    let folder = Folder::new();
    let mut minisup = folder.run(
        "
        [service.count]
        type = 'oneshot'
        command = ['seq', '-f', 'line %.0f', '1', '200000']
        stdout = { file = 'FOLDER/sub/x.log', max_size = '300KB', keep = 20, compress = true }
        # It goes on until the last file is compressed.
        [service.wait]
        type = 'oneshot'
        requires = ['count']
        command = ['sh', '-c', 'until [ -e FOLDER/go ]; do sleep 0.01; done']
        ",
    );
    let sub = folder.path("sub");
    let names = || -> Vec<String> {
        let all = fs::read_dir(&sub).map(|all| all.flatten().collect::<Vec<_>>()).unwrap_or_default();
        all.iter().map(|entry| entry.file_name().into_string().unwrap()).collect()
    };
    // 2.29 MB: seven old ones and the rest.
    wait_until("all old ones are compressed", || {
        let names = names();
        names.len() == 8 && names.iter().filter(|name| name.ends_with(".gz")).count() == 7
    });
    wait_until("the last line is there", || folder.read("sub/x.log").ends_with("line 200000\n"));
    let mut text = String::new();
    for number in (1..=7).rev() {
        let old = zcat(&sub.join(format!("x.log.{number}.gz")));
        assert!(old.len() <= 300_000 && old.ends_with('\n'), "{number}: {}", old.len());
        text += &old;
    }
    text += &folder.read("sub/x.log");
    let strays = strays(&numbers(&text), 200_000);
    assert!(strays.is_empty(), "{strays:?}");
    fs::write(folder.path("go"), "").unwrap();
    assert_eq!(minisup.exit_code(), 0);
}

#[test]
fn two_services_with_one_file_do_not_tear_each_others_lines() {
    let folder = Folder::new();
    let service = |name: &str| {
        format!(
            "[service.{name}]\ntype = 'oneshot'\ncommand = ['seq', '-f', '<{name} %.0f {}>', '1', '5000']\n\
             stdout = {{ file = 'FOLDER/x.log', format = 'json' }}\n",
            "x".repeat(61)
        )
    };
    let mut minisup = folder.run(&(service("a") + &service("b")));
    assert_eq!(minisup.exit_code(), 0);
    let text = folder.read("x.log");
    let mut next = [0, 0];
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let which = usize::from(value["service"] == "b");
        next[which] += 1;
        let message = value["message"].as_str().unwrap();
        let name = ["a", "b"][which];
        assert_eq!(message, format!("<{name} {} {}>", next[which], "x".repeat(61)));
    }
    assert_eq!(next, [5000, 5000]);
}

#[test]
fn a_stream_goes_to_all_of_its_places() {
    let folder = Folder::new();
    let (mut stdout, to) = pipe();
    let configuration = "
        [service.app]
        type = 'oneshot'
        command = ['echo', 'hello']
        stdout = ['forward', { file = 'FOLDER/raw.log' }, { file = 'FOLDER/app.log', format = 'prefix' }]
    ";
    let mut minisup = Minisup::run(&configuration.replace("FOLDER", folder.0.to_str().unwrap()), to);
    assert_eq!(minisup.exit_code(), 0);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut text).unwrap();
    let all = [text, folder.read("raw.log"), folder.read("app.log")];
    assert_eq!(all, ["hello\n", "hello\n", "app | hello\n"]);
}

#[test]
fn usr1_opens_files_anew_as_logrotate_asks() {
    let folder = Folder::new();
    let minisup = folder.run(&format!("[service.count]\n{COUNTS}\nstdout = {{ file = 'FOLDER/x.log' }}\n"));
    wait_until("some lines", || last(&folder.read("x.log")) > 5);
    // What logrotate does: mv, create, postrotate.
    fs::rename(folder.path("x.log"), folder.path("x.log-1")).unwrap();
    minisup.signal(Signal::SIGUSR1);
    wait_until("more lines", || last(&folder.read("x.log")) > 10);
    let all = folder.read("x.log-1") + &folder.read("x.log");
    let seen = numbers(&all);
    assert!(seen.iter().copied().eq(0..seen.len() as u32), "{seen:?}");
}

#[test]
fn a_removed_folder_and_a_replaced_file_end_nothing() {
    let folder = Folder::new();
    let mut minisup =
        folder.run(&format!("[service.count]\n{COUNTS}\nstdout = {{ file = 'FOLDER/sub/x.log' }}\n"));
    wait_until("some lines", || last(&folder.read("sub/x.log")) > 5);
    fs::remove_dir_all(folder.path("sub")).unwrap();
    minisup.hear("sub/x.log was moved or removed: opening it anew");
    wait_until("a new file", || !folder.read("sub/x.log").is_empty());
    fs::write(folder.path("other"), "").unwrap();
    fs::rename(folder.path("other"), folder.path("sub/x.log")).unwrap();
    minisup.hear("sub/x.log was moved or removed: opening it anew");
    wait_until("lines in the one that took its place", || !folder.read("sub/x.log").is_empty());
    // The folder becomes something in which nothing can be made.
    fs::remove_dir_all(folder.path("sub")).unwrap();
    fs::write(folder.path("sub"), "").unwrap();
    minisup.hear("cannot write to");
    fs::remove_file(folder.path("sub")).unwrap();
    let again = minisup.hear("can be written again");
    assert!(again.ends_with("no line was lost"), "{again}");
    minisup.stop();
    assert_eq!(minisup.exit_code(), 0);
    let more: Vec<String> = minisup.said.iter().filter(|line| line.contains("cannot write")).collect();
    assert_eq!(more, Vec::<String>::new());
    let seen = numbers(&folder.read("sub/x.log"));
    assert!(seen.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seen:?}");
}

/// Whether mount namespaces can be made here; says so loudly if not, and fails if they must be.
fn can_unshare() -> bool {
    let can = Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success());
    if !can {
        let must = std::env::var_os("MINISUP_REQUIRE_NAMESPACES").is_some_and(|set| set == "1");
        assert!(!must, "mount namespaces are required, and cannot be made");
        let _ = writeln!(std::io::stderr(), "SKIPPED: cannot make a mount namespace");
    }
    can
}

/// A tmpfs of 128 KiB is mounted, filled and emptied in a mount namespace that `unshare` makes.
#[test]
fn a_full_disk_is_said_once_and_what_was_torn_is_mended() {
    let folder = Folder::new();
    let text = "
        [service.talk]
        command = ['sh', '-c', 'i=0; while :; do echo line $i; i=$((i+1)); [ $i -lt 40000 ] || sleep 0.01; done']
        stdout = { file = 'FOLDER/disk/x.log', max_size = 0 }
    ";
    let script = "mkdir -p FOLDER/disk && mount -t tmpfs -o size=128k none FOLDER/disk || exit 99; exec MINISUP --config FOLDER/x.toml";
    let place = folder.0.to_str().unwrap();
    fs::write(folder.path("x.toml"), text.replace("FOLDER", place)).unwrap();
    let script = script.replace("FOLDER", place).replace("MINISUP", env!("CARGO_BIN_EXE_minisup"));
    if !can_unshare() {
        return;
    }
    let mut minisup = Minisup::run_by(&["unshare", "--mount", "sh", "-c", &script], pipe().1);
    minisup.hear("cannot write to");
    // Seen through its root: our own namespace has no such mount.
    let disk = PathBuf::from(format!("/proc/{}/root{place}/disk", minisup.pid()));
    wait_until("it is full", || fs::metadata(disk.join("x.log")).is_ok_and(|it| it.len() > 100_000));
    let before = fs::read_to_string(disk.join("x.log")).unwrap();
    fs::write(disk.join("x.log"), "").unwrap();
    let again = minisup.hear("can be written again");
    let lost: u32 = again.rsplit(": ").next().unwrap().split(' ').next().unwrap().parse().unwrap_or(0);
    assert!(lost > 1000, "{again}");
    wait_until("it goes on", || fs::metadata(disk.join("x.log")).is_ok_and(|it| it.len() > 0));
    wait_until("a line from after the gap", || {
        let text = fs::read_to_string(disk.join("x.log")).unwrap();
        text.rsplit('\n').nth(1).and_then(|line| line.strip_prefix("line ")?.parse::<u32>().ok())
            > Some(39_999)
    });
    let text = before + &fs::read_to_string(disk.join("x.log")).unwrap();
    let whole = &text[..text.rfind('\n').unwrap()];
    let seen = numbers(whole);
    let gaps: Vec<u32> = seen.windows(2).map(|pair| pair[1] - pair[0] - 1).filter(|gap| *gap > 0).collect();
    assert_eq!(gaps, [lost], "one gap, and the count is exact");
    minisup.stop();
    assert_eq!(minisup.exit_code(), 0);
    let more: Vec<String> = minisup.said.iter().filter(|line| line.contains("cannot write")).collect();
    assert_eq!(more, Vec::<String>::new());
}

#[test]
fn what_nobody_has_seen_is_shown_when_a_service_fails() {
    let folder = Folder::new();
    let mut minisup = folder.run(
        "
        [service.quiet]
        command = ['sh', '-c', 'for i in 1 2 3; do echo hidden $i; done; echo cause >&2; exit 3']
        stdout = { file = 'FOLDER/x.log' }
        stderr = { ring = '4KiB' }
        max_failures = 1
        ",
    );
    assert_eq!(minisup.exit_code(), 3);
    let said: Vec<String> = minisup.said.iter().collect();
    let at = |text: &str| said.iter().position(|line| line.contains(text));
    assert!(at("quiet failed (exit code 3)").is_some(), "{said:?}");
    assert!(at("quiet failed") < at("the last lines of quiet"), "{said:?}");
    for line in ["quiet | hidden 1", "quiet | hidden 3", "quiet | cause"] {
        assert!(at(line).is_some(), "{line}: {said:?}");
    }
    assert_eq!(said.iter().filter(|line| line.contains("quiet | cause")).count(), 1);
}
