//! `minisup status`: how the services are, once or for as long as somebody looks.

use super::ask::{self, Socket, Trouble};
use super::patience::{drain, wait};
use super::text::{self, Colour, Paint, Redrawn, Table};
use crate::control::client::Client;
use crate::control::wire::{Instance, Request, Status};
use crate::sys::fd;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// `minisup status`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit code: 0; 3 if a named service is not running (a oneshot that is done counts as running).")]
pub struct Args {
    /// Names of services, or globs ("web*"); all if there is none
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The same for programs: one JSON object
    #[arg(long)]
    json: bool,
    /// Show every change: on a terminal in one place, else one table (or, with --json, one line) after the other
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    socket: Socket,
}

/// A named service is not running: what LSB says of a program that is not running.
const NOT_RUNNING: u8 = 3;

/// On a terminal uptime and memory are shown anew after this time.
const BETWEEN_TWO: Duration = Duration::from_secs(1);
/// However much happens, nobody reads faster.
const AT_LEAST: Duration = Duration::from_millis(100);

/// Shows it.
pub fn run(args: Args) -> u8 {
    ask::ended(if args.watch { watch(&args) } else { once(&args) })
}

fn once(args: &Args) -> Result<u8, Trouble> {
    let status = ask::status(&mut args.socket.connect()?, &args.names)?;
    let stdout = io::stdout();
    let text = match args.json {
        true => serde_json::to_string_pretty(&status).unwrap_or_default() + "\n",
        false => {
            let width = fd::is_terminal(&stdout).then(|| text::window(&stdout).0);
            let mut text = lines(&status, Paint::on(&stdout), width).join("\n");
            text += "\n";
            text
        }
    };
    super::put(text.as_bytes());
    let is_running = |it: &Instance| it.pid.is_some() || text::is_done(it);
    let all_run = args.names.is_empty() || status.instances.iter().all(is_running);
    Ok(if all_run { 0 } else { NOT_RUNNING })
}

/// What is shown when something has happened: events say when, `status` says what.
fn watch(args: &Args) -> Result<u8, Trouble> {
    let mut events = args.socket.connect()?;
    events.ask(&Request::Events).map_err(|error| Trouble::lost(&error))?;
    let mut client = args.socket.connect()?;
    let mut drawn = Redrawn::default();
    let mut last = String::new();
    let is_terminal = fd::is_terminal(&io::stdout()) && !args.json;
    loop {
        let status = ask::status(&mut client, &args.names)?;
        let text = match is_terminal {
            true => drawn.draw(&for_window(&status)),
            false => when_changed(&status, args.json, &mut last),
        };
        if !super::put(text.as_bytes()) {
            return Ok(0);
        }
        wait(&[], Some(AT_LEAST));
        if !happened(&mut events, is_terminal.then_some(BETWEEN_TWO)) {
            return Err(Trouble::gone());
        }
    }
}

/// Waits for the next event, or so long. Whether there may be more.
fn happened(events: &mut Client, within: Option<Duration>) -> bool {
    loop {
        if !events.has_next() && wait(&[Some(events.as_fd())], within) == 0 {
            return true;
        }
        match drain(events) {
            Some(replies) if replies.is_empty() => {}
            Some(_) => return true,
            None => return false,
        }
    }
}

/// The table as far as there is room: the cursor stands below it.
fn for_window(status: &Status) -> Vec<String> {
    let stdout = io::stdout();
    let (columns, rows) = text::window(&stdout);
    let mut all = blocks(status, Paint::on(&stdout), Some(columns));
    let room = rows.saturating_sub(1).max(2);
    if all.iter().map(Vec::len).sum::<usize>() > room {
        let mut used = 0;
        let fitting = all.iter().take_while(|block| {
            used += block.len();
            used < room
        });
        let fitting = fitting.count();
        let hidden = all.len() - fitting;
        all.truncate(fitting);
        all.push(vec![format!("and {hidden} more")]);
    }
    all.concat()
}

/// The text if it is another than the last, apart from what changes by itself.
fn when_changed(status: &Status, json: bool, last: &mut String) -> String {
    let mut lasting = status.clone();
    lasting.uptime = 0.0;
    for it in &mut lasting.instances {
        (it.uptime, it.memory, it.retry_in) = (None, None, None);
    }
    let key = serde_json::to_string(&lasting).unwrap_or_default();
    if key == *last {
        return String::new();
    }
    let gap = if last.is_empty() { "" } else { "\n" };
    *last = key;
    match json {
        true => serde_json::to_string(status).unwrap_or_default() + "\n",
        false => format!("{gap}{}\n", lines(status, Paint::PLAIN, None).join("\n")),
    }
}

/// The table, with a last line if the supervisor is not simply up.
fn lines(status: &Status, paint: Paint, width: Option<usize>) -> Vec<String> {
    blocks(status, paint, width).concat()
}

