//! What somebody sees who sits before a terminal: the few control sequences that we use, obeyed.

use crate::stage::Run;
use crate::support::container::{Running, container};
use crate::support::{MINISUP, wait_readable};
use std::fs::File;
use std::io::{Read, Write};

/// A terminal of 100 columns and 30 rows with a client in it.
pub struct Screen {
    pub client: Running,
    master: File,
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
    rest: String,
    /// Whether any colour was used.
    pub is_coloured: bool,
}

impl Screen {
    /// A client before a terminal.
    pub fn of(run: &Run, words: &[&str], environment: &[(&str, &str)]) -> Screen {
        let size = nix::pty::Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = nix::pty::openpty(Some(&size), None).unwrap();
        for fd in [&pty.master, &pty.slave] {
            let close = nix::fcntl::FdFlag::FD_CLOEXEC;
            nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(close)).unwrap();
        }
        let words = [&[MINISUP], words].concat();
        let socket = run.path("socket");
        let mut client = container(&words).not_pid1().env("TERM", "xterm").env("NO_COLOR", "");
        client = client.env("MINISUP_SOCKET", socket.to_str().unwrap());
        for (name, value) in environment {
            client = client.env(name, value);
        }
        Screen {
            client: client.terminal(pty.slave).start(),
            master: File::from(pty.master),
            rows: vec![Vec::new()],
            row: 0,
            column: 0,
            rest: String::new(),
            is_coloured: false,
        }
    }

    /// Waits until it looks like this; returns all lines that are not empty.
    pub fn shows(&mut self, what: &str, is_so: impl Fn(&[String]) -> bool) -> Vec<String> {
        loop {
            let lines = self.lines();
            if is_so(&lines) {
                return lines;
            }
            assert!(self.read(), "the end, and never {what}: {lines:#?}");
        }
    }

    /// Types.
    pub fn keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// All that is seen when the client has ended.
    pub fn at_the_end(&mut self) -> Vec<String> {
        while self.read() {}
        self.lines()
    }

    fn lines(&self) -> Vec<String> {
        let lines = self.rows.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned());
        lines.filter(|line| !line.is_empty()).collect()
    }

    /// False at the end.
    fn read(&mut self) -> bool {
        wait_readable(&self.master);
        let mut bytes = [0; 4096];
        // A terminal whose other side is gone answers EIO.
        let Ok(count @ 1..) = self.master.read(&mut bytes) else { return false };
        self.rest += std::str::from_utf8(&bytes[..count]).expect("whole characters");
        let text = std::mem::take(&mut self.rest);
        let mut rest = text.as_str();
        while let Some(next) = rest.chars().next() {
            if next == '\x1b' {
                let Some(end) = rest[1..].find(|c: char| c.is_ascii_alphabetic()) else { break };
                self.obey(&rest[2..=end], rest.as_bytes()[end + 1]);
                rest = &rest[end + 2..];
                continue;
            }
            match next {
                '\n' => {
                    self.row += 1;
                    if self.row == self.rows.len() {
                        self.rows.push(Vec::new());
                    }
                }
                '\r' => self.column = 0,
                seen => {
                    assert!(self.column < 100, "a line is too wide: {:?}", self.rows[self.row]);
                    let row = &mut self.rows[self.row];
                    row.resize(row.len().max(self.column + 1), ' ');
                    row[self.column] = seen;
                    self.column += 1;
                }
            }
            rest = &rest[next.len_utf8()..];
        }
        self.rest = rest.to_owned();
        true
    }

    fn obey(&mut self, numbers: &str, letter: u8) {
        match letter {
            b'A' => self.row = self.row.checked_sub(numbers.parse().unwrap()).expect("above the screen"),
            b'J' => {
                self.rows.truncate(self.row + 1);
                self.rows[self.row].truncate(self.column);
            }
            b'm' => self.is_coloured = true,
            other => panic!("an unknown sequence: {numbers}{}", other as char),
        }
    }
}
