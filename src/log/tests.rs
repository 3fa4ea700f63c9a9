//! The pump as a whole, over real pipes.

use super::*;
use crate::core::ids::InstanceId;
use crate::core::plan::{LogFormat, LogPolicy, Sink, WhenFull};
use crate::core::time::Moment;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;
use proptest::prelude::*;
use regex_lite::Regex;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const RAW: Look = Look::PLAIN;
const PREFIX: Look = Look { format: LogFormat::Prefix, ..RAW };
/// Nothing here takes longer unless it is broken.
const BOUND: Duration = Duration::from_secs(20);

fn clock() -> Clock {
    fn now() -> Moment {
        static START: OnceLock<Instant> = OnceLock::new();
        Moment::from_nanos(START.get_or_init(Instant::now).elapsed().as_nanos() as u64)
    }
    Clock { now, wall: || (0, 0) }
}

fn policy(when_full: WhenFull) -> LogPolicy {
    LogPolicy { prefix: false, timestamps: false, max_line: 64 * 1024, when_full }
}

/// A pump, and what comes out of it.
struct Bench {
    runtime: tokio::runtime::Runtime,
    pump: Pump,
    stdout: File,
    stderr: File,
    seen: Vec<u8>,
    events: Vec<Event>,
}

impl Bench {
    fn new(look: Look) -> Bench {
        let ((stdout, out), (stderr, err)) = (pipe(), pipe());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let pump = runtime.block_on(async { Pump::to(out, err, look, clock()).unwrap() });
        Bench {
            runtime,
            pump,
            stdout: stdout.into(),
            stderr: stderr.into(),
            seen: Vec::new(),
            events: Vec::new(),
        }
    }

    fn open(&mut self, name: &str, policy: LogPolicy) -> (StreamId, File) {
        self.open_as(name, Sink::Forward, policy, None)
    }

    fn open_as(
        &mut self,
        name: &str,
        sink: Sink,
        policy: LogPolicy,
        watch: Option<&str>,
    ) -> (StreamId, File) {
        let watch = watch.map(|pattern| Regex::new(pattern).unwrap());
        let source = Source::new(name.into(), InstanceId(0), None, Std::Out);
        let (id, fd) = self.pump.open(source, &[sink], &policy, watch).unwrap();
        (id, fd.into())
    }

    /// One turn of the loop, or false if nothing came for a while.
    fn turn(&mut self) -> bool {
        let pump = &mut self.pump;
        let is_ready =
            self.runtime.block_on(async { tokio::time::timeout(IDLE, pump.ready()).await.is_ok() });
        if is_ready {
            pump.turn();
        }
        self.events.extend(std::iter::from_fn(|| self.pump.poll_event()));
        is_ready
    }

    /// Turns and reads stdout until this holds.
    fn until(&mut self, what: &str, holds: impl Fn(&Bench) -> bool) {
        let end = Instant::now() + BOUND;
        while !holds(self) {
            assert!(Instant::now() < end, "still not: {what}; seen {} bytes", self.seen.len());
            self.turn();
            self.seen.extend(available(&mut self.stdout));
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }
}

const IDLE: Duration = Duration::from_millis(5);

/// Read end (non-blocking), write end (blocking).
fn pipe() -> (OwnedFd, OwnedFd) {
    let (read, write) = pipe2(OFlag::O_CLOEXEC).unwrap();
    fcntl(&read, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    (read, write)
}

fn available(from: &mut File) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 65536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        all.extend_from_slice(&buffer[..count]);
    }
    all
}

/// Writes all of it from a thread of its own, as a child would, and closes.
fn write_all(mut to: File, bytes: Vec<u8>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || to.write_all(&bytes).unwrap())
}

#[test]
fn a_stream_is_small() {
    // Two thousand of them are PID 1's with a thousand services.
    assert!(size_of::<Option<stream::Stream>>() <= 136, "{}", size_of::<Option<stream::Stream>>());
}

#[test]
fn a_line_arrives_as_it_was_written() {
    let mut bench = Bench::new(RAW);
    let (id, mut child) = bench.open("web", policy(WhenFull::Block));
    child.write_all(b"caf\xe9 \0 one\n").unwrap();
    bench.until("the line", |b| b.seen == b"caf\xe9 \0 one\n");
    child.write_all(b"no newline").unwrap();
    drop(child);
    bench.until("the end", |b| b.events == [Event::Closed(id)]);
    bench.until("the rest", |b| b.seen.ends_with(b"no newline\n"));
}

