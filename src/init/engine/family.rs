//! What MySQL and MariaDB share: finding the programs, asking the server for its configuration, the
//! [`client`], batches of SQL, time zones.
//!
//! - The server itself says where its data directory, its socket and its log files are
//!   (`--verbose --help`): it knows option files, groups and compiled-in defaults, and nobody else does. What
//!   lies below the final data directory is led into staging by a *relative* path: absolute ones are written into
//!   the index of the binary log, and would point nowhere after the rename.

pub mod client;
pub mod configuration;
mod login;
pub mod rules;
mod time_zones;

pub use client::{PRELUDE, failure};
use configuration::Configuration;
pub use configuration::{find, prints_and_exits};

use super::{Known, Remark, Server, Variables, Work};
use crate::init::Request;
use crate::init::crew::Stdin;
use crate::init::ground;
use crate::init::trouble::Trouble;
use crate::init::variables::{Given, Name, Reading, confidential};
use std::cell::{OnceCell, RefCell};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long, and how often, the socket is looked for before the course goes round once.
const LOOK: Duration = Duration::from_millis(5);
const LOOKS: u32 = 50;

/// What the two do differently, as far as a table can say it.
#[derive(Debug)]
pub struct Kind {
    /// How messages and variables begin: `MARIADB`.
    pub prefix: &'static str,
    /// Names of the server, the best first.
    pub servers: &'static [&'static str],
    /// Names of the client.
    pub clients: &'static [&'static str],
    /// Names of what reads time zones.
    pub zone_tools: &'static [&'static str],
    /// The variables of the official image.
    pub known: &'static [Name],
    /// An option that the client gets if it has it: the name in its help, and the option.
    pub client_option: (&'static str, &'static str),
    /// What the client always gets.
    pub client_always: &'static [&'static str],
}

/// One first start of either.
pub struct Family {
    kind: &'static Kind,
    /// As they were given: for the journal.
    asked: Given,
    /// As they are used: with what was drawn at random.
    pub given: Given,
    /// What is to be said about them.
    pub remarks: Vec<Remark>,
    server: OsString,
    /// The server's own arguments, without the program.
    pub arguments: Vec<OsString>,
    client: OsString,
    charset: String,
    environment: Variables,
    configuration: OnceCell<Configuration>,
    client_option: OnceCell<Option<&'static str>>,
    /// The password that root@localhost took at a later start.
    taken: RefCell<Option<String>>,
}

impl Family {
    /// Reads the variables and finds the programs.
    pub fn new(kind: &'static Kind, request: &Request) -> Family {
        let Reading { given, remarks } = Given::read(kind.known, request.environment.iter().cloned());
        let mut words = request.server.iter().cloned().peekable();
        let own = words.next_if(|word| !word.as_bytes().starts_with(b"-"));
        Family {
            kind,
            asked: given.clone(),
            given,
            remarks,
            server: match own {
                None => find(kind.servers, &request.environment),
                Some(path) if path.as_bytes().contains(&b'/') => path,
                Some(name) => name.to_str().map_or(name.clone(), |name| find(&[name], &request.environment)),
            },
            arguments: words.collect(),
            client: find(kind.clients, &request.environment),
            charset: request.charset.clone().unwrap_or_else(|| "utf8mb4".to_owned()),
            environment: request.environment.clone(),
            configuration: OnceCell::new(),
            client_option: OnceCell::new(),
            taken: RefCell::default(),
        }
    }

    /// The journal's variables.
    pub fn known(&self) -> Vec<Known> {
        self.asked.known(self.kind.known)
    }

