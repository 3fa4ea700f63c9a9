//! minisup as PID 1 of a container of its own, and what it holds.

use crate::support::container::{Running, container};
use crate::support::{LONG, MINISUP};
use minisup::control::client::Client;
use minisup::control::wire::{Reply, Request, Status};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The binary: $MINISUP, else the one that cargo has built.
pub fn binary() -> String {
    std::env::var("MINISUP").unwrap_or_else(|_| MINISUP.to_owned())
}

/// A number from the environment.
pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text:?}")))
}

/// A folder with a configuration, and a control socket in it.
pub struct Stage {
    folder: PathBuf,
}

impl Stage {
    /// FOLDER in the text is replaced.
    pub fn new(name: &str, services: &str) -> Stage {
        let folder = std::env::temp_dir().join(format!("minisup-soak-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let text = services.replace("FOLDER", folder.to_str().unwrap());
        fs::write(folder.join("supervise.toml"), text).unwrap();
        Stage { folder }
    }

    /// Where clients find it.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("minisup.sock")
    }

    /// Starts it.
    pub fn run(&self) -> Running {
        let file = self.folder.join("supervise.toml");
        container(&[&binary(), "run", "--config", file.to_str().unwrap()]).start()
    }

    /// A connection, as soon as there is somebody.
    pub fn client(&self) -> Client {
        let end = Instant::now() + LONG;
        loop {
            match Client::connect(&self.socket()) {
                Ok(client) => return client,
                Err(why) => assert!(Instant::now() < end, "nobody at the socket: {why}"),
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// How long a whole `minisup status` takes, from fork to its end. It must succeed.
    pub fn time_status(&self) -> Duration {
        let began = Instant::now();
        let mut command = Command::new(binary());
        command.arg("status").arg("--socket").arg(self.socket()).stdin(Stdio::null()).stdout(Stdio::null());
        let status = command.status().unwrap();
        let took = began.elapsed();
        assert!(status.success(), "status: {status}");
        took
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Asks, and takes the one reply.
pub fn ask(client: &mut Client, request: &Request) -> Reply {
    client.ask(request).unwrap();
    client.next(Some(LONG)).unwrap().unwrap_or_else(|| panic!("closed instead of answering {request:?}"))
}

/// The status of all.
pub fn status(client: &mut Client) -> Status {
    match ask(client, &Request::Status { names: Vec::new() }) {
        Reply::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

/// What PID 1 holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Open descriptors.
    pub descriptors: usize,
    /// PSS, in kB.
    pub memory: u64,
    /// Zombies in the container.
    pub zombies: usize,
}

impl Held {
    /// Now.
    pub fn by(running: &Running) -> Held {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", running.pid())).unwrap_or_default();
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let memory = pss.and_then(|rest| rest.trim().split(' ').next()?.parse().ok()).unwrap_or(0);
        let descriptors = fs::read_dir(format!("/proc/{}/fd", running.pid())).map_or(0, Iterator::count);
        Held { descriptors, memory, zombies: running.zombies() }
    }
}

/// The greatest of all but a hundredth of these.
pub fn p99(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[(times.len() * 99).div_ceil(100) - 1]
}
