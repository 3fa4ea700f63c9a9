//! `minisup events`: what happens, as it happens.

use super::ask::{self, Socket, Trouble};
use super::text::{self, Colour, Paint};
use crate::control::wire::{Event, Reply, Request};
use std::io::{self, Write};

/// `minisup events`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The same for programs: one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
}

/// Follows, until the supervisor or the reader has gone.
pub fn run(args: Args) -> u8 {
    ask::ended(follow(&args))
}

fn follow(args: &Args) -> Result<u8, Trouble> {
    let mut client = args.socket.connect()?;
    client.ask(&Request::Events).map_err(|error| Trouble::lost(&error))?;
    let paint = Paint::on(&io::stdout());
    while super::reader_is_there(&client) {
        let event = match client.next(None) {
            Ok(Some(Reply::Event(event))) => event,
            Ok(Some(refused @ (Reply::Failed { .. } | Reply::Error { .. }))) => {
                return ask::granted(refused).map(|_| 0);
            }
            Ok(Some(other)) => return Err(Trouble::surprise(&other)),
            // The end of the container is what its followers wait for.
            Ok(None) => return Ok(0),
            Err(error) => return Err(Trouble::lost(&error)),
        };
        let line = match args.json {
            true => serde_json::to_string(&event).unwrap_or_default(),
            false => in_words(&event, paint),
        };
        if writeln!(io::stdout().lock(), "{line}").is_err() {
            break;
        }
    }
    Ok(0)
}

fn in_words(event: &Event, paint: Paint) -> String {
    let time = paint.text(Colour::Dim, &event.time);
    let colour = match event.to.as_deref() {
        Some("running" | "healthy" | "up") => Some(Colour::Good),
        Some("fatal" | "unhealthy" | "backoff" | "killing") => Some(Colour::Bad),
        _ => None,
    };
    let message = text::tame(&event.message);
    format!("{time} {}", colour.map_or(message.clone(), |colour| paint.text(colour, &message)))
}
