//! `minisup health`: for HEALTHCHECK. Engines run it every few seconds in every container, so it
//! is the one command that does without the parser of arguments where there is next to nothing
//! to parse. It takes 1.1 MB, of which 0.1 MB are its own: the rest are pages of the program, shared with
//! PID 1, of which the kernel maps 64 KiB around each that is touched. So the linker puts the functions that
//! it runs through side by side (benches/health.ld): strewn over the program they took 2.9 MB.

use super::ask::{self, Socket, Trouble};
use super::say;
use crate::control::wire::{Health, Reply, Request};
use crate::core::exit::code;
use std::ffi::OsString;

/// `minisup health`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit code: 0 healthy, 1 unhealthy, 69 no supervisor.")]
pub struct Args {
    /// The same for programs: one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
}

/// Runs it if these are its words: alone, or with the socket.
pub fn without_parser(words: &[OsString]) -> Option<u8> {
    let socket = match words {
        [_, command] if command == "health" => Socket::default(),
        [_, command, name, path] if command == "health" && name == "--socket" => Socket::at(path.into()),
        _ => return None,
    };
    Some(run(Args { json: false, socket }))
}

/// Asks, and says the answer in one line. 0 is healthy, 1 unhealthy.
pub fn run(args: Args) -> u8 {
    ask::ended(ask_for_it(&args.socket).map(|health| {
        match args.json {
            true => say(&serde_json::to_string(&health).unwrap_or_default()),
            false => say(&health.message),
        }
        if health.healthy { 0 } else { code::FAILED }
    }))
}

fn ask_for_it(socket: &Socket) -> Result<Health, Trouble> {
    match socket.ask(&Request::Health)? {
        Reply::Health(health) => Ok(health),
        other => Err(Trouble::surprise(&other)),
    }
}