#[test]
fn a_prefix_says_whose_line_it_is() {
    let mut bench = Bench::new(PREFIX);
    let (_, mut web) = bench.open("web", policy(WhenFull::Block));
    let (_, mut app) = bench.open("app", policy(WhenFull::Block));
    web.write_all(b"half ").unwrap();
    bench.turn();
    app.write_all(b"whole\n").unwrap();
    bench.until("app's line", |b| b.text() == "app | whole\n");
    web.write_all(b"done\n\n").unwrap();
    bench.until("web's lines", |b| b.text() == "app | whole\nweb | half done\nweb | \n");
}

#[test]
fn a_line_beyond_the_limit_is_marked_and_not_mixed() {
    let mut bench = Bench::new(RAW);
    let short = LogPolicy { max_line: 8, ..policy(WhenFull::Block) };
    let (_, mut child) = bench.open("web", short);
    child.write_all(b"1234567890\nok\n").unwrap();
    bench.until("both", |b| b.text() == "12345678 [line continues]\n90\nok\n");
}

#[test]
fn a_watched_line_is_told_once() {
    let mut bench = Bench::new(RAW);
    let (id, mut child) =
        bench.open_as("app", Sink::Forward, policy(WhenFull::Block), Some("^listening on [0-9]+$"));
    child.write_all(b"not listening on 1\nlistening ").unwrap();
    bench.until("the first line", |b| b.text() == "not listening on 1\n");
    assert_eq!(bench.events, []);
    child.write_all(b"on 80\nlistening on 81\n").unwrap();
    bench.until("the match", |b| b.events == [Event::Matched(id)]);
    bench.until("all lines", |b| b.text().ends_with("listening on 81\n"));
    assert_eq!(bench.events, [Event::Matched(id)]);
}

#[test]
fn what_goes_nowhere_can_still_be_watched() {
    let mut bench = Bench::new(RAW);
    assert!(Pump::needs_pipe(&[Sink::Null], true) && !Pump::needs_pipe(&[Sink::Null], false));
    let (id, mut child) = bench.open_as("app", Sink::Null, policy(WhenFull::Block), Some("ready"));
    child.write_all(b"ready\n").unwrap();
    bench.until("the match", |b| b.events == [Event::Matched(id)]);
    assert_eq!(bench.text(), "");
}

#[test]
fn a_stuck_reader_makes_the_child_wait_and_loses_nothing() {
    let mut bench = Bench::new(RAW);
    let (id, child) = bench.open("app", policy(WhenFull::Block));
    let lines: String = (0..300_000).map(|n| format!("line number {n}\n")).collect();
    let writer = write_all(child, lines.clone().into_bytes());
    // Nobody reads stdout: the loop goes quiet with the child still writing.
    while bench.turn() {}
    assert!(!writer.is_finished(), "5.9 MB do not fit into two pipes and a queue");
    bench.until("all lines", |b| b.events == [Event::Closed(id)] && b.seen.len() == lines.len());
    assert!(bench.text() == lines);
    writer.join().unwrap();
}

#[test]
fn runs_that_nobody_reads_do_not_take_all_descriptors() {
    let mut bench = Bench::new(RAW);
    let (mut refused, mut runs) = (false, 0);
    for run in 0..200 {
        let source = Source::new("app".into(), InstanceId(0), None, Std::Out);
        match bench.pump.open(source, &[Sink::Forward], &policy(WhenFull::Block), None) {
            Ok((_, child)) => {
                drop(write_all(child.into(), vec![b'x'; 60_000]));
                runs += 1;
            }
            Err(error) => {
                assert!((32..100).contains(&run), "after {run} runs");
                assert!(error.to_string().contains("wait for a reader"), "{error}");
                refused = true;
                break;
            }
        }
        while bench.turn() {}
    }
    assert!(refused, "200 pipes wait at once");
    // Each run's last line gets its newline.
    bench.until("all that was written", |b| b.seen.len() == runs * 60_001);
    bench.open("app", policy(WhenFull::Block));
}

#[test]
fn a_stuck_reader_does_not_hold_up_who_drops_and_the_count_is_exact() {
    for look in [RAW, PREFIX] {
        let mut bench = Bench::new(look);
        let (id, child) = bench.open("app", policy(WhenFull::Drop));
        let lines: String = (0..300_000).map(|n| format!("line number {n}\n")).collect();
        let mut held_open = child.try_clone().unwrap();
        write_all(child, lines.into_bytes()).join_while(|| {
            bench.turn();
        });
        bench.until("the message", |b| b.text().contains("lines dropped"));
        held_open.write_all(b"last\n").unwrap();
        drop(held_open);
        bench.until("the end", |b| b.events == [Event::Closed(id)] && b.text().ends_with("last\n"));
        let (mut arrived, mut dropped) = (0, 0);
        for line in bench.text().lines() {
            match line.split_once("minisup: ") {
                Some((_, text)) => {
                    let count = text.trim_start_matches("app: ").split(' ').next().unwrap();
                    dropped += count.parse::<usize>().unwrap();
                }
                None => arrived += 1,
            }
        }
        assert_eq!(arrived + dropped, 300_001, "{arrived} arrived, {dropped} dropped");
        assert!(dropped > 0);
    }
}

