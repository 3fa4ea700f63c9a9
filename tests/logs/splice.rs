//! What is moved without a look at it: every byte arrives, no line is mixed with another's, and
//! what must be known of it is known.
//!
//! Most of these drive the pump itself, so that what is in a pipe when it is looked at is
//! no matter of chance. How much was read, and so not moved unseen, the kernel counts
//! (`rchar` of proc_pid_io(5); splice(2) is not in it).

use super::stage::{LONG, Minisup, pipe};
use minisup::core::ids::InstanceId;
use minisup::core::plan::{LogPolicy, Sink, WhenFull};
use minisup::log::{Clock, Event, Look, Pump, Source, Std, StreamId};
use minisup::sys::{clock, fd};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use regex_lite::Regex;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

const MIB: usize = 1 << 20;
const POLICY: LogPolicy =
    LogPolicy { prefix: false, timestamps: false, max_line: 64 << 10, when_full: WhenFull::Block };

/// A pump that splices, with stdout and stderr at one pipe.
struct Bench {
    runtime: tokio::runtime::Runtime,
    pump: Pump,
    ended: usize,
    /// The stream that was opened last.
    last: Option<StreamId>,
    reader: Option<File>,
    /// What has come out so far.
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Bench {
    fn new() -> Bench {
        let (reader, to) = pipe();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let clock = Clock { now: clock::now, wall: clock::wall };
        let stderr = to.try_clone().unwrap();
        let pump = runtime
            .block_on(async { Pump::to(to, stderr, Look::PLAIN, clock) })
            .unwrap()
            .splicing(fd::pending);
        Bench { runtime, pump, ended: 0, last: None, reader: Some(reader), seen: Arc::default() }
    }

    fn open(&mut self, slot: u32, policy: LogPolicy) -> File {
        let source = Source::new(format!("s{slot}").into(), InstanceId(slot), None, Std::Out);
        let (id, fd) = self.pump.open(source, &[Sink::Forward], &policy, None).unwrap();
        self.last = Some(id);
        fd.into()
    }

    /// A stream that has been busy before, so that its pipe is large, and empty.
    fn open_busy(&mut self, slot: u32, policy: LogPolicy) -> File {
        let mut child = self.open(slot, policy);
        child.write_all(&[&[b'-'; 60_000], b"\n".as_slice()].concat()).unwrap();
        while fd::pending(child.as_fd()) > 0 {
            self.turn();
        }
        assert_eq!(fcntl(&child, FcntlArg::F_GETPIPE_SZ), Ok(MIB as i32));
        child
    }

    /// Reads what comes out from now on in a thread, up to the end.
    fn read(&mut self) -> JoinHandle<Vec<u8>> {
        let mut reader = self.reader.take().unwrap();
        let seen = Arc::clone(&self.seen);
        thread::spawn(move || {
            let mut buffer = [0; 64 << 10];
            while let count @ 1.. = reader.read(&mut buffer).unwrap() {
                seen.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
            std::mem::take(&mut *seen.lock().unwrap())
        })
    }

    /// One turn of the loop, or false if nothing came for a while.
    fn turn(&mut self) -> bool {
        let pump = &mut self.pump;
        let wait = tokio::time::Duration::from_millis(5);
        let is_ready =
            self.runtime.block_on(async { tokio::time::timeout(wait, pump.ready()).await.is_ok() });
        if is_ready {
            pump.turn();
        }
        self.ended += std::iter::from_fn(|| self.pump.poll_event())
            .filter(|event| matches!(event, Event::Closed(_)))
            .count();
        is_ready
    }

    fn turn_until(&mut self, what: &str, holds: impl Fn(&Bench) -> bool) {
        let end = Instant::now() + LONG;
        while !holds(self) {
            assert!(Instant::now() < end, "still not: {what}");
            self.turn();
        }
    }

    /// Until so many streams have ended, and then until all has come out.
    fn end(mut self, streams: usize, reader: JoinHandle<Vec<u8>>) -> Vec<u8> {
        self.turn_until("the end of all streams", |bench| bench.ended == streams);
        self.pump.finish(LONG);
        drop(self.pump);
        reader.join().unwrap()
    }
}

/// How many bytes this thread has read so far.
fn bytes_read() -> usize {
    read_count("/proc/thread-self/io").unwrap()
}

fn read_count(path: &str) -> Option<usize> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix("rchar: "))?.parse().ok()
}

