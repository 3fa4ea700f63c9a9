//! `minisup check`, as it is run.

use super::Folder;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const GOOD: &str = r#"
[environment]
MODE = "test"

[defaults]
max_failures = 3

[service.migrate]
type    = "oneshot"
command = ["/bin/sh", "-c", "exit 0"]

[service.app]
command     = "/bin/sleep 1000 hunter22"
requires    = ["migrate"]
environment = { TOKEN = "hunter22", A = "b" }
secrets     = ["TOKEN"]
ready       = { tcp = "127.0.0.1:8000" }
stop        = { signal = ["QUIT", "3s", "TERM", "2s"] }
limits      = { nofile = 1024 }

[service.tool]
enabled = false
command = "/bin/true"
"#;

fn check(text: &str, arguments: &[&str]) -> Output {
    let folder = Folder::new();
    folder.write("supervise.toml", text);
    Command::new(env!("CARGO_BIN_EXE_minisup"))
        .arg("check")
        .args(arguments)
        .current_dir(&folder.0)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn what_the_clock_launches_is_not_shown_as_launched_at_boot() {
    let text_of = |words: &[&str]| {
        let config = "[service.app]\ncommand = \"/bin/sleep 1000\"\n[service.backup]\ntype = \"oneshot\"\n\
            command = \"/bin/true\"\nschedule = \"30 3 * * *\"\n";
        text(&check(config, words).stdout)
    };
    let expected = "launch order\n   1  app     /bin/sleep 1000\n   -  backup  /bin/true\n              by its schedule: 30 3 * * *\n";
    assert!(text_of(&["--plan"]).starts_with(expected), "{}", text_of(&["--plan"]));
    let value: serde_json::Value = serde_json::from_str(&text_of(&["--plan", "--json"])).unwrap();
    assert_eq!(value["plan"]["launch_order"], serde_json::json!([["app"]]));
}

#[test]
fn what_tells_that_it_is_ready_is_not_said_to_be_asked() {
    let config = "[service.app]\ncommand = \"/bin/sleep 1000\"\nready = { log = \"up\", timeout = \"5s\" }\n";
    let shown = text(&check(config, &["--plan"]).stdout);
    assert!(shown.contains("  ready             a line that matches /up/, within 5s  "), "{shown}");
}

#[test]
fn a_plan_is_shown_with_its_reasons() {
    let output = check(GOOD, &["--plan"]);
    let expected = "\
launch order
   1  migrate  /bin/sh -c 'exit 0'
   2  app      /bin/sleep 1000 '***'
               after migrate is done

stop order
   1  app      QUIT 3s, then TERM 2s, then KILL
      all of it within 9s (supervisor.shutdown_timeout)

[service.migrate]  oneshot
  command           /bin/sh -c 'exit 0'                                # supervise.toml:10
  ready             when it is done
  restart           never
  max_failures      3 in a row                                         # [defaults] supervise.toml:6
  stop              TERM 8s, then KILL

[service.app]  longrun
  command           /bin/sleep 1000 '***'                              # supervise.toml:13
  requires          migrate is done                                    # supervise.toml:14
  limits            nofile 1024                                        # supervise.toml:19
  environment       A=b MODE=test TOKEN=***                            # supervise.toml:15
  secrets           TOKEN                                              # supervise.toml:16
  ready             a connection to 127.0.0.1:8000; asked every 250ms, for 1m
                                                                       # supervise.toml:17
  restart           always
  max_failures      3 in a row                                         # [defaults] supervise.toml:6
  stop              QUIT 3s, then TERM 2s, then KILL                   # supervise.toml:18

[service.tool]  longrun, not enabled
  command           /bin/true                                          # supervise.toml:23
  ready             as soon as it has started
  restart           always
  max_failures      3 in a row                                         # [defaults] supervise.toml:6
  stop              TERM 8s, then KILL

supervise.toml: 3 services, no error, 1 warning
";
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(output.status.code(), Some(0));
    let warning = "supervise.toml:13:15: warning: the secret TOKEN stands in the command";
    assert!(text(&output.stderr).starts_with(warning), "{}", text(&output.stderr));
}

#[test]
fn a_program_reads_the_same() {
    let output = check(GOOD, &["--plan", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["valid"], true);
    assert_eq!(value["plan"]["launch_order"], serde_json::json!([["migrate"], ["app"]]));
    assert_eq!(value["plan"]["stop_order"], serde_json::json!([["app"]]));
    let app = &value["plan"]["services"][1];
    assert_eq!(app["requires"], serde_json::json!(["migrate:done"]));
    assert_eq!(app["environment"]["TOKEN"], "***");
    assert_eq!(app["stop"]["sequence"][1], serde_json::json!({ "signal": "TERM", "wait": 2.0 }));
    assert_eq!(app["from"]["stop.signal"], "supervise.toml:18");
    assert_eq!(value["warnings"][0]["line"], 13);
    assert!(!text(&output.stdout).contains("hunter22"), "a secret is shown nowhere");
}

#[test]
fn what_is_wrong_is_said_and_ends_with_78() {
    let bad = "[service.app]\ncomand = \"x\"\n";
    let output = check(bad, &[]);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stdout).is_empty());
    assert!(text(&output.stderr).ends_with("\n\n2 errors\n"), "{}", text(&output.stderr));

    let output = check(bad, &["--json"]);
    assert_eq!(output.status.code(), Some(78));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["valid"], false);
    let error = &value["errors"][1];
    assert_eq!((&error["line"], &error["column"]), (&2.into(), &1.into()));
    assert_eq!(error["hint"], "did you mean \"command\"?");
}

