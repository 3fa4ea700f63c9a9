//! What an .envsh exports, and who gets it.

use crate::stage::Place;
use crate::{needs_namespaces, with_scripts};
use std::path::Path;

/// A service that writes some variables and stays.
fn shows(words: &str, keys: &str) -> String {
    format!(
        "[scripts]\ndirectory = \"d\"\n[supervisor]\nlog_level = \"trace\"\n\
         [service.web]\ncommand = ['sh', '-c', 'echo \"{words}\"; exec sleep 1000']\n{keys}\n"
    )
}

macro_rules! everywhere {
    ($($name:ident $place:ident)*) => {
        $(#[test]
        fn $name() {
            needs_namespaces!();
            exports_reach_later_scripts_and_services(Place::$place);
        })*
    };
}

everywhere! {
    exports_reach_whoever_is_launched_later Pid1
    exports_reach_whoever_is_launched_later_where_newer_calls_are_unknown OldKernel
    exports_reach_whoever_is_launched_later_where_newer_calls_are_forbidden OldEngine
    exports_reach_whoever_is_launched_later_as_an_ordinary_process NotPid1
}

fn exports_reach_later_scripts_and_services(place: Place) {
    let scripts = [
        ("1-a.envsh", 0o755, "export A=1 B=1\nC=not exported\nunset GONE\ncd /\nset -- x y\n"),
        ("2-b.envsh", 0o755, "export B=\"$B$A\"2\n"),
        ("3-c.sh", 0o755, "echo \"script A=$A B=$B C=$C GONE=${GONE-gone}\"\n"),
    ];
    let config = shows("web A=$A B=$B C=$C GONE=$${GONE-gone}", "");
    let stage = with_scripts(place, &config, &scripts).with(|container| container.env("GONE", "here"));
    let mut run = stage.start();
    assert_eq!(run.heard("script A"), "script-3-c | script A=1 B=112 C= GONE=gone");
    assert_eq!(run.heard("web A"), "web A=1 B=112 C= GONE=gone");
    run.said("all is up");
    run.stops_with(0);
}

#[test]
fn the_services_own_keys_count_more_than_exports_and_the_containers_environment_less() {
    needs_namespaces!();
    let scripts =
        [("1.envsh", 0o755, "export OWN=script FILE=script COMMON=script GIVEN=script HOME=/script\n")];
    let keys = "environment = { OWN = \"service\" }\nenvironment_files = [\"own.env\"]\n\
                user = \"0\"\n[environment]\nCOMMON = \"all\"\n";
    let config = shows("$OWN $FILE $COMMON $GIVEN $HOME", keys);
    let stage =
        with_scripts(Place::Pid1, &config, &scripts).with(|container| container.env("GIVEN", "outer"));
    let mut run = stage.file("own.env", "FILE=service\n").start();
    run.heard("service service script script /root");
    run.stops_with(0);
}

#[test]
fn a_sourced_script_ignores_no_signal() {
    needs_namespaces!();
    let scripts =
        [("1.envsh", 0o755, "export IGNORED=$(sed -n 's/^SigIgn:[^0-9a-f]*//p' /proc/self/status)\n")];
    let mut run = with_scripts(Place::Pid1, &shows("ignored: $IGNORED.", ""), &scripts).start();
    run.heard("ignored: 0000000000000000.");
    run.stops_with(0);
}

#[test]
fn a_cleared_environment_stays_clear() {
    needs_namespaces!();
    let scripts = [("1.envsh", 0o755, "export A=1\n")];
    let mut run =
        with_scripts(Place::Pid1, &shows("A=$${A-none}", "clear_environment = true"), &scripts).start();
    run.heard("A=none");
    run.stops_with(0);
}

