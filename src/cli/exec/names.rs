//! The flags of tini, dumb-init and catatonit, as their manual pages and `-h` have them.
//!
//! A link with such a name is enough to put minisup in their place. Messages are in our own
//! words; flags, exit codes, environment and what happens to signals are theirs.

use super::{Manner, Stopping, rewrite, signal};
use crate::core::signal::Signal;
use crate::sys::launch::Session;
use std::env;
use std::ffi::{OsStr, OsString};

/// What a command line asks for.
#[derive(Debug)]
pub(super) enum Asked {
    /// To run a command.
    Run(Box<Manner>, Vec<OsString>),
    /// To run nothing and reap.
    Pause,
    /// A text on stdout, and success.
    Say(String),
    /// A text on stderr, and failure.
    Refuse(String),
}

/// Who reads the command line under this name.
pub(super) fn reader(name: &str) -> Option<fn(&[OsString]) -> Asked> {
    match name {
        "tini" | "tini-static" => Some(tini),
        "dumb-init" => Some(dumb_init),
        "catatonit" => Some(catatonit),
        _ => None,
    }
}

const LICENSE: &str = "minisup: Apache-2.0 OR MIT";

fn version(name: &str) -> Asked {
    Asked::Say(format!("minisup {} as {name}", env!("CARGO_PKG_VERSION")))
}

const TINI: &str = "usage: tini [-s] [-g] [-w] [-v]... [-p SIGNAL] [-e CODE]... [--] COMMAND [ARG]...
       tini [-s] [-g] [-w] [-v]... [-p SIGNAL] [-e CODE]... COMMAND -- [ARG]...
       tini -h | -l | --version

  -s         adopt orphans also when not PID 1 (also TINI_SUBREAPER)
  -g         signal the command's process group (also TINI_KILL_PROCESS_GROUP)
  -w         say which orphans were reaped
  -v         say more; up to three times (also TINI_VERBOSITY)
  -p SIGNAL  get this signal when the parent ends
  -e CODE    exit with 0 when the command exits with CODE
  -l         licence
This is minisup; `minisup exec` does the same, and `minisup` supervises several services.";

fn tini(args: &[OsString]) -> Asked {
    let mut manner = Box::new(Manner::new("tini"));
    manner.kept = [Signal::TTIN, Signal::TTOU].into_iter().collect();
    manner.subreaper = env::var_os("TINI_SUBREAPER").is_some();
    manner.to_group = env::var_os("TINI_KILL_PROCESS_GROUP").is_some();
    if let Some(number) = env::var("TINI_VERBOSITY").ok().and_then(|text| text.parse().ok()) {
        manner.verbosity = number;
    }
    if args.len() == 1 && args[0] == "--version" {
        return version("tini");
    }
    let mut flags = Flags::new(args, "pe", &[]);
    while let Some(flag) = flags.next() {
        match flag {
            Ok(("h", _)) => return Asked::Say(TINI.to_string()),
            Ok(("l", _)) => return Asked::Say(LICENSE.to_string()),
            Ok(("s", _)) => manner.subreaper = true,
            Ok(("g", _)) => manner.to_group = true,
            Ok(("w", _)) => manner.tells_reaped = true,
            Ok(("v", _)) => manner.verbosity = manner.verbosity.saturating_add(1),
            Ok(("p", value)) => match signal(&value) {
                Ok(signal) => manner.parent_death = Some(signal),
                Err(text) => return Asked::Refuse(format!("-p: {text}")),
            },
            Ok(("e", value)) => match value.parse() {
                Ok(code) => manner.success.push(code),
                Err(_) => return Asked::Refuse(format!("-e: {value:?} is no exit code from 0 to 255")),
            },
            Ok((other, _)) => return Asked::Refuse(format!("there is no flag -{other}\n{TINI}")),
            Err(text) => return Asked::Refuse(format!("{text}\n{TINI}")),
        }
    }
    let mut words = flags.rest();
    if !flags.divided {
        undivide(&mut words);
    }
    command(manner, words, TINI)
}

