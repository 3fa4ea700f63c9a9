//! `minisup probe`: asks a server one question and says what it got, in one line.
//!
//! The supervisor launches it for `ready` and `health`; in a shell it waits for nothing and
//! needs no curl: `until minisup probe tcp --address db:5432; do sleep 1; done`.

use crate::config::values;
use crate::core::exit::code;
use crate::core::probe::Statuses;
use crate::probe::address::Address;
use crate::probe::{NoAnswer, TimeLimit, http, uwsgi};
use clap::{Args as ClapArgs, Subcommand};
use std::io::{self, Write};
use std::time::Duration;

/// `minisup probe`.
#[derive(ClapArgs, Debug)]
pub struct Args {
    #[command(subcommand)]
    question: Question,
}

#[derive(Subcommand, Debug)]
enum Question {
    /// An HTTP GET is answered with a good status
    Http {
        #[command(flatten)]
        to: To,
        #[command(flatten)]
        get: Get,
        /// Which answers are good
        #[arg(long, value_name = "CODE[-CODE][,...]", default_value = "200-399")]
        status: Statuses,
    },
    /// A GET in uWSGI's own protocol is answered with a good status
    Uwsgi {
        #[command(flatten)]
        to: To,
        #[command(flatten)]
        get: Get,
        /// Which answers are good: by default all but "the application failed"
        #[arg(long, value_name = "CODE[-CODE][,...]", default_value = "100-499")]
        status: Statuses,
    },
    /// A TCP connection is accepted
    Tcp {
        #[command(flatten)]
        to: To,
    },
    /// A connection to a unix socket is accepted
    Unix {
        #[command(flatten)]
        to: To,
    },
}

#[derive(ClapArgs, Debug)]
struct To {
    /// HOST:PORT, or unix:/path
    #[arg(long, value_name = "ADDRESS")]
    address: Address,
    /// How long everything may take
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = values::duration)]
    timeout: Duration,
}

#[derive(ClapArgs, Debug)]
struct Get {
    /// What the Host header says; by default the host of the address
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// The path, with the query
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = path)]
    path: String,
}

/// Asks and prints. Returns 0 for a good answer, 1 for any other and for none.
pub fn run(args: Args) -> u8 {
    let (line, exit_code) = match ask(&args.question) {
        Ok(line) => (line, 0),
        Err(why) => (why.to_string(), code::FAILED),
    };
    // A reader who has gone has the exit code.
    let _ = writeln!(io::stdout().lock(), "{line}");
    exit_code
}

fn ask(question: &Question) -> Result<String, NoAnswer> {
    match question {
        Question::Http { to, get, status } => {
            let answer = http::get(&to.address, &get.host(&to.address), &get.path, to.limit())?;
            http::within(answer, |code| status.contain(code)).map(|status| status.to_string())
        }
        Question::Uwsgi { to, get, status } => {
            let answer = uwsgi::get(&to.address, &get.host(&to.address), &get.path, to.limit())?;
            http::within(answer, |code| status.contain(code)).map(|status| status.to_string())
        }
        Question::Tcp { to } | Question::Unix { to } => {
            to.address.connect(to.limit()).map(|_| "connected".to_owned())
        }
    }
}

impl To {
    fn limit(&self) -> TimeLimit {
        TimeLimit::of(self.timeout)
    }
}

impl Get {
    fn host(&self, address: &Address) -> String {
        match (&self.host, address) {
            (Some(host), _) => host.clone(),
            (None, Address::Tcp(host, 80)) => host.clone(),
            (None, Address::Tcp(host, port)) if host.contains(':') => format!("[{host}]:{port}"),
            (None, Address::Tcp(host, port)) => format!("{host}:{port}"),
            (None, Address::Unix(_)) => "localhost".to_owned(),
        }
    }
}

fn path(text: &str) -> Result<String, String> {
    match text.starts_with('/') && !text.contains(|c: char| c.is_control() || c == ' ') {
        true => Ok(text.to_owned()),
        false => Err("a path begins with / and has neither spaces nor control characters".to_owned()),
    }
}
