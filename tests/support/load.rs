//! Clients that ask and ask, each request with a number and on a connection of its own,
//! and remember how each one ended. What the server then says in its logs about the same
//! numbers shows whether a request that was accepted was cut off.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Status 200, with the whole body.
    Answered,
    /// Another status, with the whole body.
    Status(u16),
    /// Nobody took the connection.
    Refused,
    /// The connection was taken by the kernel, and closed before a single byte came.
    Dropped,
    /// Some bytes came, but not all.
    CutOff,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its number.
    pub id: usize,
    /// How it ended.
    pub fate: Fate,
    /// When it began and when it had ended.
    pub time: (Instant, Instant),
}

/// Clients at work.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    address: SocketAddr,
    next: AtomicUsize,
    answered: AtomicUsize,
    asked: Mutex<Vec<Asked>>,
}

impl Load {
    /// So many clients, half of which ask for `/slow` and half for `/`. A client ends when
    /// nobody takes its request any more: one that went on asking would only burn the time
    /// that the server needs to end.
    pub fn on(address: SocketAddr, clients: usize) -> Load {
        let shared = Arc::new(Shared {
            address,
            next: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
            asked: Mutex::new(Vec::new()),
        });
        let client = |number: usize| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.ask_on(if number.is_multiple_of(2) { "/slow" } else { "/" }))
        };
        Load { clients: (0..clients).map(client).collect(), shared }
    }

    /// How many answers have come so far.
    pub fn answered(&self) -> usize {
        self.shared.answered.load(Ordering::SeqCst)
    }

    /// Lets every client end, because the server goes away; returns all requests.
    pub fn until_refused(self) -> Vec<Asked> {
        for client in self.clients {
            client.join().expect("a client that did not panic");
        }
        std::mem::take(&mut self.shared.asked.lock().unwrap())
    }
}

impl Shared {
    fn ask_on(&self, path: &str) {
        loop {
            let id = self.next.fetch_add(1, Ordering::SeqCst);
            let began = Instant::now();
            let fate = ask(self.address, &format!("{path}?id={id}")).0;
            self.answered.fetch_add(usize::from(fate == Fate::Answered), Ordering::SeqCst);
            let over = matches!(fate, Fate::Refused | Fate::Dropped);
            self.asked.lock().unwrap().push(Asked { id, fate, time: (began, Instant::now()) });
            if over {
                return;
            }
        }
    }
}

/// One GET on a connection of its own: how it ended, and the body.
pub fn ask(address: SocketAddr, path: &str) -> (Fate, String) {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, PATIENCE) else {
        return (Fate::Refused, String::new());
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    // A reset after the last byte is no loss: what counts is what came.
    let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_end(&mut answer));
    fate(&String::from_utf8_lossy(&answer))
}

/// What an answer, of which this much came, was.
pub fn fate(answer: &str) -> (Fate, String) {
    if answer.is_empty() {
        return (Fate::Dropped, String::new());
    }
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return (Fate::CutOff, String::new()) };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    if length.is_some_and(|length| length != body.len()) {
        return (Fate::CutOff, body.to_owned());
    }
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    match status {
        Some(200) => (Fate::Answered, body.to_owned()),
        Some(other) => (Fate::Status(other), body.to_owned()),
        None => (Fate::CutOff, body.to_owned()),
    }
}

/// What must hold of a server that was stopped in order while `log` was written: each
/// request that the app or nginx took has got its whole answer, and at least one of them
/// was in the middle of its work at `stopped`. Returns how many those were.
pub fn assert_none_was_cut_off(asked: &[Asked], log: &str, stopped: Instant) -> usize {
    let mut in_work = 0;
    for one in asked {
        let is_taken =
            || log.contains(&format!("begun {}\n", one.id)) || log.contains(&format!("?id={} HTTP", one.id));
        match one.fate {
            Fate::Answered => in_work += usize::from(one.time.0 < stopped && one.time.1 > stopped),
            Fate::Refused => {}
            Fate::Dropped => assert!(!is_taken(), "request {} was taken and dropped", one.id),
            Fate::Status(_) | Fate::CutOff => panic!("request {}: {:?}", one.id, one.fate),
        }
    }
    assert!(in_work > 0, "no request was in work when the stop began: this shows nothing");
    in_work
}