const HEADS: [&str; 9] = ["NAME", "STATE", "READY", "PID", "UPTIME", "RESTARTS", "MEMORY", "LAST", "REASON"];
const REASON: usize = 8;
/// Columns of numbers.
const NUMBERS: [usize; 4] = [3, 4, 5, 6];
/// What can be done without where a window is narrow, in this order.
const SPARE: [usize; 4] = [6, 4, 5, 3];

/// The lines that belong together: the head, each instance, what the supervisor is about. Where there is
/// no room for the reasons beside the rest, which is the more important the less well somebody is, each stands below its row.
fn blocks(status: &Status, paint: Paint, width: Option<usize>) -> Vec<Vec<String>> {
    let rows: Vec<_> = status.instances.iter().map(row).collect();
    let fits = |columns: &[usize]| width.is_none_or(|width| table(&rows, columns).width() <= width);
    // The last column is there only where there is something to say.
    let says_why = rows.iter().any(|row| !row[REASON].0.is_empty());
    let mut columns: Vec<usize> = (0..HEADS.len() - usize::from(!says_why)).collect();
    let below = says_why && !fits(&columns);
    columns.truncate(REASON + usize::from(says_why && !below));
    for spare in SPARE {
        if !fits(&columns) {
            columns.retain(|column| *column != spare);
        }
    }
    let right: Vec<usize> = (0..columns.len()).filter(|at| NUMBERS.contains(&columns[*at])).collect();
    let lines = table(&rows, &columns).lines(paint, &right, width);
    let mut blocks: Vec<Vec<String>> = lines.into_iter().map(|line| vec![line]).collect();
    for (block, row) in
        blocks.iter_mut().skip(1).zip(&rows).filter(|(_, row)| below && !row[REASON].0.is_empty())
    {
        let line = format!("    {}", row[REASON].0);
        block.push(text::cut(&line, width.unwrap_or(usize::MAX)));
    }
    match status.phase.as_str() {
        "up" => {}
        "boot" => blocks.push(vec!["minisup is starting".to_owned()]),
        phase => blocks.push(vec![format!("minisup is {}", text::tame(phase))]),
    }
    blocks
}

/// With these columns.
fn table(rows: &[Vec<(String, Option<Colour>)>], columns: &[usize]) -> Table {
    let mut table = Table::default();
    table.row(columns.iter().map(|column| (HEADS[*column].to_owned(), Some(Colour::Head))).collect());
    rows.iter().for_each(|row| table.row(columns.iter().map(|column| row[*column].clone()).collect()));
    table
}

fn row(it: &Instance) -> Vec<(String, Option<Colour>)> {
    let is_done = text::is_done(it);
    let ready = match (it.healthy, it.ready) {
        (Some(false), _) if it.pid.is_some() => ("unhealthy", Some(Colour::Bad)),
        (Some(true), true) => ("healthy", Some(Colour::Good)),
        _ if is_done => ("done", Some(Colour::Good)),
        (_, true) => ("ready", Some(Colour::Good)),
        (_, false) => ("-", Some(Colour::Dim)),
    };
    let colour = match it.state.as_str() {
        "running" => Some(Colour::Good),
        "exited" if is_done => Some(Colour::Good),
        "fatal" | "backoff" => Some(Colour::Bad),
        "exited" if it.last.as_deref() != Some("exit code 0") => Some(Colour::Bad),
        "stopped" | "exited" => Some(Colour::Dim),
        _ => Some(Colour::Busy),
    };
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let reason = it.reason.as_deref().filter(|reason| Some(*reason) != it.last.as_deref());
    // Who is not ready yet may have been given this as the reason.
    let said = it.said.as_deref().filter(|said| !reason.is_some_and(|reason| reason.ends_with(said)));
    let next = it.next_run.as_deref().map(|at| format!("next run {}", minute(at)));
    let again =
        it.retry_in.map(|after| format!("failure {}, again in {}", it.failures, text::seconds(after)));
    let words = [reason, said, again.as_deref(), next.as_deref()];
    vec![
        (text::label(&it.service, it.instance), None),
        (text::tame(&it.state), colour),
        (ready.0.to_owned(), ready.1),
        (or_none(it.pid.map(|pid| pid.to_string())), None),
        (or_none(it.uptime.map(text::seconds)), None),
        (it.restarts.to_string(), (it.restarts > 0).then_some(Colour::Busy)),
        (or_none(it.memory.map(text::size)), None),
        (or_none(it.last.as_deref().map(text::tame)), None),
        (words.into_iter().flatten().map(text::tame).collect::<Vec<_>>().join("; "), None),
    ]
}

