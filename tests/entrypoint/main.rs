//! `[scripts]`, `minisup render` and the scripts of entrypoint.d, for real: the binary as PID 1 of a
//! namespace, scripts in folders made for the test, every shell that is installed.
//!
//! - `folder`: which scripts run, when, as whom; what they end with
//! - `exports`: what an .envsh exports, and who gets it
//! - `render`: `minisup render`
//! - `shipped`: the scripts of entrypoint.d, in every shell that is installed
//!
//! Tests wait for lines and for processes, never for a time.

#[path = "../support/mod.rs"]
mod support;

#[path = "../run/stage.rs"]
#[allow(dead_code)]
mod stage;

mod exports;
mod folder;
mod render;
mod shipped;

use crate::stage::{Place, Stage, supervise};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// A configuration with these scripts in the folder `d` beside it: name, permissions, text.
fn with_scripts(place: Place, config: &str, scripts: &[(&str, u32, &str)]) -> Stage {
    let stage = supervise(place, config);
    for (name, mode, text) in scripts {
        script(&stage.folder().join("d").join(name), *mode, text);
    }
    stage
}

/// Writes a script. Through a process of its own: while another test forks, a descriptor of ours
/// would be open for writing in its child, and whoever executes the script gets ETXTBSY.
fn script(path: &Path, mode: u32, text: &str) {
    const WRITE: &str = r#"mkdir -p "${1%/*}" && cat >"$1" && chmod "$2" "$1""#;
    let mut shell = Command::new("sh")
        .args(["-c", WRITE, "sh"])
        .arg(path)
        .arg(format!("{mode:o}"))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success());
}
