//! `minisup exec`: one command and the smallest honest init around it.
//!
//! It launches the command, passes on every signal that can be passed on, reaps whatever it
//! adopts, and ends as the command ended. It keeps no state but two numbers, opens nothing,
//! and is woken only by a signal. All that differs between the names it goes by (tini,
//! dumb-init, catatonit: see [`names`]) is in a [`Manner`].

pub mod names;

use super::complain;
use crate::core::exit::{Outcome, code};
use crate::core::ids::Pid;
use crate::core::signal::Signal;
use crate::sys::launch::{Launched, Order, Session, launch};
use crate::sys::signals::{self, Mask, Queue};
use crate::sys::words::Words;
use crate::sys::{memory, pid1, reap, terminal};
use std::ffi::OsString;
use std::fmt;
use std::rc::Rc;

/// One command, the smallest honest init: forwards all signals, reaps, passes the exit code
/// (128 + n for a signal), hands over the terminal.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Signal the command's whole process group, not the command alone
    #[arg(short = 'g', long = "group")]
    to_group: bool,
    /// Adopt orphans also when not PID 1 (subreaper)
    #[arg(short = 's', long = "subreaper")]
    subreaper: bool,
    /// Exit with 0 when the command exits with CODE; may be repeated
    #[arg(short = 'e', long = "success", value_name = "CODE")]
    success: Vec<u8>,
    /// Pass on TO when FROM comes, or nothing when TO is 0; may be repeated
    #[arg(short = 'r', long = "rewrite", value_name = "FROM:TO", value_parser = rewrite)]
    rewrite: Vec<Rewrite>,
    /// Get this signal when our parent ends
    #[arg(short = 'p', long = "parent-death", value_name = "SIG", value_parser = signal)]
    parent_death: Option<Signal>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// One `-r FROM:TO`; `None` swallows.
type Rewrite = (Signal, Option<Signal>);

/// How this init behaves: all that its names and flags can change.
#[derive(Debug)]
pub struct Manner {
    /// Before each message.
    name: &'static str,
    to_group: bool,
    subreaper: bool,
    parent_death: Option<Signal>,
    session: Session,
    rewrite: Vec<Rewrite>,
    /// Exit codes that become 0.
    success: Vec<u8>,
    /// Signals that are not passed on though they could be.
    kept: Mask,
    /// What the rest of the group gets when the command has ended.
    farewell: Option<Signal>,
    /// The exit code when the command cannot be launched; `None`: 127 or 126.
    failure: Option<u8>,
    stopping: Stopping,
    /// Say which orphans were reaped.
    tells_reaped: bool,
    /// 0: errors only, 1: warnings, 2 and 3: more.
    verbosity: u8,
}

/// When we stop ourselves, so that a shell that waits for us takes the terminal back. PID 1
/// cannot be stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stopping {
    Never,
    /// When the command has stopped; and we hand it the terminal again when we go on.
    WithCommand,
    /// When TSTP, TTIN or TTOU has come and was passed on.
    BySignal,
}

/// Runs the command, and returns the exit code: the command's own.
pub fn run(args: Args) -> u8 {
    let mut manner = Manner::new("minisup exec");
    manner.to_group = args.to_group;
    manner.subreaper = args.subreaper;
    manner.parent_death = args.parent_death;
    manner.rewrite = args.rewrite;
    manner.success = args.success;
    manner.stopping = Stopping::WithCommand;
    manner.serve(args.command)
}

/// Holds signals for a command that may be run [`alone`].
pub fn hold_signals() -> Queue {
    Queue::take(Mask::passable())
}

/// Runs one command as `minisup exec -- COMMAND` does.
pub fn alone(command: Vec<OsString>, held: &Queue) -> u8 {
    Manner::new("minisup exec").serve_with(command, held)
}

/// Runs a command line of `tini`, `dumb-init` or `catatonit` if that is what we were called;
/// `args` are those after the name.
pub fn by_name(argv0: &std::ffi::OsStr, args: &[OsString]) -> Option<u8> {
    let name = std::path::Path::new(argv0).file_name()?.to_str()?;
    let read = names::reader(name)?;
    Some(match read(args) {
        names::Asked::Run(manner, command) => manner.serve(command),
        names::Asked::Pause => pause(),
        names::Asked::Say(text) => {
            super::say(&text);
            0
        }
        names::Asked::Refuse(text) => {
            complain(format!("{name}: {text}"));
            code::FAILED
        }
    })
}

impl Manner {
    /// As `minisup exec` without flags.
    fn new(name: &'static str) -> Manner {
        Manner {
            name,
            to_group: false,
            subreaper: false,
            parent_death: None,
            session: Session::Foreground,
            rewrite: Vec::new(),
            success: Vec::new(),
            kept: Mask::NONE,
            farewell: None,
            failure: None,
            stopping: Stopping::Never,
            tells_reaped: false,
            verbosity: 1,
        }
    }

    /// The whole life of this init.
    fn serve(&self, command: Vec<OsString>) -> u8 {
        self.serve_with(command, &hold_signals())
    }

    fn serve_with(&self, command: Vec<OsString>, queue: &Queue) -> u8 {
        self.take_up();
        let gave_up = self.session == Session::Terminal && terminal::give_up();
        let order = Order {
            argv: command.iter().collect(),
            env: Rc::new(Words::inherited()),
            session: self.session,
            blocked: queue.before(),
            ignored: signals::ignored_by_parent(),
            ..Order::default()
        };
        match launch(order) {
            Ok(launched) => self.attend(queue, launched, gave_up),
            Err(error) => self.refused(&error),
        }
    }

