//! What is done to a MariaDB that is in its place: an upgrade of its system tables, and migrations by a root whose
//! password was drawn at random.

use crate::mariadb::{NO_ZONES, Place, is_here, said};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

const ROOT: (&str, &str) = ("MARIADB_ROOT_PASSWORD", "geheim");
const ASKED: (&str, &str) = ("MARIADB_AUTO_UPGRADE", "1");

/// A first start, made to look as if an older server had done it: the file with the version says so, and a table
/// that this version has added is not there.
fn older(name: &str) -> Option<Place> {
    if !is_here() {
        return None;
    }
    let place = Place::new(name);
    place.made(&[NO_ZONES, ROOT], &[]);
    let served = place.serve(&[]);
    served.answer("root", "geheim", "DROP TABLE mysql.column_stats");
    drop(served);
    fs::write(version_file(&place), "10.2.44-MariaDB").unwrap();
    Some(place)
}

fn version_file(place: &Place) -> PathBuf {
    let files = ["mariadb_upgrade_info", "mysql_upgrade_info"].map(|name| place.path("data").join(name));
    files.into_iter().find(|path| path.exists()).expect("a file with the version")
}

/// What the server itself says that it is, without what its packagers add: `10.11.14-MariaDB`.
fn server() -> String {
    let output = Command::new("mariadbd").arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let version = text.split_whitespace().find(|word| word.contains("-MariaDB")).expect("a version");
    version[..version.find("-MariaDB").unwrap()].to_owned() + "-MariaDB"
}

fn version(place: &Place) -> String {
    fs::read_to_string(version_file(place)).unwrap()
}

/// Copies of the system tables in the data directory.
fn kept(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.path("data")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("system_mysql_backup_")).collect()
}

fn has_table(place: &Place) -> bool {
    let served = place.serve(&[]);
    served.answer("root", "geheim", "SHOW TABLES IN mysql LIKE 'column_stats'").contains("column_stats")
}

#[test]
fn rule_37_an_upgrade_that_nobody_asked_for_is_said_in_one_line_and_not_done() {
    let Some(place) = older("not-asked") else { return };
    for variables in [&[ROOT][..], &[ROOT, ("MARIADB_AUTO_UPGRADE", "0")]] {
        let text = place.made(variables, &[]);
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("MARIADB_AUTO_UPGRADE=1")).collect();
        assert_eq!(lines.len(), 1, "{text}");
        assert!(lines[0].contains(&format!("are of 10.2.44-MariaDB, the server is {}", server())), "{text}");
    }
    assert_eq!(version(&place), "10.2.44-MariaDB");
    assert_eq!(kept(&place), Vec::<String>::new());
}

#[test]
fn rule_37_an_upgrade_that_was_asked_for_keeps_the_system_tables_first_and_is_done_once() {
    let Some(place) = older("asked") else { return };
    fs::remove_file(place.path("data").join(".my-healthcheck.cnf")).unwrap();
    // Root's password is not needed.
    let text = place.made(&[ASKED], &[]);
    let done = format!("the system tables are those of {}", server());
    assert!(text.contains("upgrading the system tables") && text.contains(&done), "{text}");
    assert!(version(&place).starts_with(&server()), "{}", version(&place));
    assert_eq!(kept(&place), ["system_mysql_backup_10.2.44-MariaDB.sql.gz"]);
    let file = place.path("data").join(&kept(&place)[0]);
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600,
        "it has hashes of passwords"
    );
    let unpacked = Command::new("zcat").arg(&file).output().unwrap();
    let sql = String::from_utf8_lossy(&unpacked.stdout).into_owned();
    assert!(unpacked.status.success() && sql.contains("REPLACE INTO `db`") || sql.contains("`global_priv`"));
    assert!(sql.trim_end().lines().last().is_some_and(|line| line.starts_with("-- Dump completed")), "whole");
    assert!(has_table(&place));
    assert!(place.path("data").join(".my-healthcheck.cnf").exists(), "the image's health check logs in");
    assert!(!place.path("data").join(".minisup-alive").exists());
    let again = place.made(&[ASKED], &[]);
    assert!(!again.contains("upgrad"), "{again}");
}

