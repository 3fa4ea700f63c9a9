//! SO_PEERCRED, SO_PEERGROUPS (unix(7)): who is at the other end of a unix socket.
//!
//! The kernel wrote it down when the other side connected; nobody can say something else.

use super::pid1;
use crate::core::ids::Pid;
use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::os::fd::{AsFd, AsRawFd};

/// Nobody is in more groups (NGROUPS_MAX, getgroups(2)).
const GROUPS_MAX: usize = 65_536;

/// Who has connected, or who listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Its process; 0 if that is outside of our PID namespace.
    pub pid: Pid,
    /// Its effective user then.
    pub uid: u32,
    /// Its effective group then.
    pub gid: u32,
}

/// The other end of this socket.
///
/// # Errors
/// ENOTSOCK, or a seccomp filter's.
pub fn of(socket: &impl AsFd) -> Result<Peer, Errno> {
    let peer = getsockopt(socket, PeerCredentials)?;
    Ok(Peer { pid: Pid(peer.pid()), uid: peer.uid(), gid: peer.gid() })
}

/// Whether the other end may do with us what it likes: it is the user that we are, or root, or
/// in this group.
pub fn may_command(socket: &impl AsFd, group: Option<u32>) -> bool {
    let Ok(peer) = of(socket) else { return false };
    let is_in = |group: u32| peer.gid == group || groups(socket).contains(&group);
    peer.uid == 0 || peer.uid == pid1::own_uid() || group.is_some_and(is_in)
}

/// The supplementary groups of the other end. None before Linux 4.13: its own group has to do.
fn groups(socket: &impl AsFd) -> Vec<u32> {
    let mut groups = vec![0u32; 64];
    loop {
        let mut size = std::mem::size_of_val(groups.as_slice()) as libc::socklen_t;
        // SAFETY: the kernel writes at most `size` bytes, which is how long the buffer is, and
        // then says how many it wrote or, with ERANGE, would have.
        let done = unsafe {
            let fd = socket.as_fd().as_raw_fd();
            libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERGROUPS, groups.as_mut_ptr().cast(), &mut size)
        };
        let count = size as usize / size_of::<u32>();
        match Errno::result(done) {
            Ok(_) => {
                groups.truncate(count);
                return groups;
            }
            Err(Errno::ERANGE) if count > groups.len() && count <= GROUPS_MAX => groups.resize(count, 0),
            Err(_) => return Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn the_other_end_of_our_own_socket_is_us() {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = of(&one).unwrap();
        assert_eq!((peer.pid, peer.uid), (pid1::own_pid(), pid1::own_uid()));
        let mut own: Vec<u32> =
            nix::unistd::getgroups().unwrap().into_iter().map(nix::unistd::Gid::as_raw).collect();
        let mut seen = groups(&one);
        own.sort();
        seen.sort();
        assert_eq!(seen, own);
        assert!(may_command(&one, None));
    }
}