trait JoinWhile {
    fn join_while(self, each: impl FnMut());
}

impl JoinWhile for std::thread::JoinHandle<()> {
    fn join_while(self, mut each: impl FnMut()) {
        let end = Instant::now() + BOUND;
        while !self.is_finished() {
            assert!(Instant::now() < end, "the child is still waiting");
            each();
        }
        self.join().unwrap();
    }
}

#[test]
fn a_stuck_stdout_does_not_hold_up_stderr() {
    let mut bench = Bench::new(RAW);
    let (_, child) = bench.open("app", policy(WhenFull::Block));
    let writer = write_all(child, vec![b'\n'; 4_000_000]);
    while bench.turn() {}
    let source = Source::new("app".into(), InstanceId(0), None, Std::Err);
    let (_, fd) = bench.pump.open(source, &[Sink::Forward], &policy(WhenFull::Block), None).unwrap();
    File::from(fd).write_all(b"to stderr\n").unwrap();
    let mut seen = Vec::new();
    while seen != b"to stderr\n" {
        assert!(bench.turn(), "stderr is held up by stdout");
        seen.extend(available(&mut bench.stderr));
    }
    bench.until("the rest", |b| b.seen.len() == 4_000_000);
    writer.join().unwrap();
}

#[test]
fn a_closed_stdout_loses_lines_and_nothing_else() {
    let mut bench = Bench::new(RAW);
    let (id, mut child) = bench.open("app", policy(WhenFull::Block));
    let (reader, _) = pipe();
    drop(std::mem::replace(&mut bench.stdout, reader.into()));
    for _ in 0..3 {
        child.write_all(b"nobody hears\n").unwrap();
        assert!(bench.turn());
    }
    drop(child);
    bench.until("the end", |b| b.events == [Event::Closed(id)]);
}

#[test]
fn a_full_device_loses_lines_and_nothing_else() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut bench = Bench::new(RAW);
    bench.pump = bench.runtime.block_on(async {
        let stderr = full.try_clone().unwrap();
        Pump::to(full.into(), stderr.into(), RAW, clock()).unwrap()
    });
    let (id, mut child) = bench.open("app", policy(WhenFull::Block));
    child.write_all(b"one\ntwo").unwrap();
    drop(child);
    bench.until("the end", |b| b.events == [Event::Closed(id)]);
}

#[test]
fn the_flag_of_a_shared_descriptor_is_left_alone() {
    let (_read, write) = pipe();
    let shared = write.try_clone().unwrap();
    let mut bench = Bench::new(RAW);
    bench.pump =
        bench.runtime.block_on(async { Pump::to(write.try_clone().unwrap(), write, RAW, clock()).unwrap() });
    let (_, child) = bench.open("app", policy(WhenFull::Block));
    let writer = write_all(child, vec![b'\n'; 300_000]);
    while bench.turn() {}
    let flags = OFlag::from_bits_truncate(fcntl(&shared, FcntlArg::F_GETFL).unwrap());
    assert!(!flags.contains(OFlag::O_NONBLOCK));
    drop((bench, shared));
    let _ = writer.join();
}

#[test]
fn a_stream_outlives_the_process_it_was_made_for() {
    let mut bench = Bench::new(RAW);
    let (_, child) = bench.open("app", policy(WhenFull::Block));
    let mut grandchild = child.try_clone().unwrap();
    drop(child);
    grandchild.write_all(b"still here\n").unwrap();
    bench.until("its line", |b| b.text() == "still here\n");
    assert_eq!(bench.events, []);
}

#[test]
fn last_words_are_read_at_the_end() {
    let mut bench = Bench::new(PREFIX);
    let (_, mut app) = bench.open("app", policy(WhenFull::Block));
    let (_, mut web) = bench.open("web", policy(WhenFull::Block));
    app.write_all(b"bye\n").unwrap();
    web.write_all(b"good").unwrap();
    bench.pump.finish(BOUND);
    let mut text: Vec<_> = available(&mut bench.stdout);
    text.sort_unstable();
    let mut expected = b"app | bye\nweb | good\n".to_vec();
    expected.sort_unstable();
    assert_eq!(text, expected);
}

