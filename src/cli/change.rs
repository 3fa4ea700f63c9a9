//! `minisup start`, `stop`, `restart`, `reload`: asks for a change, and waits until it is true.

use super::ask::{self, Socket, Trouble};
use super::patience::Patience;
use super::{say, text};
use crate::config::values;
use crate::control::wire::{Instance, Reply, Request};
use crate::core::exit::code;
use std::time::Duration;

/// `minisup start`, `stop`, `restart`, `reload`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Names of services, globs ("web*"), or "all"
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Only ask for it
    #[arg(long, conflicts_with = "timeout")]
    no_wait: bool,
    /// Wait no longer than this, and fail; what was asked for goes on
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    socket: Socket,
}

/// So many of its last lines are shown of a service that failed.
const LAST: u32 = 20;

/// Which change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Change {
    Start,
    Stop,
    Restart,
    Reload,
}

/// Asks, waits, and says how those are that were named.
pub fn run(change: Change, args: Args) -> u8 {
    ask::ended(carry_out(change, &args))
}

fn carry_out(change: Change, args: &Args) -> Result<u8, Trouble> {
    let (names, wait) = (args.names.clone(), !args.no_wait);
    let request = match change {
        Change::Start => Request::Start { names, wait },
        Change::Stop => Request::Stop { names, wait },
        Change::Restart => Request::Restart { names, wait },
        Change::Reload => Request::Reload { names, wait },
    };
    let patience = Patience {
        socket: &args.socket,
        request,
        begun: Some(change.begun(&args.names)),
        names: &args.names,
        is_met: match change {
            Change::Stop => &is_down,
            Change::Start | Change::Restart | Change::Reload => &is_up,
        },
        timeout: args.timeout,
    };
    match patience.reply()? {
        Reply::Done => {}
        other => return Err(Trouble::surprise(&other)),
    }
    if change == Change::Reload {
        let begun = if wait { "reloaded" } else { "reload asked for" };
        say(&format!("{}: {begun}", args.names.join(" ")));
        return Ok(0);
    }
    let mut client = args.socket.connect()?;
    let status = ask::status(&mut client, &args.names)?;
    // Who is ready as soon as it is started may have failed in the next moment.
    let has_ended = |it: &&Instance| it.wanted && it.pid.is_none() && !text::is_done(it);
    if let Some(it) = status.instances.iter().find(has_ended)
        && wait
        && change != Change::Stop
    {
        let name = text::label(&it.service, it.instance);
        let lines = ask::last_lines(&mut client, &name, LAST);
        let log = (!lines.is_empty()).then_some((name, lines));
        return Err(Trouble { code: code::FAILED, text: text::described(it), log });
    }
    say(&status.instances.iter().map(text::described).collect::<Vec<_>>().join("\n"));
    Ok(0)
}

impl Change {
    fn begun(self, names: &[String]) -> String {
        let what = match self {
            Change::Start => "start",
            Change::Stop => "stop",
            Change::Restart => "restart",
            Change::Reload => "reload",
        };
        format!("the {what} of {}", names.join(" "))
    }
}

fn is_up(it: &Instance) -> bool {
    it.ready
}

fn is_down(it: &Instance) -> bool {
    it.pid.is_none() && !it.wanted
}
