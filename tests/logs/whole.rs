//! Every byte arrives once, and no line is mixed with another's: checked by content.
//!
//! Two services write at full speed, one lines of 64 KiB, one short ones. What each line has to be is
//! computed from its number, so a byte too few, too many or in the wrong place is seen. LOGS_MIB
//! says how much is moved in each format: little in `make test`, a gibibyte in `make soak`.

use super::stage::{Minisup, pipe};
use std::io::{BufRead, BufReader};

/// Lines of one service: how many bytes before the newline, and how many of them.
struct Kind {
    name: &'static str,
    length: usize,
    count: u64,
}

/// The line with this number: its number, and letters that depend on it to the end.
fn line(kind: &Kind, number: u64) -> String {
    let start = format!("<{} {number:09} ", kind.name);
    let letter = char::from(b'a' + (number % 26) as u8);
    let fill = kind.length - start.len() - 1;
    start + &letter.to_string().repeat(fill) + ">"
}

/// A program for awk(1) that writes the same.
fn command(kind: &Kind) -> String {
    let Kind { name, length, count } = kind;
    let fill = length - format!("<{name} 000000000 >").len();
    format!(
        "['awk', 'BEGIN {{ for (l = 0; l < 26; l++) {{ s = sprintf(\"%c\", 97 + l); \
         while (length(s) < {fill}) s = s s; fill[l] = substr(s, 1, {fill}) }} \
         for (n = 0; n < {count}; n++) print \"<{name} \" sprintf(\"%09d\", n) \" \" fill[n % 26] \">\" }}']"
    )
}

#[test]
fn every_byte_of_long_and_short_lines_arrives_once() {
    let mib: u64 = std::env::var("LOGS_MIB").map_or(24, |text| text.parse().unwrap());
    let program = std::env::var("MINISUP").unwrap_or_else(|_| env!("CARGO_BIN_EXE_minisup").into());
    let long = Kind { name: "long", length: (64 << 10) - 1, count: mib * 8 };
    let short = Kind { name: "short", length: 119, count: (mib << 19) / 120 };
    for format in ["raw", "prefix", "json"] {
        let is_raw = format == "raw";
        let mut text =
            format!("[supervisor]\nlog_format = '{format}'\ntimestamps = {}\nlog_level = 'error'\n", !is_raw);
        for kind in [&long, &short] {
            text += &format!("[service.{}]\ntype = 'oneshot'\ncommand = {}\n", kind.name, command(kind));
        }
        let file = std::env::temp_dir().join(format!("minisup-whole-{}-{format}.toml", std::process::id()));
        std::fs::write(&file, text).unwrap();
        let (stdout, to) = pipe();
        let mut minisup = Minisup::run_by(&[&program, "--config", file.to_str().unwrap()], to);
        let mut stdout = BufReader::with_capacity(1 << 20, stdout);
        let mut next = [0, 0];
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            if stdout.read_until(b'\n', &mut bytes).unwrap() == 0 {
                break;
            }
            let text = std::str::from_utf8(&bytes).unwrap().strip_suffix('\n').unwrap();
            let (before, message) =
                text.split_at(text.find('<').unwrap_or_else(|| panic!("torn: {text:.200}")));
            let which = usize::from(message.starts_with("<short"));
            let kind = [&long, &short][which];
            let expected = line(kind, next[which]);
            next[which] += 1;
            // "2026-11-20T18:28:17.042Z ", and what the format has around the line.
            assert!(is_raw || before.contains("T") && before.contains("Z"), "no stamp: {before}");
            let (start, end) = match format {
                "raw" => (before.is_empty(), ""),
                "prefix" => (before[24..] == format!(" {:5} | ", kind.name), ""),
                _ => (before.contains(&format!("\"service\":\"{}\"", kind.name)), "\"}"),
            };
            assert!(start, "{format}: {before}");
            let rest = message.strip_prefix(&expected);
            assert!(
                rest == Some(end),
                "{format}: not line {} of {}: {message:.200}",
                next[which] - 1,
                kind.name
            );
        }
        assert_eq!(next, [long.count, short.count], "{format}");
        assert_eq!(minisup.exit_code(), 0, "{format}");
        let _ = std::fs::remove_file(&file);
    }
}
