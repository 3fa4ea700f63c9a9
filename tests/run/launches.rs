//! What a service finds when it is launched: read back from /proc.

use crate::needs_namespaces;
use crate::stage::{Place, Process, Run, supervise};

fn field(process: &Process, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{}/status", process.pid)).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn limit(process: &Process, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{}/limits", process.pid)).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

fn started(run: &mut Run) -> Process {
    run.said("all is up");
    run.process("sleep 1001")
}

pub fn limits_and_the_rest_are_as_configured(place: Place) {
    let config = r#"
        [service.app]
        command = ["sh", "-c", "pwd; umask; exec sleep 1001"]
        user = "12345"
        group = "23456"
        groups = ["34567", "45678"]
        directory = "${DIR}"
        umask = "027"
        nice = 7
        oom_score_adj = 321
        limits = { nofile = 100, core = 0, fsize = "1MiB", stack = { soft = "1MiB", hard = "unlimited" } }
        no_new_privileges = true
        capabilities = ["net_bind_service", "chown"]
    "#;
    let mut run = supervise(place, config).start();
    let app = started(&mut run);
    assert_eq!(run.heard(""), run.path("").to_str().unwrap().trim_end_matches('/'));
    assert_eq!(run.heard(""), "0027");
    assert_eq!(field(&app, "Uid"), "12345 12345 12345 12345");
    assert_eq!(field(&app, "Gid"), "23456 23456 23456 23456");
    assert_eq!(field(&app, "Groups"), "23456 34567 45678");
    assert_eq!(field(&app, "NoNewPrivs"), "1");
    let both = format!("{:016x}", 1 << 10 | 1);
    for set in ["CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(&app, set), both, "{set}");
    }
    assert_eq!(limit(&app, "Max open files"), "100 100");
    assert_eq!(limit(&app, "Max core file size"), "0 0");
    assert_eq!(limit(&app, "Max file size"), "1048576 1048576");
    assert_eq!(limit(&app, "Max stack size"), "1048576 unlimited");
    let score = std::fs::read_to_string(format!("/proc/{}/oom_score_adj", app.pid)).unwrap();
    assert_eq!(score.trim(), "321");
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", app.pid)).unwrap();
    assert_eq!(stat[stat.rfind(')').unwrap()..].split_whitespace().nth(17), Some("7"), "nice: {stat}");
    run.stops_with(0);
}

#[test]
fn a_user_by_name_has_the_groups_of_etc_group_and_its_variables() {
    needs_namespaces!();
    let prelude = r#"
        echo 'app:x:12345:23456:An app:/srv/app:/bin/sh' > $DIR/passwd
        printf 'root:x:0:\napp:x:23456:\nlogs:x:34567:x,app\nothers:x:45678:x\n' > $DIR/group
        mount --bind $DIR/passwd /etc/passwd
        mount --bind $DIR/group /etc/group
    "#;
    let config = r#"
        [service.app]
        command = ["sh", "-c", "echo $HOME $USER $LOGNAME; exec sleep 1001"]
        user = "app"
    "#;
    let mut run = supervise(Place::Pid1, config).after(prelude).start();
    let app = started(&mut run);
    assert_eq!(run.heard(""), "/srv/app app app");
    assert_eq!(field(&app, "Uid"), "12345 12345 12345 12345");
    assert_eq!(field(&app, "Gid"), "23456 23456 23456 23456");
    let mut groups: Vec<_> = field(&app, "Groups").split(' ').map(String::from).collect();
    groups.retain(|group| group != "23456");
    assert_eq!(groups, ["34567"]);
    assert_eq!(field(&app, "CapEff"), "0000000000000000");
    run.stops_with(0);
}

#[test]
fn a_service_leads_its_group_and_has_no_descriptor_of_ours() {
    needs_namespaces!();
    let config = r#"
        [service.other]
        command = ["sleep", "1002"]
        ready = { fd = 5 }
        health = { notify = true }

        [service.app]
        command = ["sleep", "1001"]
        after = ["other:started"]
    "#;
    // Nor what was open when we were started.
    let mut run = supervise(Place::Pid1, config).after("exec 9</etc/passwd").start();
    let app = run.process("sleep 1001");
    let mut open: Vec<String> = std::fs::read_dir(format!("/proc/{}/fd", app.pid))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    open.sort();
    assert_eq!(open, ["0", "1", "2"]);
    let stdin = std::fs::read_link(format!("/proc/{}/fd/0", app.pid)).unwrap();
    assert_eq!(stdin.to_str(), Some("/dev/null"));
    assert_eq!(field(&app, "NSpgid"), field(&app, "NSpid"));
    for set in ["SigBlk", "SigIgn", "SigCgt"] {
        assert_eq!(field(&app, set), "0000000000000000", "{set}");
    }
    run.said("app started");
    run.stops_with(0);
}

#[test]
fn stdout_can_be_opened_again_by_another_user() {
    needs_namespaces!();
    // As many images do: a log file that is a link to /dev/stdout.
    let config = r#"
        [service.app]
        command = ["sh", "-c", "echo to it > /dev/stdout; echo to stderr > /dev/stderr; exec sleep 1001"]
        user = "12345"
        group = "12345"
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    assert_eq!(run.heard(""), "to it");
    run.said("to stderr");
    run.stops_with(0);
}
