//! One container: of a stack, or run alone with options of its own.

use crate::docker::{docker, sh, stdout, try_docker, wait_until};
use crate::gunicorn;
use crate::http::{self, Answer};
use std::net::SocketAddr;
use std::ops::Deref;
use std::process::Output;
use std::time::{Duration, Instant};

/// As long as the issue allows for `docker stop`.
const STOP: Duration = Duration::from_secs(3);

/// How a web stack may be locked up; each must make no difference. Its image says that it writes below /run/web.
pub const WAYS: &[&[&str]] = &[
    &["--read-only", "--tmpfs", "/run/web"],
    &["--user", "1000:1000", "--tmpfs", "/run/web"],
    &["--cap-drop", "ALL"],
    &["--security-opt", "no-new-privileges"],
    &["--init"],
    &[
        "--init",
        "--read-only",
        "--tmpfs",
        "/run/web",
        "--user",
        "1000:1000",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
    ],
];

/// A container that somebody else removes.
pub struct Container {
    id: String,
}

impl Container {
    pub fn of(id: &str) -> Container {
        Container { id: id.to_owned() }
    }

    /// One field of what `docker inspect` shows: `State.Health.Status`.
    pub fn field(&self, field: &str) -> String {
        docker(&["inspect", "--format", &format!("{{{{.{field}}}}}"), &self.id]).trim().to_owned()
    }

    pub fn is_running(&self) -> bool {
        self.field("State.Running") == "true"
    }

    /// When it was started the last time.
    pub fn started(&self) -> String {
        self.field("State.StartedAt")
    }

    pub fn exit_code(&self) -> i32 {
        self.field("State.ExitCode").parse().unwrap()
    }

    /// Everything written, both streams.
    pub fn logs(&self) -> String {
        let output = try_docker(&["logs", &self.id]);
        stdout(&output) + &String::from_utf8_lossy(&output.stderr)
    }

    /// Runs a command in it.
    pub fn exec(&self, command: &[&str]) -> Output {
        try_docker(&[&["exec", &self.id], command].concat())
    }

    /// Waits until the engine finds it healthy. It may be restarted meanwhile.
    pub fn wait_until_healthy(&self) {
        let is_healthy =
            || self.field("State.Status") == "running" && self.field("State.Health.Status") == "healthy";
        self.wait_until("healthy", is_healthy);
    }

    /// Waits until its log says this.
    pub fn wait_until_it_says(&self, words: &str) {
        self.wait_until(words, || self.logs().contains(words));
    }

    /// Waits, and shows its log if that is in vain.
    pub fn wait_until(&self, what: &str, is_true: impl FnMut() -> bool) {
        let log = ShownInPanic(self);
        wait_until(&format!("{what}: {}", self.field("Name")), is_true);
        drop(log);
    }

    /// It waits for a TCP server in a line for each reason (no such name yet, nobody who listens), not in one
    /// for each try.
    pub fn assert_it_waits_in_few_lines(&self) {
        let logs = self.logs();
        let said: Vec<&str> = logs.lines().filter(|line| line.contains("waiting for tcp:")).collect();
        let mut once = said.clone();
        once.dedup();
        // Four, for a name comes and goes with a container that is started twice.
        assert!(!said.is_empty() && said.len() <= 4 && said == once, "{logs}");
    }

    /// `docker start`.
    pub fn start(&self) {
        docker(&["start", &self.id]);
    }

    /// How many processors it may use: `"0.1"`.
    pub fn limit_cpus(&self, count: &str) {
        docker(&["update", "--cpus", count, &self.id]);
    }

    /// `docker kill`. The engine takes it for a stop by hand, so no restart policy brings it back.
    pub fn kill(&self) {
        docker(&["kill", &self.id]);
        wait_until("the end", || !self.is_running());
        assert_eq!(self.exit_code(), 137);
    }

    /// Kills its PID 1 behind the engine's back, and waits until the restart policy has started it anew.
    pub fn crash(&self) {
        let before = self.started();
        sh(&format!("kill -KILL {}", self.field("State.Pid")));
        self.wait_until("a new start", || self.started() != before && self.is_running());
    }

    /// The process of one of its services, while there is one.
    pub fn pid_of(&self, service: &str) -> Option<u64> {
        let status = stdout(&self.exec(&["minisup", "status", service, "--json"]));
        let status: serde_json::Value = serde_json::from_str(&status).ok()?;
        status["instances"][0]["pid"].as_u64()
    }

