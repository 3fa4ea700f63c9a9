//! What is said, to the second, by a clock of our own.

use super::*;
use std::cell::RefCell;
use std::rc::Rc;

/// A progress that notes what it says.
fn noted(count: usize, total: u64, columns: Option<usize>) -> (Progress, Rc<RefCell<Vec<Say>>>) {
    let said = Rc::new(RefCell::new(Vec::new()));
    let notes = said.clone();
    (Progress::with(count, total, columns, move |say| notes.borrow_mut().push(say)), said)
}

fn at(seconds: f64) -> Moment {
    Moment::from_nanos(1_000_000_000) + Duration::from_secs_f64(seconds)
}

fn place(taken: u64, line: u64) -> Place {
    Place { taken, given: taken, line, is_over: false }
}

fn nothing() -> Option<String> {
    None
}

/// What was said since the last time, in one line each.
fn take(said: &Rc<RefCell<Vec<Say>>>) -> Vec<String> {
    let words = |say: Say| match say {
        Say::Line(text) => text,
        Say::Bar(text) => format!("bar {}", text.unwrap_or_default()),
        Say::Status(text) => format!("STATUS={text}"),
    };
    said.borrow_mut().drain(..).map(words).collect()
}

#[test]
fn a_log_gets_a_line_every_ten_seconds_and_one_at_the_end() {
    let (mut progress, said) = noted(2, 200_000_000, None);
    progress.begin_at(1, "a.sql", 100_000_000, 100_000_000, true, at(0.0));
    assert_eq!(take(&said), ["STATUS=initialising 1/2, 0 %"]);
    for tenth in 1..=200 {
        progress.reached_at(place(tenth * 400_000, tenth * 10), nothing, at(tenth as f64 / 10.0));
    }
    let lines: Vec<String> = take(&said).into_iter().filter(|line| line.starts_with("script")).collect();
    assert_eq!(
        lines,
        [
            "script 1 of 2, a.sql: 40 %, 40 MB of 100 MB, 4.0 MB/s, 40 s left, line 1000",
            "script 1 of 2, a.sql: 80 %, 80 MB of 100 MB, 4.0 MB/s, 30 s left, line 2000"
        ]
    );
    progress.reached_at(place(100_000_000, 2500), nothing, at(20.1));
    take(&said);
    progress.end_at(true, at(25.0));
    assert_eq!(
        take(&said),
        ["script 1 of 2, a.sql: done in 25 s, 100 MB, 4.0 MB/s", "STATUS=initialising 1/2, 50 %"]
    );
}

#[test]
fn the_supervisor_hears_of_a_change_and_once_a_second_at_most() {
    let (mut progress, said) = noted(1, 1000, None);
    progress.begin_at(1, "a.sql", 1000, 1000, true, at(0.0));
    take(&said);
    for hundredth in 1..=250 {
        progress.reached_at(place(hundredth, 1), nothing, at(hundredth as f64 / 100.0));
    }
    assert_eq!(take(&said), ["STATUS=initialising 1/1, 10 %", "STATUS=initialising 1/1, 20 %"]);
    progress.reached_at(place(250, 1), nothing, at(9.0));
    assert_eq!(take(&said), ["STATUS=initialising 1/1, 25 %"]);
    progress.reached_at(place(250, 1), nothing, at(9.9));
    assert_eq!(take(&said), [""; 0]);
}

