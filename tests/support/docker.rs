//! The `docker` command, and waiting for what it shows.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything takes on a machine that is busy with other things.
const LONG: Duration = Duration::from_secs(120);

/// What it printed; it must succeed.
pub fn docker(args: &[&str]) -> String {
    let output = try_docker(args);
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    stdout(&output)
}

/// How it ended.
pub fn try_docker(args: &[&str]) -> Output {
    Command::new("docker").args(args).stdin(Stdio::null()).output().expect("the docker command")
}

/// Runs a line of shell on this machine; it must succeed.
pub fn sh(script: &str) {
    assert!(Command::new("sh").args(["-c", script]).status().unwrap().success(), "{script}");
}

/// Its stdout as text.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Asks again and again until it is true.
pub fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_true() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
