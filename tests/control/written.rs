//! logs.

use crate::asking::{ask, follow, json, supervisor};
use crate::needs_namespaces;
use crate::screen::Screen;
use crate::support::wait_until;

/// Each writes a line to stdout for every line that comes through its gate.
const TALK: &str = r#"
[service.web]
command = ["sh", "-c", "echo web begins; while read line <${DIR}/web; do n=$((n+1)); echo web $n; done"]

[service.longer]
command = ["sh", "-c", "echo longer begins >&2; exec sleep 1000"]
"#;

fn talkers() -> crate::stage::Run {
    let mut run = crate::asking::stage(TALK).gate("web").start();
    run.said("all is up");
    wait_until("their first lines", || ask(&run, &["logs"]).stdout.lines().count() == 2);
    run
}

#[test]
fn of_one_service_its_lines_are_shown_as_it_wrote_them() {
    needs_namespaces!();
    let mut run = talkers();
    assert_eq!(ask(&run, &["logs", "web"]).good(), "web begins\n");
    assert_eq!(ask(&run, &["logs", "longer"]).good(), "longer begins\n", "stderr, too");
    for number in 1..=3 {
        run.open("web");
        run.heard(&format!("web {number}"));
    }
    assert_eq!(ask(&run, &["logs", "web", "-n", "2"]).good(), "web 2\nweb 3\n");
    assert_eq!(ask(&run, &["logs", "web", "-n", "0"]).good(), "");
    run.stops_with(0);
}

#[test]
fn of_several_services_each_line_says_whose_it_is() {
    needs_namespaces!();
    let run = talkers();
    let said = ask(&run, &["logs"]).good();
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["longer | longer begins", "web    | web begins"]);
    assert_eq!(ask(&run, &["logs", "l*", "web"]).good().lines().count(), 2);
    let stamped = ask(&run, &["logs", "-t", "longer"]).good();
    assert!(stamped.starts_with("20") && stamped.ends_with("Z longer begins\n"), "{stamped}");
    run.stops_with(0);
}

#[test]
fn programs_get_one_document_a_line() {
    needs_namespaces!();
    let run = talkers();
    let line = json(&ask(&run, &["logs", "--json", "longer"]).good());
    assert_eq!(
        (&line["service"], &line["stream"], &line["message"]),
        (&"longer".into(), &"stderr".into(), &"longer begins".into())
    );
    run.stops_with(0);
}

#[test]
fn following_goes_on_until_the_end() {
    needs_namespaces!();
    let mut run = talkers();
    let (_client, mut lines) = follow(&run, &["logs", "-f", "web"]);
    assert_eq!(lines.next().unwrap(), "web begins");
    for number in 1..=3 {
        run.open("web");
        assert_eq!(lines.next().unwrap(), format!("web {number}"));
    }
    let (_last, mut lines) = follow(&run, &["logs", "--follow", "--lines", "1"]);
    assert!(lines.next().unwrap().contains(" | "));
    run.stops_with(0);
    while lines.next().is_some() {}
}

#[test]
fn labels_have_colours_on_a_terminal() {
    needs_namespaces!();
    let run = talkers();
    let mut screen = Screen::of(&run, &["logs"], &[]);
    let mut seen = screen.at_the_end();
    seen.sort_unstable();
    assert_eq!(seen, ["longer | longer begins", "web    | web begins"]);
    assert!(screen.is_coloured);
    run.stops_with(0);
}

#[test]
fn what_was_written_before_the_first_question_is_remembered() {
    needs_namespaces!();
    let run = supervisor(
        "[service.once]\ntype = \"oneshot\"\ncommand = \"echo said once\"\n[service.on]\ncommand = \"sleep 1000\"\n",
    );
    assert_eq!(ask(&run, &["logs", "once"]).good(), "said once\n");
    run.stops_with(0);
}

#[test]
fn who_has_written_nothing_is_said_to_people_and_not_in_the_log() {
    needs_namespaces!();
    let run = supervisor(
        "[service.mute]\ncommand = \"sleep 1000\"\n[service.other]\ncommand = \"sleep 1001\"\nstdout = \"inherit\"\n",
    );
    let said = |words: &[&str]| {
        let answer = ask(&run, words);
        assert_eq!((answer.code, answer.stdout.as_str()), (0, ""), "{words:?}");
        answer.stderr
    };
    let mute = said(&["logs", "mute"]);
    assert!(mute.starts_with("minisup: mute has written nothing that is remembered"), "{mute}");
    let all = said(&["logs"]);
    assert!(all.starts_with("minisup: none of them has written anything that is remembered"), "{all}");
    assert_eq!(said(&["logs", "--json"]), "");
    run.stops_with(0);
}
