//! Who reads what minisup writes and was there before it, as where an entrypoint ends with
//! `exec > >(tee log); exec minisup`.

use crate::needs_namespaces;
use crate::stage::{Place, Run, Stage, supervise};
use crate::support::wait_until;
use std::fs::File;
use std::io::Read;
use std::time::Duration;

/// The reader is our child, and we write to its pipe; then we become minisup.
fn read_by(place: Place, config: &str, reader: &str) -> Stage {
    let prelude =
        format!("mkfifo $DIR/pipe; ({reader}) < $DIR/pipe & exec > $DIR/pipe 2>&1; sleep 2002 & exec");
    supervise(place, config).after(&prelude)
}

/// With a daemon that only the last sweep ends.
const APP: &str = r#"
    [service.app]
    command = ["sh", "-c", "trap 'echo last words; exit' TERM; (setsid sleep 2001 &); echo begun; while :; do sleep 0.02; done"]
    stop.tree = false
"#;

/// Asks it to stop, and returns the reader's log when all is over: the last lines are in it.
fn complete_log(run: Run) -> String {
    let path = run.path("log");
    let has_begun = || std::fs::read_to_string(&path).is_ok_and(|text| text.contains("begun\n"));
    wait_until("the first line in the log", has_begun);
    // The folder goes with the run; what is open stays.
    let mut log = File::open(&path).unwrap();
    run.signal(libc::SIGTERM);
    run.ends_within(Duration::from_secs(5), 0);
    let mut text = String::new();
    log.read_to_string(&mut text).unwrap();
    // Which of them is the very last depends on when the service's pipe is read.
    for last in ["last words\n", "minisup: everything has stopped; exit code 0\n"] {
        assert!(text.contains(last), "{text}");
    }
    assert!(text.ends_with('\n'), "{text}");
    text
}

pub fn a_tee_that_was_there_before_us_gets_our_very_last_line(place: Place) {
    let run = read_by(place, APP, "exec tee $DIR/log").start();
    run.process("sleep 2002");
    complete_log(run);
}

#[test]
fn a_whole_pipeline_of_readers_gets_it_however_slow() {
    needs_namespaces!();
    // Each line takes its time, and the end comes with many of them in the pipes.
    let slow = "cat | while read line; do sleep 0.003; echo \"$line\"; done | cat > $DIR/log";
    let app = APP.replace("echo last words", "seq 30; echo last words");
    let text = complete_log(read_by(Place::Pid1, &app, slow).start());
    assert!(text.contains("\n29\n30\n"), "{text}");
}

#[test]
fn a_reader_that_does_not_end_with_its_input_holds_up_nobody() {
    needs_namespaces!();
    for place in [Place::Pid1, Place::NotPid1] {
        let mut run = read_by(place, APP, "tee $DIR/log; sleep 2003").start();
        run.heard("begun");
        run.signal(libc::SIGTERM);
        run.ends_within(Duration::from_secs(5), 0);
    }
}

#[test]
fn after_a_fault_of_our_own_it_gets_our_last_line_too() {
    needs_namespaces!();
    let mut run = read_by(Place::Pid1, APP, "exec tee $DIR/log").with(crate::faults::with_a_fault).start();
    run.heard("this is a fault of minisup itself");
    run.heard("last words");
    run.ends_within(Duration::from_secs(5), 70);
}