    /// A variable's value as text. What is not UTF-8 was refused by the rules.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.given.get(&self.full(name)).and_then(OsStr::to_str)
    }

    /// Whether a variable has a value.
    pub fn is_set(&self, name: &str) -> bool {
        self.given.is_set(&self.full(name))
    }

    /// A variable's whole name.
    pub fn full(&self, name: &str) -> String {
        format!("{}_{name}", self.kind.prefix)
    }

    /// Keeps a password that was drawn.
    pub fn set(&mut self, name: &str, value: &str) {
        let full = self.full(name);
        if let Some(known) = self.kind.known.iter().find(|known| known.name == full) {
            self.given.set(*known, value);
        }
    }

    /// What the server says about its configuration; asked once.
    ///
    /// # Errors
    /// It cannot be launched, or finds fault with its options.
    pub fn configuration(&self, work: &mut Work<'_>, more: &[&str]) -> Result<&Configuration, Trouble> {
        if let Some(known) = self.configuration.get() {
            return Ok(known);
        }
        let mut argv = vec![self.server.clone()];
        argv.extend(self.arguments.iter().cloned());
        argv.extend(["--verbose", "--help"].iter().chain(more).map(OsString::from));
        let line = self.arguments.iter().map(|word| format!(" {}", word.display())).collect::<String>();
        let what =
            format!("the check of the configuration ({}{line} --verbose --help)", self.server.display());
        let mut task = work.task(&what, argv);
        task.environment = self.without_secrets(&work.environment);
        task.keep = 2 * 1024 * 1024;
        let answer = work.crew.run(task)?.success(&what)?;
        let configuration = Configuration::parse(&answer.text());
        Ok(self.configuration.get_or_init(|| configuration))
    }

    /// What it said, if it was asked.
    pub fn configured(&self, name: &str) -> Option<&str> {
        self.configuration.get()?.get(name)
    }

    /// Where the data is to lie in the end.
    ///
    /// # Errors
    /// As [`configuration`](Self::configuration), or there is none.
    pub fn data_directory(&self, work: &mut Work<'_>, more: &[&str]) -> Result<PathBuf, Trouble> {
        let found = self.configuration(work, more)?.get("datadir").map(PathBuf::from);
        found.filter(|path| path.is_absolute()).ok_or_else(|| {
            Trouble::Other(format!("{} does not say where its data directory is", self.server.display()))
        })
    }

    /// Directories for what is configured to lie outside the data directory.
    pub fn directories(&self, work: &Work<'_>, files: &[&str]) -> Vec<(PathBuf, u32)> {
        let paths = files.iter().filter_map(|name| self.configured(name)).map(Path::new);
        let mut found = Vec::new();
        for parent in paths.filter(|path| path.is_absolute()).filter_map(Path::parent) {
            let is_below = below(parent, &work.final_data).is_some();
            let is_listed = found.iter().any(|(known, _): &(PathBuf, u32)| known == parent);
            if !is_below && !is_listed && parent != Path::new("/") && !is_shared(parent) {
                found.push((parent.to_owned(), 0o755));
            }
        }
        found
    }

    /// The temporary server's socket.
    pub fn socket(&self, work: &Work<'_>) -> PathBuf {
        work.private.join("mysqld.sock")
    }

    /// The temporary server: the real one's arguments, and after them what makes it ours alone.
    pub fn temporary(&self, work: &Work<'_>, more: &[&str]) -> Server {
        let mut argv = vec![self.server.clone()];
        argv.extend(self.arguments.iter().cloned());
        argv.extend(self.led_into(&work.data, &work.final_data));
        argv.push(option("--datadir=", &work.data));
        argv.push(option("--socket=", &self.socket(work)));
        argv.push(option("--pid-file=", &work.private.join("mysqld.pid")));
        argv.extend(
            ["--skip-networking", "--default-time-zone=SYSTEM"].iter().chain(more).map(OsString::from),
        );
        argv.extend(self.as_root(work));
        let environment = self.without_secrets(&work.environment);
        Server { argv, environment, directory: Some(work.data.clone()), ..Server::default() }
    }

    /// Both servers refuse to run as root unless they are told to.
    pub fn as_root(&self, work: &Work<'_>) -> Option<OsString> {
        let is_root = work.who.as_ref().map_or_else(|| nix::unistd::geteuid().is_root(), |who| who.uid == 0);
        is_root.then(|| OsString::from("--user=root"))
    }

    /// Options for all that is configured by absolute paths below the final data directory, which is
    /// not to be touched yet.
    pub fn led_into(&self, staging: &Path, place: &Path) -> Vec<OsString> {
        /// What is given anyway.
        const OWN: [&str; 3] = ["datadir", "socket", "pid-file"];
        let Some(configuration) = self.configuration.get() else { return Vec::new() };
        let values = configuration.values.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
        let led = values.filter_map(|(name, value)| {
            let rest = below(Path::new(value), place)?;
            let to = if rest.as_os_str().is_empty() { staging } else { &rest };
            Some(option(&format!("--loose-{name}="), to))
        });
        led.collect()
    }

    /// Whether the temporary server answers. "Access denied" is an answer, too: after a crash the
    /// password is set already.
    ///
    /// # Errors
    /// The client cannot be launched.
    pub fn answers(&self, work: &mut Work<'_>) -> Result<bool, Trouble> {
        // The socket is made last of all, and a look costs nothing: a client does, on a machine that is busy
        // with a server's start.
        let socket = self.socket(work);
        let mut looks = 0;
        while !socket.exists() {
            if looks == LOOKS {
                return Ok(false);
            }
            looks += 1;
            work.crew.pause(LOOK)?;
        }
        if !login::option_file(work).exists() {
            self.log_in_with(work, None)?;
        }
        if greets(&socket) {
            return Ok(true);
        }
        let task = self.question(work, "a question", Stdin::Bytes(b"SELECT 1;\n".to_vec()));
        let ended = work.crew.run(task)?;
        Ok(ended.is_success() || ended.complaint().contains("ERROR 1045"))
    }

    /// An environment without passwords and the paths of their files.
    pub fn without_secrets(&self, environment: &Variables) -> Variables {
        let secret = confidential(self.kind.known);
        let is_secret = |name: &OsStr| secret.iter().any(|secret| name == secret.as_str());
        environment.iter().filter(|(name, _)| !is_secret(name)).cloned().collect()
    }
}

