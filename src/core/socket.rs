//! Sockets that PID 1 opens for a service and holds: which, not how.
//!
//! A socket is known by its *address*. Whoever holds an address keeps it as long as any plan in
//! force has it: over restarts, and over updates that change everything else. A child finds the
//! sockets of its service from descriptor 3 on, in the order in which they are written, as
//! sd_listen_fds(3) has it.
//!
//! Where a new process of a service stands beside the old one, both serve the same sockets, and a
//! question that comes by one of them says nothing of the new one. So such a service is given one
//! socket more, its *door*: made anew for each process, known to nobody but the readiness probe,
//! and gone from the file system as soon as the process is ready.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// At this descriptor a service finds its first socket (sd_listen_fds(3)).
pub const FIRST_FD: i32 = 3;

/// So many sockets a service may have.
pub const SOCKETS_MAX: usize = 64;

/// The sockets of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sockets {
    /// In the order of their descriptors; never empty.
    pub list: Box<[HeldSocket]>,
    /// How it is told of them.
    pub told: Told,
    /// It takes every socket that it is given, so that it can be asked by a door of its own.
    pub door: bool,
}

/// How a service is told of its sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// By LISTEN_FDS, LISTEN_FDNAMES and LISTEN_PID (sd_listen_fds(3)).
    Plainly,
    /// By the numbers in its command alone: it would take each socket twice.
    ByNumber,
    /// By `NGINX=3;4;`, as nginx tells the successor that it launches itself.
    AsNginx,
}

/// One socket, as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldSocket {
    /// What the service knows it by (LISTEN_FDNAMES).
    pub name: String,
    /// Where it listens.
    pub address: SocketAddress,
    /// How many connections may wait to be accepted: listen(2).
    pub backlog: u32,
    /// What only some kinds of sockets have.
    pub options: SocketOptions,
}

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SocketAddress {
    /// TCP, over IPv4 or IPv6.
    Tcp(SocketAddr),
    /// A unix socket in the file system.
    Unix(PathBuf),
}

/// What only some kinds of sockets have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// Permissions of a unix socket's file.
    pub mode: u32,
    /// Who owns a unix socket's file: user and group; `None`: whoever minisup is.
    pub owner: (Option<u32>, Option<u32>),
    /// SO_REUSEADDR.
    pub reuse_address: bool,
    /// SO_REUSEPORT.
    pub reuse_port: bool,
    /// IPV6_V6ONLY.
    pub only_v6: bool,
}

impl Default for SocketOptions {
    fn default() -> Self {
        SocketOptions {
            mode: 0o666,
            owner: (None, None),
            reuse_address: true,
            reuse_port: false,
            only_v6: true,
        }
    }
}

impl Sockets {
    /// The descriptor of the socket of this name.
    pub fn descriptor(&self, name: &str) -> Option<i32> {
        let index = self.list.iter().position(|socket| socket.name == name)?;
        Some(FIRST_FD + index as i32)
    }

    /// Whether one of them is at this address.
    pub fn is_at(&self, address: &SocketAddress) -> bool {
        self.list.iter().any(|socket| socket.address == *address)
    }
}

impl fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SocketAddress::Tcp(address @ SocketAddr::V4(_)) => write!(f, "tcp://{address}"),
            SocketAddress::Tcp(address @ SocketAddr::V6(_)) => write!(f, "tcp6://{address}"),
            SocketAddress::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl HeldSocket {
    /// What of its options is not as usual: "mode=0660&backlog=5".
    pub fn options_text(&self) -> String {
        let usual = SocketOptions::default();
        let SocketOptions { mode, owner, reuse_address, reuse_port, only_v6 } = self.options;
        let mut options = Vec::new();
        if mode != usual.mode {
            options.push(format!("mode={mode:04o}"));
        }
        options.extend(owner.0.map(|user| format!("user={user}")));
        options.extend(owner.1.map(|group| format!("group={group}")));
        if self.backlog != BACKLOG {
            options.push(format!("backlog={}", self.backlog));
        }
        for (name, is, usually) in [
            ("reuseaddr", reuse_address, usual.reuse_address),
            ("reuseport", reuse_port, usual.reuse_port),
            ("v6only", only_v6, usual.only_v6),
        ] {
            if is != usually {
                options.push(format!("{name}={}", u8::from(is)));
            }
        }
        options.join("&")
    }
}

/// As it could be written.
impl fmt::Display for HeldSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.options_text().as_str() {
            "" => self.address.fmt(f),
            options => write!(f, "{}?{options}", self.address),
        }
    }
}

/// How many connections may wait where nothing else is said: while a server is replaced, all who
/// come wait here. The kernel's own limit (net.core.somaxconn) is 4096 since Linux 5.4.
pub const BACKLOG: u32 = 4096;
