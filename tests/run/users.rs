//! `[supervisor] user`: minisup that gives up being root, and still does all that it is there for.

use crate::needs_namespaces;
use crate::stage::{Place, Process, kill, supervise};
use crate::support::container::container;
use crate::support::{MINISUP, wait_until};
use std::os::unix::fs::MetadataExt;

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

/// A user of this machine's own, as packages make them.
const ACCOUNTS: &str = r#"
    echo 'app:x:12345:23456:An app:/srv/app:/bin/sh' > $DIR/passwd
    printf 'root:x:0:\napp:x:23456:\nlogs:x:34567:x,app\n' > $DIR/group
    mount --bind $DIR/passwd /etc/passwd
    mount --bind $DIR/group /etc/group
    mkdir $DIR/root; chmod 755 $DIR/root
"#;

const NAMED: &str = r#"
    [supervisor]
    user = "app"
    # A directory that this user could not write to.
    control_socket = "${DIR}/root/minisup.sock"

    [service.main]
    command = ["sh", "-c", "echo $(id -u):$(id -g):$(id -G) $HOME $USER $LOGNAME; read line < ${DIR}/go; exit 42"]
    restart = "never"

    [service.other]
    command = ["sleep", "1001"]
"#;

#[test]
fn by_name_it_has_that_users_groups_and_home_and_its_exit_code_is_true() {
    needs_namespaces!();
    let mut run = supervise(Place::Pid1, NAMED).after(ACCOUNTS).gate("go").start();
    assert_eq!(run.heard(""), "12345:23456:23456 34567 /srv/app app app");
    run.said("all is up");
    assert_eq!(ids(run.pid(), "Uid"), "12345 12345 12345 12345");
    assert_eq!(ids(run.pid(), "Gid"), "23456 23456 23456 23456");
    assert_eq!(ids(run.process("sleep 1001").pid, "Groups"), "23456 34567");
    run.open("go");
    run.said("main is essential and has failed (exit code 42): stopping everything, exit code 42");
    run.ends_with(42);
}

#[test]
fn its_control_socket_is_that_users_and_made_before_root_is_given_up() {
    needs_namespaces!();
    let mut run = supervise(Place::Pid1, NAMED).after(ACCOUNTS).gate("go").start();
    run.said("all is up");
    let socket = run.path("root/minisup.sock");
    let file = socket.metadata().unwrap();
    assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777), (12345, 23456, 0o600));
    // That user and root may command it, and nobody else.
    for (uid, code) in [(12345, 0), (0, 0), (23456, 77)] {
        let words = [MINISUP, "--socket", socket.to_str().unwrap(), "status"];
        let (ended, stdout, stderr) = container(&words).not_pid1().uid(uid).run();
        assert_eq!(ended, code, "uid {uid}: {stdout}{stderr}");
        assert_eq!(stdout.contains("running"), code == 0, "uid {uid}: {stdout}");
    }
    run.stops_with(0);
}

#[test]
fn a_user_that_nobody_has_made_is_an_error_with_its_place() {
    needs_namespaces!();
    let config = "[supervisor]\nuser = 'wwww-data'\n[service.app]\ncommand = ['touch', '${DIR}/launched']";
    let run = supervise(Place::Pid1, config).start();
    let launched = run.path("launched");
    let words = run.ends_with(78);
    assert!(words.contains("supervise.toml:2:8: error: there is no user \"wwww-data\""), "{words}");
    assert!(words.contains("did you mean \"www-data\"?"), "{words}");
    assert!(!launched.exists());
}
