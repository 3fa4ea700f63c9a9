//! open(2), pipe(2), fcntl(2): descriptors, each close-on-exec from its first moment.
//!
//! That is the whole protection against leaks into children: what we open is close-on-exec,
//! and what we were started with is marked so once, at boot.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

/// A pipe, (read end, write end), close-on-exec, and the read end never makes us wait. The
/// write end does: it is for children.
///
/// # Errors
/// EMFILE, ENFILE, ENOMEM: none to be had now.
pub fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    set_nonblocking(&read)?;
    Ok((read, write))
}

/// The same with neither end waiting, for a child's one short report.
pub(super) fn report_pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
}

/// Reads and writes return at once. Only for what we have opened ourselves: the flag belongs
/// to everyone who shares the open file.
///
/// # Errors
/// EBADF.
pub fn set_nonblocking(fd: &impl AsFd) -> Result<(), Errno> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).map(drop)
}

/// Whether it stays open in a program that we execute.
///
/// # Errors
/// EBADF.
pub fn set_close_on_exec(fd: &impl AsFd, close: bool) -> Result<(), Errno> {
    let flags = if close { FdFlag::FD_CLOEXEC } else { FdFlag::empty() };
    fcntl(fd, FcntlArg::F_SETFD(flags)).map(drop)
}

/// Gives a pipe to a user: only the owner of its inode may open it again by name, and
/// /dev/stdout is such a name (proc(5)).
///
/// # Errors
/// EPERM: we are not root.
pub fn give_to(pipe: &impl AsFd, uid: u32) -> Result<(), Errno> {
    nix::unistd::fchown(pipe, Some(nix::unistd::Uid::from_raw(uid)), None)
}

/// How many bytes are in a pipe (FIONREAD, pipe(7)); 0 if it is none.
pub fn pending(pipe: BorrowedFd<'_>) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: this request writes one int, to where we say.
    let done = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    if done == 0 { count as usize } else { 0 }
}

/// From this number on lie the descriptors that we keep for as long as a service runs, when they are many: see [`keep`].
/// With a lower one kernels before 6.11 take more numbers in the child's table for used than are (CVE-2024-45025).
pub const KEPT: RawFd = 4096;

/// To copy fewer descriptors costs a child less than to leave them behind.
const MANY: usize = 512;

static PARTS: AtomicBool = AtomicBool::new(false);

/// So many descriptors will be [kept](keep). If they are many, children leave them behind from now on instead of copying
/// them, where that can be had. All that we were started with must be [marked](mark_inherited).
pub fn make_room(kept: usize) {
    if kept < MANY || !can_part() {
        return;
    }
    // Now, for later it would take long: the kernel waits for all who read the table before it grows one that
    // is shared, some milliseconds (synchronize_rcu).
    let highest = RawFd::try_from(kept).ok().and_then(|kept| KEPT.checked_add(kept));
    let grown = highest.is_some_and(|number| duplicate_from(number, &standard(0)).is_ok());
    PARTS.store(grown, Ordering::Relaxed);
}

/// Whether children leave behind what is not given to them before they execute anything.
pub fn children_part() -> bool {
    PARTS.load(Ordering::Relaxed)
}

/// Whether a child that shares our descriptors can leave those above a number behind, without having copied them first:
/// close_range(2) with CLOSE_RANGE_UNSHARE, since Linux 5.9. Some sandboxes do not let it through.
fn can_part() -> bool {
    // From 1 to 0, which the call refuses: done, it would part us from our own threads.
    // SAFETY: numbers only.
    unsafe { libc::syscall(libc::SYS_close_range, 1, 0, libc::CLOSE_RANGE_UNSHARE) };
    Errno::last() == Errno::EINVAL
}

/// Moves a descriptor out of the way of launches, to a number that no child need copy ([`launch`](super::launch)), if
/// children part from such. Where there is none free it stays where it is.
pub fn keep(fd: OwnedFd) -> OwnedFd {
    match children_part() {
        true => duplicate_from(KEPT, &fd).unwrap_or(fd),
        false => fd,
    }
}

/// A file without a name, in memory: memfd_create(2). Close-on-exec.
///
/// # Errors
/// EMFILE, ENFILE, ENOMEM: none to be had now.
pub fn in_memory(name: &str) -> Result<OwnedFd, Errno> {
    nix::sys::memfd::memfd_create(name, nix::sys::memfd::MFdFlags::MFD_CLOEXEC)
}

