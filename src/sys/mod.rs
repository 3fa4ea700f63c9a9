//! The kernel, one file per manual page. The only `unsafe`, the only `waitid`, the only clock.
//!
//! - [`launch`][]: from an order to a running program, without waiting and without fork's cost
//! - [`words`][]: argv and envp as the kernel wants them
//! - [`reap`][]: every child that ended, ours or adopted
//! - [`signals`][]: what is caught, who sent it; sending
//! - [`clock`][]: now
//! - [`notify`][]: the socket on which a service says how it is
//! - [`peer`][]: who is at the other end of a unix socket
//! - [`identity`][]: becoming another user ourselves
//! - [`pid1`][]: whether we are PID 1, and what differs when we are not
//! - [`proc`][]: who there is, as /proc has it
//! - [`tree`][]: who belongs to a service
//! - [`sweep`][]: the end of everything that is left
//! - [`terminal`][]: whose is the terminal
//! - [`watch`][]: descriptors whose news wake the loop
//! - [`socket`][]: sockets that others serve
//! - [`fd`][]: descriptors: pipes, /dev/null, what must not leak
//!
//! Private: `prepare` makes what a child needs, `child` is what runs between clone and exec,
//! `holder` is who listens at an address, `mark` is by what we know a child's descendants again, `syscall` its raw system calls, `stack` what it stands on, `stage` says what went wrong,
//! `glibc` what the static binary has instead of glibc's own.

mod child;
pub mod clock;
pub mod fd;
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
mod glibc;
mod holder;
pub mod identity;
pub mod launch;
mod mark;
pub mod memory;
pub mod notify;
pub mod peer;
pub mod pid1;
mod prepare;
pub mod proc;
pub mod reap;
pub mod signals;
pub mod socket;
mod stack;
mod stage;
pub mod sweep;
mod syscall;
pub mod terminal;
pub mod tree;
pub mod watch;
pub mod words;
