//! The rules of PostgreSQL's image, one by one (docs/first-start.md, 1.3), with the real PostgreSQL.

use crate::first::{First, text};
use crate::postgres::{Server, account, first, programs};
use crate::support::container::{container, namespaces};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

/// Skips the test where there is no PostgreSQL.
macro_rules! needs_postgres {
    () => {
        match programs() {
            Some(programs) => programs,
            None => return,
        }
    };
}

const NO_PASSWORD: &str = "database is uninitialized and superuser password is not specified";

#[test]
fn rule_1_3_1_without_a_password_nothing_is_touched() {
    needs_postgres!();
    first().with("POSTGRES_PASSWORD", "").refused_with(NO_PASSWORD);
    first().with("POSTGRES_PASSWORD", "").with("POSTGRES_HOST_AUTH_METHOD", "md5").refused_with(NO_PASSWORD);
}

#[test]
fn rule_1_3_2_trust_needs_no_password_and_is_warned_of() {
    needs_postgres!();
    let first = first().with("POSTGRES_PASSWORD", "").with("POSTGRES_HOST_AUTH_METHOD", "trust");
    let said = first.succeed();
    assert!(said.contains("POSTGRES_HOST_AUTH_METHOD has been set to \"trust\". This will allow"), "{said}");
    let rules = text(first.data().join("pg_hba.conf"));
    assert!(rules.contains("# warning trust is enabled for all connections"), "{rules}");
    assert!(rules.trim_end().ends_with("\nhost all all all trust"), "{rules}");
    let server = Server::on(&first.data());
    assert_eq!(
        server
            .ask("postgres", "", "postgres", "SELECT rolpassword IS NULL FROM pg_authid WHERE oid = 10")
            .unwrap(),
        "t"
    );
}

#[test]
fn rule_1_3_3_four_variables_can_come_from_files() {
    needs_postgres!();
    let mut first = first().with("POSTGRES_PASSWORD", "");
    for (name, value) in [
        ("POSTGRES_PASSWORD", "from a file\n\n"),
        ("POSTGRES_USER", "filer\n"),
        ("POSTGRES_DB", "filed\n"),
        ("POSTGRES_INITDB_ARGS", "--auth-host=scram-sha-256 --data-checksums\n"),
    ] {
        let path = first.folder.join(name);
        fs::write(&path, value).unwrap();
        // As a secret is that only root may read.
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let path = path.to_str().unwrap().to_owned();
        first = first.with(&format!("{name}_FILE"), path);
    }
    let first =
        first.script("1.sh", "echo \"file: ${POSTGRES_PASSWORD_FILE-none}, value: $POSTGRES_USER\"\n");
    let said = first.succeed();
    assert!(said.contains("file: none, value: filer"), "{said}");
    let server = Server::on(&first.data());
    assert_eq!(server.ask("filer", "from a file", "filed", "SHOW data_checksums").unwrap(), "on");
    assert!(
        server
            .ask("filer", "wrong", "filed", "SELECT 1")
            .unwrap_err()
            .contains("password authentication failed")
    );
}

#[test]
fn rule_1_3_3_a_variable_and_its_file_exclude_each_other() {
    needs_postgres!();
    for name in ["POSTGRES_PASSWORD", "POSTGRES_USER", "POSTGRES_DB", "POSTGRES_INITDB_ARGS"] {
        let both = format!("both {name} and {name}_FILE are set (but are exclusive)");
        first().with(name, "x").with(&format!("{name}_FILE"), "/dev/null").refused_with(&both);
    }
}

#[test]
fn rule_1_3_4_the_user_is_postgres_and_the_database_has_his_name() {
    needs_postgres!();
    let plain = first();
    plain.succeed();
    let databases = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database";
    let user = "SELECT rolname FROM pg_authid WHERE oid = 10";
    let server = Server::on(&plain.data());
    assert_eq!(server.trusted("postgres", "postgres", databases), "postgres template0 template1");
    assert_eq!(server.trusted("postgres", "postgres", user), "postgres");
    drop(server);

    let named = first().with("POSTGRES_USER", "app");
    named.succeed();
    let server = Server::on(&named.data());
    assert_eq!(server.trusted("app", "app", databases), "app postgres template0 template1");
    assert_eq!(server.trusted("app", "app", user), "app");
    assert_eq!(server.trusted("app", "app", "SELECT count(*) FROM pg_roles WHERE rolname !~ '^pg_'"), "1");
}

