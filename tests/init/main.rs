//! `minisup init`, with real servers where Debian has them: what it promises, kept whatever dies.
#![allow(clippy::print_stderr, reason = "a skipped test says so, and a long one says how far it is")]

mod crash;
mod database;
mod power;
#[path = "../support/mod.rs"]
mod support;