/// `tini PROGRAM -- ARGS`, which tini's usage asks for, is PROGRAM with ARGS: the first `--` is its own, wherever
/// it stands. Not where a flag stands before it: glibc's getopt takes that for one of tini's, or refuses the
/// line, and musl's, in Alpine's tini, leaves it and the `--` to the program, which is what somebody meant.
fn undivide(words: &mut Vec<OsString>) {
    let is_flag = |word: &OsString| word != "-" && word.as_encoded_bytes().starts_with(b"-");
    let first = words.iter().position(is_flag).filter(|at| words[*at] == "--");
    first.map(|at| words.remove(at));
}

const DUMB_INIT: &str = "usage: dumb-init [-c] [-v] [-r FROM:TO]... [--] COMMAND [ARG]...
       dumb-init -h | -V

  -c, --single-child    no session of its own; signal the command only (also DUMB_INIT_SETSID=0)
  -r, --rewrite FROM:TO pass on TO when FROM comes, nothing when TO is 0
  -v, --verbose         say more (also DUMB_INIT_DEBUG=1)
  -V, --version
This is minisup; `minisup exec` does the same, and `minisup` supervises several services.";

fn dumb_init(args: &[OsString]) -> Asked {
    let mut manner = Box::new(Manner::new("dumb-init"));
    let is = |name, value: &str| env::var_os(name).is_some_and(|set| set == value);
    manner.failure = Some(2);
    manner.stopping = Stopping::BySignal;
    manner.verbosity = if is("DUMB_INIT_DEBUG", "1") { 2 } else { 0 };
    let mut single = is("DUMB_INIT_SETSID", "0");
    let long = [("help", 'h'), ("single-child", 'c'), ("rewrite", 'r'), ("verbose", 'v'), ("version", 'V')];
    let mut flags = Flags::new(args, "r", &long);
    while let Some(flag) = flags.next() {
        match flag {
            Ok(("h", _)) => return Asked::Say(DUMB_INIT.to_string()),
            Ok(("V", _)) => return version("dumb-init"),
            Ok(("c", _)) => single = true,
            Ok(("v", _)) => manner.verbosity = 2,
            Ok(("r", value)) => match rewrite(&value) {
                // The last of several for one signal counts.
                Ok(pair) => manner.rewrite.insert(0, pair),
                Err(text) => return Asked::Refuse(format!("-r {value}: {text}")),
            },
            Ok((other, _)) => return Asked::Refuse(format!("there is no flag -{other}\n{DUMB_INIT}")),
            Err(text) => return Asked::Refuse(format!("{text}\n{DUMB_INIT}")),
        }
    }
    manner.to_group = !single;
    manner.farewell = (!single).then_some(Signal::TERM);
    manner.session = if single { Session::Inherit } else { Session::Terminal };
    if !single {
        // A session without a shell has no job control: only STOP stops it.
        let stop = |signal| (signal, Some(Signal::STOP));
        manner.rewrite.extend([Signal::TSTP, Signal::TTIN, Signal::TTOU].map(stop));
    }
    command(manner, flags.rest(), DUMB_INIT)
}

const CATATONIT: &str = "usage: catatonit [-g] [--] COMMAND [ARG]...
       catatonit -P | -h | -L | -V

  -g             signal the command's process group
  -P             run nothing, reap until INT or TERM
  -L             licence
  -V, --version
This is minisup; `minisup exec` does the same, and `minisup` supervises several services.";

