//! A real database for the tests of crashes: how its first start is asked for, which scripts it has, and by
//! what two of them are known to be equal.

use crate::support::MINISUP;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Database {
    MariaDb,
    Postgres,
}

/// A folder with scripts and a place for data. Gone when it is dropped.
pub struct Place {
    pub database: Database,
    pub folder: PathBuf,
    pub scripts: PathBuf,
    /// Where the data is to be.
    pub data: PathBuf,
}

/// `minisup init` at work.
pub struct Start {
    pub child: Child,
    log: PathBuf,
}

impl Database {
    pub fn name(self) -> &'static str {
        match self {
            Database::MariaDb => "mariadb",
            Database::Postgres => "postgres",
        }
    }

    /// Names of its server's processes.
    pub fn servers(self) -> [&'static str; 2] {
        match self {
            Database::MariaDb => ["mariadbd", "mysqld"],
            Database::Postgres => ["postgres", "initdb"],
        }
    }

    /// Whether it can be had here; says so loudly if not, and fails where it must be.
    pub fn is_here(self) -> bool {
        let programs = match self {
            Database::MariaDb => "mariadbd mariadb-install-db mariadb",
            Database::Postgres => "psql runuser",
        };
        let found = programs.split(' ').all(|program| {
            std::env::split_paths("/usr/sbin:/usr/bin:/sbin:/bin").any(|folder| folder.join(program).exists())
        });
        let is_here = found && nix::unistd::geteuid().is_root();
        if !is_here {
            let must = std::env::var_os("MINISUP_REQUIRE_NAMESPACES").is_some_and(|set| set == "1");
            assert!(!must, "{} is required, and root", self.name());
            crate::support::loudly(&format!("SKIPPED: no {}, or not root", self.name()));
        }
        is_here
    }

    fn variables(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Database::MariaDb => &[
                ("MARIADB_ROOT_PASSWORD", "ge'he\"im"),
                ("MARIADB_DATABASE", "d"),
                ("MARIADB_USER", "u"),
                ("MARIADB_PASSWORD", "p\\w"),
                ("MARIADB_INITDB_SKIP_TZINFO", "1"),
            ],
            Database::Postgres => &[("POSTGRES_PASSWORD", "ge'he\"im"), ("POSTGRES_DB", "d")],
        }
    }

    /// All that is in the data, as far as it may not depend on when it was made.
    pub fn fingerprint(self, data: &Path) -> String {
        self.fingerprint_with(data, "SELECT 1")
    }

    /// The same with the answer to one more question.
    pub fn fingerprint_with(self, data: &Path, question: &str) -> String {
        let socket = tempfolder("socket");
        fs::create_dir_all(&socket).unwrap();
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
        let text = match self {
            Database::MariaDb => {
                let path = socket.join("s");
                let server = Command::new("mariadbd")
                    .args(["--no-defaults", "--user=mysql", "--skip-networking"])
                    .arg(format!("--datadir={}", data.display()))
                    .arg(format!("--socket={}", path.display()))
                    .arg(format!("--pid-file={}", socket.join("pid").display()))
                    .arg(format!("--log-error={}", socket.join("log").display()))
                    .stdin(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn();
                let mut server = server.unwrap();
                let ask = |sql: &str| {
                    Command::new("mariadb")
                        .args(["--no-defaults", "-uroot", "-N", "-B", "-e", sql])
                        .arg(format!("--socket={}", path.display()))
                        .env("MYSQL_PWD", "ge'he\"im")
                        .output()
                        .unwrap()
                };
                wait("the server", &mut server, || ask("SELECT 1").status.success());
                let said = ask(&format!(
                    "SHOW DATABASES WHERE `Database` <> '#mysql50#lost+found'; SELECT user, host FROM mysql.user ORDER BY 1, 2; SHOW GRANTS FOR 'u'@'%'; \
                     SELECT COUNT(*) FROM d.t; CHECKSUM TABLE d.t; SELECT COUNT(*) FROM d.done; CHECK TABLE d.t; {question}",
                ));
                assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
                ask("SHUTDOWN");
                server.wait().unwrap();
                String::from_utf8(said.stdout).unwrap()
            }
            Database::Postgres => {
                let bin = fs::read_dir("/usr/lib/postgresql").unwrap().flatten().next().unwrap().path();
                let as_postgres = |program: &str| {
                    let mut command = Command::new("runuser");
                    command.args(["-u", "postgres", "--"]).arg(bin.join("bin").join(program));
                    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
                    command
                };
                let options = format!(
                    "-c listen_addresses= -c unix_socket_directories={} -c fsync=off",
                    socket.display()
                );
                let log = socket.join("log");
                let mut start = as_postgres("pg_ctl");
                start
                    .args(["-w", "-t", "60", "start", "-D"])
                    .arg(data)
                    .arg("-l")
                    .arg(&log)
                    .args(["-o", &options]);
                let started = start.status().unwrap();
                assert!(started.success(), "{}", fs::read_to_string(&log).unwrap_or_default());
                let mut ask = as_postgres("psql");
                ask.env("PGPASSWORD", "ge'he\"im").arg("-h").arg(&socket).args(["-AtX", "-d", "d"]);
                for sql in [
                    "SELECT datname FROM pg_database ORDER BY 1",
                    "SELECT rolname FROM pg_roles ORDER BY 1",
                    "SELECT count(*), sum(hashtext(t::text)::bigint) FROM t",
                    "SELECT count(*) FROM done",
                    question,
                ] {
                    ask.args(["-c", sql]);
                }
                let said = ask.stdout(Stdio::piped()).output().unwrap();
                let mut stop = as_postgres("pg_ctl");
                stop.args(["-w", "-m", "fast", "stop", "-D"]).arg(data);
                assert!(stop.status().unwrap().success());
                assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
                String::from_utf8(said.stdout).unwrap()
            }
        };
        let _ = fs::remove_dir_all(socket);
        text
    }
}

