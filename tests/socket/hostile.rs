//! Clients that do not behave. Each costs its connection, and nobody else anything.

use crate::needs_namespaces;
use crate::person::{Person, kind, names};
use crate::stage::{Place, Run, supervise};
use crate::support::wait_until;
use minisup::control::server::CLIENTS_MAX;
use minisup::control::wire::{self, ErrorKind, REQUEST_MAX, Reply, Request};

const ONE: &str = "[service.app]\ncommand = ['sleep', '1001']";

fn one() -> Run {
    let mut run = supervise(Place::Pid1, ONE).start();
    run.said("all is up");
    run
}

fn open_files(run: &Run) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", run.pid())).unwrap().count()
}

/// Kilobytes of memory that minisup has of its own: what is read of the program comes on top.
fn memory(run: &Run) -> u64 {
    run.field("RssAnon").trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn who_sends_half_a_line_and_stays_disturbs_nobody() {
    needs_namespaces!();
    let run = one();
    let line = wire::line(&Request::Health);
    let (first, second) = line.split_at(line.len() / 2);
    let mut halves: Vec<Person> = (0..10).map(|_| Person::of(&run)).collect();
    for person in &mut halves {
        person.write(first).unwrap();
    }
    let mut other = Person::of(&run);
    for _ in 0..100 {
        assert_eq!(other.status().instances.len(), 1);
    }
    for person in &mut halves {
        person.write(second).unwrap();
        assert!(matches!(person.next(), Some(Reply::Health(_))));
    }
    run.stops_with(0);
}

#[test]
fn a_hundred_megabytes_without_a_newline_are_not_read() {
    needs_namespaces!();
    let run = one();
    let before = memory(&run);
    let mut person = Person::of(&run);
    let mut other = Person::of(&run);
    let mut written = 0;
    let chunk = vec![b'x'; 64 * 1024];
    while written < 100_000_000 && person.write(&chunk).is_ok() {
        written += chunk.len();
        assert_eq!(other.status().instances.len(), 1);
    }
    // What the kernel keeps for a socket comes on top of what a request may be.
    assert!(written < 1_000_000, "{written}");
    assert_eq!(kind(person.next()), ErrorKind::BadRequest);
    person.is_sent_away();
    assert!(memory(&run) < before + 1024, "from {before} to {} kB", memory(&run));
    run.stops_with(0);
}

#[test]
fn the_longest_request_is_taken_and_a_longer_one_is_not() {
    needs_namespaces!();
    let run = one();
    let padded = |length: usize| {
        let mut line = wire::line(&Request::Health);
        line.pop();
        line.resize(length - 1, b' ');
        line.push(b'\n');
        line
    };
    let mut person = Person::of(&run);
    person.write(&padded(REQUEST_MAX)).unwrap();
    assert!(matches!(person.next(), Some(Reply::Health(_))));
    let _ = person.write(&padded(REQUEST_MAX + 1));
    assert_eq!(kind(person.next()), ErrorKind::BadRequest);
    person.is_sent_away();
    run.stops_with(0);
}

#[test]
fn who_closes_at_once_leaves_nothing_behind() {
    needs_namespaces!();
    let run = one();
    let mut other = Person::of(&run);
    other.status();
    let before = open_files(&run);
    for number in 0..1000 {
        let mut person = Person::of(&run);
        match number % 4 {
            0 => {}
            1 => drop(person.write(b"{\"version\":1,\"requ")),
            2 => person.ask(&Request::Events),
            _ => person.ask(&Request::Wait { names: names(&["app:stopped"]) }),
        }
    }
    wait_until("all are closed here, too", || {
        other.status();
        open_files(&run) == before
    });
    run.stops_with(0);
}

#[test]
fn who_never_reads_misses_events_and_is_told_how_many() {
    needs_namespaces!();
    let mut config = String::new();
    for number in 0..40 {
        config += &format!("[service.s{number}]\ncommand = ['sleep', '1001']\n");
    }
    let mut run = supervise(Place::Pid1, &config).start();
    run.said("all is up");
    let mut deaf = Person::of(&run);
    deaf.follow();
    let mut attentive = Person::of(&run);
    attentive.follow();
    let counting = std::thread::spawn(move || {
        let mut count = 0u64;
        while let Some(Reply::Event(event)) = attentive.next() {
            assert_ne!(event.event, "dropped", "{event:?}");
            count += 1;
            if event.event == "state"
                && event.to.as_deref() == Some("stopping")
                && event.service.as_deref() == Some("s39")
            {
                // The last stop, after which nobody starts again.
                if count > 4000 {
                    break;
                }
            }
        }
        count
    });
    let before = memory(&run);
    let mut other = Person::of(&run);
    for _ in 0..30 {
        assert_eq!(other.get(&Request::Restart { names: names(&["all"]), wait: true }), Reply::Done);
    }
    assert!(memory(&run) < before + 1024, "from {before} to {} kB", memory(&run));
    assert_eq!(other.get(&Request::Stop { names: names(&["all"]), wait: true }), Reply::Done);
    let attended = counting.join().unwrap();
    // Now it reads: what had been kept for it, and then how much had not.
    let (mut seen, mut dropped) = (0u64, None);
    while dropped.is_none() {
        let event = deaf.event();
        match event.event.as_str() {
            "dropped" => dropped = event.message.split(' ').next().unwrap().parse::<u64>().ok(),
            _ => seen += 1,
        }
    }
    assert!(seen > 500, "{seen}");
    assert!(seen + dropped.unwrap() >= attended, "{seen} + {dropped:?}, of {attended} and more");
    // And follows again.
    other.ask(&Request::Start { names: names(&["s7"]), wait: true });
    assert_eq!(deaf.event().service.as_deref(), Some("s7"));
    run.stops_with(0);
}

#[test]
fn who_reads_no_answers_is_asked_to_wait_and_costs_little() {
    needs_namespaces!();
    let run = one();
    let before = memory(&run);
    let person = Person::of(&run);
    let mut writer = person.stream.get_ref();
    person.stream.get_ref().set_nonblocking(true).unwrap();
    let line = wire::line(&Request::Status { names: Vec::new() });
    let mut other = Person::of(&run);
    // As much as the kernel takes, again and again.
    let mut refused = 0;
    while refused < 200 {
        match std::io::Write::write(&mut writer, &line) {
            Ok(_) => refused = 0,
            Err(_) => {
                refused += 1;
                other.status();
            }
        }
    }
    assert!(memory(&run) < before + 1024, "from {before} to {} kB", memory(&run));
    run.stops_with(0);
}

#[test]
fn what_is_no_request_is_answered_with_what_is_wrong() {
    needs_namespaces!();
    let run = one();
    let mut person = Person::of(&run);
    for (line, wrong) in [
        (&b"hello"[..], ErrorKind::BadRequest),
        (b"", ErrorKind::BadRequest),
        (b"\xff\xfe\x00", ErrorKind::BadRequest),
        (b"[1]", ErrorKind::BadRequest),
        (br#"{"request":"health"}"#, ErrorKind::BadVersion),
        (br#"{"version":2,"request":"health"}"#, ErrorKind::BadVersion),
        (br#"{"version":1,"request":"dance"}"#, ErrorKind::BadRequest),
        (br#"{"version":1,"request":"health","really":true}"#, ErrorKind::BadRequest),
        (br#"{"version":1,"request":"signal","names":["app"],"signal":"SIGHUPP"}"#, ErrorKind::BadRequest),
        (br#"{"version":1,"request":"wait","names":["app:redy"]}"#, ErrorKind::BadRequest),
        (br#"{"version":1,"request":"stop","names":["app:0"]}"#, ErrorKind::BadRequest),
    ] {
        person.write(&[line, b"\n"].concat()).unwrap();
        assert_eq!(kind(person.next()), wrong, "{}", String::from_utf8_lossy(line));
    }
    // Deep enough to end whoever calls himself for each level.
    let deep = [b"[".repeat(60_000), b"\n".to_vec()].concat();
    person.write(&deep).unwrap();
    assert_eq!(kind(person.next()), ErrorKind::BadRequest);
    assert_eq!(person.status().instances.len(), 1);
    run.stops_with(0);
}

#[test]
fn one_client_too_many_is_told_so_while_the_others_wait() {
    needs_namespaces!();
    let run = one();
    let mut waiting: Vec<Person> = (0..CLIENTS_MAX).map(|_| Person::of(&run)).collect();
    for person in &mut waiting {
        person.follow();
    }
    let mut last = Person::of(&run);
    assert_eq!(kind(last.next()), ErrorKind::Busy);
    last.is_sent_away();
    waiting.pop();
    wait_until("there is room again", || {
        let mut person = Person::of(&run);
        // Who is one too many may be sent away before it has asked.
        person.write(&wire::line(&Request::Health)).is_ok() && matches!(person.next(), Some(Reply::Health(_)))
    });
    run.stops_with(0);
}

#[test]
fn without_a_free_descriptor_nobody_is_let_in_and_the_others_stay() {
    needs_namespaces!();
    let mut run = supervise(Place::Pid1, ONE).after("ulimit -n 40").start();
    run.said("all is up");
    let mut first = Person::of(&run);
    first.status();
    let crowd: Vec<Person> = (0..60).map(|_| Person::of(&run)).collect();
    for _ in 0..100 {
        assert_eq!(first.status().instances.len(), 1);
    }
    drop(crowd);
    // Whoever waits at the door is let in when there is room.
    assert_eq!(Person::of(&run).status().instances.len(), 1);
    run.stops_with(0);
}
