//! One file per subcommand; the only room that prints for people.
//!
//! - [`run`]: the supervisor
//! - [`exec`]: one command and the smallest init around it; also as tini, dumb-init, catatonit
//! - [`check`]: whether a configuration can be run, and what would run
//! - [`init`]: a database's first start
//! - [`render`]: templates into files
//! - [`probe`]: asks a server one question; [`gzip`]: compresses an old log file;
//!   [`envsh`]: sources a script and hands on what it exports; [`pid_file`]: writes one anew; launched by the supervisor
//!
//! What talks to a supervisor:
//!
//! - [`status`], [`health`], [`logs`], [`events`]: look
//! - [`change`] (start, stop, restart, reload), [`kill`] (signal), [`update`], [`shutdown`]: change
//! - [`await_state`] (wait): waits
//! - [`ask`]: finds it and asks; [`patience`]: waits for what takes its time; [`text`]: words for people
//!
//! - [`completions`]: of the shell, and pages for man(1)
#![forbid(unsafe_code)]

pub mod ask;
pub mod await_state;
pub mod change;
pub mod check;
pub mod completions;
pub mod envsh;
pub mod events;
pub mod exec;
pub mod gzip;
pub mod health;
pub mod init;
pub mod kill;
pub mod logs;
pub mod patience;
pub mod pid_file;
pub mod probe;
pub mod render;
pub mod run;
pub mod shutdown;
pub mod status;
pub mod text;
pub mod update;

use crate::control::client::Client;
use crate::core::exit::code;
use change::Change;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicI32, Ordering};

/// PID 1 for containers that run more than one process: it launches services in order, keeps
/// them up, stops them well, and its exit code tells the truth.
#[derive(Parser, Debug)]
#[command(name = "minisup", version, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
#[command(override_usage = "minisup [run] [--config FILE]... [-- COMMAND...]\n       minisup COMMAND ...")]
#[command(after_help = "\
Without a command: run. Start with `minisup check --plan`, which shows what would run.
`minisup COMMAND --help` tells more. Names of services may be globs (\"web*\") or \"all\".
What asks a supervisor takes --socket PATH, or $MINISUP_SOCKET.
Exit codes: 0; 1 it failed; 2 the command line is wrong; 3 not running (status); 69 no supervisor;
77 not permitted; 78 the configuration is wrong.")]
pub struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Args,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the services of a configuration: the supervisor
    #[command(after_help = "\
Exit code: 0 after an asked stop in which all ended in time, or when all have ended well; else that
of the essential service that failed (128 + its signal); 78 the configuration is wrong.
Signals: TERM, INT, QUIT stop, twice at once; HUP updates; USR1 opens log files anew.")]
    Run(run::Args),
    /// Check a configuration: all errors, known traps; with --plan, what would run and why
    Check(check::Args),
    /// Run one command: the smallest honest init around it
    Exec(exec::Args),
    /// Make a database's first start: data directory, users, scripts
    Init(init::Args),
    /// Show how the services are
    Status(status::Args),
    /// Say whether the container is well, in one line: for HEALTHCHECK
    Health(health::Args),
    /// Show what services have written
    Logs(logs::Args),
    /// Follow what happens
    Events(events::Args),
    /// Start services, and wait until they are ready
    Start(change::Args),
    /// Stop services and those that require them, and wait until they are down
    Stop(change::Args),
    /// Replace the processes of services, and wait until the new ones are ready
    Restart(change::Args),
    /// Have services read their own configuration again, if their check finds it good
    Reload(change::Args),
    /// Send a signal to the main processes of services
    Signal(kill::Args),
    /// Wait until services are ready, or in another state
    Wait(await_state::Args),
    /// Read the configuration again, show the difference, and apply it
    Update(update::Args),
    /// Stop everything in order and end
    Shutdown(shutdown::Args),
    /// Turn templates into files, with the variables of the environment in them
    Render(render::Args),
    /// Write a script that completes minisup's command line in a shell
    Completions(completions::Args),
    /// Write a page for man(1)
    Man(completions::ManArgs),
    /// Ask a server one question and say what it got: what `ready` and `health` are made of
    #[command(hide = true)]
    Probe(probe::Args),
    /// Source a script in a shell, and hand what it exports to the supervisor
    #[command(hide = true)]
    Envsh(envsh::Args),
    /// Compress an old log file
    #[command(hide = true)]
    Gzip(gzip::Args),
    /// Write a server's pid file, which its predecessor has taken along, anew
    #[command(hide = true)]
    PidFile(pid_file::Args),
}

