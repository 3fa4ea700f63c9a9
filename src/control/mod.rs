//! The control socket: how clients ask, and what they get.
//!
//! One JSON document a line, both ways, over a unix socket; docs/control-protocol.md tells
//! others how to write a client.
//!
//! - [`wire`]: the documents; [`reading`]: as they are read, with [`document`]'s help
//! - [`place`]: where the socket is, for those who listen and those who look for them
//! - [`listen`]: the socket's file
//! - [`server`]: all clients; [`connection`]: one of them
//! - [`client`]: asks, and waits for the answer; for short-lived processes only
#![forbid(unsafe_code)]

pub mod client;
pub mod connection;
pub mod document;
pub mod listen;
pub mod place;
pub mod reading;
pub mod server;
pub mod wire;
