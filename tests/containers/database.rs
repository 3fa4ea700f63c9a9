//! What people type after the name of a database's image, with a real MariaDB in real containers.

use crate::docker::{docker, stdout, try_docker, wait_until};
use std::process::Output;

/// A container with a server in it, gone when it is dropped.
struct Database {
    id: String,
}

const VARIABLES: [&str; 6] = [
    "--env=MARIADB_ROOT_PASSWORD=geheim",
    "--env=MARIADB_DATABASE=shop",
    "--env=MARIADB_USER=anna",
    "--env=MARIADB_PASSWORD=an na's",
    "--env=MARIADB_INITDB_SKIP_TZINFO=1",
    "--network=none",
];

impl Database {
    /// `docker run IMAGE WORDS…`, until its server answers.
    fn run(words: &[&str]) -> Database {
        let args = [&["run", "--detach"], &VARIABLES[..], &["database"], words].concat();
        let database = Database { id: docker(&args).trim().to_owned() };
        wait_until("the server", || {
            let state = docker(&["inspect", "--format", "{{.State.Running}}", &database.id]);
            assert_eq!(state.trim(), "true", "{words:?}: it has ended\n{}", database.logs());
            try_docker(&["exec", &database.id, "minisup", "health"]).status.success()
        });
        database
    }

    /// As somebody in the container asks, by TCP.
    fn answer(&self, user: &str, password: &str, sql: &str) -> String {
        let password = format!("MYSQL_PWD={password}");
        let user = format!("-u{user}");
        let output = try_docker(&[
            "exec",
            "--env",
            &password,
            &self.id,
            "mysql",
            "-h127.0.0.1",
            &user,
            "-N",
            "-B",
            "-e",
            sql,
        ]);
        assert!(output.status.success(), "{output:?}\n{}", self.logs());
        stdout(&output)
    }

    fn logs(&self) -> String {
        both(&try_docker(&["logs", &self.id]))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        try_docker(&["rm", "--force", "--volumes", &self.id]);
    }
}

fn both(output: &Output) -> String {
    stdout(output) + &String::from_utf8_lossy(&output.stderr)
}

#[test]
#[ignore = "needs a Docker engine: make containers"]
fn the_word_mysqld_makes_the_first_start_and_runs_the_server_as_configured() {
    let database = Database::run(&[]);
    let made = database.answer("anna", "an na's", "SHOW TABLES IN shop; SELECT CURRENT_USER()");
    assert_eq!(made, "made\nanna@%\n");
    assert_eq!(
        database.answer("root", "geheim", "SELECT @@skip_name_resolve, @@max_connections"),
        "1\t151\n"
    );
    // The server itself knows none of the passwords; who looks at the container does.
    let environment = "for process in /proc/[0-9]*; do if grep -q mariadbd $process/comm; then tr '\\0' '\\n' <$process/environ; fi; done";
    let environment = docker(&["exec", "--user", "mysql", &database.id, "sh", "-c", environment]);
    assert!(environment.contains("MARIADB_DATABASE=shop\n"), "{environment}");
    assert!(!environment.contains("geheim") && !environment.contains("an na's"), "{environment}");
    assert!(database.logs().contains("minisup init:    1  1.sql"), "the plan was said: {}", database.logs());
    docker(&["stop", "--time", "60", &database.id]);
    let code = docker(&["inspect", "--format", "{{.State.ExitCode}}", &database.id]);
    assert_eq!(code.trim(), "0", "{}", database.logs());
    // The same container once more: nothing is made a second time.
    docker(&["start", &database.id]);
    wait_until("the server again", || {
        try_docker(&["exec", &database.id, "minisup", "health"]).status.success()
    });
    assert!(database.logs().contains("1 script: nothing to be done"), "{}", database.logs());
}

#[test]
#[ignore = "needs a Docker engine: make containers"]
fn options_after_the_images_name_are_the_servers() {
    let database = Database::run(&["--max-connections=5"]);
    let said = database.answer("root", "geheim", "SELECT @@max_connections; SHOW TABLES IN shop");
    // The server's least is 10; without the option it has 151.
    assert_eq!(said, "10\nmade\n");
}

#[test]
#[ignore = "needs a Docker engine: make containers"]
fn another_command_runs_alone_and_no_database_is_made() {
    let run = |words: &[&str]| try_docker(&[&["run", "--rm", "--network=none", "database"], words].concat());
    let echo = run(&["echo", "hello"]);
    assert_eq!((stdout(&echo).as_str(), echo.status.code()), ("hello\n", Some(0)), "{echo:?}");
    assert_eq!(both(&echo), "hello\n", "nothing else is said");
    // No variable is needed for it, and its exit code is its own.
    let client = run(&["mysql", "-h", "127.0.0.1", "--connect-timeout=1", "-e", "SELECT 1"]);
    assert_eq!(client.status.code(), Some(1), "{client:?}");
    assert!(
        both(&client).contains("ERROR 2002 (HY000): Can't connect to server on '127.0.0.1'"),
        "{client:?}"
    );
    let version = run(&["mysqld", "--version"]);
    assert!(version.status.success() && stdout(&version).contains("MariaDB"), "{version:?}");
    let empty = run(&["ls", "/var/lib/mysql"]);
    assert_eq!(stdout(&empty), "", "{empty:?}");
    // With none of the variables the server's word is refused, and says which.
    let refused = run(&["mysqld"]);
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    assert!(both(&refused).contains("MARIADB_ROOT_PASSWORD"), "{refused:?}");
}

#[test]
#[ignore = "needs a Docker engine: make containers"]
fn a_client_in_a_container_of_its_own_reaches_the_server() {
    let database = Database::run(&["mariadbd", "--max-connections=17"]);
    let network = format!("--network=container:{}", database.id);
    let words = ["mysql", "-h", "127.0.0.1", "-uroot", "-pgeheim", "-N", "-e", "SELECT @@max_connections"];
    let output = try_docker(&[&["run", "--rm", &network, "database"][..], &words].concat());
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("17\n", Some(0)), "{output:?}");
}