/// In which order and under which heads `--help` shows the commands.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Run", &["run", "check", "exec", "init", "render"]),
    ("Look", &["status", "health", "logs", "events"]),
    ("Change", &["start", "stop", "restart", "reload", "signal", "update", "shutdown"]),
    ("Wait", &["wait"]),
    ("Other", &["completions", "man"]),
];

/// Which configuration.
#[derive(Args, Debug, Clone)]
pub struct ConfigArgs {
    /// The configuration; may be given several times, a later one over an earlier one
    #[arg(short, long, value_name = "FILE")]
    pub config: Vec<std::path::PathBuf>,
}

/// Does what the command line says. Returns the exit code: whose output got lost has failed.
pub fn main(words: impl IntoIterator<Item = OsString>) -> u8 {
    let code = dispatch(words.into_iter().collect());
    match LOST.load(Ordering::Relaxed) {
        0 => code,
        number => {
            let why = ask::why(&io::Error::from_raw_os_error(number));
            complain(format_args!("minisup: cannot write the output: {why}"));
            if code == 0 { code::FAILED } else { code }
        }
    }
}

fn dispatch(words: Vec<OsString>) -> u8 {
    if let Some((name, args)) = words.split_first()
        && let Some(code) = exec::by_name(name, args)
    {
        return code;
    }
    if let Some(code) = health::without_parser(&words) {
        return code;
    }
    let parsed = command().try_get_matches_from(behind_the_command(words));
    let line = match parsed.and_then(|matches| CommandLine::from_arg_matches(&matches)) {
        Ok(line) => line,
        Err(error) => {
            // Help and version are printed here too, on stdout, with code 0.
            if let Err(error) = error.print() {
                lost(&error);
            }
            return error.exit_code() as u8;
        }
    };
    match line.command {
        None => run::run(line.run),
        Some(Command::Run(args)) => run::run(args),
        Some(Command::Probe(args)) => probe::run(args),
        Some(Command::Gzip(args)) => gzip::run(args),
        Some(Command::PidFile(args)) => pid_file::run(args),
        Some(Command::Envsh(args)) => envsh::run(args),
        Some(Command::Check(args)) => check::run(args),
        Some(Command::Exec(args)) => exec::run(args),
        Some(Command::Init(args)) => init::run(args),
        Some(Command::Status(args)) => status::run(args),
        Some(Command::Health(args)) => health::run(args),
        Some(Command::Logs(args)) => logs::run(args),
        Some(Command::Events(args)) => events::run(args),
        Some(Command::Start(args)) => change::run(Change::Start, args),
        Some(Command::Stop(args)) => change::run(Change::Stop, args),
        Some(Command::Restart(args)) => change::run(Change::Restart, args),
        Some(Command::Reload(args)) => change::run(Change::Reload, args),
        Some(Command::Signal(args)) => kill::run(args),
        Some(Command::Wait(args)) => await_state::run(args),
        Some(Command::Update(args)) => update::run(args),
        Some(Command::Shutdown(args)) => shutdown::run(args),
        Some(Command::Render(args)) => render::run(args),
        Some(Command::Completions(args)) => completions::run(args),
        Some(Command::Man(args)) => completions::man(args),
    }
}

/// The table of the whole command line, with the help in groups.
pub fn command() -> clap::Command {
    let command = CommandLine::command();
    let about = |name: &str| command.find_subcommand(name).and_then(clap::Command::get_about);
    let mut template = "{about-with-newline}\n{usage-heading} {usage}\n".to_owned();
    for (head, names) in GROUPS {
        template += &format!("\n{head}:\n");
        for name in names {
            let about = about(name).map(ToString::to_string).unwrap_or_default();
            template += &format!("  {name:11}  {about}\n");
        }
    }
    template += "\nOptions:\n{options}{after-help}";
    command.help_template(template)
}

