//! The asker: clients that ask a server at full speed while others replace it, as a process of its own.
//!
//! ```text
//! rustc --edition 2024 -O -o asker tests/servers/asker.rs
//! asker 127.0.0.1:80 / [--connections 8] [--requests 200000] [--shares 20] [--fresh] [--timeline FILE]
//! ```
//!
//! It goes on until so many requests were answered *and* its stdin has ended. Whenever another share of
//! the requests has been answered it writes a line, so that whoever reads can spread what he does over the
//! load; whenever he does something he writes a line to its stdin. The last line that it writes are its counts.
//!
//! A request fails if its answer is not whole or not a 200, or if nobody takes it. Only this is not yet a
//! failure: a connection that has served before is closed before a byte of the answer came. A server may
//! do that with an idle connection at any time, and a client may be just sending; RFC 9112, section 9.3.1,
//! lets it ask once more, on a new connection, if what it asks may be repeated, as a GET may. That is
//! done here, and both are counted: `closed`, and what had `failed` all the same.
//!
//! Neither is known from wrk, nor how long nobody had an answer.

use std::collections::HashMap;
use std::io::{self, BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a client waits for the next byte.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long after a failure it waits, so that one who is refused does not ask a million times.
const PAUSE: Duration = Duration::from_millis(10);

/// After so long without an answer there will be none.
const STUCK: Duration = Duration::from_secs(30);

/// The width of a column of the timeline.
const COLUMN: Duration = Duration::from_millis(100);

/// So many failures are shown.
const SHOWN: usize = 20;

/// What is to be asked.
#[derive(Clone, Debug)]
pub struct Order {
    /// Of whom.
    pub address: SocketAddr,
    /// What.
    pub path: String,
    /// Clients, each with one connection at a time.
    pub connections: usize,
    /// At least so many answers.
    pub requests: usize,
    /// In so many parts, the end of each of which is told.
    pub shares: usize,
    /// Each request on a connection of its own.
    pub is_fresh: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests that had their whole answer.
    pub answered: usize,
    /// Requests that had not.
    pub failed: usize,
    /// Connections that had served before and were closed instead of a first byte.
    pub closed: usize,
    /// The most closes of one client between two marks.
    pub most_closed: usize,
    /// The longest that an answer took.
    pub slowest: Duration,
    /// The longest time in which nobody had an answer.
    pub gap: Duration,
    /// Answers and failures in each column of the timeline.
    pub timeline: Vec<(u32, u32)>,
    /// When something was done.
    pub marks: Vec<Duration>,
    /// Some of the failures.
    pub failures: Vec<String>,
}

/// Why there is no answer.
enum Loss {
    /// It was closed, and not a byte had come.
    Closed(String),
    Other(String),
}

struct Shared<'a, W> {
    order: &'a Order,
    began: Instant,
    marks: AtomicUsize,
    /// Nothing more will be done.
    is_last: AtomicBool,
    answered: AtomicUsize,
    /// When the last answer came, and the longest time between two: microseconds.
    last: AtomicU64,
    gap: AtomicU64,
    told: Mutex<W>,
}

/// Asks until there is enough and `marks` has ended; a line of `told` for each share.
pub fn ask(order: &Order, marks: impl BufRead + Send, told: impl Write + Send) -> Counts {
    let shared = Shared {
        order,
        began: Instant::now(),
        marks: AtomicUsize::new(0),
        is_last: AtomicBool::new(false),
        answered: AtomicUsize::new(0),
        last: AtomicU64::new(0),
        gap: AtomicU64::new(0),
        told: Mutex::new(told),
    };
    let mut sum = Counts::default();
    std::thread::scope(|scope| {
        let marked = scope.spawn(|| shared.heed(marks));
        let clients: Vec<_> = (0..order.connections).map(|_| scope.spawn(|| shared.client())).collect();
        for client in clients {
            sum.add(client.join().expect("a client that did not panic"));
        }
        sum.marks = marked.join().expect("a reader that did not panic");
    });
    sum.answered = shared.answered.into_inner();
    sum.gap = Duration::from_micros(shared.gap.into_inner());
    sum
}

