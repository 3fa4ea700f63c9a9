//! What takes long when a replacement comes: uploads, long polls, websockets. Who has begun to be
//! served has as long as the grace period of whoever serves him; whoever comes new is served by the new one.

use crate::load::{Fate, ask, fate};
use crate::needs_namespaces;
use crate::stage::{Container, Stage};
use crate::support::LONG;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// `/` says whose child answers. `/upload` says how much came, and how much of it is not "x"; `/poll` is held
/// until the file `release` is there; `/echo` is a websocket, on gunicorn's own socket.
const APP: &str = r#"
import base64, hashlib, os, time

def app(environ, start_response):
    path, body = environ["PATH_INFO"], "%d" % os.getppid()
    if path == "/upload":
        length = other = 0
        while length < int(environ["CONTENT_LENGTH"]):
            some = environ["wsgi.input"].read(65536)
            if not some:
                break
            if length == 0:
                print("an upload has begun", flush=True)
            length += len(some)
            other += len(some) - some.count(b"x")
        body = "%d came, %d wrong" % (length, other)
    elif path == "/poll":
        print("a poll is held", flush=True)
        while not os.path.exists("FOLDER/release"):
            time.sleep(0.02)
    elif path == "/echo":
        echo(environ["gunicorn.socket"], environ["HTTP_SEC_WEBSOCKET_KEY"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body.encode()]

def echo(socket, key):
    digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    socket.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n")
    stream = socket.makefile("rb")
    while True:
        head = stream.read(2)
        if len(head) < 2 or head[0] & 15 == 8:
            return
        mask, data = stream.read(4), stream.read(head[1] & 127)
        text = b"%d " % os.getppid() + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
        socket.sendall(bytes([0x81, len(text)]) + text)
"#;

/// It waits for no whole body, and lets a websocket be one.
const PASS: &str = "
client_max_body_size 64m;
proxy_request_buffering off;
proxy_http_version 1.1;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $http_connection;
proxy_pass http://unix:FOLDER/app.sock;
";

const TO_UWSGI: &str = "
client_max_body_size 64m;
uwsgi_request_buffering off;
include /etc/nginx/uwsgi_params;
uwsgi_pass unix:FOLDER/app.sock;
";

const WEB: &str = r#"
[supervisor]
control_socket   = "FOLDER/minisup.sock"
shutdown_timeout = "60s"

[defaults]
stop.grace_period = "GRACE"

[service.web]
preset       = "nginx"
command      = "nginx -e stderr -c FOLDER/nginx.conf"
requires     = ["app"]
restart_mode = "rolling"
sockets      = { http = "tcp://ADDRESS" }
"#;

const GUNICORN: &str = r#"
[service.app]
preset       = "gunicorn"
command      = "gunicorn --workers 2 --threads 4 patient:app"
directory    = "FOLDER/app"
restart_mode = "rolling"
sockets      = { app = "unix://FOLDER/app.sock" }
"#;

const UWSGI: &str = r#"
[service.app]
preset       = "uwsgi"
command      = "uwsgi --plugin python3 --processes 4 --wsgi-file patient.py --callable app"
directory    = "FOLDER/app"
restart_mode = "rolling"
sockets      = { app = "unix://FOLDER/app.sock" }
"#;

/// Longer than anything here takes.
const PLENTY: &str = "50s";

/// Less than somebody needs who does not end.
const LITTLE: &str = "4s";

/// That is what he has of it at least: nginx gets TERM two seconds before its end, gunicorn's workers are killed
/// one second before, uWSGI gets INT one second before. (Less a second, for what we do not see at once.)
const AT_LEAST: Duration = Duration::from_secs(1);

/// Who is replaced, and what he writes when he is asked to end.
#[derive(Clone, Copy)]
struct Replaced(&'static str, &'static str);

const THE_GUNICORN: Replaced = Replaced("app", "Handling signal: term");
const THE_UWSGI: Replaced = Replaced("app", "Gracefully killing worker");
const THE_NGINX: Replaced = Replaced("web", "(SIGQUIT) received");

struct Play {
    stage: Stage,
    container: Container,
    replaced: Replaced,
    /// Who answers at first.
    first: String,
}

impl Play {
    fn new(name: &str, pass: &str, app: &str, grace: &str, replaced: Replaced) -> Play {
        let stage = Stage::new(name, pass);
        stage.write("app/patient.py", APP);
        let conf = std::fs::read_to_string(stage.folder.join("nginx.conf")).unwrap();
        stage.write("nginx.conf", &conf.replace("error_log stderr warn", "error_log stderr notice"));
        let container = stage.run(&format!("{}{app}", WEB.replace("GRACE", grace)));
        stage.wait_for_page(&container);
        // Whoever is not ready yet has nothing to lose, and is replaced as ever.
        container.wait_for_output("all is up");
        let first = stage.ask("/").1;
        Play { stage, container, replaced, first }
    }

    /// Has it replaced; the old one has been asked to end when this returns.
    fn replace(&self) -> Replacement<'_> {
        let child = (self.stage.command(&["restart", self.replaced.0]))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        self.container.wait_for_output(self.replaced.1);
        Replacement { play: self, child: child.unwrap(), asked: Instant::now() }
    }

    /// Whoever comes now is served; by the new one, if it is the app that is replaced.
    fn new_ones_are_served(&self) {
        // A worker of the old one may take one more before it has heard of its end.
        let is_other = || self.replaced.0 != "app" || self.stage.ask("/").1 != self.first;
        self.container.wait_until("answers of the new one", || (0..10).all(|_| is_other()));
        let second = self.stage.ask("/");
        for _ in 0..100 {
            let (fate, by) = self.stage.ask("/");
            assert_eq!((fate, &by), (Fate::Answered, &second.1), "{}", self.container.last_words());
        }
    }

    /// Asks for a long poll, which the app holds when this returns; how it ends, and when.
    fn poll(&self) -> JoinHandle<(Fate, String, Instant)> {
        let address = self.stage.address;
        let poll = std::thread::spawn(move || {
            let (fate, body) = ask(address, "/poll");
            (fate, body, Instant::now())
        });
        self.container.wait_for_output("a poll is held");
        poll
    }

    fn ends(self) {
        self.container.signal(libc::SIGTERM);
        let (code, output) = self.container.wait();
        assert_eq!(code, 0, "{output}");
    }
}