    /// Kills one of its services, and waits until there is a new process that is ready. The container goes on.
    pub fn kill_service(&self, service: &str) {
        let (before, started) = (self.pid_of(service).expect("a process"), self.started());
        let kill = self.exec(&["sh", "-c", &format!("kill -KILL {before}")]);
        assert!(kill.status.success(), "{kill:?}");
        self.wait_until(&format!("another {service}"), || {
            self.pid_of(service).is_some_and(|pid| pid != before)
                && self.exec(&["minisup", "wait", service, "--timeout", "30s"]).status.success()
        });
        assert_eq!(self.started(), started, "the container itself was not restarted\n{}", self.logs());
    }

    /// `docker stop`: it must be quick, and the exit code 0.
    pub fn stop(&self) -> Duration {
        let pid = self.field("State.Pid").parse().unwrap();
        self.wait_until("all of gunicorn", || gunicorn::has_settled(pid));
        let began = Instant::now();
        docker(&["stop", &self.id]);
        let took = began.elapsed();
        assert_eq!(self.exit_code(), 0, "exit code\n{}", self.logs());
        assert!(took < STOP, "docker stop took {took:?}\n{}", self.logs());
        took
    }

    /// Where its one port is published on this machine; another one after each start.
    pub fn address(&self) -> Option<SocketAddr> {
        let ports = stdout(&try_docker(&["port", &self.id]));
        ports.lines().next()?.rsplit(' ').next()?.parse().ok()
    }

    /// The same place as a browser wants it: `http://127.0.0.1:32768/path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address().expect("a published port"))
    }

    /// A GET from outside; it must be answered, with whatever status.
    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], "")
    }

    /// A form that is sent; `"name=value&other=value"`.
    pub fn post(&self, path: &str, form: &str, headers: &[(&str, &str)]) -> Answer {
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        self.request("POST", path, &[&kind, headers].concat(), form)
    }

    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let answer = self.address().and_then(|address| http::ask(address, method, path, headers, body));
        answer.unwrap_or_else(|| panic!("{method} {path}: no answer\n{}", self.logs()))
    }

    /// Waits until a GET is answered with status 200, and returns that answer.
    pub fn wait_for(&self, path: &str) -> Answer {
        self.wait_for_status(path, 200)
    }

    /// Waits until a GET is answered with this status, and returns that answer.
    pub fn wait_for_status(&self, path: &str, status: u16) -> Answer {
        let mut got = None;
        self.wait_until(&format!("{status} for {path}"), || {
            got = self.address().and_then(|address| http::ask(address, "GET", path, &[], ""));
            got.as_ref().is_some_and(|answer| answer.status == status)
        });
        got.expect("an answer")
    }

    /// What root runs in it is minisup and nothing else.
    pub fn assert_root_only_supervises(&self) {
        let list = docker(&["top", &self.id, "-o", "pid,uid,comm"]);
        let rows = list.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<&str>>());
        let roots: Vec<&str> = rows.filter(|row| row[1] == "0").map(|row| row[2]).collect();
        assert!(roots.iter().all(|name| *name == "minisup"), "{list}");
    }

    /// Each of these files is served, not empty, as what it is: `("/static/style.css", "text/css")`.
    pub fn assert_files(&self, files: &[(&str, &str)]) {
        for (path, kind) in files {
            let answer = self.get(path);
            assert_eq!((answer.status, answer.kind()), (200, *kind), "{path}");
            assert!(!answer.body.is_empty(), "{path} is empty");
        }
    }
}

/// A container that is removed with its volumes when it is dropped.
pub struct Alone(Container);

impl Alone {
    /// `docker run --detach OPTIONS IMAGE`, its port 8080 published on 127.0.0.1.
    pub fn run(image: &str, options: &[&str]) -> Alone {
        Alone::run_at(8080, image, options)
    }

    /// The same with another port than 8080.
    pub fn run_at(port: u16, image: &str, options: &[&str]) -> Alone {
        let publish = format!("127.0.0.1::{port}");
        let args = [&["run", "--detach", "--publish", &publish], options, &[image]].concat();
        Alone(Container::of(docker(&args).trim()))
    }
}

impl Deref for Alone {
    type Target = Container;
    fn deref(&self) -> &Container {
        &self.0
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        try_docker(&["rm", "--force", "--volumes", &self.0.id]);
    }
}

/// A test that fails while it waits says what the container had said.
struct ShownInPanic<'a>(&'a Container);

impl Drop for ShownInPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log of {}:\n{}", self.0.id, self.0.logs());
        }
    }
}