#[test]
fn whoever_is_launched_again_gets_them_again_also_after_an_update() {
    needs_namespaces!();
    let scripts = [("1.envsh", 0o755, "export A=exported\n")];
    let config = shows("first $A", "");
    let mut run = with_scripts(Place::Pid1, &config, &scripts).start();
    run.heard("first exported");
    let web = run.process("sleep 1000");
    // SAFETY: a process that our own test has started.
    unsafe { libc::kill(web.pid, libc::SIGKILL) };
    run.heard("first exported");
    run.said("web started");
    run.write("supervise.toml", &config.replace("first", "second"));
    run.signal(libc::SIGHUP);
    run.heard("second exported");
    run.said("update: done");
    run.stops_with(0);
}

#[test]
fn any_value_survives_and_is_said_nowhere() {
    needs_namespaces!();
    let value = "two\nlines, 'one' \"two\" `three` $four \\five %s \u{1F600}\ttab ";
    let script = format!("export SECRET='{}'\n", value.replace('\'', r"'\''"));
    let keys = "";
    let config = shows("up", keys);
    let scripts = [("1.envsh", 0o755, &*script), ("2.sh", 0o755, "printf %s \"$SECRET\" >$DIR/got\n")];
    let mut run = with_scripts(Place::Pid1, &config, &scripts).start();
    run.heard("up");
    assert_eq!(std::fs::read_to_string(run.path("got")).unwrap(), value);
    for process in run.processes() {
        assert!(!process.command.contains("`three`"), "{process:?}");
    }
    let words = run.stops_with(0);
    assert!(words.contains("script-1 has changed 1 variables"), "{words}");
    assert!(!words.contains("three"), "{words}");
}

#[test]
fn nothing_has_to_be_writable_nor_proc_to_be_there() {
    needs_namespaces!();
    let scripts = [("1.envsh", 0o755, "export A=exported\n"), ("2.sh", 0o755, "echo \"A=$A\"\n")];
    for without_proc in [false, true] {
        let stage = with_scripts(Place::Pid1, &shows("web $A", ""), &scripts).with(move |container| {
            let container = container.read_only();
            if without_proc { container.without_proc() } else { container }
        });
        let mut run = stage.start();
        run.heard("script-2 | A=exported");
        run.heard("web exported");
        run.stops_with(0);
    }
}

#[test]
fn an_exit_in_the_middle_skips_only_the_rest_of_that_file_and_is_said() {
    needs_namespaces!();
    let scripts = [
        ("1.envsh", 0o755, "export A=1\nexit 0\nexport B=1\n"),
        ("2.sh", 0o755, "echo \"second A=$A B=$B\"\n"),
    ];
    let mut run = with_scripts(Place::Pid1, &shows("web A=$A", ""), &scripts).start();
    run.said("d/1.envsh: left by `exit 0` before its end; what it has exported until then counts");
    run.heard("script-2 | second A=1 B=");
    run.heard("web A=1");
    run.stops_with(0);
}

/// Each shell with the words of its `#!` line.
fn shells() -> Vec<String> {
    let all = ["/bin/dash", "/bin/bash", "/bin/bash --posix", "/bin/busybox sh"];
    let is_there = |line: &&str| Path::new(line.split(' ').next().unwrap()).exists();
    all.into_iter().filter(is_there).map(str::to_owned).collect()
}

#[test]
fn a_trap_of_its_own_is_run_and_what_was_exported_counts_in_every_shell() {
    needs_namespaces!();
    let early = "left by `exit 0` before its end";
    for shell in shells() {
        for (text, is_early) in [
            ("trap 'echo bye' EXIT", false),
            ("trap 'echo bye' EXIT\nexit 0\necho on", true),
            ("set -e\ntrap 'echo bye; exit' 0\nexit", true),
            ("trap 'code=$?; echo bye; exit $code' EXIT\nleave() { exit 0; }\nleave", true),
            ("set -eu\ntrap 'false; echo bye' EXIT\nset +e\nIFS=-\n[ -z x ] || exit 0\necho on", true),
            ("trap 'echo bye' EXIT\n(exit 0)\nB=$(export A=2; exit 0)\n:", false),
            ("trap - EXIT\nsh -c 'echo bye; exit 0'\nexit 0", true),
            ("echo bye\ncommand exit 0", true),
        ] {
            let script = format!("#!{shell}\nexport A=1\n{text}\n");
            let scripts = [("1.envsh", 0o755, &*script)];
            let mut run = with_scripts(Place::Pid1, &shows("web A=$A", ""), &scripts).start();
            assert_eq!(run.heard("bye"), "script-1 | bye", "{shell}: {text}");
            assert_eq!(run.heard("web"), "web A=1", "{shell}: {text}");
            let words = run.stops_with(0);
            assert_eq!(words.matches(early).count(), usize::from(is_early), "{shell}: {text}: {words}");
            assert!(!words.contains("script-1 | on"), "{shell}: {text}: {words}");
        }
    }
}

