//! unix(7): the socket on which a service says how it is, as sd_notify(3) describes.
//!
//! Each service that is to speak has a socket of its own, so that nobody has to find out
//! whose message it is. Its address is abstract, given by the kernel: it needs no directory,
//! works on a read-only root, and is gone with the socket. Abstract names are shared by a
//! network namespace, which several containers may have in common: a message of a process
//! that our PID namespace does not have has no sender. Whether a sender belongs to the service is not known here.

use crate::core::ids::Pid;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, UnixCredentials, bind,
    getsockname, recvmsg, setsockopt, socket, sockopt,
};
use std::ffi::{OsStr, OsString};
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// So long may a message be; the rest is cut off.
const MESSAGE_MAX: usize = 4096;

/// What somebody has sent.
#[derive(PartialEq, Eq, Debug)]
pub struct Message {
    /// Who; nobody of whom our PID namespace knows, if there is none.
    pub from: Option<Pid>,
    /// What, up to its end or to 4096 bytes.
    pub text: Vec<u8>,
}

/// A service's own notify socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    address: OsString,
    /// Where abstract names are not to be had: removed when we are done.
    path: Option<PathBuf>,
}

impl Socket {
    /// A socket with a name that nobody else has.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM: none to be had now. ENOSPC, EROFS and the like: abstract names
    /// are refused, and so is the temporary directory.
    pub fn new() -> Result<Socket, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        setsockopt(&fd, sockopt::PassCred, &true)?;
        match bind(fd.as_raw_fd(), &UnixAddr::new_unnamed()) {
            Ok(()) => {
                let name = getsockname::<UnixAddr>(fd.as_raw_fd())?;
                let mut address = b"@".to_vec();
                address.extend(name.as_abstract().ok_or(Errno::EADDRNOTAVAIL)?);
                Ok(Socket { fd, address: OsString::from_vec(address), path: None })
            }
            Err(_) => {
                let name = format!("minisup-{}-{}.notify", super::pid1::own_pid(), fd.as_raw_fd());
                let path = std::env::temp_dir().join(name);
                bind(fd.as_raw_fd(), &UnixAddr::new(&path)?)?;
                Ok(Socket { fd, address: path.clone().into(), path: Some(path) })
            }
        }
    }

    /// The value of NOTIFY_SOCKET.
    pub fn address(&self) -> &OsStr {
        &self.address
    }

    /// The next message, if there is one.
    pub fn receive(&mut self) -> Option<Message> {
        let mut text = vec![0u8; MESSAGE_MAX];
        let (count, from) = loop {
            let mut parts = [IoSliceMut::new(&mut text)];
            let mut space = cmsg_space!(UnixCredentials);
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
            let message = match recvmsg::<()>(self.fd.as_raw_fd(), &mut parts, Some(&mut space), flags) {
                Ok(message) => message,
                Err(Errno::EINTR) => continue,
                Err(_) => return None,
            };
            let sender = |control: ControlMessageOwned| match control {
                ControlMessageOwned::ScmCredentials(sender) => Some(Pid(sender.pid())),
                _ => None,
            };
            let from = message.cmsgs().ok().and_then(|mut all| all.find_map(sender));
            break (message.bytes, from.filter(|pid| pid.0 > 0));
        };
        text.truncate(count);
        Some(Message { from, text })
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    #[test]
    fn a_message_arrives_whole_and_each_socket_has_its_own_name() {
        let (mut one, two) = (Socket::new().unwrap(), Socket::new().unwrap());
        assert_ne!(one.address(), two.address());
        assert!(one.receive().is_none());
        let name = one.address().as_bytes().strip_prefix(b"@").expect("an abstract name").to_vec();
        let client = UnixDatagram::unbound().unwrap();
        let to = SocketAddr::from_abstract_name(name).unwrap();
        client.send_to_addr(b"READY=1\nSTATUS=up", &to).unwrap();
        let from = Some(crate::sys::pid1::own_pid());
        assert_eq!(one.receive(), Some(Message { from, text: b"READY=1\nSTATUS=up".to_vec() }));
        assert!(one.receive().is_none());
    }
}
