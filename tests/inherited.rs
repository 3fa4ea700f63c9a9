//! A script that becomes minisup by exec may leave children behind: they are no service's.

mod support;

use support::MINISUP;
use support::container::container;

const TWO_ONESHOTS: &str = r#"
[supervisor]
control_socket = "FOLDER/minisup.sock"

[service.first]
type    = "oneshot"
command = ["echo", "first"]

[service.second]
type     = "oneshot"
requires = ["first"]
command  = ["sh", "-c", "echo second; sleep 0.5"]
"#;

/// The usual trick of entrypoint scripts: everything goes through a filter, which is then a
/// child of PID 1.
const SCRIPT: &str = r#"
mkfifo FOLDER/fifo
sed --unbuffered 's/^/filtered: /' <FOLDER/fifo &
exec "$0" run --config FOLDER/supervise.toml >FOLDER/fifo 2>&1
"#;

#[test]
fn a_filter_that_the_script_before_us_started_outlives_the_services() {
    needs_namespaces!();
    let folder = std::env::temp_dir().join(format!("minisup-inherited-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let place = |text: &str| text.replace("FOLDER", folder.to_str().unwrap());
    std::fs::write(folder.join("supervise.toml"), place(TWO_ONESHOTS)).unwrap();

    let (code, stdout, stderr) = container(&["/bin/sh", "-c", &place(SCRIPT), MINISUP]).run();
    let _ = std::fs::remove_dir_all(&folder);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("filtered: second\n"), "the filter was there for both: {stdout}{stderr}");
    assert!(!stdout.contains("others of its tree"), "and belonged to neither: {stdout}");
}