#[test]
fn rule_1_3_4_names_that_postgresql_would_cut_are_refused() {
    needs_postgres!();
    let long = "x".repeat(1024);
    first()
        .with("POSTGRES_DB", &long)
        .refused_with("POSTGRES_DB is 1024 bytes long, and PostgreSQL cuts names at 63 bytes");
    first().with("POSTGRES_USER", "😀".repeat(16)).refused_with("POSTGRES_USER is 64 bytes long");
    first().with("POSTGRES_USER", "pg_me").refused_with("POSTGRES_USER cannot begin with \"pg_\"");
    first().with("POSTGRES_USER", "public").refused_with("POSTGRES_USER cannot be \"public\"");
    first().with("POSTGRES_DB", b"\xff").refused_with("POSTGRES_DB is not UTF-8");
}

#[test]
fn rule_1_3_5_pgdata_says_where_and_is_the_server_s_alone() {
    needs_postgres!();
    let first = first();
    first.succeed();
    let found = fs::metadata(first.data()).unwrap();
    assert_eq!(found.mode() & 0o7777, 0o700);
    assert_eq!((found.uid(), found.gid()), account());
    assert!(!text(first.data().join("PG_VERSION")).is_empty());
}

#[test]
fn rule_1_3_5_the_directory_of_its_sockets_is_made_for_all_of_its_group() {
    needs_postgres!();
    let first = first();
    let made = first.folder.join("mode");
    let words: Vec<String> =
        first.command().get_args().map(|word| word.to_str().unwrap().to_owned()).collect();
    let script = format!(
        "mount -t tmpfs none /run && {} {} && stat -L -c '%a %U' /var/run/postgresql >{}",
        crate::support::MINISUP,
        words.join(" "),
        made.display()
    );
    if !namespaces() {
        return;
    }
    let child = container(&["/bin/sh", "-c", &script])
        .env("PGDATA", first.data().to_str().unwrap())
        .env("POSTGRES_PASSWORD", "secret");
    let (code, out, err) = child.run();
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(text(made), "3775 postgres\n");
}

/// The real server, which says that it is of version 18.
const EIGHTEEN: &str =
    "#!/bin/sh\n[ \"$1\" = --version ] && echo 'postgres (PostgreSQL) 18.0' && exit\nexec PROGRAM \"$@\"\n";

#[test]
fn rule_1_3_5_from_18_on_old_data_is_not_hidden_by_a_new_database() {
    let programs = needs_postgres!();
    let first = First::of("postgres").with("POSTGRES_PASSWORD", "secret");
    let home = first.folder.join("home");
    fs::create_dir_all(home.join("data")).unwrap();
    let fake = first.folder.join("bin");
    fs::create_dir(&fake).unwrap();
    for entry in fs::read_dir(&programs).unwrap().flatten() {
        std::os::unix::fs::symlink(entry.path(), fake.join(entry.file_name())).unwrap();
    }
    fs::remove_file(fake.join("postgres")).unwrap();
    let program = programs.join("postgres");
    fs::write(fake.join("postgres"), EIGHTEEN.replace("PROGRAM", program.to_str().unwrap())).unwrap();
    fs::set_permissions(fake.join("postgres"), Permissions::from_mode(0o755)).unwrap();
    let init = first.command();
    let words: Vec<&str> = init.get_args().map(|word| word.to_str().unwrap()).collect();
    let words = words.join(" ");
    let path = format!("{}:{}", fake.display(), std::env::var("PATH").unwrap());
    let run = |before: &str| {
        let script = format!(
            "mkdir -p /var/lib/postgresql && mount --bind {home} /var/lib/postgresql && {before} && exec {minisup} {words}",
            home = home.display(),
            minisup = crate::support::MINISUP,
        );
        let child =
            container(&["/bin/sh", "-c", &script]).env("PATH", &path).env("POSTGRES_PASSWORD", "secret");
        namespaces().then(|| child.run())
    };
    fs::write(home.join("data/PG_VERSION"), "17\n").unwrap();
    let Some((code, out, err)) = run("true") else { return };
    let said = out + &err;
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("in 18+, these images keep database data in a directory of its own"), "{said}");
    assert!(said.contains("  /var/lib/postgresql/data\n"), "{said}");

    fs::remove_file(home.join("data/PG_VERSION")).unwrap();
    let (code, out, err) = run("mount -t tmpfs none /var/lib/postgresql/data").unwrap();
    let said = out + &err;
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("/var/lib/postgresql/data (unused mount/volume)"), "{said}");
    assert!(!home.join("18").exists());

    let (code, out, err) = run("true").unwrap();
    assert_eq!(code, 0, "{out}{err}");
    assert!(home.join("18/docker/PG_VERSION").exists());
}