impl<W: Write> Shared<'_, W> {
    /// Takes marks until there are no more; when each came.
    fn heed(&self, marks: impl BufRead) -> Vec<Duration> {
        let moments = marks.lines().map_while(Result::ok).map(|_| {
            self.marks.fetch_add(1, Ordering::SeqCst);
            self.began.elapsed()
        });
        let moments = moments.collect();
        self.is_last.store(true, Ordering::SeqCst);
        moments
    }

    fn is_over(&self) -> bool {
        let is_enough = self.answered.load(Ordering::SeqCst) >= self.order.requests;
        is_enough && self.is_last.load(Ordering::SeqCst)
    }

    /// Nobody has had an answer for long. Whoever waits for the next share is told.
    fn is_stuck(&self) -> bool {
        let last = Duration::from_micros(self.last.load(Ordering::SeqCst));
        let is_stuck = self.began.elapsed().saturating_sub(last) > STUCK;
        if is_stuck {
            self.tell(format_args!("stuck"));
        }
        is_stuck
    }

    fn tell(&self, line: std::fmt::Arguments<'_>) {
        // Whoever does not read any more has his reasons.
        let _ = writeln!(self.told.lock().unwrap(), "{line}");
    }

    fn client(&self) -> Counts {
        let order = self.order;
        let how = if order.is_fresh { "close" } else { "keep-alive" };
        let request =
            format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: {how}\r\n\r\n", order.path, order.address);
        let (mut counts, mut closes) = (Counts::default(), HashMap::<usize, usize>::new());
        let mut kept: Option<TcpStream> = None;
        while !self.is_over() && !self.is_stuck() {
            let began = Instant::now();
            let is_old = kept.is_some();
            let mut end = exchange(&mut kept, order.address, request.as_bytes());
            if is_old && matches!(end, Err(Loss::Closed(_))) {
                counts.closed += 1;
                *closes.entry(self.marks.load(Ordering::SeqCst)).or_default() += 1;
                end = exchange(&mut kept, order.address, request.as_bytes());
            }
            let column = (self.began.elapsed().as_millis() / COLUMN.as_millis()) as usize;
            counts.timeline.resize(counts.timeline.len().max(column + 1), (0, 0));
            match end {
                Ok(()) => {
                    counts.timeline[column].0 += 1;
                    counts.slowest = counts.slowest.max(began.elapsed());
                    self.answered();
                }
                Err(Loss::Closed(why) | Loss::Other(why)) => {
                    counts.timeline[column].1 += 1;
                    counts.failed += 1;
                    if counts.failures.len() < SHOWN {
                        counts.failures.push(format!("{:.3} s: {why}", self.began.elapsed().as_secs_f64()));
                    }
                    std::thread::sleep(PAUSE);
                }
            }
        }
        counts.most_closed = closes.into_values().max().unwrap_or(0);
        counts
    }

    fn answered(&self) {
        let now = self.began.elapsed().as_micros() as u64;
        let before = self.last.fetch_max(now, Ordering::SeqCst);
        self.gap.fetch_max(now.saturating_sub(before), Ordering::SeqCst);
        let count = self.answered.fetch_add(1, Ordering::SeqCst) + 1;
        let share = (self.order.requests / self.order.shares).max(1);
        // No more lines than shares: nobody need read on.
        if count.is_multiple_of(share) && count / share <= self.order.shares {
            self.tell(format_args!("answered {count}"));
        }
    }
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.failed += other.failed;
        self.closed += other.closed;
        self.most_closed = self.most_closed.max(other.most_closed);
        self.slowest = self.slowest.max(other.slowest);
        self.failures.extend(other.failures);
        self.timeline.resize(self.timeline.len().max(other.timeline.len()), (0, 0));
        for (mine, theirs) in self.timeline.iter_mut().zip(other.timeline) {
            *mine = (mine.0 + theirs.0, mine.1 + theirs.1);
        }
    }
}

