//! `minisup shutdown`: everything stops in order, and the supervisor ends.

use super::ask::{self, Socket, Trouble};
use super::say;
use crate::config::values;
use crate::control::wire::{Reply, Request};
use std::time::Duration;

/// `minisup shutdown`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Whoever is left after this time is killed, instead of supervisor.shutdown_timeout
    #[arg(long, value_name = "DURATION", value_parser = whole_seconds)]
    timeout: Option<u32>,
    #[command(flatten)]
    socket: Socket,
}

/// Asks for it and does not wait: where we run in the container, its end is ours too.
pub fn run(args: Args) -> u8 {
    ask::ended(ask_for_it(args))
}

fn ask_for_it(args: Args) -> Result<u8, Trouble> {
    match args.socket.ask(&Request::Shutdown { timeout: args.timeout })? {
        Reply::Done => {
            say("shutting down");
            Ok(0)
        }
        other => Err(Trouble::surprise(&other)),
    }
}

/// Rounded up: nobody gets less time than was said.
fn whole_seconds(text: &str) -> Result<u32, String> {
    let span: Duration = values::duration(text)?;
    let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    u32::try_from(seconds).map_err(|_| "it is too long".to_owned())
}
