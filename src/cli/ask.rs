//! What all commands that talk to a supervisor have in common: where it is looked for, one
//! question with one answer, and what becomes of an answer that is a no.

use super::{complain, text};
use crate::control::client::{Client, Unreachable};
use crate::control::place;
use crate::control::wire::{ErrorKind, Reply, Request, Status};
use crate::core::exit::code;
use crate::sys::pid1;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an answer may take that the supervisor gives at once. It is one thread that never
/// blocks: who waits longer waits for one that is stopped or has hung.
const AT_ONCE: Duration = Duration::from_secs(10);

/// Where the supervisor is.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Socket {
    /// The supervisor's control socket [default: $MINISUP_SOCKET, or where it would be]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// Why a command failed.
#[derive(Debug)]
pub struct Trouble {
    /// The exit code.
    pub code: u8,
    /// In words.
    pub text: String,
    /// The last lines of a service, and its name.
    pub log: Option<(String, Vec<String>)>,
}

impl Socket {
    /// This one.
    pub fn at(path: PathBuf) -> Socket {
        Socket { socket: Some(path) }
    }

    /// Where to look: the one that was named, and nowhere else, for `stop all` is not for whichever
    /// supervisor happens to answer; or else all the places where one may have put its socket.
    fn places(&self) -> Vec<PathBuf> {
        let variable = || std::env::var_os("MINISUP_SOCKET").filter(|path| !path.is_empty());
        match self.socket.clone().or_else(|| variable().map(PathBuf::from)) {
            Some(named) => vec![named],
            None => place::of_client(Path::new(place::DEFAULT), pid1::own_uid()),
        }
    }

    /// Connects to the first supervisor that listens.
    ///
    /// # Errors
    /// None does, or none that we may ask.
    pub fn connect(&self) -> Result<Client, Trouble> {
        let places = self.places();
        let mut forbidden = None;
        let mut silent = Vec::new();
        for place in &places {
            match Client::connect(place) {
                Ok(client) => return Ok(client),
                Err(Unreachable::NotPermitted(error)) => forbidden = forbidden.or(Some((place, error))),
                Err(Unreachable::NoSupervisor(error)) => {
                    silent.push(format!("{} ({})", place.display(), why(&error)));
                }
            }
        }
        if let Some((place, error)) = forbidden {
            let text = format!(
                "cannot ask the supervisor at {}: {}\n\
                 Its own user and root may, and whoever is in `control_group` of its [supervisor].",
                place.display(),
                why(&error)
            );
            return Err(Trouble::new(code::NOT_PERMITTED, text));
        }
        let text = format!(
            "no supervisor at {}\nName another socket with --socket PATH or $MINISUP_SOCKET.",
            silent.join(", ")
        );
        Err(Trouble::new(code::NO_SUPERVISOR, text))
    }

    /// One question that is answered at once.
    ///
    /// # Errors
    /// There is no answer, or it is a no.
    pub fn ask(&self, request: &Request) -> Result<Reply, Trouble> {
        answer(&mut self.connect()?, request)
    }
}

/// One question that is answered at once.
///
/// # Errors
/// There is no answer, or it is a no.
pub fn answer(client: &mut Client, request: &Request) -> Result<Reply, Trouble> {
    client.ask(request).map_err(|error| Trouble::lost(&error))?;
    next(client, Some(AT_ONCE))
}

/// How these are.
///
/// # Errors
/// As [`answer`].
pub fn status(client: &mut Client, names: &[String]) -> Result<Status, Trouble> {
    match answer(client, &Request::Status { names: names.to_vec() })? {
        Reply::Status(status) => Ok(status),
        other => Err(Trouble::surprise(&other)),
    }
}

/// The last lines that a service has written since its last launch; none where they cannot be had.
pub fn last_lines(client: &mut Client, service: &str, count: u32) -> Vec<String> {
    let names = vec![service.to_owned()];
    let mut lines = Vec::new();
    if client.ask(&Request::Logs { names, lines: Some(count), follow: false, last_launch: true }).is_ok() {
        while let Ok(Reply::Log(line)) = next(client, Some(AT_ONCE)) {
            lines.push(line.message);
        }
    }
    lines
}

/// The next reply that is no refusal.
///
/// # Errors
/// There is none, or it is a no.
pub fn next(client: &mut Client, within: Option<Duration>) -> Result<Reply, Trouble> {
    match client.next(within) {
        Ok(Some(reply)) => granted(reply),
        Ok(None) => Err(Trouble::gone()),
        Err(error) => Err(Trouble::lost(&error)),
    }
}