/// One request on the connection that was kept, or on a new one; it is kept again if it may be.
fn exchange(kept: &mut Option<TcpStream>, address: SocketAddr, request: &[u8]) -> Result<(), Loss> {
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => connect(address).map_err(|error| Loss::Other(format!("no connection: {error}")))?,
    };
    // If it cannot be sent there may be an answer all the same: what counts is what comes.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let mut some = [0; 4096];
    loop {
        match stream.read(&mut some) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) => return Err(lost(&answer, "the end")),
            Err(error) => return Err(lost(&answer, &error.to_string())),
            Ok(count) => answer.extend_from_slice(&some[..count]),
        }
        if let Some(stays) = whole(&answer).map_err(Loss::Other)? {
            *kept = (stays && !request.ends_with(b"close\r\n\r\n")).then_some(stream);
            return Ok(());
        }
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn lost(answer: &[u8], why: &str) -> Loss {
    match answer.len() {
        0 => Loss::Closed(format!("no byte, but {why}")),
        count => Loss::Other(format!("{count} bytes, then {why}")),
    }
}

/// Whether the connection stays, if this is a whole answer; `None` if more is to come.
fn whole(answer: &[u8]) -> Result<Option<bool>, String> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&answer[..end]);
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status != "200" {
        return Err(format!("status {status}"));
    }
    let field = |wanted: &str| {
        let value = |line: &'_ str| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_ascii_lowercase())
        };
        head.lines().find_map(value)
    };
    let length = field("content-length").and_then(|text| text.parse::<usize>().ok());
    let length = length.ok_or("an answer without a length")?;
    match (answer.len() - end - 4).cmp(&length) {
        std::cmp::Ordering::Less => Ok(None),
        std::cmp::Ordering::Equal => Ok(Some(field("connection").is_none_or(|how| how != "close"))),
        std::cmp::Ordering::Greater => Err("more than an answer".into()),
    }
}

/// What the last line is.
fn summary(counts: &Counts, took: Duration) -> String {
    let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1000.0);
    format!(
        "counts {} {} {} {} {} {} {:.3}",
        counts.answered,
        counts.failed,
        counts.closed,
        counts.most_closed,
        ms(counts.slowest),
        ms(counts.gap),
        took.as_secs_f64()
    )
}

/// `mark MILLISECONDS` for each, then `MILLISECONDS ANSWERED FAILED` for each column.
fn timeline(counts: &Counts) -> String {
    let marks = counts.marks.iter().map(|moment| format!("mark {}\n", moment.as_millis()));
    let column = |(index, (answered, failed)): (usize, &(u32, u32))| {
        format!("{} {answered} {failed}\n", index as u128 * COLUMN.as_millis())
    };
    marks.chain(counts.timeline.iter().enumerate().map(column)).collect()
}

/// The order that the arguments give, and the file for the timeline.
fn order(mut words: impl Iterator<Item = String>) -> Option<(Order, Option<String>)> {
    let mut order = Order {
        address: words.next()?.parse().ok()?,
        path: words.next()?,
        connections: 8,
        requests: 200_000,
        shares: 20,
        is_fresh: false,
    };
    let mut file = None;
    while let Some(word) = words.next() {
        match word.as_str() {
            "--fresh" => order.is_fresh = true,
            "--connections" => order.connections = words.next()?.parse().ok()?,
            "--requests" => order.requests = words.next()?.parse().ok()?,
            "--shares" => order.shares = words.next()?.parse().ok()?,
            "--timeline" => file = Some(words.next()?),
            _ => return None,
        }
    }
    (order.shares > 0 && order.connections > 0).then_some((order, file))
}

/// As a program.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]
#[allow(dead_code, reason = "a module of the tests, too")]
fn main() -> std::process::ExitCode {
    let Some((order, file)) = order(std::env::args().skip(1)) else {
        eprintln!("asker: how it is asked stands at the head of tests/servers/asker.rs");
        return std::process::ExitCode::from(2);
    };
    let began = Instant::now();
    let counts = ask(&order, io::BufReader::new(io::stdin()), io::stdout());
    for failure in counts.failures.iter().take(SHOWN) {
        eprintln!("asker: failed after {failure}");
    }
    if let Some(file) = file {
        std::fs::write(file, timeline(&counts)).expect("a file for the timeline");
    }
    println!("{}", summary(&counts, began.elapsed()));
    std::process::ExitCode::SUCCESS
}
