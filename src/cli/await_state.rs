//! `minisup wait`: until services are as named.

use super::ask::{self, Socket, Trouble};
use super::patience::Patience;
use super::{say, text};
use crate::config::values;
use crate::control::wire::{Instance, Reply, Request};
use std::time::Duration;

/// `minisup wait`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit code: 0 it is so; 1 it will not be, or not in time.
For scripts: minisup wait db:ready migrate:done --timeout 30s")]
pub struct Args {
    /// NAME is until it is ready, or, for a oneshot, done; or with :started, :ready, :healthy, :done, :stopped
    #[arg(required = true, value_name = "NAME[:STATE]")]
    names: Vec<String>,
    /// Wait no longer than this, and fail
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    timeout: Option<Duration>,
    /// The outcome for programs: one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
}

/// Waits, and says how those are that were named.
pub fn run(args: Args) -> u8 {
    ask::ended_for(args.json, wait(&args))
}

fn wait(args: &Args) -> Result<u8, Trouble> {
    let awaited: Vec<(String, &str)> = args.names.iter().map(|word| split(word)).collect();
    let mut names: Vec<String> = awaited.iter().map(|(name, _)| name.clone()).collect();
    names.dedup();
    let is_met = |it: &Instance| {
        // One state for all is what nearly everybody writes; of several the others only make the line
        // of progress less exact, not the answer.
        awaited.iter().filter(|(name, _)| *name == it.service || awaited.len() == 1).all(|(_, state)| {
            match *state {
                "started" => it.pid.is_some() || it.state == "exited",
                "healthy" => it.healthy == Some(true),
                "done" => text::is_done(it),
                "stopped" => it.pid.is_none(),
                _ => it.ready,
            }
        })
    };
    let patience = Patience {
        socket: &args.socket,
        request: Request::Wait { names: args.names.clone() },
        begun: None,
        names: &names,
        is_met: &is_met,
        yet: "",
        timeout: args.timeout,
    };
    match patience.reply()? {
        Reply::Done => {}
        other => return Err(Trouble::surprise(&other)),
    }
    let status = ask::status(&mut args.socket.connect()?, &names)?;
    match args.json {
        true => say(&serde_json::to_string_pretty(&status).unwrap_or_default()),
        false => say(&status.instances.iter().map(text::described).collect::<Vec<_>>().join("\n")),
    }
    Ok(0)
}

/// `web:ready` into `web` and `ready`; `web:0` is an instance.
fn split(word: &str) -> (String, &str) {
    match word.rsplit_once(':') {
        Some((name, state)) if state.parse::<u32>().is_err() => (name.to_owned(), state),
        Some(_) | None => (word.to_owned(), ""),
    }
}