#[test]
fn rule_37_without_a_backup_if_that_is_asked_for() {
    let Some(place) = older("no-backup-asked") else { return };
    place.made(&[ASKED, ("MARIADB_DISABLE_UPGRADE_BACKUP", "1")], &[]);
    assert_eq!(kept(&place), Vec::<String>::new());
    assert!(has_table(&place));
}

#[test]
fn rule_37_a_kill_in_an_upgrade_is_gone_on_with_whatever_the_variable_says_then() {
    let mut killed = 0;
    for step in 1.. {
        let Some(place) = older("killed-upgrade") else { return };
        let command = place.command_with(&[], &[ASKED], &[]);
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
        // Before its first entry nothing was begun.
        let variables = if step == 1 { &[ROOT, ASKED][..] } else { &[ROOT][..] };
        let text = place.made(variables, &[]);
        assert!(step == 1 || text.contains("was interrupted: going on"), "killed at {step}: {text}");
        assert!(!version(&place).starts_with("10.2"), "killed at {step}: {text}");
        assert_eq!(kept(&place).len(), 1, "killed at {step}: {:?}", kept(&place));
        assert!(has_table(&place), "killed at {step}");
        let again = place.made(&[ROOT, ASKED], &[]);
        assert!(!again.contains("upgrad"), "killed at {step}: {again}");
    }
    assert_eq!(killed, 3, "begun, the copy, the end");
}

#[test]
fn rule_37_an_upgrade_begun_for_another_server_is_refused_with_what_to_do() {
    let Some(place) = older("another-server") else { return };
    let journal = place.path("data").join(".minisup-initialised.json");
    let text = fs::read_to_string(&journal).unwrap();
    let begun = r#""upgrades": [{"from": "10.2.44-MariaDB", "to": "11.4.2-MariaDB", "began": "2026-11-27T00:00:00Z"}],"#;
    fs::write(&journal, text.replacen('{', &format!("{{{begun}"), 1)).unwrap();
    let output = place.start(&[ROOT, ASKED], &[]);
    assert_eq!(output.status.code(), Some(78), "{}", said(&output));
    assert!(said(&output).contains("from 10.2.44-MariaDB to 11.4.2-MariaDB was begun"), "{}", said(&output));
    assert_eq!(version(&place), "10.2.44-MariaDB", "nothing was touched");
}

const RANDOM: (&str, &str) = ("MARIADB_RANDOM_ROOT_PASSWORD", "1");