#[test]
fn a_trap_of_its_own_sees_the_failure_in_every_shell() {
    needs_namespaces!();
    for shell in shells() {
        for (text, code) in [
            ("trap 'echo bye $?' EXIT\nexit 3", 3),
            ("trap 'echo bye $?; true; exit' EXIT\n(exit 3)\nexit", 3),
            ("set -e\ntrap 'echo bye $?; true; exit' EXIT\n(exit 3)", 3),
            ("trap 'echo bye 3; exit 4' EXIT\nexit 0", 4),
            ("trap 'echo bye $?' EXIT\n(exit 3)", 3),
        ] {
            let script = format!("#!{shell}\nexport A=1\n{text}\n");
            let scripts = [("1.envsh", 0o755, &*script)];
            let mut run = with_scripts(Place::Pid1, &shows("web A=$A", ""), &scripts).start();
            assert_eq!(run.heard("bye"), "script-1 | bye 3", "{shell}: {text}");
            run.said("script-1 is essential and has failed");
            run.ends_with(code);
        }
    }
}

/// Every shell there is, with the failures that there are.
#[test]
fn an_envsh_that_fails_ends_the_container_in_every_shell() {
    needs_namespaces!();
    let failures = [
        ("exit 3", 3),
        ("set -e\nfalse\necho on", 1),
        ("set -u\necho \"$NOT_SET_AT_ALL\"", -1),
        ("if\n", -1),
        ("export A=1\nfalse", 1),
        ("(exit 7)\nreturn 7", 7),
        ("set -e\nexport A=$(exit 5)\nB=$(exit 5)", 5),
    ];
    for shell in shells() {
        for (text, code) in failures {
            let script = format!("#!{shell}\n{text}\n");
            let scripts = [("1.envsh", 0o755, &*script)];
            let mut run = with_scripts(Place::Pid1, &shows("web", ""), &scripts).start();
            let said = run.said("script-1 is essential and has failed");
            let ended: i32 = said.rsplit(' ').next().unwrap().parse().unwrap();
            assert!(ended == code || code < 0 && ended > 0, "{shell}: {text:?}: {said}");
            assert_eq!(run.stdout().rest().matches("web").count(), 0, "{shell}: {text:?}");
            run.ends_with(ended);
        }
    }
}

#[test]
fn every_shell_hands_on_what_was_exported() {
    needs_namespaces!();
    for shell in ["/bin/dash", "/bin/bash", "/bin/busybox sh", "/usr/bin/env bash", "/bin/sh -e"] {
        if !Path::new(shell.split(' ').next().unwrap()).exists() {
            continue;
        }
        let script = format!("#!{shell}\nset -a\nset -eu\nA='a b'\nIFS=/\nPATH=/nowhere\n");
        let scripts = [("1.envsh", 0o755, &*script), ("2.envsh", 0o755, "export PATH=/bin:/usr/bin\n")];
        let mut run = with_scripts(Place::Pid1, &shows("A=$A$${__minisup_file-}", ""), &scripts).start();
        assert_eq!(run.heard("A="), "A=a b", "{shell}");
        let words = run.stops_with(0);
        assert!(words.contains("script-1 has changed 3 variables"), "{shell}: {words}");
    }
}
