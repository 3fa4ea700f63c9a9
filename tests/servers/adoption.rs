//! Servers that replace themselves while clients ask: the new master is the service's process.

use crate::needs_namespaces;
use crate::reloads::{GUNICORN, Site, TO_GUNICORN, below};
use crate::stage::kill;

/// The one gunicorn that is a child of PID 1, as we see its pid.
fn master(site: &Site) -> i32 {
    let mut found = Vec::new();
    site.container.wait_until("one master", || {
        found = below(site.container.pid(), "gunicorn");
        found.len() == 1
    });
    found[0]
}

/// USR2, then TERM to the old one when the new one has its workers.
fn upgrades(site: &Site) {
    let (old, before) = (master(site), site.number("app", "pid"));
    let workers = below(old, "gunicorn");
    site.does(&["signal", "USR2", "app"]);
    let mut new = None;
    site.container.wait_until("a new master with workers", || {
        let mut children = below(old, "gunicorn").into_iter().filter(|child| !workers.contains(child));
        new = children.find(|child| below(*child, "gunicorn").len() == 3);
        new.is_some()
    });
    kill(old, libc::SIGTERM);
    site.container.wait_until("another pid", || site.number("app", "pid") != before);
    assert_eq!(Some(master(site)), new);
    assert_eq!((site.number("app", "restarts"), site.number("app", "failures")), (0, 0));
}

#[test]
fn gunicorn_replaces_itself_again_and_again_and_no_request_fails() {
    needs_namespaces!();
    let site = Site::new("usr2", TO_GUNICORN, GUNICORN);
    let (count, output) = site.nothing_drops(|site| {
        upgrades(site);
        // It takes a moment until gunicorn has noticed that it has become the only one.
        site.container.wait_for_output("Master has been promoted");
        upgrades(site);
        // What is asked of the service is asked of it.
        site.does(&["reload", "app"]);
        site.does(&["wait", "app:ready"]);
    });
    assert_eq!(output.matches("app goes on as pid").count(), 2, "{output}");
    assert!(!output.contains("launching it again") && !output.contains("app ended"), "{output}");
    eprintln!("usr2: {count} requests while gunicorn replaced itself twice, none failed");
}

#[test]
fn a_stop_of_the_service_ends_the_new_master_and_its_workers() {
    needs_namespaces!();
    let site = Site::new("usr2-stop", TO_GUNICORN, GUNICORN);
    upgrades(&site);
    site.does(&["stop", "app"]);
    assert!(below(site.container.pid(), "gunicorn").is_empty());
    // nginx, which requires it, was stopped first.
    site.does(&["start", "web"]);
    site.stage.wait_for_page(&site.container);
    site.container.signal(libc::SIGTERM);
    let (code, output) = site.container.wait();
    assert_eq!(code, 0, "{output}");
}

#[test]
fn a_new_master_that_is_killed_is_a_death_and_so_was_the_old_one_without_an_heir() {
    needs_namespaces!();
    let site = Site::new("usr2-kill", TO_GUNICORN, GUNICORN);
    upgrades(&site);
    for restarts in 1..=2 {
        kill(master(&site), libc::SIGKILL);
        site.container.wait_until("another launch", || site.number("app", "restarts") == restarts);
        site.does(&["wait", "app:ready"]);
        site.stage.wait_for_page(&site.container);
    }
    site.container.signal(libc::SIGTERM);
    let (code, output) = site.container.wait();
    assert_eq!(code, 0, "{output}");
    assert_eq!(output.matches("app goes on as pid").count(), 1, "{output}");
    assert_eq!(output.matches("app ended (killed by KILL)").count(), 2, "{output}");
}

#[test]
fn nginx_in_the_foreground_heeds_no_change_of_its_binary_and_goes_on() {
    needs_namespaces!();
    let site = Site::new("nginx-usr2", TO_GUNICORN, GUNICORN);
    let pid = site.number("web", "pid");
    site.nothing_drops(|site| {
        let conf = site.text("nginx.conf");
        site.stage.write("nginx.conf", &conf.replace("error_log stderr warn", "error_log stderr notice"));
        site.does(&["reload", "web"]);
        site.does(&["signal", "USR2", "web"]);
        site.container.wait_for_output("changing binary signal is ignored");
        assert_eq!((site.number("web", "pid"), site.number("web", "restarts")), (pid, 0));
    });
}
