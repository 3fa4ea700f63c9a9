//! The rules of MySQL's variables, by the numbers of what the official image does, and every call that a first
//! start makes, against stand-ins: MySQL itself is in no Debian. What the stand-ins know of MySQL, and
//! what not, their heads say.

use crate::asking::texts;
use crate::support::MINISUP;
use minisup::init::engine::Level;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROOT: (&str, &str) = ("MYSQL_ROOT_PASSWORD", "x");

fn errors(variables: &[(&str, &str)]) -> Vec<String> {
    texts("mysql", variables, Level::Error)
}

fn warnings(variables: &[(&str, &str)]) -> Vec<String> {
    texts("mysql", variables, Level::Warning)
}

#[test]
fn rule_1_one_of_three_options_says_what_roots_password_is() {
    assert_eq!(
        errors(&[("MARIADB_ROOT_PASSWORD", "not MySQL's")]),
        ["database is uninitialized and password option is not specified: you need to specify one of \
          MYSQL_ROOT_PASSWORD, MYSQL_ALLOW_EMPTY_PASSWORD, MYSQL_RANDOM_ROOT_PASSWORD"]
    );
    for name in ["MYSQL_ROOT_PASSWORD", "MYSQL_ALLOW_EMPTY_PASSWORD", "MYSQL_RANDOM_ROOT_PASSWORD"] {
        assert_eq!(errors(&[(name, "0")]), [""; 0], "{name}: any text is a yes");
    }
}

#[test]
fn rule_2_the_user_is_not_root() {
    let found = errors(&[ROOT, ("MYSQL_USER", "root"), ("MYSQL_PASSWORD", "p")]);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with(
        "MYSQL_USER=\"root\": MYSQL_USER and MYSQL_PASSWORD are for a regular user and cannot be used for root"
    ));
}

#[test]
fn rule_3_a_user_without_a_password_is_not_created() {
    assert_eq!(
        warnings(&[ROOT, ("MYSQL_USER", "u")]),
        ["MYSQL_USER without MYSQL_PASSWORD: the user will not be created"]
    );
}

#[test]
fn rule_4_a_password_without_a_user_is_ignored() {
    assert_eq!(
        warnings(&[ROOT, ("MYSQL_PASSWORD", "p")]),
        ["MYSQL_PASSWORD without MYSQL_USER: the password will be ignored"]
    );
}

#[test]
fn rule_5_switches_cannot_be_given_by_a_file() {
    for name in ["ALLOW_EMPTY_PASSWORD", "RANDOM_ROOT_PASSWORD", "ONETIME_PASSWORD", "INITDB_SKIP_TZINFO"] {
        assert_eq!(
            warnings(&[ROOT, (&format!("MYSQL_{name}_FILE"), "/etc/passwd")]),
            [format!("MYSQL_{name}_FILE has no effect: MYSQL_{name} cannot be given by a file")]
        );
    }
}

#[test]
fn rule_6_several_options_for_root_are_no_error_and_random_wins() {
    let both = [ROOT, ("MYSQL_RANDOM_ROOT_PASSWORD", "1"), ("MYSQL_ALLOW_EMPTY_PASSWORD", "1")];
    assert_eq!(errors(&both), [""; 0]);
    assert_eq!(
        warnings(&both),
        ["MYSQL_ROOT_PASSWORD has no effect: MYSQL_RANDOM_ROOT_PASSWORD asks for a random one"]
    );
}

#[test]
fn rule_20_a_user_has_32_characters_and_a_long_password_is_warned_of() {
    assert_eq!(
        errors(&[ROOT, ("MYSQL_USER", &"u".repeat(33)), ("MYSQL_PASSWORD", "p")]),
        ["MYSQL_USER is 33 characters long: MySQL allows 32"]
    );
    assert_eq!(
        warnings(&[("MYSQL_ROOT_PASSWORD", &"p".repeat(1024))]),
        [
            "MYSQL_ROOT_PASSWORD is longer than 256 bytes, which caching_sha2_password (the default since MySQL \
          8.0) refuses"
        ]
    );
}

/// A folder with stand-ins of one version, their record, scripts, and a place for the data.
struct Stage {
    folder: PathBuf,
    version: &'static str,
}

