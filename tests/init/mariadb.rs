//! First starts of the real MariaDB: what is asked for is there afterwards, and logs in.

use crate::support::{self, LONG, MINISUP};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

/// The two that take the same scripts and differ in the names of their programs.
#[derive(Clone, Copy)]
pub enum Family {
    MariaDb,
    MySql,
}

impl Family {
    fn engine(self) -> &'static str {
        match self {
            Family::MariaDb => "mariadb",
            Family::MySql => "mysql",
        }
    }

    fn server(self) -> &'static str {
        match self {
            Family::MariaDb => "mariadbd",
            Family::MySql => "mysqld",
        }
    }

    pub fn client(self) -> &'static str {
        self.engine()
    }
}

/// A folder with scripts and a place for data.
pub struct Place {
    pub folder: PathBuf,
    family: Family,
}

/// The final server, run by the test on what was made.
pub struct Served {
    server: Child,
    socket: PathBuf,
    family: Family,
}

/// Whether MariaDB is here, and we may become its user.
pub fn is_here() -> bool {
    let is_here = Path::new("/usr/sbin/mariadbd").exists() && nix::unistd::geteuid().is_root();
    if !is_here {
        let must = std::env::var_os("MINISUP_REQUIRE_NAMESPACES").is_some_and(|set| set == "1");
        assert!(!must, "mariadb-server is required, and root");
        support::loudly("SKIPPED: no mariadb-server, or not root");
    }
    is_here
}

impl Place {
    pub fn new(name: &str) -> Place {
        Place::of(Family::MariaDb, name)
    }

