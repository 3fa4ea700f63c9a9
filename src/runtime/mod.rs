//! Where the rooms meet: boot, the loop, and the deeds that actions ask for.
//!
//! - [`boot`]: everything before the first service; the last place where an error ends us
//! - `turn`: the loop, ten lines
//! - `perform`: each action, done
//! - `launching`: from an instance to a process
//! - `deaths`: every child that ended, and whose it was
//! - `heirs`: main processes that end and leave another one in their place
//! - `errands`: short-lived processes on a service's behalf; `relay`: what they write
//! - `hooks`: commands around a service's life
//! - `own_logs`: what a server writes into a file of its own while it reloads
//! - `pid_files`: which one of two processes takes along, and the other one needs
//! - `rounds`: what is looked after by the clock (`schedules`), in files (`watches`), in `memory`
//! - `reload`: carrying a reload out; `new_workers`: whether it is done
//! - `hearing`: descriptors on which services speak to us: verdicts, sd_notify, readiness
//! - `probe`: asking services how they are
//! - `clients`: what is asked through the control socket; `names`: of whom; `answers`: what is read;
//!   `readers`: of the logs
//! - `compressing`: of old log files
//! - `report`: what is said about it all; `last_words`: what a service wrote before it failed
//! - `update`: reading the configuration again, and going over to it
//! - `sockets`: opened for services and held
//! - `rescue`: what is done if we ourselves are at fault
#![forbid(unsafe_code)]

mod answers;
pub mod boot;
mod clients;
mod compressing;
mod deaths;
mod errands;
mod hearing;
mod heirs;
mod hooks;
mod last_words;
mod launching;
mod memory;
mod names;
mod new_workers;
mod own_logs;
mod perform;
mod pid_files;
mod probe;
mod readers;
mod relay;
mod reload;
mod report;
mod rescue;
mod rounds;
mod schedules;
mod sockets;
mod turn;
mod update;
mod watches;

pub use update::Origin;
