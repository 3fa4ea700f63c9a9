//! The control socket of the real binary as the real PID 1, and clients of every kind: many,
//! slow, silent, gone, hostile, forbidden. Whatever they do costs their own connection, and
//! everybody else is answered.

#[path = "../run/stage.rs"]
#[allow(dead_code)]
mod stage;
#[path = "../support/mod.rs"]
mod support;

mod docs;
mod doors;
mod hostile;
mod many;
mod person;
mod places;
