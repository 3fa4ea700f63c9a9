//! Bytes of children, to where they go.
//!
//! ```text
//! child ═ pipe ═► Pump ─► Cutter ─► format ─► Output: the container's stdout or stderr
//!                  │        │
//!                  │        └─ the beginning of a line whose end has not come yet
//!                  └─ one epoll for all pipes; its one descriptor wakes the loop of PID 1
//! our own messages ─► own ─────────────────► Output: the container's stderr
//! ```
//!
//! Three promises are kept here: a line of one service is never mixed with another's;
//! nothing that a reader of our output does, or fails to do, makes PID 1 wait; and every
//! queue has a written limit.
//!
//! - [`pump`]: all pipes of all children; `reading`: who is read when; `finish`: the end; `asking`: for others;
//!   `splice`: what is moved unseen
//! - [`cut`]: a stream of bytes into lines
//! - [`format`]: how a line looks: raw, prefix, JSON, `stamp`: time stamps
//! - [`stream`]: one stream of a child, and `delivery`: its lines' way to where they go
//! - [`ring`]: the last lines of each instance; [`follow`]: who reads along
//! - [`output`]: the container's stdout or stderr; `way`: written without ever waiting
//! - `file`: a log file of ours; `files`: all of them; `rotate`: names of old ones
//! - [`own`]: what minisup says about itself
#![forbid(unsafe_code)]

mod asking;
pub mod cut;
mod delivery;
mod file;
mod files;
mod finish;
pub mod follow;
pub mod format;
pub mod output;
pub mod own;
pub mod pump;
mod reading;
pub mod ring;
mod rotate;
mod splice;
mod stamp;
pub mod stream;
#[cfg(test)]
mod tests;
mod way;

pub use files::Compression;
pub use follow::{Followed, FollowerId};
pub use format::Look;
pub use pump::{Clock, Pump};
pub use ring::RingLine;
pub use splice::Pending;
pub use stamp::Stamp;
pub use stream::{Event, Source, Std, StreamId};
