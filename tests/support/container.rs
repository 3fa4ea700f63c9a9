//! A command as the real PID 1 of a PID namespace and a mount namespace made for the test:
//! clone(2), namespaces(7).

use super::seccomp::{Filter, NEWER};
use super::{LONG, Lines, wait_until};
use std::ffi::{CString, c_void};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::ptr;

/// A command to be run as PID 1.
pub struct Container {
    command: Vec<CString>,
    environment: Vec<CString>,
    stdin: RawFd,
    terminal: Option<OwnedFd>,
    uid: Option<u32>,
    read_only: bool,
    proc: bool,
    own_namespace: bool,
    comes_first: bool,
    filter: Option<Filter>,
}

/// A container that runs. Dropped, it is killed with everything in it.
pub struct Running {
    pid: i32,
    ended: Option<i32>,
    /// What it writes to stdout.
    pub stdout: Lines,
    /// What it writes to stderr.
    pub stderr: Lines,
}

/// One process of a container.
#[derive(Clone, Debug)]
#[allow(dead_code)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub name: String,
    pub is_zombie: bool,
}

/// Whether namespaces can be made here; says so loudly if not, and fails if they must be.
pub fn namespaces() -> bool {
    match container(&["/bin/true"]).try_start() {
        Ok(mut running) => {
            running.wait();
            true
        }
        Err(error) => {
            let must = std::env::var_os("MINISUP_REQUIRE_NAMESPACES").is_some_and(|set| set == "1");
            assert!(!must, "namespaces are required, and cannot be made: {error}");
            super::loudly(&format!("SKIPPED: cannot make namespaces: {error}"));
            false
        }
    }
}

/// Runs the test called `name`, which calls this, once more: alone in a process of its own, in
/// the container that `change` makes. There it answers true: go on. Outside it answers false
/// when the inner test has passed, and panics with its words when not.
pub fn again(name: &str, change: impl Fn(Container) -> Container) -> bool {
    const INSIDE: &str = "MINISUP_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if !namespaces() {
        return false;
    }
    let own = std::env::current_exe().unwrap();
    let command = [own.to_str().unwrap(), "--exact", name, "--nocapture", "--test-threads=1"];
    let (code, stdout, stderr) =
        change(container(&command).env(INSIDE, "1").env(super::HELPER, super::helper())).run();
    assert!(stdout.contains("running 1 test"), "there is no test {name:?}: {stdout} {stderr}");
    assert_eq!(code, 0, "inside:\n{stdout}\n{stderr}");
    false
}

/// `return` from the test if namespaces cannot be made.
#[macro_export]
macro_rules! needs_namespaces {
    () => {
        if !$crate::support::container::namespaces() {
            return;
        }
    };
}

/// A command as PID 1, with our environment, without input.
pub fn container(command: &[&str]) -> Container {
    let word = |word: &&str| CString::new(*word).unwrap();
    let variable = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        CString::new([name.into_vec(), value.into_vec()].join(&b'=')).unwrap()
    };
    Container {
        command: command.iter().map(word).collect(),
        environment: std::env::vars_os().map(variable).collect(),
        stdin: -1,
        terminal: None,
        uid: None,
        read_only: false,
        proc: true,
        own_namespace: true,
        comes_first: false,
        filter: None,
    }
}

impl Container {
    /// Sets a variable.
    pub fn env(mut self, name: &str, value: &str) -> Container {
        let start = format!("{name}=");
        self.environment.retain(|variable| !variable.as_bytes().starts_with(start.as_bytes()));
        self.environment.push(CString::new(start + value).unwrap());
        self
    }

    /// As this user and group, without any supplementary group.
    pub fn uid(mut self, uid: u32) -> Container {
        self.uid = Some(uid);
        self
    }

    /// The whole file system, as it is seen there, is read-only.
    pub fn read_only(mut self) -> Container {
        self.read_only = true;
        self
    }

    /// With an empty /proc.
    pub fn without_proc(mut self) -> Container {
        self.proc = false;
        self
    }

    /// Not PID 1, but in our own PID namespace, as a usual child.
    pub fn not_pid1(mut self) -> Container {
        self.own_namespace = false;
        self
    }

    /// Whatever else wants the processors gets what this leaves: for a test of how long servers
    /// take, not of how many others there are. Only root may; for others all is as ever.
    pub fn comes_first(mut self) -> Container {
        self.comes_first = true;
        self
    }

