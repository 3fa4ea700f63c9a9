//! What an update does to sockets that are held.

use crate::needs_namespaces;
use crate::play::{has, lines_until, pids, up, update, updated};
use crate::support::wait_until;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;

fn app(command: &str, sockets: &str) -> String {
    format!("[service.app]\ncommand = {command}\nsockets = {{ {sockets} }}")
}

#[test]
fn a_socket_is_kept_while_everything_around_it_changes() {
    needs_namespaces!();
    let mut run = up(&app("'sleep 1001'", r#"app = "unix://${DIR}/app.sock""#));
    let inode = std::fs::metadata(run.path("app.sock")).unwrap().ino();
    updated(&mut run, &app("'sleep 1002'", r#"app = "unix://${DIR}/app.sock""#));
    assert_eq!(std::fs::metadata(run.path("app.sock")).unwrap().ino(), inode);
    // Another mode needs no new process.
    let before = pids(&run);
    let lines = updated(&mut run, &app("'sleep 1002'", r#"app = "unix://${DIR}/app.sock?mode=0600""#));
    assert!(has(&lines, "app in place (sockets.app)"), "{lines:#?}");
    assert_eq!(std::fs::metadata(run.path("app.sock")).unwrap().mode() & 0o777, 0o600);
    assert_eq!(pids(&run), before);
    run.stops_with(0);
}

#[test]
fn a_socket_that_is_removed_closes_when_its_service_has_drained() {
    needs_namespaces!();
    let slow = r#"["sh", "-c", "trap 'echo asked; read go < ${DIR}/gate; exit 0' TERM; echo up; while :; do sleep 0.05; done"]"#;
    let services = app(slow, r#"app = "unix://${DIR}/app.sock""#);
    let mut run = crate::play::stage(&services).gate("gate").start();
    run.heard("up");
    update(&run, "[service.app]\ncommand = 'sleep 1001'");
    run.heard("asked");
    // The old process may still accept.
    UnixStream::connect(run.path("app.sock")).unwrap();
    run.open("gate");
    lines_until(&mut run, "update: done");
    wait_until("the socket is gone", || !run.path("app.sock").exists());
    run.stops_with(0);
}

#[test]
fn an_update_to_an_address_in_use_changes_nothing() {
    needs_namespaces!();
    let theirs = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut run = up("[service.app]\ncommand = 'sleep 1001'");
    let before = pids(&run);
    let address = theirs.local_addr().unwrap();
    update(&run, &app("'sleep 1002'", &format!(r#"a = "unix://${{DIR}}/a.sock", b = "tcp://{address}""#)));
    run.said("nothing has changed");
    run.said(&format!("cannot listen at tcp://{address} (sockets.b of app)"));
    assert_eq!(pids(&run), before);
    assert!(!run.path("a.sock").exists(), "what had been opened for it is closed again");
    run.stops_with(0);
}
