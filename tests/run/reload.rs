//! Reading the configuration again: the check first, then the signal or the command.

use crate::needs_namespaces;
use crate::stage::{Place, Run, ask, supervise};

/// A service that says when it gets HUP, and a check that looks into a file.
const CONFIG: &str = r#"
    [supervisor]
    control_socket = "${DIR}/socket"

    [service.web]
    command = ["sh", "-c", "trap 'echo reloaded' HUP; echo begun; while :; do sleep 0.02; done"]
    reload = { signal = "HUP", check = ["sh", "-c", "cat ${DIR}/conf; grep -q good ${DIR}/conf || exit 3"] }
"#;

/// `minisup reload web`: its exit code, and what it wrote.
pub fn reload(run: &Run, service: &str) -> (i32, String) {
    let asked = run.ask(&["reload", service]);
    let said = [asked.stdout, asked.stderr].concat();
    (asked.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned())
}

pub fn a_reload_checks_first_and_touches_nothing_if_that_fails(place: Place) {
    let mut run = supervise(place, CONFIG).file("conf", "good\n").start();
    run.heard("begun");
    run.said("all is up");
    let (code, said) = reload(&run, "web");
    assert_eq!(code, 0, "{said}");
    assert_eq!(run.heard(""), "good");
    assert_eq!(run.heard(""), "reloaded");
    run.write("conf", "unexpected }\n");
    let (code, said) = reload(&run, "web");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("its check failed: exit code 3") && said.contains("unexpected }"), "{said}");
    assert_eq!(run.heard(""), "unexpected }");
    run.write("conf", "good again\n");
    assert_eq!(reload(&run, "web").0, 0);
    assert_eq!(run.heard(""), "good again");
    // It would be here by now, before this.
    assert_eq!(run.heard(""), "reloaded");
    run.stops_with(0);
}

#[test]
fn a_check_that_hangs_is_ended_and_the_service_goes_on() {
    needs_namespaces!();
    let config = CONFIG.replace(
        "cat ${DIR}/conf; grep -q good ${DIR}/conf || exit 3\"]",
        "echo hangs; exec sleep 1001\"], timeout = \"200ms\"",
    );
    let mut run = supervise(Place::Pid1, &config).start();
    run.heard("begun");
    run.said("all is up");
    let (code, said) = reload(&run, "web");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("not done within 200ms") && said.contains("hangs"), "{said}");
    assert!(!run.processes().iter().any(|process| process.command == "sleep 1001"));
    run.stops_with(0);
}

#[test]
fn a_command_reloads_each_instance_one_after_the_other() {
    needs_namespaces!();
    let config = r#"
        [supervisor]
        control_socket = "${DIR}/socket"

        [service.web]
        command = ["sleep", "1001"]
        instances = 3
        reload.exec = ["sh", "-c", "echo begin ${instance}; sleep 0.05; echo end $MINISUP_INSTANCE"]
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    run.said("all is up");
    let (code, said) = reload(&run, "web");
    assert_eq!(code, 0, "{said}");
    for number in 0..3 {
        assert_eq!(run.heard(""), format!("begin {number}"));
        assert_eq!(run.heard(""), format!("end {number}"));
    }
    run.stops_with(0);
}

#[test]
fn a_long_check_gives_its_last_lines_and_all_of_them_go_to_the_log() {
    needs_namespaces!();
    let config = CONFIG.replace("cat ${DIR}/conf; grep -q good ${DIR}/conf || exit 3", "seq 100000; exit 1");
    let mut run = supervise(Place::Pid1, &config).start();
    run.heard("begun");
    run.said("all is up");
    let reading = std::thread::spawn({
        let socket = run.path("socket");
        move || {
            let asked = ask(&socket, &["reload", "web"]);
            String::from_utf8_lossy(&asked.stderr).into_owned()
        }
    });
    for number in 1..=100_000 {
        assert_eq!(run.heard(""), number.to_string());
    }
    let said = reading.join().unwrap();
    assert!(said.contains("exit code 1\n99991\n") && said.contains("\n100000"), "{said}");
    run.stops_with(0);
}
