//! minisup: PID 1 for containers that run more than one process.
//!
//! ```text
//! argv, env        supervise.toml · supervisord.conf
//!     │                    │
//!    cli ──run──►  config: File (as written) ──resolve──► Plan (as meant: validated, immutable)
//!                                                           │
//!  ┌── PID 1, one thread, one select! ──────────────────────▼─────────────────────────────────┐
//!  │  signals ─┐                                                                              │
//!  │  deaths  ─┤                                                                              │
//!  │  probes  ─┼─► Input ─► Supervisor::handle(input, now) ─► Action* ─► perform ─► sys       │
//!  │  deadline─┘                 ▲                               │                            │
//!  │                             └──── Forked / ForkFailed ──────┘                            │
//!  └──────────────────────────────────────────────────────────────────────────────────────────┘
//!  child stdout/stderr ═ pipe ═► log::pump ─► the container's stdout           no decision here
//! ```
//!
//! Arrows point down only: `cli → runtime → {config, log, sys} → core → std`.
//! ARCHITECTURE.md has the promises that every room keeps.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod cli;
pub mod config;
pub mod control;
pub mod core;
pub mod init;
pub mod log;
pub mod probe;
pub mod runtime;
pub mod sys;
