//! `minisup init`, with real servers where Debian has them and recording stand-ins where it has not: what it
//! promises, kept whatever dies.
//!
//! `rules_ENGINE.rs` go through the rules of the official images one by one; for PostgreSQL and MongoDB the numbers
//! in their tests' names are those of docs/first-start-ENGINE.md.
#![allow(clippy::print_stderr, reason = "a skipped test says so, and a long one says how far it is")]

mod asking;
mod course;
mod crash;
mod database;
mod employees;
mod first;
mod mariadb;
mod mariadb_in_place;
mod mariadb_restore;
mod migrations;
mod mysql;
mod postgres;
mod postgres_scripts;
mod power;
mod rules_mariadb;
mod rules_mongodb;
mod rules_mysql;
mod rules_postgres;
#[path = "../support/mod.rs"]
mod support;
