//! Pipes, sockets and terminals whose reader does not come.

use super::*;
use nix::fcntl::{OFlag, open};
use nix::sys::epoll::EpollCreateFlags;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use nix::unistd::pipe2;
use std::fs::File;
use std::io::{Read, Write};

fn output(fd: OwnedFd) -> Output {
    let epoll = Arc::new(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap());
    Output::new("stdout", fd, epoll, 0)
}

fn read_now(from: &mut File, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    from.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_pipe_that_may_not_be_reopened_never_makes_us_wait() {
    let (reader, to) = pipe2(OFlag::O_CLOEXEC).unwrap();
    let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
    let mut reader = File::from(reader);
    let mut output = output(to.try_clone().unwrap());
    output.way = Way::Splice { to, read, write, inside: 0 };
    let mut expected = Vec::new();
    for number in 0..200_000 {
        let line = format!("line {number}\n");
        expected.extend_from_slice(line.as_bytes());
        output.write(line.as_bytes(), b"");
    }
    assert!(output.is_waiting(), "2.4 MB do not fit into two pipes");
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while seen.len() < expected.len() {
        let count = reader.read(&mut buffer).unwrap();
        seen.extend_from_slice(&buffer[..count]);
        output.drain();
    }
    assert!(seen == expected);
    assert!(!output.is_waiting() && output.take_notices().is_empty());
    drop(reader);
    output.write(b"", b"one\n");
    output.write(b"", b"two\n");
    assert_eq!(output.take_notices(), [Notice::Failing(Errno::EPIPE)]);
}

#[test]
fn a_reader_that_comes_back_is_told_what_it_missed() {
    let directory = std::env::temp_dir().join(format!("minisup-fifo-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("fifo");
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    let open_reader = || {
        let how = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        File::from(open(&path, how, Mode::empty()).unwrap())
    };
    let mut reader = open_reader();
    let mut output = output(File::options().write(true).open(&path).unwrap().into());
    output.write(b"", b"one\n");
    assert_eq!(read_now(&mut reader, 4), b"one\n");
    drop(reader);
    output.write(b"", b"two\nthree\n");
    output.write(b"fo", b"ur\n");
    let mut reader = open_reader();
    output.write(b"", b"five\n");
    assert_eq!(read_now(&mut reader, 5), b"five\n");
    assert_eq!(output.take_notices(), [Notice::Failing(Errno::EPIPE), Notice::Working(3)]);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn our_own_messages_are_counted_when_even_their_reserve_is_full() {
    let (reader, to) = pipe2(OFlag::O_CLOEXEC).unwrap();
    let mut reader = File::from(reader);
    let mut output = output(to);
    let line = [b'x'; 1023].iter().chain(b"\n").copied().collect::<Vec<u8>>();
    for _ in 0..1024 + 256 + 64 + 5 {
        output.write_own(&line);
    }
    let mut seen = 0;
    while output.is_waiting() {
        seen += read_now(&mut reader, 4096).len();
        output.drain();
    }
    assert_eq!(output.take_notices(), [Notice::OwnDropped(5)]);
    assert_eq!(seen, (256 + 64) * 1024, "what was queued; the pipe itself holds the rest");
}

#[test]
fn a_line_torn_by_a_failure_is_ended_before_the_next() {
    let (reader, to) = pipe2(OFlag::O_CLOEXEC).unwrap();
    let mut reader = File::from(reader);
    let mut output = output(to);
    output.write(b"", b"half a li");
    output.is_torn = true;
    output.write(b"", b"whole\n");
    assert_eq!(read_now(&mut reader, 16), b"half a li\nwhole\n");
}

#[test]
fn what_is_passed_on_unseen_never_waits_and_its_last_line_is_ended() {
    let (from, mut child) = pipe2(OFlag::O_CLOEXEC).map(|(r, w)| (r, File::from(w))).unwrap();
    let (reader, to) = pipe2(OFlag::O_CLOEXEC).unwrap();
    let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
    let mut reader = File::from(reader);
    let mut output = output(to.try_clone().unwrap());
    // The one way to a pipe that stays blocking.
    output.way = Way::Splice { to, read, write, inside: 0 };
    let size = output.pipe_size();
    let mut passed = 0;
    while passed < size {
        child.write_all(&[b'x'; 65536]).unwrap();
        assert_eq!(output.pass(&from, 65536), 65536);
        passed += 65536;
    }
    child.write_all(b"x").unwrap();
    assert_eq!(output.pass(&from, 1), 0, "it is full");
    output.tear();
    output.write(b"", b"whole\n");
    assert!(read_now(&mut reader, size).iter().all(|byte| *byte == b'x'));
    assert!(output.drain());
    assert_eq!(read_now(&mut reader, 7), b"\nwhole\n");
}

#[test]
fn where_pages_are_not_taken_they_stay_where_they_are() {
    let (from, mut child) = pipe2(OFlag::O_CLOEXEC).map(|(r, w)| (r, File::from(w))).unwrap();
    child.write_all(b"still here").unwrap();
    let (reader, to) = pipe2(OFlag::O_CLOEXEC).unwrap();
    let mut output = output(to);
    assert!(output.takes_pages());
    drop(reader);
    assert_eq!(output.pass(&from, 10), 0);
    let null = File::options().write(true).open("/dev/null").unwrap();
    assert!(!self::output(null.into()).takes_pages());
    assert_eq!(read_now(&mut from.into(), 10), b"still here");
}

#[test]
fn a_socket_is_not_waited_for() {
    let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut output = output(writer.into());
    for _ in 0..1000 {
        output.write(&[b'x'; 1023], b"\n");
    }
    assert!(output.is_waiting());
    let mut reader = File::from(OwnedFd::from(reader));
    let mut seen = 0;
    while output.is_waiting() {
        seen += read_now(&mut reader, 1024).len();
        output.drain();
    }
    seen += read_now(&mut reader, 1_024_000 - seen).len();
    assert_eq!(seen, 1_024_000);
}

#[test]
fn a_terminal_that_is_stopped_is_not_waited_for() {
    let ends = nix::pty::openpty(None, None).unwrap();
    let mut master = File::from(ends.master);
    let mut output = output(ends.slave);
    let mut count = 0;
    while !output.is_waiting() {
        output.write(&[b'x'; 99], b"\n");
        count += 1;
        assert!(count < 100_000, "nobody reads the terminal");
    }
    let mut seen = 0;
    while output.is_waiting() {
        let mut buffer = [0; 4096];
        seen += master.read(&mut buffer).unwrap();
        output.drain();
    }
    assert!(seen > 0 && output.take_notices().is_empty());
}