impl Stage {
    fn new(name: &str, version: &'static str) -> Stage {
        let folder =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("mysql-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("scripts")).unwrap();
        Stage { folder, version }
    }

    fn script(&self, name: &str, text: &str) {
        fs::write(self.folder.join("scripts").join(name), text).unwrap();
    }

    fn data(&self) -> PathBuf {
        self.folder.join("final")
    }

    fn start(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
        let stand_ins = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/init/stand_in");
        let user = nix::unistd::geteuid().to_string();
        let mut command = Command::new(MINISUP);
        command.args(["init", "mysql", "--user", &user, "--directory"]).arg(self.folder.join("scripts"));
        command.args(["--", "mysqld"]).args(arguments).env_clear();
        command.env("PATH", format!("{stand_ins}:/usr/bin:/bin")).env("STAND_IN", &self.folder);
        command
            .env("STAND_IN_VERSION", self.version)
            .env("MYSQL_HOST", "elsewhere")
            .env("NOTIFY_SOCKET", "/n");
        command.envs(variables.iter().copied()).output().unwrap()
    }

    /// Every call, in the order in which they were made.
    fn calls(&self) -> Vec<String> {
        let mut names: Vec<PathBuf> =
            fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.retain(|path| path.extension().is_some_and(|end| end == "mysqld" || end == "mysql"));
        names.sort();
        names.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
    }

    /// The first call that has all of these lines.
    fn call(&self, lines: &[&str]) -> String {
        let calls = self.calls();
        let has = |call: &&String| lines.iter().all(|line| call.lines().any(|found| found == *line));
        calls.iter().find(has).unwrap_or_else(|| panic!("no call with {lines:?} in {calls:#?}")).clone()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What a call got on stdin.
fn stdin_of(call: &str) -> String {
    let lines = call.lines().filter_map(|line| line.strip_prefix("stdin "));
    lines.map(|line| format!("{line}\n")).collect()
}

fn value<'a>(call: &'a str, prefix: &str) -> &'a str {
    call.lines()
        .find_map(|line| line.strip_prefix(prefix))
        .unwrap_or_else(|| panic!("no {prefix:?} in {call}"))
}

#[test]
fn rule_9_the_whole_course_of_mysql_8_call_by_call() {
    let stage = Stage::new("course", "8.4.0");
    stage.script("1_tables.sql", "CREATE TABLE t (a INT);\nsource more.dump\n");
    stage.script("more.dump", "INSERT INTO t VALUES (1);\n");
    let output = stage.start(
        &[
            ("MYSQL_ROOT_PASSWORD", "geheim"),
            ("MYSQL_DATABASE", "my_shop"),
            ("MYSQL_USER", "o'brien"),
            ("MYSQL_PASSWORD", "a'b\\c\"d\n;😀"),
            ("MYSQL_ONETIME_PASSWORD", "yes"),
        ],
        &["--max-connections=5"],
    );
    assert!(output.status.success(), "{}", said(&output));

    let asked = stage.call(&["program mysqld", "argument --help"]);
    assert!(asked.contains(
        "argument --max-connections=5\nargument --verbose\nargument --help\nargument --log-bin-index="
    ));

    let made = stage.call(&["argument --initialize-insecure"]);
    let staging = value(&made, "argument --datadir=");
    assert_ne!(Path::new(staging), stage.data(), "the final place stays empty");
    for line in ["argument --default-time-zone=SYSTEM", "argument --max-connections=5"] {
        assert!(made.lines().any(|found| found == line), "{line} in {made}");
    }

    let server = stage.call(&["program mysqld", "argument --skip-networking", "argument --loose-mysqlx=OFF"]);
    let socket = value(&server, "argument --socket=");
    assert!(
        !socket.starts_with(stage.folder.join("run").to_str().unwrap()),
        "not where clients look: {socket}"
    );
    assert!(
        server.contains("argument --loose-log-bin=binlog\n"),
        "relative, so that the index stays true: {server}"
    );
    assert_eq!(value(&server, "argument --datadir="), staging);

    let zones = stage.call(&["argument --database=mysql"]);
    assert!(stdin_of(&zones).contains(
        "INSERT INTO time_zone (Time_zone_id, Use_leap_seconds) VALUES (1,'N');\n\
         INSERT INTO time_zone_name (Name, Time_zone_id) VALUES ('Europe/Zurich', 1);\n"
    ));

    let set_up = stage.call(&["stdin ALTER USER 'root'@'localhost' IDENTIFIED BY 'geheim';"]);
    assert_eq!(
        stdin_of(&set_up),
        "SET @@SESSION.sql_mode = REPLACE(@@SESSION.sql_mode, 'NO_BACKSLASH_ESCAPES', '');\n\
         SET autocommit = 1;\n\
         SET @minisup_log = @@SESSION.sql_log_bin;\n\
         SET @@SESSION.sql_log_bin = 0;\n\
         ALTER USER 'root'@'localhost' IDENTIFIED BY 'geheim';\n\
         GRANT ALL ON *.* TO 'root'@'localhost' WITH GRANT OPTION;\n\
         FLUSH PRIVILEGES;\n\
         CREATE USER 'root'@'%' IDENTIFIED BY 'geheim';\n\
         GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;\n\
         DROP DATABASE IF EXISTS test;\n\
         SET @@SESSION.sql_log_bin = @minisup_log;\n\
         CREATE DATABASE IF NOT EXISTS `my_shop`;\n\
         CREATE USER 'o\\'brien'@'%' IDENTIFIED BY 'a\\'b\\\\c\\\"d\\n;😀';\n\
         GRANT ALL ON `my\\_shop`.* TO 'o\\'brien'@'%';\n"
    );
    assert_eq!(value(&set_up, "option-file password="), "", "root has no password yet");
    for line in ["--protocol=socket", "--user=root", "--host=localhost", "--binary-mode"] {
        assert!(set_up.contains(&format!("argument {line}\n")), "{line} in {set_up}");
    }

    let script = stage.call(&["stdin CREATE TABLE t (a INT);"]);
    assert_eq!(stdin_of(&script), "CREATE TABLE t (a INT);\nsource more.dump\n");
    assert_eq!(value(&script, "option-file password="), "\"geheim\"");
    assert_eq!(Path::new(value(&script, "directory ")), stage.folder.join("scripts"));
    for line in ["--comments", "--commands", "--database=my_shop", "--default-character-set=utf8mb4"] {
        assert!(script.contains(&format!("argument {line}\n")), "{line} in {script}");
    }

    let last = stage.call(&["stdin ALTER USER 'root'@'%' PASSWORD EXPIRE;"]);
    assert_eq!(value(&last, "option-file password="), "\"geheim\"");

    for call in stage.calls() {
        assert!(!call.contains("environment NOTIFY_SOCKET"), "{call}");
        assert!(!call.contains("argument --password"), "{call}");
        assert!(!call.contains("environment MYSQL_ROOT_PASSWORD"), "no secret in an environment: {call}");
        assert!(call.starts_with("program mysqld") || !call.contains("environment MYSQL_HOST"), "{call}");
    }
    assert!(stage.data().join("mysql").is_dir(), "it is in its place");
    for made in ["run", "exports", "logs"] {
        assert!(stage.folder.join(made).is_dir(), "{made} is a directory that the server needs");
    }
    assert!(!Path::new(socket).exists(), "the temporary server has ended");
}

#[test]
fn rule_7_five_values_may_come_from_files() {
    let stage = Stage::new("files", "8.4.0");
    let given = [
        ("MYSQL_ROOT_PASSWORD", "ge'heim\n\n"),
        ("MYSQL_ROOT_HOST", "10.0.0.%\n"),
        ("MYSQL_DATABASE", "shop\n"),
        ("MYSQL_USER", "anna\n"),
        ("MYSQL_PASSWORD", "an\nna\n"),
    ];
    let files: Vec<(String, String)> = given
        .iter()
        .map(|(name, value)| {
            let path = stage.folder.join(name);
            fs::write(&path, value).unwrap();
            (format!("{name}_FILE"), path.to_str().unwrap().to_owned())
        })
        .collect();
    let mut variables: Vec<(&str, &str)> =
        files.iter().map(|(name, path)| (name.as_str(), path.as_str())).collect();
    variables.push(("MYSQL_INITDB_SKIP_TZINFO", "1"));
    let output = stage.start(&variables, &[]);
    assert!(output.status.success(), "{}", said(&output));
    let set_up = stdin_of(&stage.call(&["stdin ALTER USER 'root'@'localhost' IDENTIFIED BY 'ge\\'heim';"]));
    for line in [
        "CREATE USER 'root'@'10.0.0.%' IDENTIFIED BY 'ge\\'heim';",
        "CREATE DATABASE IF NOT EXISTS `shop`;",
        "CREATE USER 'anna'@'%' IDENTIFIED BY 'an\\nna';",
        "GRANT ALL ON `shop`.* TO 'anna'@'%';",
    ] {
        assert!(set_up.lines().any(|found| found == line), "{line} is not in:\n{set_up}");
    }
    for (name, path) in &files {
        let plain = name.trim_end_matches("_FILE");
        let both = [(plain, "x"), (name.as_str(), path.as_str())];
        let expected = format!("both {plain} and {name} are set (but are exclusive)");
        assert!(errors(&both).contains(&expected), "{:?}", errors(&both));
    }
}

#[test]
fn rule_10_the_client_of_mysql_5_7_gets_no_option_that_it_does_not_know() {
    let stage = Stage::new("old", "5.7.44");
    stage.script("1.sql", "SELECT 1;\n");
    let output = stage.start(&[("MYSQL_ALLOW_EMPTY_PASSWORD", "1"), ("MYSQL_INITDB_SKIP_TZINFO", "1")], &[]);
    assert!(output.status.success(), "{}", said(&output));
    let script = stage.call(&["stdin SELECT 1;", "argument --comments"]);
    assert!(!script.contains("--commands") && !script.contains("--database="), "{script}");
    let calls = stage.calls();
    assert!(
        !calls.iter().any(|call| call.contains("argument --database=mysql")),
        "time zones were not wanted"
    );
    stage.call(&["stdin CREATE USER 'root'@'%' IDENTIFIED BY '';"]);
}

#[test]
fn rule_11_root_from_localhost_only_is_what_expires_then() {
    let stage = Stage::new("localhost", "8.4.0");
    let variables = [
        ("MYSQL_ROOT_PASSWORD", "geheim"),
        ("MYSQL_ROOT_HOST", "localhost"),
        ("MYSQL_ONETIME_PASSWORD", "1"),
        ("MYSQL_INITDB_SKIP_TZINFO", "1"),
    ];
    let output = stage.start(&variables, &[]);
    assert!(output.status.success(), "{}", said(&output));
    stage.call(&["stdin ALTER USER 'root'@'localhost' PASSWORD EXPIRE;"]);
    assert!(!stage.calls().iter().any(|call| call.contains("CREATE USER")), "no root from elsewhere");
}

#[test]
fn rule_12_a_random_password_is_said_once_and_used() {
    let stage = Stage::new("random", "8.4.0");
    stage.script("1.sql", "SELECT 1 FROM t;\n");
    let output = stage.start(&[("MYSQL_RANDOM_ROOT_PASSWORD", "1"), ("MYSQL_INITDB_SKIP_TZINFO", "1")], &[]);
    assert!(output.status.success(), "{}", said(&output));
    let text = said(&output);
    let lines: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once("GENERATED ROOT PASSWORD: "))
        .map(|(_, p)| p)
        .collect();
    assert_eq!(lines.len(), 1, "{text}");
    assert_eq!(lines[0].len(), 32);
    stage.call(&[&format!("stdin ALTER USER 'root'@'localhost' IDENTIFIED BY '{}';", lines[0])]);
    let script = stage.call(&["stdin SELECT 1 FROM t;"]);
    assert_eq!(value(&script, "option-file password="), format!("\"{}\"", lines[0]));
}

