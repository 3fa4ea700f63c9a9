//! What the real binary does with the lines of its services, and with who reads them.

mod files;
mod splice;
mod stage;
mod whole;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use stage::{Minisup, pipe};
use std::collections::HashMap;
use std::io::Read;
use std::os::fd::AsFd;

#[test]
fn every_line_of_services_that_write_at_once_arrives_once_and_whole() {
    for format in ["raw", "prefix", "json"] {
        let (mut stdout, to) = pipe();
        let mut services = format!("[supervisor]\nlog_format = \"{format}\"\n");
        for name in ["a", "b", "c"] {
            // A prefix that no chunk of a pipe fits, so that reads end in the middle of lines.
            services += &format!(
                "[service.{name}]\ntype = \"oneshot\"\ncommand = ['seq', '-f', '<{name} %.0f {}>', '1', '20000']\n",
                "x".repeat(61)
            );
        }
        let mut minisup = Minisup::run(&services, to);
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        assert_eq!(minisup.exit_code(), 0);
        let mut next: HashMap<&str, u32> = HashMap::new();
        for line in text.lines() {
            let inside =
                line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).unwrap_or_default().0;
            let words: Vec<&str> = inside.split(' ').collect();
            let [name, number, tail] = words[..] else { panic!("{format}: a torn line: {line}") };
            assert_eq!(tail.len(), 61, "{format}: a torn line: {line}");
            let next = next.entry(name).or_default();
            *next += 1;
            assert_eq!(number.parse(), Ok(*next), "{format}: out of order: {line}");
            match format {
                "raw" => assert!(line.starts_with('<') && line.ends_with('>')),
                "prefix" => assert!(line.starts_with(&format!("{name} | <"))),
                _ => {
                    let value: serde_json::Value = serde_json::from_str(line).unwrap();
                    assert_eq!((&value["service"], &value["stream"]), (&name.into(), &"stdout".into()));
                }
            }
        }
        assert_eq!(next, HashMap::from([("a", 20_000), ("b", 20_000), ("c", 20_000)]), "{format}");
    }
}

#[test]
fn a_stuck_reader_holds_up_no_restart_and_no_stop() {
    let (mut stdout, to) = pipe();
    let shared = to.try_clone().unwrap();
    let configuration = "
        [service.flood]
        command = 'yes'
        [service.crash]
        command = ['sh', '-c', 'echo about to crash; exit 3']
        min_uptime = '0s'
        max_failures = 0
        backoff = { initial = '1ms', max = '1ms' }
        stdout = 'null'
    ";
    let mut minisup = Minisup::run(configuration, to);
    // Nobody reads stdout, and the other service goes on crashing and coming back.
    for _ in 0..50 {
        minisup.hear("launching it again");
    }
    let flags = OFlag::from_bits_truncate(fcntl(shared.as_fd(), FcntlArg::F_GETFL).unwrap());
    assert!(!flags.contains(OFlag::O_NONBLOCK), "our end of the pipe has been made non-blocking");
    drop(shared);
    minisup.stop();
    assert_eq!(minisup.exit_code(), 0, "a child that waits in a write still takes TERM");
    let mut text = String::new();
    stdout.read_to_string(&mut text).unwrap();
    assert!(!text.is_empty() && text.lines().all(|line| line == "y"));
    minisup.hear("stdout took no more");
}

#[test]
fn a_closed_stdout_is_said_once_and_ends_nothing() {
    let (stdout, to) = pipe();
    drop(stdout);
    let configuration = "
        [service.talk]
        command = ['sh', '-c', 'while :; do echo talk; done']
        [service.end]
        type = 'oneshot'
        command = ['sh', '-c', 'i=0; while [ $i -lt 300 ]; do echo end; i=$((i+1)); done; sleep 0.2']
    ";
    let mut minisup = Minisup::run(configuration, to);
    minisup.hear("cannot write to stdout: Broken pipe");
    minisup.hear("end is done");
    minisup.stop();
    assert_eq!(minisup.exit_code(), 0);
    let again: Vec<String> = minisup.said.iter().filter(|line| line.contains("cannot write")).collect();
    assert_eq!(again, Vec::<String>::new());
}

#[test]
fn last_words_arrive_without_newline_and_from_a_grandchild() {
    let (mut stdout, to) = pipe();
    let configuration = "
        [service.speak]
        type = 'oneshot'
        command = ['sh', '-c', 'setsid sh -c \"sleep 0.1; echo from afar\" & printf last']
        stop = { tree = false }
        [service.wait]
        type = 'oneshot'
        command = ['sleep', '0.5']
    ";
    let mut minisup = Minisup::run(configuration, to);
    let mut text = String::new();
    stdout.read_to_string(&mut text).unwrap();
    assert_eq!(minisup.exit_code(), 0);
    // One pipe, two writers: the line goes on where the other stopped.
    assert_eq!(text, "lastfrom afar\n");
}
