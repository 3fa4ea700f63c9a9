//! A configuration that cannot be used changes nothing, and everything that is wrong is said.

use crate::needs_namespaces;
use crate::play::{lines_until, pids, place, stage, up, updated};
use crate::stage::Run;

const GOOD: &str =
    "[service.a]\ncommand = 'sleep 1001'\n[service.b]\ncommand = 'sleep 1002'\nrequires = ['a']\n";

/// After this text was read, all of these have been said and nothing else has happened.
fn changes_nothing(run: &mut Run, text: &str, said: &[&str]) {
    let before = pids(run);
    run.write("supervise.toml", text);
    run.signal(libc::SIGHUP);
    run.said("got HUP, but the configuration cannot be used; nothing has changed");
    let end = if said.len() == 1 { "1 error".to_string() } else { format!("{} errors", said.len()) };
    let lines = lines_until(run, &end);
    for part in said {
        assert!(place(&lines, part) < lines.len());
    }
    assert!(lines.iter().all(|line| line.starts_with("minisup: error: ")), "{lines:#?}");
    assert_eq!(pids(run), before);
}

#[test]
fn what_cannot_be_used_changes_nothing_and_all_of_it_is_said() {
    needs_namespaces!();
    let mut run = up(GOOD);
    changes_nothing(&mut run, "[service.a\ncommand = 'x'", &["supervise.toml:1"]);
    changes_nothing(
        &mut run,
        &format!("{GOOD}after = ['c']\n[service.c]\ncommand = 'x'\nrequires = ['b']"),
        &["supervise.toml:"],
    );
    changes_nothing(
        &mut run,
        &format!("{GOOD}comand = 'x'\nnice = 77\n[service.c]\ncommand = 'x'\nuser = 'nobody-at-all'"),
        &["did you mean \"command\"?", "nice", "there is no user \"nobody-at-all\""],
    );
    changes_nothing(&mut run, &format!("include = ['nowhere.toml']\n{GOOD}"), &["there is no such file"]);
    std::fs::remove_file(run.path("supervise.toml")).unwrap();
    let before = pids(&run);
    run.signal(libc::SIGHUP);
    run.said("there is no such file");
    assert_eq!(pids(&run), before);
    // And a good one is good afterwards.
    updated(&mut run, &GOOD.replace("1002", "1003"));
    assert!(pids(&run).contains_key("sleep 1003"));
    run.stops_with(0);
}

#[test]
fn a_pipe_in_its_place_does_not_make_pid_1_wait() {
    needs_namespaces!();
    let mut run = up(GOOD);
    let before = pids(&run);
    std::fs::remove_file(run.path("supervise.toml")).unwrap();
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
    nix::unistd::mkfifo(&run.path("supervise.toml"), mode).unwrap();
    run.signal(libc::SIGHUP);
    run.said("it is no regular file, and cannot be read a second time");
    assert_eq!(pids(&run), before);
    run.stops_with(0);
}

#[test]
fn who_has_given_up_root_says_why_it_cannot_read_the_files_again() {
    needs_namespaces!();
    let mut run =
        stage(&format!("supervisor.user = '12345'\n{GOOD}")).after("chmod 600 $DIR/supervise.toml").start();
    run.said("all is up");
    let before = pids(&run);
    run.signal(libc::SIGHUP);
    run.said("permission denied");
    run.said("minisup has become user 12345 ([supervisor] user) and reads as that user now");
    assert_eq!(pids(&run), before);
    run.stops_with(0);
}

#[test]
fn who_has_given_up_root_can_still_update_what_it_can_read() {
    needs_namespaces!();
    let config = format!("supervisor.user = '12345'\n{GOOD}");
    let mut run = up(&config);
    let lines = updated(&mut run, &config.replace("1002", "1003"));
    assert!(place(&lines, "update: b replaced (command), 1 unchanged") < lines.len());
    run.stops_with(0);
}
