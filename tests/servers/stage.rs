//! Where a test with real servers plays: a folder and a port of its own.

use crate::gunicorn::children;
use crate::load::{self, Fate};
use crate::support::container::{Running, container};
use crate::support::{LONG, MINISUP};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// A folder for one test, and a port for its nginx.
pub struct Stage {
    /// Where everything is.
    pub folder: PathBuf,
    /// Where nginx listens.
    pub address: SocketAddr,
}

impl Stage {
    /// A folder with the demo's app in it and an nginx configuration that passes everything
    /// on to `app.sock` by `pass`.
    pub fn new(name: &str, pass: &str) -> Stage {
        let folder = std::env::temp_dir().join(format!("minisup-servers-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/web/app");
        let copied = Command::new("cp").arg("-R").arg(source).arg(folder.join("app")).status().unwrap();
        assert!(copied.success());

        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let stage = Stage { folder, address };
        stage.write("nginx.conf", &NGINX.replace("PASS", pass));
        stage
    }

    /// Writes a file into the folder, with FOLDER and ADDRESS replaced.
    pub fn write(&self, name: &str, text: &str) {
        let folder = self.folder.to_str().unwrap();
        let text = text.replace("FOLDER", folder).replace("ADDRESS", &self.address.to_string());
        fs::write(self.folder.join(name), text).unwrap();
    }

    /// Runs minisup with this configuration as PID 1.
    pub fn run(&self, config: &str) -> Container {
        self.write("supervise.toml", config);
        let config = self.folder.join("supervise.toml");
        Container::of(
            container(&[MINISUP, "run", "--config", config.to_str().unwrap()]).comes_first().start(),
        )
    }

    /// `minisup` with these words, and where its supervisor answers: at `FOLDER/minisup.sock`.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(MINISUP);
        command.args(words).env("MINISUP_SOCKET", self.folder.join("minisup.sock"));
        command
    }

    /// What it says.
    pub fn minisup(&self, words: &[&str]) -> std::process::Output {
        self.command(words).output().unwrap()
    }

    /// Asks nginx.
    pub fn ask(&self, path: &str) -> (Fate, String) {
        load::ask(self.address, path)
    }

    /// Waits until nginx answers with the page.
    pub fn wait_for_page(&self, container: &Container) {
        container.wait_until("the page", || self.ask("/").0 == Fate::Answered);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

const NGINX: &str = "
worker_processes 2;
pid FOLDER/nginx.pid;
error_log stderr warn;
events { worker_connections 512; }
http {
    access_log /dev/stdout;
    client_body_temp_path FOLDER/client_body;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    # Asked once more where an answer fails: docs/nothing-drops.md, uWSGI.
    upstream twice { server unix:FOLDER/app.sock max_fails=0; server unix:FOLDER/app.sock max_fails=0; }
    server {
        listen ADDRESS backlog=1024;
        location / { PASS }
    }
}
";

/// minisup at work as PID 1, whose output is read while it runs: nobody waits for us.
pub struct Container {
    running: Running,
    output: Arc<Output>,
}

#[derive(Default)]
struct Output {
    written: Mutex<Written>,
    more: Condvar,
}

#[derive(Default)]
struct Written {
    text: String,
    streams_over: usize,
}

impl Container {
    fn of(running: Running) -> Container {
        let output = Arc::new(Output::default());
        for stream in [running.stdout.owner(), running.stderr.owner()] {
            let output = Arc::clone(&output);
            std::thread::spawn(move || output.take(stream));
        }
        Container { running, output }
    }

    /// Everything written so far, by line.
    pub fn output(&self) -> String {
        self.output.written.lock().unwrap().text.clone()
    }

    /// The end of what was written, for a message.
    pub fn last_words(&self) -> String {
        let output = self.output();
        let lines: Vec<&str> = output.lines().collect();
        let skipped = lines.len().saturating_sub(60);
        format!("--- {skipped} lines, then:\n{}", lines[skipped..].join("\n"))
    }

    /// Waits until this has been written.
    pub fn wait_for_output(&self, wanted: &str) {
        let written = self.output.written.lock().unwrap();
        let missing = |written: &mut Written| !written.text.contains(wanted) && written.streams_over < 2;
        let (written, _) = self.output.more.wait_timeout_while(written, LONG, missing).unwrap();
        let found = written.text.contains(wanted);
        drop(written); // a panic must not leave it locked
        assert!(found, "never written: {wanted:?}\n{}", self.last_words());
    }

    /// Asks again and again until it is true.
    pub fn wait_until(&self, what: &str, mut is_true: impl FnMut() -> bool) {
        let deadline = Instant::now() + LONG;
        while !is_true() {
            assert!(Instant::now() < deadline, "waited too long for {what}\n{}", self.last_words());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// PID 1, as we see it.
    pub fn pid(&self) -> i32 {
        self.running.pid()
    }

    /// Signals PID 1.
    pub fn signal(&self, signal: i32) {
        self.running.signal(signal);
    }

    /// The main processes of services that run this program: children of PID 1 that lead
    /// a process group. (What a killed master leaves behind is PID 1's child, too.)
    pub fn services(&self, program: &str) -> Vec<i32> {
        let is_service = |pid: &i32| name(*pid) == program && group(*pid) == Some(*pid);
        children(self.running.pid()).into_iter().filter(is_service).collect()
    }

    /// Waits for the end: the exit code, or 128 + the signal, and everything that was written.
    pub fn wait(mut self) -> (i32, String) {
        let code = self.running.wait();
        let written = self.output.written.lock().unwrap();
        let open = |written: &mut Written| written.streams_over < 2;
        let (written, _) = self.output.more.wait_timeout_while(written, LONG, open).unwrap();
        (code, written.text.clone())
    }
}

impl Output {
    /// Takes all lines of a stream, to its end.
    fn take(&self, stream: OwnedFd) {
        let mut stream = BufReader::new(File::from(stream));
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).unwrap_or(0) > 0 {
            self.written.lock().unwrap().text.push_str(&String::from_utf8_lossy(&line));
            self.more.notify_all();
            line.clear();
        }
        self.written.lock().unwrap().streams_over += 1;
        self.more.notify_all();
    }
}

/// kill(2), of a process in a container of ours.
pub fn kill(pid: i32, signal: i32) {
    let signal = nix::sys::signal::Signal::try_from(signal).unwrap();
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
}

/// The name of a process's program.
fn name(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// A process's group: the fifth field of /proc/PID/stat, the third after the name (proc(5)).
fn group(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse().ok()
}
