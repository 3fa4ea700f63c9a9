//! Where scenarios are played: a configuration, a place to run it in, and what can be seen of
//! it from outside.

use crate::support::container::{Container, Running, container};
use crate::support::{LONG, Lines, MINISUP, helper, wait_until};
use std::fs::File;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::ptr;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Where minisup runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// As PID 1 of its own PID namespace.
    Pid1,
    /// The same, and newer system calls answer ENOSYS.
    OldKernel,
    /// The same, and newer system calls answer EPERM.
    OldEngine,
    /// As a child like any other, in our own PID namespace.
    NotPid1,
}

/// Everything before the start.
pub struct Stage {
    folder: PathBuf,
    container: Box<dyn FnOnce(Container) -> Container>,
    prelude: String,
    words: Vec<String>,
    gates: Vec<(String, File)>,
}

/// minisup, running.
pub struct Run {
    running: Running,
    watch: Watch,
    folder: PathBuf,
    gates: Vec<(String, File)>,
}

/// A process below minisup, with its pid as we see it.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    /// `Z` is a zombie.
    pub state: char,
    /// Its words, one space between them; empty for a zombie.
    pub command: String,
}

/// Asks the minisup with this control socket: `minisup WORDS`, to its end.
pub fn ask(socket: &Path, words: &[&str]) -> Output {
    Command::new(MINISUP).args(words).env("MINISUP_SOCKET", socket).output().unwrap()
}