/// About so many bytes in numbered lines: most of them short, some as long as a line may be.
fn lines(name: char, bytes: usize) -> Vec<u8> {
    let mut all = Vec::with_capacity(bytes + MIB);
    for number in 0.. {
        let fill = match number % 97 {
            13 => 65_000,
            40 => 4096,
            other => other * 3,
        };
        writeln!(all, "{name}{number} {}", "x".repeat(fill)).unwrap();
        if all.len() >= bytes {
            break;
        }
    }
    all
}

fn write_all(mut to: File, bytes: Vec<u8>) -> JoinHandle<()> {
    thread::spawn(move || to.write_all(&bytes).unwrap())
}

/// The lines of one writer; each line must be of one of these, from its first byte on.
fn of(name: char, others: &str, seen: &[u8]) -> Vec<u8> {
    let is_its = |line: &&[u8]| {
        let first = char::from(line[0]);
        assert!(first == name || others.contains(first), "torn: {}", String::from_utf8_lossy(line));
        first == name
    };
    seen.split_inclusive(|byte| *byte == b'\n').filter(is_its).collect::<Vec<_>>().concat()
}

#[test]
fn of_a_full_pipe_only_the_end_is_read() {
    let mut bench = Bench::new();
    let mut child = bench.open_busy(0, POLICY);
    let reader = bench.read();
    let written = &lines('a', MIB)[..MIB];
    child.write_all(written).unwrap();
    let before = bytes_read();
    while fd::pending(child.as_fd()) > 0 {
        bench.turn();
    }
    let read = bytes_read() - before;
    assert!(read < MIB / 8, "{read} bytes were read of {MIB}");
    drop(child);
    let seen = bench.end(1, reader);
    let expected = [written, b"\n".as_slice()].concat();
    assert!(seen.len() == 60_001 + expected.len() && seen.ends_with(&expected));
}

#[test]
fn whatever_needs_a_look_is_read() {
    for what in ["a follower", "max_line", "a watched line"] {
        let mut bench = Bench::new();
        let max_line = if what == "max_line" { 60_000 } else { POLICY.max_line };
        let child = bench.open_busy(0, LogPolicy { max_line, ..POLICY });
        match what {
            "a follower" => drop(bench.pump.follow(None)),
            "a watched line" => bench.pump.watch(bench.last.unwrap(), Regex::new("never").unwrap()),
            _ => {}
        }
        let reader = bench.read();
        let written = lines('a', 4 * MIB);
        let before = bytes_read();
        let writer = write_all(child, written.clone());
        bench.turn_until("the end", |bench| bench.ended == 1);
        assert!(bytes_read() - before >= written.len(), "{what}");
        writer.join().unwrap();
        let seen = bench.end(1, reader);
        assert!(what == "max_line" || seen.ends_with(&written), "{what}");
    }
}

#[test]
fn a_storm_arrives_byte_by_byte_while_others_write_whole_lines() {
    let mut bench = Bench::new();
    let reader = bench.read();
    let written = ['a', 'b'].map(|name| lines(name, 48 * MIB));
    let before = bytes_read();
    let writers = [0, 1].map(|i| write_all(bench.open(i as u32, POLICY), written[i].clone()));
    let mut rare = bench.open(2, POLICY);
    let slow = thread::spawn(move || {
        let mut all = Vec::new();
        for number in 0..300 {
            // In two pieces: its line is open while the others write.
            let line = format!("c{number} {}\n", "y".repeat(500));
            let (start, rest) = line.split_at(line.len() / 2);
            rare.write_all(start.as_bytes()).unwrap();
            let end = Instant::now() + LONG;
            while fd::pending(rare.as_fd()) > 0 {
                assert!(Instant::now() < end, "nobody takes the half of a line");
                thread::yield_now();
            }
            rare.write_all(rest.as_bytes()).unwrap();
            all.extend_from_slice(line.as_bytes());
        }
        all
    });
    bench.turn_until("the end of all streams", |bench| bench.ended == 3);
    let read = bytes_read() - before;
    let seen = bench.end(3, reader);
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert!(of('a', "bc", &seen) == written[0]);
    assert!(of('b', "ac", &seen) == written[1]);
    assert!(of('c', "ab", &seen) == slow.join().unwrap());
    assert!(read < seen.len(), "nothing was moved unseen");
}

