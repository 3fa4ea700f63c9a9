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
