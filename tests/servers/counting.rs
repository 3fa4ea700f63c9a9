//! The asker of the soak counts what happens, and tells apart what is a failure and what is not.

use crate::asker::{Counts, Order, ask};
use std::io::{BufRead, BufReader, Read, Write, empty, sink};
use std::net::{TcpListener, TcpStream};

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// One client asks this server for so many answers; the server is given each connection and its number.
fn asked(requests: usize, serve: impl Fn(usize, Requests) + Send + 'static) -> Counts {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let order = Order {
        address: listener.local_addr().unwrap(),
        path: "/".into(),
        connections: 1,
        requests,
        shares: 2,
        is_fresh: false,
    };
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            serve(number, Requests(BufReader::new(stream.unwrap())));
        }
    });
    let mut shares = Vec::new();
    let counts = ask(&order, BufReader::new(empty()), &mut shares);
    // It may hear that nothing more is done when it has enough already.
    assert!(counts.answered >= requests, "{counts:?}");
    let shares = String::from_utf8(shares).unwrap();
    assert!(shares.starts_with(&format!("answered {}\nanswered {requests}\n", requests / 2)), "{shares}");
    counts
}

/// A connection as a server sees it.
struct Requests(BufReader<TcpStream>);

impl Requests {
    /// Waits for the next request; false if there is none.
    fn next(&mut self) -> bool {
        let mut line = String::new();
        while self.0.read_line(&mut line).unwrap_or(0) > 0 && line.trim_end() != "" {
            line.clear();
        }
        line == "\r\n"
    }

    fn answer(&mut self, text: &str) {
        let _ = self.0.get_mut().write_all(text.as_bytes());
    }

    /// Sends the end of the stream, and waits until the client has it: no reset comes instead.
    fn end(mut self) {
        let _ = self.0.get_mut().shutdown(std::net::Shutdown::Write);
        let _ = std::io::copy(&mut self.0.by_ref(), &mut sink());
    }
}

#[test]
fn a_server_that_keeps_its_connection_is_asked_on_it_alone() {
    let counts = asked(10, |number, mut requests| {
        assert_eq!(number, 0);
        while requests.next() {
            requests.answer(ANSWER);
        }
    });
    assert_eq!((counts.failed, counts.closed), (0, 0));
}

#[test]
fn a_connection_that_served_and_is_closed_without_a_byte_is_a_close_and_no_failure() {
    let counts = asked(4, |_, mut requests| {
        if requests.next() {
            requests.answer(ANSWER);
        }
        // It takes the next one, and goes.
        if requests.next() {
            requests.end();
        }
    });
    assert_eq!((counts.failed, counts.closed, counts.most_closed), (0, 3, 3));
}

#[test]
fn a_new_connection_that_is_closed_without_a_byte_is_a_failure() {
    let counts = asked(2, |number, mut requests| {
        while requests.next() {
            if number < 3 {
                return requests.end();
            }
            requests.answer(ANSWER);
        }
    });
    assert_eq!((counts.failed, counts.closed), (3, 0), "{counts:?}");
}

#[test]
fn a_second_close_after_the_first_is_a_failure() {
    let counts = asked(2, |number, mut requests| {
        // The first serves once and goes, the second goes at once, the third serves.
        let serves = [1, 0, usize::MAX][number];
        for _ in 0..serves {
            if !requests.next() {
                return;
            }
            requests.answer(ANSWER);
        }
        requests.next();
        requests.end();
    });
    assert_eq!((counts.failed, counts.closed), (1, 1), "{counts:?}");
}

#[test]
fn half_an_answer_and_another_status_are_failures() {
    let counts = asked(2, |number, mut requests| {
        while requests.next() {
            match number {
                0 => {
                    requests.answer(&ANSWER[..ANSWER.len() - 1]);
                    return requests.end();
                }
                1 => requests.answer("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
                _ => requests.answer(ANSWER),
            }
        }
    });
    assert_eq!((counts.failed, counts.closed), (2, 0), "{counts:?}");
    assert!(counts.failures[0].contains("bytes, then"), "{counts:?}");
    assert!(counts.failures[1].contains("status 502"), "{counts:?}");
}

#[test]
fn an_answer_that_announces_the_end_of_the_connection_is_no_close() {
    let counts = asked(4, |_, mut requests| {
        assert!(requests.next());
        requests.answer(&ANSWER.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
        requests.end();
    });
    assert_eq!((counts.failed, counts.closed), (0, 0), "{counts:?}");
}
