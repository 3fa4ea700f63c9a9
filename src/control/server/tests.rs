//! The server on a clock of the tests' own.

use super::*;
use crate::control::listen::Owner;
use std::cell::Cell;
use std::io::{Read, Write};
use std::path::PathBuf;

thread_local! {
    static NOW: Cell<Moment> = const { Cell::new(Moment::from_nanos(0)) };
}

fn pass(span: Duration) {
    NOW.set(NOW.get() + span);
}

/// A server on a clock of our own, and where it is.
struct Stage {
    server: Server,
    path: PathBuf,
}

impl Stage {
    fn new(name: &str) -> Stage {
        let path = std::env::temp_dir().join(format!("minisup-server-{}-{name}", std::process::id()));
        let listener = Listener::open(&path, Owner::default()).unwrap();
        let house =
            House { clock: || NOW.get(), dropped: |_| Event::default(), may_command: Box::new(|_| true) };
        Stage { server: Server::new(Some(listener), house).unwrap(), path }
    }

    fn client(&mut self) -> UnixStream {
        let client = UnixStream::connect(&self.path).unwrap();
        client.set_nonblocking(true).unwrap();
        self.turns();
        client
    }

    /// As many turns as it wants without anything happening.
    fn turns(&mut self) {
        self.server.turn();
        while self.server.has_more {
            self.server.turn();
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.server.finish(Duration::ZERO);
        assert!(!self.path.exists());
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// What has come so far; nothing if the other side has closed.
fn read(mut client: &UnixStream) -> Option<String> {
    let mut text = vec![0; 10_000];
    match client.read(&mut text) {
        Ok(0) => None,
        Ok(count) => Some(String::from_utf8(text[..count].to_vec()).unwrap()),
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            Some(String::new())
        }
    }
}

#[test]
fn who_is_silent_for_too_long_is_sent_away_and_who_waits_is_not() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let mut stage = Stage::new("silent");
    let (silent, mut half, mut waits) = (stage.client(), stage.client(), stage.client());
    waits.write_all(b"{\"version\":1,\"request\":\"events\"}\n").unwrap();
    pass(IDLE / 2);
    half.write_all(b"{").unwrap();
    stage.turns();
    pass(IDLE / 2);
    stage.turns();
    assert_eq!(read(&silent), None);
    assert_eq!(read(&half), Some(String::new()));
    pass(IDLE);
    stage.turns();
    assert_eq!(read(&half), None);
    assert_eq!(read(&waits), Some(String::new()));
    // Nobody is left who could be silent for too long: nothing wakes us.
    assert_eq!(stage.server.alarm, None);
}

#[test]
fn one_client_too_many_takes_the_place_of_the_one_that_was_idle_for_longest() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let mut stage = Stage::new("crowd");
    let mut crowd: Vec<UnixStream> = (0..CLIENTS_MAX).map(|_| stage.client()).collect();
    // All have just come.
    assert!(read(&stage.client()).unwrap().contains("busy"));
    pass(GREETING);
    crowd[0].write_all(b"{").unwrap();
    stage.turns();
    let new = stage.client();
    assert_eq!(read(&new), Some(String::new()));
    let gone: Vec<usize> = (0..CLIENTS_MAX).filter(|index| read(&crowd[*index]).is_none()).collect();
    assert_eq!(gone, [1]);
}

#[test]
fn a_client_that_hammers_has_one_request_a_turn() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let mut stage = Stage::new("hammer");
    let mut client = stage.client();
    client.write_all(&b"{\"version\":1,\"request\":\"health\"}\n".repeat(100)).unwrap();
    let mut other = stage.client();
    let mut heard = Vec::new();
    for _ in 0..2 {
        other.write_all(b"{\"version\":1,\"request\":\"health\"}\n").unwrap();
        stage.server.turn();
        while let Some(Heard::Asked(who, _)) = stage.server.poll_heard() {
            heard.push(who.index);
            stage.server.answer(who, &Reply::Done);
        }
    }
    heard.sort();
    assert!(heard.iter().filter(|index| **index == 0).count() <= 3, "{heard:?}");
    assert!(heard.contains(&1), "{heard:?}");
}
