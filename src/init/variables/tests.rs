//! The rules of VAR and VAR_FILE, one sentence each.

use super::*;
use crate::init::engine::Level;
use std::fs;

const PASSWORD: Name = Name::secret("MARIADB_ROOT_PASSWORD").formerly("MYSQL_ROOT_PASSWORD");
const SWITCH: Name = Name::plain("MARIADB_ALLOW_EMPTY_ROOT_PASSWORD");
const DATABASE: Name = Name::with_file("MARIADB_DATABASE").formerly("MYSQL_DATABASE");
const ALL: [Name; 3] = [PASSWORD, SWITCH, DATABASE];

/// What is read from these variables.
fn read(environment: &[(&str, &str)]) -> Reading {
    Given::read(&ALL, environment.iter().map(|(name, value)| ((*name).into(), (*value).into())))
}

/// What is said at this level.
fn said(reading: &Reading, level: Level) -> Vec<&str> {
    let of_level = reading.remarks.iter().filter(|remark| remark.level == level);
    of_level.map(|remark| remark.text.as_str()).collect()
}

fn errors(reading: &Reading) -> Vec<&str> {
    said(reading, Level::Error)
}

/// A file with this content, removed with the value that is returned.
struct Secret(PathBuf);

impl Secret {
    fn new(name: &str, content: &[u8]) -> Secret {
        let path = std::env::temp_dir().join(format!("minisup-variables-{}-{name}", std::process::id()));
        fs::write(&path, content).unwrap();
        Secret(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

#[test]
fn empty_counts_as_not_set() {
    let reading =
        read(&[("MARIADB_ROOT_PASSWORD", ""), ("MARIADB_ROOT_PASSWORD_FILE", ""), ("MARIADB_DATABASE", "")]);
    assert_eq!(reading.remarks, []);
    assert!(!reading.given.is_set("MARIADB_ROOT_PASSWORD"));
    assert_eq!(reading.given.get("MARIADB_DATABASE"), None);
}

#[test]
fn both_of_a_pair_are_an_error_that_shows_no_value() {
    let reading =
        read(&[("MARIADB_ROOT_PASSWORD", "hunter2"), ("MARIADB_ROOT_PASSWORD_FILE", "/nowhere/at/all")]);
    assert_eq!(
        errors(&reading),
        ["both MARIADB_ROOT_PASSWORD and MARIADB_ROOT_PASSWORD_FILE are set (but are exclusive)"]
    );
    assert!(!format!("{reading:?}").contains("hunter2"));
}

#[test]
fn a_file_loses_all_newlines_at_its_end_and_its_nul_bytes_and_nothing_else() {
    let secret = Secret::new("ends", b"\n two\nlines \0\xff\t\n\0\n\n");
    let reading = read(&[("MARIADB_ROOT_PASSWORD_FILE", secret.path())]);
    assert_eq!(errors(&reading), [""; 0]);
    assert_eq!(reading.given.bytes("MARIADB_ROOT_PASSWORD"), Some(&b"\n two\nlines \xff\t"[..]));
    assert_eq!(reading.given.file("MARIADB_ROOT_PASSWORD"), Some(secret.0.as_path()));
}

#[test]
fn a_value_is_taken_as_it_is() {
    let value = " it's \"quoted\"\\ %s 🐬 \n";
    let reading = read(&[("MARIADB_ROOT_PASSWORD", value)]);
    assert_eq!(reading.given.get("MARIADB_ROOT_PASSWORD"), Some(OsStr::new(value)));
}

#[test]
fn the_newer_name_wins_and_scripts_find_its_value_under_both() {
    let reading = read(&[("MYSQL_DATABASE", "old"), ("MARIADB_DATABASE", "new")]);
    let environment: Vec<_> = reading.given.environment().collect();
    assert_eq!(environment, [("MARIADB_DATABASE", OsStr::new("new")), ("MYSQL_DATABASE", OsStr::new("new"))]);
    assert_eq!(read(&[("MYSQL_DATABASE", "old")]).given.get("MARIADB_DATABASE"), Some(OsStr::new("old")));
}

#[test]
fn an_older_name_may_come_from_a_file_too() {
    let secret = Secret::new("older", b"s3cret\n");
    let reading = read(&[("MYSQL_ROOT_PASSWORD_FILE", secret.path())]);
    assert_eq!(reading.given.bytes("MARIADB_ROOT_PASSWORD"), Some(&b"s3cret"[..]));
}

#[test]
fn an_unreadable_file_names_the_variable_the_path_and_what_was_meant() {
    let directory = std::env::temp_dir();
    for (path, expected) in [
        (
            "/nowhere/pw",
            "cannot read /nowhere/pw, named by MARIADB_ROOT_PASSWORD_FILE: there is no such file",
        ),
        (
            "\"/run/pw\"",
            "cannot read \"/run/pw\", named by MARIADB_ROOT_PASSWORD_FILE: there is no such file; the quotes are part of the value: write the path without them",
        ),
        (
            "/nowhere/pw ",
            "cannot read /nowhere/pw , named by MARIADB_ROOT_PASSWORD_FILE: there is no such file; the white space around it is part of the value",
        ),
        (
            "no/such/pw",
            "cannot read no/such/pw, named by MARIADB_ROOT_PASSWORD_FILE: there is no such file; it is relative to the working directory: write the whole path",
        ),
        (
            "/run/secrets/no-such-pw",
            "cannot read /run/secrets/no-such-pw, named by MARIADB_ROOT_PASSWORD_FILE: there is no such file; is the secret listed for this service, too?",
        ),
        (
            directory.to_str().unwrap(),
            "cannot read /tmp, named by MARIADB_ROOT_PASSWORD_FILE: it is a directory; when a file that is to be mounted does not exist, an empty directory appears in its place",
        ),
    ] {
        assert_eq!(
            errors(&read(&[("MARIADB_ROOT_PASSWORD_FILE", path)])),
            [expected.replace("/tmp", directory.to_str().unwrap())]
        );
    }
}

#[test]
fn a_file_that_is_no_value_is_not_read_to_its_end() {
    let reading = read(&[("MARIADB_ROOT_PASSWORD_FILE", "/dev/zero")]);
    assert_eq!(
        errors(&reading),
        [
            "cannot read /dev/zero, named by MARIADB_ROOT_PASSWORD_FILE: it is longer than 1 MB, so it is no such value"
        ]
    );
}

#[test]
fn everything_wrong_is_said_at_once() {
    let reading =
        read(&[("MARIADB_ROOT_PASSWORD_FILE", "/nowhere/a"), ("MYSQL_DATABASE_FILE", "/nowhere/b")]);
    assert_eq!(errors(&reading).len(), 2);
}

#[test]
fn what_was_probably_not_meant_is_said_and_goes_on() {
    let ends = Secret::new("crlf", b"pw\r\n");
    let empty = Secret::new("empty", b"\n\n");
    let marked = Secret::new("bom", b"\xef\xbb\xbfpw\n");
    let warning = |environment: &[(&str, &str)]| {
        let reading = read(environment);
        assert_eq!(errors(&reading), [""; 0]);
        said(&reading, Level::Warning).join("\n")
    };
    assert!(warning(&[("MARIADB_ROOT_PASSWORD_FILE", ends.path())]).contains("ends in a carriage return"));
    assert!(
        warning(&[("MARIADB_ROOT_PASSWORD_FILE", empty.path())])
            .contains("is empty, which counts as not set")
    );
    assert!(
        warning(&[("MARIADB_ROOT_PASSWORD_FILE", marked.path())]).contains("begins with a byte order mark")
    );
    assert_eq!(
        warning(&[("MARIADB_ROOT_PASSWORD", "/run/secrets/pw")]),
        "the value of MARIADB_ROOT_PASSWORD looks like the path of a secret: MARIADB_ROOT_PASSWORD_FILE would read that file"
    );
    assert_eq!(
        warning(&[("MARIADB_ALLOW_EMPTY_ROOT_PASSWORD_FILE", "/x")]),
        "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD_FILE has no effect: MARIADB_ALLOW_EMPTY_ROOT_PASSWORD cannot be given by a file"
    );
    assert_eq!(
        warning(&[("MYSQL_ROOT_PASSWORDFILE", "/x")]),
        "MYSQL_ROOT_PASSWORDFILE is not a variable that is known here: did you mean MYSQL_ROOT_PASSWORD_FILE?"
    );
    assert_eq!(
        warning(&[("MYSQL_ROOT_PASWORD", "x")]),
        "MYSQL_ROOT_PASWORD is not a variable that is known here: did you mean MYSQL_ROOT_PASSWORD?"
    );
    assert_eq!(warning(&[("MYSQL_HOST", "db"), ("PATH", "/bin"), ("MYSQL_PWD", "x")]), "");
}

#[test]
fn the_journal_is_told_all_names_and_which_are_secret() {
    let known = read(&[("MYSQL_ROOT_PASSWORD", "two")]).given.known(&ALL);
    let names: Vec<_> =
        known.iter().map(|known| (known.name, known.value.is_some(), known.is_secret)).collect();
    assert_eq!(
        names,
        [
            ("MARIADB_ROOT_PASSWORD", true, true),
            ("MARIADB_ALLOW_EMPTY_ROOT_PASSWORD", false, false),
            ("MARIADB_DATABASE", false, false)
        ]
    );
}

#[test]
fn secrets_and_paths_of_files_do_not_reach_the_server() {
    assert_eq!(
        confidential(&ALL),
        [
            "MARIADB_ROOT_PASSWORD",
            "MARIADB_ROOT_PASSWORD_FILE",
            "MYSQL_ROOT_PASSWORD",
            "MYSQL_ROOT_PASSWORD_FILE",
            "MARIADB_DATABASE_FILE",
            "MYSQL_DATABASE_FILE"
        ]
    );
}
