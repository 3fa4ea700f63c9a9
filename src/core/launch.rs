//! What is launched, in what environment, as whom, within which limits.

use super::plan::with_instance;
use std::path::PathBuf;
use std::rc::Rc;

/// What is launched, and as whom. Every `None` means: as minisup itself has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// The program and its arguments; never empty. `${instance}` is still in it if the
    /// service has several instances: see [`Launch::argv`].
    pub command: Box<[String]>,
    /// The complete environment, sorted by name: the inherited one (unless cleared), then
    /// `[environment]`, then the service's own. HOME, USER and LOGNAME are set if `user` is.
    /// Shared by all services that have the same. `${instance}` is still in it, as above.
    pub environment: Rc<[(String, String)]>,
    /// Names in `environment` whose values are shown nowhere; sorted.
    pub secrets: Rc<[String]>,
    /// Names that the service's own keys set, sorted: what scripts have exported does not replace
    /// these, but everything else. `None`: it gets nothing of what scripts export, as it gets
    /// nothing of what minisup was given.
    pub own: Option<Rc<[String]>>,
    /// What few services set.
    pub extra: Option<Box<LaunchExtra>>,
}

/// What few services set.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct LaunchExtra {
    /// Switched to before exec, with supplementary groups.
    pub credentials: Option<Credentials>,
    /// The working directory.
    pub directory: Option<PathBuf>,
    /// umask(2).
    pub umask: Option<u32>,
    /// From -20 to 19 (setpriority(2)).
    pub nice: Option<i32>,
    /// From -1000 to 1000 (proc(5)).
    pub oom_score_adj: Option<i32>,
    /// setrlimit(2).
    pub limits: Box<[Limit]>,
    /// PR_SET_NO_NEW_PRIVS.
    pub no_new_privileges: bool,
    /// Only these stay in the bounding set, and they become ambient (capabilities(7)).
    /// Numbers of CAP_*; `None`: untouched.
    pub capabilities: Option<Box<[u8]>>,
    /// The program is our own under a subcommand, wherever it lies: the first word of the
    /// command is only how it is shown. It is given a notify socket, to say how far it is.
    pub satellite: bool,
    /// It finds a file at descriptor [`exports::FD`](super::exports::FD); what it writes there becomes
    /// a part of the environment of everything that is launched after it.
    pub exports: bool,
}

/// Who a process is: numbers only; `config` has read /etc/passwd and /etc/group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Credentials {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Box<[u32]>,
}

/// One resource limit, soft and hard; `None` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Limit {
    pub resource: Resource,
    pub soft: Option<u64>,
    pub hard: Option<u64>,
}

/// The limits of getrlimit(2) that a service may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Resource {
    As,
    Core,
    Cpu,
    Data,
    Fsize,
    Memlock,
    Msgqueue,
    Nice,
    Nofile,
    Nproc,
    Rtprio,
    Sigpending,
    Stack,
}

impl Launch {
    /// The command of the instance with this number within its service, counted from 0.
    pub fn argv(&self, number: u32) -> impl Iterator<Item = String> + '_ {
        self.command.iter().map(move |word| with_instance(word, number))
    }
}