    /// Under a filter that answers this error to every newer system call.
    pub fn refusing(mut self, errno: i32) -> Container {
        self.filter = Some(Filter::new(&NEWER, errno));
        self
    }

    /// Under this filter.
    pub fn filter(mut self, filter: Filter) -> Container {
        self.filter = Some(filter);
        self
    }

    /// Reads from this descriptor of ours.
    pub fn stdin(mut self, fd: RawFd) -> Container {
        self.stdin = fd;
        self
    }

    /// stdin, stdout and stderr are this terminal, and it is the controlling terminal of its
    /// session, as `docker run -it` has it.
    pub fn terminal(mut self, slave: OwnedFd) -> Container {
        self.terminal = Some(slave);
        self
    }

    /// Starts it.
    pub fn start(self) -> Running {
        self.try_start().expect("a container")
    }

    /// Starts it, waits for its end, and returns (exit code or 128 + signal, stdout, stderr).
    pub fn run(self) -> (i32, String, String) {
        let mut running = self.start();
        let (stdout, stderr) = (running.stdout.rest(), running.stderr.rest());
        (running.wait(), stdout, stderr)
    }

    /// Starts it, or says why that cannot be.
    pub fn try_start(self) -> io::Result<Running> {
        let (out_read, out_write) = pipe()?;
        let (err_read, err_write) = pipe()?;
        let argv = pointers(&self.command);
        let envp = pointers(&self.environment);
        let namespaces = if self.own_namespace { libc::CLONE_NEWPID | libc::CLONE_NEWNS } else { 0 };
        let out = self.terminal.as_ref().map_or(out_write.as_raw_fd(), AsRawFd::as_raw_fd);
        let err = self.terminal.as_ref().map_or(err_write.as_raw_fd(), AsRawFd::as_raw_fd);
        let flags = (namespaces | libc::SIGCHLD) as usize;
        // SAFETY: like fork: the child has a copy of everything, and makes system calls only.
        let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } as i32;
        if pid == 0 {
            // SAFETY: as above; what the arrays point to was copied too.
            unsafe {
                // By descriptor, for another user may not be let into the folder that it is in.
                let program = libc::open(argv[0], libc::O_PATH | libc::O_CLOEXEC);
                self.enter(out, err);
                let empty = c"".as_ptr();
                let (argv, envp) = (argv.as_ptr(), envp.as_ptr());
                libc::syscall(libc::SYS_execveat, program, empty, argv, envp, libc::AT_EMPTY_PATH);
                libc::_exit(99);
            }
        }
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        drop((out_write, err_write));
        Ok(Running { pid, ended: None, stdout: Lines::new(out_read), stderr: Lines::new(err_read) })
    }

    /// In the child: from our world to the container's.
    unsafe fn enter(&self, out: RawFd, err: RawFd) {
        let must = |result: i32| {
            if result < 0 {
                // SAFETY: ends the child.
                unsafe { libc::_exit(98) }
            }
        };
        // SAFETY: system calls with constants and numbers.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
            must(libc::setsid());
            if self.comes_first {
                // Among its own group, and its session among sessions (sched(7), autogroup).
                libc::setpriority(libc::PRIO_PROCESS, 0, -10);
                let group = libc::open(c"/proc/self/autogroup".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
                libc::write(group, c"-10".as_ptr().cast(), 3);
            }
            let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
            let input = self.terminal.as_ref().map_or(self.stdin, AsRawFd::as_raw_fd);
            must(libc::dup2(if input < 0 { null } else { input }, 0));
            must(libc::dup2(out, 1));
            must(libc::dup2(err, 2));
            if self.terminal.is_some() {
                must(libc::ioctl(0, libc::TIOCSCTTY, 0));
            }
            // What the test itself was given is no business of the container.
            for fd in 3..1024 {
                libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
            }
            if self.own_namespace {
                self.mounts(must);
            }
            if let Some(uid) = self.uid {
                // Not by glibc, which would wait for threads that are not here.
                must(libc::syscall(libc::SYS_setgroups, 0, ptr::null::<u32>()) as i32);
                must(libc::syscall(libc::SYS_setresgid, uid, uid, uid) as i32);
                must(libc::syscall(libc::SYS_setresuid, uid, uid, uid) as i32);
            }
            if let Some(filter) = &self.filter
                && filter.apply().is_err()
            {
                libc::_exit(97);
            }
            // Rust ignores PIPE, and who knows what else we were given; a container's PID 1
            // starts with nothing ignored. Not by glibc, which hides 32 and 33.
            let standard = [0u64; 4];
            for number in 1..=64 {
                libc::syscall(libc::SYS_rt_sigaction, number, standard.as_ptr(), ptr::null::<u64>(), 8);
            }
        }
    }

    unsafe fn mounts(&self, must: impl Fn(i32)) {
        let none = ptr::null::<c_void>();
        let mount = |what: &std::ffi::CStr, at: &std::ffi::CStr, flags| {
            // SAFETY: C strings.
            unsafe { libc::mount(what.as_ptr(), at.as_ptr(), what.as_ptr(), flags, none) }
        };
        must(mount(c"none", c"/", libc::MS_REC | libc::MS_PRIVATE));
        must(mount(if self.proc { c"proc" } else { c"tmpfs" }, c"/proc", libc::MS_NOSUID));
        if self.read_only {
            let again = libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY;
            must(mount(c"none", c"/", again));
            // What is no file system of its own is read-only already.
            for place in [c"/tmp", c"/run", c"/var/tmp", c"/dev", c"/dev/shm"] {
                mount(c"none", place, again);
            }
        }
    }
}

