//! The images of docker/, run by a real Docker engine. Slow and ignored by default:
//! `make containers` makes the engine and the images, then runs these one after another.
#![allow(clippy::print_stderr, reason = "what was measured is worth a line")]

mod database;
#[path = "../support/docker.rs"]
mod docker;
#[path = "../support/gunicorn.rs"]
mod gunicorn;
#[path = "../support/load.rs"]
mod load;

use docker::{docker, sh, stdout, try_docker, wait_until};
use load::{Asked, Fate, Load, assert_none_was_cut_off};
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// As long as the issue allows for `docker stop` under load.
const STOP: Duration = Duration::from_secs(2);

#[test]
#[ignore = "needs a Docker engine: make containers"]
fn docker_stop_under_load_cuts_no_request_off_and_the_exit_code_is_0() {
    let web = Web::run(&[]);
    web.wait_for_page();
    let load = Load::on(web.address, 16);
    wait_until("a hundred answers", || load.answered() >= 100);

    let (stopped, took) = web.stop();
    let asked = load.until_refused();

    assert_eq!(web.exit_code(), 0, "{}", web.logs());
    let in_work = assert_none_was_cut_off(&asked, &web.logs(), stopped);
    eprintln!("{} requests, {in_work} in work at docker stop, which took {took:?}", asked.len());
    assert!(took < STOP, "docker stop took {took:?}\n{}", web.logs());
}

/// docker/web's, with sockets that minisup holds and replacement without a gap.
const HELD: &str = r#"
[supervisor]
control_socket = "/run/web/minisup.sock"

[service.app]
preset       = "gunicorn"
command      = "gunicorn --workers 4 --worker-tmp-dir /dev/shm app:app"
directory    = "/srv/web"
restart_mode = "rolling"
sockets      = { app = "unix:///run/web/app.sock" }

[service.web]
preset       = "nginx"
command      = "nginx -c /etc/minisup/nginx.conf"
requires     = ["app"]
restart_mode = "rolling"
sockets      = { http = "tcp://0.0.0.0:8080" }
"#;

#[test]
#[ignore = "needs a Docker engine: make containers"]
fn with_held_sockets_docker_stop_under_load_closes_the_listener_first_and_answers_whom_it_took() {
    let web = Web::run_with(HELD);
    web.wait_for_page();
    // Not through the engine's proxy, which takes connections whether or not somebody listens.
    let load = Load::on(web.own_address(), 16);
    wait_until("a hundred answers", || load.answered() >= 100);
    for service in ["app", "web"] {
        docker(&["exec", &web.id, "minisup", "restart", service]);
    }
    let before = load.answered();
    wait_until("a hundred more", || load.answered() >= before + 100);

    let (stopped, took) = web.stop();
    let asked = load.until_refused();

    assert_eq!(web.exit_code(), 0, "{}", web.logs());
    let in_work = assert_none_was_cut_off(&asked, &web.logs(), stopped);
    let early = asked.iter().find(|one| one.time.1 < stopped && one.fate != Fate::Answered);
    assert!(early.is_none(), "while they were replaced: {early:?}\n{}", web.logs());
    let last_answer = asked.iter().filter(|one| one.fate == Fate::Answered).map(|one| one.time.1).max();
    let refused = |one: &&Asked| one.fate == Fate::Refused && Some(one.time.1) < last_answer;
    let refused = asked.iter().filter(refused).count();
    assert!(refused > 0, "nobody was refused while others still had their answers: {asked:?}");
    eprintln!(
        "{} requests, {in_work} in work at docker stop, which took {took:?}; {refused} refused meanwhile",
        asked.len()
    );
    assert!(took < STOP, "docker stop took {took:?}\n{}", web.logs());
}

#[test]
#[ignore = "needs a Docker engine: make containers"]
fn a_killed_gunicorn_master_is_back_with_no_operator() {
    let web = Web::run(&[]);
    web.wait_for_page();
    let master = web.gunicorn();
    sh(&format!("kill -KILL {master}"));
    wait_until("a new master", || web.find_gunicorn().is_some_and(|pid| pid != master));
    web.wait_for_page();
    web.stop();
    assert_eq!(web.exit_code(), 0, "{}", web.logs());
}

