//! The rules of MongoDB's image, one by one (docs/first-start.md, 1.4).
//!
//! There is no MongoDB here. mongod and mongosh are the stand-in of mongodb_stand_in.py, which says about itself
//! what it is: it writes down how it was called and behaves as they do where a first start rests on it.

use crate::first::{First, text};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A first start with the stand-in on PATH, and its data in the test's folder.
fn first() -> First {
    let first = First::of("mongodb");
    let programs = first.folder.join("bin");
    fs::create_dir(&programs).unwrap();
    fs::set_permissions(&programs, Permissions::from_mode(0o777)).unwrap();
    for name in ["mongod", "mongosh"] {
        fs::write(programs.join(name), include_str!("mongodb_stand_in.py")).unwrap();
        fs::set_permissions(programs.join(name), Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(programs.join("calls"), "").unwrap();
    fs::set_permissions(programs.join("calls"), Permissions::from_mode(0o666)).unwrap();
    // Debian's own: a version manager's python would start for half a second.
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let data = first.data();
    first.with("PATH", path).server(&["mongod", "--dbpath", data.to_str().unwrap()])
}

fn with_user(first: First) -> First {
    first.with("MONGO_INITDB_ROOT_USERNAME", "root").with("MONGO_INITDB_ROOT_PASSWORD", "secret")
}

/// What the stand-in has written down.
fn calls(first: &First) -> Vec<Value> {
    text(first.folder.join("bin/calls")).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How the temporary server was called.
fn server(first: &First) -> Value {
    let mut calls = calls(first).into_iter().filter(|call| call["server"] == true);
    let call = calls.next().expect("a server was called");
    assert!(calls.next().is_none(), "one server only");
    call
}

fn words(call: &Value) -> Vec<String> {
    call["argv"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// What is in the database that was made.
fn database(first: &First) -> Value {
    serde_json::from_str(&text(first.data().join("standin.json"))).unwrap()
}

/// Whether mongod's clean end was written down.
fn has_stopped(first: &First) -> bool {
    calls(first).iter().any(|call| call["stopped"] == true)
}

#[test]
fn rule_1_4_1_half_of_user_and_password_is_refused() {
    let pair = "missing 'MONGO_INITDB_ROOT_USERNAME' or 'MONGO_INITDB_ROOT_PASSWORD': \
                both must be specified for a user to be created";
    let scripted = || first().script("1.js", "print(\"x\")\n");
    scripted().with("MONGO_INITDB_ROOT_USERNAME", "root").refused_with(pair);
    scripted().with("MONGO_INITDB_ROOT_PASSWORD", "secret").refused_with(pair);
    let half = first().with("MONGO_INITDB_ROOT_USERNAME", "root");
    half.refused_with(pair);
}

#[test]
fn rule_1_4_2_both_can_come_from_files_and_exclude_them() {
    let first = first();
    for (name, value) in
        [("MONGO_INITDB_ROOT_USERNAME", "filer\n"), ("MONGO_INITDB_ROOT_PASSWORD", "from a file\n\n")]
    {
        fs::write(first.folder.join(name), value).unwrap();
    }
    let path = |name: &str| first.folder.join(name).to_str().unwrap().to_owned();
    let (user, password) = (path("MONGO_INITDB_ROOT_USERNAME"), path("MONGO_INITDB_ROOT_PASSWORD"));
    let first =
        first.with("MONGO_INITDB_ROOT_USERNAME_FILE", user).with("MONGO_INITDB_ROOT_PASSWORD_FILE", password);
    first.succeed();
    assert_eq!(database(&first)["users"][0]["user"], "filer");
    assert_eq!(database(&first)["users"][0]["password"], "from a file");
    with_user(self::first()).with("MONGO_INITDB_ROOT_PASSWORD_FILE", "/dev/null").refused_with(
        "both MONGO_INITDB_ROOT_PASSWORD and MONGO_INITDB_ROOT_PASSWORD_FILE are set (but are exclusive)",
    );
}

#[test]
fn rule_1_4_3_without_user_and_scripts_there_is_nothing_to_be_done() {
    let first = first();
    let said = first.succeed();
    assert!(said.contains("mongodb needs no first start"), "{said}");
    assert!(calls(&first).is_empty() && !first.data().exists());
}

#[test]
fn rule_1_4_4_with_scripts_alone_they_run_in_test_and_nobody_is_made() {
    let first = first().script("1.js", "print(db)\ndb.things.insertOne({a: 1})\n");
    let said = first.succeed();
    assert!(said.contains("test"), "{said}");
    let made = database(&first);
    assert_eq!(made["users"].as_array().unwrap().len(), 0);
    assert_eq!(made["documents"][0], serde_json::json!(["test", "things", "{a: 1}"]));
    assert!(has_stopped(&first));
}

#[test]
fn rule_1_4_5_the_database_says_only_where_scripts_run() {
    let first =
        with_user(first()).with("MONGO_INITDB_DATABASE", "shop").script("1.js", "db.items.insertOne({})\n");
    first.succeed();
    let made = database(&first);
    assert_eq!(made["documents"][0][0], "shop");
    assert_eq!(made["users"][0]["db"], "admin");
    let said = with_user(self::first()).with("MONGO_INITDB_DATABASE_FILE", "/dev/null").succeed();
    assert!(said.contains("MONGO_INITDB_DATABASE_FILE has no effect"), "{said}");
    with_user(self::first())
        .with("MONGO_INITDB_DATABASE", "a/b")
        .refused_with("MONGO_INITDB_DATABASE contains '/'");
}

#[test]
fn rule_1_4_6_the_temporary_server_has_the_real_one_s_arguments_but_for_what_is_its_own() {
    let first = with_user(first());
    let data = first.data();
    let arguments = [
        "mongod",
        "--dbpath",
        data.to_str().unwrap(),
        "--auth",
        "--bind_ip_all",
        "--port=27018",
        "--replSet",
        "rs0",
        "--keyFile",
        "/k",
        "--tlsMode",
        "requireTLS",
        "--tlsCertificateKeyFile=/p",
        "--logpath",
        "/nowhere/log",
        "--wiredTigerCacheSizeGB",
        "1",
    ];
    let first = first.with("NOTIFY_SOCKET", "/nowhere").server(&arguments);
    first.succeed();
    let call = server(&first);
    let words = words(&call);
    assert_eq!(words[1..3], ["--wiredTigerCacheSizeGB", "1"]);
    let value = |name: &str| words[words.iter().position(|word| word == name).unwrap() + 1].clone();
    let private = value("--unixSocketPrefix");
    assert_eq!(value("--bind_ip"), format!("{private}/mongod.sock"), "no network");
    assert_ne!(value("--dbpath"), data.to_str().unwrap(), "not in its place yet");
    for gone in ["--auth", "--bind_ip_all", "--replSet", "--keyFile", "--tlsMode", "--logpath", "--fork"] {
        assert!(!words.iter().any(|word| word == gone), "{gone}");
    }
    assert!(call["environment"].get("NOTIFY_SOCKET").is_none());
    assert!(!Path::new(&private).exists(), "its directory has gone with it");
}

const CONFIGURATION: &str = "\
storage:
  dbPath: DATA
  directoryPerDB: true
systemLog:
  destination: file
  path: /nowhere/mongod.log
net:
  bindIp: 0.0.0.0
security:
  authorization: enabled
replication:
  replSetName: rs0
";

#[test]
fn rule_1_4_7_the_data_directory_comes_from_argument_file_or_role() {
    let first = with_user(first());
    let file = first.folder.join("mongod.conf");
    fs::write(&file, CONFIGURATION.replace("DATA", first.data().to_str().unwrap())).unwrap();
    let file = file.to_str().unwrap().to_owned();
    let first = first.server(&["mongod", "--config", &file]);
    first.succeed();
    let told = server(&first)["file"].as_str().unwrap().to_owned();
    assert!(told.contains("directoryPerDB: true"), "{told}");
    for gone in ["systemLog", "bindIp", "authorization", "replSetName"] {
        assert!(!told.contains(gone), "{gone} is in:\n{told}");
    }
    let planned = |first: First, words: &[&str]| first.server(words).option(&["--dry-run"]).make().said;
    assert!(planned(with_user(self::first()), &["mongod", "--configsvr"]).contains("/data/configdb"));
    assert!(planned(with_user(self::first()), &["--quiet"]).contains("/data/db"));
    let said =
        planned(with_user(self::first()), &["mongod", "-f", "/nowhere.conf", "--dbpath", "/nowhere/x"]);
    assert!(said.contains("cannot read /nowhere.conf, named by --config"), "{said}");
}

#[test]
fn rule_1_4_7_a_configuration_of_the_older_form_is_warned_of() {
    let first = with_user(first());
    let file = first.folder.join("mongod.conf");
    fs::write(&file, format!("dbpath = {}\n", first.data().display())).unwrap();
    let first = first.server(&["mongod", "--config", file.to_str().unwrap()]);
    let said = first.succeed();
    assert!(said.contains("has the form of MongoDB 2.4"), "{said}");
    assert_eq!(server(&first)["file"], Value::Null);
}

#[test]
fn rule_1_4_8_a_server_that_ends_is_noticed_at_once_with_its_last_words() {
    let first = with_user(first());
    fs::write(first.folder.join("bin/dies"), "Failed to unlink socket file: Operation not permitted")
        .unwrap();
    let begun = std::time::Instant::now();
    let made = first.make();
    assert_eq!(made.code, 1);
    assert!(made.said.contains("Failed to unlink socket file: Operation not permitted"), "{}", made.said);
    assert!(begun.elapsed().as_secs() < 20, "not after 30 polls");
    assert!(!first.data().exists());
}

#[test]
fn rule_1_4_9_any_name_and_password_reaches_the_server_as_it_is_and_nobody_else() {
    let kilobyte = "päss wörd ".repeat(100);
    for (user, password) in [
        ("o'hara", "it's"),
        ("dou\"ble", "\"});db.dropDatabase();({\""),
        ("back\\slash", "\\"),
        (" spaces ", " %s ${HOME} $(id) `id` "),
        ("emoji 😀", "new\nline\u{2028}"),
        ("plain", kilobyte.as_str()),
    ] {
        let first =
            first().with("MONGO_INITDB_ROOT_USERNAME", user).with("MONGO_INITDB_ROOT_PASSWORD", password);
        let said = first.succeed();
        let expected = serde_json::json!([{"db": "admin", "user": user, "password": password}]);
        assert_eq!(database(&first)["users"], expected);
        assert!(!said.contains(password), "{said}");
        for call in calls(&first) {
            assert!(
                !words(&call).iter().any(|word| word.contains(password)),
                "the password is in a process list"
            );
        }
    }
}

#[test]
fn rule_1_4_10_every_sh_is_sourced_and_finds_the_server() {
    let first = with_user(first())
        .script("1.run.sh", "#!/bin/sh\necho \"sourced: $(type mongosh | head -1)\"\nmongosh --quiet --host 127.0.0.1 --port 27017 shop --eval 'db.a.insertOne({})'\nexit 0\n")
        .script("2.sh", "mongosh <<'EOJS'\ndb.b.insertOne({})\nEOJS\necho \"$MONGO_INITDB_ROOT_USERNAME in $MONGO_INITDB_DATABASE\"\n")
        .script("3.sh", "if [ -n \"${BASH_VERSION:-}\" ]; then \"${mongo[@]}\" \"$MONGO_INITDB_DATABASE\" --eval 'db.c.insertOne({})'; fi\n");
    let said = first.succeed();
    assert!(said.contains("sourced: mongosh is a"), "{said}");
    assert!(said.contains("root in test"), "{said}");
    let made = database(&first);
    let names: Vec<String> = made["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{}.{}", one[0], one[1]).replace('"', ""))
        .collect();
    assert_eq!(names[..2], ["shop.a", "test.b"]);
    assert_eq!(names.get(2).map(String::as_str), Path::new("/bin/bash").exists().then_some("test.c"));
}

#[test]
fn rule_1_4_11_a_script_that_throws_stops_all_and_leaves_no_server() {
    let first = with_user(first())
        .script("1.js", "print(\"one\")\n\nthrow new Error(\"broken here\")\n")
        .script("2.js", "print(\"never\")\n");
    let made = first.make();
    assert_eq!(made.code, 1);
    for words in ["1.js", "broken here", "3"] {
        assert!(made.said.contains(words), "{words:?} is not in:\n{}", made.said);
    }
    assert!(!made.said.contains("never"));
    assert!(has_stopped(&first), "the server was stopped cleanly");
    assert!(!first.data().exists());
    let first = first.script("1.js", "print(\"one\")\n");
    assert!(first.succeed().contains("never"));
}

#[test]
fn whatever_the_umask_is_the_server_reads_what_it_is_given() {
    let first = with_user(first());
    let file = first.folder.join("mongod.conf");
    fs::write(&file, format!("storage:\n  dbPath: {}\n", first.data().display())).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let mut first = first.server(&["mongod", "--config", file.to_str().unwrap()]);
    if nix::unistd::geteuid().is_root() {
        first = first.option(&["--user", "nobody"]);
    }
    let command = first.command();
    let mut masked = std::process::Command::new("sh");
    masked.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
    masked.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = masked.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn rule_1_4_12_data_that_is_there_is_used_as_it_is() {
    for mark in ["WiredTiger", "journal", "local.0", "storage.bson"] {
        let first = with_user(first());
        fs::create_dir(first.data()).unwrap();
        fs::write(first.data().join(mark), "").unwrap();
        first.succeed();
        assert!(!calls(&first).iter().any(|call| call["server"] == true), "{mark}");
    }
}

#[test]
fn rule_1_4_13_the_shell_writes_nothing_into_the_data() {
    let first = with_user(first());
    let data = first.data();
    let first = first.with("HOME", data.to_str().unwrap());
    first.succeed();
    for call in calls(&first).iter().filter(|call| call["shell"] == true) {
        assert_ne!(call["environment"]["HOME"], data.to_str().unwrap());
    }
}
