//! PostgreSQL in tests: whether it is installed, and a real server on what a first start made.

use crate::first::First;
use crate::support::{LONG, loudly, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, geteuid};
use std::ffi::OsStr;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where its programs are, the newest; without any the test is skipped, or fails where it must not be skipped.
pub fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    versions.retain(|directory| directory.join("initdb").is_file());
    versions.sort();
    let found = versions.pop();
    if found.is_none() {
        assert!(std::env::var_os("MINISUP_REQUIRE_NAMESPACES").is_none(), "postgresql is not installed");
        loudly("skipped: postgresql is not installed");
    }
    found
}

/// A first start of PostgreSQL with its data in the test's folder.
pub fn first() -> First {
    let first = First::of("postgres");
    let data = first.data();
    first.with("PGDATA", data.to_str().unwrap()).with("POSTGRES_PASSWORD", "secret").with("LANG", "C.UTF-8")
}

/// A server, stopped when it goes.
pub struct Server {
    process: Child,
    programs: PathBuf,
    socket: PathBuf,
    port: u16,
}

impl Server {
    /// On this data, by socket and on 127.0.0.1, as it would serve.
    pub fn on(data: &Path) -> Server {
        let programs = programs().unwrap();
        // Free at this moment.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let socket = data.parent().unwrap().to_owned();
        let mut command = Command::new(programs.join("postgres"));
        command.arg("-D").arg(data).args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k"]).arg(&socket);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        as_postgres(&mut command);
        let server = Server { process: command.spawn().unwrap(), programs, socket, port };
        let is_ready = || {
            let mut asked = Command::new(server.programs.join("pg_isready"));
            asked.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]).status().unwrap().success()
        };
        wait_until("the server answers", is_ready);
        server
    }

    /// Asks by network, as this user with this password; what psql printed, or its complaint.
    pub fn ask(
        &self,
        user: impl AsRef<OsStr>,
        password: impl AsRef<OsStr>,
        database: impl AsRef<OsStr>,
        sql: &str,
    ) -> Result<String, String> {
        self.ask_at("127.0.0.1".as_ref(), user.as_ref(), password.as_ref(), database.as_ref(), sql)
    }

    /// Asks by socket, where initdb's rules trust everybody.
    pub fn trusted(&self, user: &str, database: &str, sql: &str) -> String {
        self.ask_at(self.socket.as_os_str(), user.as_ref(), "".as_ref(), database.as_ref(), sql).unwrap()
    }

    fn ask_at(
        &self,
        host: &OsStr,
        user: &OsStr,
        password: &OsStr,
        database: &OsStr,
        sql: &str,
    ) -> Result<String, String> {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["-X", "-w", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]).env_clear();
        command.env("PGHOST", host).env("PGPORT", self.port.to_string()).env("PGCLIENTENCODING", "UTF8");
        command.env("PGUSER", user).env("PGPASSWORD", password).env("PGDATABASE", database);
        let output = command.output().unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.process.id() as i32), Signal::SIGINT);
        let begun = std::time::Instant::now();
        while self.process.try_wait().unwrap().is_none() {
            if begun.elapsed() > LONG {
                let _ = self.process.kill();
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

/// Runs as the account postgres if we are root, which PostgreSQL refuses to be.
pub fn as_postgres(command: &mut Command) -> &mut Command {
    if geteuid() == Uid::from_raw(0) {
        let (uid, gid) = account();
        command.uid(uid).gid(gid);
    }
    command
}

/// Number of the account postgres, and of its group.
pub fn account() -> (u32, u32) {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with("postgres:")).expect("the account postgres");
    let mut fields = line.split(':').skip(2).map(|field| field.parse().unwrap());
    (fields.next().unwrap(), fields.next().unwrap())
}
