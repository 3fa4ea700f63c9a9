//! Sockets that minisup opens and holds: who is given them, and as what.

use crate::needs_namespaces;
use crate::stage::{Place, free_port, kill, supervise};
use crate::support::wait_until;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};

pub fn a_service_finds_its_sockets_and_is_told_which_they_are(place: Place) {
    let port = free_port();
    // Flags of an open file (proc(5)) are octal: 04000 is O_NONBLOCK.
    let script = r#"
        [ $LISTEN_PID = $$ ] && echo "$LISTEN_FDS $LISTEN_FDNAMES $0 $1"
        for fd in 3 4; do [ -S /proc/self/fd/$fd ] && echo "a socket at $fd"; done
        grep flags: /proc/self/fdinfo/3 /proc/self/fdinfo/4
        [ -e /proc/self/fd/5 ] || echo and no more
    "#;
    let config = format!(
        r#"
        [service.app]
        command = ['sh', '-c', '''{script}''', '${{socket.http}}', 'fd://${{socket.local}}']
        sockets = {{ http = "tcp://127.0.0.1:{port}", local = "unix://${{DIR}}/app.sock" }}
        restart = "never"

        [service.user]
        command = ['sh', '-c', '[ $LISTEN_PID = $$ ] && echo "as $(id -u): $LISTEN_FDS"']
        sockets = {{ more = "unix://${{DIR}}/more.sock?mode=0600&user=12345" }}
        user = "12345"
        restart = "never"
        "#
    );
    let mut run = supervise(place, &config).start();
    let mut lines: Vec<String> = (0..7).map(|_| run.heard("")).collect();
    lines.sort();
    let flags = |line: &String| u32::from_str_radix(line.split_whitespace().last().unwrap(), 8).unwrap();
    let (numbers, lines): (Vec<String>, Vec<String>) =
        lines.into_iter().partition(|line| line.contains("flags:"));
    assert!(numbers.iter().all(|line| flags(line) & libc::O_NONBLOCK as u32 == 0), "{numbers:?}");
    let expected = ["2 http:local 3 fd://4", "a socket at 3", "a socket at 4", "and no more", "as 12345: 1"];
    assert_eq!(lines, expected);
    run.ends_with(0);
}

#[test]
fn who_comes_while_a_service_is_launched_again_waits_instead_of_being_refused() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sh", "-c", "echo launched; read go < ${DIR}/gate; exec ${ACTOR} serve fd:${socket.app} ${DIR}/page"]
        sockets = { app = "unix://${DIR}/app.sock" }
        min_uptime = "0s"
    "#;
    let mut run = supervise(Place::Pid1, config).gate("gate").file("page", "hello").start();
    run.heard("launched");
    // It is not there yet.
    let mut early = UnixStream::connect(run.path("app.sock")).unwrap();
    early.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    run.open("gate");
    let mut answer = String::new();
    early.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("hello"), "{answer}");

    kill(run.process(&format!("{} serve", crate::stage::actor())).pid, libc::SIGKILL);
    run.heard("launched");
    let mut late = UnixStream::connect(run.path("app.sock")).unwrap();
    late.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    run.open("gate");
    answer.clear();
    late.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("hello"), "{answer}");
    let socket = run.path("app.sock");
    run.stops_with(0);
    assert!(!socket.exists(), "no file is left behind");
}

#[test]
fn a_socket_left_by_a_dead_one_is_replaced_with_the_right_mode_and_owner() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = "sleep 1001"
        sockets = { app = "unix://${DIR}/app.sock?mode=0660&user=12345&group=54321" }
    "#;
    let stage = supervise(Place::Pid1, config);
    let path = stage.folder().join("app.sock");
    drop(UnixListener::bind(&path).unwrap());
    let mut run = stage.start();
    run.said("all is up");
    let file = std::fs::metadata(&path).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!((file.mode() & 0o777, file.uid(), file.gid()), (0o660, 12345, 54321));
    UnixStream::connect(&path).unwrap();
    run.stops_with(0);
}

#[test]
fn an_address_in_use_ends_it_before_anything_starts_and_says_who_has_it() {
    needs_namespaces!();
    let theirs = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = theirs.local_addr().unwrap().port();
    let config = format!(
        r#"
        [service.app]
        command = "echo launched"
        sockets = {{ http = "tcp://127.0.0.1:{port}" }}
        "#
    );
    let run = supervise(Place::NotPid1, &config).start();
    let words = run.ends_with(1);
    let us = format!("(pid {})", std::process::id());
    assert!(
        words.contains(&format!("cannot listen at tcp://127.0.0.1:{port} (sockets.http of app)")),
        "{words}"
    );
    assert!(words.contains(&us), "{words}");
    assert!(!words.contains("started"), "{words}");
}

#[test]
fn a_privileged_port_is_opened_before_root_is_given_up() {
    needs_namespaces!();
    // All of 127.0.0.0/8 is ours; nobody else has this one.
    let address = SocketAddr::from((Ipv4Addr::new(127, 0, 77, 3), 80));
    let config = format!(
        r#"
        [supervisor]
        user = "12345"

        [service.app]
        command = "${{ACTOR}} serve fd:${{socket.http}} ${{DIR}}/page"
        sockets = {{ http = "tcp://{address}" }}
        "#
    );
    let mut run = supervise(Place::Pid1, &config).file("page", "hello").start();
    run.said("all is up");
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("hello"), "{answer}");
    run.stops_with(0);
}

#[test]
fn at_a_stop_the_listener_closes_when_its_service_is_asked_to_end() {
    needs_namespaces!();
    // A server that closes its own copy and then takes its time, as one that lets requests finish.
    let config = r#"
        [service.app]
        command = ["sh", "-c", "trap 'exec 3>&-; echo closed; read go < ${DIR}/gate; exit 0' TERM; echo up; while :; do sleep 0.05; done"]
        sockets = { app = "unix://${DIR}/app.sock" }
    "#;
    let mut run = supervise(Place::Pid1, config).gate("gate").start();
    run.heard("up");
    let path = run.path("app.sock");
    UnixStream::connect(&path).unwrap();
    run.signal(libc::SIGTERM);
    run.heard("closed");
    wait_until("nobody listens any more", || UnixStream::connect(&path).is_err());
    run.open("gate");
    run.ends_with(0);
}
