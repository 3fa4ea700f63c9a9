//! Words for people: durations, sizes, colours, tables.
//!
//! Colour only where somebody sees it: on a terminal that is not "dumb", unless NO_COLOR says
//! otherwise (no-color.org). What comes from services loses its control characters before it
//! gets into a table: a line of a log must not be able to move a cursor there.

use crate::control::wire::Instance;
pub use crate::core::size::size_text as size;
use crate::sys::terminal;
use std::fmt::Write;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// `0.4 s`, `12 s`, `3 m 12 s`, `5 h 3 m`, `2 d 4 h`: two parts are enough.
pub fn duration(span: Duration) -> String {
    let (seconds, tenths) = (span.as_secs(), span.subsec_millis() / 100);
    match seconds {
        0 => format!("0.{tenths} s"),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} m {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// A number of seconds as the wire has it.
pub fn seconds(seconds: f64) -> String {
    duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// `1 service`, `3 services`.
pub fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Text from elsewhere, on one line and without anything that a terminal would obey.
pub fn tame(text: &str) -> String {
    text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The first `width` characters; the last of them says that there were more.
pub fn cut(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// Whether text may be coloured, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Paint {
    is_on: bool,
}

/// A colour, by what it means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Colour {
    Good,
    Busy,
    Bad,
    Dim,
    Head,
    /// One of several, to tell labels apart.
    Label(usize),
}

/// Those of labels: none that means something elsewhere.
const LABELS: [u8; 6] = [36, 35, 34, 96, 95, 94];

impl Paint {
    /// For what is written to this descriptor.
    pub fn on(fd: &impl AsRawFd) -> Paint {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        Paint { is_on: !refused && !is_dumb && crate::sys::fd::is_terminal(fd) }
    }

    /// Never.
    pub const PLAIN: Paint = Paint { is_on: false };

    /// The text in this colour (ECMA-48, SGR).
    pub fn text(self, colour: Colour, text: &str) -> String {
        let number = match colour {
            _ if !self.is_on || text.is_empty() => return text.to_owned(),
            Colour::Good => 32,
            Colour::Busy => 33,
            Colour::Bad => 31,
            Colour::Dim => 2,
            Colour::Head => 1,
            Colour::Label(number) => LABELS[number % LABELS.len()],
        };
        format!("\x1b[{number}m{text}\x1b[0m")
    }
}

/// A table: columns as wide as their widest cell, two spaces between them.
#[derive(Default, Debug)]
pub struct Table {
    rows: Vec<Vec<(String, Option<Colour>)>>,
}

impl Table {
    /// Adds a row. A cell without a colour is plain.
    pub fn row(&mut self, cells: Vec<(String, Option<Colour>)>) {
        self.rows.push(cells);
    }

    /// How wide its widest line is.
    pub fn width(&self) -> usize {
        self.lines(Paint::PLAIN, &[], None).iter().map(|line| line.chars().count()).max().unwrap_or(0)
    }

    /// One line a row; numbers (cells of columns in `right`) stand to the right. Where `width` is given no line is wider.
    pub fn lines(&self, paint: Paint, right: &[usize], width: Option<usize>) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|(text, _)| text.chars().count()).max()
        };
        let widths: Vec<usize> = (0..columns).map(|column| widest(column).unwrap_or(0)).collect();
        let line = |row: &Vec<(String, Option<Colour>)>| {
            let mut line = String::new();
            let mut used = 0;
            let last = row.iter().rposition(|(text, _)| !text.is_empty()).map_or(0, |last| last + 1);
            for (column, (text, colour)) in row[..last].iter().enumerate() {
                let gap = if column == 0 { 0 } else { 2 };
                let room = width.map_or(usize::MAX, |width| width.saturating_sub(used + gap));
                if room == 0 {
                    break;
                }
                let shown = cut(text, room);
                let pad = widths[column].min(room).saturating_sub(shown.chars().count());
                let (before, after) = match right.contains(&column) {
                    true => (pad, 0),
                    false if column + 1 == last => (0, 0),
                    false => (0, pad),
                };
                let painted = colour.map_or(shown.clone(), |colour| paint.text(colour, &shown));
                // Writing to a String cannot fail.
                let _ = write!(line, "{:gap$}{:before$}{painted}{:after$}", "", "", "");
                used += gap + pad + shown.chars().count();
            }
            // What was to stand behind the last cell had no room.
            line.truncate(line.trim_end_matches(' ').len());
            line
        };
        self.rows.iter().map(line).collect()
    }
}

/// `web`, or `web:1` where there are several.
pub fn label(service: &str, instance: Option<u32>) -> String {
    match instance {
        Some(number) => format!("{service}:{number}"),
        None => service.to_owned(),
    }
}

/// Whether it is what a oneshot wants to be: done, well.
pub fn is_done(it: &Instance) -> bool {
    it.kind == "oneshot" && it.state == "exited" && it.ready
}

