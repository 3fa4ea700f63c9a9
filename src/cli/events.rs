//! `minisup events`: what happens, as it happens.

use super::ask::{self, Socket, Trouble};
use super::text::{self, Colour, Paint};
use crate::control::wire::{Event, Reply, Request};
use glob::Pattern;
use std::io;

/// `minisup events`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Only of these services, or globs ("web*"), and what concerns all
    #[arg(value_name = "NAME")]
    names: Vec<String>,
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
    // Nobody is to wait for events of a service that there is not.
    ask::status(&mut client, &args.names)?;
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
        if !is_chosen(&event, &args.names) {
            continue;
        }
        let line = match args.json {
            true => serde_json::to_string(&event).unwrap_or_default(),
            false => in_words(&event, paint),
        };
        if !super::put((line + "\n").as_bytes()) {
            break;
        }
    }
    Ok(0)
}

/// By its service, or as one of its instances; also those that come later, with an update.
fn is_chosen(event: &Event, names: &[String]) -> bool {
    let Some(service) = &event.service else { return true };
    let label = text::label(service, event.instance);
    let is_it = |name: &String| {
        let matches = |pattern: Pattern| pattern.matches(service);
        *name == *service || *name == label || name == "all" || Pattern::new(name).is_ok_and(matches)
    };
    names.is_empty() || names.iter().any(is_it)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_choose_services_instances_and_what_is_like_them() {
        let of = |service: &str, instance| Event {
            service: Some(service.to_owned()),
            instance,
            ..Event::default()
        };
        let chosen = |names: &[&str], event: &Event| {
            is_chosen(event, &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        let (web, second) = (of("web", None), of("worker", Some(1)));
        for names in [&[][..], &["web"], &["w*"], &["all"], &["x", "web"]] {
            assert!(chosen(names, &web), "{names:?}");
        }
        assert!(!chosen(&["worker"], &web) && !chosen(&["worker:0"], &second));
        assert!(chosen(&["worker"], &second) && chosen(&["worker:1"], &second));
        assert!(chosen(&["web"], &Event::default()), "it concerns all");
    }
}
