//! What the tests against the real kernel share.
//!
//! - [`container`]: any command line as the real PID 1 of namespaces made for the test, as
//!   any user, with a read-only root, without /proc, on a terminal, or under a seccomp filter.
//!   `container(&[MINISUP, "run", …]).refusing(libc::ENOSYS).start()` is minisup on an old kernel.
//! - [`seccomp::refuse`]: the same filter for a [`std::process::Command`].
//! - [`helper`]: the small C programs of `helper.c`, compiled once.
//! - [`Lines`], [`wait_until`]: waiting for what happens, with a bound, never for a time.
//!
//! Where namespaces are forbidden, tests say so and pass; with MINISUP_REQUIRE_NAMESPACES=1, as
//! in CI, they fail.
#![allow(dead_code)]

pub mod container;
pub mod launching;
pub mod seccomp;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The binary that is tested.
pub const MINISUP: &str = env!("CARGO_BIN_EXE_minisup");

/// Longer than anything takes, also on a machine that is busy with other things.
pub const LONG: Duration = Duration::from_secs(60);

/// Where it has been compiled already.
pub const HELPER: &str = "MINISUP_TEST_HELPER";

/// The path of the compiled `helper.c`.
pub fn helper() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Ok(compiled) = std::env::var(HELPER) {
            return compiled;
        }
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/helper.c");
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let program = folder.join("helper");
        // Several test programs may do it at once: each makes its own and renames it.
        let own = folder.join(format!("helper-{}", std::process::id()));
        let compiled = Command::new("cc").args(["-O1", "-Wall", "-o"]).arg(&own).arg(source).status();
        assert!(compiled.expect("cc").success(), "cannot compile {source}");
        std::fs::rename(&own, &program).unwrap();
        program.to_str().unwrap().to_string()
    })
}

/// It hears SIGINT, though the tests may run in the background of a shell, which has it ignored there.
pub fn heeds_interrupts(command: &mut Command) {
    // SAFETY: signal(2) may be called between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            Ok(())
        });
    }
}

/// Says it past the test harness, which shows the words of tests that fail only.
pub fn loudly(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Waits until there is something to be read, or the end.
pub fn wait_readable(fd: &impl AsRawFd) {
    // SAFETY: the descriptor is open as long as its owner is borrowed.
    let fd = unsafe { BorrowedFd::borrow_raw(fd.as_raw_fd()) };
    let mut polled = [PollFd::new(fd, PollFlags::POLLIN)];
    let ready = loop {
        match poll(&mut polled, PollTimeout::from(LONG.as_millis() as u16)) {
            Err(nix::errno::Errno::EINTR) => {}
            answer => break answer,
        }
    };
    assert_eq!(ready, Ok(1), "nothing to read in {LONG:?}");
}

/// Asks again and again until it is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < end, "not in {LONG:?}: {what}");
        std::thread::yield_now();
    }
}

/// Lines from a pipe or a terminal, each waited for.
#[derive(Debug)]
pub struct Lines {
    file: File,
    bytes: Vec<u8>,
}

impl Lines {
    pub fn new(fd: OwnedFd) -> Lines {
        Lines { file: File::from(fd), bytes: Vec::new() }
    }

    /// The descriptor, once more.
    pub fn owner(&self) -> OwnedFd {
        self.file.try_clone().unwrap().into()
    }

    /// The next line without its end; `None` at the end of the file.
    pub fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.bytes.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line).trim_end().to_string());
            }
            wait_readable(&self.file);
            let mut more = [0; 4096];
            // A terminal whose other side is gone answers EIO.
            match self.file.read(&mut more) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) if self.bytes.is_empty() => return None,
                Ok(0) | Err(_) => self.bytes.push(b'\n'),
                Ok(count) => self.bytes.extend_from_slice(&more[..count]),
            }
        }
    }

    /// Reads lines until one is, or begins with, this; returns it. Panics at the end.
    pub fn wait_for(&mut self, start: &str) -> String {
        let mut before = Vec::new();
        loop {
            match self.next() {
                Some(line) if line.starts_with(start) => return line,
                Some(line) => before.push(line),
                None => panic!("the end, and no line {start:?}: {before:#?}"),
            }
        }
    }

    /// All that is left, until the end.
    pub fn rest(&mut self) -> String {
        std::iter::from_fn(|| self.next()).collect::<Vec<_>>().join("\n")
    }
}
