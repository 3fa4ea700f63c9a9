//! What MySQL and MariaDB share: finding the programs, asking the server for its configuration, the
//! client, batches of SQL, time zones.
//!
//! - The server itself says where its data directory, its socket and its log files are
//!   (`--verbose --help`): it knows option files, groups and compiled-in defaults, and nobody else does. What
//!   lies below the final data directory is led into staging by a *relative* path: absolute ones are written into
//!   the index of the binary log, and would point nowhere after the rename.
//! - The password goes to the client in an option file of the private directory, read after all global ones. An
//!   environment variable (MYSQL_PWD) would give way to a `password` in /etc, and MySQL is about to drop it.
//! - Plain clients in scripts are led to the temporary server by MYSQL_HOME: its `my.cnf` is read after
//!   /etc/mysql, and Debian's has a `socket` that would win over MYSQL_UNIX_PORT.
//! - What a failed client says is cut to the server's message: the client repeats the whole statement
//!   before it, and statements hold passwords.

pub mod configuration;
pub mod rules;

use configuration::Configuration;
pub use configuration::{find, prints_and_exits};

use super::sql::Batch;
use super::zones::Zones;
use super::{Client, Failure, Known, Remark, Server, Variables, Work, remove_variable, set_variable};
use crate::init::Request;
use crate::init::crew::{Stdin, Task};
use crate::init::trouble::Trouble;
use crate::init::variables::{Given, Name, Reading, confidential};
use crate::init::voice;
use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where time zones lie (tzfile(5)).
const ZONEINFO: &str = "/usr/share/zoneinfo";

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
            let is_below = parent.starts_with(&work.final_data) && !work.final_data.as_os_str().is_empty();
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
        let Some(configuration) = self.configuration.get().filter(|_| !place.as_os_str().is_empty()) else {
            return Vec::new();
        };
        let values = configuration.values.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
        let led = values.filter_map(|(name, value)| {
            let rest = Path::new(value).strip_prefix(place).ok()?;
            let to = if rest.as_os_str().is_empty() { staging } else { rest };
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
        if !option_file(work).exists() {
            self.log_in_with(work, None)?;
        }
        let task = self.question(work, "a question", Stdin::Bytes(b"SELECT 1;\n".to_vec()));
        let ended = work.crew.run(task)?;
        Ok(ended.is_success() || ended.complaint().contains("ERROR 1045"))
    }

    /// From now on clients log in as root with this password.
    ///
    /// # Errors
    /// A file in the private directory cannot be written.
    pub fn log_in_with(&self, work: &Work<'_>, password: Option<&str>) -> Result<(), Trouble> {
        let escaped =
            password.map_or_else(String::new, |password| format!("\"{}\"", in_option_file(password)));
        let text = format!("[client]\npassword={escaped}\n");
        write_private(work, &option_file(work), text.as_bytes())?;
        let text = format!("[client]\nsocket={}\n", self.socket(work).display());
        write_private(work, &work.private.join("my.cnf"), text.as_bytes())?;
        Ok(())
    }

    /// The client with what all its uses share. `--defaults-extra-file` has to be first.
    fn client_argv(&self, work: &Work<'_>) -> Vec<OsString> {
        let mut argv = vec![self.client.clone(), option("--defaults-extra-file=", &option_file(work))];
        argv.extend(["--protocol=socket", "--user=root", "--host=localhost"].map(OsString::from));
        argv.push(option("--socket=", &self.socket(work)));
        argv.push(format!("--default-character-set={}", self.charset).into());
        argv
    }

    /// A client with our own SQL, which is UTF-8 whatever scripts are.
    fn question<'t>(&self, work: &Work<'_>, what: &str, stdin: Stdin<'t>) -> Task<'t> {
        let mut argv = self.client_argv(work);
        argv.pop();
        argv.extend(["--default-character-set=utf8mb4", "--binary-mode"].map(OsString::from));
        let environment = self.client_environment(work);
        Task { what: what.to_owned(), argv, environment, who: work.who.clone(), stdin, ..Task::default() }
    }

    /// The client that reads a script.
    pub fn script_client(&self, work: &Work<'_>) -> Client {
        let mut argv = self.client_argv(work);
        argv.extend(self.kind.client_always.iter().map(OsString::from));
        argv.extend(self.client_option.get().copied().flatten().map(OsString::from));
        argv.extend(self.text("DATABASE").map(|name| format!("--database={name}").into()));
        Client { argv, environment: self.client_environment(work) }
    }

    /// Learns what the client can, if there is anything for it to read.
    ///
    /// # Errors
    /// It cannot be launched.
    pub fn know_client(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        let has_scripts =
            |folder: &Path| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
        let mut folders = work.request.each_start.iter().chain([&work.request.directory]);
        if self.client_option.get().is_none() && folders.any(|folder| has_scripts(folder)) {
            let mut task = work.task("a look at the client", [self.client.as_os_str(), OsStr::new("--help")]);
            task.keep = 256 * 1024;
            task.environment = self.without_secrets(&work.environment);
            let help = work.crew.run(task)?.text();
            let (name, option) = self.kind.client_option;
            let has = help.lines().any(|line| line.split_whitespace().next() == Some(name));
            let _ = self.client_option.set(has.then_some(option));
        }
        Ok(())
    }

    /// A client finds our option files only, and no secret in its environment.
    fn client_environment(&self, work: &Work<'_>) -> Variables {
        let mut environment = self.without_secrets(&work.environment);
        lead_astray_no_more(&mut environment);
        // ~/.my.cnf is read last of all, and ~/.mylogin.cnf even later.
        set_variable(&mut environment, "HOME", &work.private);
        remove_variable(&mut environment, "MYSQL_TEST_LOGIN_FILE");
        environment
    }

    /// What scripts find: the variables under all their names, and the way to the temporary server.
    pub fn script_environment(&self, work: &Work<'_>) -> Variables {
        let mut environment = self.without_secrets(&work.environment);
        lead_astray_no_more(&mut environment);
        for (name, value) in self.given.environment() {
            set_variable(&mut environment, name, value);
        }
        for (name, value) in [
            ("MYSQL_HOME", work.private.as_os_str()),
            ("MYSQL_UNIX_PORT", self.socket(work).as_os_str()),
            ("SOCKET", self.socket(work).as_os_str()),
            ("DATADIR", work.data.as_os_str()),
            ("MINISUP_CLIENT", self.client.as_os_str()),
            ("MINISUP_CLIENT_OPTIONS", option_file(work).as_os_str()),
        ] {
            set_variable(&mut environment, name, value);
        }
        environment
    }

    /// An environment without passwords and the paths of their files.
    pub fn without_secrets(&self, environment: &Variables) -> Variables {
        let secret = confidential(self.kind.known);
        let is_secret = |name: &OsStr| secret.iter().any(|secret| name == secret.as_str());
        environment.iter().filter(|(name, _)| !is_secret(name)).cloned().collect()
    }

    /// Runs a batch as root.
    ///
    /// # Errors
    /// [`Trouble::Program`], which says what could not be done and what the server said, and no statement.
    pub fn run(&self, work: &mut Work<'_>, batch: &Batch) -> Result<(), Trouble> {
        let what = "setting up the database".to_owned();
        let task = self.question(work, &what, Stdin::Bytes(batch.text()));
        let ended = work.crew.run(task)?;
        if ended.is_success() {
            return Ok(());
        }
        let failure = failure(&ended.complaint()).unwrap_or_default();
        let purpose = failure.line.and_then(|line| batch.purpose_of_line(line));
        Err(Trouble::Program {
            what: purpose.map_or(what, str::to_owned),
            outcome: ended.outcome,
            tail: self.redacted(&failure.message),
        })
    }

    /// Logs in with what the variables say, and nothing else.
    ///
    /// # Errors
    /// The server does not take it.
    pub fn knock(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        let what = "logging in as root@localhost";
        let task = self.question(work, what, Stdin::Bytes(b"SELECT 1;\n".to_vec()));
        let ended = work.crew.run(task)?;
        if ended.complaint().contains("ERROR 1045") {
            return Err(Trouble::Other(format!(
                "root@localhost does not take the password in {}: was it changed since?",
                self.full("ROOT_PASSWORD")
            )));
        }
        ended.success(what).map(drop)
    }

    /// A server's message without the values of secrets: the syntax error of a server quotes what it read.
    fn redacted(&self, message: &str) -> String {
        /// Shorter ones would blacken half of every message.
        const SHORTEST: usize = 4;
        let secrets = self.kind.known.iter().filter(|known| known.is_secret);
        let values = secrets.filter_map(|known| self.given.get(known.name)?.to_str());
        let values = values.filter(|value| value.len() >= SHORTEST);
        values.fold(message.to_owned(), |text, value| text.replace(value, "***"))
    }

    /// Fills the tables of time zones, unless that is switched off or there are none to be had.
    ///
    /// # Errors
    /// The server refused something.
    pub fn load_time_zones(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        if self.is_set("INITDB_SKIP_TZINFO") {
            return Ok(());
        }
        let tool = find(self.kind.zone_tools, &self.environment);
        if !Path::new(ZONEINFO).is_dir() || !tool.as_bytes().contains(&b'/') {
            let missing = if tool.as_bytes().contains(&b'/') { ZONEINFO.into() } else { tool };
            voice::tell(format_args!(
                "warning: there is no {}, so named time zones are not loaded: install it, or set {} to say that none are wanted",
                missing.display(),
                self.full("INITDB_SKIP_TZINFO")
            ));
            return Ok(());
        }
        let file = work.private.join("zones.sql");
        // A shell for its `>`: what is 5 MB long is not held in memory.
        let argv = ["sh", "-c", r#"exec "$1" "$2" > "$3""#, "sh"].map(OsString::from);
        let argv = argv.into_iter().chain([tool, ZONEINFO.into(), file.clone().into_os_string()]);
        let what = "reading the time zones";
        let mut task = work.task(what, argv);
        task.environment = self.without_secrets(&work.environment);
        // It complains of each file below /usr/share/zoneinfo that is none.
        work.crew.run(task)?.success(what)?;
        let input = File::open(&file).map_err(|error| Trouble::io("read", &file, error))?;
        // Abbreviations that are too long are cut, as the images do with one of them.
        let preface = "SET @@SESSION.sql_mode = '';\nSET @@SESSION.sql_log_bin = 0;\n";
        let mut zones = Zones::new(preface, BufReader::new(input));
        let what = "loading the time zones";
        let mut task = self.question(work, what, Stdin::Feed(&mut zones));
        task.argv.push("--database=mysql".into());
        let ended = work.crew.run(task)?;
        let _ = fs::remove_file(&file);
        ended.success(what).map(drop)
    }
}

/// What a failed client said last. `at line N in file: '…'` is a line of a file that it was told
/// to read, not of the script.
pub fn failure(stderr: &str) -> Option<Failure> {
    let message = stderr.lines().rev().find(|line| line.starts_with("ERROR "))?;
    let line = message.split_once(" at line ").and_then(|(_, rest)| {
        let (number, rest) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        number.parse().ok().filter(|_| rest.starts_with(':'))
    });
    Some(Failure { line, message: message.to_owned() })
}

/// Creates a file that only the server's user may read.
///
/// # Errors
/// [`Trouble::Io`].
pub fn write_private(work: &Work<'_>, path: &Path, bytes: &[u8]) -> Result<(), Trouble> {
    let trouble = |error| Trouble::io("write", path, error);
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(trouble)?;
    file.write_all(bytes).map_err(trouble)?;
    if let Some(who) = &work.who {
        std::os::unix::fs::fchown(&file, Some(who.uid), Some(who.gid)).map_err(trouble)?;
    }
    Ok(())
}

/// A password nobody knows: 24 random bytes in 32 letters, digits, `-` and `_`.
///
/// # Errors
/// There is no /dev/urandom.
pub fn random_password() -> std::io::Result<String> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = [0u8; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    // 256 is a multiple of 64: each is as likely as any other.
    Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 64)])).collect())
}