/// A place with a directory of migrations.
fn with_migrations(name: &str) -> Option<(Place, String)> {
    if !is_here() {
        return None;
    }
    let place = Place::new(name);
    let each = place.path("migrations");
    fs::create_dir(&each).unwrap();
    fs::set_permissions(&each, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(each.join("1.sql"), "CREATE TABLE shop.one (a INT);\n").unwrap();
    let each = each.to_str().unwrap().to_owned();
    Some((place, each))
}

#[test]
fn migrations_log_in_though_roots_password_was_drawn_at_random() {
    let Some((place, each)) = with_migrations("random") else { return };
    let options = ["--each-start", each.as_str()];
    let run = |variables: &[(&str, &str)]| place.command_with(&options, variables, &[]).output().unwrap();
    let output = run(&[NO_ZONES, RANDOM, ("MARIADB_DATABASE", "shop")]);
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    let root = text.lines().find_map(|line| line.split_once("GENERATED ROOT PASSWORD: ")).expect(&text).1;
    let kept = place.path("data").join(".minisup-root-password");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(&kept).unwrap(), root);
    // At a later start, by file and by shell.
    fs::write(format!("{each}/2.sql"), "CREATE VIEW shop.two AS SELECT CURRENT_USER() who;\n").unwrap();
    let script =
        "#!/bin/sh\nexec mariadb -uroot -p\"$MARIADB_ROOT_PASSWORD\" -e 'CREATE TABLE shop.three (a INT)'\n";
    fs::write(format!("{each}/3.sh"), script).unwrap();
    fs::set_permissions(format!("{each}/3.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let output = run(&[RANDOM, ("MARIADB_DATABASE", "shop")]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(!said(&output).contains(root), "no secret is shown");
    let served = place.serve(&[]);
    assert_eq!(served.answer("root", root, "SHOW TABLES IN shop"), "one\nthree\ntwo\n");
    assert_eq!(served.answer("root", root, "SELECT * FROM shop.two"), "root@localhost\n");
    // Somebody changes it.
    served.answer("root", root, "ALTER USER root@localhost IDENTIFIED BY 'other'");
    drop(served);
    fs::write(format!("{each}/4.sql"), "CREATE TABLE shop.four (a INT);\n").unwrap();
    let output = run(&[RANDOM]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("takes neither MARIADB_ROOT_PASSWORD nor the password in"),
        "{}",
        said(&output)
    );
    let output = run(&[RANDOM, ("MARIADB_ROOT_PASSWORD", "other")]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(place.serve(&[]).answer("root", "other", "SHOW TABLES IN shop LIKE 'four'"), "four\n");
}

#[test]
fn without_migrations_a_random_password_is_kept_nowhere_and_they_need_it_in_the_environment() {
    let Some((place, each)) = with_migrations("random-not-kept") else { return };
    let text = place.made(&[NO_ZONES, RANDOM, ("MARIADB_DATABASE", "shop")], &[]);
    let root = text.lines().find_map(|line| line.split_once("GENERATED ROOT PASSWORD: ")).expect(&text).1;
    assert!(!place.path("data").join(".minisup-root-password").exists());
    let options = ["--each-start", each.as_str()];
    let output = place.command_with(&options, &[RANDOM], &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("set MARIADB_ROOT_PASSWORD to what was said then"), "{}", said(&output));
    let variables = [RANDOM, ("MARIADB_ROOT_PASSWORD", root)];
    let output = place.command_with(&options, &variables, &[]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn migrations_and_a_hash_of_roots_password_are_refused_before_anything_is_touched() {
    let Some((place, each)) = with_migrations("hash") else { return };
    let hash = ("MARIADB_ROOT_PASSWORD_HASH", "*F3A2A51A9B0F2BE2468926B4132313728C250DBF");
    let options = ["--each-start", each.as_str()];
    let variables = [NO_ZONES, hash, ("MARIADB_DATABASE", "shop")];
    let output = place.command_with(&options, &variables, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(78), "{}", said(&output));
    assert!(said(&output).contains("Give MARIADB_ROOT_PASSWORD instead"), "{}", said(&output));
    assert!(!place.path("data").exists());
    // Without them it is made; and when they come, the password may come with them.
    place.made(&variables, &[]);
    let output = place.command_with(&options, &variables, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("only a hash is known of root@localhost's password"), "{}", said(&output));
    let more = [variables.as_slice(), &[("MARIADB_ROOT_PASSWORD", "foo")]].concat();
    let output = place.command_with(&options, &more, &[]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn an_archive_among_migrations_is_said_and_does_not_keep_them_from_running() {
    let Some((place, each)) = with_migrations("archive") else { return };
    fs::write(format!("{each}/x.tar.gz"), "x").unwrap();
    let options = ["--each-start", each.as_str()];
    let variables = [NO_ZONES, ("MARIADB_ROOT_PASSWORD", "geheim"), ("MARIADB_DATABASE", "shop")];
    let output = place.command_with(&options, &variables, &[]).output().unwrap();
    let text = said(&output);
    assert!(output.status.success() && text.contains("not run: an archive"), "{text}");
    assert_eq!(place.serve(&[]).answer("root", "geheim", "SHOW TABLES IN shop"), "one\n");
}
