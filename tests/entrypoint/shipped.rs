//! The scripts of entrypoint.d, as they are shipped, in every shell that there is.

use crate::stage::{Place, supervise};
use crate::support::MINISUP;
use crate::{needs_namespaces, script};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/entrypoint.d");

/// Shells with what has to stand before a script's name.
fn shells() -> Vec<Vec<&'static str>> {
    let all = [vec!["/bin/dash"], vec!["/bin/busybox", "sh"], vec!["/bin/bash", "--posix"]];
    let found: Vec<_> = all.into_iter().filter(|words| Path::new(words[0]).exists()).collect();
    assert!(!found.is_empty());
    found
}

/// A script, to be run by this shell, with no variables but PATH and MINISUP.
fn shipped(shell: &[&str], name: &str) -> Command {
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).arg(format!("{SHIPPED}/{name}")).env_clear();
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("MINISUP", MINISUP);
    command
}

/// Runs it: exit code, stdout, stderr.
fn run(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("minisup-shipped-{}-{number}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// A port that nobody listens at.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn all_are_executable_and_do_nothing_unasked() {
    let mut count = 0;
    for entry in fs::read_dir(SHIPPED).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".sh") {
            continue;
        }
        count += 1;
        for shell in shells() {
            let mut command = shipped(&shell, &name);
            command.env("NGINX_ENVSUBST_TEMPLATE_DIR", "/nowhere");
            assert_eq!(run(&mut command), (0, String::new(), String::new()), "{shell:?} {name}");
        }
    }
    assert!(count >= 4, "{count}");
}

#[test]
fn a_server_is_waited_for_until_it_answers() {
    for shell in shells() {
        let address = free_port();
        let mut command = shipped(&shell, "10-wait-for.sh");
        command.env("WAIT_FOR", format!("tcp://{address}")).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        assert!(first.starts_with(&format!("waiting for tcp://{address}: ")), "{shell:?}: {first}");
        let _listener = TcpListener::bind(address).unwrap();
        let rest: Vec<String> = lines.map(Result::unwrap).collect();
        assert!(child.wait().unwrap().success());
        assert!(
            rest.len() == 1 && rest[0].starts_with(&format!("tcp://{address} is there after ")),
            "{rest:?}"
        );
    }
}

#[test]
fn who_does_not_come_in_time_is_named_with_the_last_answer() {
    for shell in shells() {
        let address = free_port();
        let mut command = shipped(&shell, "10-wait-for.sh");
        command.env("WAIT_FOR", format!("tcp://{address}")).env("WAIT_FOR_TIMEOUT", "1");
        let (code, out, err) = run(&mut command);
        assert_eq!(code, 1, "{out}{err}");
        assert_eq!(out.lines().count(), 1, "one line as long as the answer is the same: {out}");
        assert!(err.starts_with(&format!("gave up waiting for tcp://{address} after ")), "{err}");
        assert!(err.contains("it last said: ") && !err.trim_end().ends_with(':'), "{err}");
    }
}

#[test]
fn an_http_answer_must_be_a_good_one() {
    for shell in shells() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for status in ["503 Not Yet", "503 Not Yet", "200 OK"] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut bytes = [0; 512];
                let count = stream.read(&mut bytes).unwrap();
                asked.push(String::from_utf8_lossy(&bytes[..count]).lines().next().unwrap().to_owned());
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").unwrap();
            }
            asked
        });
        let mut command = shipped(&shell, "10-wait-for.sh");
        command.env("WAIT_FOR", format!("http://{address}/_cluster/health?x=1"));
        let (code, out, err) = run(&mut command);
        assert_eq!(code, 0, "{out}{err}");
        assert!(out.contains("503") && out.lines().count() == 2, "{out}");
        assert_eq!(server.join().unwrap()[0], "GET /_cluster/health?x=1 HTTP/1.0");
    }
}

#[test]
fn what_cannot_be_waited_for_is_said_at_once() {
    for shell in shells() {
        let mut command = shipped(&shell, "10-wait-for.sh");
        let (code, _, err) = run(command.env("WAIT_FOR", "db:5432"));
        assert_eq!(code, 2);
        assert!(err.contains("\"db:5432\" begins with none of tcp://"), "{err}");
        let (code, _, err) = run(command.env("WAIT_FOR_TIMEOUT", "1m"));
        assert_eq!((code, err.as_str()), (2, "WAIT_FOR_TIMEOUT must be a number of seconds, not \"1m\"\n"));
    }
}