/// One instance in words: `web: running, ready, pid 12`.
pub fn described(it: &Instance) -> String {
    let mut text = format!("{}: ", label(&it.service, it.instance));
    match is_done(it) {
        true => text += "done",
        false => text += &tame(&it.state),
    }
    match (it.healthy, it.ready, it.pid) {
        (Some(true), _, Some(_)) => text += ", healthy",
        (Some(false), _, Some(_)) => text += ", unhealthy",
        (None, true, Some(_)) => text += ", ready",
        (None, false, _) | (_, _, None) => {}
    }
    if let Some(pid) = it.pid {
        // Writing to a String cannot fail.
        let _ = write!(text, ", pid {pid}");
    } else if let Some(last) = it.last.as_ref().filter(|_| it.state != "stopped") {
        let _ = write!(text, ", {}", tame(last));
    }
    if let Some(reason) = it.reason.as_ref().filter(|reason| Some(*reason) != it.last.as_ref()) {
        let _ = write!(text, ", {}", tame(reason));
    }
    text
}

/// Lines that stand in one place of the terminal and are drawn over.
#[derive(Default, Debug)]
pub struct Redrawn {
    lines: usize,
}

impl Redrawn {
    /// The bytes that put these lines where the ones before stood. Each must fit into a line of
    /// the terminal, and all of them into its height.
    pub fn draw(&mut self, lines: &[String]) -> String {
        let mut text = self.clear();
        for line in lines {
            text += line;
            text += "\n";
        }
        self.lines = lines.len();
        text
    }

    /// The bytes that take them away.
    pub fn clear(&mut self) -> String {
        match std::mem::take(&mut self.lines) {
            0 => String::new(),
            // Up to the first of them, and everything below is erased.
            lines => format!("\x1b[{lines}A\r\x1b[J"),
        }
    }
}

/// The columns and rows of a terminal; a usual one where it does not know.
pub fn window(fd: &impl AsRawFd) -> (usize, usize) {
    match terminal::window(fd) {
        Some((columns, rows)) => (usize::from(columns), usize::from(rows)),
        None => (80, 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_two_parts() {
        let said = |millis| duration(Duration::from_millis(millis));
        assert_eq!(said(0), "0.0 s");
        assert_eq!(said(430), "0.4 s");
        assert_eq!(said(59_999), "59 s");
        assert_eq!(said(192_000), "3 m 12 s");
        assert_eq!(said(3 * 3_600_000 + 5 * 60_000), "3 h 5 m");
        assert_eq!(said(50 * 3_600_000), "2 d 2 h");
        assert_eq!(seconds(-1.0), "0.0 s");
    }

    #[test]
    fn sizes_have_two_digits() {
        assert_eq!(size(512), "512 B");
        assert_eq!(size(1_000), "1.0 kB");
        assert_eq!(size(1_420_000), "1.4 MB");
        assert_eq!(size(41_300_000), "41 MB");
        assert_eq!(size(999_600), "1.0 MB");
        assert_eq!(size(9_960_000), "10 MB");
        assert_eq!(size(u64::MAX), "18447 PB");
    }

    #[test]
    fn a_table_is_aligned_and_ends_no_line_with_spaces() {
        let mut table = Table::default();
        let cells = |words: [&str; 3]| words.map(|word| (word.to_owned(), None)).into();
        table.row(cells(["NAME", "PID", "NOTE"]));
        table.row(cells(["a", "12345", ""]));
        table.row(cells(["longer", "7", "says something"]));
        assert_eq!(
            table.lines(Paint::PLAIN, &[1], None),
            ["NAME      PID  NOTE", "a       12345", "longer      7  says something"]
        );
        let narrow = table.lines(Paint::PLAIN, &[1], Some(20));
        assert_eq!(narrow[2], "longer      7  says…");
        assert!(narrow.iter().all(|line| line.chars().count() <= 20));
    }

    #[test]
    fn colours_are_outside_of_what_is_measured() {
        let mut table = Table::default();
        table.row(vec![("up".into(), Some(Colour::Good)), ("x".into(), None)]);
        let lines = table.lines(Paint { is_on: true }, &[], None);
        assert_eq!(lines, ["\x1b[32mup\x1b[0m  x"]);
    }

    #[test]
    fn a_terminal_is_never_told_what_a_service_says() {
        assert_eq!(tame("a\x1b[2Jb\nc\r\n"), "a [2Jb c");
    }

    #[test]
    fn what_is_redrawn_goes_over_what_was_there() {
        let mut drawn = Redrawn::default();
        assert_eq!(drawn.draw(&["a".into(), "b".into()]), "a\nb\n");
        assert_eq!(drawn.draw(&["c".into()]), "\x1b[2A\r\x1b[Jc\n");
        assert_eq!(drawn.clear(), "\x1b[1A\r\x1b[J");
        assert_eq!(drawn.clear(), "");
    }
}