/// A replacement that is under way.
struct Replacement<'a> {
    play: &'a Play,
    child: Child,
    /// When the old one was asked to end.
    asked: Instant,
}

impl Replacement<'_> {
    fn is_under_way(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "the old one has ended\n{}", self.play.container.last_words());
    }

    fn succeeds(self) {
        let output = self.child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}\n{}", self.play.container.last_words());
    }
}

fn an_upload_is_taken_whole(name: &str, pass: &str, app: &str, replaced: Replaced) {
    needs_namespaces!();
    const LENGTH: usize = 32 << 20;
    let play = Play::new(name, pass, app, PLENTY, replaced);
    let mut stream = TcpStream::connect(play.stage.address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let head =
        format!("POST /upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {LENGTH}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let half = vec![b'x'; LENGTH / 2];
    stream.write_all(&half).unwrap();
    play.container.wait_for_output("an upload has begun");
    let mut replacement = play.replace();
    play.new_ones_are_served();
    replacement.is_under_way();
    stream.write_all(&half).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let whole = format!("{LENGTH} came, 0 wrong");
    assert_eq!(fate(&answer), (Fate::Answered, whole), "{}", play.container.last_words());
    replacement.succeeds();
    play.ends();
}

#[test]
fn an_upload_of_32_mib_is_taken_whole_while_gunicorn_is_replaced() {
    an_upload_is_taken_whole("upload-gunicorn", PASS, GUNICORN, THE_GUNICORN);
}

#[test]
fn an_upload_of_32_mib_is_taken_whole_while_uwsgi_is_replaced() {
    an_upload_is_taken_whole("upload-uwsgi", TO_UWSGI, UWSGI, THE_UWSGI);
}

#[test]
fn an_upload_of_32_mib_is_taken_whole_while_nginx_is_replaced() {
    an_upload_is_taken_whole("upload-nginx", PASS, GUNICORN, THE_NGINX);
}

fn a_poll_within_the_grace_period_has_its_answer(name: &str, pass: &str, app: &str, replaced: Replaced) {
    needs_namespaces!();
    let play = Play::new(name, pass, app, PLENTY, replaced);
    let poll = play.poll();
    let mut replacement = play.replace();
    play.new_ones_are_served();
    replacement.is_under_way();
    assert!(!poll.is_finished());
    play.stage.write("release", "");
    let (fate, by, _) = poll.join().unwrap();
    assert_eq!((fate, by), (Fate::Answered, play.first.clone()), "{}", play.container.last_words());
    replacement.succeeds();
    play.ends();
}

#[test]
fn a_long_poll_within_the_grace_period_has_its_answer_from_the_old_gunicorn() {
    a_poll_within_the_grace_period_has_its_answer("poll-gunicorn", PASS, GUNICORN, THE_GUNICORN);
}

#[test]
fn a_long_poll_within_the_grace_period_has_its_answer_from_the_old_uwsgi() {
    a_poll_within_the_grace_period_has_its_answer("poll-uwsgi", TO_UWSGI, UWSGI, THE_UWSGI);
}

#[test]
fn a_long_poll_within_the_grace_period_has_its_answer_through_the_old_nginx() {
    a_poll_within_the_grace_period_has_its_answer("poll-nginx", PASS, GUNICORN, THE_NGINX);
}

fn a_poll_beyond_the_grace_period_is_cut_at_its_end(name: &str, pass: &str, app: &str, replaced: Replaced) {
    needs_namespaces!();
    let play = Play::new(name, pass, app, LITTLE, replaced);
    let poll = play.poll();
    let replacement = play.replace();
    let asked = replacement.asked;
    play.new_ones_are_served();
    // Nobody releases it: that the replacement goes on all the same is what is shown.
    replacement.succeeds();
    let (fate, by, ended) = poll.join().unwrap();
    assert_ne!(fate, Fate::Answered, "{by}");
    let took = ended - asked;
    assert!(took > AT_LEAST, "cut after {took:?}\n{}", play.container.last_words());
    play.new_ones_are_served();
    play.stage.write("release", "");
    play.ends();
}

#[test]
fn a_long_poll_beyond_gunicorns_grace_period_is_cut_at_its_end_and_the_replacement_goes_on() {
    a_poll_beyond_the_grace_period_is_cut_at_its_end("cut-gunicorn", PASS, GUNICORN, THE_GUNICORN);
}

#[test]
fn a_long_poll_beyond_uwsgis_grace_period_is_cut_at_its_end_and_the_replacement_goes_on() {
    a_poll_beyond_the_grace_period_is_cut_at_its_end("cut-uwsgi", TO_UWSGI, UWSGI, THE_UWSGI);
}

#[test]
fn a_long_poll_beyond_nginxs_grace_period_is_cut_at_its_end_and_the_replacement_goes_on() {
    a_poll_beyond_the_grace_period_is_cut_at_its_end("cut-nginx", PASS, GUNICORN, THE_NGINX);
}

fn a_websocket_speaks_until_the_grace_period_ends(name: &str, replaced: Replaced) {
    needs_namespaces!();
    let play = Play::new(name, PASS, GUNICORN, LITTLE, replaced);
    let mut old = Websocket::open(play.stage.address);
    let first = play.first.as_str();
    assert_eq!(old.say("one"), Some(format!("{first} one")));
    let replacement = play.replace();
    let asked = replacement.asked;
    assert_eq!(old.say("two"), Some(format!("{first} two")), "{}", play.container.last_words());
    play.new_ones_are_served();
    let second = play.stage.ask("/").1;
    let mut new = Websocket::open(play.stage.address);
    assert_eq!(new.say("one"), Some(format!("{second} one")));
    let mut said = 0;
    while let Some(answer) = old.say("more") {
        assert_eq!(answer, format!("{first} more"));
        said += 1;
    }
    let took = asked.elapsed();
    assert!(took > AT_LEAST, "cut after {took:?}\n{}", play.container.last_words());
    eprintln!("{name}: it spoke {said} times more, until it was cut after {took:?}");
    replacement.succeeds();
    assert_eq!(new.say("two"), Some(format!("{second} two")), "{}", play.container.last_words());
    drop(new);
    play.ends();
}

#[test]
fn a_websocket_speaks_with_the_old_gunicorn_until_its_grace_period_ends_and_new_ones_with_the_new() {
    a_websocket_speaks_until_the_grace_period_ends("websocket-gunicorn", THE_GUNICORN);
}

#[test]
fn a_websocket_speaks_through_the_old_nginx_until_its_grace_period_ends() {
    a_websocket_speaks_until_the_grace_period_ends("websocket-nginx", THE_NGINX);
}

#[test]
fn a_websocket_that_is_closed_in_time_lets_the_old_gunicorn_end_at_once() {
    needs_namespaces!();
    let play = Play::new("websocket-close", PASS, GUNICORN, PLENTY, THE_GUNICORN);
    let mut old = Websocket::open(play.stage.address);
    assert!(old.say("one").is_some());
    let mut replacement = play.replace();
    play.new_ones_are_served();
    replacement.is_under_way();
    assert_eq!(old.say("two"), Some(format!("{} two", play.first)));
    drop(old);
    replacement.succeeds();
    play.ends();
}

/// The client's side of a websocket (RFC 6455), of short texts.
struct Websocket(TcpStream);

impl Websocket {
    fn open(address: SocketAddr) -> Websocket {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        // The key, and what it must be answered with, of the RFC's section 1.3.
        let head = "GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 101 ") && answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            "{answer}"
        );
        Websocket(stream)
    }

    /// Sends a text; what comes back, or nothing at the end.
    fn say(&mut self, text: &str) -> Option<String> {
        let mask = [1, 2, 3, 4];
        let mut frame = vec![0x81, 0x80 | text.len() as u8];
        frame.extend(mask);
        frame.extend(text.bytes().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.0.write_all(&frame).ok()?;
        let mut head = [0; 2];
        self.0.read_exact(&mut head).ok()?;
        assert_eq!(head[0], 0x81, "a whole text");
        let mut text = vec![0; usize::from(head[1])];
        self.0.read_exact(&mut text).ok()?;
        Some(String::from_utf8(text).unwrap())
    }
}
