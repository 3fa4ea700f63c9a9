//! Time zones, as fast as the server can take them.
//!
//! `mariadb-tzinfo-to-sql` writes five statements for each of some 1,800 zones, each of which is a question
//! and an answer: on a busy machine nine thousand of these are most of a first start without scripts. Here
//! its rows are gathered into few large statements. A zone's number is then said and not asked for with
//! LAST_INSERT_ID(): the tables were emptied just before, so it counts from 1 in both cases.
//!
//! Rows come in the order in which the tables are sorted afterwards (by zone, then by time), so the sorting
//! is left out as well. Every line that is not known to belong to a row passes through in its place: what a
//! coming version writes differently is slower, not wrong. Older ones (seen: MariaDB 10.5)
//! write `Offset` without quotes, and `\d`, which a client in binary mode does not know.

use crate::init::crew::Feed;
use std::io::{self, BufRead};

/// A statement this long is sent: far below the smallest max_allowed_packet a server may have (16 MiB by
/// default, 1 MiB in old configurations), and longer ones are not faster.
const STATEMENT: usize = 128 * 1024;

/// Longer than any line of the four tables' statements.
const LINE_MAX: usize = 64 * 1024;

/// What `time_zone` is called in a row that belongs to it.
const NUMBER: &[u8] = b"@time_zone_id";

/// A table, how the tool begins its statement, and how we do.
struct Table {
    theirs: &'static [u8],
    ours: &'static [u8],
    /// Its rows follow on lines of their own, until a line with `;`.
    has_lines: bool,
}

const TABLES: [Table; 5] = [
    Table {
        theirs: b"INSERT INTO time_zone (Use_leap_seconds) VALUES ('",
        ours: b"INSERT INTO time_zone (Time_zone_id, Use_leap_seconds) VALUES ",
        has_lines: false,
    },
    Table {
        theirs: b"INSERT INTO time_zone_name (Name, Time_zone_id) VALUES (",
        ours: b"INSERT INTO time_zone_name (Name, Time_zone_id) VALUES ",
        has_lines: false,
    },
    Table {
        theirs: b"INSERT INTO time_zone_transition (Time_zone_id, Transition_time, Transition_type_id) VALUES",
        ours: b"INSERT INTO time_zone_transition (Time_zone_id, Transition_time, Transition_type_id) VALUES ",
        has_lines: true,
    },
    Table {
        theirs: b"INSERT INTO time_zone_transition_type (Time_zone_id, Transition_type_id, `Offset`, Is_DST, Abbreviation) VALUES",
        ours: b"INSERT INTO time_zone_transition_type (Time_zone_id, Transition_type_id, `Offset`, Is_DST, Abbreviation) VALUES ",
        has_lines: true,
    },
    Table {
        theirs: b"INSERT INTO time_zone_transition_type (Time_zone_id, Transition_type_id, Offset, Is_DST, Abbreviation) VALUES",
        ours: b"INSERT INTO time_zone_transition_type (Time_zone_id, Transition_type_id, `Offset`, Is_DST, Abbreviation) VALUES ",
        has_lines: true,
    },
];

/// Lines that would only sort what is sorted.
const SORTING: [&[u8]; 2] = [
    b"ALTER TABLE time_zone_transition",
    b"execute immediate if(@wsrep_cannot_replicate_tz, 'do 0','ALTER TABLE time_zone_transition",
];

/// The tool's output, gathered.
pub struct Zones<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    /// The number that the server itself has been told last.
    told: u64,
    pending: [Vec<u8>; TABLES.len()],
    /// The table whose rows are being read.
    within: Option<usize>,
    ready: Vec<u8>,
    given: usize,
    is_over: bool,
}

impl<R: BufRead> Zones<R> {
    /// Of what the tool wrote. `preface` is sent first.
    pub fn new(preface: &str, input: R) -> Zones<R> {
        Zones {
            input,
            line: Vec::new(),
            number: 0,
            told: 0,
            pending: Default::default(),
            within: None,
            ready: preface.as_bytes().to_vec(),
            given: 0,
            is_over: false,
        }
    }

    /// How many zones have been read.
    pub fn count(&self) -> u64 {
        self.number
    }

