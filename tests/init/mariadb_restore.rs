//! Backups by mariadb-backup among the scripts: restored instead of all else, with the real programs.

use crate::mariadb::{NO_ZONES, Place, Served, is_here, said};
use crate::support;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// Whether mariadb-backup is here, too.
fn can_back_up() -> bool {
    let is_there = Path::new("/usr/bin/mariadb-backup").exists();
    if is_here() && !is_there {
        let must = std::env::var_os("MINISUP_REQUIRE_NAMESPACES").is_some_and(|set| set == "1");
        assert!(!must, "mariadb-backup is required");
        support::loudly("SKIPPED: no mariadb-backup");
    }
    is_here() && is_there
}

/// Runs a program that must succeed.
fn tool(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", said(&output));
}

/// A backup of a running server with a table `shop.t` of a thousand rows, as a tar file packed by this program; in a
/// directory of its own in it, if one is named.
fn backup(of: &Place, packer: &str, ending: &str, below: &str) -> std::path::PathBuf {
    of.script("1.sql", "CREATE TABLE t (a INT PRIMARY KEY);\nINSERT INTO t SELECT seq FROM seq_1_to_1000;\n");
    let variables = [NO_ZONES, ("MARIADB_ROOT_PASSWORD", "of the backup"), ("MARIADB_DATABASE", "shop")];
    of.made(&variables, &[]);
    let served = of.serve(&[]);
    let folder = of.path("backed-up");
    fs::create_dir(&folder).unwrap();
    let target = folder.join(below);
    tool(
        Command::new("mariadb-backup")
            .args(["--no-defaults", "--backup", "--user=root", "--password=of the backup"])
            .arg(format!("--socket={}", served.socket().display()))
            .arg(format!("--target-dir={}", target.display())),
    );
    drop(served);
    let file = of.path(&format!("2026-11-27.tar{ending}"));
    let line = format!("tar -C {} -cf - . | {packer} > {}", folder.display(), file.display());
    tool(Command::new("bash").args(["-o", "pipefail", "-c", &line]));
    file
}

fn rows(served: &Served) -> String {
    served.answer("root", "of the backup", "SELECT COUNT(*), SUM(a) FROM shop.t")
}

#[test]
fn rule_38_a_backup_is_restored_with_its_accounts_and_no_script_runs() {
    if !can_back_up() {
        return;
    }
    for (packer, ending, below) in [("gzip", ".gz", ""), ("xz -0", ".xz", "daily"), ("zstd -q", ".zst", "")] {
        let (source, place) = (Place::new("backed-up"), Place::new("restored"));
        let file = backup(&source, packer, ending, below);
        fs::copy(&file, place.path("scripts").join(file.file_name().unwrap())).unwrap();
        place.script("1.sql", "CREATE DATABASE never;\n");
        place.script("2.sh", format!("touch {}/tmp/never\n", place.folder.display()));
        // No variable is needed, and one that is there has no effect.
        let text = place.made(&[("MARIADB_DATABASE", "other")], &[]);
        assert!(text.contains("no effect has MARIADB_DATABASE"), "{text}");
        assert!(text.contains("1.sql is not run: a backup is restored instead of running scripts"), "{text}");
        assert!(!place.path("tmp").join("never").exists());
        assert!(!place.path(".data.minisup").exists(), "what was unpacked is gone");
        let served = place.serve(&[]);
        assert_eq!(rows(&served), "1000\t500500\n");
        let databases = served.answer("root", "of the backup", "SHOW DATABASES");
        assert!(!databases.contains("never") && !databases.contains("other"), "{databases}");
        drop(served);
        let again = place.made(&[], &[]);
        assert!(
            again.contains("1 script: nothing to be done") && !again.contains("not run: 2026"),
            "{again}"
        );
    }
}

#[test]
fn rule_38_a_backup_is_in_the_plan_and_a_second_one_is_refused() {
    if !can_back_up() {
        return;
    }
    let place = Place::new("two-backups");
    // Only how it begins is looked at.
    place.script("a.tar.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00");
    let plan = |place: &Place| -> Output { place.command_with(&["--dry-run"], &[], &[]).output().unwrap() };
    let output = plan(&place);
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        said(&output).contains("a.tar.gz") && said(&output).contains("restored, instead of making a new")
    );
    place.script("b.tar.zst", b"\x28\xb5\x2f\xfd\x00");
    let output = plan(&place);
    assert_eq!(output.status.code(), Some(78), "{}", said(&output));
    assert!(
        said(&output).contains("b.tar.zst: a second backup: only one can be restored"),
        "{}",
        said(&output)
    );
}

#[test]
fn rule_38_what_is_no_backup_or_is_damaged_is_refused_and_leaves_the_data_directory_empty() {
    if !can_back_up() {
        return;
    }
    let place = Place::new("no-backup");
    let line = format!("cd {} && tar -czf scripts/a.tar.gz run", place.folder.display());
    tool(Command::new("bash").args(["-c", &line]));
    let output = place.start(&[], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("is no backup by mariadb-backup"), "{}", said(&output));
    let whole = fs::read(place.path("scripts").join("a.tar.gz")).unwrap();
    place.script("a.tar.gz", &whole[..whole.len() / 2]);
    let output = place.start(&[], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("ends too early"), "{}", said(&output));
    assert!(!place.path("data").join("mysql").exists());
}

#[test]
fn rule_38_a_damaged_archive_is_refused_even_if_its_reader_ends_well_at_once() {
    if !can_back_up() {
        return;
    }
    let place = Place::new("damaged");
    let tar = place.path("tmp").join("tar");
    fs::write(&tar, "#!/bin/sh\nexit 0\n").unwrap();
    fs::set_permissions(&tar, fs::Permissions::from_mode(0o755)).unwrap();
    // The beginning of a gzip file, and no more.
    place.script("a.tar.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03");
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", place.path("tmp").display());
    for _ in 0..10 {
        let output = place.command_with(&[], &[], &[]).env("PATH", &path).output().unwrap();
        assert!(said(&output).contains("a.tar.gz ends too early"), "{}", said(&output));
    }
}

#[test]
fn rule_38_a_restore_that_is_killed_at_any_step_is_begun_again_and_ends_equal() {
    if !can_back_up() {
        return;
    }
    let source = Place::new("killed-source");
    let file = backup(&source, "gzip", ".gz", "");
    let mut killed = 0;
    // Each entry of the journal is one rename.
    for step in 1.. {
        let place = Place::new("killed-restore");
        fs::copy(&file, place.path("scripts").join("b.tar.gz")).unwrap();
        let command = place.command_with(&[], &[], &[]);
        let mut traced = Command::new("strace");
        traced.args(["-o", "/dev/null", "--trace=rename"]);
        traced.arg(format!("--inject=rename:signal=KILL:when={step}"));
        traced.arg(command.get_program()).args(command.get_args()).env_clear();
        traced.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = traced.output().unwrap();
        if output.status.success() {
            break;
        }
        assert_eq!(output.status.code(), None, "{}", said(&output));
        killed += 1;
        place.made(&[], &[]);
        assert_eq!(rows(&place.serve(&[])), "1000\t500500\n", "killed at {step}");
    }
    assert!(killed >= 5, "begun, in the restore, done, stopping, moving, final: only {killed}");
}