/// A configuration to be run there. It may use `${DIR}`, a folder of its own that anybody may
/// write to; `${ACTOR}`, the program of actor.c; `${HELPER}`, that of support/helper.c.
pub fn supervise(place: Place, config: &str) -> Stage {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("minisup-run-{}-{number}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
    std::fs::set_permissions(&folder, open).unwrap();
    std::fs::write(folder.join("supervise.toml"), config).unwrap();
    let container = move |container: Container| match place {
        Place::Pid1 => container,
        Place::OldKernel => container.refusing(libc::ENOSYS),
        Place::OldEngine => container.refusing(libc::EPERM),
        Place::NotPid1 => container.not_pid1(),
    };
    Stage {
        folder,
        container: Box::new(container),
        prelude: String::new(),
        words: Vec::new(),
        gates: Vec::new(),
    }
}

impl Stage {
    /// In a place that differs in this, too.
    pub fn with(mut self, change: impl FnOnce(Container) -> Container + 'static) -> Stage {
        let before = self.container;
        self.container = Box::new(move |container| change(before(container)));
        self
    }

    /// Shell commands first; then minisup takes the shell's place (and keeps its pid). The last
    /// of them may be an `exec SOMETHING` without an end: minisup's words follow it.
    pub fn after(mut self, prelude: &str) -> Stage {
        self.prelude = prelude.to_string();
        self
    }

    /// With these words behind `--`.
    pub fn words(mut self, words: &[&str]) -> Stage {
        self.words = ["--"].iter().chain(words).map(|word| word.to_string()).collect();
        self
    }

    /// A FIFO `${DIR}/NAME`: whoever reads a line from it waits for [`Run::open`].
    pub fn gate(mut self, name: &str) -> Stage {
        let path = self.folder.join(name);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
        // Reading too: so that it has both sides from the beginning.
        let both = File::options().read(true).write(true).open(&path).unwrap();
        self.gates.push((name.to_string(), both));
        self
    }

    /// A file `${DIR}/NAME` with this in it.
    pub fn file(self, name: &str, text: &str) -> Stage {
        std::fs::write(self.folder.join(name), text).unwrap();
        self
    }

    /// `${DIR}`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The curtain rises.
    pub fn start(self) -> Run {
        let config = self.folder.join("supervise.toml");
        let words = [MINISUP, "--config", config.to_str().unwrap()];
        // It waits until it is watched.
        let mut script = format!("read go; exec </dev/null\n{}", self.prelude.trim_end());
        if !self.prelude.contains("exec ") {
            script += "\nexec";
        }
        script += " \"$@\"";
        let mut command = vec!["/bin/sh", "-ec", &script, "sh"];
        command.extend(words);
        command.extend(self.words.iter().map(String::as_str));
        let (input, mut go) = std::io::pipe().unwrap();
        let container = container(&command)
            .env("DIR", self.folder.to_str().unwrap())
            .env("MINISUP_SOCKET", self.folder.join("minisup.sock").to_str().unwrap())
            .env("ACTOR", actor())
            .env("HELPER", helper());
        let running = (self.container)(container).stdin(input.as_raw_fd()).start();
        let watch = Watch::over(running.pid());
        go.write_all(b"go\n").unwrap();
        Run { running, watch, folder: self.folder, gates: self.gates }
    }
}

impl Run {
    /// Waits until minisup says this on stderr; returns the line.
    pub fn said(&mut self, part: &str) -> String {
        line(&mut self.running.stderr, part)
    }

    /// Waits until a service says this on stdout; returns the line.
    pub fn heard(&mut self, part: &str) -> String {
        line(&mut self.running.stdout, part)
    }

    /// All that is still to be said on stderr, until the end.
    pub fn last_words(&mut self) -> String {
        self.running.stderr.rest()
    }

    /// What its services write.
    pub fn stdout(&mut self) -> &mut Lines {
        &mut self.running.stdout
    }

    /// Its pid as we see it.
    pub fn pid(&self) -> i32 {
        self.running.pid()
    }

    /// A line of /proc/PID/status of minisup.
    pub fn field(&self, name: &str) -> String {
        self.running.field(name)
    }

    /// Sends minisup a signal.
    pub fn signal(&self, signal: i32) {
        self.running.signal(signal);
    }

    /// A line into the FIFO of this name.
    pub fn open(&mut self, name: &str) {
        let gate = self.gates.iter_mut().find(|(of, _)| of == name).expect("a gate of this name");
        gate.1.write_all(b"go\n").unwrap();
    }

    /// A file of `${DIR}`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Asks minisup, whose control socket is `${DIR}/socket`.
    pub fn ask(&self, words: &[&str]) -> Output {
        ask(&self.path("socket"), words)
    }

    /// Puts this into a file of `${DIR}`, all at once.
    pub fn write(&self, name: &str, text: &str) {
        let new = self.path(&format!("{name}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }

    /// Everybody below minisup. Takes a breath first: whoever asks again and again is not to
    /// keep minisup from what is waited for.
    pub fn processes(&self) -> Vec<Process> {
        std::thread::sleep(Duration::from_millis(5));
        descendants(self.pid())
    }

    /// Waits for exactly one process whose words begin like this.
    pub fn process(&self, command: &str) -> Process {
        let mut found = Vec::new();
        wait_until(&format!("a process {command:?}"), || {
            found = self.processes();
            found.retain(|process| process.command.starts_with(command));
            found.len() == 1
        });
        found.remove(0)
    }

    /// Waits until this process is in none of /proc's lists.
    pub fn is_gone(&self, process: &Process) {
        let path = format!("/proc/{}/stat", process.pid);
        wait_until(&format!("the end of {process:?}"), || !Path::new(&path).exists());
    }

    /// Sends it a signal again and again until what is returned is dropped: of stop signals one that comes within
    /// 100 ms is an echo of the one before.
    pub fn signals_again_and_again(&self, signal: i32) -> Insistence {
        let (pid, is_over) = (self.pid(), Arc::new(AtomicBool::new(false)));
        let until = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                // SAFETY: kill(2) touches no memory; it may have ended by now.
                unsafe { libc::kill(pid, signal) };
                std::thread::yield_now();
            }
        });
        Insistence { is_over, thread: Some(thread) }
    }

    /// Sends TERM; it ends with this code, leaving nobody.
    pub fn stops_with(self, code: i32) -> String {
        self.signal(libc::SIGTERM);
        self.ends_with(code)
    }

    /// Waits for minisup's end: with this code, and nobody else is left. Returns what it said
    /// to the end.
    pub fn ends_with(mut self, code: i32) -> String {
        let words = self.last_words();
        let left = self.watch.end(self.running.pid());
        assert_eq!(self.running.wait(), code, "{words}");
        assert!(left.is_empty(), "left behind: {left:?}; it had said: {words}");
        words
    }

    /// The same, and nobody has read a line of it before.
    pub fn ends_unread_with(mut self, code: i32) -> String {
        let left = self.watch.end(self.running.pid());
        assert_eq!(self.running.wait(), code);
        let words = self.last_words();
        assert!(left.is_empty(), "left behind: {left:?}; it had said: {words}");
        words
    }

    /// The same, within this time from now.
    pub fn ends_within(self, limit: Duration, code: i32) -> String {
        let began = Instant::now();
        let words = self.ends_with(code);
        assert!(began.elapsed() < limit, "it took {:?}, not {limit:?}: {words}", began.elapsed());
        words
    }
}

/// Somebody who sends a signal again and again.
pub struct Insistence {
    is_over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Insistence {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.watch.kill(self.running.pid());
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn line(lines: &mut Lines, part: &str) -> String {
    let mut before = Vec::new();
    loop {
        match lines.next() {
            Some(line) if line.contains(part) => return line,
            Some(line) => before.push(line),
            None => panic!("the end, and nothing about {part:?}: {before:#?}"),
        }
    }
}

/// Looks at who is left when minisup exits: ptrace(2) stops it at the beginning of its exit,
/// when the kernel has not yet killed the rest of its PID namespace.
pub struct Watch {
    left: Receiver<Vec<Process>>,
    is_over: bool,
}

impl Watch {
    fn over(pid: i32) -> Watch {
        let (to, left) = channel();
        let (to_us, has_begun) = channel();
        // Only the thread that began to watch may go on with it.
        std::thread::spawn(move || to.send(watch(pid, || to_us.send(()).unwrap())));
        has_begun.recv().unwrap();
        Watch { left, is_over: false }
    }

    fn end(&mut self, pid: i32) -> Vec<Process> {
        let left = self.left.recv_timeout(LONG);
        self.is_over = true;
        left.unwrap_or_else(|_| {
            // SAFETY: a child of ours that nobody has waited for.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            panic!("minisup does not end")
        })
    }

    fn kill(&mut self, pid: i32) {
        if !self.is_over {
            // SAFETY: a child of ours that nobody has waited for.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            let _ = self.left.recv_timeout(LONG);
        }
    }
}

fn watch(pid: i32, has_begun: impl FnOnce()) -> Vec<Process> {
    let none = ptr::null_mut::<libc::c_void>();
    let ask = |request, data: usize| {
        // SAFETY: no memory of ours is involved; data is a number.
        unsafe { libc::ptrace(request, pid, none, data) }
    };
    assert_eq!(ask(libc::PTRACE_SEIZE, libc::PTRACE_O_TRACEEXIT as usize), 0, "cannot watch {pid}");
    has_begun();
    loop {
        // Peeks first: who has really ended, without a stop before, is left for its parent.
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        let mut status = 0;
        // SAFETY: a child of ours; what is told is told into memory of ours.
        unsafe {
            let flags = libc::WEXITED | libc::WSTOPPED | libc::WNOWAIT | libc::__WALL;
            let waited = libc::waitid(libc::P_PID, pid as libc::id_t, info.as_mut_ptr(), flags);
            if waited != 0 || info.assume_init().si_code != libc::CLD_TRAPPED {
                return Vec::new();
            }
            libc::waitpid(pid, &mut status, libc::__WALL);
        }
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        match event {
            libc::PTRACE_EVENT_EXIT => {
                let left = descendants(pid);
                ask(libc::PTRACE_DETACH, 0);
                return left;
            }
            libc::PTRACE_EVENT_STOP if signal != libc::SIGTRAP => ask(libc::PTRACE_LISTEN, 0),
            libc::PTRACE_EVENT_STOP => ask(libc::PTRACE_CONT, 0),
            _ => ask(libc::PTRACE_CONT, signal as usize),
        };
    }
}

/// Everybody below this process.
pub fn descendants(of: i32) -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let mut all: Vec<Process> = entries.flatten().filter_map(|entry| read(&entry.path())).collect();
    let mut found = Vec::new();
    let mut parents = vec![of];
    while let Some(parent) = parents.pop() {
        let (children, others) = all.into_iter().partition(|p| p.parent == parent);
        all = others;
        parents.extend(children.iter().map(|p: &Process| p.pid));
        found.extend(children);
    }
    found
}

fn read(path: &Path) -> Option<Process> {
    let pid = path.file_name()?.to_str()?.parse().ok()?;
    let stat = std::fs::read_to_string(path.join("stat")).ok()?;
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let words = std::fs::read(path.join("cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&words).replace('\0', " ").trim_end().to_string();
    Some(Process { pid, parent, state, command })
}

/// The path of the compiled actor.c; static, so that it runs in an empty root, too.
pub fn actor() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/run/actor.c");
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("actor");
        let own = program.with_extension(std::process::id().to_string());
        let compiled =
            Command::new("cc").args(["-static", "-O1", "-Wall", "-o"]).arg(&own).arg(source).status();
        assert!(compiled.expect("cc").success(), "cannot compile {source}");
        std::fs::rename(&own, &program).unwrap();
        program.to_str().unwrap().to_string()
    })
}

/// A port of 127.0.0.1 that nobody uses now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Sends a signal to a process below minisup.
pub fn kill(pid: i32, signal: i32) {
    // SAFETY: numbers only.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "cannot send {signal} to {pid}");
}

#[test]
fn a_pid_1_that_leaves_somebody_behind_is_found_out() {
    crate::needs_namespaces!();
    let (input, end) = std::io::pipe().unwrap();
    let careless = container(&["/bin/sh", "-c", "sleep 1001 & (exit 3) & read line"]);
    let mut careless = careless.stdin(input.as_raw_fd()).start();
    let pid = careless.pid();
    let mut watch = Watch::over(pid);
    wait_until("one sleeps and one is a zombie", || {
        let all = descendants(pid);
        all.iter().any(|p| p.command == "sleep 1001") && all.iter().any(|p| p.state == 'Z')
    });
    drop(end);
    assert!(watch.end(pid).iter().any(|process| process.command == "sleep 1001"));
    assert_eq!(careless.wait(), 1);
}
