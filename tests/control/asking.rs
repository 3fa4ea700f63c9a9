//! A supervisor to be asked, and its clients.

use crate::stage::{Place, Run, Stage, supervise};
use crate::support::{Lines, MINISUP};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// What a client has said, and how it ended.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Services that are as good as any.
pub const USUAL: &str = r#"
[service.web]
command = ["sh", "-c", "echo listening; exec sleep 1000"]
requires = ["app"]

[service.app]
command = "sleep 1001"

[service.migrate]
type = "oneshot"
command = "true"

[service.spare]
command = ["sh", "-c", "echo cannot read the file; echo giving up >&2; exit 3"]
enabled = false
essential = false
restart = "never"
ready = { file = "${DIR}/never" }
"#;

/// One that is up, and one that gets ready when somebody makes a file.
pub const SLOW: &str = r#"
[service.app]
command = "sleep 1001"

[service.slow]
command = "sleep 1000"
ready = { file = "${DIR}/up", timeout = "10m" }
enabled = false
"#;

/// A supervisor with these services whose socket is `${DIR}/socket`.
pub fn stage(services: &str) -> Stage {
    supervise(Place::Pid1, &format!("[supervisor]\ncontrol_socket = \"${{DIR}}/socket\"\n{services}"))
}

/// The same, when all is up.
pub fn supervisor(services: &str) -> Run {
    let mut run = stage(services).start();
    run.said("all is up");
    run
}

/// A client that is not to take longer than anything takes.
pub fn client(run: &Run, words: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.arg("60").arg(MINISUP).args(words);
    command.env("MINISUP_SOCKET", run.path("socket")).stdin(Stdio::null());
    command
}

/// Asks, to the end.
pub fn ask(run: &Run, words: &[&str]) -> Answer {
    answer(&mut client(run, words))
}

/// To the end.
pub fn answer(command: &mut Command) -> Answer {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let code = output.status.code().unwrap_or(-1);
    Answer { code, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A client that goes on: it, and its stdout. It ends when we do.
pub fn follow(run: &Run, words: &[&str]) -> (Following, Lines) {
    let mut command = Command::new(MINISUP);
    command.args(words).env("MINISUP_SOCKET", run.path("socket")).stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).process_group(0).spawn().unwrap();
    let lines = Lines::new(child.stdout.take().unwrap().into());
    (Following(child), lines)
}

/// A client that goes on; dropped, it is killed.
pub struct Following(pub Child);

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Answer {
    /// What it has said on stdout, if it ended well.
    pub fn good(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{}", self.stdout);
        self.stdout
    }

    /// What it has said on stderr, if it ended with this code.
    pub fn fails_with(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        self.stderr
    }
}

/// One JSON document.
pub fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The instance of this service, as `status --json` has it.
pub fn status_of(run: &Run, service: &str) -> serde_json::Value {
    let answer = ask(run, &["status", "--json", service]);
    json(&answer.stdout)["instances"][0].clone()
}
