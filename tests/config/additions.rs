//! What `minisup check` says that presets have added, and why.

use super::Folder;
use std::process::Command;

fn said(text: &str) -> String {
    let folder = Folder::new();
    folder.write("supervise.toml", text);
    let output = Command::new(env!("CARGO_BIN_EXE_minisup"))
        .arg("check")
        .current_dir(&folder.0)
        .env_clear()
        .env("PATH", "/none")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_presets_add_is_said_with_its_reason_for_each_service() {
    let text = r#"
[service.app]
preset  = "gunicorn"
command = "gunicorn --bind unix:/run/app.sock app:app"
reload  = "none"

[service.other]
preset  = "uwsgi"
command = "uwsgi --socket /run/other.sock --wsgi-file app.py"
ready   = { tcp = "127.0.0.1:1" }

[service.tool]
command = "tool"

[service.web]
preset  = "nginx"
command = "nginx -c /none -g 'pid /run/nginx.pid;'"
"#;
    let expected = "\
app, by its preset gunicorn:
  added --graceful-timeout 7: its own 30 s are longer than the grace period
  ready: GET / at unix:/run/app.sock answers 100-599; asked every 250ms, for 1m \
(its READY=1 comes before there is a worker)
  stop: TERM 8s, then KILL (TERM lets requests finish)
  reopen: USR1 (it opens its log files again)
other, by its preset uwsgi:
  added --master --need-app --hook-master-start 'unix_signal:15 gracefully_kill_them_all', \
so that TERM lets requests finish
  stop: TERM 7s, then INT 1s, then KILL (with the hook TERM lets requests finish; INT cuts them off)
  reload: HUP, if this succeeds: uwsgi --master --need-app --hook-master-start \
'unix_signal:15 gracefully_kill_them_all' --socket /run/other.sock --wsgi-file app.py --set 'lazy-apps=false' \
--set 'lazy=false' --set 'vacuum=false' --set 'pidfile=/proc/self/comm' --set 'pidfile2=/proc/self/comm' \
--no-server (it lets requests finish, and executes itself anew in the same process)
web, by its preset nginx:
  added -g 'daemon off;', so that it stays in the foreground
  added after = [\"app\", \"other\"]; `after = []` for no order
  ready: /run/nginx.pid exists; asked every 250ms, for 1m (it writes that file when it listens everywhere)
  stop: QUIT 6s, then TERM 2s, then KILL (QUIT lets requests finish, but has no bound of its own)
  reload: HUP, if this succeeds: nginx -t -q -c /none -g 'pid /run/nginx.pid; daemon off;' \
(new workers take over its listeners; a wrong configuration is not tried)
  reopen: USR1 (it opens its log files again)

supervise.toml: 4 services, no error, 4 warnings
";
    assert_eq!(said(text), expected);
}

#[test]
fn without_presets_there_is_nothing_to_add() {
    assert_eq!(
        said("[service.x]\ncommand = \"/bin/true\"\n"),
        "supervise.toml: 1 service, no error, no warning\n"
    );
}