#[test]
#[ignore = "needs a Docker engine: make containers"]
fn every_way_of_running_works() {
    let ways: &[&[&str]] = &[
        &["--init"],
        &["--pid=host"],
        &["--user", "1000:1000", "--read-only", "--tmpfs", "/run/web"],
        &["--cap-drop", "ALL"],
        &["--security-opt", "no-new-privileges"],
        &["--user", "0:0"],
    ];
    for way in ways {
        let web = Web::run(way);
        web.wait_for_page();
        let (_, took) = web.stop();
        assert_eq!(web.exit_code(), 0, "{way:?}\n{}", web.logs());
        assert!(took < Duration::from_secs(5), "{way:?}: docker stop took {took:?}\n{}", web.logs());
        eprintln!("{way:?}: stopped in {took:?}; it said:\n{}", about_itself(&web.logs()));
    }
}

#[test]
#[ignore = "needs a Docker engine: make containers"]
fn the_engine_finds_it_healthy_and_an_operator_asks_with_docker_exec() {
    let web = Web::run(&["--health-interval", "1s"]);
    wait_until("healthy", || web.state("Health.Status") == "healthy");
    let ask = |words: &[&str]| try_docker(&[&["exec", &web.id, "minisup"], words].concat());

    let table = stdout(&ask(&["status"]));
    for name in ["app", "web"] {
        let is_up = |line: &str| line.starts_with(name) && line.contains("running") && line.contains("ready");
        assert!(table.lines().any(is_up), "{name}\n{table}");
    }
    let master = web.gunicorn();
    let restarted = ask(&["restart", "app"]);
    assert!(restarted.status.success(), "{restarted:?}");
    assert_ne!(web.gunicorn(), master, "a new one");
    web.wait_for_page();
    assert!(stdout(&ask(&["logs", "app"])).contains("Listening at"));

    // Stopped on purpose is not unhealthy.
    assert!(ask(&["stop", "web"]).status.success());
    assert_eq!(ask(&["status", "web"]).status.code(), Some(3));
    assert!(ask(&["health"]).status.success());
    assert!(ask(&["shutdown"]).status.success());
    wait_until("the end", || web.state("Running") == "false");
    assert_eq!(web.exit_code(), 0, "{}", web.logs());
}

#[test]
#[ignore = "needs a Docker engine: make containers"]
fn as_an_ordinary_child_it_says_in_one_line_that_it_is_not_pid_1() {
    for way in ["--init", "--pid=host"] {
        let web = Web::run(&[way]);
        web.wait_for_page();
        let logs = web.logs();
        let lines = logs.lines().filter(|line| line.contains("not PID 1")).count();
        assert_eq!(lines, 1, "{way}\n{logs}");
    }
}

#[test]
#[ignore = "needs a Docker engine: make containers"]
fn the_image_from_scratch_runs_a_command_and_passes_its_exit_code() {
    let run = |args: &[&str]| try_docker(&[&["run", "--rm", "minisup", "exec", "--"], args].concat());
    let version = run(&["/minisup", "--version"]);
    assert!(version.status.success() && stdout(&version).starts_with("minisup "), "{version:?}");
    assert_eq!(run(&["/minisup", "--no-such-option"]).status.code(), Some(2));
    assert_eq!(run(&["/minisup", "check", "--config", "/nowhere.toml"]).status.code(), Some(78));
    assert_eq!(run(&["/no-such-program"]).status.code(), Some(127));
}

