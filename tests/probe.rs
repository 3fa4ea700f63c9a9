//! `minisup probe` asks real sockets, gunicorn and uWSGI.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything takes on a machine that is busy with other things.
const LONG: Duration = Duration::from_secs(30);

fn probe(words: &[&str]) -> (i32, String) {
    let output: Output =
        Command::new(env!("CARGO_BIN_EXE_minisup")).arg("probe").args(words).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
}

/// Sends this to the first client, and hands back what the client had sent.
fn answer(text: &'static [u8], is_held_open: bool) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let count = client.read(&mut request).unwrap();
        client.write_all(text).unwrap();
        if is_held_open {
            // Until the client gives up.
            let _ = client.read(&mut request);
        }
        String::from_utf8_lossy(&request[..count]).into_owned()
    });
    (address, server)
}

fn get(text: &'static [u8], more: &[&str]) -> (i32, String) {
    let (address, server) = answer(text, false);
    let result = probe(&[&["http", "--address", &address], more].concat());
    server.join().unwrap();
    result
}

#[test]
fn a_good_answer_is_a_good_answer() {
    let (address, server) = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", false);
    let got = probe(&["http", "--address", &address, "--path", "/healthz?a=1", "--host", "example.org"]);
    assert_eq!(got, (0, "HTTP 200 OK".into()));
    let request = server.join().unwrap();
    assert!(request.starts_with("GET /healthz?a=1 HTTP/1.0\r\nHost: example.org\r\n"), "{request}");
    assert!(request.ends_with("\r\nConnection: close\r\n\r\n"), "{request}");
}

#[test]
fn a_status_out_of_range_is_said() {
    assert_eq!(get(b"HTTP/1.0 404 Not Found\r\n\r\n", &[]), (1, "HTTP 404 Not Found".into()));
    assert_eq!(
        get(b"HTTP/1.0 404 Not Found\r\n\r\n", &["--status", "404"]),
        (0, "HTTP 404 Not Found".into())
    );
    assert_eq!(get(b"HTTP/1.1 503 Service Unavailable\r\n", &[]), (1, "HTTP 503 Service Unavailable".into()));
    assert_eq!(get(b"HTTP/1.1 200 \r\n\r\n", &["--status", "300-399"]), (1, "HTTP 200".into()));
}

#[test]
fn what_is_no_answer_is_said() {
    assert_eq!(get(b"", &[]), (1, "closed without an answer".into()));
    let (code, text) = get(b"HTTP/1.1 20", &[]);
    assert_eq!((code, text.as_str()), (1, "closed in the middle of its answer: \"HTTP/1.1 20\""));
    assert_eq!(get(b"SSH-2.0-OpenSSH_9.2\r\n", &[]), (1, "not HTTP: \"SSH-2.0-OpenSSH_9.2\"".into()));
    assert_eq!(get(b"\0\x01\x02\xff\r\n\r\n", &[]).0, 1);
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for() {
    for text in [b"".as_slice(), b"HTTP/1.1 2"] {
        let (address, server) = answer(text, true);
        let got = probe(&["http", "--address", &address, "--timeout", "100ms"]);
        assert_eq!(got, (1, "no answer in 100ms".into()));
        server.join().unwrap();
    }
}

#[test]
fn headers_that_never_end_are_still_an_answer() {
    let (address, server) = answer(b"HTTP/1.1 204 No Content\r\nServer: slow\r\n", true);
    assert_eq!(probe(&["http", "--address", &address]), (0, "HTTP 204 No Content".into()));
    server.join().unwrap();
}

#[test]
fn where_nobody_listens_the_connection_is_refused() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for question in ["http", "uwsgi", "tcp"] {
        assert_eq!(probe(&[question, "--address", &address]), (1, "connection refused".into()), "{question}");
    }
}

#[test]
fn a_unix_socket_is_asked_as_well() {
    let directory = Directory::new("unix");
    let path = directory.0.join("app.sock");
    let address = format!("unix:{}", path.display());
    assert_eq!(probe(&["unix", "--address", &address]), (1, "no such file or directory".into()));
    let listener = UnixListener::bind(&path).unwrap();
    assert_eq!(probe(&["unix", "--address", &address]), (0, "connected".into()));
    let server = thread::spawn(move || {
        let mut request = [0; 4096];
        // The first client was the probe above.
        drop(listener.accept().unwrap());
        let (mut client, _) = listener.accept().unwrap();
        let _ = client.read(&mut request).unwrap();
        client.write_all(b"HTTP/1.1 302 Found\r\n\r\n").unwrap();
    });
    assert_eq!(probe(&["http", "--address", &address]), (0, "HTTP 302 Found".into()));
    server.join().unwrap();
    assert_eq!(probe(&["unix", "--address", &address]), (1, "connection refused".into()));
}

#[test]
fn localhost_is_known_and_nonsense_is_not() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    assert_eq!(probe(&["tcp", "--address", &format!("localhost:{port}")]), (0, "connected".into()));
    let (code, text) = probe(&["tcp", "--address", "no name:80", "--timeout", "1s"]);
    assert!(code == 1 && text.contains("no name"), "{text}");
}

#[test]
fn gunicorn_answers() {
    let app = "def app(env, start):\n    start('200 OK', [])\n    return [env['PATH_INFO'].encode()]\n";
    let server = |directory: &Path, socket: &Path| {
        let bind = format!("unix:{}", socket.display());
        (["gunicorn", "--chdir", directory.to_str().unwrap(), "--bind", &bind, "app:app"].map(str::to_owned))
            .to_vec()
    };
    with_server("gunicorn", app, server, |address| {
        assert_eq!(answered("http", address), "HTTP 200 OK");
        assert_eq!(
            probe(&["uwsgi", "--address", address, "--timeout", "5s"]).0,
            1,
            "gunicorn speaks no uwsgi"
        );
    });
}

#[test]
fn uwsgi_answers_in_its_own_protocol() {
    let app = "def application(env, start):\n    assert env['PATH_INFO'] == '/'\n    start('404 Not Found', [])\n    return []\n";
    let server = |directory: &Path, socket: &Path| {
        let (directory, socket) = (directory.to_str().unwrap(), socket.to_str().unwrap());
        let words = ["uwsgi", "--plugin", "python3", "--master", "--die-on-term", "--socket", socket];
        let more = ["--chdir", directory, "--module", "app"];
        words.iter().chain(&more).map(|word| (*word).to_owned()).collect()
    };
    with_server("uwsgi", app, server, |address| assert_eq!(answered("uwsgi", address), "HTTP 404 Not Found"));
}

/// Asks until there is a good answer.
fn answered(question: &str, address: &str) -> String {
    let end = Instant::now() + LONG;
    loop {
        match probe(&[question, "--address", address]) {
            (0, line) => return line,
            (_, line) => assert!(Instant::now() < end, "still: {line}"),
        }
    }
}

fn with_server(name: &str, app: &str, command: impl Fn(&Path, &Path) -> Vec<String>, test: impl Fn(&str)) {
    let directory = Directory::new(name);
    std::fs::write(directory.0.join("app.py"), app).unwrap();
    let socket = directory.0.join("app.sock");
    let words = command(&directory.0, &socket);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let server = match command.spawn() {
        Ok(child) => Server(child),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{name} is not installed: {error}");
            let _ = writeln!(std::io::stderr(), "SKIPPED: {name} is not installed: {error}");
            return;
        }
    };
    test(&format!("unix:{}", socket.display()));
    drop(server);
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.0.id() as i32);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("minisup-probe-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
