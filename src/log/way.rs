//! Writing to a descriptor that somebody else shares, without ever waiting.
//!
//! The container's stdout and stderr are shared with whoever started us. O_NONBLOCK
//! belongs to the open file description, not to the descriptor: set here, it would be set
//! for all of them, and their writes would begin to fail. So the way of writing is chosen by
//! what the descriptor is:
//!
//! | stdout is | written by |
//! |---|---|
//! | a pipe or terminal | a new open file description of the same file, non-blocking, through /proc/self/fd |
//! | a pipe that may not be reopened (another user's, or no /proc) | splice(2) from a pipe of ours: the one call that does not wait on somebody else's blocking pipe |
//! | a terminal that may not be reopened | poll(2) first, then little |
//! | a socket | send(2) with MSG_DONTWAIT |
//! | a regular file, /dev/null | write(2) on the descriptor as it is, so that its offset stays shared |

use super::output::{Output, after, newlines};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, open, splice};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, sendmsg};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::sys::uio::writev;
use nix::unistd::{isatty, pipe2, read, write};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// So much is written at once to a terminal that cannot be made non-blocking. The kernel
/// reports a terminal as writable while fewer than 256 characters wait in it.
const LITTLE: usize = 256;

/// How bytes get there.
pub(super) enum Way {
    /// write(2), which does not wait here, or fails with EAGAIN where it would.
    Write(OwnedFd),
    /// send(2).
    Send(OwnedFd),
    /// Into a pipe of ours, and from there by splice(2).
    Splice { to: OwnedFd, read: OwnedFd, write: OwnedFd, inside: usize },
    /// poll(2), then little.
    Careful(OwnedFd),
}

impl Way {
    pub(super) fn to(fd: OwnedFd) -> Way {
        let kind =
            fstat(&fd).map_or(SFlag::empty(), |s| SFlag::from_bits_truncate(s.st_mode) & SFlag::S_IFMT);
        let flags = fcntl(&fd, FcntlArg::F_GETFL).map_or(OFlag::empty(), OFlag::from_bits_truncate);
        let is_terminal = kind == SFlag::S_IFCHR && isatty(&fd).unwrap_or(false);
        if kind == SFlag::S_IFSOCK {
            return Way::Send(fd);
        }
        if !(kind == SFlag::S_IFIFO || is_terminal) || flags.contains(OFlag::O_NONBLOCK) {
            return Way::Write(fd);
        }
        // proc_pid_fd(5): opening the link gives a new description of the same file.
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let how = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        if let Ok(own) = open(path.as_str(), how, Mode::empty())
            && Output::is_same_file(&fd, &own)
        {
            return Way::Write(own);
        }
        if is_terminal {
            return Way::Careful(fd);
        }
        match pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK) {
            Ok((read, write)) => Way::Splice { to: fd, read, write, inside: 0 },
            Err(_) => Way::Careful(fd),
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Way::Write(fd) | Way::Send(fd) | Way::Careful(fd) | Way::Splice { to: fd, .. } => fd.as_fd(),
        }
    }

    /// Bytes that have left us but not arrived.
    pub(super) fn inside(&self) -> usize {
        match self {
            Way::Write(_) | Way::Send(_) | Way::Careful(_) => 0,
            Way::Splice { inside, .. } => *inside,
        }
    }

    /// Gives both to the kernel, as far as it takes them now: how many bytes, and why no more.
    pub(super) fn put_all(&mut self, head: &[u8], body: &[u8]) -> (usize, Result<(), Errno>) {
        let mut done = 0;
        loop {
            let (head, body) = after(head, body, done);
            if head.is_empty() && body.is_empty() {
                return (done, self.pass_on());
            }
            match self.pass_on().and_then(|()| self.put(head, body)) {
                Ok(count) => done += count,
                Err(Errno::EINTR) => {}
                Err(errno) => return (done, Err(errno)),
            }
        }
    }

    pub(super) fn put(&mut self, head: &[u8], body: &[u8]) -> Result<usize, Errno> {
        match self {
            Way::Write(fd) if head.is_empty() => write(&*fd, body),
            Way::Write(fd) => writev(&*fd, &[IoSlice::new(head), IoSlice::new(body)]),
            Way::Send(fd) => {
                let parts = [IoSlice::new(head), IoSlice::new(body)];
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                sendmsg::<()>(fd.as_raw_fd(), &parts, &[], flags, None)
            }
            Way::Splice { write, inside, .. } => {
                let count = writev(&*write, &[IoSlice::new(head), IoSlice::new(body)])?;
                *inside += count;
                Ok(count)
            }
            Way::Careful(fd) => {
                let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLOUT)];
                poll(&mut fds, PollTimeout::ZERO)?;
                if fds[0].revents().is_none_or(|r| r.is_empty()) {
                    return Err(Errno::EAGAIN);
                }
                let first = if head.is_empty() { body } else { head };
                write(&*fd, &first[..first.len().min(LITTLE)])
            }
        }
    }

    /// Moves on what is inside. EAGAIN is no error here: [`Way::inside`] tells.
    pub(super) fn pass_on(&mut self) -> Result<(), Errno> {
        if let Way::Splice { to, read, inside, .. } = self {
            while *inside > 0 {
                match splice(&*read, None, &*to, None, *inside, SpliceFFlags::SPLICE_F_NONBLOCK) {
                    Ok(count) => *inside -= count.min(*inside),
                    Err(Errno::EAGAIN) => return Ok(()),
                    Err(Errno::EINTR) => {}
                    Err(errno) => return Err(errno),
                }
            }
        }
        Ok(())
    }

    /// Throws away what is inside and counts its lines.
    pub(super) fn forget(&mut self) -> u64 {
        let mut count = 0;
        if let Way::Splice { read: from, inside, .. } = self {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = read(&*from, &mut buffer) {
                count += newlines(&buffer[..length]);
            }
            *inside = 0;
        }
        count
    }
}
