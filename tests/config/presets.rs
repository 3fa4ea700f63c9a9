//! What presets make of commands.

use super::{Folder, around, plan};
use minisup::config::{Loaded, Surroundings, load};
use minisup::core::plan::*;
use minisup::core::signal::Signal;
use std::path::Path;

mod databases;
mod gunicorn;

/// A service in a folder of its own, which is also its working directory.
fn loaded(files: &[(&str, &str)], keys: &str, around: &Surroundings) -> Loaded {
    let folder = Folder::new();
    for (name, text) in files {
        folder.write(name, text);
    }
    let keys = keys.replace("@", &folder.0.display().to_string());
    let text = format!("[service.x]\ndirectory = \"{}\"\n{keys}\n", folder.0.display());
    let path = folder.write("supervise.toml", text);
    load(&[path], around).unwrap_or_else(|errors| panic!("{errors}"))
}

fn service(files: &[(&str, &str)], keys: &str) -> ServiceSpec {
    loaded(files, keys, &around()).plan.services[0].clone()
}

fn warnings(files: &[(&str, &str)], keys: &str) -> Vec<String> {
    let all = loaded(files, keys, &around()).warnings.into_iter();
    all.map(|warning| warning.message)
        .filter(|m| !m.contains("in PATH") && !m.contains("there is no /"))
        .collect()
}

fn command(service: &ServiceSpec) -> Vec<&str> {
    service.launch.command.iter().map(String::as_str).collect()
}

fn check(service: &ServiceSpec) -> Vec<&str> {
    service.reload.as_ref().unwrap().check.as_ref().unwrap().iter().map(String::as_str).collect()
}

fn logs(service: &ServiceSpec) -> Vec<String> {
    let logs = &service.reload.as_ref().unwrap().logs;
    logs.iter().map(|path| path.to_string_lossy().into_owned()).collect()
}

mod nginx {
    use super::*;

    const NGINX: &str = "preset = \"nginx\"\n";

    #[test]
    fn daemon_off_is_added_where_nobody_says_it() {
        let spec = service(
            &[("n.conf", "events {}\n# daemon off;\n")],
            &format!("{NGINX}command = \"nginx -c @/n.conf\""),
        );
        assert_eq!(&command(&spec)[3..], ["-g", "daemon off;"]);
        assert_eq!(check(&spec)[..3], ["nginx", "-t", "-q"]);
        assert_eq!(check(&spec)[5..], ["-g", "daemon off;"]);
    }

    #[test]
    fn it_is_not_said_twice() {
        let files = [("n.conf", "user x;\ndaemon   off;\nevents {}\n")];
        let spec = service(&files, &format!("{NGINX}command = \"nginx -c @/n.conf\""));
        assert_eq!(command(&spec).len(), 3, "{:?}", spec.launch.command);
        let prefix =
            service(&[("conf/nginx.conf", "daemon off;")], &format!("{NGINX}command = \"nginx -p @\""));
        assert_eq!(command(&prefix).len(), 3, "{:?}", prefix.launch.command);
        let line = service(&[], &format!("{NGINX}command = \"nginx -c /none -g 'daemon off;'\""));
        assert_eq!(command(&line), ["nginx", "-c", "/none", "-g", "daemon off;"]);
    }

    #[test]
    fn other_directives_of_the_command_are_kept() {
        let spec = service(&[], &format!("{NGINX}command = \"nginx -c /none -g 'worker_processes 2'\""));
        assert_eq!(command(&spec)[4], "worker_processes 2; daemon off;");
    }

    #[test]
    fn what_the_command_says_is_ended_and_not_said_twice() {
        let spec = service(&[], &format!("{NGINX}command = \"nginx -c /none -g 'daemon off'\""));
        assert_eq!(command(&spec), ["nginx", "-c", "/none", "-g", "daemon off;"]);
        assert_eq!(check(&spec)[5..], ["-g", "daemon off;"]);
    }

    #[test]
    fn what_the_main_context_includes_counts_too() {
        let command = format!("{NGINX}command = \"nginx -c @/n.conf\"");
        let adds = |main: &str, name: &str| {
            let files = [("n.conf", main), (name, "pid /run/inc.pid;\ndaemon off;\n")];
            let spec = service(&files, &command);
            let known = spec.ready.is_some_and(|ready| ready.probe == Probe::File("/run/inc.pid".into()));
            assert_ne!(known, spec.launch.command.len() > 3, "{main}");
            !known
        };
        assert!(!adds("include main.conf;\nevents {}", "main.conf"));
        assert!(!adds("events {}\ninclude \"main.d/*.conf\";", "main.d/a.conf"));
        assert!(adds("events {}\ninclude main.d/*.conf;", "main.d/.a.conf"));
        assert!(adds("events {}\nhttp { include main.d/*.conf; }", "main.d/a.conf"));
        assert!(adds("include n.conf; include *.conf;", "main.d/a.conf"), "it includes itself");
    }