/// A moment of the wire as people write it, to the minute: schedules know no seconds.
fn minute(at: &str) -> String {
    match (at.get(..10), at.get(11..16)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => at.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(service: &str, state: &str) -> Instance {
        Instance {
            service: service.to_owned(),
            instance: None,
            state: state.to_owned(),
            kind: "longrun".to_owned(),
            wanted: true,
            ready: state == "running",
            healthy: None,
            essential: true,
            pid: (state == "running").then_some(12),
            uptime: (state == "running").then_some(192.0),
            restarts: 0,
            failures: 0,
            last: None,
            reason: None,
            said: None,
            retry_in: None,
            next_run: None,
            memory: (state == "running").then_some(41_000_000),
        }
    }

    fn status(instances: Vec<Instance>) -> Status {
        let phase = "up".to_owned();
        Status { phase, pid: 1, version: "0".to_owned(), uptime: 200.0, instances }
    }

    #[test]
    fn the_table_has_everything_in_its_column() {
        let mut done = instance("migrate", "exited");
        done.kind = "oneshot".to_owned();
        done.ready = true;
        done.last = Some("exit code 0".to_owned());
        let mut failing = instance("worker", "backoff");
        failing.restarts = 4;
        failing.last = Some("killed by KILL".to_owned());
        failing.reason = Some("again in 3 s\n\x1b[2J".to_owned());
        let shown = lines(&status(vec![instance("web", "running"), done, failing]), Paint::PLAIN, None);
        assert_eq!(
            shown,
            [
                "NAME     STATE    READY  PID    UPTIME  RESTARTS  MEMORY  LAST            REASON",
                "web      running  ready   12  3 m 12 s         0   41 MB  -",
                "migrate  exited   done     -         -         0       -  exit code 0",
                "worker   backoff  -        -         -         4       -  killed by KILL  again in 3 s  [2J",
            ]
        );
    }

    #[test]
    fn what_runs_by_a_schedule_says_when() {
        let mut backup = instance("backup", "exited");
        backup.last = Some("exit code 3".to_owned());
        backup.reason = backup.last.clone();
        backup.next_run = Some("2026-11-28T03:30:00.000Z".to_owned());
        let shown = lines(&status(vec![backup]), Paint::PLAIN, None);
        assert!(shown[1].ends_with("exit code 3  next run 2026-11-28 03:30 UTC"), "{shown:?}");
    }

    #[test]
    fn who_is_tried_again_says_when() {
        let mut app = instance("app", "backoff");
        (app.last, app.reason) = (Some("exit code 3".to_owned()), Some("exit code 3".to_owned()));
        (app.failures, app.retry_in) = (2, Some(4.25));
        let shown = lines(&status(vec![app.clone()]), Paint::PLAIN, None);
        assert!(shown[1].ends_with("exit code 3  failure 2, again in 4 s"), "{shown:?}");
        // A clock that goes on is no change.
        let mut last = String::new();
        when_changed(&status(vec![app.clone()]), false, &mut last);
        app.retry_in = Some(3.0);
        assert_eq!(when_changed(&status(vec![app]), false, &mut last), "");
    }

    #[test]
    fn where_it_is_narrow_reasons_stand_below_and_what_matters_least_goes_first() {
        let mut failing = instance("worker", "fatal");
        failing.last = Some("killed by TERM".to_owned());
        failing.reason = Some("not ready after 20 s".to_owned());
        let status = status(vec![instance("web", "running"), failing]);
        assert_eq!(
            lines(&status, Paint::PLAIN, Some(80)),
            [
                "NAME    STATE    READY  PID    UPTIME  RESTARTS  MEMORY  LAST",
                "web     running  ready   12  3 m 12 s         0   41 MB  -",
                "worker  fatal    -        -         -         0       -  killed by TERM",
                "    not ready after 20 s",
            ]
        );
        assert_eq!(
            lines(&status, Paint::PLAIN, Some(60)),
            [
                "NAME    STATE    READY  PID  RESTARTS  LAST",
                "web     running  ready   12         0  -",
                "worker  fatal    -        -         0  killed by TERM",
                "    not ready after 20 s",
            ]
        );
        for width in 1..100 {
            let lines = lines(&status, Paint::PLAIN, Some(width));
            assert!(
                lines.iter().all(|line| line.chars().count() <= width && !line.ends_with(' ')),
                "{lines:#?}"
            );
        }
    }

    #[test]
    fn a_supervisor_that_ends_says_so_below() {
        let mut status = status(vec![]);
        status.phase = "draining".to_owned();
        assert_eq!(lines(&status, Paint::PLAIN, None).last().unwrap(), "minisup is draining");
        status.phase = "boot".to_owned();
        assert_eq!(lines(&status, Paint::PLAIN, None).last().unwrap(), "minisup is starting");
    }

    #[test]
    fn time_that_passes_is_no_change() {
        let mut last = String::new();
        let mut status = status(vec![instance("web", "running")]);
        assert_ne!(when_changed(&status, false, &mut last), "");
        status.uptime += 1.0;
        status.instances[0].uptime = Some(193.0);
        assert_eq!(when_changed(&status, false, &mut last), "");
        status.instances[0].healthy = Some(false);
        assert_ne!(when_changed(&status, false, &mut last), "");
    }
}
