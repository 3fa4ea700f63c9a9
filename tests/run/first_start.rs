//! `scripts`: the oneshot before a database, with the real `minisup init`.

use crate::needs_namespaces;
use crate::stage::{Place, supervise};
use crate::support::MINISUP;
use std::process::{Command, Stdio};

const CONFIG: &str = r#"
    [service.db]
    preset  = "mariadb"
    command = ["${DIR}/mariadbd"]
    user    = "root"
    ready   = "started"
    scripts = { data_directory = "${DIR}/data/" }
    [service.app]
    command  = ["touch", "${DIR}/launched"]
    requires = ["db"]
"#;

#[test]
fn a_first_start_that_fails_ends_the_container_with_its_exit_code() {
    needs_namespaces!();
    // No such server: whatever comes first of what is missing, it says the same alone.
    let words = ["init", "mariadb", "--data-directory", "/nowhere/data", "--", "/nowhere/mariadbd"];
    let mut alone = Command::new(MINISUP);
    let alone = alone.args(words).env_clear().stdin(Stdio::null()).output().unwrap();
    let code = alone.status.code().unwrap();
    assert_ne!(code, 0);
    let config =
        CONFIG.replace("${DIR}/mariadbd", "/nowhere/mariadbd").replace("${DIR}/data/", "/nowhere/data");
    let mut run = supervise(Place::Pid1, &config).start();
    run.said("db waits for db-init to be done");
    let launched = run.path("launched");
    let words = run.ends_with(code);
    let reason = format!("db-init is essential and has failed (exit code {code}): stopping everything");
    assert!(words.contains(&reason), "{words}");
    assert!(words.contains("minisup init: "), "it says why: {words}");
    assert!(!launched.exists());
}
