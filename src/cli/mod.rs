//! One file per subcommand; the only room that prints for people.
//!
//! - [`run`]: the supervisor
//! - [`exec`]: one command and the smallest init around it; also as tini, dumb-init, catatonit
//! - [`check`]: whether a configuration can be run, and what would run
//! - [`probe`]: asks a server one question; launched by the supervisor
#![forbid(unsafe_code)]

pub mod check;
pub mod exec;
pub mod probe;
pub mod run;

use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::io::{self, Write};

/// PID 1 for containers that run more than one process: it launches services in order, keeps
/// them up, stops them well, and its exit code tells the truth.
#[derive(Parser, Debug)]
#[command(name = "minisup", version, about, args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Without a command: run. Start with `minisup check --plan`, which shows what would run."
)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Args,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the services of a configuration: the supervisor
    Run(run::Args),
    /// Check a configuration: all errors, known traps, and with --plan what would run and why
    Check(check::Args),
    /// Run one command: the smallest honest init around it
    Exec(exec::Args),
    /// Ask a server one question and say what it got: what `ready` and `health` are made of
    #[command(hide = true)]
    Probe(probe::Args),
}

/// Which configuration.
#[derive(Args, Debug, Clone)]
pub struct ConfigArgs {
    /// The configuration; may be given several times, a later one over an earlier one
    #[arg(short, long, value_name = "FILE")]
    pub config: Vec<std::path::PathBuf>,
}

/// Does what the command line says. Returns the exit code.
pub fn main(words: impl IntoIterator<Item = OsString>) -> u8 {
    let words: Vec<OsString> = words.into_iter().collect();
    if let Some((name, args)) = words.split_first()
        && let Some(code) = exec::by_name(name, args)
    {
        return code;
    }
    let line = match CommandLine::try_parse_from(words) {
        Ok(line) => line,
        Err(error) => {
            // Help and version are printed here too, on stdout, with code 0.
            let _ = error.print();
            return error.exit_code() as u8;
        }
    };
    match line.command {
        None => run::run(line.run),
        Some(Command::Run(args)) => run::run(args),
        Some(Command::Probe(args)) => probe::run(args),
        Some(Command::Check(args)) => check::run(args),
        Some(Command::Exec(args)) => exec::run(args),
    }
}

/// Says something to people, on stderr. A reader who has gone is no reason to fail.
pub fn complain(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