#[test]
fn rule_1_3_6_the_write_ahead_log_can_lie_elsewhere() {
    needs_postgres!();
    let first = first();
    let wal = first.folder.join("wal");
    let first = first.with("POSTGRES_INITDB_WALDIR", wal.to_str().unwrap());
    first.succeed();
    assert_eq!(fs::read_link(first.data().join("pg_wal")).unwrap(), wal);
    let found = fs::metadata(&wal).unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid()), (0o700, account().0));
    let server = Server::on(&first.data());
    assert_eq!(server.trusted("postgres", "postgres", "SELECT 1"), "1");
}

#[test]
fn rule_1_3_6_a_foreign_write_ahead_log_is_not_touched() {
    needs_postgres!();
    let first = first();
    let wal = first.folder.join("wal");
    fs::create_dir(&wal).unwrap();
    fs::write(wal.join("000000010000000000000001"), "somebody's").unwrap();
    let first = first.with("POSTGRES_INITDB_WALDIR", wal.to_str().unwrap());
    let made = first.make();
    assert_eq!(made.code, 78);
    assert!(made.said.contains("it may be another database's write-ahead log"), "{}", made.said);
    assert_eq!(text(wal.join("000000010000000000000001")), "somebody's");
    self::first()
        .with("POSTGRES_INITDB_WALDIR", "wal")
        .refused_with("POSTGRES_INITDB_WALDIR must be an absolute path");
}

