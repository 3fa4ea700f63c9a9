//! `minisup update` and HUP, with the real binary as the real PID 1: what changed is handled in
//! order, and whatever did not change does not notice.
//!
//! Updates are asked for by HUP, by the bare documents of the control socket and by the command;
//! all three are the same to PID 1. Tests wait for lines and for processes, never for a time.

#[path = "../support/mod.rs"]
mod support;

#[path = "../run/stage.rs"]
#[allow(dead_code)]
mod stage;

mod asked;
mod broken;
mod changes;
mod many;
mod order;
mod play;
mod sockets;
mod timing;