#[test]
fn a_stall_is_said_with_its_statement_and_again_when_it_lasts() {
    let (mut progress, said) = noted(1, 1000, None);
    progress.begin_at(1, "a.sql", 1000, 1000, true, at(0.0));
    progress.reached_at(place(500, 7), nothing, at(1.0));
    take(&said);
    let mut lines = Vec::new();
    for second in 2..=130 {
        progress.reached_at(place(500, 7), || Some("CREATE INDEX i ON t (c);".into()), at(f64::from(second)));
        lines.extend(take(&said).into_iter().map(|line| format!("{second}: {line}")));
    }
    assert_eq!(
        lines[3..],
        [
            "31: script 1 of 1, a.sql: nothing more of it was read for 30 s, at line 7: CREATE INDEX i ON t (c);",
            "61: script 1 of 1, a.sql: nothing more of it was read for 1 m 0 s, at line 7: CREATE INDEX i ON t (c);",
            "121: script 1 of 1, a.sql: nothing more of it was read for 2 m 0 s, at line 7: CREATE INDEX i ON t (c);"
        ]
    );
    assert!(lines[0].starts_with("10: script 1 of 1, a.sql: 50 %, 500 B of 1.0 kB"), "{}", lines[0]);
    progress.reached_at(place(600, 8), nothing, at(131.0));
    assert_eq!(
        take(&said),
        ["script 1 of 1, a.sql: it goes on after 2 m 10 s", "STATUS=initialising 1/1, 60 %"]
    );
    let over = Place { taken: 1000, given: 1000, line: 9, is_over: true };
    progress.reached_at(over, nothing, at(132.0));
    progress.reached_at(over, || Some("ALTER TABLE t".into()), at(170.0));
    assert!(take(&said).contains(
        &"script 1 of 1, a.sql: all of it has been read; the client has been at the rest for 38 s, at line 9: ALTER TABLE t"
            .to_owned()
    ));
}

#[test]
fn a_bar_fits_the_terminal_and_is_taken_away() {
    let (mut progress, said) = noted(1, 1000, Some(60));
    progress.begin_at(1, "a.sql", 1000, 1000, true, at(0.0));
    progress.reached_at(place(1, 1), nothing, at(0.1));
    progress.reached_at(place(500, 7), nothing, at(2.0));
    progress.end_at(false, at(3.0));
    let bars: Vec<String> = take(&said).into_iter().filter(|line| line.starts_with("bar")).collect();
    assert_eq!(
        bars,
        [
            "bar [------------------------]   0 %  script 1 of 1, a.sql: 0 %",
            "bar [############------------]  50 %  script 1 of 1, a.sql: 50 ",
            "bar "
        ]
    );
}

#[test]
fn packed_scripts_weigh_more_and_shell_scripts_only_take_their_time() {
    let (mut progress, said) = noted(2, 700, None);
    progress.begin_at(1, "a.sql.gz", 100, 100 * PACKED_WEIGHT, true, at(0.0));
    progress.reached_at(place(50, 1), nothing, at(2.0));
    progress.end_at(true, at(3.0));
    progress.begin_at(2, "b.sh", 100, 100, false, at(3.0));
    progress.reached_at(Place::default(), nothing, at(14.0));
    progress.end_at(true, at(15.0));
    assert_eq!(
        take(&said),
        [
            "STATUS=initialising 1/2, 0 %",
            "STATUS=initialising 1/2, 42 %",
            "script 1 of 2, a.sql.gz: done in 3.0 s, 100 B, 16 B/s",
            "STATUS=initialising 1/2, 85 %",
            "script 2 of 2, b.sh: runs since 11 s",
            "STATUS=initialising 2/2, 85 %",
            "script 2 of 2, b.sh: done in 12 s",
            "STATUS=initialising 2/2, 100 %"
        ]
    );
}

#[test]
fn the_supervisor_is_reached_by_path_and_by_abstract_name() {
    let path = std::env::temp_dir().join(format!("minisup-progress-{}", std::process::id()));
    let name = format!("minisup-progress-{}", std::process::id());
    for (address, own) in [
        (path.to_str().unwrap().to_owned(), SocketAddr::from_pathname(&path).unwrap()),
        (format!("@{name}"), SocketAddr::from_abstract_name(&name).unwrap()),
    ] {
        let socket = UnixDatagram::bind_addr(&own).unwrap();
        Progress::new(1, 1, &[("NOTIFY_SOCKET".into(), address.into())]).stage("making the data directory");
        let mut bytes = [0; 100];
        let count = socket.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..count], b"STATUS=initialising: making the data directory");
    }
    std::fs::remove_file(&path).unwrap();
}
