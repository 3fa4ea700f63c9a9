//! Where the socket is, and what was there before.

use crate::needs_namespaces;
use crate::person::Person;
use crate::stage::{Place, supervise};
use std::os::unix::net::UnixListener;

const ONE: &str = "[service.app]\ncommand = ['sleep', '1001']";

/// A service that asks for the status of the whole once the gate is open, as somebody in the
/// container would.
const ASKS: &str = r#"
    [service.asks]
    type = "oneshot"
    command = ["sh", "-c", "read go <${DIR}/gate; exec /proc/1/exe status asks"]
"#;

#[test]
fn the_file_is_there_while_minisup_is() {
    needs_namespaces!();
    let mut run = supervise(Place::Pid1, ONE).start();
    run.said("all is up");
    let path = run.path("minisup.sock");
    assert!(path.exists());
    run.signal(libc::SIGTERM);
    let stage = path.parent().unwrap().to_owned();
    run.said("everything has stopped");
    assert!(stage.exists() && !path.exists());
    run.ends_with(0);
}

#[test]
fn a_missing_directory_is_made() {
    needs_namespaces!();
    let config = format!("[supervisor]\ncontrol_socket = '${{DIR}}/a/b/c.sock'\n{ONE}");
    let mut run = supervise(Place::Pid1, &config).start();
    run.said("all is up");
    assert_eq!(Person::at(&run.path("a/b/c.sock")).unwrap().status().phase, "up");
    run.stops_with(0);
}

#[test]
fn a_dead_socket_is_replaced() {
    needs_namespaces!();
    let stage = supervise(Place::Pid1, ONE);
    drop(UnixListener::bind(stage.folder().join("minisup.sock")).unwrap());
    let mut run = stage.start();
    run.said("all is up");
    assert_eq!(Person::of(&run).status().phase, "up");
    run.stops_with(0);
}

#[test]
fn a_socket_in_use_is_let_alone_and_said() {
    needs_namespaces!();
    let stage = supervise(Place::NotPid1, ONE).with(|container| container.env("XDG_RUNTIME_DIR", ""));
    let path = stage.folder().join("minisup.sock");
    let theirs = UnixListener::bind(&path).unwrap();
    let folder = stage.folder().to_str().unwrap().to_owned();
    let mut run = stage.with(move |container| container.env("TMPDIR", &folder)).start();
    let warning = run.said("cannot listen at");
    let whose = format!("somebody else listens there (pid {}, uid 0)", std::process::id());
    assert!(warning.contains(&whose), "{warning}");
    let elsewhere = run.said("the control socket is");
    run.said("all is up");
    // Ours is elsewhere; theirs works.
    let ours = elsewhere.split("the control socket is ").nth(1).unwrap().split(" (").next().unwrap();
    assert_eq!(Person::at(ours.as_ref()).unwrap().status().phase, "up");
    theirs.set_nonblocking(true).unwrap();
    let _came: Vec<_> = theirs.incoming().map_while(Result::ok).collect();
    let _client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    theirs.accept().unwrap();
    run.stops_with(0);
    assert!(!std::path::Path::new(ours).exists());
}

#[test]
fn what_is_no_socket_is_let_alone() {
    needs_namespaces!();
    let stage = supervise(Place::Pid1, ONE).file("minisup.sock", "precious");
    let folder = stage.folder().to_str().unwrap().to_owned();
    let mut run = stage.with(move |container| container.env("TMPDIR", &folder)).start();
    run.said("it is there, and no socket");
    run.said("all is up");
    assert_eq!(std::fs::read_to_string(run.path("minisup.sock")).unwrap(), "precious");
    run.stops_with(0);
}

#[test]
fn another_user_goes_to_the_runtime_directory_and_its_clients_find_it() {
    needs_namespaces!();
    let config = format!("[supervisor]\ncontrol_socket = '/run/minisup-test-of-nobody.sock'\n{ASKS}");
    let stage = supervise(Place::Pid1, &config).gate("gate");
    let folder = stage.folder().to_str().unwrap().to_owned();
    let mut run =
        stage.with(move |c| c.uid(4711).env("MINISUP_SOCKET", "").env("XDG_RUNTIME_DIR", &folder)).start();
    assert!(run.said("the control socket is").contains("/minisup.sock (cannot listen at /run/"));
    run.said("asks started");
    run.open("gate");
    assert!(run.heard("asks ").contains("running"));
    run.ends_with(0);
}

#[test]
fn without_one_it_goes_to_the_temporary_directory_and_clients_find_it() {
    needs_namespaces!();
    let config = format!("[supervisor]\ncontrol_socket = '/run/minisup-test-of-nobody.sock'\n{ASKS}");
    let stage = supervise(Place::Pid1, &config).gate("gate");
    let folder = stage.folder().to_str().unwrap().to_owned();
    let change = move |c: crate::support::container::Container| {
        c.uid(4711).env("MINISUP_SOCKET", "").env("XDG_RUNTIME_DIR", "").env("TMPDIR", &folder)
    };
    let mut run = stage.with(change).start();
    assert!(run.said("the control socket is").contains("/minisup-4711-"));
    run.said("asks started");
    run.open("gate");
    assert!(run.heard("asks ").contains("running"));
    run.ends_with(0);
}

#[test]
fn on_a_read_only_root_services_run_without_a_socket() {
    needs_namespaces!();
    let stage = supervise(Place::Pid1, ONE).with(|c| c.read_only().env("XDG_RUNTIME_DIR", ""));
    let mut run = stage.start();
    let warning = run.said("there is no control socket");
    assert!(warning.contains("read-only file system"), "{warning}");
    run.said("all is up");
    run.stops_with(0);
}

#[test]
fn on_a_full_disk_services_run_without_a_socket() {
    needs_namespaces!();
    let full = "mkdir $DIR/full; mount -t tmpfs -o nr_inodes=1 none $DIR/full";
    let config = format!("[supervisor]\ncontrol_socket = '${{DIR}}/full/minisup.sock'\n{ONE}");
    let stage = supervise(Place::Pid1, &config).after(full);
    let folder = stage.folder().join("full").to_str().unwrap().to_owned();
    let mut run = stage.with(move |c| c.env("XDG_RUNTIME_DIR", "").env("TMPDIR", &folder)).start();
    let warning = run.said("there is no control socket");
    assert!(warning.contains("no space left on device"), "{warning}");
    run.said("all is up");
    run.stops_with(0);
}

#[test]
fn it_is_found_again_after_minisup_was_killed() {
    needs_namespaces!();
    let stage = supervise(Place::Pid1, ONE);
    let path = stage.folder().join("minisup.sock");
    // The first one is killed and leaves its file.
    let first = r#"$DIR/first & while ! test -S $DIR/minisup.sock; do sleep 0.01; done; kill -9 $!; wait $! || true; echo second >&2"#;
    let script = format!("#!/bin/sh\nexec {} --config $DIR/supervise.toml\n", crate::support::MINISUP);
    let stage = stage.file("first", &script).after(&format!("chmod +x $DIR/first; {first}"));
    let mut run = stage.start();
    run.said("second");
    run.said("all is up");
    assert_eq!(Person::at(&path).unwrap().status().phase, "up");
    run.stops_with(0);
}
