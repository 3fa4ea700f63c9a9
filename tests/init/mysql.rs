//! First starts of the real MySQL: what its stand-in (rules_mysql.rs) cannot know.
//!
//! Debian has MySQL in its unstable release only. `make first-start-mysql` makes a root of that, and runs these tests in
//! it; nothing else does.

use crate::mariadb::{Family, NO_ZONES, Place, bad_sql_is_named, said, values_log_in};
use crate::support::LONG;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Instant;

fn place(name: &str) -> Place {
    let version = Command::new("mysqld").arg("--version").output().expect("a mysqld: make first-start-mysql");
    assert!(!said(&version).contains("MariaDB"), "{}", said(&version));
    Place::of(Family::MySql, name)
}

#[test]
#[ignore = "wants a real MySQL: make first-start-mysql"]
fn mysqls_values_with_quotes_backslashes_spaces_newlines_emoji_and_patterns_log_in() {
    values_log_in(place("mysql-values"));
}

#[test]
#[ignore = "wants a real MySQL: make first-start-mysql"]
fn mysqls_bad_sql_in_line_12_345_of_a_gz_is_named_with_script_line_and_statement() {
    bad_sql_is_named(place("mysql-bad"));
}

#[test]
#[ignore = "wants a real MySQL: make first-start-mysql"]
fn mysqls_time_zones_accounts_and_grants_are_there_and_a_onetime_password_has_to_be_changed() {
    let place = place("mysql-accounts");
    let text = place.made(
        &[
            ("MYSQL_RANDOM_ROOT_PASSWORD", "yes"),
            ("MYSQL_ONETIME_PASSWORD", "yes"),
            ("MYSQL_ROOT_HOST", "10.0.0.%"),
            ("MYSQL_DATABASE", "shop"),
            ("MYSQL_USER", "anna"),
            ("MYSQL_PASSWORD", "geheim"),
        ],
        &[],
    );
    let root = text.lines().find_map(|line| line.split_once("GENERATED ROOT PASSWORD: ")).expect(&text).1;
    let served = place.serve(&["--mysqlx=OFF"]);
    let accounts = "SELECT CONCAT(user, '@', host, ' ', password_expired) FROM mysql.user WHERE user NOT LIKE 'mysql.%' \
                    ORDER BY 1";
    assert_eq!(served.answer("root", root, accounts), "anna@% N\nroot@10.0.0.% Y\nroot@localhost N\n");
    let zone = "SELECT CONVERT_TZ('2026-07-01 12:00:00', 'UTC', 'Europe/Zurich')";
    assert_eq!(served.answer("anna", "geheim", zone), "2026-07-01 14:00:00\n");
    let grants = served.answer("anna", "geheim", "SHOW GRANTS");
    assert!(grants.contains("GRANT ALL PRIVILEGES ON `shop`.* TO `anna`@`%`"), "{grants}");
    let databases = served.answer("root", root, "SHOW DATABASES");
    assert_eq!(databases, "information_schema\nmysql\nperformance_schema\nshop\nsys\n");
}

/// What a script needs to say where it is, and to stay there.
fn that_stays(place: &Place) -> String {
    format!("touch {0}/tmp/reached\nread line < {0}/go-on\n", place.folder.display())
}

/// Waits for a script that stays.
fn wait_for_script(place: &Place, child: &mut std::process::Child) {
    let began = Instant::now();
    while !place.path("tmp/reached").exists() && began.elapsed() < LONG && child.try_wait().unwrap().is_none()
    {
        std::thread::yield_now();
    }
    assert!(place.path("tmp/reached").exists(), "the script was not reached");
}

fn make_fifo(place: &Place) {
    assert!(Command::new("mkfifo").arg(place.path("go-on")).status().unwrap().success());
    fs::set_permissions(place.path("go-on"), fs::Permissions::from_mode(0o666)).unwrap();
}

#[test]
#[ignore = "wants a real MySQL: make first-start-mysql"]
fn mysql_listens_to_nobody_outside_while_scripts_run_neither_by_its_own_protocol_nor_by_x() {
    let place = place("mysql-outside");
    make_fifo(&place);
    place.script(
        "1.sh",
        format!(
            "set -e\nmysql_note inside is $(mysql -uroot -pgeheim -N -e 'SELECT 40 + 2')\n\
             docker_process_sql -N -e 'SELECT DATABASE(), CURRENT_USER()'\n{}",
            that_stays(&place)
        ),
    );
    let (outside, x) = (place.path("run/mysqld.sock"), place.path("run/mysqlx.sock"));
    let mut child = place
        .command(
            &[NO_ZONES, ("MYSQL_ROOT_PASSWORD", "geheim"), ("MYSQL_DATABASE", "shop")],
            &[&format!("--socket={}", outside.display()), &format!("--mysqlx-socket={}", x.display())],
        )
        .spawn()
        .unwrap();
    wait_for_script(&place, &mut child);
    assert!(!outside.exists() && !x.exists());
    // In this root's own network nobody else listens.
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(table).unwrap();
        // State 0A is LISTEN (proc_net_tcp(5)).
        let listening = text.lines().filter(|line| line.split_whitespace().nth(3) == Some("0A")).count();
        assert_eq!(listening, 0, "{text}");
    }
    fs::write(place.path("go-on"), "go on\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("[Note] [Entrypoint]: inside is 42"), "{text}");
    assert!(text.contains("shop\troot@localhost"), "{text}");
}

#[test]
#[ignore = "wants a real MySQL: make first-start-mysql"]
fn a_first_start_of_mysql_that_is_killed_in_a_script_is_complete_after_the_next() {
    let place = place("mysql-killed");
    make_fifo(&place);
    place.script("1.sql", "CREATE TABLE t (a INT);\nINSERT INTO t VALUES (1);\n");
    place.script("2.sh", that_stays(&place));
    place.script("3.sql", "INSERT INTO t VALUES (2);\n");
    let variables = [NO_ZONES, ("MYSQL_ROOT_PASSWORD", "geheim"), ("MYSQL_DATABASE", "shop")];
    let mut child = place.command(&variables, &[]).process_group(0).spawn().unwrap();
    wait_for_script(&place, &mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!place.path("data/mysql").exists(), "nothing half is in the final place");
    place.script("2.sh", "true\n");
    let text = place.made(&variables, &[]);
    assert!(text.contains("interrupted in 2.sh: beginning again"), "{text}");
    let served = place.serve(&["--mysqlx=OFF"]);
    assert_eq!(served.answer("root", "geheim", "SELECT a FROM shop.t ORDER BY a"), "1\n2\n");
}

#[test]
#[ignore = "wants a real MySQL: make first-start-mysql"]
fn mysqls_migrations_run_once_each() {
    let place = place("mysql-migrations");
    fs::create_dir(place.path("each")).unwrap();
    fs::set_permissions(place.path("each"), fs::Permissions::from_mode(0o755)).unwrap();
    let each = place.path("each");
    let variables = [NO_ZONES, ("MYSQL_ROOT_PASSWORD", "geheim"), ("MYSQL_DATABASE", "shop")];
    for (name, sql) in [("1.sql", "CREATE TABLE t (a INT);"), ("2.sql", "INSERT INTO t VALUES (2);")] {
        fs::write(each.join(name), sql).unwrap();
        let options = ["--each-start", each.to_str().unwrap()];
        let output = place.command_with(&options, &variables, &[]).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
    let served = place.serve(&["--mysqlx=OFF"]);
    assert_eq!(served.answer("root", "geheim", "SELECT a FROM shop.t"), "2\n");
}