#[test]
fn the_last_lines_are_those_that_were_written_last() {
    let mut bench = Bench::new();
    let mut child = bench.open_busy(0, POLICY);
    let reader = bench.read();
    let mut written = lines('a', 3 * MIB);
    written.extend((0..3000).flat_map(|n| format!("a{n} at the end\n").into_bytes()));
    written.extend_from_slice(b"a last, without newline");
    // It dies in the midst of it all: its pipe is as full as can be.
    for part in written.chunks(MIB) {
        child.write_all(part).unwrap();
        while fd::pending(child.as_fd()) > 0 && part.len() == MIB {
            bench.turn();
            let texts: Vec<_> =
                bench.pump.last_lines(InstanceId(0), 1000).into_iter().map(|line| line.text).collect();
            let mut kept = texts.join(&b'\n');
            kept.push(b'\n');
            let is_there = memchr::memmem::find(&written, &kept).is_some();
            assert!(is_there || kept.starts_with(b"---"), "a seam: {}", String::from_utf8_lossy(&kept));
        }
    }
    drop(child);
    bench.turn_until("the end", |bench| bench.ended == 1);
    let last = bench.pump.last_lines(InstanceId(0), 1000);
    let texts: Vec<_> = last.iter().map(|line| &*line.text).collect();
    assert!(texts.len() > 20 && written.ends_with(&texts.join(&b'\n')), "{} lines", texts.len());
    assert!(last.iter().all(|line| line.shown));
    let seen = bench.end(1, reader);
    assert!(seen.ends_with(&[&written, b"\n".as_slice()].concat()));
}

#[test]
fn a_follower_who_joins_a_storm_gets_whole_lines_without_a_gap() {
    let mut bench = Bench::new();
    let reader = bench.read();
    let written = lines('a', 32 * MIB);
    let writer = write_all(bench.open(0, POLICY), written.clone());
    let mut joined = 0;
    while bench.ended == 0 {
        bench.turn();
        let follower = bench.pump.follow(None);
        bench.turn();
        let lines = bench.pump.take_followed(follower, usize::MAX).lines;
        bench.pump.unfollow(follower);
        if lines.is_empty() {
            continue;
        }
        let numbers = lines.iter().map(|line| {
            let text = String::from_utf8_lossy(&line.text);
            text[1..].split(' ').next().unwrap().parse::<usize>().expect("the start of a line")
        });
        let numbers: Vec<_> = numbers.collect();
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
        joined += 1;
    }
    assert!(joined > 0);
    let seen = bench.end(1, reader);
    writer.join().unwrap();
    assert!(seen == written);
}

#[test]
fn a_stuck_reader_loses_nothing_and_a_count_of_dropped_lines_is_exact() {
    for when_full in [WhenFull::Block, WhenFull::Drop] {
        let mut bench = Bench::new();
        let child = bench.open_busy(0, LogPolicy { when_full, ..POLICY });
        let text: Vec<u8> = (0..400_000).flat_map(|n| format!("a line {n}\n").into_bytes()).collect();
        let mut more = child.try_clone().unwrap();
        let writer = write_all(child, text.clone());
        // Nobody reads.
        let reader = match when_full {
            WhenFull::Block => {
                while bench.turn() {}
                assert!(!writer.is_finished(), "more than 6 MB do not fit into two pipes and a queue");
                bench.read()
            }
            WhenFull::Drop => {
                bench.turn_until("all that was written is read", |_| writer.is_finished());
                let reader = bench.read();
                let is_told = |seen: &[u8]| memchr::memmem::find(seen, b"lines dropped\n").is_some();
                bench.turn_until("the count", |bench| is_told(&bench.seen.lock().unwrap()));
                reader
            }
        };
        let ending = thread::spawn(move || {
            writer.join().unwrap();
            more.write_all(b"a end\n").unwrap();
        });
        let seen = bench.end(1, reader);
        ending.join().unwrap();
        let seen = String::from_utf8(seen).unwrap();
        let (mut arrived, mut dropped) = (0, 0);
        for line in seen.lines().skip(1) {
            match line.strip_prefix("minisup: s0: ").and_then(|text| text.split(' ').next()) {
                Some(count) => dropped += count.parse::<usize>().unwrap(),
                None => {
                    assert!(line.starts_with("a "), "{line}");
                    arrived += 1;
                }
            }
        }
        assert_eq!(arrived + dropped, 400_001, "{when_full:?}");
        assert_eq!(dropped > 0, when_full == WhenFull::Drop, "{when_full:?}: {dropped}");
        if when_full == WhenFull::Block {
            assert!(seen.as_bytes()[60_001..] == [&text, b"a end\n".as_slice()].concat());
        }
    }
}