#[test]
fn a_program_always_gets_one_object() {
    let folder = Folder::new();
    let good = "[service.a]\ncommand = \"sleep 1\"\n";
    folder.write("ok.toml", good);
    let read = |words: &[&str], code| {
        let output = Command::new(env!("CARGO_BIN_EXE_minisup"))
            .args([&["check", "--json"], words].concat())
            .env_remove("MINISUP_CONFIG")
            .current_dir(&folder.0)
            .output()
            .unwrap();
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(code), ""), "{words:?}");
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(value["valid"], code == 0, "{words:?}");
        assert!(value["warnings"].is_array() && value["errors"].is_array(), "{value}");
        let message = value["errors"][0]["message"].as_str().unwrap_or_default().to_owned();
        (value["files"].as_array().unwrap().clone(), message, value)
    };
    let (files, _, value) = read(&["--config", "ok.toml", "--", "sh", "-c", "true"], 0);
    assert_eq!((files.len(), &value["alone"]), (1, &serde_json::json!(["sh", "-c", "true"])));
    let (files, message, _) = read(&["--config", "ok.toml", "--", "--foo"], 2);
    assert!(files.len() == 1 && message.starts_with("\"--foo\" begins with"), "{message}");
    let (files, message, _) = read(&["--config", "ok.toml", "--config", "none.toml"], 78);
    assert!(files == ["ok.toml", "none.toml"] && message.starts_with("cannot read it"), "{message}");
    // Where the machine has no configuration of its own.
    if !["/etc/minisup", "/etc/supervisor", "/etc/supervisord.conf"].iter().any(|it| Path::new(it).exists()) {
        let (files, message, _) = read(&[], 78);
        assert!(files.is_empty() && message.starts_with("there is no configuration"), "{message}");
    }
}

#[test]
fn nothing_to_check_is_said() {
    let folder = Folder::new();
    let output = Command::new(env!("CARGO_BIN_EXE_minisup"))
        .args(["check", "--config", "none.toml"])
        .current_dir(&folder.0)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).starts_with("none.toml: error: cannot read it"), "{}", text(&output.stderr));
}

#[test]
fn a_reader_who_has_gone_is_no_trouble() {
    let folder = Folder::new();
    folder.write("supervise.toml", GOOD);
    let mut child = Command::new(env!("CARGO_BIN_EXE_minisup"))
        .args(["check", "--plan"])
        .current_dir(&folder.0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn words_behind_the_images_name_are_checked_with_the_rest() {
    let config = "[command]\nservice = \"db\"\n[service.db]\ncommand = \"sleep 1\"\n";
    let output = check(config, &["--plan", "--", "--a", "b c"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("   1  db  sleep --a 'b c'\n"), "{}", text(&output.stdout));
    let output = check(config, &["--", "echo", "b c"]);
    assert_eq!(text(&output.stdout), "it runs alone, as `minisup exec` does it: echo 'b c'\n");
    let output = check(&config[24..], &["--", "--a"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}
