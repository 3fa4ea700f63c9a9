//! What stands in a service's environment, and what is shown to nobody.

use crate::needs_namespaces;
use crate::stage::{Place, supervise};

#[test]
fn an_environment_is_ours_then_the_files_then_the_services_own() {
    needs_namespaces!();
    let config = r#"
        [environment]
        ALL = "all"
        OVER = "all"
        PASSWORD = { file = "${DIR}/password" }

        [service.app]
        command = ["sh", "-c", "echo $GIVEN,$ALL,$OVER,$OWN,$FROM_FILE,$PASSWORD,$NUMBER,$MINISUP_SERVICE"]
        restart = "never"
        environment_files = ["${DIR}/env", "-${DIR}/missing"]
        environment = { OVER = "own", OWN = "${ALL_OF_US:-default}", NUMBER = 5 }
    "#;
    let mut run = supervise(Place::Pid1, config)
        .with(|container| container.env("GIVEN", "given"))
        .file("env", "# a comment\nFROM_FILE=\"from file\"\nOVER=file\n")
        .file("password", "secret\n\n")
        .start();
    assert_eq!(run.heard(""), "given,all,own,default,from file,secret,5,app");
    run.ends_with(0);
}

#[test]
fn a_cleared_environment_has_what_is_written_and_our_mark() {
    needs_namespaces!();
    let config = r#"
        [environment]
        ALL = "all"

        [service.app]
        command = ["/usr/bin/env"]
        restart = "never"
        clear_environment = true
        environment = { OWN = "own" }
    "#;
    let mut run = supervise(Place::Pid1, config).start();
    let mut lines: Vec<_> = std::iter::from_fn(|| run.stdout().next()).collect();
    lines.sort();
    assert_eq!(lines, ["ALL=all", "MINISUP_INSTANCE=0", "MINISUP_SERVICE=app", "OWN=own"]);
    run.ends_with(0);
}

#[test]
fn a_secret_is_in_the_environment_and_nowhere_else() {
    needs_namespaces!();
    let config = r#"
        [supervisor]
        log_level = "trace"

        [service.app]
        command = ["sh", "-c", "echo $DB_PASSWORD | tr hu HU; echo .$DB_PASSWORD_FILE.; exit 3"]
        secrets = ["DB_PASSWORD"]
        max_failures = 2
        backoff.initial = "1ms"
    "#;
    let mut run = supervise(Place::Pid1, config)
        .after("export DB_PASSWORD_FILE=$DIR/password")
        .file("password", "hush-hush\n")
        .start();
    assert_eq!(run.heard(""), "HUsH-HUsH");
    assert_eq!(run.heard(""), "..");
    let words = run.ends_with(3);
    assert!(!words.contains("hush"), "{words}");
}

#[test]
fn a_secret_in_a_probe_or_a_hook_is_not_said_either() {
    needs_namespaces!();
    // The second service has not even said that it is one.
    let config = r#"
        [supervisor]
        control_socket = "${DIR}/socket"
        log_level = "trace"

        [service.db]
        command = "sleep 1001"
        secrets = ["DB_PASSWORD"]
        ready   = { exec = ["sh", "-c", "test ${DB_PASSWORD} && test -e ${DIR}/up"], interval = "50ms" }
        hooks   = { after_ready = ["/not/there/${DB_PASSWORD}"] }

        [service.other]
        command = "/neither/${DB_PASSWORD}"
        after = ["db:started"]
        essential = false
        max_failures = 1
    "#;
    let mut run =
        supervise(Place::Pid1, config).with(|container| container.env("DB_PASSWORD", "hush-hush")).start();
    run.said("waiting for exec sh -c test *** && test -e");
    run.said("cannot execute /neither/***: no such file or directory");
    let status = run.ask(&["status"]);
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains("/neither/***") && !status.contains("hush"), "{status}");
    run.write("up", "");
    run.said("the after_ready hook of db failed (cannot execute /not/there/***");
    let words = run.stops_with(0);
    assert!(!words.contains("hush"), "{words}");
}