/// What a reply means that says no.
///
/// # Errors
/// It says no.
pub fn granted(reply: Reply) -> Result<Reply, Trouble> {
    match reply {
        Reply::Failed { message, service, log } => {
            let log = (!log.is_empty()).then(|| (service.unwrap_or_default(), log));
            Err(Trouble { code: code::FAILED, text: message, log })
        }
        Reply::Error { error, message } => Err(Trouble::new(
            match error {
                ErrorKind::NotPermitted => code::NOT_PERMITTED,
                ErrorKind::UnknownName | ErrorKind::Busy | ErrorKind::BadVersion => code::FAILED,
                // The form of it is ours and right; what is in it came from the command line.
                ErrorKind::BadRequest => code::USAGE,
                ErrorKind::BadConfiguration => code::CONFIGURATION,
            },
            message,
        )),
        Reply::Done
        | Reply::Status(_)
        | Reply::Health(_)
        | Reply::Updated(_)
        | Reply::Event(_)
        | Reply::Log(_) => Ok(reply),
    }
}

impl Trouble {
    /// Without the lines of a service.
    pub fn new(code: u8, text: impl Into<String>) -> Trouble {
        Trouble { code, text: text.into(), log: None }
    }

    /// The supervisor has closed the connection.
    pub fn gone() -> Trouble {
        Trouble::new(code::NO_SUPERVISOR, "the supervisor has ended")
    }

    /// The connection failed.
    pub fn lost(error: &io::Error) -> Trouble {
        match error.kind() {
            io::ErrorKind::TimedOut => Trouble::new(
                code::NO_SUPERVISOR,
                format!("no answer from the supervisor in {}", text::duration(AT_ONCE)),
            ),
            io::ErrorKind::InvalidData => {
                Trouble::new(code::INTERNAL, format!("cannot understand the supervisor: {error}"))
            }
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Trouble::gone(),
            _ => Trouble::new(code::NO_SUPERVISOR, format!("cannot ask the supervisor: {}", why(error))),
        }
    }

    /// An answer to another question.
    pub fn surprise(reply: &Reply) -> Trouble {
        Trouble::new(code::INTERNAL, format!("the supervisor answers something else: {reply:?}"))
    }

    /// Says it on stderr. Returns the exit code.
    pub fn say(&self) -> u8 {
        match self.code {
            // As `check` says it: each error with its place.
            code::CONFIGURATION => complain(format_args!("{}\n\nnothing has changed", self.text)),
            _ => complain(format_args!("minisup: {}", self.text)),
        }
        if let Some((service, lines)) = &self.log {
            let of = if service.is_empty() { String::new() } else { format!(" of {service}") };
            complain(format_args!("the last lines{of}:"));
            for line in lines {
                complain(format_args!("  {}", text::tame(line)));
            }
        }
        self.code
    }
}

/// The same; `for_programs` a failure is a document on stdout, with the fields of the protocol's
/// `failed`. What is wrong with the question, or with the connection, is said to people all the same.
pub fn ended_for(for_programs: bool, result: Result<u8, Trouble>) -> u8 {
    match result {
        Err(trouble) if for_programs && trouble.code == code::FAILED => {
            let (service, log) = trouble.log.unzip();
            let failed = serde_json::json!({
                "message": trouble.text,
                "service": service,
                "log": log.unwrap_or_default(),
            });
            super::say(&format!("{failed:#}"));
            trouble.code
        }
        result => ended(result),
    }
}

/// What a command has come to: its exit code, after what went wrong has been said.
pub fn ended(result: Result<u8, Trouble>) -> u8 {
    result.unwrap_or_else(|trouble| trouble.say())
}

/// The kernel's words without Rust's number behind them.
pub fn why(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_lowercase(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nobody_listens_it_says_where_and_what_can_be_done() {
        let socket = Socket::at(PathBuf::from("/nowhere/s"));
        let trouble = socket.connect().unwrap_err();
        assert_eq!(trouble.code, code::NO_SUPERVISOR);
        assert!(trouble.text.contains("at /nowhere/s (no such file or directory)"), "{}", trouble.text);
        assert!(trouble.text.contains("--socket PATH or $MINISUP_SOCKET"), "{}", trouble.text);
    }

    #[test]
    fn every_no_has_its_exit_code() {
        let of = |error| granted(Reply::Error { error, message: String::new() }).unwrap_err().code;
        assert_eq!(of(ErrorKind::NotPermitted), 77);
        assert_eq!(of(ErrorKind::BadConfiguration), 78);
        assert_eq!(of(ErrorKind::UnknownName), 1);
        let failed = Reply::Failed { message: "no".into(), service: None, log: vec!["last".into()] };
        assert_eq!(granted(failed).unwrap_err().log.unwrap().1, ["last"]);
    }
}
