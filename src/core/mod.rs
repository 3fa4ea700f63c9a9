//! What minisup decides, and nothing else.
//!
//! This room is pure: it does no I/O, reads no clock, draws no random number, never
//! fails and never panics. It is told what happened (`Input`) and at which moment, and
//! it answers with what is to be done (`Action`). Whoever wants to know why something
//! was launched, stopped or given up finds the reason here.
//!
//! - [`ids`]: names and numbers of things
//! - `time`: moments
//! - [`signal`]: signals by name and number
//! - [`exit`]: how a process ended, and what the container says of it
//! - [`plan`]: what is to run, as meant: validated, immutable
//! - [`launch`]: what is launched, and as whom
//! - [`probe`]: how we learn how a service is
//! - [`sink`]: where what a child writes goes
//! - [`socket`]: sockets that are held for a service
//! - [`backoff`]: how long to wait before the next try
//! - [`instance`]: what can be true of an instance, happen to it, be done about it
//! - [`service`]: one instance: `step(spec, state, event, now)`
//! - [`graph`]: who requires whom
//! - [`snapshot`]: what clients read
//! - [`input`], [`action`]: what the supervisor is told, and what it answers
//! - [`difference`]: what distinguishes two plans
//! - [`secrets`]: values that are said nowhere
//! - `requests`: what clients ask for; `goals`: when they are answered
//! - `schedule`: what the clock and changed files ask for
//! - [`phase`]: what the whole is doing
//! - [`supervisor`]: many instances, from Boot to Done
//! - `slot`: one place for one process; `rolling`: two for one instance
//! - `roster`: who there is, by number, service and place
//! - [`admission`], `ending`: its rules for launching, and for stopping; [`yielding`]: who leaves time to whom
//! - [`sorted`]: maps, sets and lists in order
//! - [`exports`]: what scripts add to the environment of those launched after them
//! - `occupancy`: who still stands on whom
//! - `update`: from one plan to the next
#![forbid(unsafe_code)]

pub mod action;
pub mod admission;
pub mod backoff;
pub mod difference;
mod ending;
pub mod exit;
pub mod exports;
mod goals;
pub mod graph;
pub mod ids;
pub mod input;
pub mod instance;
pub mod launch;
mod occupancy;
pub mod phase;
pub mod plan;
pub mod probe;
mod requests;
mod rolling;
mod roster;
mod schedule;
pub mod secrets;
pub mod service;
pub mod signal;
pub mod sink;
pub mod size;
mod slot;
pub mod snapshot;
pub mod socket;
pub mod sorted;
pub mod supervisor;
pub mod time;
mod update;
pub mod yielding;
