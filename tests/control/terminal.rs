//! Before a terminal: tables that are drawn over, progress, colours.

use crate::asking::{SLOW, USUAL, ask, status_of, supervisor};
use crate::needs_namespaces;
use crate::screen::Screen;

#[test]
fn watching_redraws_one_table_in_its_place() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    let mut screen = Screen::of(&run, &["status", "--watch"], &[]);
    let line = |lines: &[String], start: &str| lines.iter().any(|line| line.starts_with(start));
    screen.shows("the table", |lines| line(lines, "web      running  ready"));
    ask(&run, &["stop", "web"]).good();
    let seen = screen.shows("the stop", |lines| line(lines, "web      stopped  -"));
    assert_eq!(seen.len(), 5, "there is one table: {seen:#?}");
    assert_eq!(seen.iter().filter(|line| line.starts_with("NAME")).count(), 1, "{seen:#?}");
    ask(&run, &["start", "web"]).good();
    let seen = screen.shows("the start", |lines| line(lines, "web      running  ready"));
    assert_eq!(seen.len(), 5, "{seen:#?}");
    assert!(screen.is_coloured);
    // The clock goes on without anything that happens.
    let uptime = |lines: &[String]| lines.iter().find(|line| line.starts_with("app ")).cloned();
    let before = uptime(&seen);
    screen.shows("another uptime", |lines| line(lines, "app") && uptime(lines) != before);
    screen.keys("\x03");
    assert_eq!(screen.client.wait(), 130);
    run.stops_with(0);
}

#[test]
fn more_services_than_rows_are_counted() {
    needs_namespaces!();
    let services: String =
        (0..60).map(|n| format!("[service.s{n:02}]\ncommand = \"sleep 10{n:02}\"\n")).collect();
    let run = supervisor(&services);
    let mut screen = Screen::of(&run, &["status", "--watch"], &[]);
    let seen = screen.shows("the last line", |lines| lines.last().is_some_and(|l| l == "and 33 more"));
    assert_eq!(seen.len(), 29, "{seen:#?}");
    drop(screen);
    run.stops_with(0);
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    for (environment, is_coloured) in
        [(&[][..], true), (&[("NO_COLOR", "1")], false), (&[("TERM", "dumb")], false)]
    {
        let mut screen = Screen::of(&run, &["status"], environment);
        let seen = screen.at_the_end();
        assert!(seen[1].starts_with("web      running  ready"), "{seen:#?}");
        assert_eq!(screen.is_coloured, is_coloured, "{environment:?}");
    }
    run.stops_with(0);
}
#[test]
fn what_is_waited_for_is_shown_in_one_line_that_goes_away() {
    needs_namespaces!();
    let run = supervisor(SLOW);
    let mut screen = Screen::of(&run, &["start", "slow"], &[]);
    let seen =
        screen.shows("progress", |lines| lines.iter().any(|line| line.starts_with("slow: starting, pid ")));
    assert_eq!(seen.len(), 1, "{seen:#?}");
    // The clock of it goes on.
    screen.shows("a second", |lines| lines.iter().any(|line| line.contains("(1 s)")));
    run.write("up", "");
    let seen = screen.at_the_end();
    assert_eq!(seen.len(), 1, "{seen:#?}");
    let pid = status_of(&run, "slow")["pid"].clone();
    assert_eq!(seen[0], format!("slow: running, ready, pid {pid}"));
    assert_eq!(screen.client.wait(), 0);
    run.stops_with(0);
}

#[test]
fn control_c_says_that_what_was_begun_goes_on() {
    needs_namespaces!();
    let run = supervisor(SLOW);
    let mut screen = Screen::of(&run, &["start", "slow"], &[]);
    screen.shows("progress", |lines| lines.iter().any(|line| line.starts_with("slow: starting")));
    screen.keys("\x03");
    let seen = screen.at_the_end();
    let said = "minisup: no longer waiting: the start of slow goes on";
    // The terminal shows the key, too.
    assert!(seen.iter().any(|line| line.ends_with(said)), "{seen:#?}");
    assert_eq!(screen.client.wait(), 130);
    assert_eq!(status_of(&run, "slow")["state"], "starting");
    run.stops_with(0);
}

#[test]
fn who_is_to_be_replaced_is_not_taken_for_who_replaces_it() {
    needs_namespaces!();
    let services = r#"
        [service.app]
        command = "sleep 1001"
        ready = { exec = ["test", "!", "-e", "${DIR}/down"], interval = "20ms" }
        restart_mode = "rolling"
    "#;
    let run = supervisor(services);
    run.write("down", "");
    let pid = status_of(&run, "app")["pid"].clone();
    let mut screen = Screen::of(&run, &["restart", "app"], &[]);
    let line = format!("app: running, ready, pid {pid}, to be replaced (");
    screen.shows("progress", |lines| lines.iter().any(|shown| shown.starts_with(&line)));
    std::fs::remove_file(run.path("down")).unwrap();
    let seen = screen.at_the_end();
    let pid = status_of(&run, "app")["pid"].clone();
    assert_eq!(seen, [format!("app: running, ready, pid {pid}")]);
    run.stops_with(0);
}
