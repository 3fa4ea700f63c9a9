//! MongoDB: a server that makes its own files, and mongosh.
//!
//! As the official image does it, and differently in these points:
//!
//! - The temporary server listens on a socket in a directory of its own and on nothing else: the image's is
//!   open to the network of the container, without a password. Plain `mongosh`, `mongoimport` and the
//!   like in sourced scripts are led to it by functions of that name, and `"${mongo[@]}"` is there in bash.
//! - It stays in the foreground and is ours: a script that fails leaves no server behind.
//! - It answers when its socket can be connected to, not when a shell of half a second's start could.
//! - What makes the user is a script in the private directory, gone before anything else is done; each value in
//!   it is a literal of JSON, which any text can be.

mod settings;

use super::{Client, Engine, Failure, Kinds, Known, Level, Remark, Server, Variables, Work, set_variable};
use crate::init::Request;
use crate::init::directories::write_private;
use crate::init::programs;
use crate::init::trouble::Trouble;
use crate::init::variables::{Given, Name};
use settings::File;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

const PROGRAM: &str = "mongod";
const USERNAME: &str = "MONGO_INITDB_ROOT_USERNAME";
const PASSWORD: &str = "MONGO_INITDB_ROOT_PASSWORD";
const DATABASE: &str = "MONGO_INITDB_DATABASE";

/// Where the user lives.
const USERS: &str = "admin";

/// The variables of the official image.
const KNOWN: &[Name] = &[Name::with_file(USERNAME), Name::secret(PASSWORD), Name::plain(DATABASE)];

/// The shells, the newer first.
const SHELLS: [&str; 2] = ["mongosh", "mongo"];

/// Said when only one of the pair is there.
const PAIR: &str = "missing 'MONGO_INITDB_ROOT_USERNAME' or 'MONGO_INITDB_ROOT_PASSWORD': \
                    both must be specified for a user to be created";

/// Any of these in it means that a server has been at work there.
const MARKS: [&str; 4] = ["WiredTiger", "journal", "local.0", "storage.bson"];

/// Arguments with which the server says something and ends: there is nothing to be initialised.
const SAYS_AND_ENDS: [&str; 5] = ["--help", "-h", "--version", "--sysinfo", "--outputConfig"];

/// MongoDB's first start.
pub struct Mongodb {
    given: Given,
    remarks: Vec<Remark>,
    /// The server's name or path.
    server: OsString,
    /// The real server's arguments, without its name.
    arguments: Vec<String>,
    /// The file that they name.
    file: Option<File>,
    shell: OsString,
}

impl Mongodb {
    /// With the variables of the request's environment, its server's arguments, and the file that they name.
    pub fn new(request: &Request) -> Mongodb {
        let reading = Given::read(KNOWN, request.environment.iter().cloned());
        let (given, mut remarks) = (reading.given, reading.remarks);
        if given.is_set(USERNAME) != given.is_set(PASSWORD) {
            remarks.push(Remark::error(PAIR));
        }
        for name in [USERNAME, PASSWORD, DATABASE] {
            if given.bytes(name).is_some_and(|value| std::str::from_utf8(value).is_err()) {
                remarks.push(Remark::error(format!("{name} is not UTF-8: MongoDB would refuse it")));
            }
        }
        if let Some(name) = given.get(DATABASE).and_then(OsStr::to_str) {
            remarks.extend(database_fault(name).map(Remark::error));
        }
        remarks.extend(processor_fault().map(Remark::warning));
        let is_option = |word: &OsString| word.as_bytes().starts_with(b"-");
        let named = request.server.first().filter(|word| !is_option(word));
        let arguments = request.server.iter().skip(usize::from(named.is_some()));
        let arguments: Vec<String> = arguments.map(|word| word.to_string_lossy().into_owned()).collect();
        let file = read_settings(&arguments, &mut remarks);
        let server = named.cloned().unwrap_or_else(|| PROGRAM.into());
        let shell = shell(&server, super::variable(&request.environment, "PATH"));
        Mongodb { given, remarks, server, arguments, file, shell }
    }