#[test]
fn rule_8_a_configuration_that_the_server_refuses_touches_nothing() {
    let stage = Stage::new("rules", "8.4.0");
    let output = stage.start(&[], &[]);
    assert_eq!(output.status.code(), Some(78), "{}", said(&output));
    assert!(said(&output).contains("database is uninitialized and password option is not specified"));
    let output = stage.start(&[ROOT], &["--max-conections=5"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let text = said(&output);
    assert!(text.contains("mysqld --max-conections=5 --verbose --help) failed: exit code 7"), "{text}");
    assert!(text.contains("unknown variable 'max-conections=5'"), "{text}");
    assert!(!stage.data().exists());
    assert!(!stage.calls().iter().any(|call| call.contains("--initialize-insecure")));
}

#[test]
fn rule_13_a_script_that_fails_is_named_with_its_line_and_the_final_place_stays_empty() {
    let stage = Stage::new("fails", "8.4.0");
    stage.script("1.sql", "SELECT 1;\nSELECT 2;\nSYNTAXERROR here;\n");
    let output = stage.start(&[ROOT, ("MYSQL_INITDB_SKIP_TZINFO", "1")], &[]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("script 1 of 1 failed: ") && text.contains("1.sql, line 3"), "{text}");
    assert!(text.contains("SYNTAXERROR here"), "{text}");
    assert!(!stage.data().join("mysql").exists());
}

#[test]
fn rule_14_a_second_start_changes_nothing_needs_no_variable_and_says_what_has_no_effect() {
    let stage = Stage::new("second", "8.4.0");
    stage.script("1.sql", "SELECT 1;\n");
    let skip = ("MYSQL_INITDB_SKIP_TZINFO", "1");
    let output = stage.start(&[ROOT, skip, ("MYSQL_DATABASE", "shop")], &[]);
    assert!(output.status.success(), "{}", said(&output));
    stage.script("2.sql", "SELECT 2;\n");
    let before = stage.calls().len();
    let output = stage.start(&[skip, ("MYSQL_DATABASE", "other")], &[]);
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("data of mysql (8.4.0), initialised ") && text.contains("1 script: nothing to be done"),
        "{text}"
    );
    assert!(
        text.contains("MYSQL_ROOT_PASSWORD, MYSQL_DATABASE differ from the first start and have no effect"),
        "{text}"
    );
    assert!(text.contains("new since the first start, and not run: 2.sql"), "{text}");
    let more = &stage.calls()[before..];
    assert!(
        more.iter().all(|call| call.contains("argument --help")),
        "only its configuration is asked for: {more:#?}"
    );
}
