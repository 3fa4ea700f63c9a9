//! socket(2), bind(2), listen(2): sockets that are opened here and served by others.
//!
//! Nobody accepts here, so a listener stays as it was made: whether accept(2) waits is a flag of
//! the open socket, which all who share it share, and each server sets it as it needs it; but for
//! those that rely on it being set ([`Listener::let_nobody_wait`]). All are close-on-exec; a launch
//! places copies.
//!
//! A unix socket's file that nobody listens behind any more is replaced; one behind which
//! somebody listens is not, nor is anything that is no socket.

use super::fd::set_nonblocking;
use super::holder;
use crate::core::socket::{HeldSocket, SocketAddress, SocketOptions};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, UnixAddr, bind, connect, listen, setsockopt,
    socket, sockopt,
};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, chown};
use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// Listening.
#[derive(Debug)]
pub struct Listener {
    /// Nothing, once it has been closed.
    fd: Option<OwnedFd>,
    /// Device and inode of a unix socket's file: whose it is.
    file: Option<(u64, u64)>,
}

/// Why one cannot listen there.
#[derive(Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Somebody listens there: who, if that can be told.
    InUse(Option<String>),
    /// Something is there that is no socket.
    NoSocket,
    /// What the kernel says.
    Kernel(Errno),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::InUse(Some(who)) => write!(f, "it is in use by {who}"),
            Unusable::InUse(None) => f.write_str("it is in use by somebody else"),
            Unusable::NoSocket => f.write_str("there is something else, which is no socket"),
            Unusable::Kernel(errno) => f.write_str(&errno.desc().to_lowercase()),
        }
    }
}

impl From<Errno> for Unusable {
    fn from(errno: Errno) -> Unusable {
        Unusable::Kernel(errno)
    }
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Unusable {
        Unusable::Kernel(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
    }
}

impl Listener {
    /// Listens as it is said there. A unix socket's folder is made if it is missing.
    ///
    /// # Errors
    /// As [`Unusable`] has it.
    pub fn open(wanted: &HeldSocket) -> Result<Listener, Unusable> {
        let listener = match &wanted.address {
            SocketAddress::Tcp(address) => open_tcp(*address, &wanted.options, &wanted.address)?,
            SocketAddress::Unix(path) => open_unix(path, &wanted.options, &wanted.address)?,
        };
        match listener.listen(wanted) {
            Ok(()) => Ok(listener),
            Err(error) => {
                listener.remove_file(&wanted.address);
                Err(error)
            }
        }
    }

    /// Its options are to be these now, as far as that can be had of an open socket.
    ///
    /// # Errors
    /// What the kernel says: a file of somebody else's, for one.
    pub fn adjust(&self, wanted: &HeldSocket) -> Result<(), Unusable> {
        if let SocketAddress::Unix(path) = &wanted.address
            && self.file.is_some()
            && identity(path) == self.file
        {
            own(path, &wanted.options)?;
        }
        self.listen(wanted)
    }

    fn listen(&self, wanted: &HeldSocket) -> Result<(), Unusable> {
        match &self.fd {
            // A port that another one shares (SO_REUSEADDR) is noticed only here.
            Some(fd) => match listen(fd, backlog(wanted)?) {
                Err(Errno::EADDRINUSE) => Err(Unusable::InUse(holder::of(&wanted.address))),
                result => Ok(result?),
            },
            None => Ok(()),
        }
    }

    /// Closes our own copy: whoever has been given one still listens.
    pub fn close(&mut self) {
        self.fd = None;
    }

    /// accept(2) returns at once from now on, for everybody.
    ///
    /// # Errors
    /// None that an open socket has.
    pub fn let_nobody_wait(&self) -> Result<(), Unusable> {
        match &self.fd {
            Some(fd) => Ok(set_nonblocking(fd)?),
            None => Ok(()),
        }
    }

    /// Our copy, to be placed into a child.
    pub fn descriptor(&self) -> Option<RawFd> {
        self.fd.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Removes a unix socket's file, if it is still the one that was made here.
    pub fn remove_file(&self, address: &SocketAddress) {
        if let SocketAddress::Unix(path) = address
            && self.file.is_some()
            && identity(path) == self.file
        {
            let _ = fs::remove_file(path);
        }
    }
}

fn backlog(wanted: &HeldSocket) -> Result<Backlog, Unusable> {
    let count = i32::try_from(wanted.backlog).unwrap_or(i32::MAX);
    // The kernel cuts it to net.core.somaxconn by itself; nix knows no more than the old one.
    Ok(Backlog::new(count).or_else(|_| Backlog::new(libc::SOMAXCONN))?)
}

fn open_tcp(
    address: SocketAddr,
    options: &SocketOptions,
    shown: &SocketAddress,
) -> Result<Listener, Unusable> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    if address.is_ipv6() {
        setsockopt(&fd, sockopt::Ipv6V6Only, &options.only_v6)?;
    }
    setsockopt(&fd, sockopt::ReuseAddr, &options.reuse_address)?;
    if options.reuse_port {
        setsockopt(&fd, sockopt::ReusePort, &true)?;
    }
    match bind(fd.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) => Ok(Listener { fd: Some(fd), file: None }),
        Err(Errno::EADDRINUSE) => Err(Unusable::InUse(holder::of(shown))),
        Err(errno) => Err(errno.into()),
    }
}

