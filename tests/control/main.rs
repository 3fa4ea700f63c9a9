//! Every command that talks to a supervisor, the real binary, against the real PID 1: what it
//! says to people and to programs, and its exit code.

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code)]
#[path = "../run/stage.rs"]
mod stage;

mod asking;
mod changing;
mod looking;
mod reference;
mod refused;
mod screen;
mod terminal;
mod updating;
mod waiting;
mod written;