/// `minisup --socket PATH status` is `minisup status --socket PATH`: people write it both ways.
fn behind_the_command(mut words: Vec<OsString>) -> Vec<OsString> {
    let count = match words.get(1).and_then(|word| word.to_str()) {
        Some("--socket") => 2,
        Some(word) if word.starts_with("--socket=") => 1,
        Some(_) | None => return words,
    };
    if words.len() > count + 1 {
        words[1..count + 2].rotate_left(count);
    }
    words
}

/// Whether there is still somebody to read our output: waits until the supervisor has something
/// to say, and for the end of the reader.
fn reader_is_there(client: &Client) -> bool {
    if client.has_next() {
        return true;
    }
    let stdout = io::stdout();
    let mut polled =
        [PollFd::new(client.as_fd(), PollFlags::POLLIN), PollFd::new(stdout.as_fd(), PollFlags::empty())];
    while poll(&mut polled, PollTimeout::NONE) == Err(Errno::EINTR) {}
    // Of a pipe without readers, pipe(7).
    !polled[1].revents().is_some_and(|happened| happened.contains(PollFlags::POLLERR))
}

/// The one of these that was probably meant.
fn similar<'a>(word: &str, among: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let alike = |name: &str| strsim::jaro(&word, &name.to_lowercase());
    among
        .map(|name| (name, alike(name)))
        .filter(|(_, alike)| *alike > 0.7)
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(name, _)| name)
}

/// Whether a command reads a configuration (`--config`); nothing if there is none of this name, but for those
/// that only the supervisor launches.
fn reads_configuration(name: &str) -> Option<bool> {
    let all = CommandLine::command();
    let command = all.find_subcommand(name).filter(|command| !command.is_hide_set())?;
    Some(command.get_arguments().any(|argument| argument.get_id() == "config"))
}

/// `: did you mean "status"?`, of a command; nothing if no command is like it.
fn did_you_mean(word: &str) -> String {
    let names = GROUPS.iter().flat_map(|(_, names)| names.iter().copied());
    similar(word, names).map(|name| format!(": did you mean {name:?}?")).unwrap_or_default()
}

/// Says something to whoever asked, on stdout; nothing if there is nothing to say.
fn say(text: &str) {
    if !text.is_empty() {
        put(format!("{text}\n").as_bytes());
    }
}

/// The error by which output got lost, errno(3); 0: none did.
static LOST: AtomicI32 = AtomicI32::new(0);

/// Writes for whoever asked, on stdout. Whether it was taken: who goes on writing ends where it was
/// not. Why it was not is said at the end, by [`main`].
fn put(text: &[u8]) -> bool {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text).and_then(|()| stdout.flush());
    written.inspect_err(lost).is_ok()
}

/// Output could not be written. A reader who has gone wants no more of it, and that is no failure.
fn lost(error: &io::Error) {
    if error.kind() != io::ErrorKind::BrokenPipe {
        LOST.store(error.raw_os_error().unwrap_or(Errno::EIO as i32), Ordering::Relaxed);
    }
}

/// Says something to people, on stderr. A reader who has gone is no reason to fail.
pub fn complain(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_that_is_not_hidden_is_in_one_group() {
        let command = CommandLine::command();
        let all = command.get_subcommands().filter(|sub| !sub.is_hide_set()).map(clap::Command::get_name);
        let mut all: Vec<&str> = all.collect();
        let mut shown: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        all.sort_unstable();
        shown.sort_unstable();
        assert_eq!(all, shown);
        super::command().debug_assert();
    }

    #[test]
    fn the_socket_may_come_before_the_command() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        let moved = |line| behind_the_command(words(line));
        assert_eq!(moved("m --socket /s status web"), words("m status --socket /s web"));
        assert_eq!(moved("m --socket=/s status"), words("m status --socket=/s"));
        assert_eq!(moved("m --socket"), words("m --socket"));
        assert_eq!(moved("m exec --socket"), words("m exec --socket"));
    }

    #[test]
    fn who_mistypes_a_command_is_told_what_it_may_be() {
        assert_eq!(did_you_mean("statsu"), ": did you mean \"status\"?");
        assert_eq!(did_you_mean("xyz"), "");
    }
}