impl Place {
    /// A fresh one, in memory: what dies here is a process, not a disk.
    pub fn new(database: Database) -> Place {
        let folder = tempfolder(database.name());
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let place = Place { database, scripts: folder.join("initdb.d"), data: folder.join("data"), folder };
        place.write_scripts();
        place
    }

    fn write_scripts(&self) {
        fs::create_dir(&self.scripts).unwrap();
        let write = |name: &str, text: &str| fs::write(self.scripts.join(name), text).unwrap();
        write(
            "1_tables.sql",
            "CREATE TABLE t (id INT PRIMARY KEY, s VARCHAR(100));\nCREATE TABLE done (n INT);\n",
        );
        let mut many = String::new();
        for start in (0..6000).step_by(50) {
            let rows: Vec<String> = (start..start + 50).map(|id| format!("({id}, 'row {id}')")).collect();
            many += &format!("INSERT INTO t VALUES {};\n", rows.join(", "));
        }
        write("2_many.sql", &many);
        let single: String =
            (10_000..11_000).map(|id| format!("INSERT INTO t VALUES ({id}, 'single {id}');\n")).collect();
        let packed = File::create(self.scripts.join("3_single.sql.gz")).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
        gzip.write_all(single.as_bytes()).unwrap();
        gzip.finish().unwrap();
        let client = match self.database {
            Database::MariaDb => "mariadb -uroot -p\"$MARIADB_ROOT_PASSWORD\" \"$MARIADB_DATABASE\" -e",
            Database::Postgres => "psql -q -v ON_ERROR_STOP=1 -d \"$POSTGRES_DB\" -c",
        };
        let script = self.scripts.join("4_last.sh");
        fs::write(&script, format!("#!/bin/sh\nexec {client} 'INSERT INTO done VALUES (1)'\n")).unwrap();
        fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// `minisup init` of this place; with words in front, those of a program that runs it.
    pub fn start(&self, in_front: &[&str]) -> Start {
        self.start_with(in_front, &[])
    }

    /// The same with more options.
    pub fn start_with(&self, in_front: &[&str], options: &[&str]) -> Start {
        let binary = std::env::var("MINISUP").unwrap_or_else(|_| MINISUP.to_owned());
        let mut words: Vec<&str> = in_front.to_vec();
        words.extend([binary.as_str(), "init", self.database.name(), "--data-directory"]);
        let log = self.folder.join("log");
        let out = File::create(&log).unwrap();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(&self.data).arg("--directory").arg(&self.scripts).args(options);
        let child = command
            .envs(self.database.variables().iter().copied())
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn();
        Start { child: child.unwrap(), log }
    }

    /// Starts again until the end, which must be a good one, complete, equal to `reference`, with
    /// nobody left over.
    pub fn must_complete(&self, reference: &str, story: &str) {
        let (status, said) = self.start(&[]).wait();
        assert!(status.success(), "{story}: the next start ended with {status}:\n{said}");
        self.assert_nothing_half(story);
        assert!(self.data.join(".minisup-initialised.json").exists(), "{story}: not complete:\n{said}");
        assert_eq!(self.at_work(), Vec::<String>::new(), "{story}: left over");
        let (status, again) = self.start(&[]).wait();
        assert!(status.success() && again.contains("nothing to be done"), "{story}: {status}\n{again}");
        assert_eq!(self.database.fingerprint(&self.data), reference, "{story}: it differs\n{said}");
    }

    /// What is in the data directory is everything or nothing.
    pub fn assert_nothing_half(&self, story: &str) {
        let is_complete = self.data.join(".minisup-initialised.json").exists();
        let inside = fs::read_to_string(self.data.join(".minisup-first-start/journal.json"));
        let is_moving = inside.is_ok_and(|journal| journal.contains("\"state\": \"moving\""));
        let entries = fs::read_dir(&self.data).into_iter().flatten().flatten();
        let names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        let content =
            names.iter().filter(|name| !name.starts_with(".minisup-") && *name != "lost+found").count();
        assert!(is_complete || is_moving || content == 0, "{story}: half of it is there: {names:?}");
    }

    /// Programs that still have something to do with this place.
    pub fn at_work(&self) -> Vec<String> {
        let folder = self.folder.to_str().unwrap();
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        let texts = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
        texts.filter(|line| line.contains(folder)).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

impl Start {
    /// Waits for the end. Returns it, and what was said.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        (status, fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }
}

/// A name that nobody has, in memory if there is such a place.
pub fn tempfolder(what: &str) -> PathBuf {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    folder.join(format!("minisup-init-{}-{count}-{what}", std::process::id()))
}

fn wait(what: &str, server: &mut Child, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !is_so() {
        assert!(server.try_wait().unwrap().is_none(), "{what} has ended");
        assert!(Instant::now() < end, "too long: {what}");
    }
}

/// Numbers that look random and are the same for the same seed (Steele, Lea and Flood: splitmix64).
pub struct Dice(u64);

impl Dice {
    pub fn seeded(seed: u64) -> Dice {
        Dice(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A number from the environment.
pub fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}