#[test]
fn a_line_without_end_and_a_pipe_of_packets_are_never_mixed_with_others() {
    const MARK: &str = " [line continues]\n";
    for is_packets in [false, true] {
        let mut bench = Bench::new();
        let child = bench.open_busy(0, POLICY);
        let reader = bench.read();
        let length = if is_packets { MIB } else { 24 * MIB };
        if is_packets {
            // pipe(2): each read takes one packet, a page at most, and loses what it has no room for.
            fcntl(&child, FcntlArg::F_SETFL(OFlag::O_DIRECT)).unwrap();
        }
        let writer = write_all(child, vec![b'a'; length]);
        while is_packets && !writer.is_finished() {
            thread::yield_now();
        }
        let mut other = bench.open(1, POLICY);
        let mut count = 0;
        while bench.ended == 0 {
            bench.turn();
            if count < 1000 {
                writeln!(other, "b{count}").unwrap();
                count += 1;
            }
        }
        drop(other);
        let seen = String::from_utf8(bench.end(2, reader)).unwrap();
        writer.join().unwrap();
        let (mut bytes, mut next) = (0, 0);
        for line in seen.split_inclusive('\n').skip(1) {
            if line.starts_with('b') {
                assert_eq!(line, format!("b{next}\n"));
                next += 1;
            } else {
                let text = line.strip_suffix(MARK).unwrap_or(line).trim_end_matches('\n');
                assert!(text.bytes().all(|byte| byte == b'a'), "mixed: {line:.100}");
                bytes += text.len();
            }
        }
        assert_eq!((bytes, next), (length, count), "packets: {is_packets}");
    }
}

#[test]
fn pid_1_moves_a_storm_unseen_through_restarts_and_says_its_own_lines_between() {
    let file = std::env::temp_dir().join(format!("minisup-splice-{}.toml", std::process::id()));
    let configuration = "
        [supervisor]
        log_level = 'debug'
        [service.storm]
        command = ['sh', '-c', 'seq 1 3000000; kill -9 $$']
        backoff = { initial = '1ms', max = '1ms' }
        max_failures = 3
        essential = true
        [service.talk]
        command = ['sh', '-c', 'while echo talk; do sleep 0.001; done']
    ";
    fs::write(&file, configuration).unwrap();
    let (mut stdout, to) = pipe();
    let program = env!("CARGO_BIN_EXE_minisup");
    let script = format!("exec {program} --config {} 2>&1", file.to_str().unwrap());
    let mut minisup = Minisup::run_by(&["sh", "-c", &script], to);
    let io = format!("/proc/{}/io", minisup.pid());
    let (mut seen, mut buffer, mut read) = (Vec::new(), vec![0; MIB], 0);
    while let count @ 1.. = stdout.read(&mut buffer).unwrap() {
        seen.extend_from_slice(&buffer[..count]);
        // While it is there.
        read = read_count(&io).unwrap_or(read);
    }
    assert_ne!(minisup.exit_code(), 0);
    fs::remove_file(&file).unwrap();
    let (mut next, mut runs, mut said, mut talked) = (1, 0, 0, 0);
    for line in String::from_utf8(seen.clone()).unwrap().lines() {
        if line.starts_with("minisup: ") {
            said += 1;
        } else if line == "talk" {
            talked += 1;
        } else {
            assert_eq!(line.parse(), Ok(next), "torn or lost: {line:.200}");
            next += 1;
            if next > 3_000_000 {
                (next, runs) = (1, runs + 1);
            }
        }
    }
    assert!(next == 1 && runs >= 3 && said > runs && talked > 0, "{next} {runs} {said} {talked}");
    assert!(
        (1..seen.len()).contains(&read),
        "{read} bytes were read of {}: nothing was moved unseen",
        seen.len()
    );
}
