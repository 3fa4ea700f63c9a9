//! epoll(7) through tokio: descriptors whose news wake the loop.
//!
//! tokio wants to be promised that a descriptor stays open, and the same, for as long as it
//! watches it: an unsafe promise, for a type could close its descriptor early, or be put in
//! another's place. It is given once, here: for types that keep theirs until they are
//! dropped, inside a [`Watched`] that lends them out to be looked at, never to be replaced.

use super::reap::Bell;
use super::signals::{Sender, Signals};
use crate::core::signal::Signal;
use nix::sys::epoll::Epoll;
use nix::sys::inotify::Inotify;
use nix::sys::timerfd::TimerFd;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor that tells the loop when there is something to read.
#[derive(Debug)]
pub struct Watched<T: Steady>(AsyncFd<T>);

/// What keeps its descriptor.
///
/// # Safety
/// From its making until it is dropped its descriptor is open, refers to the same open file,
/// and has the same number, whatever is done with a shared reference to it.
pub unsafe trait Steady: AsRawFd {}

// SAFETY: one end of a pair of sockets, which it owns and hands out to nobody.
unsafe impl Steady for Signals {}
// SAFETY: it owns its signalfd, and hands it out to nobody.
unsafe impl Steady for Bell {}
// SAFETY: whoever has a part of the Arc can only borrow what it holds.
unsafe impl Steady for Kept<Arc<Epoll>> {}
// SAFETY: nix closes it when it is dropped, and its methods leave it as it is.
unsafe impl Steady for Kept<Inotify> {}
// SAFETY: as for inotify.
unsafe impl Steady for Kept<TimerFd> {}

/// A descriptor of nix, which says by another trait which one it is.
#[derive(Debug)]
pub struct Kept<T>(pub T);

impl<T: Steady> Watched<T> {
    /// Watches it. Call it within a tokio runtime.
    ///
    /// # Errors
    /// ENOMEM, ENOSPC: the kernel has no room for another one.
    pub fn new(inner: T) -> io::Result<Watched<T>> {
        // SAFETY: `Steady` promises it, and nobody gets an exclusive reference to replace it.
        let watched = unsafe { AsyncFd::register_with_interest(inner, Interest::READABLE) };
        Ok(Watched(watched?))
    }

    /// Returns when there may be something to read since it returned last: it counts as taken,
    /// and what comes from now on is told again. May be dropped at any time.
    pub async fn ready(&self) {
        match self.0.readable().await {
            Ok(mut guard) => guard.clear_ready(),
            // The runtime is shutting down; nobody will ask again.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Watched<Signals> {
    /// As [`Signals::pending`].
    pub fn pending(&mut self) -> impl Iterator<Item = (Signal, Option<Sender>)> {
        self.0.get_mut().pending()
    }
}

impl<T: Steady> Deref for Watched<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.get_ref()
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl AsRawFd for Kept<Arc<Epoll>> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

impl AsRawFd for Kept<Inotify> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl AsRawFd for Kept<TimerFd> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}