    fn take_up(&self) {
        if let Some(signal) = self.parent_death
            && let Err(errno) = pid1::set_parent_death_signal(signal)
        {
            self.warn(format_args!("cannot ask for {signal} when the parent ends: {}", errno.desc()));
        }
        let is_pid1 = pid1::is_pid1();
        if self.subreaper && !is_pid1 {
            if let Err(errno) = pid1::become_subreaper() {
                self.warn(format_args!("cannot become the subreaper: {}", errno.desc()));
            }
        } else if !is_pid1 {
            self.warn(format_args!(
                "not PID 1: orphans go to another process, unless -s makes this one adopt them"
            ));
        }
    }

    /// Passes on signals until the command has ended.
    fn attend(&self, queue: &Queue, mut launched: Launched, gave_up: bool) -> u8 {
        let child = launched.pid;
        // Who gives up a terminal gets HUP and CONT from the kernel, which nobody sent.
        let mut unsent = if gave_up { Mask::NONE.with(Signal::HUP).with(Signal::CONT) } else { Mask::NONE };
        self.tell(2, format_args!("launched {child}"));
        // What read the arguments is not needed any more.
        memory::give_back();
        loop {
            match queue.wait() {
                Signal::CHLD => {
                    let end = self.reap(child);
                    if let Some(outcome) = end {
                        return match launched.verdict.of_dead() {
                            Err(error) => self.refused(&error),
                            Ok(()) => self.ended(child, outcome),
                        };
                    }
                    if self.stopping == Stopping::WithCommand && reap::was_stopped(child) {
                        stop_along();
                    }
                }
                signal if unsent.contains(signal) => unsent = unsent.without(signal),
                signal => self.pass_on(signal, child),
            }
        }
    }

    /// Takes every child that has ended; the command's outcome if it is among them.
    fn reap(&self, child: Pid) -> Option<Outcome> {
        let mut end = None;
        while let Some(death) = reap::any() {
            if death.pid == child {
                end = Some(death.outcome);
            } else if self.tells_reaped {
                complain(format!("{}: reaped the orphan {}: {}", self.name, death.pid, death.outcome));
            }
        }
        end
    }

    fn pass_on(&self, signal: Signal, child: Pid) {
        let rewritten = self.rewrite.iter().find(|(from, _)| *from == signal);
        let to = rewritten.map_or(Some(signal), |(_, to)| *to);
        let Some(to) = to.filter(|_| rewritten.is_some() || !self.kept.contains(signal)) else { return };
        self.tell(2, format_args!("{signal} came, {to} goes on"));
        let goes_on = signal == Signal::CONT && self.stopping == Stopping::WithCommand;
        if goes_on && terminal::foreground() == Some(terminal::own_group()) {
            // After `fg` the terminal is ours; it is to be the command's again.
            terminal::set_foreground(child);
        }
        // The terminal has stopped the whole group. And one that is only just launched may
        // not lead its group yet.
        let group = (self.to_group || goes_on) && signals::kill_group(child, to).is_ok();
        if !group && let Err(errno) = signals::kill(child, to) {
            self.tell(2, format_args!("cannot pass on {to}: {}", errno.desc()));
        }
        if self.stopping == Stopping::BySignal && [Signal::TSTP, Signal::TTIN, Signal::TTOU].contains(&signal)
        {
            stop_along();
        }
    }

    fn ended(&self, child: Pid, outcome: Outcome) -> u8 {
        self.tell(2, format_args!("{child} ended: {outcome}"));
        if let Some(signal) = self.farewell {
            // Nobody left is an answer too.
            let _ = signals::kill_group(child, signal);
        }
        let code = outcome.code();
        if self.success.contains(&code) { 0 } else { code }
    }

    fn refused(&self, error: &crate::sys::launch::LaunchError) -> u8 {
        complain(format!("{}: {error}", self.name));
        self.failure.unwrap_or(error.exit_code())
    }

    fn warn(&self, text: fmt::Arguments<'_>) {
        self.tell(1, text);
    }

    fn tell(&self, verbosity: u8, text: fmt::Arguments<'_>) {
        if self.verbosity >= verbosity {
            complain(format!("{}: {text}", self.name));
        }
    }
}

fn stop_along() {
    let _ = signals::kill(pid1::own_pid(), Signal::STOP);
}

/// Runs nothing, reaps, until INT or TERM: catatonit's pause mode.
fn pause() -> u8 {
    let queue = Queue::take(Mask::passable());
    loop {
        match queue.wait() {
            Signal::CHLD => while reap::any().is_some() {},
            Signal::INT | Signal::TERM => return 0,
            _ => {}
        }
    }
}

fn signal(text: &str) -> Result<Signal, String> {
    Signal::parse(text).ok_or_else(|| format!("there is no signal {text:?}"))
}

fn rewrite(text: &str) -> Result<Rewrite, String> {
    let (from, to) = text.split_once(':').ok_or("it has the form FROM:TO, like TERM:QUIT or HUP:0")?;
    let to = if to == "0" { None } else { Some(signal(to)?) };
    Ok((signal(from)?, to))
}