#[test]
fn rule_1_3_6_what_an_attempt_left_of_the_write_ahead_log_is_moved_aside_with_it() {
    needs_postgres!();
    let first = first().script("1.sql", "SELECT nonsense;\n");
    let wal = first.folder.join("wal");
    let first = first.with("POSTGRES_INITDB_WALDIR", wal.to_str().unwrap());
    assert_ne!(first.make().code, 0);
    let first = first.script("1.sql", "SELECT 'sense';\n");
    first.succeed();
    let names =
        fs::read_dir(&first.folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut aside: Vec<String> = names.filter(|name| name.contains(".failed-")).collect();
    aside.sort();
    assert_eq!(aside.len(), 2, "{aside:?}");
    assert!(aside[0].starts_with(".data.failed-") && aside[1].starts_with(".wal.failed-"), "{aside:?}");
    assert_eq!(fs::read_link(first.data().join("pg_wal")).unwrap(), wal);
}

#[test]
fn rule_1_3_7_initdb_s_arguments_are_words_and_no_shell_s_program() {
    needs_postgres!();
    let first = first();
    let trap = first.folder.join("trap");
    let arguments = format!(
        "--auth-host='scram-sha-256' --encoding=\"UTF8\" --set 'cluster_name=$(touch {})'",
        trap.display()
    );
    // initdb knows --set from 16 on.
    let arguments = arguments.split(" --set").next().unwrap().to_owned();
    let first =
        first.with("POSTGRES_INITDB_ARGS", format!("{arguments} --locale='$(touch {})'", trap.display()));
    let made = first.make();
    assert_ne!(made.code, 0);
    assert!(made.said.contains("commands in it stay text"), "{}", made.said);
    assert!(made.said.contains("invalid locale name \"$(touch"), "{}", made.said);
    assert!(!trap.exists());

    let first = first.with("POSTGRES_INITDB_ARGS", arguments);
    first.succeed();
    assert!(text(first.data().join("pg_hba.conf")).contains("127.0.0.1/32            scram-sha-256"));
    for (arguments, words) in [
        ("--locale='C", "has a quote that is never closed"),
        ("--username=me", "cannot have --username: set POSTGRES_USER instead"),
        ("-D /x", "cannot have --pgdata: set PGDATA instead"),
        ("--pwprompt", "cannot have --pwprompt"),
    ] {
        self::first().with("POSTGRES_INITDB_ARGS", arguments).refused_with(words);
    }
}

#[test]
fn rule_1_3_7_without_a_locale_the_database_is_utf_8_all_the_same() {
    needs_postgres!();
    let first = first().with("LANG", "");
    first.succeed();
    assert_eq!(Server::on(&first.data()).trusted("postgres", "postgres", "SHOW server_encoding"), "UTF8");
}

#[test]
fn rule_1_3_8_the_method_for_hosts_is_that_of_the_passwords() {
    needs_postgres!();
    let last_rule = |first: &First| text(first.data().join("pg_hba.conf")).lines().last().unwrap().to_owned();
    let plain = first();
    plain.succeed();
    assert_eq!(last_rule(&plain), "host all all all scram-sha-256");
    let older = first().server(&["postgres", "-c", "password_encryption=md5"]);
    older.succeed();
    assert_eq!(last_rule(&older), "host all all all md5");
    first()
        .with("POSTGRES_HOST_AUTH_METHOD", "peer")
        .refused_with("POSTGRES_HOST_AUTH_METHOD cannot be \"peer\"");
    let odd = first().with("POSTGRES_HOST_AUTH_METHOD", "scarm-sha-256").option(&["--dry-run"]).make();
    assert!(odd.said.contains("\"scarm-sha-256\", which is no method that we know"), "{}", odd.said);
}

/// A script that says it is there and goes on when the test has looked around.
const WAITS: &str = "echo looking; read -r line < GATE; echo went on\n";

#[test]
fn rule_1_3_9_while_it_is_made_nobody_outside_takes_it_for_ready() {
    let programs = needs_postgres!();
    let first = first();
    let gate = first.folder.join("gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    fs::set_permissions(&gate, Permissions::from_mode(0o666)).unwrap();
    let script = WAITS.replace("GATE", gate.to_str().unwrap());
    let script = format!("echo \"notify: ${{NOTIFY_SOCKET-none}}\"\npg_isready && {script}");
    let first = first.with("NOTIFY_SOCKET", "/nowhere").script("1.run.sh", format!("#!/bin/sh\n{script}"));
    let mut command = first.command();
    let mut child = command.stderr(Stdio::inherit()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    while !said.contains("looking") {
        assert_ne!(out.read_line(&mut said).unwrap(), 0, "{said}");
    }
    // The script finds the server by plain pg_isready, and outside nobody does.
    assert!(said.contains("accepting connections"), "{said}");
    let ask = |words: &[&str]| {
        let mut asked = Command::new(programs.join("pg_isready"));
        asked.args(words).env_clear().stdout(Stdio::null());
        asked.status().unwrap().code().unwrap()
    };
    for words in [&[][..], &["-h", "127.0.0.1"], &["-h", "/tmp"], &["-h", "/var/run/postgresql"]] {
        assert_eq!(ask(words), 2, "pg_isready {words:?} must get no answer");
    }
    assert!(!first.data().join("PG_VERSION").exists(), "and its place is empty");
    fs::OpenOptions::new().write(true).open(&gate).unwrap().write_all(b"go\n").unwrap();
    out.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    assert!(said.contains("notify: none") && said.contains("went on"), "{said}");
    assert!(first.data().join("PG_VERSION").exists());
}

#[test]
fn rule_1_3_10_scripts_find_the_server_and_the_official_names() {
    needs_postgres!();
    let first = first().with("POSTGRES_USER", "owner").with("POSTGRES_DB", "shop");
    let first = first
        .script("1.run.sh", "#!/bin/sh\nset -e\npsql -Atc 'SELECT current_user, current_database()'\npsql -U \"$POSTGRES_USER\" -d postgres -Atc 'SELECT current_database()'\n")
        .script("2.sh", "docker_process_sql -At <<EOSQL\nSELECT 'sourced in ' || current_database();\nEOSQL\ndocker_process_sql --dbname postgres -Atc \"SELECT 'asked for ' || current_database()\"\nexit 0\n")
        .script("3.sql", "CREATE TABLE items AS SELECT current_user AS who;\n")
        .script("4.sh", "echo \"password $POSTGRES_PASSWORD $PGPASSWORD, data ${PGDATA:+there}\"\necho \"shared_buffers = 32MB\" >> \"$PGDATA/postgresql.conf\"\necho \"ssl_cert_file = '$PGDATA/own.crt'\" >> \"$PGDATA/postgresql.conf\"\n");
    let said = first.succeed();
    for words in [
        "owner|shop",
        ": postgres\n",
        "sourced in shop",
        "asked for postgres",
        "password secret secret, data there",
    ] {
        assert!(said.contains(words), "{words:?} is not in:\n{said}");
    }
    let settings = text(first.data().join("postgresql.conf"));
    assert!(settings.contains("shared_buffers = 32MB"));
    // What was written of the place where it was made is true of the place where it lies.
    assert!(
        settings.contains(&format!("ssl_cert_file = '{}/own.crt'", first.data().display())),
        "{settings}"
    );
    let server = Server::on(&first.data());
    assert_eq!(server.trusted("owner", "shop", "SELECT who FROM items"), "owner");
}

#[test]
fn rule_1_3_10_a_local_method_without_passwords_does_not_lock_us_out() {
    needs_postgres!();
    let first = first()
        .with("POSTGRES_USER", "app")
        .with("POSTGRES_INITDB_ARGS", "--auth-local=peer --auth-host=scram-sha-256");
    let first = first.script("1.sql", "CREATE TABLE t (a int);\n");
    first.succeed();
    let server = Server::on(&first.data());
    assert_eq!(server.ask("app", "secret", "app", "SELECT count(*) FROM t").unwrap(), "0");
    assert!(
        text(first.data().join("pg_hba.conf"))
            .contains("local   all             all                                     peer")
    );
}

#[test]
fn rule_1_3_11_sql_is_included_from_its_own_directory_and_stops_at_the_first_error() {
    needs_postgres!();
    let first = first()
        .script("1.sql", "\\i more.dump\n\\ir more.dump\nSELECT count(*) AS twice FROM t;\n")
        .script(
            "more.dump",
            "CREATE TABLE IF NOT EXISTS t (a int, b text);\nCOPY t FROM stdin;\n1\tone\n2\ttw'o\\\\\n\\.\n",
        )
        .script("2.sql", "SELECT 1;\n\nSELECT nonsense\n  FROM t;\nSELECT 'never';\n")
        .script("3.sql", "SELECT 'nor this';\n");
    let made = first.make();
    assert_eq!(made.code, 3, "psql's own code");
    assert!(made.said.contains("column \"nonsense\" does not exist"), "{}", made.said);
    assert!(made.said.contains("2.sql"), "{}", made.said);
    assert!(!made.said.contains("never") && !made.said.contains("nor this"), "{}", made.said);
    assert!(!first.data().join("PG_VERSION").exists());
}

#[test]
fn rule_1_3_11_a_bad_statement_in_line_12345_of_a_packed_script_is_named() {
    needs_postgres!();
    let mut sql = String::from("BEGIN; CREATE TABLE t (a int);\n");
    for line in 2..12_345 {
        sql.push_str(&format!("INSERT INTO t VALUES ({line});\n"));
    }
    sql.push_str("INSERT INTO missing_table VALUES (12345);\nSELECT 'never';\n");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(sql.as_bytes()).unwrap();
    let first = first().script("50-data.sql.gz", packed.finish().unwrap());
    let made = first.make();
    assert_eq!(made.code, 3);
    for words in
        ["50-data.sql.gz", "12345", "relation \"missing_table\" does not exist", "INSERT INTO missing_table"]
    {
        assert!(made.said.contains(words), "{words:?} is not in:\n{}", made.said);
    }
    assert!(!first.data().join("PG_VERSION").exists());
}

#[test]
fn rule_1_3_11_an_error_in_an_included_file_names_that_file() {
    needs_postgres!();
    let first =
        first().script("1.sql", "SELECT 1;\n\\i deep.dump\n").script("deep.dump", "SELECT 1;\nSELECT 1/0;\n");
    let made = first.make();
    assert_eq!(made.code, 3);
    assert!(made.said.contains("deep.dump:2: ERROR: division by zero"), "{}", made.said);
}

#[test]
fn rule_1_3_12_the_temporary_server_is_stopped_cleanly() {
    let programs = needs_postgres!();
    let first = first();
    first.succeed();
    assert!(!first.data().join("postmaster.pid").exists());
    let output = Command::new(programs.join("pg_controldata")).arg(first.data()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let state = told.lines().find(|line| line.starts_with("Database cluster state")).unwrap();
    assert!(state.ends_with(" shut down"), "{state}");
}

#[test]
fn rule_1_3_13_the_second_start_changes_nothing_and_needs_no_password() {
    needs_postgres!();
    let first = first().script("1.sql", "CREATE TABLE t (a int);\n");
    first.succeed();
    let before = text(first.data().join("pg_hba.conf"));
    let again = first.with("POSTGRES_PASSWORD", "").script("2.sql", "SELECT nonsense;\n");
    let said = again.succeed();
    assert!(said.contains("2.sql"), "it says what is not run:\n{said}");
    assert_eq!(text(again.data().join("pg_hba.conf")), before);
}

#[test]
fn rule_1_3_13_data_of_somebody_else_is_used_as_it_is() {
    let programs = needs_postgres!();
    let first = first().with("POSTGRES_PASSWORD", "");
    let mut initdb = Command::new(programs.join("initdb"));
    initdb.args(["--no-sync", "-D"]).arg(first.data()).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(crate::postgres::as_postgres(&mut initdb).status().unwrap().success());
    let before = text(first.data().join("pg_hba.conf"));
    first.succeed();
    assert_eq!(text(first.data().join("pg_hba.conf")), before);
}

#[test]
fn rule_1_3_14_a_user_without_a_line_in_etc_passwd_is_told_what_to_do() {
    needs_postgres!();
    if !nix::unistd::geteuid().is_root() || Path::new("/usr/lib/x86_64-linux-gnu/libnss_wrapper.so").exists()
    {
        return crate::support::loudly("skipped: only as root, without libnss_wrapper");
    }
    let first = first().option(&["--user", "54321"]);
    chown(&first.folder, Some(54321), Some(54321)).unwrap();
    let made = first.make();
    assert_eq!(made.code, 78, "{}", made.said);
    assert!(
        made.said.contains("initdb refuses to run as user 54321, who has no line in /etc/passwd"),
        "{}",
        made.said
    );
}

#[test]
fn any_name_and_any_password_logs_in() {
    needs_postgres!();
    let kilobyte = "päss wörd ".repeat(100);
    let values: [(&str, &str, &str); 6] = [
        ("o'hara", "it's", "d'b"),
        ("dou\"ble", "dou\"ble\\", "data\"base"),
        ("back\\slash", "back\\slash\\", "back\\slash"),
        (" spaces at ends ", "  two  spaces ", "a=b c"),
        ("per%cent 😀", "%s%n 😀 ${HOME} $(id) `id`", "100% 😀"),
        ("new\nline", "first line\nsecond line", "new\nline"),
    ];
    for (user, password, database) in
        values.into_iter().chain([("plain", kilobyte.as_str(), "postgresql://x")])
    {
        let first = first()
            .with("POSTGRES_USER", user)
            .with("POSTGRES_PASSWORD", password)
            .with("POSTGRES_DB", database)
            .with("POSTGRES_INITDB_ARGS", "--auth=scram-sha-256")
            .script("1.sql", "CREATE TABLE made (a int);\n")
            .script("2.sh", "docker_process_sql -c 'INSERT INTO made VALUES (1)'\n");
        let said = first.succeed();
        assert!(!said.contains(password), "the password is in the log");
        let server = Server::on(&first.data());
        let asked =
            "SELECT current_user || '|' || current_database() || '|' || count(*) FROM made GROUP BY 1";
        let asked = asked.replace(" GROUP BY 1", "");
        let answer = server.ask(user, password, database, &asked);
        assert_eq!(answer.unwrap(), format!("{user}|{database}|1"));
        assert!(
            server
                .ask(user, "wrong", database, "SELECT 1")
                .unwrap_err()
                .contains("password authentication failed")
        );
        assert_eq!(
            server
                .ask(user, password, database, "SELECT count(*) FROM pg_roles WHERE rolname !~ '^pg_'")
                .unwrap(),
            "1"
        );
    }
}