/// The whole content of a regular file, wherever its offset is.
///
/// # Errors
/// EFBIG: there are more than `largest` bytes of it; whatever pread(2) says.
pub fn content(file: &impl AsFd, largest: usize) -> Result<Vec<u8>, Errno> {
    let size = usize::try_from(nix::sys::stat::fstat(file)?.st_size).unwrap_or(usize::MAX);
    if size > largest {
        return Err(Errno::EFBIG);
    }
    let mut bytes = vec![0; size];
    let mut done = 0;
    while done < size {
        match nix::sys::uio::pread(file, &mut bytes[done..], done as libc::off_t)? {
            0 => break,
            count => done += count,
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

/// A copy, close-on-exec, of what whoever launched us has left open at this number.
///
/// # Errors
/// EBADF: nothing is open there. EMFILE.
pub fn handed_over(number: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: only copied, within this function; if nothing is open there, EBADF is all that happens.
    duplicate(&unsafe { BorrowedFd::borrow_raw(number) })
}

static NULL: AtomicI32 = AtomicI32::new(-1);

/// /dev/null, read and write; opened once and never closed. Where there is none, the end of
/// a pipe takes its place: reading it is at the end of file, writing to it fails with EBADF.
///
/// # Errors
/// EMFILE, ENFILE.
pub fn null() -> Result<RawFd, Errno> {
    let known = NULL.load(Ordering::Relaxed);
    if known >= 0 {
        return Ok(known);
    }
    let opened =
        nix::fcntl::open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty());
    let null = opened.or_else(|errno| match errno {
        Errno::EMFILE | Errno::ENFILE => Err(errno),
        _ => nix::unistd::pipe2(OFlag::O_CLOEXEC).map(|(read, _)| read),
    })?;
    let fd = std::os::fd::IntoRawFd::into_raw_fd(null);
    NULL.store(fd, Ordering::Relaxed);
    Ok(fd)
}

/// Opens /dev/null as stdin, stdout or stderr where these are closed, so that nothing that we
/// open later takes their place.
pub fn open_standard() {
    for number in 0..3 {
        // SAFETY: borrowed for one fcntl, which says EBADF if it is closed.
        let closed = fcntl(unsafe { BorrowedFd::borrow_raw(number) }, FcntlArg::F_GETFD).is_err();
        if closed {
            let opened = nix::fcntl::open("/dev/null", OFlag::O_RDWR, nix::sys::stat::Mode::empty());
            // The lowest free number is this one, for those below are open.
            let _ = opened.map(std::os::fd::IntoRawFd::into_raw_fd);
        }
    }
}

/// Marks every descriptor from 3 on that we were started with as close-on-exec: once, at boot.
/// close_range(2) where there is one (5.11), else what /proc/self/fd lists, else all numbers
/// up to the limit, at most 65,536.
pub fn mark_inherited() {
    const CLOEXEC: libc::c_uint = 4;
    // SAFETY: with this flag the call closes nothing, it only marks.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, CLOEXEC) };
    if done == 0 {
        return;
    }
    let listed = fs::read_dir("/proc/self/fd").map(|entries| {
        let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<RawFd>().ok();
        entries.flatten().filter_map(number).collect::<Vec<_>>()
    });
    let numbers = listed.unwrap_or_else(|_| (3..open_files_limit().0.min(65_536) as RawFd).collect());
    for number in numbers.into_iter().filter(|n| *n > 2) {
        // SAFETY: borrowed for one fcntl, which says EBADF if it is closed.
        let _ = set_close_on_exec(&unsafe { BorrowedFd::borrow_raw(number) }, true);
    }
}

static RAISED_FROM: AtomicU64 = AtomicU64::new(u64::MAX);
static RAISED_HARD: AtomicU64 = AtomicU64::new(0);

/// Raises our own soft limit of open files to the hard one, for a thousand services have
/// thousands of pipes. Children get back what was.
pub fn raise_nofile() {
    let (soft, hard) = open_files_limit();
    let wanted = hard.min(1 << 20);
    if soft < wanted && set_open_files_limit(wanted, hard).is_ok() {
        RAISED_FROM.store(soft, Ordering::Relaxed);
        RAISED_HARD.store(hard, Ordering::Relaxed);
    }
}

/// The soft and hard limit of open files that children get, if ours is another.
pub(super) fn raised_nofile() -> Option<[u64; 2]> {
    let soft = RAISED_FROM.load(Ordering::Relaxed);
    (soft != u64::MAX).then(|| [soft, RAISED_HARD.load(Ordering::Relaxed)])
}

fn open_files_limit() -> (u64, u64) {
    nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024))
}

fn set_open_files_limit(soft: u64, hard: u64) -> Result<(), Errno> {
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, soft, hard)
}

/// A copy, close-on-exec.
///
/// # Errors
/// EMFILE, EBADF.
pub fn duplicate(fd: &impl AsFd) -> Result<OwnedFd, Errno> {
    duplicate_from(3, fd)
}

/// The same, with the first free number from this one on.
fn duplicate_from(number: RawFd, fd: &impl AsFd) -> Result<OwnedFd, Errno> {
    let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(number))?;
    // SAFETY: just made, and ours alone.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// One of our standard streams, borrowed: 0, 1 or 2, which stay open as long as we live
/// ([`open_standard`]).
pub fn standard(number: RawFd) -> BorrowedFd<'static> {
    debug_assert!((0..3).contains(&number));
    // SAFETY: open from boot to end, as said.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Whether the descriptor is a terminal.
pub fn is_terminal(fd: &impl AsRawFd) -> bool {
    // SAFETY: asks about a number.
    unsafe { libc::isatty(fd.as_raw_fd()) == 1 }
}
