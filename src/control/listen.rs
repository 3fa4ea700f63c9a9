//! The socket file: made so that nobody else can connect before its mode is right, and
//! removed only if it is still ours.
//!
//! A file that a dead supervisor has left is replaced. One behind which somebody listens is
//! not, nor is anything that is no socket.

use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, chown};
use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Who may open the socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Owner {
    /// Its user and group, if they are not to be ours.
    pub user: Option<(u32, u32)>,
    /// Its group, which may then connect: mode 0660 rather than 0600.
    pub group: Option<u32>,
}

/// Listening, in a file.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
    /// Device and inode: whose file it is.
    identity: Option<(u64, u64)>,
}

/// Why one cannot listen there.
#[derive(Debug)]
pub enum Unusable {
    /// Somebody listens there: the connection to him.
    InUse(OwnedFd),
    /// Something is there that is no socket.
    NoSocket,
    /// What the kernel says.
    Io(io::Error),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::InUse(_) => write!(f, "somebody else listens there"),
            Unusable::NoSocket => write!(f, "it is there, and no socket"),
            Unusable::Io(error) => match error.raw_os_error() {
                Some(errno) => write!(f, "{}", nix::errno::Errno::from_raw(errno).desc().to_lowercase()),
                None => error.fmt(f),
            },
        }
    }
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Unusable {
        Unusable::Io(error)
    }
}

impl Listener {
    /// Listens at this path. Its directory is made if it is missing.
    ///
    /// # Errors
    /// As [`Unusable`] has it.
    pub fn open(path: &Path, owner: Owner) -> Result<Listener, Unusable> {
        if let Some(directory) = path.parent().filter(|directory| !directory.exists()) {
            fs::create_dir_all(directory)?;
        }
        remove_stale(path)?;
        // We are one thread: nobody makes a file meanwhile.
        let before = umask(Mode::from_bits_truncate(0o177));
        let socket = UnixListener::bind(path);
        umask(before);
        let socket = socket?;
        socket.set_nonblocking(true)?;
        let identity = identity(path);
        let listener = Listener { socket, path: path.to_owned(), identity };
        match listener.give_to(owner) {
            Ok(()) => Ok(listener),
            Err(error) => {
                listener.remove();
                Err(error.into())
            }
        }
    }

    fn give_to(&self, owner: Owner) -> io::Result<()> {
        let user = owner.user.map(|(user, _)| Uid::from_raw(user));
        let group = owner.group.or(owner.user.map(|(_, group)| group)).map(Gid::from_raw);
        if user.is_some() || group.is_some() {
            chown(&self.path, user, group)?;
        }
        if owner.group.is_some() {
            fs::set_permissions(&self.path, Permissions::from_mode(0o660))?;
        }
        Ok(())
    }

    /// The socket.
    pub fn socket(&self) -> &UnixListener {
        &self.socket
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file, if it is still the one that was made.
    pub fn remove(&self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Nothing is there afterwards, unless somebody has a use for it.
fn remove_stale(path: &Path) -> Result<(), Unusable> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(file) if !file.file_type().is_socket() => return Err(Unusable::NoSocket),
        Ok(_) => {}
    }
    match connect(path) {
        Ok(stream) => Err(Unusable::InUse(stream)),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(Unusable::Io)
        }
        Err(error) => Err(error.into()),
    }
}

/// A connection, without waiting: a listener whose queue is full would make us wait for ever.
fn connect(path: &Path) -> io::Result<OwnedFd> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
    use std::os::fd::AsRawFd;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("minisup-listen-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_socket_is_ours_alone_or_the_groups() {
        let folder = Folder::new("mode");
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        let one = Listener::open(&folder.0.join("made/for/it/one"), Owner::default()).unwrap();
        assert_eq!(mode(one.path()), 0o600);
        let own = nix::unistd::getegid().as_raw();
        let two = Listener::open(&folder.0.join("two"), Owner { group: Some(own), user: None }).unwrap();
        assert_eq!(mode(two.path()), 0o660);
    }

    #[test]
    fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
        let folder = Folder::new("stale");
        let path = folder.0.join("socket");
        drop(UnixListener::bind(&path).unwrap());
        let ours = Listener::open(&path, Owner::default()).unwrap();
        UnixStream::connect(&path).unwrap();
        assert!(matches!(Listener::open(&path, Owner::default()), Err(Unusable::InUse(_))));
        ours.remove();
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_is_let_alone() {
        let folder = Folder::new("file");
        let path = folder.0.join("socket");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(Listener::open(&path, Owner::default()), Err(Unusable::NoSocket)));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn somebody_elses_file_is_not_removed() {
        let folder = Folder::new("other");
        let path = folder.0.join("socket");
        let ours = Listener::open(&path, Owner::default()).unwrap();
        fs::remove_file(&path).unwrap();
        let _theirs = UnixListener::bind(&path).unwrap();
        ours.remove();
        assert!(path.exists());
    }
}