    /// Whether a user is to be made.
    fn has_user(&self) -> bool {
        self.given.is_set(USERNAME) && self.given.is_set(PASSWORD)
    }

    /// Which database the scripts run in.
    fn database(&self) -> String {
        self.given.get(DATABASE).map_or_else(|| "test".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    /// The port is only the end of the socket's name, since nothing listens on it.
    fn port(&self) -> String {
        let written = || self.file.as_ref().and_then(|file| file.get("net.port"));
        settings::value(&self.arguments, "--port")
            .map(str::to_owned)
            .or_else(written)
            .unwrap_or_else(|| "27017".to_owned())
    }

    fn socket(&self, work: &Work<'_>) -> PathBuf {
        work.private.join(format!("mongodb-{}.sock", self.port()))
    }

    /// Where a database is, for the shell: the socket's path with everything but letters and digits encoded.
    fn uri(&self, work: &Work<'_>, database: &str) -> String {
        format!("mongodb://{}/{}", encoded(self.socket(work).as_os_str()), encoded(OsStr::new(database)))
    }

    fn environment_of_shell(&self, work: &Work<'_>) -> Variables {
        let mut environment = work.environment.clone();
        // mongosh writes its history there: in the image, HOME is the data directory.
        set_variable(&mut environment, "HOME", &work.private);
        environment
    }

    /// Runs a script of our own, which is in no process list and no file that lasts.
    fn script(&self, work: &mut Work<'_>, what: &str, text: &str) -> Result<(), Trouble> {
        let file = work.private.join("minisup.js");
        write_private(work, &file, text.as_bytes())?;
        let mut task = work.task(what, [&self.shell]);
        task.argv.extend(["--quiet".into(), self.uri(work, USERS).into(), file.clone().into()]);
        task.environment = self.environment_of_shell(work);
        let ended = work.crew.run(task);
        let _ = fs::remove_file(&file);
        ended?.success(what).map(drop)
    }
}

impl Engine for Mongodb {
    fn name(&self) -> &'static str {
        "mongodb"
    }

    fn accounts(&self) -> &'static [&'static str] {
        &["mongodb", "mongod"]
    }

    fn variables(&self) -> Vec<Known> {
        self.given.known(KNOWN)
    }

    fn check(&self) -> Vec<Remark> {
        self.remarks.clone()
    }

    /// Without a user to be made and without scripts the server makes its files itself, when it starts.
    fn needs_nothing(&self, has_scripts: bool) -> bool {
        let says_and_ends = SAYS_AND_ENDS.iter().any(|option| settings::has(&self.arguments, option));
        let is_asked = self.given.is_set(USERNAME) || self.given.is_set(PASSWORD);
        let is_wrong = self.remarks.iter().any(|remark| remark.level == Level::Error);
        says_and_ends || (!is_asked && !is_wrong && !has_scripts)
    }

    fn data_directory(&self, _: &mut Work<'_>) -> Result<PathBuf, Trouble> {
        let file = self.file.as_ref();
        let given = settings::value(&self.arguments, "--dbpath").map(str::to_owned);
        if let Some(given) = given.or_else(|| file?.get("storage.dbPath")) {
            return Ok(PathBuf::from(given));
        }
        let role = file.and_then(|file| file.get("sharding.clusterRole"));
        let is_configuration =
            settings::has(&self.arguments, "--configsvr") || role.as_deref() == Some("configsvr");
        Ok(PathBuf::from(if is_configuration { "/data/configdb" } else { "/data/db" }))
    }

    fn server_version(&self, work: &mut Work<'_>) -> Result<String, Trouble> {
        let what = "asking for the server's version";
        let mut task = work.task(what, [&self.server]);
        task.argv.push("--version".into());
        let text = work.crew.run(task)?.success(what)?.text();
        Ok(text.lines().next().unwrap_or_default().trim().to_owned())
    }

    fn is_data(&self, directory: &Path) -> bool {
        MARKS.iter().any(|name| directory.join(name).exists())
    }

    fn kinds(&self) -> Kinds {
        Kinds { javascript: true, always_sourced: true, ..Kinds::default() }
    }

    /// The server fills it.
    fn initialise(&self, _: &mut Work<'_>) -> Result<(), Trouble> {
        Ok(())
    }

