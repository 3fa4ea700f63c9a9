//! What is put into the images of docker/ works on their oldest base, Ubuntu 16.04: Python 3.5, nginx 1.10,
//! gunicorn 19.4, uWSGI 2.0.12, Redis 3.0.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// All files below docker/ whose names end so.
fn files(ends: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("docker")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if ends.iter().any(|end| path.to_str().unwrap().ends_with(end)) => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{ends:?}");
    found
}

/// Python itself reads them by the grammar of 3.5, and names what came later.
const LATER: &str = r#"
import ast, sys
LATER = {"JoinedStr": "f-strings", "NamedExpr": ":=", "AnnAssign": "annotated variables", "Match": "match"}
MODULES = {"dataclasses", "secrets", "contextvars", "zoneinfo", "graphlib", "tomllib"}
KEYWORDS = {"run": {"capture_output", "text", "encoding"}, "check_output": {"text", "encoding"}}
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read(), path, feature_version=(3, 5))
    for node in ast.walk(tree):
        found = LATER.get(type(node).__name__)
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found = found or next((name for name in names if name.split(".")[0] in MODULES), None)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            given = {keyword.arg for keyword in node.keywords} & KEYWORDS.get(node.func.attr, set())
            found = found or ", ".join(sorted(given))
        if found:
            print("{}:{}: {}".format(path, node.lineno, found))
"#;

#[test]
fn applications_are_written_for_python_3_5() {
    let Ok(output) = Command::new("python3").args(["-c", LATER]).args(files(&[".py"])).output() else {
        return super::presets::eprint_skip("python3");
    };
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// What nginx 1.10 does not know, of that which is widely used; the version that brought it.
const NEWER: &[(&str, &str)] = &[
    ("absolute_redirect", "1.11.8"),
    ("worker_shutdown_timeout", "1.11.11"),
    ("proxy_cache_background_update", "1.11.10"),
    ("mirror", "1.13.4"),
    ("http2", "1.25.1"),
    ("grpc_pass", "1.13.10"),
    ("proxy_socket_keepalive", "1.15.6"),
    ("uwsgi_socket_keepalive", "1.15.6"),
    ("limit_req_dry_run", "1.17.1"),
    ("auth_delay", "1.17.10"),
    ("proxy_cookie_flags", "1.19.3"),
    ("ssl_reject_handshake", "1.19.4"),
    ("ssl_conf_command", "1.19.4"),
    ("keepalive_time", "1.19.10"),
    ("ssl_early_data", "1.15.3"),
    ("keepalive_min_timeout", "1.27.4"),
];

#[test]
fn nginx_is_told_nothing_that_came_after_1_10() {
    for path in files(&["nginx.conf", "nginx.conf.template"]) {
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let word = line.split([' ', ';']).next().unwrap();
            let newer = NEWER.iter().find(|(name, _)| *name == word);
            assert_eq!(newer, None, "{}: {line}", path.display());
            for (name, since) in [("$request_id", "1.11.0"), ("escape=", "1.11.8"), ("ipv4=off", "1.23.1")] {
                assert!(!line.contains(name), "{}: {line}: since {since}", path.display());
            }
        }
    }
}

#[test]
fn servers_are_given_no_option_that_their_oldest_version_lacks() {
    let known = |program: &str| -> Option<&[&str]> {
        Some(match program {
            "gunicorn" => {
                &["--bind", "--workers", "--threads", "--worker-tmp-dir", "--graceful-timeout", "--timeout"]
            }
            "uwsgi" => {
                &["--ini", "--plugin", "--socket", "--processes", "--threads", "--master", "--need-app"]
            }
            // `-e` came with 1.19.5.
            "nginx" => &["-c", "-g", "-p"],
            // `--protected-mode` came with 3.2; an unknown option ends it.
            "redis-server" => &["--bind", "--dir", "--appendonly", "--port", "--unixsocket"],
            _ => return None,
        })
    };
    let mut seen = 0;
    for path in files(&["supervise.toml"]) {
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().filter(|line| line.starts_with("command")) {
            let mut words = line.split(['"', ' ']).skip_while(|word| known(word).is_none());
            let Some(options) = words.next().and_then(known) else { continue };
            seen += 1;
            for option in words.filter(|word| word.starts_with('-')) {
                assert!(options.contains(&option), "{}: {option}", path.display());
            }
        }
    }
    assert!(seen > 10, "{seen} commands");
    // Of uWSGI's own file, all were there before 2.0.
    let known = "plugin socket chmod-socket master need-app processes threads vacuum disable-logging callable \
        if-not-env wsgi-file endif if-env mount manage-script-name";
    for path in files(&["uwsgi.ini"]) {
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().filter(|line| !line.starts_with(['#', '[', ';']) && !line.trim().is_empty())
        {
            let name = line.split('=').next().unwrap().trim();
            assert!(known.split_whitespace().any(|it| it == name), "{}: {line}", path.display());
        }
    }
}
