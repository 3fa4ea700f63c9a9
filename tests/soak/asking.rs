//! Clients that ask without end: restarts by the ten thousand, and every other request in
//! between. SOAK_RESTARTS (20,000) and SOAK_REQUESTS (100,000) say how many.

use crate::needs_namespaces;
use crate::stage::{Held, Stage, ask, number, status};
use crate::support::container::Running;
use crate::support::{LONG, loudly, wait_until};
use minisup::control::client::Client;
use minisup::control::wire::{Reply, Request};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const SERVICES: &str = r#"
[supervisor]
control_socket = "FOLDER/minisup.sock"
log_level      = "error"

[defaults]
command = ["sh", "-c", "echo here I am; exec sleep 1000000"]

[service.a]
[service.b]
[service.c]
[service.d]
[service.e]
requires = ["a"]
"#;

/// Each client restarts one of these: nobody requires them, so that every restart is one launch.
const RESTARTED: [&str; 4] = ["b", "c", "d", "e"];

/// After so many requests a client connects anew.
const PER_CONNECTION: u64 = 500;

#[test]
#[ignore = "takes minutes: make soak"]
fn after_restarts_and_requests_without_end_nothing_is_left_over() {
    needs_namespaces!();
    let (restarts, requests) = (number("SOAK_RESTARTS", 20_000), number("SOAK_REQUESTS", 100_000));
    let stage = Stage::new("asking", SERVICES);
    let mut running = stage.run();
    for stream in [running.stdout.owner(), running.stderr.owner()] {
        std::thread::spawn(move || std::io::copy(&mut std::fs::File::from(stream), &mut std::io::sink()));
    }
    let all = Request::Wait { names: vec!["all:ready".into()] };
    assert_eq!(ask(&mut stage.client(), &all), Reply::Done);

    let began = Instant::now();
    let share = |of: u64| of / 4 / RESTARTED.len() as u64;
    let early = round(&stage, &running, share(restarts), share(requests));
    let mut late = early;
    for _ in 1..4 {
        late = round(&stage, &running, share(restarts), share(requests));
    }
    let now = status(&mut stage.client());
    loudly(&format!("soak: {requests} requests, {restarts} of them restarts, in {:?}", began.elapsed()));
    loudly(&format!("soak: after a quarter {early:?}, after all {late:?}"));
    let restarted: u64 = now.instances.iter().map(|one| u64::from(one.restarts)).sum();
    assert_eq!(restarted, share(restarts) * 4 * RESTARTED.len() as u64, "each restart is one launch");
    assert!(now.instances.iter().all(|one| one.ready && one.failures == 0), "{now:?}");
    assert_eq!((early.zombies, late.zombies), (0, 0));
    assert_eq!(late.descriptors, early.descriptors, "descriptors leak");
    assert!(late.memory <= early.memory + 128, "memory leaks (kB): {early:?}, {late:?}");
    running.signal(15);
    assert_eq!(running.wait(), 0, "an asked stop");
}

/// All clients at once, each with its share; what is held when they have gone.
fn round(stage: &Stage, running: &Running, restarts: u64, requests: u64) -> Held {
    std::thread::scope(|scope| {
        for name in RESTARTED {
            scope.spawn(move || work(stage, name, restarts, requests));
        }
    });
    // What the last ones opened is closed in the next turns; the daemon that left is reaped.
    let mut held = Held::by(running);
    let end = Instant::now() + LONG;
    loop {
        std::thread::park_timeout(Duration::from_millis(100));
        let now = Held::by(running);
        if now.descriptors == held.descriptors && now.zombies == 0 {
            return now;
        }
        assert!(Instant::now() < end, "it does not come to rest: {held:?}, {now:?}");
        held = now;
    }
}

/// One client: a restart, then what else one may ask, over and over.
fn work(stage: &Stage, name: &str, restarts: u64, requests: u64) {
    let mut client = stage.client();
    let mut restarted = 0;
    for number in 0..requests {
        if number % PER_CONNECTION == PER_CONNECTION - 1 {
            misbehave(stage);
            client = stage.client();
        }
        // Evenly among the others.
        if restarted * requests < number * restarts || restarts - restarted == requests - number {
            let restart = Request::Restart { names: vec![name.into()], wait: true };
            assert_eq!(ask(&mut client, &restart), Reply::Done, "restart {restarted} of {name}");
            restarted += 1;
        } else {
            inquire(&mut client, name, number);
        }
    }
    assert_eq!(restarted, restarts);
}

/// A request that changes nothing, and whether its answer is one.
fn inquire(client: &mut Client, name: &str, number: u64) {
    let names = vec![name.to_owned()];
    match number % 5 {
        0 => assert_eq!(status(client).instances.len(), 5),
        1 => match ask(client, &Request::Status { names }) {
            Reply::Status(status) => assert_eq!(status.instances[0].service, name),
            other => panic!("{other:?}"),
        },
        2 => assert!(matches!(ask(client, &Request::Health), Reply::Health(_))),
        3 => {
            client.ask(&Request::Logs { names, lines: Some(3), follow: false, last_launch: false }).unwrap();
            let mut lines = 0;
            while let Reply::Log(line) = client.next(Some(LONG)).unwrap().expect("a reply") {
                assert_eq!(line.message, "here I am");
                lines += 1;
            }
            assert!(lines <= 3);
        }
        _ => {
            let unknown = Request::Stop { names: vec!["nobody".into()], wait: true };
            assert!(matches!(ask(client, &unknown), Reply::Error { .. }));
        }
    }
}

/// Three clients as they should not be: gone at once, gone in the middle of a line, gone
/// without having read the answer.
fn misbehave(stage: &Stage) {
    for said in [&b""[..], b"{\"version\":1,\"requ", b"{\"version\":1,\"request\":\"status\"}\n"] {
        let mut connected = None;
        wait_until("a connection", || {
            connected = UnixStream::connect(stage.socket()).ok();
            connected.is_some()
        });
        let _ = connected.unwrap().write_all(said);
    }
}