impl Running {
    /// Its pid as we see it.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends PID 1 a signal from outside.
    pub fn signal(&self, signal: i32) {
        assert!(self.ended.is_none(), "it has ended");
        // SAFETY: a child of ours that we have not yet waited for.
        assert_eq!(unsafe { libc::kill(self.pid, signal) }, 0);
    }

    /// Waits for its end: the exit code, or 128 + the signal.
    pub fn wait(&mut self) -> i32 {
        let mut ended = self.ended;
        if ended.is_none() {
            wait_until("the end of PID 1", || {
                ended = poll_end(self.pid);
                ended.is_some()
            });
        }
        self.ended = ended;
        ended.unwrap_or(-1)
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = poll_end(self.pid);
        }
        self.ended.is_none()
    }

    /// All processes in it, with the pids that they have there.
    pub fn processes(&self) -> Vec<Process> {
        let Ok(entries) = std::fs::read_dir(format!("/proc/{}/root/proc", self.pid)) else {
            return Vec::new();
        };
        let stat = |entry: std::fs::DirEntry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let text = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let (start, end) = (text.find('(')?, text.rfind(')')?);
            let mut fields = text[end + 1..].split_whitespace();
            let is_zombie = fields.next()? == "Z";
            let parent = fields.next()?.parse().ok()?;
            Some(Process { pid, parent, name: text[start + 1..end].to_string(), is_zombie })
        };
        entries.flatten().filter_map(stat).collect()
    }

    /// How many zombies there are in it.
    pub fn zombies(&self) -> usize {
        self.processes().iter().filter(|process| process.is_zombie).count()
    }

    /// A line of /proc/PID/status of PID 1: `field("SigCgt")`.
    pub fn field(&self, name: &str) -> String {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim().to_string()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended.is_none() {
            // SAFETY: a child of ours that we have not yet waited for.
            unsafe {
                libc::kill(self.pid, libc::SIGKILL);
                libc::waitpid(self.pid, ptr::null_mut(), 0);
            }
        }
    }
}

/// How a child of ours ended, if it has.
fn poll_end(pid: i32) -> Option<i32> {
    let mut status = 0;
    // Waits in the kernel for a while rather than asking without end.
    let pidfd = pidfd(pid);
    if let Some(fd) = &pidfd {
        let mut polled = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd of ours.
        unsafe { libc::poll(&mut polled, 1, 100) };
    }
    // SAFETY: a child of ours.
    match unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } {
        0 => None,
        found => {
            assert_eq!(found, pid, "{}", io::Error::last_os_error());
            let killed = libc::WIFSIGNALED(status);
            Some(if killed { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) })
        }
    }
}

fn pidfd(pid: i32) -> Option<OwnedFd> {
    // SAFETY: numbers only; the new descriptor is ours alone.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0) as RawFd;
        (fd >= 0).then(|| OwnedFd::from_raw_fd(fd))
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?)
}

fn pointers(words: &[CString]) -> Vec<*const libc::c_char> {
    words.iter().map(|word| word.as_ptr()).chain([ptr::null()]).collect()
}

/// Bounds what a wait may take: for those who poll something else.
pub const BOUND: std::time::Duration = LONG;