fn catatonit(args: &[OsString]) -> Asked {
    let mut manner = Box::new(Manner::new("catatonit"));
    manner.failure = Some(1);
    manner.subreaper = true;
    manner.kept = [Signal::TSTP, Signal::TTIN, Signal::TTOU].into_iter().collect();
    let mut flags = Flags::new(args, "", &[("version", 'V')]);
    while let Some(flag) = flags.next() {
        match flag {
            Ok(("h", _)) => return Asked::Say(CATATONIT.to_string()),
            Ok(("L", _)) => return Asked::Say(LICENSE.to_string()),
            Ok(("V", _)) => return version("catatonit"),
            Ok(("P", _)) => return Asked::Pause,
            Ok(("g", _)) => manner.to_group = true,
            Ok((other, _)) => return Asked::Refuse(format!("there is no flag -{other}\n{CATATONIT}")),
            Err(text) => return Asked::Refuse(format!("{text}\n{CATATONIT}")),
        }
    }
    command(manner, flags.rest(), CATATONIT)
}

fn command(manner: Box<Manner>, command: Vec<OsString>, usage: &str) -> Asked {
    if command.is_empty() {
        return Asked::Refuse(format!("there is no command\n{usage}"));
    }
    Asked::Run(manner, command)
}

/// Flags as getopt(3) reads them: until the first word that is none, several letters in one
/// word, a value in the same word or the next. Long ones may be cut short.
struct Flags<'a> {
    args: &'a [OsString],
    /// How many words are used up.
    used: usize,
    /// `--` was among them.
    divided: bool,
    /// What is left of a word with several letters.
    letters: String,
    with_value: &'a str,
    long: &'a [(&'a str, char)],
}

impl<'a> Flags<'a> {
    fn new(args: &'a [OsString], with_value: &'a str, long: &'a [(&'a str, char)]) -> Flags<'a> {
        Flags { args, used: 0, divided: false, letters: String::new(), with_value, long }
    }

    /// The next flag, as one letter, with its value if it has one.
    fn next(&mut self) -> Option<Result<(&'static str, String), String>> {
        if self.letters.is_empty() {
            let word = self.args.get(self.used)?.to_str()?;
            if word == "--" {
                self.used += 1;
                self.divided = true;
                return None;
            }
            if let Some(long) = word.strip_prefix("--") {
                self.used += 1;
                return Some(self.long(long));
            }
            let letters = word.strip_prefix('-').filter(|letters| !letters.is_empty())?;
            self.used += 1;
            self.letters = letters.to_string();
        }
        let letter = self.letters.remove(0);
        if !self.with_value.contains(letter) {
            return Some(Ok((name(letter), String::new())));
        }
        let inline = std::mem::take(&mut self.letters);
        let value = if inline.is_empty() { self.value(&letter.to_string()) } else { Ok(inline) };
        Some(value.map(|value| (name(letter), value)))
    }

    fn long(&mut self, text: &str) -> Result<(&'static str, String), String> {
        let (given, inline) = match text.split_once('=') {
            Some((given, value)) => (given, Some(value.to_string())),
            None => (text, None),
        };
        let exact = self.long.iter().find(|(long, _)| *long == given);
        let mut fitting = self.long.iter().filter(|(long, _)| long.starts_with(given));
        let found = exact.or_else(|| fitting.next().filter(|_| fitting.next().is_none()));
        let Some((_, letter)) = found else { return Err(format!("there is no flag --{given}")) };
        let value = match inline {
            None if self.with_value.contains(*letter) => self.value(given)?,
            None => String::new(),
            Some(_) if !self.with_value.contains(*letter) => return Err(format!("--{given} takes no value")),
            Some(value) => value,
        };
        Ok((name(*letter), value))
    }

    fn value(&mut self, flag: &str) -> Result<String, String> {
        let value = self.args.get(self.used).and_then(|word| OsStr::to_str(word));
        self.used += 1;
        value.map(str::to_string).ok_or_else(|| format!("-{flag} wants a value"))
    }

    /// The words that are no flags.
    fn rest(&self) -> Vec<OsString> {
        self.args.get(self.used..).unwrap_or(&[]).to_vec()
    }
}