#[test]
fn local_resolvers_are_those_of_the_container() {
    let folder = folder();
    let conf = folder.join("resolv.conf");
    fs::write(&conf, "search x\nnameserver 10.0.0.2\nnameserver fe80::1%eth0\n# nameserver 1.1.1.1\n")
        .unwrap();
    for shell in shells() {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).args(["-ec", ". \"$1\"; echo \"<$NGINX_LOCAL_RESOLVERS>\"", "sh"]);
        command.arg(format!("{SHIPPED}/15-local-resolvers.envsh")).env("RESOLV_CONF", &conf);
        assert_eq!(run(&mut command).1, "<>\n", "{shell:?}");
        command.env("NGINX_ENTRYPOINT_LOCAL_RESOLVERS", "1");
        assert_eq!(run(&mut command).1, "<10.0.0.2 [fe80::1]>\n", "{shell:?}");
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn workers_are_as_many_as_the_cgroup_lets_run() {
    let folder = folder();
    let conf = folder.join("nginx.conf");
    let (v1, v2) = (folder.join("v1"), folder.join("v2"));
    let put = |path: PathBuf, text: &str| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put(v2.join("cpu.max"), "50000 100000\n");
    put(v1.join("cpu/cpu.cfs_quota_us"), "100000\n");
    put(v1.join("cpu/cpu.cfs_period_us"), "100000\n");
    put(folder.join("set/cpuset.cpus.effective"), "3\n");
    put(folder.join("free/cpu.max"), "max 100000\n");
    put(folder.join("free1/cpu/cpu.cfs_quota_us"), "-1\n");
    put(folder.join("free1/cpu/cpu.cfs_period_us"), "100000\n");
    let all = run(Command::new("nproc").env_clear().env("PATH", "/usr/bin:/bin")).1.trim().to_owned();
    let cases = [("v1", "1"), ("v2", "1"), ("set", "1"), ("free", &*all), ("free1", &*all), ("none", &*all)];
    for shell in shells() {
        for (root, workers) in cases {
            fs::write(&conf, "user x;\nworker_processes  auto;\nevents {}\n").unwrap();
            let mut command = shipped(&shell, "30-tune-worker-processes.sh");
            command.env("NGINX_CONF", &conf).env("CGROUP_ROOT", folder.join(root));
            command.env("NGINX_ENTRYPOINT_WORKER_PROCESSES_AUTOTUNE", "1");
            assert_eq!(
                run(&mut command),
                (0, format!("worker_processes {workers}\n"), String::new()),
                "{shell:?} {root}"
            );
            let text = format!("user x;\nworker_processes {workers};\nevents {{}}\n");
            assert_eq!(fs::read_to_string(&conf).unwrap(), text);
            assert_eq!(run(&mut command).1, format!("worker_processes is {workers} already\n"));
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn templates_become_nginxs_configuration() {
    for shell in shells() {
        let folder = folder();
        for (name, text) in [
            ("t/web.conf.template", "listen $PORT; # $host ${NAME:-x}\n"),
            ("t/sub/db.conf.stream-template", "server ${PORT};\n"),
            ("nginx.conf", "events {}\n"),
        ] {
            fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
            fs::write(folder.join(name), text).unwrap();
        }
        let mut command = shipped(&shell, "20-render-templates.sh");
        command
            .env("PORT", "80")
            .env("NGINX_ENVSUBST_TEMPLATE_DIR", folder.join("t"))
            .env("NGINX_ENVSUBST_OUTPUT_DIR", folder.join("conf.d"))
            .env("NGINX_ENVSUBST_STREAM_OUTPUT_DIR", folder.join("stream.d"))
            .env("NGINX_CONF", folder.join("nginx.conf"));
        for _ in 0..2 {
            let (code, out, err) = run(&mut command);
            assert_eq!((code, err.as_str()), (0, ""), "{shell:?} {out}");
        }
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(read("conf.d/web.conf"), "listen 80; # $host x\n");
        assert_eq!(read("stream.d/sub/db.conf"), "server 80;\n");
        assert_eq!(read("nginx.conf").matches("stream {").count(), 1, "added once");
        fs::write(folder.join("t/web.conf.template"), "listen $PORT $NAME\n").unwrap();
        run(command.env("NGINX_ENVSUBST_FILTER", "^NAME$").env("NAME", "n"));
        assert_eq!(read("conf.d/web.conf"), "listen $PORT n\n");
        let (code, _, err) = run(command.env("NGINX_ENVSUBST_OUTPUT_DIR", folder.join("nginx.conf")));
        assert!(code == 1 && err.contains("cannot write"), "what cannot be written stops the start: {err}");
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn one_of_many_containers_migrates_at_a_time() {
    for shell in shells() {
        let folder = folder();
        // As many as start at once: each says when it begins and when it ends.
        fs::write(folder.join("manage.py"), "echo \"begin $*\" >>log\nsleep 0.1\necho end >>log\n").unwrap();
        let mut command = shipped(&shell, "40-django-migrate.sh");
        command
            .env("DJANGO_MIGRATE", "1")
            .env("DJANGO_PYTHON", "sh")
            .env("DJANGO_MANAGE", folder.join("manage.py"))
            .env("DJANGO_MIGRATE_LOCK", folder.join("lock"))
            .stdout(Stdio::piped());
        let all: Vec<_> = (0..4).map(|_| command.spawn().unwrap()).collect();
        let waited: usize = all
            .into_iter()
            .map(|child| {
                let output = child.wait_with_output().unwrap();
                assert!(output.status.success());
                usize::from(String::from_utf8_lossy(&output.stdout).contains("another container migrates"))
            })
            .sum();
        assert!(waited > 0, "nobody waited");
        let log = fs::read_to_string(folder.join("log")).unwrap();
        assert_eq!(log, "begin migrate --noinput --database default\nend\n".repeat(4), "{shell:?}");
        let (code, _, err) = run(command.env("DJANGO_MANAGE", "/nowhere/manage.py"));
        assert!(code == 1 && err.contains("there is no /nowhere/manage.py"), "{err}");
        fs::write(folder.join("manage.py"), "exit 3\n").unwrap();
        assert_eq!(run(command.env("DJANGO_MANAGE", folder.join("manage.py"))).0, 3);
        fs::remove_dir_all(folder).unwrap();
    }
}

/// The whole folder, in front of a real nginx.
#[test]
fn nginx_serves_what_a_template_says() {
    needs_namespaces!();
    let address = free_port();
    let config = format!(
        "[scripts]\ndirectory = \"{SHIPPED}\"\n[service.web]\npreset = \"nginx\"\n\
         command = [\"nginx\", \"-c\", \"${{DIR}}/nginx.conf\", \"-g\", \"daemon off;\"]\n"
    );
    let stage = supervise(Place::Pid1, &config);
    let folder = stage.folder().to_str().unwrap().to_owned();
    let conf = "worker_processes 7;\npid FOLDER/pid;\nerror_log stderr;\nevents {}\nhttp {\n\
        access_log off;\nclient_body_temp_path FOLDER/a;\nproxy_temp_path FOLDER/b;\nfastcgi_temp_path FOLDER/c;\n\
        uwsgi_temp_path FOLDER/d;\nscgi_temp_path FOLDER/e;\ninclude FOLDER/conf.d/*.conf;\n}\n";
    script(&stage.folder().join("nginx.conf"), 0o644, &conf.replace("FOLDER", &folder));
    let template = "server {\n  listen ${ADDRESS:?where to listen};\n  return 200 \"$host says ${WORDS:-nothing}\\n\";\n}\n";
    script(&stage.folder().join("templates/web.conf.template"), 0o644, template);
    let variables = [
        ("MINISUP", MINISUP.to_owned()),
        ("ADDRESS", address.to_string()),
        ("WORDS", "hello".to_owned()),
        ("NGINX_ENVSUBST_TEMPLATE_DIR", format!("{folder}/templates")),
        ("NGINX_ENVSUBST_OUTPUT_DIR", format!("{folder}/conf.d")),
        ("NGINX_CONF", format!("{folder}/nginx.conf")),
        ("NGINX_ENTRYPOINT_WORKER_PROCESSES_AUTOTUNE", "1".to_owned()),
        ("NGINX_ENTRYPOINT_LOCAL_RESOLVERS", "1".to_owned()),
    ];
    let stage = stage.with(move |container| {
        variables.iter().fold(container, |container, (name, value)| container.env(name, value))
    });
    let mut run = stage.start();
    run.heard("script-20-render-templates");
    run.heard("worker_processes ");
    run.said("all is up");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\nHost: example\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("example says hello\n"), "{answer}");
    run.stops_with(0);
}