    /// Takes one line of the tool's.
    fn take_line(&mut self) -> io::Result<()> {
        self.line.clear();
        let mut limited = io::Read::take(&mut self.input, LINE_MAX as u64);
        limited.read_until(b'\n', &mut self.line)?;
        if self.line.is_empty() {
            self.is_over = true;
            self.flush_all();
            return Ok(());
        }
        let line = std::mem::take(&mut self.line);
        self.sort_in(&line);
        self.line = line;
        Ok(())
    }

    fn sort_in(&mut self, line: &[u8]) {
        let bare = line.strip_suffix(b"\n").unwrap_or(line);
        if let Some(table) = self.within {
            match bare {
                b";" => self.within = None,
                // ` (…)` the first, `,(…)` all others.
                [b' ' | b',', row @ ..] if row.starts_with(b"(") => self.add(table, row),
                _ => self.pass_through(line),
            }
            return;
        }
        let found = TABLES.iter().position(|table| match table.has_lines {
            true => bare == table.theirs,
            false => bare.starts_with(table.theirs) && bare.ends_with(b");"),
        });
        match found {
            Some(0) => {
                self.number += 1;
                let flag = bare[TABLES[0].theirs.len()..].first().copied().unwrap_or(b'N');
                let row = format!("({},'{}')", self.number, char::from(flag));
                self.add(0, row.as_bytes());
            }
            Some(1) => {
                let row = &bare[TABLES[1].theirs.len() - 1..bare.len() - 1];
                self.add(1, row);
            }
            Some(table) => self.within = Some(table),
            None if bare == b"SET @time_zone_id= LAST_INSERT_ID();" && self.number > 0 => {}
            // The same, as a client in binary mode knows it.
            None if bare.starts_with(b"\\d ") => self.pass_through(&[b"DELIMITER", &line[2..]].concat()),
            None if SORTING.iter().any(|start| bare.starts_with(start)) && is_sorting(bare) => {}
            None => self.pass_through(line),
        }
    }

    fn add(&mut self, table: usize, row: &[u8]) {
        let pending = &mut self.pending[table];
        pending.extend_from_slice(if pending.is_empty() { TABLES[table].ours } else { b"," });
        match row.windows(NUMBER.len()).position(|part| part == NUMBER) {
            Some(at) => {
                pending.extend_from_slice(&row[..at]);
                pending.extend_from_slice(self.number.to_string().as_bytes());
                pending.extend_from_slice(&row[at + NUMBER.len()..]);
            }
            None => pending.extend_from_slice(row),
        }
        if pending.len() >= STATEMENT {
            self.flush(table);
        }
    }

    fn flush(&mut self, table: usize) {
        if !self.pending[table].is_empty() {
            self.ready.append(&mut self.pending[table]);
            self.ready.extend_from_slice(b";\n");
        }
    }

    fn flush_all(&mut self) {
        (0..TABLES.len()).for_each(|table| self.flush(table));
    }

    fn pass_through(&mut self, line: &[u8]) {
        self.flush_all();
        // Rows of a statement that is not known may ask which zone they are of.
        if line.starts_with(b"INSERT ") && self.told != self.number {
            self.told = self.number;
            self.ready.extend_from_slice(format!("SET @time_zone_id= {};\n", self.number).as_bytes());
        }
        self.ready.extend_from_slice(line);
    }
}

/// Whether a line does nothing but sort: with another thing in it it stays.
fn is_sorting(line: &[u8]) -> bool {
    let has = |what: &[u8]| line.windows(what.len()).any(|part| part == what);
    has(b" ORDER BY Time_zone_id, Transition_t") && !has(b"ENGINE")
}