/// Whether the server has spoken first, as it does to whoever it lets in: its greeting, in version 10 of the protocol
/// (MySQL's internals manual, "Connection Phase"). That takes no client, which would be a fork and some 20 ms.
fn greets(socket: &Path) -> bool {
    /// One that does not speak at once is asked by its client.
    const PATIENCE: Duration = Duration::from_millis(100);
    let Ok(mut stream) = UnixStream::connect(socket) else { return false };
    // Three bytes of length, the packet's number, the protocol's version; 255 in its place is an error.
    let mut greeting = [0; 5];
    stream.set_read_timeout(Some(PATIENCE)).is_ok()
        && stream.read_exact(&mut greeting).is_ok()
        && greeting[3..] == [0, 10]
}

/// A password nobody knows: some 24 random bytes in 32 letters, digits, `-` and `_`, with each kind among them, as servers
/// may be told to want it.
///
/// # Errors
/// There is no /dev/urandom.
pub fn random_password() -> std::io::Result<String> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut source = File::open("/dev/urandom")?;
    let kinds: [fn(char) -> bool; 4] = [
        |c| c.is_ascii_uppercase(),
        |c| c.is_ascii_lowercase(),
        |c| c.is_ascii_digit(),
        |c| matches!(c, '-' | '_'),
    ];
    loop {
        let mut bytes = [0u8; 32];
        source.read_exact(&mut bytes)?;
        // 256 is a multiple of 64: each is as likely as any other.
        let password: String = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 64)])).collect();
        if kinds.iter().all(|is_of| password.chars().any(is_of)) {
            return Ok(password);
        }
    }
}

/// Where below `place`, which is known and has no links in it, this configured path leads; none: elsewhere.
fn below(path: &Path, place: &Path) -> Option<PathBuf> {
    let is_told = path.is_absolute() && !place.as_os_str().is_empty();
    let real = is_told.then(|| ground::real(path).ok())??;
    real.strip_prefix(place).ok().map(Path::to_owned)
}

fn option(name: &str, path: &Path) -> OsString {
    let mut option = OsString::from(name);
    option.push(path);
    option
}

/// Directories that belong to everybody and are not to be given to one.
fn is_shared(directory: &Path) -> bool {
    ["/tmp", "/var/tmp", "/dev/shm", "/run", "/var/run", "/var/log", "/var/lib", "/etc", "/proc", "/dev"]
        .iter()
        .any(|shared| {
            directory == Path::new(shared) || directory.starts_with("/proc") || directory.starts_with("/dev")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_random_password_has_every_kind_of_character_that_a_server_may_want() {
        for _ in 0..200 {
            let password = random_password().unwrap();
            let has = |is_of: fn(u8) -> bool| password.bytes().any(is_of);
            let has_letters = has(|c| c.is_ascii_uppercase()) && has(|c| c.is_ascii_lowercase());
            let has_others = has(|c| c.is_ascii_digit()) && has(|c| c == b'-' || c == b'_');
            assert!(has_letters && has_others && password.len() == 32, "{password}");
        }
    }

    #[test]
    fn a_server_is_there_when_it_has_greeted_and_neither_before_nor_with_an_error() {
        let folder = std::env::temp_dir().join(format!("minisup-greets-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("s");
        assert!(!greets(&socket), "there is no socket");
        fs::write(&socket, "").unwrap();
        assert!(!greets(&socket), "it is a file");
        fs::remove_file(&socket).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        assert!(!greets(&socket), "nobody speaks");
        drop(listener.accept());
        for (bytes, expected) in [
            (&b"\x4a\x00\x00\x00\x0a5.5.5-10.11"[..], true),
            (b"\x17\x00\x00\x00\xff\x10\x04Too many connections", false),
            (b"\x4a\x00", false),
        ] {
            std::thread::scope(|scope| {
                scope.spawn(|| listener.accept().unwrap().0.write_all(bytes).unwrap());
                assert_eq!(greets(&socket), expected, "{bytes:?}");
            });
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