    #[test]
    fn its_pid_file_tells_that_it_listens() {
        let ready = |conf: &str, arguments: &str| {
            let keys = format!("{NGINX}command = \"nginx -c @/n.conf {arguments}\"");
            service(&[("n.conf", conf)], &keys).ready.map(|ready| ready.probe)
        };
        let file = |path: &str| Some(Probe::File(path.into()));
        assert_eq!(ready("# pid /run/no;\npid /run/nginx.pid;\nevents {}\n", ""), file("/run/nginx.pid"));
        assert_eq!(ready("events {}", "-g 'pid /run/g.pid'"), file("/run/g.pid"));
        assert_eq!(ready("pid logs/nginx.pid;", ""), None, "it begins at the prefix, which is built in");
        assert_eq!(ready("events {}", ""), None);
    }

    #[test]
    fn the_pid_file_that_another_nginx_takes_along_is_known_or_one_of_those_that_are_built_in() {
        let files = |conf: &str| {
            let keys = format!("{NGINX}command = \"nginx -c @/n.conf\"");
            let files = service(&[("n.conf", conf)], &keys).heirs.unwrap().pid_files;
            files.iter().map(|file| file.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(files("pid /srv/n.pid; events {}"), ["/srv/n.pid"]);
        let built_in = files("events {}");
        assert!(built_in.iter().any(|file| file == "/run/nginx.pid"), "{built_in:?}");
    }

    #[test]
    fn it_is_known_where_it_complains() {
        let logs = |conf: &str, arguments: &str| {
            let keys = format!("{NGINX}command = \"nginx -c @/n.conf {arguments}\"");
            super::logs(&service(&[("n.conf", conf)], &keys))
        };
        assert_eq!(logs("error_log /a.log warn; http { error_log /b.log; }", ""), ["/a.log", "/b.log"]);
        assert_eq!(logs("events {}", "-g 'error_log /c.log;'"), ["/c.log"]);
        assert!(logs("error_log stderr; http { error_log logs/at-its-prefix; }", "").is_empty());
        assert!(logs("events {}", "").contains(&"/var/log/nginx/error.log".to_owned()));
    }

    #[test]
    fn where_nobody_names_its_pid_file_it_is_asked_where_it_listens() {
        let ready = |listens: &str| {
            let conf = format!("events {{}}\nhttp {{ # listen 1;\n server {{ {listens} }} }}\n");
            let keys = format!("{NGINX}command = \"nginx -c @/n.conf\"");
            service(&[("n.conf", &conf)], &keys).ready.map(|ready| ready.probe)
        };
        let tcp = |address: &str| Some(Probe::Tcp(address.parse().unwrap()));
        assert_eq!(ready("listen 8080 default_server; listen 8081;"), tcp("127.0.0.1:8080"));
        assert_eq!(ready("listen *:81 ssl;"), tcp("127.0.0.1:81"));
        assert_eq!(ready("listen [::]:82 ipv6only=off;"), tcp("[::1]:82"));
        assert_eq!(ready("listen 127.0.0.2;"), tcp("127.0.0.2:80"));
        assert_eq!(ready("listen localhost:83;"), tcp("127.0.0.1:83"));
        assert_eq!(ready("listen unix:/run/n.sock;"), Some(Probe::Unix("/run/n.sock".into())));
        assert_eq!(ready("listen 53 udp; listen 84;"), tcp("127.0.0.1:84"));
        assert_eq!(ready("listen some.name:80;"), None, "names are not looked up here");
        assert_eq!(ready(""), None);
    }

    #[test]
    fn it_is_launched_after_the_applications_beside_it_unless_somebody_says_otherwise() {
        let order = |web: &str, app: &str| {
            let text = format!(
                "[service.app]\npreset = \"gunicorn\"\ncommand = \"gunicorn a:a\"\n{app}\n\
                 [service.tool]\ncommand = \"tool\"\n[service.web]\n{NGINX}{web}\n"
            );
            let web = plan(&text).services[2].clone();
            let of = |list: &[Dependency]| list.iter().map(|it| it.service.index()).collect::<Vec<_>>();
            (of(&web.requires), of(&web.after))
        };
        assert_eq!(order("", ""), (vec![], vec![0]));
        assert_eq!(order("requires = [\"tool\"]", ""), (vec![1], vec![]));
        assert_eq!(order("after = []", ""), (vec![], vec![]));
        assert_eq!(order("", "enabled = false"), (vec![], vec![]));
        assert_eq!(order("", "after = [\"web\"]"), (vec![], vec![]), "no circle");
    }

    #[test]
    fn said_twice_or_switched_on_is_found() {
        let files = [("off.conf", "daemon off;"), ("on.conf", "daemon on;")];
        let both = format!("{NGINX}command = \"nginx -c @/off.conf -g 'daemon off;'\"");
        assert!(warnings(&files, &both)[0].contains("refuses to start"));
        let on = format!("{NGINX}command = \"nginx -c @/on.conf\"");
        assert!(warnings(&files, &on)[0].contains("daemon on"));
    }
}

mod uwsgi {
    use super::*;

    const HOOK: [&str; 2] = ["--hook-master-start", "unix_signal:15 gracefully_kill_them_all"];

    fn app(arguments: &str) -> String {
        format!("preset = \"uwsgi\"\ncommand = \"uwsgi {arguments}\"")
    }

    fn probe(files: &[(&str, &str)], arguments: &str) -> Probe {
        service(files, &app(arguments)).ready.unwrap().probe
    }

    #[test]
    fn it_stops_well_without_touching_its_file() {
        let spec = service(&[], &app("--http-socket :81 --wsgi-file a.py"));
        assert_eq!(command(&spec)[..5], ["uwsgi", "--master", "--need-app", HOOK[0], HOOK[1]]);
        let files =
            [("a.ini", "[uwsgi]\nmaster = true\nneed-app = true\ndie-on-term = true\nsocket = :82\n")];
        let spec = service(&files, &app("a.ini"));
        assert_eq!(command(&spec), ["uwsgi", HOOK[0], HOOK[1], "a.ini"]);
        let files =
            [("a.ini", "[uwsgi]\nmaster = true\nneed-app = true\nhook-master-start = unix_signal:15 x\n")];
        assert_eq!(command(&service(&files, &app("--ini a.ini"))), ["uwsgi", "--ini", "a.ini"]);
    }

    #[test]
    fn its_log_file_is_opened_again_by_a_hook_too() {
        let files = [("a.ini", "[uwsgi]\nmaster = true\nneed-app = true\nlogto = /var/log/x\nlog-master\n")];
        let spec = service(&files, &app("a.ini"));
        let hook = [HOOK[0], "unix_signal:10 uwsgi_log_reopen"];
        assert_eq!(command(&spec)[1..], [&HOOK[..], &hook, &["a.ini"]].concat());
        assert_eq!(spec.reopen, Some(Signal::USR1));
        assert_eq!(service(&[], &app("-s :1")).reopen, None, "it has no log file");
        assert_eq!(service(&[], &app("--logto /x -s :1")).reopen, None, "each worker has it open");
        assert_eq!(logs(&service(&[], &app("--logto /x -s :1"))), ["/x"], "and why not is said there");
        let own = format!("{}\nreopen = \"none\"", app("--logto /x --log-master -s :1"));
        assert_eq!(service(&[], &own).reopen, None);
    }

    #[test]
    fn a_router_that_cuts_requests_off_is_found() {
        let found =
            |arguments: &str| warnings(&[], &app(arguments)).iter().any(|m| m.contains("http router"));
        assert!(found("--http :81 --wsgi-file a.py"));
        assert!(!found("--http-socket :81 --wsgi-file a.py"));
    }

    #[test]
    fn threads_that_are_replaced_while_they_serve_are_found() {
        let rolling = |files: &[(&str, &str)], arguments: &str| {
            let all = warnings(files, &format!("{}\nrestart_mode = \"rolling\"", app(arguments)));
            all.into_iter().filter(|message| message.contains("threads")).collect::<Vec<_>>()
        };
        assert!(rolling(&[], "-s :1 --threads 4")[0].contains("(threads = 4), replaced while it serves"));
        assert!(rolling(&[], "-s :1 --threads=4")[0].contains("(threads = 4)"));
        assert!(rolling(&[], "-s :1 --enable-threads")[0].contains("(enable-threads)"));
        let ini = [("a.ini", "[uwsgi]\nsocket = :1\nthreads = 2\n")];
        assert!(rolling(&ini, "--ini a.ini")[0].contains("(threads = 2 in a.ini)"));
        assert_eq!(rolling(&[], "-s :1 --threads 1 --processes 4"), [""; 0]);
        assert_eq!(rolling(&[("a.ini", "[uwsgi]\nenable-threads = false\n")], "a.ini"), [""; 0]);
        assert!(!warnings(&[], &app("-s :1 --threads 4")).iter().any(|m| m.contains("threads")));
    }

    #[test]
    fn it_answers_on_its_first_socket() {
        let tcp = |text: &str| ProbeAddress::Tcp(text.into());
        let Probe::Http(http) = probe(&[], "--http-socket :81") else { panic!() };
        assert_eq!((http.address, http.status), (tcp("127.0.0.1:81"), Statuses::range(100, 599)));
        let asks = |address| Probe::Uwsgi(UwsgiProbe { address, path: "/".into() });
        assert_eq!(probe(&[], "-s 127.0.0.1:82"), asks(tcp("127.0.0.1:82")));
        assert_eq!(probe(&[], "--socket=/run/x"), asks(ProbeAddress::Unix("/run/x".into())));
        let files = [("a.ini", "[uwsgi]\nsocket = 127.0.0.1:83\nprotocol = http\n")];
        assert!(matches!(probe(&files, "a.ini"), Probe::Http(_)));
        assert_eq!(probe(&[("a.ini", "[uwsgi]\nsocket = %n.sock\n")], "a.ini"), Probe::Notify);
        assert_eq!(probe(&[], "--wsgi-file x"), Probe::Notify);
    }

    #[test]
    fn a_section_a_folder_and_what_is_doubtful_are_heard() {
        let http = |files: &[(&str, &str)], arguments: &str| match probe(files, arguments) {
            Probe::Http(http) => format!("{:?}", http.address),
            other => format!("{other:?}"),
        };
        let ini = [(
            "u.ini",
            "[uwsgi]\nhttp-socket = :1\n[prod]\nini = :base\nmaster = 1\n[base]\nhttp-socket = :2\n",
        )];
        assert!(http(&ini, "--ini u.ini").contains("127.0.0.1:1"));
        assert!(http(&ini, "--ini u.ini:base").contains("127.0.0.1:2"));
        assert!(http(&ini, "u.ini:prod").contains("127.0.0.1:2"));
        assert_eq!(http(&ini, "--ini u.ini:other"), "Notify");
        assert!(http(&[], "--chdir sub --http-socket ./a.sock").contains("sub/./a.sock"));
        assert!(http(&[], "--http-socket a.sock --chdir=/srv").contains("\"/srv/a.sock"));
        let ini = [("u.ini", "[uwsgi]\nchdir = sub\nhttp-socket = a.sock\n")];
        assert!(http(&ini, "u.ini").contains("sub/a.sock"));
        let chance = "[uwsgi]\nif-env = X\nhttp-socket = :1\nendif =\n";
        assert_eq!(http(&[("u.ini", chance)], "u.ini"), "Notify");
        let both = format!("{chance}http-socket = :2\n");
        assert!(http(&[("u.ini", &both)], "u.ini").contains("127.0.0.1:2"));
        let chdir = "[uwsgi]\nif-dir = /x\nchdir = /x\nendif =\nhttp-socket = a.sock\n";
        assert_eq!(http(&[("u.ini", chdir)], "u.ini"), "Notify");
    }

    #[test]
    fn the_background_and_a_missing_master_are_found() {
        let files = [("d.ini", "[uwsgi]\ndaemonize = /var/log/x\n"), ("m.ini", "[uwsgi]\nmaster = false\n")];
        assert!(warnings(&files, &app("d.ini"))[0].contains("in the background"));
        assert!(warnings(&files, &app("m.ini"))[0].contains("without a master"));
        assert!(warnings(&[], "command = \"uwsgi --socket :81\"")[0].contains("without a master"));
    }
}

#[test]
fn a_script_gets_no_arguments_that_it_does_not_know() {
    for preset in ["nginx", "gunicorn", "uwsgi"] {
        let spec = service(&[], &format!("preset = \"{preset}\"\ncommand = \"/entrypoint.sh -b\""));
        assert_eq!(command(&spec), ["/entrypoint.sh", "-b"], "{preset}");
        assert_eq!(spec.ready, None, "{preset}");
        assert!(spec.reload.is_none_or(|reload| reload.check.is_none()), "{preset}");
    }
    for (preset, shell) in [("nginx", "nginx"), ("uwsgi", "uwsgi -s :1")] {
        let words = format!("preset = \"{preset}\"\ncommand = [\"sh\", \"-c\", \"{shell}\"]");
        let script = format!("preset = \"{preset}\"\ncommand = \"/{preset}-start.sh x\"");
        for keys in [words, script] {
            let spec = service(&[], &keys);
            assert!(spec.reload.unwrap().check.is_none() && spec.ready.is_none(), "{keys}");
        }
    }
    let run = service(&[], "preset = \"gunicorn\"\ncommand = \"poetry run gunicorn a:a\"");
    assert!(command(&run).contains(&"--graceful-timeout"));
}

#[test]
fn a_shell_that_stays_before_a_server_is_found() {
    let found = |preset: &str, script: &str| {
        let keys = format!("preset = \"{preset}\"\ncommand = [\"sh\", \"-c\", \"{script}\"]");
        warnings(&[], &keys).iter().any(|message| message.contains("signals reach the shell"))
    };
    for preset in ["nginx", "gunicorn", "uwsgi"] {
        assert!(found(preset, &format!("{preset} -x")), "{preset}");
        assert!(!found(preset, &format!("sleep 1 && exec {preset} -x")), "{preset}");
    }
    assert!(!found("gunicorn", "./start"));
}

#[test]
fn each_preset_runs_as_it_is_or_says_what_it_lacks() {
    for preset in &minisup::config::presets::ALL {
        let own = match preset.name {
            "gunicorn" | "uwsgi" => "command = \"x\"",
            _ => "",
        };
        let spec = plan(&format!("[service.x]\npreset = \"{}\"\n{own}\n", preset.name)).services[0].clone();
        assert!(!spec.launch.command.is_empty(), "{}", preset.name);
    }
}

/// The real nginx takes the command that the preset makes.
#[test]
fn nginx_itself_accepts_what_is_added() {
    if !Path::new("/usr/sbin/nginx").exists() {
        return eprint_skip("nginx");
    }
    let files = [("n.conf", "events {}\nerror_log stderr;\npid @.pid;\n")];
    let folder = Folder::new();
    let conf = folder.write("n.conf", files[0].1.replace("@", &folder.0.join("n").display().to_string()));
    let keys = format!("preset = \"nginx\"\ncommand = \"/usr/sbin/nginx -e stderr -c {}\"", conf.display());
    let spec = service(&[], &keys);
    let check = check(&spec);
    let output = std::process::Command::new(check[0]).args(&check[1..]).output().unwrap();
    assert!(output.status.success(), "{check:?}: {}", String::from_utf8_lossy(&output.stderr));
}

pub fn eprint_skip(what: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "skipped: {what} is not installed");
}

mod held {
    use super::*;

