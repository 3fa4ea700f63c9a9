//! Which scripts run, when, as whom, and what a script's end means.

use crate::stage::Place;
use crate::support::wait_until;
use crate::{needs_namespaces, with_scripts};
use std::path::Path;
use std::time::Duration;

const WEB: &str = "[scripts]\ndirectory = \"d\"\n[service.web]\ncommand = [\"sh\", \"-c\", \"echo web; exec sleep 1000\"]\n";

#[test]
fn scripts_run_one_after_the_other_before_all_services() {
    needs_namespaces!();
    let scripts = [
        ("10-third.sh", 0o755, "#!/bin/sh\necho third\n"),
        ("2-second.sh", 0o755, "echo second, without an interpreter of its own\n"),
        ("sub/1-fourth.sh", 0o755, "#!/bin/sh\necho fourth, in $(basename \"$0\")\n"),
        ("1-first.sh", 0o700, "#!/bin/sh\nread line < $DIR/go; echo first\n"),
        ("3-not.sh", 0o644, "#!/bin/sh\necho never\n"),
        (".4-hidden.sh", 0o755, "#!/bin/sh\necho never\n"),
        ("README.md", 0o644, "words\n"),
    ];
    let mut run = with_scripts(Place::Pid1, WEB, &scripts).gate("go").start();
    run.said("d/3-not.sh is skipped: it is not executable");
    run.said("d/README.md is ignored: neither .sh nor .envsh");
    run.said("web waits for script-sub-1-fourth to be done");
    run.open("go");
    let lines: Vec<String> = (0..5).map(|_| run.heard("")).collect();
    assert_eq!(
        lines,
        [
            "script-1-first      | first",
            "script-2-second     | second, without an interpreter of its own",
            "script-10-third     | third",
            "script-sub-1-fourth | fourth, in 1-fourth.sh",
            "web",
        ]
    );
    run.said("all is up");
    run.stops_with(0);
}

#[test]
fn a_script_that_fails_ends_the_container_with_its_code() {
    needs_namespaces!();
    let scripts = [
        ("1-good.sh", 0o755, "#!/bin/sh\nexit 0\n"),
        ("2-bad.sh", 0o755, "#!/bin/sh\necho this is why >&2\nexit 43\n"),
        ("3-later.sh", 0o755, "#!/bin/sh\necho later\n"),
    ];
    let mut run = with_scripts(Place::Pid1, WEB, &scripts).start();
    run.said("script-2-bad   | this is why");
    run.said("script-2-bad is essential and has failed (exit code 43): stopping everything, exit code 43");
    assert_eq!(run.stdout().rest(), "", "nobody comes after it");
    run.ends_with(43);
}

#[test]
fn a_script_that_takes_too_long_is_stopped_and_named() {
    needs_namespaces!();
    let config = WEB.replace("directory", "timeout = \"300ms\"\ndirectory");
    let scripts = [("1-stuck.sh", 0o755, "#!/bin/sh\necho here\nexec sleep 1000\n")];
    let mut run = with_scripts(Place::Pid1, &config, &scripts).start();
    run.heard("script-1-stuck | here");
    run.said("ms (`timeout`): stopping it");
    let said = run.said("script-1-stuck is essential and has failed (not done after 3");
    assert!(said.ends_with("stopping everything, exit code 1"), "{said}");
    run.ends_with(1);
}

#[test]
fn a_script_may_run_as_somebody_else() {
    needs_namespaces!();
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let config = WEB.replace("directory", "user = \"65534:65533\"\ndirectory");
    let scripts = [
        ("1-who.sh", 0o755, "#!/bin/sh\necho \"$(id -u):$(id -g)\"\n"),
        ("2-who.envsh", 0o755, "export WHO=$(id -u)\n"),
        ("3-got.sh", 0o755, "#!/bin/sh\necho \"got $WHO\"\n"),
    ];
    // Our own binary may lie where only we may look: the satellite runs as that user.
    let mut run = with_scripts(Place::Pid1, &config, &scripts).start();
    run.heard("| 65534:65533");
    run.heard("| got 65534");
    run.said("all is up");
    run.stops_with(0);
}

