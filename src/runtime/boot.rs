//! Everything before the first service: the last place where an error ends us.
//!
//! When [`run`] has reached the loop there is no error any more, only states.

use super::clients::Clients;
use super::deaths::Children;
use super::errands::Errands;
use super::hearing::Hearing;
use super::launching::Launches;
use super::pid_files::PidFiles;
use super::probe::Probes;
use super::report::Reporter;
use super::rescue;
use super::rounds::Rounds;
use super::sockets::Held;
use super::turn::Turn;
use super::update::{Origin, Updates};
use crate::core::exit::code;
use crate::core::plan::{Plan, ServiceSpec, SupervisorSpec};
use crate::core::secrets::Secrets;
use crate::core::signal::Signal;
use crate::core::supervisor::Supervisor;
use crate::log::{Clock, Look, Pump};
use crate::sys::signals::Signals;
use crate::sys::sweep::Sweep;
use crate::sys::tree::Tree;
use crate::sys::watch::Watched;
use crate::sys::{clock, fd, identity, memory, pid1, reap, signals};
use std::io;
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::rc::Rc;

/// Of each instance: stdout and stderr.
const STREAMS: usize = 2;

/// The first thing that PID 1 does: from now on no signal is lost, only late.
pub fn hold_signals() {
    signals::block_all();
}

/// Runs the plan to its end. Returns the container's exit code.
///
/// # Errors
/// Before anything was launched: no descriptor, no memory; AddrNotAvailable: a socket cannot be had.
pub fn run(plan: Plan, origin: Origin) -> io::Result<u8> {
    fd::open_standard();
    fd::mark_inherited();
    fd::raise_nofile();
    let differences = pid1::take_up();
    let mut tokio = tokio::runtime::Builder::new_current_thread();
    let tokio = tokio.enable_io().enable_time().on_thread_park(memory::before_sleep).build()?;
    // Neither it nor the turn is ever taken down: the process ends, and the kernel does that faster than we could.
    let tokio = ManuallyDrop::new(tokio);
    let _entered = tokio.enter();
    let timeout = plan.supervisor.shutdown_timeout;
    let who = plan.supervisor.credentials.clone();
    // The container's stdout is opened while we still may.
    let mut turn = ManuallyDrop::new(prepare(Rc::new(plan), origin)?);
    if let Some(who) = who {
        identity::assume(&who).map_err(|errno| {
            let text = format!("cannot become user {}, group {}: {}", who.uid, who.gid, errno.desc());
            io::Error::new(io::ErrorKind::PermissionDenied, text)
        })?;
    }
    turn.reporter.hello(&differences);
    let code = rescue::guard(&mut turn, timeout, |turn| tokio.block_on(turn.run()));
    Ok(code.unwrap_or(code::INTERNAL))
}

pub(super) fn prepare(plan: Rc<Plan>, origin: Origin) -> io::Result<Turn> {
    let look = look(&plan);
    fd::make_room(plan.instances().count() * STREAMS);
    let pump = Pump::new(look, Clock { now: clock::now, wall: clock::wall })?
        .splicing(fd::pending)
        .keeping(fd::keep);
    let secrets = Secrets::of(&plan.services);
    pump.take_own_messages(plan.supervisor.log_level, secrets.clone());
    let caught = Watched::new(Signals::catch(wanted(&plan))?)?;
    signals::unblock_all();
    // Blocks SIGCHLD, so it comes after the unblocking.
    let bell = Watched::new(reap::Bell::hang()?)?;
    let tree = Tree::at_boot();
    let folder = plan.supervisor.control_socket.parent().map(PathBuf::from);
    let folders = folder.into_iter().chain([std::env::temp_dir()]).collect();
    let mut sockets = Held::default().with_doors_in(folders);
    sockets.open(&plan).map_err(|why| io::Error::new(io::ErrorKind::AddrNotAvailable, why))?;
    let now = clock::now();
    // Any number will do, as long as containers that start together get different ones.
    let seed = now.as_nanos() ^ u64::from(clock::wall().1) << 32;
    Ok(Turn {
        signals: caught,
        bell,
        pump,
        hearing: Hearing::new()?,
        clients: Clients::listen(&plan.supervisor)?,
        probes: Probes::new(pid1::own_program()),
        errands: Errands::new(),
        rounds: Rounds::default(),
        reloads: Vec::new(),
        launches: Launches::default(),
        children: Children::new(),
        to_resume: Vec::new(),
        sweep: Sweep::sparing_readers_among(tree.inherited()),
        tree,
        reporter: Reporter::new(now, secrets),
        updates: Updates::new(origin, &plan),
        sockets,
        pid_files: PidFiles::new(),
        compressing: None,
        supervisor: Supervisor::new(plan, seed),
        logs_are_next: false,
        was_due: false,
    })
}

/// How lines look, as the plan has it.
pub(super) fn look(plan: &Plan) -> Look {
    let digits = |spec: &ServiceSpec| match spec.instances {
        1 => 0,
        several => 1 + (several - 1).to_string().len(),
    };
    let widest = plan.services.iter().map(|spec| spec.name.len() + digits(spec)).max();
    let width = widest.unwrap_or(0).min(u8::MAX.into()) as u8;
    let SupervisorSpec { log_format: format, timestamps, .. } = plan.supervisor;
    Look { format, timestamps, width, ..Look::PLAIN }
}

/// Signals that PID 1 heeds: those that stop it or that it knows, and those that the
/// configuration passes on. All others keep their default, which the kernel ignores for
/// PID 1; who is not PID 1 is not to die of a stray USR2 either.
fn wanted(plan: &Plan) -> impl Iterator<Item = Signal> {
    let ours = [
        Signal::TERM,
        Signal::INT,
        Signal::QUIT,
        Signal::PWR,
        Signal::RTMIN_3,
        Signal::HUP,
        Signal::USR1,
        Signal::USR2,
    ];
    ours.into_iter().chain(plan.signals.iter().map(|(signal, _)| *signal))
}
