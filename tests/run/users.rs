//! `[supervisor] user`: minisup that gives up being root, and still does all that it is there for.

use crate::needs_namespaces;
use crate::stage::{Place, Process, kill, supervise};
use crate::support::wait_until;

const CONFIG: &str = r#"
    [supervisor]
    user = "12345"
    shutdown_timeout = "3s"

    [signals]
    USR2 = "app"

    [service.app]
    command = ["sh", "-c", "echo app of $(id -u):$(id -g):$(id -G); exec ${HELPER} catch 15"]
    min_uptime = "0s"

    [service.deaf]
    command = ["sh", "-c", "trap '' TERM; (setsid sleep 2001 &); exec sleep 1001"]
    requires = ["app"]
    stop.grace_period = "100ms"
"#;

/// Real, effective, saved and file system ids.
fn ids(pid: i32, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn minisup_gives_up_root_and_still_forwards_reaps_and_stops() {
    needs_namespaces!();
    // What the container writes to can be opened by root only; so it must be open before.
    let prelude = "umask 077; : > $DIR/out; exec >> $DIR/out";
    let mut run = supervise(Place::Pid1, CONFIG).after(prelude).start();
    run.said("all is up");
    let written = run.path("out");
    let wrote = |what: &str, times: usize| {
        wait_until(&format!("{times} lines {what:?} in the log"), || {
            let text = std::fs::read_to_string(&written).unwrap();
            text.lines().filter(|line| *line == what).count() == times
        });
    };
    wrote("app of 12345:12345:12345", 1);
    wrote("ready", 1);
    for name in ["Uid", "Gid"] {
        assert_eq!(ids(run.pid(), name), "12345 12345 12345 12345");
    }
    assert_eq!(ids(run.pid(), "Groups"), "12345");
    assert_eq!(ids(run.pid(), "CapEff"), "0000000000000000");
    assert_eq!(ids(run.process("sleep 1001").pid, "Uid"), "12345 12345 12345 12345");

    run.signal(libc::SIGUSR2);
    wrote(&libc::SIGUSR2.to_string(), 1);

    let app: Process = run.process(&format!("{} catch", crate::support::helper()));
    kill(app.pid, libc::SIGKILL);
    run.is_gone(&app);
    wrote("ready", 2);

    // `ends_with` looks for who is left, the daemon among them.
    run.process("sleep 2001");
    run.stops_with(137);
}

#[test]
fn who_cannot_become_that_user_says_so_and_launches_nothing() {
    needs_namespaces!();
    let prelude = "exec setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps -all";
    let words = supervise(Place::Pid1, CONFIG).after(prelude).start().ends_with(70);
    assert!(words.contains("cannot become user 12345, group 12345"), "{words}");
    assert!(!words.contains("app started"), "{words}");
}