impl<R: BufRead> Feed for Zones<R> {
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.ready.len() {
            self.ready.clear();
            self.given = 0;
            if self.is_over {
                return Ok(0);
            }
            self.take_line()?;
        }
        let count = buffer.len().min(self.ready.len() - self.given);
        buffer[..count].copy_from_slice(&self.ready[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(text: &str) -> String {
        let mut zones = Zones::new("", text.as_bytes());
        let (mut all, mut buffer) = (Vec::new(), [0u8; 100]);
        loop {
            match zones.fill(&mut buffer).unwrap() {
                0 => return String::from_utf8(all).unwrap(),
                count => all.extend_from_slice(&buffer[..count]),
            }
        }
    }

    #[test]
    fn the_rows_of_many_zones_are_one_statement_for_each_table() {
        let zone = |name: &str| {
            format!(
                "INSERT INTO time_zone (Use_leap_seconds) VALUES ('N');\n\
                 SET @time_zone_id= LAST_INSERT_ID();\n\
                 INSERT INTO time_zone_name (Name, Time_zone_id) VALUES ('{name}', @time_zone_id);\n\
                 INSERT INTO time_zone_transition (Time_zone_id, Transition_time, Transition_type_id) VALUES\n \
                 (@time_zone_id, -1830383032, 1)\n,(@time_zone_id, 7, 0)\n;\n\
                 INSERT INTO time_zone_transition_type (Time_zone_id, Transition_type_id, `Offset`, Is_DST, Abbreviation) VALUES\n \
                 (@time_zone_id, 0, -968, 0, 'LMT')\n;\n"
            )
        };
        let text = format!(
            "TRUNCATE TABLE time_zone;\n{}{}COMMIT;\nALTER TABLE time_zone_transition ORDER BY Time_zone_id, Transition_time;\n",
            zone("Africa/Abidjan"),
            zone("UTC")
        );
        assert_eq!(
            gathered(&text),
            "TRUNCATE TABLE time_zone;\n\
             INSERT INTO time_zone (Time_zone_id, Use_leap_seconds) VALUES (1,'N'),(2,'N');\n\
             INSERT INTO time_zone_name (Name, Time_zone_id) VALUES ('Africa/Abidjan', 1),('UTC', 2);\n\
             INSERT INTO time_zone_transition (Time_zone_id, Transition_time, Transition_type_id) VALUES \
             (1, -1830383032, 1),(1, 7, 0),(2, -1830383032, 1),(2, 7, 0);\n\
             INSERT INTO time_zone_transition_type (Time_zone_id, Transition_type_id, `Offset`, Is_DST, Abbreviation) VALUES \
             (1, 0, -968, 0, 'LMT'),(2, 0, -968, 0, 'LMT');\nCOMMIT;\n"
        );
    }

    #[test]
    fn what_is_not_known_passes_through_in_its_place() {
        let text = "INSERT INTO something_new VALUES (1);\nSET @time_zone_id= 5;\n\
                    ALTER TABLE time_zone_transition ENGINE=Aria, ORDER BY Time_zone_id, Transition_time;\n";
        assert_eq!(gathered(text), text);
    }

    #[test]
    fn what_an_older_version_writes_is_gathered_too_and_its_delimiter_translated() {
        let text = "\\d |\nIF 1 THEN\nTRUNCATE TABLE time_zone;\nEND IF|\n\\d ;\n\
                    INSERT INTO time_zone (Use_leap_seconds) VALUES ('N');\n\
                    SET @time_zone_id= LAST_INSERT_ID();\n\
                    INSERT INTO time_zone_transition_type (Time_zone_id, Transition_type_id, Offset, Is_DST, Abbreviation) VALUES\n \
                    (@time_zone_id, 0, -968, 0, 'LMT')\n;\n";
        assert_eq!(
            gathered(text),
            "DELIMITER |\nIF 1 THEN\nTRUNCATE TABLE time_zone;\nEND IF|\nDELIMITER ;\n\
             INSERT INTO time_zone (Time_zone_id, Use_leap_seconds) VALUES (1,'N');\n\
             INSERT INTO time_zone_transition_type (Time_zone_id, Transition_type_id, `Offset`, Is_DST, Abbreviation) VALUES \
             (1, 0, -968, 0, 'LMT');\n"
        );
    }

    #[test]
    fn a_statement_that_is_not_known_is_told_which_zone_it_is_of() {
        let zone =
            "INSERT INTO time_zone (Use_leap_seconds) VALUES ('N');\nSET @time_zone_id= LAST_INSERT_ID();\n";
        let new = "INSERT INTO something_new VALUES\n (@time_zone_id)\n;\n";
        let said = |number: u32| {
            format!(
                "INSERT INTO time_zone (Time_zone_id, Use_leap_seconds) VALUES ({number},'N');\n\
                 SET @time_zone_id= {number};\n{new}"
            )
        };
        assert_eq!(gathered(&[zone, new, zone, new].concat()), said(1) + &said(2));
    }
}