    fn server(&self, work: &Work<'_>) -> Server {
        let mut argv = vec![self.server.clone()];
        argv.extend(settings::temporary(&self.arguments, self.has_user()).into_iter().map(OsString::from));
        let text = self.file.as_ref().and_then(|file| file.temporary(self.has_user()));
        let file = work.private.join("mongod.conf");
        if let Some(text) = text
            && write_private(work, &file, text.as_bytes()).is_ok()
        {
            argv.extend(["--config".into(), file.into()]);
        }
        let pairs: [(&str, OsString); 4] = [
            ("--dbpath", work.data.clone().into()),
            ("--port", self.port().into()),
            ("--unixSocketPrefix", work.private.clone().into()),
            // Nothing but a socket; the other one, with the port in its name, there is always.
            ("--bind_ip", work.private.join("mongod.sock").into()),
        ];
        for (name, value) in pairs {
            argv.extend([name.into(), value]);
        }
        Server { argv, environment: work.environment.clone(), ..Server::default() }
    }

    fn answers(&self, work: &mut Work<'_>) -> Result<bool, Trouble> {
        match UnixStream::connect(self.socket(work)) {
            Ok(_) => {}
            Err(error)
                if [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused].contains(&error.kind()) =>
            {
                return Ok(false);
            }
            // Not ours to open, perhaps: the shell will say.
            Err(_) => {}
        }
        let mut task = work.task("asking whether the server answers", [&self.shell]);
        task.argv.extend(["--quiet".into(), self.uri(work, USERS).into(), "--eval".into(), "quit(0)".into()]);
        task.environment = self.environment_of_shell(work);
        Ok(work.crew.run(task)?.is_success())
    }

    fn set_up(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        if !self.has_user() {
            return Ok(());
        }
        let text = |name| self.given.get(name).unwrap_or_default().to_string_lossy().into_owned();
        let script = format!(
            "db.getSiblingDB({users}).createUser({{\n  user: {user},\n  pwd: {password},\n  roles: [{{ role: \"root\", db: {users} }}]\n}});\n",
            users = literal(USERS),
            user = literal(&text(USERNAME)),
            password = literal(&text(PASSWORD)),
        );
        self.script(work, "making the root user", &script)
    }

    fn client(&self, work: &Work<'_>, script: &Path) -> Client {
        let is_plain = script.extension().is_some_and(|ending| ending == "js");
        // What is packed comes by the pipe; the shell's own stdin would be a session, where errors do not count.
        let file = if is_plain { script.as_os_str() } else { OsStr::new("/dev/stdin") };
        let uri = self.uri(work, &self.database());
        let argv = vec![self.shell.clone(), "--quiet".into(), uri.into(), file.to_owned()];
        Client { argv, environment: self.environment_of_shell(work) }
    }

    fn environment(&self, work: &Work<'_>) -> Variables {
        let mut environment = Variables::new();
        for (name, value) in self.given.environment() {
            set_variable(&mut environment, name, value);
        }
        // The image's scripts run with `set -u`.
        for name in [USERNAME, PASSWORD] {
            set_variable(&mut environment, name, self.given.get(name).unwrap_or_default());
        }
        set_variable(&mut environment, DATABASE, self.database());
        set_variable(&mut environment, "MINISUP_MONGO_SHELL", &self.shell);
        // Without a database: `$MINISUP_MONGO_URI/name`.
        set_variable(&mut environment, "MINISUP_MONGO_URI", self.uri(work, "").trim_end_matches('/'));
        set_variable(&mut environment, "HOME", &work.private);
        environment
    }

    fn prelude(&self) -> &'static str {
        include_str!("mongodb/prelude.sh")
    }

    fn failure(&self, stderr: &str) -> Option<Failure> {
        failure(stderr)
    }
}

