//! `minisup update`: the supervisor reads its configuration again; what changes is shown.

use super::ask::{self, Socket, Trouble};
use super::patience::Patience;
use super::say;
use super::text::{self, Colour, Paint};
use crate::config::values;
use crate::control::wire::{ChangeKind, ChangedKey, Reply, Request, Updated};
use std::io;
use std::time::Duration;

/// `minisup update`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit code: 0; 1 a service did not come up; 78 the configuration has errors, and nothing was changed.
HUP to PID 1 does the same.")]
pub struct Args {
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    /// The same for programs: one JSON object
    #[arg(long)]
    json: bool,
    /// Only ask for it
    #[arg(long, conflicts_with = "timeout")]
    no_wait: bool,
    /// Wait no longer than this, and fail; the update goes on
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    socket: Socket,
}

/// Asks for it, and shows the difference.
pub fn run(args: Args) -> u8 {
    ask::ended(update(&args))
}

fn update(args: &Args) -> Result<u8, Trouble> {
    let patience = Patience {
        socket: &args.socket,
        request: Request::Update { dry_run: args.dry_run, wait: !args.no_wait },
        begun: (!args.dry_run).then(|| "the update".to_owned()),
        names: &[],
        is_met: &|it| it.ready || !it.wanted,
        yet: "",
        timeout: args.timeout,
    };
    let updated = match patience.reply()? {
        Reply::Updated(updated) => updated,
        other => return Err(Trouble::surprise(&other)),
    };
    match args.json {
        true => say(&serde_json::to_string_pretty(&updated).unwrap_or_default()),
        false => say(&in_words(&updated, args.no_wait, Paint::on(&io::stdout())).join("\n")),
    }
    Ok(0)
}

fn in_words(updated: &Updated, only_asked: bool, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    let names = updated.services.iter().map(|changed| changed.service.chars().count());
    let width = names.max().unwrap_or(0);
    for changed in &updated.services {
        let (colour, word) = match changed.change {
            ChangeKind::Added => (Colour::Good, "added"),
            ChangeKind::Removed => (Colour::Bad, "removed"),
            ChangeKind::Replaced => (Colour::Busy, "replaced"),
            ChangeKind::InPlace => (Colour::Good, "changed in place"),
        };
        lines.push(format!("{:width$}  {}", changed.service, paint.text(colour, word)));
        lines.extend(changed.keys.iter().map(|key| in_line(key, paint)));
    }
    for key in &updated.other {
        let needs = if key.needs_restart { " (when minisup itself is started again)" } else { "" };
        lines.push(format!("{}{needs}", in_line(key, paint).trim_start()));
    }
    let count = |kind| updated.services.iter().filter(|changed| changed.change == kind).count();
    let counts: Vec<String> = [
        (ChangeKind::Added, "added"),
        (ChangeKind::Removed, "removed"),
        (ChangeKind::Replaced, "replaced"),
        (ChangeKind::InPlace, "changed in place"),
    ]
    .into_iter()
    .filter_map(|(kind, word)| Some(count(kind)).filter(|n| *n > 0).map(|n| format!("{n} {word}")))
    .collect();
    let verb = match (updated.dry_run, only_asked) {
        (true, _) => "would be updated",
        (false, true) => "update asked for",
        (false, false) => "updated",
    };
    lines.push(match (counts.is_empty(), updated.other.is_empty()) {
        (true, true) => "nothing has changed".to_owned(),
        (true, false) => format!("{verb}: no service"),
        (false, _) => format!("{verb}: {}", counts.join(", ")),
    });
    lines
}

fn in_line(key: &ChangedKey, paint: Paint) -> String {
    let or_none = |text: &str| if text.is_empty() { "(nothing)".to_owned() } else { text::tame(text) };
    let from = paint.text(Colour::Dim, &or_none(&key.from));
    format!("  {}: {from} -> {}", key.key, or_none(&key.to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::wire::Changed;

    fn key(name: &str, needs_restart: bool) -> ChangedKey {
        let text = |text: &str| text.to_owned();
        ChangedKey { key: text(name), from: text(""), to: text("\"b\""), needs_restart }
    }

    #[test]
    fn each_service_is_shown_with_its_keys_and_all_are_counted() {
        let changed = |service: &str, change, keys| Changed { service: service.to_owned(), change, keys };
        let updated = Updated {
            dry_run: true,
            services: vec![
                changed("web", ChangeKind::Replaced, vec![key("command", true)]),
                changed("cache", ChangeKind::Added, vec![]),
            ],
            other: vec![key("supervisor.log_format", true)],
        };
        assert_eq!(
            in_words(&updated, false, Paint::PLAIN),
            [
                "web    replaced",
                "  command: (nothing) -> \"b\"",
                "cache  added",
                "supervisor.log_format: (nothing) -> \"b\" (when minisup itself is started again)",
                "would be updated: 1 added, 1 replaced",
            ]
        );
    }

    #[test]
    fn no_difference_is_said() {
        let updated = Updated { dry_run: false, services: vec![], other: vec![] };
        for only_asked in [false, true] {
            assert_eq!(in_words(&updated, only_asked, Paint::PLAIN), ["nothing has changed"]);
        }
    }
}