#[test]
#[ignore = "needs a Docker engine: make containers"]
fn exec_hands_the_terminal_over_to_an_interactive_command() {
    let script =
        "trap 'echo interrupted; exit 42' INT; tty; read -r line; echo \"read $line\"; sleep 60 & wait";
    let inner = format!(
        "docker run -it --rm --entrypoint minisup web exec -- bash -c '{}'",
        script.replace('\'', "'\\''")
    );
    let mut terminal = Command::new("script")
        .args(["--quiet", "--return", "--flush", "--command", &inner, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keyboard = terminal.stdin.take().unwrap();
    let mut screen = Screen::of(terminal.stdout.take().unwrap());
    screen.wait_for("/dev/pts/");
    keyboard.write_all(b"hello\r").unwrap();
    screen.wait_for("read hello");
    keyboard.write_all(b"\x03").unwrap();
    screen.wait_for("interrupted");
    assert_eq!(terminal.wait().unwrap().code(), Some(42), "{}", screen.seen);
}

/// A container of the image `web`.
struct Web {
    id: String,
    address: SocketAddr,
}

impl Web {
    fn run(options: &[&str]) -> Web {
        let args = [&["run", "--detach", "--publish", "127.0.0.1::8080"], options, &["web"]].concat();
        Web::of(docker(&args).trim().to_owned())
    }

    /// With another supervise.toml.
    fn run_with(config: &str) -> Web {
        let id = docker(&["create", "--publish", "127.0.0.1::8080", "web"]).trim().to_owned();
        let file = std::env::temp_dir().join(format!("minisup-web-{}.toml", std::process::id()));
        std::fs::write(&file, config).unwrap();
        docker(&["cp", file.to_str().unwrap(), &format!("{id}:/etc/minisup/supervise.toml")]);
        std::fs::remove_file(file).unwrap();
        docker(&["start", &id]);
        Web::of(id)
    }

    fn of(id: String) -> Web {
        let port = docker(&["port", &id, "8080/tcp"]);
        let address = port.lines().next().and_then(|line| line.parse().ok()).expect("a published port");
        Web { id, address }
    }

    /// Where nginx itself listens, on the engine's network.
    fn own_address(&self) -> SocketAddr {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let ip = docker(&["inspect", "--format", format, &self.id]);
        SocketAddr::new(ip.trim().parse().expect("an address"), 8080)
    }

    fn wait_for_page(&self) {
        wait_until("the page", || {
            assert!(self.state("Running") == "true", "it has ended\n{}", self.logs());
            load::ask(self.address, "/").0 == Fate::Answered
        });
        let (fate, style) = load::ask(self.address, "/static/style.css");
        assert!(fate == Fate::Answered && style.contains("body"), "static files come from nginx");
    }

    /// `docker stop`: when it began, and how long it took.
    fn stop(&self) -> (Instant, Duration) {
        let pid = self.state("Pid").parse().unwrap();
        wait_until("all of gunicorn", || gunicorn::has_settled(pid));
        let began = Instant::now();
        docker(&["stop", &self.id]);
        (began, began.elapsed())
    }

    fn state(&self, field: &str) -> String {
        docker(&["inspect", "--format", &format!("{{{{.State.{field}}}}}"), &self.id]).trim().to_owned()
    }

    fn exit_code(&self) -> i32 {
        self.state("ExitCode").parse().unwrap()
    }

    /// Everything written, both streams.
    fn logs(&self) -> String {
        let output = try_docker(&["logs", &self.id]);
        stdout(&output) + &String::from_utf8_lossy(&output.stderr)
    }

    /// gunicorn's master: the one that has children of the same name.
    fn find_gunicorn(&self) -> Option<i32> {
        let list = try_docker(&["top", &self.id, "-o", "pid,ppid,comm"]);
        let list = stdout(&list);
        let rows: Vec<Vec<&str>> = list.lines().skip(1).map(|row| row.split_whitespace().collect()).collect();
        let is_gunicorn = |row: &&Vec<&str>| row.len() == 3 && row[2] == "gunicorn";
        let workers: Vec<&Vec<&str>> = rows.iter().filter(is_gunicorn).collect();
        let master = workers.iter().find(|row| workers.iter().any(|other| other[1] == row[0]))?;
        master[0].parse().ok()
    }

    fn gunicorn(&self) -> i32 {
        self.find_gunicorn().expect("gunicorn's master")
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        try_docker(&["rm", "--force", "--volumes", &self.id]);
    }
}

/// What a terminal shows.
struct Screen {
    stream: std::process::ChildStdout,
    seen: String,
}

impl Screen {
    fn of(stream: std::process::ChildStdout) -> Screen {
        Screen { stream, seen: String::new() }
    }

    fn wait_for(&mut self, wanted: &str) {
        use std::io::Read;
        while !self.seen.contains(wanted) {
            let mut some = [0; 4096];
            let count = self.stream.read(&mut some).unwrap();
            assert!(count > 0, "the terminal closed before {wanted:?}\n{}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&some[..count]));
        }
    }
}

/// The lines that minisup wrote about itself.
fn about_itself(logs: &str) -> String {
    let lines = logs.lines().filter(|line| line.contains("minisup"));
    lines.map(|line| format!("    {line}\n")).collect()
}