    pub fn of(family: Family, name: &str) -> Place {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = folder.join(format!("minisup-first-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        for made in [folder.clone(), folder.join("scripts"), folder.join("tmp"), folder.join("run")] {
            fs::create_dir(&made).unwrap();
            fs::set_permissions(&made, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::set_permissions(folder.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::set_permissions(folder.join("run"), fs::Permissions::from_mode(0o1777)).unwrap();
        Place { folder, family }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn script(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path("scripts").join(name), bytes).unwrap();
    }

    pub fn command(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Command {
        self.command_with(&[], variables, arguments)
    }

    /// The same with options of minisup's own.
    pub fn command_with(&self, options: &[&str], variables: &[(&str, &str)], arguments: &[&str]) -> Command {
        let mut command = Command::new(MINISUP);
        command.args(["init", self.family.engine(), "--directory"]).arg(self.path("scripts")).args(options);
        command
            .args(["--", self.family.server()])
            .arg(format!("--datadir={}", self.path("data").display()))
            .args(arguments);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("TMPDIR", self.path("tmp"));
        command
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn start(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
        self.command(variables, arguments).output().unwrap()
    }

    /// A start that must be a success.
    pub fn made(&self, variables: &[(&str, &str)], arguments: &[&str]) -> String {
        let output = self.start(variables, arguments);
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    }

    /// The final server, as a container would have it, but for its socket.
    pub fn serve(&self, arguments: &[&str]) -> Served {
        let socket = self.path("run").join("served.sock");
        let log = self.path("log");
        // One that was killed leaves it.
        let _ = fs::remove_file(&socket);
        let mut server = Command::new(self.family.server())
            .args(["--user=mysql", "--skip-networking"])
            .arg(format!("--datadir={}", self.path("data").display()))
            .arg(format!("--socket={}", socket.display()))
            .arg(format!("--pid-file={}", self.path("run").join("served.pid").display()))
            .args(arguments)
            .env("TMPDIR", self.path("tmp"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        support::wait_until("the final server", || {
            let ended = server.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", fs::read_to_string(&log).unwrap());
            socket.exists()
        });
        Served { server, socket, family: self.family }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Served {
    /// Where it is reached.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn ask(&self, user: &str, password: &str, sql: &str) -> Output {
        Command::new(self.family.client())
            .args(["--no-defaults", "--default-character-set=utf8mb4", "-N", "-B", "--raw"])
            .arg(format!("--socket={}", self.socket.display()))
            .arg(format!("--user={user}"))
            .args(["-e", sql])
            .env("MYSQL_PWD", password)
            .output()
            .unwrap()
    }

    /// An answer that must be one.
    pub fn answer(&self, user: &str, password: &str, sql: &str) -> String {
        let output = self.ask(user, password, sql);
        assert!(output.status.success(), "{user:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub const NO_ZONES: (&str, &str) = ("MYSQL_INITDB_SKIP_TZINFO", "1");

#[test]
fn rule_30_values_with_quotes_backslashes_spaces_newlines_emoji_and_patterns_log_in() {
    if is_here() {
        values_log_in(Place::new("values"));
    }
}

pub fn values_log_in(place: Place) {
    let root = "ro'o\"t\\ \\n \n\t#;`$(id)`\u{1a} 😀%_ end\\";
    let (database, user) = ("my_s%h`o'p \"x\\y\nü", "o'b`r\"i\\e n\n%_ü");
    let password = " '\"\\\\ \r\n😀 -- ";
    fs::write(place.path("secret"), format!("{password}\n\n")).unwrap();
    let secret = place.path("secret");
    let text = place.made(
        &[
            NO_ZONES,
            ("MYSQL_ROOT_PASSWORD", root),
            ("MYSQL_DATABASE", database),
            ("MYSQL_USER", user),
            ("MYSQL_PASSWORD_FILE", secret.to_str().unwrap()),
        ],
        // The mode in which a backslash is a character like any other.
        &["--sql-mode=NO_BACKSLASH_ESCAPES,ANSI_QUOTES"],
    );
    assert!(!text.contains("😀"), "no secret is shown: {text}");
    let served = place.serve(&[]);
    assert_eq!(served.answer("root", root, "SELECT CURRENT_USER()"), "root@localhost\n");
    let quoted = database.replace('`', "``");
    let sql = format!("USE `{quoted}`; CREATE TABLE t (a INT); SELECT DATABASE()");
    assert_eq!(served.answer(user, password, &sql), format!("{database}\n"));
    let like = quoted.replacen('_', "X", 1);
    served.answer("root", root, &format!("CREATE DATABASE `{like}`"));
    let refused = served.ask(user, password, &format!("USE `{like}`"));
    assert!(said(&refused).contains("ERROR 1044"), "`_` is no pattern: {}", said(&refused));
    assert!(said(&served.ask("root", "", "SELECT 1")).contains("ERROR 1045"));
}

#[test]
fn rule_30_values_of_the_greatest_length_log_in() {
    if !is_here() {
        return;
    }
    let place = Place::new("long");
    let (root, password) = ("'\\ü😀".repeat(128), "p".repeat(1024));
    let (database, user) = ("d".repeat(64), "ü".repeat(128));
    place.made(
        &[
            NO_ZONES,
            ("MYSQL_ROOT_PASSWORD", &root),
            ("MYSQL_DATABASE", &database),
            ("MYSQL_USER", &user),
            ("MYSQL_PASSWORD", &password),
        ],
        &[],
    );
    let served = place.serve(&[]);
    assert_eq!(root.len(), 1024);
    assert_eq!(served.answer("root", &root, "SELECT 1"), "1\n");
    assert_eq!(
        served.answer(&user, &password, &format!("USE {database}; SELECT DATABASE()")),
        format!("{database}\n")
    );
}

#[test]
fn rule_31_nobody_outside_reaches_the_server_before_all_is_done_and_scripts_do_plainly() {
    if !is_here() {
        return;
    }
    let place = Place::new("outside");
    let outside = place.path("run").join("mysqld.sock");
    let go_on = place.path("go-on");
    assert!(Command::new("mkfifo").arg(&go_on).status().unwrap().success());
    fs::set_permissions(&go_on, fs::Permissions::from_mode(0o666)).unwrap();
    // Sourced: it is not executable.
    place.script(
        "1.sh",
        format!(
            "set -e\nmysql_note inside is $(mariadb -uroot -pgeheim -N -e 'SELECT 40 + 2')\n\
             docker_process_sql -N -e 'SELECT DATABASE(), CURRENT_USER()'\n\
             echo 'CREATE TABLE t (a INT)' | docker_process_sql\n\
             echo \"escaped: $(docker_sql_escape_string_literal \"a'b\")\"\n\
             echo reached > {0}/tmp/reached\nread line < {0}/go-on\n",
            place.folder.display()
        ),
    );
    let port = 20_000 + (std::process::id() % 10_000);
    let mut child = place
        .command(
            &[NO_ZONES, ("MARIADB_ROOT_PASSWORD", "geheim"), ("MARIADB_DATABASE", "shop")],
            &[
                &format!("--socket={}", outside.display()),
                &format!("--port={port}"),
                "--bind-address=127.0.0.1",
            ],
        )
        .spawn()
        .unwrap();
    let reached = place.path("tmp").join("reached");
    let began = Instant::now();
    while !reached.exists() && began.elapsed() < LONG && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    if !reached.exists() {
        panic!("{}", said(&child.wait_with_output().unwrap()));
    }
    let socket = format!("--socket={}", outside.display());
    let ports = format!("--port={port}");
    for place_of_it in [vec![socket.as_str()], vec!["--host=127.0.0.1", ports.as_str()]] {
        let mut ping = Command::new("mariadb-admin");
        ping.args(["--no-defaults", "--connect-timeout=5"]).args(&place_of_it).arg("ping");
        let output = ping.output().unwrap();
        assert!(!output.status.success(), "{place_of_it:?}: {}", said(&output));
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "-uroot", "-pgeheim", "-e", "SELECT 1"]).args(&place_of_it);
        assert!(!client.output().unwrap().status.success(), "{place_of_it:?}");
    }
    assert!(!place.path("data").join("mysql").exists(), "the final place is empty");
    fs::OpenOptions::new().write(true).open(&go_on).unwrap().write_all(b"go on\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("[Note] [Entrypoint]: inside is 42"), "{text}");
    assert!(text.contains("shop\troot@localhost"), "{text}");
    assert!(text.contains("escaped: a\\'b"), "{text}");
    let served = place.serve(&[]);
    assert_eq!(served.answer("root", "geheim", "SHOW TABLES IN shop"), "t\n");
}

#[test]
fn rule_32_bad_sql_in_line_12_345_of_a_gz_is_named_with_script_line_and_statement() {
    if is_here() {
        bad_sql_is_named(Place::new("bad"));
    }
}

pub fn bad_sql_is_named(place: Place) {
    let mut sql = String::from("CREATE TABLE t (id INT PRIMARY KEY);\n");
    for line in 2..12_345 {
        sql += &format!("INSERT INTO t VALUES ({line});\n");
    }
    sql += "INSERT INTO nowhere VALUES ('a secret of the statement');\nINSERT INTO t VALUES (0);\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(sql.as_bytes()).unwrap();
    place.script("1.sql", "SELECT 1;\n");
    place.script("2_data.sql.gz", gzip.finish().unwrap());
    place.script("3_more.sql", "SELECT 1;\n");
    let output = place.start(&[NO_ZONES, ("MYSQL_ROOT_PASSWORD", "x"), ("MYSQL_DATABASE", "d")], &[]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("script 2 of 3 failed") && text.contains("2_data.sql.gz, line 12345"), "{text}");
    assert!(text.contains("INSERT INTO nowhere"), "{text}");
    assert!(text.contains("ERROR 1146 (42S02) at line 12345: Table 'd.nowhere' doesn't exist"), "{text}");
    assert!(!place.path("data").join("mysql").exists(), "nothing half is in the final place");
}

#[test]
fn rule_33_time_zones_accounts_grants_and_the_health_checks_file_are_there() {
    if !is_here() {
        return;
    }
    let place = Place::new("accounts");
    let text = place.made(
        &[
            ("MARIADB_RANDOM_ROOT_PASSWORD", "yes"),
            ("MARIADB_ROOT_HOST", "10.0.0.%"),
            ("MARIADB_USER", "anna"),
            ("MARIADB_USER_HOST", "localhost"),
            // The hash of "geheim".
            ("MARIADB_PASSWORD_HASH", "*462366917EEDD1970A48E87D8EF59EB67D2CA26F"),
            ("MARIADB_MYSQL_LOCALHOST_USER", "1"),
            ("MARIADB_HEALTHCHECK_GRANTS", "REPLICA MONITOR"),
            ("MARIADB_REPLICATION_USER", "repl"),
            ("MARIADB_REPLICATION_PASSWORD", "r'p"),
        ],
        &[],
    );
    let root = text.lines().find_map(|line| line.split_once("GENERATED ROOT PASSWORD: ")).expect(&text).1;
    let served = place.serve(&[]);
    let accounts = served.answer("root", root, "SELECT CONCAT(user, '@', host) FROM mysql.user ORDER BY 1");
    assert_eq!(
        accounts.lines().collect::<Vec<_>>(),
        [
            "anna@localhost",
            "healthcheck@127.0.0.1",
            "healthcheck@::1",
            "healthcheck@localhost",
            "mariadb.sys@localhost",
            "mysql@localhost",
            "repl@%",
            "root@10.0.0.%",
            "root@localhost"
        ]
    );
    let zone = "SELECT CONVERT_TZ('2026-07-01 12:00:00', 'UTC', 'Europe/Zurich')";
    assert_eq!(served.answer("anna", "geheim", zone), "2026-07-01 14:00:00\n");
    assert!(
        served
            .answer("repl", "r'p", "SHOW GRANTS")
            .starts_with("GRANT REPLICATION SLAVE ON *.* TO `repl`@`%`")
    );
    let health = place.path("data").join(".my-healthcheck.cnf");
    assert_eq!(fs::metadata(&health).unwrap().permissions().mode() & 0o777, 0o600);
    let mut check = Command::new("mariadb");
    check.arg(format!("--defaults-file={}", health.display()));
    check
        .args(["--protocol=socket", "-N", "-e", "SHOW GRANTS"])
        .arg(format!("--socket={}", served.socket.display()));
    let output = check.output().unwrap();
    assert!(
        said(&output).contains("GRANT SLAVE MONITOR ON *.* TO `healthcheck`@`localhost`"),
        "{}",
        said(&output)
    );
    let databases = served.answer("root", root, "SHOW DATABASES");
    assert_eq!(
        databases, "information_schema\nmysql\nperformance_schema\nsys\n",
        "our files are no databases"
    );
}

#[test]
fn rule_34_a_replica_knows_its_primary_and_a_root_hash_counts_after_the_scripts() {
    if !is_here() {
        return;
    }
    let place = Place::new("replica");
    // A binary log by an absolute path below the data directory: its index must be true after the rename.
    let log = format!("--log-bin={}", place.path("data").join("binlog").display());
    place.script("1.sql", "CREATE DATABASE made;\n");
    place.made(
        &[
            NO_ZONES,
            ("MARIADB_ROOT_PASSWORD_HASH", "*462366917EEDD1970A48E87D8EF59EB67D2CA26F"),
            ("MARIADB_REPLICATION_USER", "repl"),
            ("MARIADB_REPLICATION_PASSWORD", "r\\p"),
            ("MARIADB_MASTER_HOST", "primary.example"),
            ("MARIADB_MASTER_PORT", "3307"),
        ],
        &[&log, "--server-id=2"],
    );
    let served = place.serve(&[&log, "--server-id=2", "--skip-slave-start"]);
    assert_eq!(served.answer("root", "geheim", "SHOW DATABASES LIKE 'made'"), "made\n");
    let state = served.answer("root", "geheim", "SHOW SLAVE STATUS\\G");
    assert!(state.contains("\nprimary.example\nrepl\n3307\n"), "{state}");
    let logs = served.answer("root", "geheim", "SHOW BINARY LOGS");
    assert!(logs.lines().count() >= 2, "the log of the temporary server is known: {logs}");
}

#[test]
fn rule_35_an_argument_that_mariadb_install_db_cannot_take_is_said_and_the_servers_all_the_same() {
    if !is_here() {
        return;
    }
    let place = Place::new("split");
    let argument = "--init-connect=SET NAMES utf8mb4";
    place.script("1.sql", "CREATE TABLE d.seen AS SELECT @@init_connect AS is_set;\n");
    let variables = [NO_ZONES, ("MARIADB_ROOT_PASSWORD", "geheim"), ("MARIADB_DATABASE", "d")];
    let text = place.made(&variables, &[argument]);
    let warning = format!(
        "mariadb-install-db cannot take the argument {argument}: the data directory is made without it"
    );
    assert!(text.contains(&warning), "{text}");
    let served = place.serve(&[]);
    assert_eq!(served.answer("root", "geheim", "SELECT is_set FROM d.seen"), "SET NAMES utf8mb4\n");
}

#[test]
fn rule_36_what_is_not_the_servers_users_is_given_to_him_and_nothing_else_is_touched() {
    if !is_here() {
        return;
    }
    let place = Place::new("owner");
    let variables = [NO_ZONES, ("MARIADB_ROOT_PASSWORD", "geheim")];
    place.made(&variables, &[]);
    let owner = |name: &str| fs::metadata(place.path("data").join(name)).unwrap().uid();
    let mysql = owner("aria_log_control");
    let take = || {
        for name in ["ibdata1", "mysql"] {
            std::os::unix::fs::chown(place.path("data").join(name), Some(0), Some(0)).unwrap();
        }
    };
    assert!(!place.made(&variables, &[]).contains("files in"), "all are his");

    // A root that may give nothing away: NFS, a user namespace.
    take();
    let command = place.command(&variables, &[]);
    let mut weak = Command::new("setpriv");
    weak.args(["--bounding-set=-chown", "--inh-caps=-chown", "--"]).arg(command.get_program());
    weak.args(command.get_args()).env_clear();
    weak.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = weak.output().unwrap();
    let text = said(&output);
    assert!(output.status.success(), "a warning, and not the end: {text}");
    assert!(text.contains("warning: 2 files in ") && text.contains("cannot be given away"), "{text}");
    assert_eq!([owner("ibdata1"), owner("mysql")], [0, 0]);

    let text = place.made(&variables, &[]);
    assert!(
        text.contains(&format!(
            "2 files in {} were not user {mysql}'s, and are now",
            place.path("data").display()
        )),
        "{text}"
    );
    assert_eq!([owner("ibdata1"), owner("mysql")], [mysql, mysql]);
}

#[test]
fn what_is_configured_below_a_link_to_the_data_directory_lies_in_it_in_the_end() {
    if !is_here() {
        return;
    }
    let place = Place::new("link");
    let (link, data) = (place.path("link"), place.path("data"));
    fs::create_dir(&data).unwrap();
    std::os::unix::fs::symlink(&data, &link).unwrap();
    let at = |option: &str, name: &str| format!("--{option}={}/{name}", link.display());
    let arguments = [
        format!("--datadir={}", link.display()),
        at("log-bin", "binlog"),
        at("log-error", "err.log"),
        at("socket", "s.sock"),
        format!("--innodb-data-home-dir={}", link.display()),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = place.made(&[NO_ZONES, ("MARIADB_ROOT_PASSWORD", "geheim")], &arguments);
    assert!(said.contains(&format!("{} is ready for its server", data.display())), "{said}");
    for name in ["err.log", "ibdata1", "binlog.index"] {
        assert!(data.join(name).exists(), "{name}\n{said}");
    }
    let served = place.serve(&[at("log-bin", "binlog").as_str()]);
    assert_eq!(served.answer("root", "geheim", "SELECT 1"), "1\n");
}

#[test]
fn an_engine_that_the_real_server_enforces_and_its_time_zone_do_not_keep_system_tables_from_being_made() {
    if !is_here() {
        return;
    }
    let place = Place::new("enforce");
    place.script("1.sql", "CREATE DATABASE d;\nCREATE TABLE d.t (a INT) ENGINE=MyISAM;\n");
    let zone = "--default-time-zone=Europe/Berlin";
    let arguments = ["--enforce-storage-engine=InnoDB", "--sql-mode=", zone];
    place.made(&[("MARIADB_ROOT_PASSWORD", "geheim")], &arguments);
    let served = place.serve(&[zone]);
    let question = "SELECT engine FROM information_schema.tables WHERE table_schema = 'd'";
    assert_eq!(served.answer("root", "geheim", question), "InnoDB\n");
}