/// A letter as a text that lives for ever, for `match`.
fn name(letter: char) -> &'static str {
    const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    LETTERS.find(letter).map_or("?", |at| &LETTERS[at..=at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(read: fn(&[OsString]) -> Asked, words: &[&str]) -> Asked {
        read(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    fn manner(read: fn(&[OsString]) -> Asked, words: &[&str]) -> (Manner, Vec<OsString>) {
        match asked(read, words) {
            Asked::Run(manner, command) => (*manner, command),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_of_the_command_are_the_commands() {
        let (manner, command) = manner(tini, &["-g", "ls", "-s", "--", "-l"]);
        assert!(manner.to_group && !manner.subreaper);
        assert_eq!(command, ["ls", "-s", "--", "-l"]);
    }

    #[test]
    fn tini_takes_its_double_dash_from_before_and_behind_the_program() {
        let rows = [
            ("-s echo -- hi", "echo hi"),
            ("-s echo hi -- there", "echo hi there"),
            ("-s echo -- -n hi", "echo -n hi"),
            ("-s -- echo -- hi", "echo -- hi"),
            ("-g echo -- -- hi", "echo -- hi"),
            ("-s echo a - -- b -- c", "echo a - b -- c"),
            ("-s -- -- echo hi", "-- echo hi"),
            ("-e 3 sh -- -c x", "sh -c x"),
            ("-svv echo --", "echo"),
            // Debian's would take the flag, Alpine's leaves it.
            ("git log -p -- x", "git log -p -- x"),
        ];
        for (line, expected) in rows {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(manner(tini, &words).1.join(OsStr::new(" ")), expected, "{line}");
        }
        assert_eq!(manner(dumb_init, &["echo", "--", "hi"]).1, ["echo", "--", "hi"]);
    }

    #[test]
    fn letters_and_values_may_stand_together() {
        let (manner, command) = manner(tini, &["-gsvve143", "-e", "3", "-pSIGTERM", "--", "-x"]);
        assert!(manner.to_group && manner.subreaper);
        assert_eq!((manner.success, manner.verbosity), (vec![143, 3], 3));
        assert_eq!(manner.parent_death, Some(Signal::TERM));
        assert_eq!(command, ["-x"]);
    }

    #[test]
    fn dumb_init_leads_a_session_unless_single() {
        let (manner_of_many, _) = manner(dumb_init, &["true"]);
        assert_eq!((manner_of_many.session, manner_of_many.to_group), (Session::Terminal, true));
        let (single, _) = manner(dumb_init, &["--single", "true"]);
        assert_eq!((single.session, single.to_group, single.farewell), (Session::Inherit, false, None));
    }

    #[test]
    fn dumb_init_rewrites_as_asked_the_last_counts() {
        let (manner, _) = manner(dumb_init, &["-r", "15:2", "--rewrite=15:3", "--rewrite", "1:0", "true"]);
        let to = |from| manner.rewrite.iter().find(|(f, _)| *f == from).map(|(_, to)| *to);
        assert_eq!(to(Signal::TERM), Some(Some(Signal::QUIT)));
        assert_eq!(to(Signal::HUP), Some(None));
        assert_eq!(to(Signal::TSTP), Some(Some(Signal::STOP)));
    }

    #[test]
    fn what_they_refuse_is_refused() {
        type Case = (fn(&[OsString]) -> Asked, &'static [&'static str]);
        let refused: [Case; 9] = [
            (tini, &[]),
            (tini, &["-z", "true"]),
            (tini, &["-e", "300", "true"]),
            (tini, &["-p", "FOO", "true"]),
            (tini, &["-p"]),
            (dumb_init, &["-r", "15", "true"]),
            (dumb_init, &["-r", "99:1", "true"]),
            (dumb_init, &["--ver", "true"]),
            (catatonit, &["--help"]),
        ];
        for (read, words) in refused {
            assert!(matches!(asked(read, words), Asked::Refuse(_)), "{words:?}");
        }
    }
}
