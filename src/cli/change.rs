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
#[command(after_help = "\
Exit code: 0 it is so; 1 it failed, or not in time: the reason is said, with the service's last
lines; 130 Ctrl-C: what was asked for goes on.")]
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
    /// The outcome for programs: one JSON object
    #[arg(long)]
    json: bool,
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
    ask::ended_for(args.json, carry_out(change, &args))
}

fn carry_out(change: Change, args: &Args) -> Result<u8, Trouble> {
    let (names, wait) = (args.names.clone(), !args.no_wait);
    let request = match change {
        Change::Start => Request::Start { names, wait },
        Change::Stop => Request::Stop { names, wait },
        Change::Restart => Request::Restart { names, wait },
        Change::Reload => Request::Reload { names, wait },
    };
    let before = Before::of(change, &args.socket)?;
    let patience = Patience {
        socket: &args.socket,
        request,
        begun: Some(change.begun(&args.names)),
        names: &args.names,
        is_met: &|it| change.is_met(it, &before),
        yet: match change {
            Change::Restart => "to be replaced",
            Change::Stop => "to be stopped",
            Change::Start | Change::Reload => "",
        },
        timeout: args.timeout,
    };
    match patience.reply()? {
        Reply::Done => {}
        other => return Err(Trouble::surprise(&other)),
    }
    let mut client = args.socket.connect()?;
    let mut status = ask::status(&mut client, &args.names)?;
    // Who is ready as soon as it is started may have failed in the next moment.
    let has_ended =
        |it: &&Instance| it.wanted && it.pid.is_none() && !text::is_done(it) && !before.is_untouched(it);
    if let Some(it) = status.instances.iter().find(has_ended)
        && wait
        && (change == Change::Start || change == Change::Restart)
    {
        let name = text::label(&it.service, it.instance);
        let lines = ask::last_lines(&mut client, &name, LAST);
        let log = (!lines.is_empty()).then_some((name, lines));
        return Err(Trouble { code: code::FAILED, text: text::described(it), log });
    }
    let named = status.instances.len();
    if change == Change::Stop {
        let mut others = ask::status(&mut client, &[])?.instances;
        let is_named = |it: &Instance| status.instances.iter().any(|named| is_one(named, it));
        others.retain(|it| !it.wanted && !is_named(it) && before.wanted(it));
        status.instances.extend(others);
    }
    if args.json {
        say(&serde_json::to_string_pretty(&status).unwrap_or_default());
    } else if change == Change::Reload {
        let begun = if wait { "reloaded" } else { "reload asked for" };
        say(&format!("{}: {begun}", args.names.join(" ")));
    } else {
        let mut lines: Vec<String> = status.instances.iter().map(text::described).collect();
        let why = format!(", for it requires {}", args.names.join(" or "));
        lines[named..].iter_mut().for_each(|line| *line += &why);
        say(&lines.join("\n"));
    }
    Ok(0)
}

/// How all were before anything was asked for, as far as that tells what has come of it.
struct Before(Vec<Instance>);

impl Before {
    fn of(change: Change, socket: &Socket) -> Result<Before, Trouble> {
        match change {
            Change::Reload => Ok(Before(Vec::new())),
            Change::Start | Change::Stop | Change::Restart => {
                Ok(Before(ask::status(&mut socket.connect()?, &[])?.instances))
            }
        }
    }

    fn the_same(&self, it: &Instance) -> Option<&Instance> {
        self.0.iter().find(|old| is_one(old, it))
    }

    /// Whether it rested like that before: "all" and globs leave some out.
    fn is_untouched(&self, it: &Instance) -> bool {
        self.the_same(it).is_some_and(|old| old.state == it.state && old.restarts == it.restarts)
    }

    /// Whether it was to be up.
    fn wanted(&self, it: &Instance) -> bool {
        self.the_same(it).is_some_and(|old| old.wanted)
    }
}

fn is_one(a: &Instance, b: &Instance) -> bool {
    a.service == b.service && a.instance == b.instance
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

    /// Whether it has got there, as far as can be seen.
    fn is_met(self, it: &Instance, before: &Before) -> bool {
        let rests = matches!(it.state.as_str(), "stopped" | "exited" | "fatal");
        match self {
            // Whom "all" and globs leave out.
            Change::Start | Change::Restart if rests && (!it.wanted || before.is_untouched(it)) => true,
            Change::Stop => it.pid.is_none() && !it.wanted,
            Change::Start | Change::Reload => it.ready,
            Change::Restart => {
                let is_old = it.pid.is_some() && before.the_same(it).is_some_and(|old| old.pid == it.pid);
                it.ready && !is_old
            }
        }
    }
}
