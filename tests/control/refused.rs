//! Where there is no supervisor, where we may not ask it, and where we ask nonsense.

use crate::asking::{USUAL, answer, ask, client, supervisor};
use crate::needs_namespaces;
use crate::support::container::container;
use crate::support::{Lines, MINISUP};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// One line of every command that asks a supervisor.
pub const ALL: [&[&str]; 13] = [
    &["status"],
    &["health"],
    &["logs"],
    &["events"],
    &["start", "web"],
    &["stop", "web"],
    &["restart", "web"],
    &["reload", "web"],
    &["signal", "CONT", "web"],
    &["wait", "web"],
    &["update", "--dry-run"],
    &["shutdown"],
    &["status", "--watch"],
];

#[test]
fn without_a_supervisor_every_command_says_where_it_looked() {
    for words in ALL {
        let nowhere = std::env::temp_dir().join("minisup-is-not-here");
        let said = answer(Command::new(MINISUP).args(words).env("MINISUP_SOCKET", &nowhere)).fails_with(69);
        let wanted = format!("minisup: no supervisor at {}", nowhere.display());
        assert!(said.starts_with(&wanted) && said.contains("--socket PATH"), "{words:?}: {said}");
    }
}

#[test]
fn the_socket_may_be_named_before_and_behind_the_command_and_by_a_variable() {
    let named = |words: &[&str], variable: &str| {
        answer(Command::new(MINISUP).args(words).env("MINISUP_SOCKET", variable)).fails_with(69)
    };
    for words in [
        &["--socket", "/nowhere/a", "status"][..],
        &["--socket=/nowhere/a", "status", "web"],
        &["status", "--socket", "/nowhere/a"],
    ] {
        assert!(named(words, "/nowhere/b").contains("at /nowhere/a ("), "{words:?}");
    }
    assert!(named(&["health"], "/nowhere/b").contains("at /nowhere/b ("));
    // An empty variable names nothing: all usual places are tried.
    assert!(named(&["health", "--socket", "/nowhere/c"], "").contains("at /nowhere/c ("));
}

#[test]
fn a_socket_that_a_dead_supervisor_left_is_nobody() {
    let folder = std::env::temp_dir().join(format!("minisup-dead-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("socket");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let said = answer(Command::new(MINISUP).arg("health").env("MINISUP_SOCKET", &path)).fails_with(69);
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(said.contains("connection refused"), "{said}");
}

#[test]
fn another_user_may_not_ask() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    for words in ALL {
        let words = [&[MINISUP], words].concat();
        let socket = run.path("socket");
        let stranger = container(&words).not_pid1().uid(65_534);
        let (code, _, said) = stranger.env("MINISUP_SOCKET", socket.to_str().unwrap()).run();
        assert_eq!(code, 77, "{words:?}: {said}");
        assert!(said.contains("permission denied"), "{words:?}: {said}");
    }
    run.stops_with(0);
}

#[test]
fn an_unknown_name_is_answered_with_one_that_is_alike() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    for words in [
        &["status", "wep"][..],
        &["start", "wep"],
        &["stop", "wep"],
        &["restart", "wep"],
        &["reload", "wep"],
        &["signal", "CONT", "wep"],
        &["wait", "wep"],
        &["logs", "wep"],
    ] {
        let said = ask(&run, words).fails_with(1);
        assert!(said.contains("did you mean \"web\"?"), "{words:?}: {said}");
    }
    let said = ask(&run, &["stop", "wbe"]).fails_with(1);
    assert!(said.contains("did you mean \"web\"?"), "two letters have changed places: {said}");
    assert_eq!(ask(&run, &["health"]).code, 0);
    run.stops_with(0);
}

#[test]
fn a_wrong_command_line_is_2_and_a_wrong_command_is_told_the_right_one() {
    for words in
        [&["start"][..], &["wait", "web", "--timeout", "10"], &["status", "--jsn"], &["signal", "HUP"]]
    {
        answer(Command::new(MINISUP).args(words)).fails_with(2);
    }
    let said = answer(Command::new(MINISUP).args(["statsu", "web"])).fails_with(2);
    assert!(said.contains("did you mean \"status\"?"), "{said}");
}

