//! A database's first start, made so that it survives a crash: `minisup init ENGINE`.
//!
//! It is a satellite: its own process, one thread, which may wait in poll(2) for as long as a
//! server takes. It does what the official images' entrypoints do before their server starts for
//! the first time, with the same variables and scripts, but for one thing: **the data directory
//! stays empty until all is complete**, so nothing can serve half of it.
//!
//! ```text
//!  variables ─► plan ─► ground ─► staging: initialise ─► temporary server ─► set up ─► scripts
//!   (rules)   (files)  (whose is           │                    │                        │
//!                       this data?)        └──────── journal, fsynced at each step ──────┘
//!                                                                                        │
//!                          exit 0 ◄─ fsync ◄─ rename into place ◄─ server stopped ◄──────┘
//! ```
//!
//! - [`start`][]: the course, stage by stage; [`partial`][]: what is done about one that did not end
//! - [`ground`][]: whose the data is; staging, moving into place, moving aside; [`directories`][]: those besides it;
//!   [`hold`][]: who is at work there
//! - [`journal`][]: what is written down, and how it survives power loss; [`digest`][]: SHA-256
//! - [`restore`][]: a backup instead of all else; [`in_place`][]: what is done to data that is there, an [`upgrade`] and
//!   migrations
//! - [`scripts`][]: what becomes of scripts and migrations
//! - [`crew`][]: our children, all waited for in one loop; [`identity`][]: whom they run as; [`programs`][]: where
//!   programs are
//! - [`engine`][]: what a kind of database has to know
//! - [`variables`][]: `VAR` and `VAR_FILE`
//! - [`preview`][]: what is said instead of doing it
//! - [`trouble`][]: why it stops, and how that is told; [`voice`]: what people read
#![forbid(unsafe_code)]

pub mod crew;
pub mod digest;
pub mod directories;
pub mod engine;
pub mod ground;
pub mod hold;
pub mod identity;
pub mod in_place;
pub mod journal;
pub mod partial;
pub mod preview;
pub mod programs;
pub mod restore;
pub mod scripts;
pub mod start;
pub mod trouble;
pub mod upgrade;
pub mod variables;
pub mod voice;

use engine::Variables;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What is asked for: the command line and the environment.
#[derive(Clone, Debug)]
pub struct Request {
    /// `mariadb`, `mysql`, `postgres`, `mongodb`.
    pub engine: String,
    /// Scripts, run once, when the data directory is made.
    pub directory: PathBuf,
    /// Scripts of which each new one is run at every start (migrations).
    pub each_start: Option<PathBuf>,
    /// Where the data is to lie; none: the engine knows or asks its server.
    pub data_directory: Option<PathBuf>,
    /// What is done about a first start that did not end.
    pub on_partial: OnPartial,
    /// In which order scripts are run.
    pub order: Order,
    /// Whom the server runs as: a name or a number; none: the engine's own account, if we are root.
    pub user: Option<String>,
    /// The clients' character set; none: the engine's default.
    pub charset: Option<String>,
    /// So long one script may take; none: for ever.
    pub script_timeout: Option<Duration>,
    /// So long the temporary server may take until it answers.
    pub start_timeout: Duration,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Say it as JSON.
    pub json: bool,
    /// The real server's command line, as far as it was given: program and arguments.
    pub server: Vec<OsString>,
    /// Our own environment.
    pub environment: Variables,
}

/// What is done about a first start that did not end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnPartial {
    /// Go on where that is safe, else move what is left aside and begin again.
    #[default]
    Retry,
    /// Move what is left aside and begin again.
    Quarantine,
    /// Touch nothing, explain, exit with 78.
    Fail,
}

/// In which order scripts are run. Neither depends on the locale.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// By the bytes of their names, as a shell's glob has it in the C locale: 10 before 2.
    #[default]
    Glob,
    /// Numbers by their value, as `sort -V` has it: 2 before 10.
    Version,
}

/// Makes the first start, or finds that there is nothing to do. Returns the exit code.
pub fn run(request: &Request) -> u8 {
    match start::attempt(request) {
        Ok(()) => 0,
        Err(trouble) => {
            voice::show_bar(None);
            voice::tell(&trouble);
            trouble.exit_code()
        }
    }
}
