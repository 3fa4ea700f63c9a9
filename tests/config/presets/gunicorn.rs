//! What its preset makes of the commands of gunicorn.

use super::*;

fn app(arguments: &str) -> String {
    format!("preset = \"gunicorn\"\ncommand = \"gunicorn {arguments}\"")
}

fn answers(service: &ServiceSpec) -> ProbeAddress {
    match &service.ready.as_ref().unwrap().probe {
        Probe::Http(http) => {
            assert_eq!((http.path.as_str(), http.status.clone()), ("/", Statuses::range(100, 599)));
            http.address.clone()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_answers_where_it_is_bound() {
    let tcp = |text: &str| ProbeAddress::Tcp(text.into());
    let unix = |path: &str| ProbeAddress::Unix(path.into());
    for (arguments, expected) in [
        ("a:a", tcp("127.0.0.1:8000")),
        ("-b 127.0.0.1:81 a:a", tcp("127.0.0.1:81")),
        ("-b0.0.0.0:81 a:a", tcp("127.0.0.1:81")),
        ("--bind=:81 --bind :82 a:a", tcp("127.0.0.1:81")),
        ("--bind [::]:81 a:a", tcp("[::1]:81")),
        ("a:a --bind localhost", tcp("localhost:8000")),
        ("--bind unix:/run/a.sock a:a", unix("/run/a.sock")),
        ("--bind unix:///run/a.sock a:a", unix("/run/a.sock")),
    ] {
        assert_eq!(answers(&service(&[], &app(arguments))), expected, "{arguments}");
    }
    let python = "preset = \"gunicorn\"\ncommand = \"python3 -m gunicorn -b :81 a:a\"";
    assert_eq!(answers(&service(&[], python)), tcp("127.0.0.1:81"));
}

#[test]
fn its_own_file_and_variables_are_heard() {
    let files = [("gunicorn.conf.py", "import os\nbind = ['127.0.0.1:83', '127.0.0.1:84']  # two\n")];
    assert_eq!(answers(&service(&files, &app("a:a"))), ProbeAddress::Tcp("127.0.0.1:83".into()));
    assert_eq!(answers(&service(&files, &app("-b :85 a:a"))), ProbeAddress::Tcp("127.0.0.1:85".into()));
    let other = [("c.py", "bind = \"unix:run.sock\"\n")];
    let ProbeAddress::Unix(path) = answers(&service(&other, &app("-c c.py a:a"))) else { panic!() };
    assert!(path.ends_with("run.sock") && path.is_absolute(), "{path:?}");
    let given = |name: &str, value: &str| {
        let mut around = around();
        around.environment.push((name.into(), value.into()));
        loaded(&[], &app("a:a"), &around).plan.services[0].clone()
    };
    assert_eq!(
        answers(&given("GUNICORN_CMD_ARGS", "--bind=:86 -w 2")),
        ProbeAddress::Tcp("127.0.0.1:86".into())
    );
    let mut around = around();
    around.environment.push(("GUNICORN_CMD_ARGS".into(), "--bind=:86".into()));
    let both = loaded(&[], &app("-b :88 a:a"), &around).plan.services[0].clone();
    assert_eq!(answers(&both), ProbeAddress::Tcp("127.0.0.1:88".into()));
    assert_eq!(answers(&given("PORT", "87")), ProbeAddress::Tcp("127.0.0.1:87".into()));
}

#[test]
fn it_is_found_behind_what_launches_it_and_nowhere_else() {
    let is_itself = |words: &str| {
        let spec = service(&[], &format!("preset = \"gunicorn\"\ncommand = {words}"));
        let checked = spec.reload.as_ref().is_some_and(|reload| reload.check.is_some());
        assert_eq!(checked, command(&spec).contains(&"--graceful-timeout"), "{words}");
        assert_eq!(checked, spec.ready.is_some(), "{words}");
        checked
    };
    for words in [
        "/opt/venv/bin/gunicorn a:a",
        "gunicorn-3.11 a:a",
        "python3 -u -W ignore -m gunicorn a:a",
        "python -m gunicorn.app.wsgiapp a:a",
        "/usr/bin/python3 /usr/bin/gunicorn a:a",
        "env -i A=b gunicorn3 a:a",
        "nice -n 5 ionice -c 2 gunicorn a:a",
        "ddtrace-run gunicorn a:a",
        "newrelic-admin run-program gunicorn a:a",
        "opentelemetry-instrument --service_name x gunicorn a:a",
        "poetry run python -m gunicorn a:a",
        "pipenv run gunicorn a:a",
        "uv run --no-sync gunicorn a:a",
        "tini -- gunicorn a:a",
        "gosu www-data gunicorn a:a",
        "/entrypoint.sh gunicorn a:a",
    ] {
        assert!(is_itself(&format!("\"{words}\"")), "{words}");
    }
    for words in [
        r#"["sh", "-c", "gunicorn --bind unix:app.sock app:app"]"#,
        r#"["sh", "-c", "gunicorn"]"#,
        r#"["env", "-i", "bash", "-c", "exec gunicorn a:a"]"#,
        r#""./start.sh gunicorn.conf.py""#,
        r#""python start.py -c gunicorn.conf.py""#,
        r#""python -u start.py gunicorn""#,
        r#""python -c gunicorn""#,
        r#""gunicorn-start.sh""#,
    ] {
        assert!(!is_itself(words), "{words}");
    }
}

#[test]
fn an_address_that_cannot_be_read_is_not_guessed() {
    let ask = |file: &str, arguments: &str, keys: &str| {
        let files = [("gunicorn.conf.py", file)];
        let keys = format!("{}\n{keys}", app(arguments));
        let said = warnings(&files, &keys).iter().any(|m| m.contains("where it answers is not known"));
        (service(&files, &keys).ready.map(|ready| ready.probe), said)
    };
    let unknown = (Some(Probe::Notify), true);
    for file in [
        "bind = f'{host}:{port}'",
        "bind = os.getenv('BIND', '0.0.0.0:5000')",
        "bind = '0.0.0.0:' + os.environ['PORT']",
        "bind = '0.0.0.0:%s' % port",
        "if debug:\n    bind = ':1'",
        "chdir = os.getcwd()\nbind = 'unix:a.sock'",
    ] {
        assert_eq!(ask(file, "a:a", ""), unknown, "{file}");
    }
    assert_eq!(ask("", "-c python:conf a:a", ""), unknown);
    assert_eq!(ask("", "-c not-there.py a:a", ""), unknown);
    let (own, said) = ask("bind = f'{x}'", "a:a", "ready = { tcp = 5000 }");
    assert!(matches!(own, Some(Probe::Tcp(_))) && !said);
    assert!(!ask("bind = f'{x}'", "a:a", "ready = \"started\"").1);
    assert!(matches!(ask("bind = f'{x}'", "-b :81 a:a", ""), (Some(Probe::Http(_)), false)));
}

#[test]
fn what_is_relative_is_below_the_folder_that_it_goes_to() {
    let socket = |files: &[(&str, &str)], arguments: &str| {
        let ProbeAddress::Unix(path) = answers(&service(files, &app(arguments))) else { panic!() };
        path
    };
    assert!(socket(&[], "--chdir sub --bind unix:a.sock a:a").ends_with("sub/a.sock"));
    assert_eq!(socket(&[], "--chdir /srv --bind unix:a.sock a:a"), Path::new("/srv/a.sock"));
    let files = [("gunicorn.conf.py", "chdir = 'sub'\nbind = [\n  'unix:a.sock',\n]\nerrorlog = 'b.log'")];
    assert!(socket(&files, "a:a").ends_with("sub/a.sock"));
    assert!(logs(&service(&files, &app("a:a")))[0].ends_with("sub/b.log"));
}

#[test]
fn its_own_log_is_known_where_it_has_one() {
    let logs = |files: &[(&str, &str)], arguments: &str| super::logs(&service(files, &app(arguments)));
    assert_eq!(logs(&[], "--error-logfile /a.log a:a"), ["/a.log"]);
    assert_eq!(logs(&[("gunicorn.conf.py", "errorlog = '/b.log'")], "a:a"), ["/b.log"]);
    assert!(logs(&[], "--error-logfile - a:a").is_empty() && logs(&[], "a:a").is_empty());
}

#[test]
fn where_it_speaks_tls_a_connection_is_enough() {
    let spec = service(&[], &app("-b 127.0.0.1:81 --certfile x a:a"));
    assert_eq!(spec.ready.unwrap().probe, Probe::Tcp("127.0.0.1:81".parse().unwrap()));
}

#[test]
fn it_ends_before_it_is_killed() {
    assert!(command(&service(&[], &app("a:a"))).ends_with(&["--graceful-timeout", "7"]));
    let long = format!("{}\nstop = {{ grace_period = \"60s\" }}", app("a:a"));
    assert_eq!(command(&service(&[], &long)), ["gunicorn", "a:a"]);
    let own = app("--graceful-timeout 20 a:a");
    assert_eq!(command(&service(&[], &own)).len(), 4);
    assert!(warnings(&[], &own)[0].contains("takes up to 20s to end"));
    let file = [("gunicorn.conf.py", "graceful_timeout = 5\n")];
    assert_eq!(command(&service(&file, &app("a:a"))), ["gunicorn", "a:a"]);
}

#[test]
fn a_reload_is_checked_and_the_background_is_found() {
    assert_eq!(check(&service(&[], &app("a:a"))).last(), Some(&"--check-config"));
    assert!(warnings(&[], &app("-D a:a"))[0].contains("in the background"));
    let refuses = |keys: &str| {
        let all = warnings(&[], &format!("{}\n{keys}", app("--pid /run/a.pid a:a")));
        all.iter().any(|m| m.contains("refuses to start beside") && m.contains("/run/a.pid"))
    };
    assert!(refuses("restart_mode = \"rolling\"") && !refuses(""));
    assert!(warnings(&[("gunicorn.conf.py", "daemon = True")], &app("a:a"))[0].contains("in the background"));
}

#[test]
fn the_users_own_question_goes_first() {
    let spec = service(&[], &format!("{}\nready = {{ http = \"http://h/x\" }}", app("a:a")));
    let Probe::Http(http) = spec.ready.unwrap().probe else { panic!() };
    assert_eq!((http.path.as_str(), http.status.clone()), ("/x", Statuses::range(200, 399)));
}
