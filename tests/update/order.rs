//! Who goes first when an update stops and launches several.

use crate::needs_namespaces;
use crate::play::{lines_until, pids, place, up, update, updated};
use crate::support::wait_until;

const DB: &str = "[service.db]\ncommand = 'sleep 1001'\n";
const APP: &str = "[service.app]\ncommand = 'sleep 1002'\nrequires = ['db']\n";
const WEB: &str = "[service.web]\ncommand = 'sleep 1003'\n";

#[test]
fn who_is_removed_stops_after_those_that_require_it() {
    needs_namespaces!();
    let mut run = up(&format!("{DB}{APP}{WEB}"));
    let lines = updated(&mut run, WEB);
    assert!(place(&lines, "app stopped") < place(&lines, "stopping db"), "{lines:#?}");
    assert_eq!(pids(&run).into_keys().collect::<Vec<_>>(), ["sleep 1003"]);
    run.stops_with(0);
}

#[test]
fn who_is_added_waits_for_what_it_requires() {
    needs_namespaces!();
    let mut run = up(WEB);
    let slow = "[service.db]\ncommand = ['sh', '-c', 'read line < ${DIR}/go; $ACTOR notify READY=1; exec sleep 1001']\nready = { notify = true }\n";
    nix::unistd::mkfifo(&run.path("go"), nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    update(&run, &format!("{slow}{APP}{WEB}"));
    run.said("app waits for db to be ready");
    std::fs::write(run.path("go"), "go\n").unwrap();
    let lines = lines_until(&mut run, "update: done");
    assert!(place(&lines, "db is ready") < place(&lines, "app started"), "{lines:#?}");
    run.stops_with(0);
}

#[test]
fn who_is_replaced_does_not_take_its_dependents_along() {
    needs_namespaces!();
    let mut run = up(&format!("{DB}{APP}{WEB}"));
    let before = pids(&run);
    updated(&mut run, &format!("{}{APP}{WEB}", DB.replace("1001", "1009")));
    let after = pids(&run);
    assert_eq!(after.get("sleep 1002"), before.get("sleep 1002"));
    assert!(after.contains_key("sleep 1009") && !after.contains_key("sleep 1001"), "{after:?}");
    run.stops_with(0);
}

#[test]
fn a_requirement_that_is_new_is_there_before_its_dependent_is_replaced() {
    needs_namespaces!();
    let mut run = up(&format!("{DB}{WEB}"));
    let web = WEB.replace("1003", "1004") + "requires = ['db', 'cache']\n";
    let lines = updated(&mut run, &format!("{DB}{web}[service.cache]\ncommand = 'sleep 1005'\n"));
    assert!(place(&lines, "cache started") < place(&lines, "web started"), "{lines:#?}");
    // And from now on it is stopped first.
    run.signal(libc::SIGTERM);
    let lines = lines_until(&mut run, "everything has stopped");
    assert!(place(&lines, "web stopped") < place(&lines, "stopping cache"), "{lines:#?}");
    assert!(place(&lines, "web stopped") < place(&lines, "stopping db"), "{lines:#?}");
    run.ends_with(0);
}

#[test]
fn a_daemon_of_a_removed_service_ends_with_it() {
    needs_namespaces!();
    let left = "[service.left]\ncommand = ['sh', '-c', '(env -i setsid sleep 2001 &); exec sleep 1001']\n";
    let mut run = up(&format!("{left}{WEB}"));
    let daemon = run.process("sleep 2001");
    updated(&mut run, WEB);
    run.is_gone(&daemon);
    run.stops_with(0);
}

#[test]
fn a_daemon_of_a_service_that_stays_is_still_known_after_many_came_and_went() {
    needs_namespaces!();
    let stays = "[service.stays]\ncommand = ['sh', '-c', '(env -i setsid sleep 2001 &); exec sleep 1001']\nmin_uptime = '0s'\n";
    let guest = |n: u32| format!("[service.guest{n}]\ncommand = 'sleep {}'\n", 3000 + n);
    let mut run = up(&format!("{}{stays}{}", guest(0), guest(1)));
    for n in 2..6 {
        // Before it and after it, so that its place in the file is another one each time.
        updated(&mut run, &format!("{}{}{stays}{}", guest(n), guest(n + 10), guest(n + 20)));
    }
    let daemon = run.process("sleep 2001");
    crate::stage::kill(run.process("sleep 1001").pid, libc::SIGKILL);
    run.is_gone(&daemon);
    wait_until("both are back", || {
        let now = pids(&run);
        now.contains_key("sleep 1001") && now.get("sleep 2001").is_some_and(|pid| *pid != daemon.pid)
    });
    run.stops_with(0);
}