fn open_unix(path: &Path, options: &SocketOptions, shown: &SocketAddress) -> Result<Listener, Unusable> {
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        fs::create_dir_all(folder)?;
    }
    remove_stale(path, shown)?;
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // We are one thread: nobody makes a file meanwhile. Until it is given its mode nobody but us connects.
    let before = umask(Mode::from_bits_truncate(0o177));
    let bound = UnixAddr::new(path).and_then(|address| bind(fd.as_raw_fd(), &address));
    umask(before);
    bound?;
    let listener = Listener { fd: Some(fd), file: identity(path) };
    match own(path, options) {
        Ok(()) => Ok(listener),
        Err(error) => {
            listener.remove_file(shown);
            Err(error)
        }
    }
}

/// Gives the file to whom it is to belong.
fn own(path: &Path, options: &SocketOptions) -> Result<(), Unusable> {
    let (user, group) = options.owner;
    if user.is_some() || group.is_some() {
        chown(path, user.map(Uid::from_raw), group.map(Gid::from_raw))?;
    }
    Ok(fs::set_permissions(path, Permissions::from_mode(options.mode))?)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Nothing is there afterwards, unless somebody has a use for it.
fn remove_stale(path: &Path, shown: &SocketAddress) -> Result<(), Unusable> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(file) if !file.file_type().is_socket() => return Err(Unusable::NoSocket),
        Ok(_) => {}
    }
    // Without waiting: one whose queue is full would make us wait for ever.
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let ours = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    match connect(ours.as_raw_fd(), &UnixAddr::new(path)?) {
        Ok(()) | Err(Errno::EAGAIN | Errno::EPROTOTYPE) => Err(Unusable::InUse(holder::of(shown))),
        Err(Errno::ECONNREFUSED) => Ok(fs::remove_file(path)?),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::PathBuf;

    fn held(address: SocketAddress) -> HeldSocket {
        HeldSocket { name: "x".into(), address, backlog: 16, options: SocketOptions::default() }
    }

    fn file(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("minisup-held-{}", std::process::id()));
        folder.join(name)
    }

    #[test]
    fn who_listens_at_a_port_is_named() {
        let theirs = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = SocketAddress::Tcp(theirs.local_addr().unwrap());
        let Err(Unusable::InUse(Some(who))) = Listener::open(&held(address.clone())) else { panic!() };
        assert!(who.ends_with(&format!("(pid {})", std::process::id())), "{who}");
        drop(theirs);
        let SocketAddress::Tcp(place) = address else { panic!() };
        let _ours = Listener::open(&held(address)).unwrap();
        TcpStream::connect(place).unwrap();
    }

    #[test]
    fn a_dead_unix_socket_is_replaced_and_a_live_one_is_not() {
        let path = file("made/for/it/stale");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        let address = SocketAddress::Unix(path.clone());
        let ours = Listener::open(&held(address.clone())).unwrap();
        UnixStream::connect(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o666);
        let Err(Unusable::InUse(Some(who))) = Listener::open(&held(address.clone())) else { panic!() };
        assert!(who.ends_with(&format!("(pid {})", std::process::id())), "{who}");
        ours.remove_file(&address);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_is_let_alone() {
        let path = file("precious");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "precious").unwrap();
        let opened = Listener::open(&held(SocketAddress::Unix(path.clone())));
        assert_eq!(opened.map(drop), Err(Unusable::NoSocket));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn another_mode_is_had_without_opening_it_anew() {
        let address = SocketAddress::Unix(file("mode"));
        let SocketAddress::Unix(path) = &address else { panic!() };
        let ours = Listener::open(&held(address.clone())).unwrap();
        let options = SocketOptions { mode: 0o600, ..SocketOptions::default() };
        ours.adjust(&HeldSocket { options, ..held(address.clone()) }).unwrap();
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o600);
        ours.remove_file(&address);
    }
}
