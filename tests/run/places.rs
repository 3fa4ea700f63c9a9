//! Where minisup is less than root of a usual container.

use crate::needs_namespaces;
use crate::stage::{Place, supervise};
use crate::support::MINISUP;

const APP: &str = r#"
    [service.app]
    command = ["sh", "-c", "$ACTOR notify READY=1; (setsid sleep 2001 &); exec sleep 1001"]
    ready = { notify = true }
    min_uptime = "0s"

    [service.web]
    command = ["sh", "-c", "echo web; exec sleep 1002"]
    requires = ["app"]
"#;

#[test]
fn as_an_ordinary_user_on_a_read_only_root_without_etc_passwd() {
    needs_namespaces!();
    let prelude = "mount --bind /dev/null /etc/passwd; mount --bind /dev/null /etc/group; \
        mount -o remount,bind,ro /; exec setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps -all";
    let mut run = supervise(Place::Pid1, APP).after(prelude).start();
    assert_eq!(run.said("running with"), "minisup: running with: uid 1000, not root, read-only root");
    run.heard("web");
    let main = run.process("sleep 1001");
    let daemon = run.process("sleep 2001");
    crate::stage::kill(main.pid, libc::SIGKILL);
    run.is_gone(&daemon);
    run.said("app is ready");
    run.process("sleep 2001");
    run.stops_with(0);
}

#[test]
fn as_an_ordinary_user_who_is_not_pid_1() {
    let mut run = supervise(Place::NotPid1, APP).with(|container| container.uid(1000)).start();
    let line = run.said("running with");
    assert_eq!(
        line,
        "minisup: running with: not PID 1, but adopting orphans (subreaper), uid 1000, not root"
    );
    run.heard("web");
    run.process("sleep 2001");
    run.stops_with(0);
}

#[test]
fn under_another_init_only_what_is_ours_is_ended() {
    needs_namespaces!();
    // As with `docker run --init` or a shared PID namespace: others are none of our business.
    let mut run = supervise(Place::NotPid1, APP).start();
    run.said("not PID 1");
    run.heard("web");
    run.process("sleep 2001");
    let mut beside = std::process::Command::new("sleep").arg("5001").spawn().unwrap();
    run.stops_with(0);
    assert_eq!(beside.try_wait().unwrap(), None, "a stranger was ended");
    beside.kill().unwrap();
    beside.wait().unwrap();
}

#[test]
fn without_proc() {
    needs_namespaces!();
    let mut run = supervise(Place::Pid1, APP).with(|container| container.without_proc()).start();
    run.said("no /proc");
    run.heard("web");
    run.process("sleep 2001");
    run.stops_with(0);
}

#[test]
fn in_an_empty_root() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["/actor", "serve", "/run/s", "/answer"]
        ready = { unix = "/run/s", interval = "10ms" }
        user = "1234"
    "#;
    // minisup itself is dynamic here: it brings its libraries, and nothing else is there.
    let prelude = r#"
        root=$DIR/root; mkdir -p $root/run $root/lib64; chmod 777 $root/run; cp $ACTOR $root/actor
        for library in $(ldd "$1" | grep -o '/[^ ]*'); do mkdir -p $root${library%/*}; cp -L $library $root$library; done
        cp "$1" $root/minisup; cp $DIR/supervise.toml $root/supervise.toml; touch $root/answer
        shift 3; set -- --config /supervise.toml
        cd $root; mount --rbind . .; exec chroot $root /minisup"#;
    let mut run = supervise(Place::Pid1, config).after(prelude).start();
    run.said("no /proc");
    run.said("app is ready");
    run.stops_with(0);
}

#[test]
fn under_another_minisup_each_knows_its_own() {
    needs_namespaces!();
    // Both mark their services, and neither may read the environments of this user.
    let inner = r#"
        [defaults]
        user = "12345"
        group = "12345"
        min_uptime = "0s"

        [service.none]
        command = ["sleep", "1000"]

        [service.app]
        command = ["sh", "-c", "(env -i setsid sleep 2001 &); exec sleep 1001"]

        [service.other]
        command = ["sh", "-c", "(env -i setsid sleep 2002 &); exec sleep 1002"]
    "#;
    let outer = format!(
        r#"
        [service.inner]
        command = ["{MINISUP}", "--config", "${{DIR}}/inner.toml"]

        [service.app]
        command = ["sh", "-c", "(env -i setsid sleep 3001 &); exec sleep 1003"]
        min_uptime = "0s"
        user = "12345"
        group = "12345"
    "#
    );
    let docker = "exec setpriv --bounding-set -sys_ptrace,-sys_resource --inh-caps -all";
    let run = supervise(Place::Pid1, &outer).file("inner.toml", inner).after(docker).start();
    let [mine, its, others] = ["sleep 3001", "sleep 2001", "sleep 2002"].map(|name| run.process(name));
    crate::stage::kill(run.process("sleep 1001").pid, libc::SIGKILL);
    run.is_gone(&its);
    crate::stage::kill(run.process("sleep 1003").pid, libc::SIGKILL);
    run.is_gone(&mine);
    run.process("sleep 2001");
    run.process("sleep 3001");
    assert_eq!(run.process("sleep 2002").pid, others.pid);
    run.stops_with(0);
}