#[test]
fn a_command_may_stand_behind_the_configuration_as_words_behind_an_image_do() {
    let folder = std::env::temp_dir().join(format!("minisup-behind-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let put = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let file = put("supervise.toml", "[service.a]\ncommand = \"sleep 1\"\n");
    let broken = put("broken.toml", "[service.b]\n");
    let with = |words: &[&str]| answer(Command::new(MINISUP).args(words).env("MINISUP_SOCKET", "/nowhere/s"));
    for before in [&["--config", &file][..], &["-c", &file, "--"], &["run", "--config", &file]] {
        let said = with(&[before, &["check"]].concat()).good();
        assert_eq!(said, format!("{file}: 1 service, no error, no warning\n"));
        assert!(with(&[before, &["check", "--plan"]].concat()).good().contains("launch order"));
        for words in [&["status", "--json"][..], &["logs", "-f"], &["health"]] {
            let said = with(&[before, words].concat()).fails_with(69);
            assert!(said.contains("no supervisor at /nowhere/s"), "{words:?}: {said}");
        }
        with(&[before, &["exec", "--", "sh", "-c", "exit 7"]].concat()).fails_with(7);
    }
    let both = with(&["-c", &file, "-c", &broken, "check"]).fails_with(78);
    assert!(both.contains("broken.toml:1:"), "{both}");
    let said = with(&["--config", &file, "statsu"]).fails_with(2);
    assert!(said.contains("did you mean \"status\"?"), "{said}");
    assert_eq!(with(&["--config", &file, "probe"]).code, 127, "it is for the supervisor");
    // A program of that name is what it was.
    put("status", "#!/bin/sh\necho \"a program $*\"\n");
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let program = answer(Command::new(MINISUP).args(["--config", &file, "status", "-x"]).env("PATH", &path));
    assert_eq!(program.stdout, "a program -x\n");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_client_that_sends_half_a_line_keeps_nobody_waiting() {
    use std::io::Write;
    needs_namespaces!();
    let run = supervisor(USUAL);
    let mut half = std::os::unix::net::UnixStream::connect(run.path("socket")).unwrap();
    half.write_all(b"{\"version\":1,\"request\":").unwrap();
    assert_eq!(ask(&run, &["health"]).code, 0);
    half.write_all(b"\"health\"}\n").unwrap();
    let answered = Lines::new(half.into()).next().unwrap();
    assert!(answered.contains("\"reply\":\"health\""), "{answered}");
    run.stops_with(0);
}

#[test]
fn output_that_cannot_be_written_is_said_and_is_a_failure() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    let to = |words: &[&str], place: &str| {
        let file = std::fs::OpenOptions::new().write(true).open(place).unwrap();
        let output = client(&run, words).env("DIR", "/tmp").stdout(file).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let file = run.path("supervise.toml");
    let file = file.to_str().unwrap();
    for words in [
        &["status"][..],
        &["status", "--json"],
        &["status", "--watch"],
        &["health"],
        &["health", "--json"],
        &["logs"],
        &["logs", "--follow"],
        &["events"],
        &["update", "--dry-run"],
        &["update", "--dry-run", "--json"],
        &["wait", "web"],
        &["restart", "web"],
        &["check", "--config", file],
        &["check", "--config", file, "--json"],
        &["check", "--config", file, "--plan"],
        &["render", file, "--to", "-"],
        &["completions", "bash"],
        &["man"],
        &["--help"],
        &["--version"],
    ] {
        let (code, said) = to(words, "/dev/full");
        let wanted = "minisup: cannot write the output: no space left on device\n";
        assert_eq!((code, said.as_str()), (Some(1), wanted), "{words:?}");
    }
    // Its own code says more.
    assert_eq!(to(&["status", "spare"], "/dev/full").0, Some(3));
    assert_eq!(to(&["status"], "/dev/null"), (Some(0), String::new()));
    run.stops_with(0);
}

#[test]
fn a_reader_who_has_gone_is_no_failure() {
    for words in [&["completions", "bash"][..], &["man"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(MINISUP).args(words).stdout(writer).output().unwrap();
        assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]), "{words:?}");
    }
}