/// After a crash nobody knows a password that was drawn at random.
///
/// # Errors
/// It was: all begins again, with another one.
pub fn refuse_random(family: &Family) -> Result<(), Trouble> {
    match family.is_set("RANDOM_ROOT_PASSWORD") {
        true => Err(Trouble::Other(
            "root's random password was drawn by the start before and is not known".into(),
        )),
        false => Ok(()),
    }
}

/// What scripts that are sourced expect of the images' entrypoint.
pub const PRELUDE: &str = include_str!("family/prelude.sh");

/// Variables that lead a client elsewhere.
fn lead_astray_no_more(environment: &mut Variables) {
    for name in
        ["MYSQL_HOST", "MYSQL_TCP_PORT", "MYSQL_PWD", "MYSQL_GROUP_SUFFIX", "MARIADB_HOME", "MYSQL_HOME"]
    {
        remove_variable(environment, name);
    }
}

fn option_file(work: &Work<'_>) -> PathBuf {
    work.private.join("root.cnf")
}

fn option(name: &str, path: &Path) -> OsString {
    let mut option = OsString::from(name);
    option.push(path);
    option
}

/// A value between quotes in an option file (MySQL manual, "Using Option Files").
fn in_option_file(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            _ => out.push(c),
        }
    }
    out
}

/// Directories that belong to everybody and are not to be given to one.
fn is_shared(directory: &Path) -> bool {
    ["/tmp", "/var/tmp", "/dev/shm", "/run", "/var/run", "/var/log", "/var/lib", "/etc", "/proc", "/dev"]
        .iter()
        .any(|shared| {
            directory == Path::new(shared) || directory.starts_with("/proc") || directory.starts_with("/dev")
        })
}