    fn sockets(keys: &str) -> (Told, bool) {
        let spec = service(&[], &format!("{keys}\nsockets = {{ app = \"tcp://:8000\" }}"));
        let sockets = spec.sockets.expect("sockets");
        (sockets.told, sockets.door)
    }

    #[test]
    fn whoever_may_stand_beside_another_one_has_a_door_of_its_own() {
        let gunicorn = "preset = \"gunicorn\"\ncommand = \"gunicorn app:app\"";
        assert_eq!(sockets(gunicorn), (Told::Plainly, false));
        assert_eq!(sockets(&format!("{gunicorn}\nrestart_mode = \"rolling\"")), (Told::Plainly, true));
        assert_eq!(sockets(&format!("{gunicorn}\ninstances = 2")), (Told::Plainly, true));
        // Its reload is a replacement.
        let uwsgi = "preset = \"uwsgi\"\ncommand = \"uwsgi --wsgi-file app.py\"";
        assert_eq!(sockets(uwsgi), (Told::Plainly, true));
    }

    #[test]
    fn two_that_would_bind_the_same_address_are_found() {
        let gunicorn = "preset = \"gunicorn\"\nrestart_mode = \"rolling\"\ncommand = \"gunicorn app:app";
        let found = |keys: &str| {
            let all = warnings(&[], &format!("{gunicorn}{keys}"));
            all.iter().any(|message| message.contains("two cannot bind the same address"))
        };
        assert!(found(" --bind unix:/run/a.sock\""));
        assert!(!found("\"\nsockets = { app = \"tcp://:8000\" }"));
        assert!(!found(" --reuse-port --bind :8000\""));
    }

    #[test]
    fn each_server_is_told_as_it_knows_it() {
        assert_eq!(sockets("preset = \"nginx\"").0, Told::AsNginx);
        let numbered = "preset = \"gunicorn\"\ncommand = \"gunicorn --bind fd://${socket.app} app:app\"";
        assert_eq!(sockets(numbered).0, Told::ByNumber);
        let spec = service(&[], &format!("{numbered}\nsockets = {{ app = \"tcp://:8000\" }}"));
        assert_eq!(command(&spec)[..3], ["gunicorn", "--bind", "fd://3"]);
    }
}
