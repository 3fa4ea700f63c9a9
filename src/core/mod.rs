//! What minisup decides, and nothing else.
//!
//! This room is pure: it does no I/O, reads no clock, draws no random number, never
//! fails and never panics. It is told what happened (`Input`) and at which moment, and
//! it answers with what is to be done (`Action`). Whoever wants to know why something
//! was launched, stopped or given up finds the reason here.
//!
//! - [`ids`]: names and numbers of things
//! - [`time`]: moments
//! - [`signal`]: signals by name and number
//! - [`exit`]: how a process ended, and what the container says of it
//! - [`plan`]: what is to run, as meant: validated, immutable
//! - [`backoff`]: how long to wait before the next try
//! - [`service`]: one instance: `step(spec, state, event, now)`
//! - [`graph`]: who requires whom
//! - [`supervisor`]: many instances, from Boot to Done
#![forbid(unsafe_code)]

pub mod exit;
pub mod ids;
pub mod plan;
pub mod signal;
pub mod time;
