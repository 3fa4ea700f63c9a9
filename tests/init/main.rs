//! `minisup init`, with real servers where Debian has them and recording stand-ins where it has not: what it
//! promises, kept whatever dies.
#![allow(clippy::print_stderr, reason = "a skipped test says so, and a long one says how far it is")]

mod asking;
mod course;
mod crash;
mod database;
mod mariadb;
mod power;
mod rules_mariadb;
mod rules_mysql;
#[path = "../support/mod.rs"]
mod support;
