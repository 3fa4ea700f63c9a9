//! `minisup logs`: what services have written, as far as the supervisor remembers it.

use super::ask::{self, Socket, Trouble};
use super::complain;
use super::text::{self, Colour, Paint};
use crate::control::wire::{LogLine, Reply, Request, Status};
use crate::core::sorted::Set;
use std::io;

/// `minisup logs`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Names of services, or globs ("web*"); all if there is none
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Go on with whatever comes
    #[arg(short, long)]
    follow: bool,
    /// The last COUNT lines of each only; without it, all that are remembered
    #[arg(short = 'n', long = "lines", value_name = "COUNT")]
    lines: Option<u32>,
    /// When each line was read, before it
    #[arg(short, long)]
    timestamps: bool,
    /// The same for programs: one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
}

/// How lines look.
struct Look {
    timestamps: bool,
    json: bool,
    /// The labels, in the order of the configuration; fewer than two: no labels are shown.
    labels: Vec<String>,
    width: usize,
    paint: Paint,
}

/// Shows them. With `follow`, until the supervisor or the reader has gone.
pub fn run(args: Args) -> u8 {
    ask::ended(show(&args))
}

fn show(args: &Args) -> Result<u8, Trouble> {
    let mut client = args.socket.connect()?;
    let status = ask::status(&mut client, &args.names)?;
    let mut look = Look::of(args, &status, Paint::on(&io::stdout()));
    let (names, lines, follow) = (args.names.clone(), args.lines, args.follow);
    let request = Request::Logs { names, lines, follow, last_launch: false };
    client.ask(&request).map_err(|error| Trouble::lost(&error))?;
    let mut shown = 0_u64;
    while super::reader_is_there(&client) {
        let line = match client.next(None) {
            Ok(Some(Reply::Log(line))) => {
                shown += 1;
                look.line(&line)
            }
            Ok(Some(Reply::Done)) => {
                if shown == 0 && !args.json && args.lines != Some(0) {
                    complain(nothing(&status));
                }
                return Ok(0);
            }
            Ok(Some(Reply::Event(event))) => format!("minisup: {}\n", text::tame(&event.message)),
            Ok(Some(refused @ (Reply::Failed { .. } | Reply::Error { .. }))) => {
                return ask::granted(refused).map(|_| 0);
            }
            Ok(Some(other)) => return Err(Trouble::surprise(&other)),
            // The end of the container is the end of its log.
            Ok(None) if args.follow => return Ok(0),
            Ok(None) => return Err(Trouble::gone()),
            Err(error) => return Err(Trouble::lost(&error)),
        };
        if !super::put(line.as_bytes()) {
            break;
        }
    }
    Ok(0)
}

/// What to say where there is nothing to show: on stderr, for it is no line of a service.
fn nothing(status: &Status) -> String {
    let services = Set::from_iter(status.instances.iter().map(|it| it.service.as_str()));
    let who = match services.len() {
        1 => format!("{} has written nothing", services.into_iter().collect::<String>()),
        _ => "none of them has written anything".to_owned(),
    };
    format!("minisup: {who} that is remembered (\"inherit\" and \"null\" pass minisup by)")
}

impl Look {
    fn of(args: &Args, status: &Status, paint: Paint) -> Look {
        let labels: Vec<String> =
            status.instances.iter().map(|it| text::label(&it.service, it.instance)).collect();
        let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
        Look { timestamps: args.timestamps, json: args.json, labels, width, paint }
    }

    /// The line with its newline.
    fn line(&mut self, line: &LogLine) -> String {
        if self.json {
            return serde_json::to_string(line).unwrap_or_default() + "\n";
        }
        let time = match self.timestamps {
            true => self.paint.text(Colour::Dim, &line.time) + " ",
            false => String::new(),
        };
        if self.labels.len() < 2 {
            return format!("{time}{}\n", line.message);
        }
        let label = text::label(&line.service, line.instance);
        let number = self.labels.iter().position(|known| *known == label).unwrap_or_else(|| {
            // It came with an update.
            self.width = self.width.max(label.chars().count());
            self.labels.push(label.clone());
            self.labels.len() - 1
        });
        let width = self.width;
        let before = self.paint.text(Colour::Label(number), &format!("{label:width$} |"));
        format!("{time}{before} {}\n", line.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(labels: &[&str]) -> Look {
        let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        Look { timestamps: false, json: false, width: 6, labels, paint: Paint::PLAIN }
    }

    fn said(service: &str) -> LogLine {
        let text = |text: &str| text.to_owned();
        LogLine {
            time: text("2026-01-31T23:59:59.999Z"),
            service: text(service),
            instance: None,
            stream: text("stdout"),
            message: text("hello"),
            continues: false,
        }
    }

    #[test]
    fn one_service_is_shown_as_it_wrote() {
        assert_eq!(look(&["web"]).line(&said("web")), "hello\n");
    }

    #[test]
    fn of_several_each_line_says_whose_it_is() {
        let mut look = look(&["web", "worker"]);
        assert_eq!(look.line(&said("web")), "web    | hello\n");
        look.timestamps = true;
        assert_eq!(look.line(&said("worker")), "2026-01-31T23:59:59.999Z worker | hello\n");
    }

    #[test]
    fn who_came_with_an_update_has_a_label_too() {
        let mut look = look(&["web", "worker"]);
        assert_eq!(look.line(&said("latecomer")), "latecomer | hello\n");
        assert_eq!(look.line(&said("web")), "web       | hello\n");
    }
}