#[test]
fn scripts_may_wait_for_a_service_of_the_same_container() {
    needs_namespaces!();
    let config = r#"
        [scripts]
        directory = "d"
        requires = ["db"]
        [service.web]
        command = ["sh", "-c", "echo web; exec sleep 1000"]
        [service.db]
        command = ["sh", "-c", "echo db; exec sleep 1000"]
        requires = ["disk"]
        ready = { log = "db" }
        [service.disk]
        command = ["sh", "-c", "echo disk"]
        type = "oneshot"
    "#;
    let scripts = [("migrate.sh", 0o755, "#!/bin/sh\necho migrated\n")];
    let mut run = with_scripts(Place::Pid1, config, &scripts).start();
    let lines: Vec<String> = (0..4).map(|_| run.heard("")).collect();
    let bare: Vec<&str> = lines.iter().map(|line| line.rsplit("| ").next().unwrap()).collect();
    assert_eq!(bare, ["disk", "db", "migrated", "web"]);
    run.stops_with(0);
}

#[test]
fn a_stop_in_the_middle_of_a_script_ends_it_and_runs_no_other() {
    needs_namespaces!();
    let scripts = [
        ("1-long.sh", 0o755, "#!/bin/sh\necho long\nexec sleep 1000\n"),
        ("2-later.sh", 0o755, "#!/bin/sh\ntouch $DIR/later\n"),
    ];
    let mut run = with_scripts(Place::Pid1, WEB, &scripts).start();
    run.heard("| long");
    run.signal(libc::SIGTERM);
    let later = run.path("later");
    run.ends_within(Duration::from_secs(8), 0);
    assert!(!later.exists());
}

#[test]
fn what_cannot_run_is_said_with_its_line_and_nothing_is_launched() {
    needs_namespaces!();
    let scripts = [
        ("1-good.sh", 0o755, "#!/bin/sh\ntouch $DIR/launched\n"),
        ("2-windows.sh", 0o755, "#!/bin/sh\r\necho hello\r\n"),
        ("3-bash.sh", 0o755, "#!/opt/none/bash\necho hello\n"),
        ("4-mark.envsh", 0o755, "\u{feff}export A=1\n"),
        ("5-python.envsh", 0o755, "#!/usr/bin/env sort\nexport A=1\n"),
    ];
    let run = with_scripts(Place::Pid1, WEB, &scripts).start();
    let launched = run.path("launched");
    let said = run.ends_with(78);
    for part in [
        "d/2-windows.sh:1:1: error: the script's lines end with CRLF",
        "d/3-bash.sh:1:1: error: its interpreter /opt/none/bash does not exist in this image",
        "d/4-mark.envsh:1:1: error: the script begins with an invisible byte order mark",
        "d/5-python.envsh:1:1: error: an .envsh is sourced by a shell, and sort is none",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    assert!(!launched.exists());
}

#[test]
fn never_means_that_nobody_even_looks() {
    needs_namespaces!();
    let config = WEB.replace("directory", "run = \"${RUN_SCRIPTS:-never}\"\ndirectory");
    let mut run = with_scripts(Place::Pid1, &config, &[("1-bad.sh", 0o755, "#!/none\n")]).start();
    run.heard("web");
    run.said("all is up");
    run.stops_with(0);
}

#[test]
fn an_update_runs_no_script_again() {
    needs_namespaces!();
    let scripts = [("1-count.sh", 0o755, "#!/bin/sh\necho ran >> $DIR/count\n")];
    let mut run = with_scripts(Place::Pid1, WEB, &scripts).start();
    run.said("all is up");
    run.write("supervise.toml", &WEB.replace("echo web", "echo other"));
    run.signal(libc::SIGHUP);
    run.heard("other");
    run.said("update: done");
    let count = run.path("count");
    wait_until("the count", || std::fs::read_to_string(&count).is_ok_and(|text| text == "ran\n"));
    run.stops_with(0);
}

#[test]
fn a_folder_that_is_not_there_is_a_warning() {
    needs_namespaces!();
    let mut run = with_scripts(Place::Pid1, WEB, &[]).start();
    run.said("there is no folder");
    run.said("all is up");
    run.stops_with(0);
}

#[test]
fn links_are_followed_but_not_in_circles() {
    needs_namespaces!();
    let stage = with_scripts(Place::Pid1, WEB, &[("..data/1-a.sh", 0o755, "#!/bin/sh\necho once\n")]);
    let folder = stage.folder().join("d");
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, folder.join(name)).unwrap();
    // As Kubernetes mounts a ConfigMap; and one that leads back.
    link("..data/1-a.sh", "1-a.sh");
    link(".", "back");
    link("/nowhere/x.sh", "2-b.sh");
    assert!(Path::new(&folder).join("back/back/1-a.sh").exists());
    let mut run = stage.start();
    run.said("d/2-b.sh is ignored: it is a link to nothing");
    assert_eq!([run.heard(""), run.heard("")], ["script-1-a | once", "web"]);
    run.stops_with(0);
}