/// The file that `--config` names.
fn read_settings(arguments: &[String], remarks: &mut Vec<Remark>) -> Option<File> {
    let named = settings::value(arguments, "--config").or_else(|| settings::value(arguments, "-f"))?;
    let text = match fs::read_to_string(named) {
        Ok(text) => text,
        Err(error) => {
            remarks.push(Remark::error(format!("cannot read {named}, named by --config: {error}")));
            return None;
        }
    };
    match File::parse(&text) {
        Ok(file) => {
            if matches!(file, File::Ini(_)) {
                remarks.push(Remark::warning(format!(
                    "{named} has the form of MongoDB 2.4 (name = value): the temporary server runs without it"
                )));
            }
            Some(file)
        }
        Err(fault) => {
            remarks.push(Remark::error(format!("cannot read {named}, named by --config: {fault}")));
            None
        }
    }
}

/// mongosh, or the older mongo: beside the server if that was given with its path, else on PATH.
fn shell(server: &OsStr, path: Option<&OsStr>) -> OsString {
    let beside = Path::new(server).parent().filter(|directory| !directory.as_os_str().is_empty());
    let on_path = path.into_iter().flat_map(std::env::split_paths);
    programs::first_or_name(&SHELLS, beside.map(Path::to_owned).into_iter().chain(on_path))
}

/// Names that MongoDB refuses (limits of names in its manual): under 64 bytes, without these characters.
fn database_fault(name: &str) -> Option<String> {
    if name.len() > 63 {
        return Some(format!("{DATABASE} is {} bytes long, and MongoDB's names have at most 63", name.len()));
    }
    let wrong = name.chars().find(|c| "/\\. \"$\0".contains(*c))?;
    Some(format!("{DATABASE} contains {wrong:?}, which no name of a database of MongoDB may"))
}

/// MongoDB since 5.0 ends with "illegal instruction" on older processors.
fn processor_fault() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let (line, needed, name): (_, &[&str], _) = match std::env::consts::ARCH {
        "x86_64" => ("flags", &["avx"], "a CPU with AVX support"),
        "aarch64" => (
            "Features",
            &["fphp", "dcpop", "sha3", "sm3", "sm4", "asimddp", "sha512", "sve"],
            "ARMv8.2-A or higher",
        ),
        _ => return None,
    };
    let flags = text.lines().find(|found| found.starts_with(line))?;
    let has = flags.split_whitespace().any(|flag| needed.contains(&flag));
    (!has).then(|| {
        format!("MongoDB 5.0+ requires {name}, and your current system does not appear to have that")
    })
}

/// A literal of JavaScript: JSON, and the two ends of lines that JSON allows in texts and older JavaScript does not.
fn literal(text: &str) -> String {
    let json = serde_json::Value::String(text.to_owned()).to_string();
    json.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// Everything but letters, digits and `-_.~` as `%XX` (RFC 3986, section 2).
fn encoded(text: &OsStr) -> String {
    let mut encoded = String::new();
    for byte in text.as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(*byte))
            }
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// The exception that ended it, and where: `at /x/a.js:12:3`, `@/x/a.js:12:3`.
fn failure(stderr: &str) -> Option<Failure> {
    let is_error = |line: &&str| {
        let word =
            line.trim_start().trim_start_matches("uncaught exception: ").split(':').next().unwrap_or("");
        word.ends_with("Error") && !word.contains(char::is_whitespace)
    };
    let message = stderr.lines().rfind(is_error)?.trim().to_owned();
    let place = |line: &str| {
        let end = line.find(".js:")? + ".js:".len();
        let digits = line[end..].split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    };
    Some(Failure { line: stderr.lines().find_map(place), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_a_literal() {
        assert_eq!(literal("a\"b\\c\nd\u{2028}😀"), "\"a\\\"b\\\\c\\nd\\u2028😀\"");
    }

    #[test]
    fn a_socket_s_path_is_encoded() {
        assert_eq!(encoded(OsStr::new("/run/a b/mongodb-1.sock")), "%2Frun%2Fa%20b%2Fmongodb-1.sock");
    }

    #[test]
    fn an_exception_has_its_message_and_line() {
        let stderr = "ReferenceError: foo is not defined\n    at Object.<anonymous> (/init/10.js:12:3)\n";
        let expected = Failure { line: Some(12), message: "ReferenceError: foo is not defined".into() };
        assert_eq!(failure(stderr), Some(expected));
        assert_eq!(failure("something else"), None);
    }
}
