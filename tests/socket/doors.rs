//! Who may come in.

use crate::needs_namespaces;
use crate::person::{Person, as_user, kind, names};
use crate::stage::{Place, Run, supervise};
use crate::support::MINISUP;
use crate::support::container::container;
use minisup::control::wire::{ErrorKind, Reply, Request};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

const ONE: &str = "[service.app]\ncommand = ['sleep', '1001']";
const STRANGER: u32 = 4711;
const GROUP: u32 = 4242;

fn start(config: &str, uid: u32) -> Run {
    let config = config.to_owned();
    let stage = supervise(Place::Pid1, &config);
    let mut run = match uid {
        0 => stage.start(),
        uid => stage.with(move |container| container.uid(uid)).start(),
    };
    run.said("all is up");
    run
}

#[test]
fn a_stranger_cannot_open_the_socket() {
    needs_namespaces!();
    let run = start(ONE, 0);
    let path = run.path("minisup.sock");
    assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o600);
    let error = as_user(STRANGER, STRANGER, &[], || Person::at(&path).err().unwrap());
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    let (code, _, stderr) =
        container(&[MINISUP, "status", "--socket", path.to_str().unwrap()]).not_pid1().uid(STRANGER).run();
    assert_eq!(code, 77, "{stderr}");
    run.stops_with(0);
}

#[test]
fn a_stranger_who_can_open_the_socket_is_sent_away() {
    needs_namespaces!();
    let run = start(ONE, 0);
    let path = run.path("minisup.sock");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    let mut person = as_user(STRANGER, STRANGER, &[GROUP], || Person::at(&path).unwrap());
    // Whatever it asks, before or after.
    let _ = person.write(b"{\"version\":1,\"request\":\"shutdown\"}\n");
    assert_eq!(kind(person.next()), ErrorKind::NotPermitted);
    person.is_sent_away();
    let (code, _, stderr) = container(&[MINISUP, "stop", "app", "--socket", path.to_str().unwrap()])
        .not_pid1()
        .uid(STRANGER)
        .run();
    assert_eq!(code, 77, "{stderr}");
    assert_eq!(Person::of(&run).status().phase, "up");
    run.stops_with(0);
}

#[test]
fn root_may_command_everybodys_supervisor_and_everybody_his_own() {
    needs_namespaces!();
    let run = start(ONE, STRANGER);
    let path = run.path("minisup.sock");
    assert_eq!(path.metadata().unwrap().uid(), STRANGER);
    let restart = Request::Restart { names: names(&["app"]), wait: true };
    assert_eq!(Person::at(&path).unwrap().get(&restart), Reply::Done);
    let reply = as_user(STRANGER, STRANGER, &[], || Person::at(&path).unwrap().get(&restart));
    assert_eq!(reply, Reply::Done);
    run.stops_with(0);
}

#[test]
fn the_control_group_may_command() {
    needs_namespaces!();
    let config = format!("[supervisor]\ncontrol_group = {GROUP}\n{ONE}");
    let run = start(&config, 0);
    let path = run.path("minisup.sock");
    let file = path.metadata().unwrap();
    assert_eq!((file.mode() & 0o7777, file.gid()), (0o660, GROUP));
    let restart = Request::Restart { names: names(&["app"]), wait: true };
    let by_own_group = as_user(STRANGER, GROUP, &[], || Person::at(&path).unwrap().get(&restart));
    assert_eq!(by_own_group, Reply::Done);
    // More groups than fit into one answer of the kernel's, and it is the last of them.
    let many: Vec<u32> = (5000..5100).chain([GROUP]).collect();
    let by_another = as_user(STRANGER, STRANGER, &many, || Person::at(&path).unwrap().get(&restart));
    assert_eq!(by_another, Reply::Done);
    let error = as_user(STRANGER, STRANGER, &[], || Person::at(&path).err().unwrap());
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    run.stops_with(0);
}

#[test]
fn who_became_another_user_belongs_to_that_one() {
    needs_namespaces!();
    let config = format!("[supervisor]\nuser = {STRANGER}\n{ONE}");
    let run = start(&config, 0);
    let path = run.path("minisup.sock");
    assert_eq!(path.metadata().unwrap().uid(), STRANGER);
    let status = as_user(STRANGER, STRANGER, &[], || Person::at(&path).unwrap().status());
    assert_eq!(status.phase, "up");
    run.stops_with(0);
}
