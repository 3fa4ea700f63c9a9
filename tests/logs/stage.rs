//! minisup, run with a configuration.

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe2};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything takes on a machine that is busy with other things.
pub const LONG: Duration = Duration::from_secs(60);

/// minisup with a configuration.
pub struct Minisup {
    child: Child,
    /// Lines of stderr as they come.
    pub said: Receiver<String>,
    /// Its configuration, removed at the end.
    file: Option<PathBuf>,
}

impl Minisup {
    /// Runs it, with this stdout.
    pub fn run(configuration: &str, stdout: OwnedFd) -> Minisup {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let file = std::env::temp_dir().join(format!("minisup-logs-{}-{number}.toml", std::process::id()));
        std::fs::write(&file, configuration).unwrap();
        let file_name = file.to_str().unwrap();
        let mut minisup = Minisup::run_by(&[env!("CARGO_BIN_EXE_minisup"), "--config", file_name], stdout);
        minisup.file = Some(file);
        minisup
    }

    /// Runs it by this command, which becomes minisup by exec.
    pub fn run_by(command: &[&str], stdout: OwnedFd) -> Minisup {
        let mut child = Command::new(command[0])
            .args(&command[1..])
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (to, said) = channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
        Minisup { child, said, file: None }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it says something with this in it.
    pub fn hear(&self, text: &str) -> String {
        let end = Instant::now() + LONG;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line =
                self.said.recv_timeout(left).unwrap_or_else(|why| panic!("never said {text:?}: {why}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    pub fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    pub fn exit_code(&mut self) -> i32 {
        let end = Instant::now() + LONG;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap();
            }
            assert!(Instant::now() < end, "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Minisup {
    fn drop(&mut self) {
        self.stop_if_alive();
        self.file.take().map(std::fs::remove_file);
    }
}

impl Minisup {
    fn stop_if_alive(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Read end, write end.
pub fn pipe() -> (File, OwnedFd) {
    let (read, write) = pipe2(OFlag::O_CLOEXEC).unwrap();
    (read.into(), write)
}
