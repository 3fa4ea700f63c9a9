//! `minisup signal`: sends a signal to the main processes of services.

use super::ask::{self, Socket, Trouble};
use crate::control::wire::{Reply, Request};
use crate::core::signal::Signal;

/// `minisup signal`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// TERM, SIGTERM, 15, RTMIN+3
    #[arg(value_name = "SIGNAL", value_parser = signal)]
    signal: Signal,
    /// Names of services, globs ("web*"), or "all"
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    socket: Socket,
}

/// Sends it. It says nothing, as kill(1): what a service makes of a signal is its own affair.
pub fn run(args: Args) -> u8 {
    ask::ended(send(args))
}

fn send(args: Args) -> Result<u8, Trouble> {
    let request = Request::Signal { names: args.names, signal: args.signal.to_string() };
    match args.socket.ask(&request)? {
        Reply::Done => Ok(0),
        other => Err(Trouble::surprise(&other)),
    }
}

fn signal(text: &str) -> Result<Signal, String> {
    Signal::parse(text).ok_or_else(|| match super::similar(text, Signal::names()) {
        Some(meant) => format!("there is no such signal: did you mean {meant}?"),
        None => "there is no such signal".to_owned(),
    })
}