#[test]
fn a_stuck_reader_delays_the_end_no_longer_than_allowed() {
    let mut bench = Bench::new(RAW);
    let (_, child) = bench.open("app", policy(WhenFull::Block));
    let writer = write_all(child, vec![b'\n'; 4_000_000]);
    while bench.turn() {}
    let began = Instant::now();
    bench.pump.finish(Duration::from_millis(50));
    assert!(began.elapsed() < BOUND);
    // The kernel closes the pipe when the process ends; until then the writer may wait.
    drop((bench, writer));
}

#[test]
fn the_last_lines_of_an_instance_are_kept_also_those_still_in_its_pipe() {
    let mut bench = Bench::new(PREFIX);
    let (_, mut child) = bench.open("app", policy(WhenFull::Block));
    assert_eq!(bench.pump.last_lines(InstanceId(0), 20), []);
    child.write_all(b"one\ntwo\nthree\nunfinished").unwrap();
    let texts = |bench: &mut Bench| -> Vec<String> {
        let lines = bench.pump.last_lines(InstanceId(0), 2);
        lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
    };
    assert_eq!(texts(&mut bench), ["two", "three"]);
    drop(child);
    assert_eq!(texts(&mut bench), ["three", "unfinished"]);
    assert!(bench.pump.last_lines(InstanceId(0), 1)[0].shown);
    bench.pump.forget_lines(InstanceId(0));
    assert_eq!(bench.pump.last_lines(InstanceId(0), 20), []);
}

#[test]
fn a_follower_is_told_once_until_it_has_taken_everything() {
    let mut bench = Bench::new(RAW);
    let (_, mut child) = bench.open("app", policy(WhenFull::Block));
    let follower = bench.pump.follow(None);
    child.write_all(b"one\n").unwrap();
    bench.until("the first line", |b| b.text() == "one\n");
    child.write_all(b"two\n").unwrap();
    bench.until("the second line", |b| b.text() == "one\ntwo\n");
    assert_eq!(bench.events, [Event::Followed(follower)]);
    assert_eq!(bench.pump.take_followed(follower, 1 << 20).lines.len(), 2);
    child.write_all(b"three\n").unwrap();
    bench.until("the third line", |b| b.text().ends_with("three\n"));
    assert_eq!(bench.events, [Event::Followed(follower); 2]);
    bench.pump.unfollow(follower);
    assert!(bench.pump.take_followed(follower, 1).lines.is_empty());
}

#[test]
fn a_slot_is_used_again_and_an_old_name_means_nothing() {
    let mut bench = Bench::new(RAW);
    let (old, child) = bench.open("app", policy(WhenFull::Block));
    drop(child);
    bench.until("the end", |b| b.events == [Event::Closed(old)]);
    let (new, mut child) = bench.open("app", policy(WhenFull::Block));
    assert_ne!(old, new);
    bench.pump.forget(old);
    child.write_all(b"alive\n").unwrap();
    bench.until("its line", |b| b.text() == "alive\n");
    bench.pump.forget(new);
    assert!(child.write_all(b"x").is_err(), "nobody reads it any more");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn many_at_once_lose_nothing_and_are_never_mixed(
        streams in prop::collection::vec(prop::collection::vec(("[a-z ]{0,300}", 1usize..5000), 1..30), 1..8),
        is_prefixed: bool,
    ) {
        let mut bench = Bench::new(if is_prefixed { PREFIX } else { RAW });
        let mut expected: HashMap<String, Vec<String>> = HashMap::new();
        let mut writers = Vec::new();
        for (number, lines) in streams.iter().enumerate() {
            let name = format!("s{number}");
            let (_, mut child) = bench.open(&name, policy(WhenFull::Block));
            let lines: Vec<(String, usize)> = lines
                .iter()
                .enumerate()
                .map(|(at, (text, chunk))| (format!("<{name} {at} {text}>\n"), *chunk))
                .collect();
            expected.insert(name, lines.iter().map(|(text, _)| text.trim_end().to_owned()).collect());
            writers.push(std::thread::spawn(move || {
                for (text, chunk) in lines {
                    for part in text.as_bytes().chunks(chunk) {
                        child.write_all(part).unwrap();
                    }
                }
            }));
        }
        let count = streams.len();
        bench.until("all ends", |b| b.events.len() == count);
        let total: usize = expected.values().flatten().count();
        bench.until("all lines", |b| memchr::memchr_iter(b'\n', &b.seen).count() == total);
        let mut seen: HashMap<String, Vec<String>> = HashMap::new();
        for line in bench.text().lines() {
            let (name, line) = match line.split_once(" | ") {
                Some((name, line)) if is_prefixed => (name.to_owned(), line),
                _ => (line[1..].split(' ').next().unwrap().to_owned(), line),
            };
            seen.entry(name).or_default().push(line.to_owned());
        }
        prop_assert_eq!(seen, expected);
        for writer in writers {
            writer.join().unwrap();
        }
    }
}
