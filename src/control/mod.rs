//! The control socket: how clients ask, and what they get.
//!
//! One JSON document a line, both ways, over a unix socket; docs/control-protocol.md tells
//! others how to write a client.
//!
//! - [`wire`]: the documents
//! - [`client`]: asks, and waits for the answer; for short-lived processes only
#![forbid(unsafe_code)]

pub mod client;
pub mod wire;
