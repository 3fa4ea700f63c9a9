//! `scripts`: the oneshot that makes a database's first start.

use super::*;

fn words(spec: &ServiceSpec) -> String {
    spec.launch.command.join(" ")
}

#[test]
fn a_database_gets_a_oneshot_before_it() {
    let plan = plan(
        r#"
        [service.db]
        preset  = "postgres"
        command = "postgres -c shared_buffers=1GB"
        scripts = {}
        [service.app]
        command  = "sleep 1"
        requires = ["db"]
        "#,
    );
    let [init, db, app] = &plan.services[..] else { panic!("{plan:?}") };
    assert_eq!((&*init.name, init.kind, init.instances), ("db-init", Kind::Oneshot, 1));
    let ours = "minisup init postgres --on-partial retry --order glob --user postgres -- ";
    assert_eq!(words(init), format!("{ours}postgres -c shared_buffers=1GB"));
    assert!(init.is_satellite() && !db.is_satellite());
    assert_eq!((init.restart, init.essential), (Restart::Never, true));
    assert_eq!(&init.stop.sequence[..], [(Signal::TERM, seconds(60))]);
    let on = |spec: &ServiceSpec| -> Vec<_> {
        let name = |it: &Dependency| (plan.service(it.service).name.to_string(), it.condition);
        spec.requires.iter().map(name).collect()
    };
    assert_eq!(on(db), [("db-init".to_owned(), Condition::Done)]);
    assert_eq!(on(app), [("db".to_owned(), Condition::Ready)]);
    assert_eq!(on(init), []);
}

#[test]
fn each_key_becomes_an_option() {
    let plan = plan(
        r#"
        [service.db]
        preset  = "mariadb"
        user    = "app"
        group   = 12
        scripts = { directory = "/a", each_start = "/b b", data_directory = "/c", on_partial = "fail", order = "version",
            timeout = "90s", start_timeout = "10m", charset = "latin1" }
        "#,
    );
    let expected = [
        ["minisup", "init", "mariadb"].as_slice(),
        &["--directory", "/a", "--each-start", "/b b", "--data-directory", "/c"],
        &["--charset", "latin1", "--script-timeout", "1m30s", "--start-timeout", "10m"],
        &["--on-partial", "fail", "--order", "version", "--user", "app:12", "--", "mariadbd"],
    ];
    assert_eq!(plan.services[0].launch.command[..], expected.concat());
}

#[test]
fn it_finds_what_the_service_finds_but_runs_as_minisup_does() {
    let mut around = around();
    around.environment.push(("POSTGRES_PASSWORD".into(), "hunter22".into()));
    let text = r#"
        [service.net]
        command = "sleep 1"
        [service.cache]
        command = "sleep 1"
        [service.db]
        preset       = "postgres"
        requires     = ["net"]
        after        = ["cache"]
        user         = "postgres"
        directory    = "/srv"
        limits       = { nofile = 1000 }
        capabilities = ["sys_nice"]
        environment  = { A = "b" }
        secrets      = ["POSTGRES_PASSWORD"]
        essential    = false
        enabled      = false
        stdout       = "null"
        stderr       = { file = "/var/log/db.log" }
        stop         = { signal = ["INT", "50s", "QUIT", "10s"], delay = "3s" }
        scripts      = {}
        "#;
    let folder = Folder::new();
    let plan = load(&[folder.write("supervise.toml", text)], &around).unwrap().plan;
    let [_, _, init, db] = &plan.services[..] else { panic!("{plan:?}") };
    assert!(std::rc::Rc::ptr_eq(&init.launch.environment, &db.launch.environment));
    assert_eq!(init.launch.secrets, db.launch.secrets);
    let extra = |spec: &ServiceSpec| spec.launch.extra.as_deref().unwrap().clone();
    let (own, theirs) = (extra(init), extra(db));
    assert_eq!((own.directory, own.limits), (theirs.directory, theirs.limits));
    assert_eq!((own.credentials, own.capabilities), (None, None));
    assert!(theirs.credentials.is_some() && theirs.capabilities.is_some());
    assert_eq!((init.requires.len(), db.requires.len()), (1, 2));
    assert_eq!((&init.requires[0], &init.after), (&db.requires[0], &db.after));
    assert_eq!((init.essential, init.enabled), (false, false));
    assert_eq!(&init.stop.sequence[..], [(Signal::TERM, seconds(60))]);
    assert_eq!(&init.stdout[..], [Sink::Forward], "what is said of it is not thrown away");
    assert_eq!(init.stderr, db.stderr);
}

#[test]
fn what_only_the_first_start_needs_is_not_in_the_servers_environment() {
    let request = |engine: &str| minisup::init::Request {
        engine: engine.to_owned(),
        directory: "/nowhere".into(),
        each_start: None,
        data_directory: None,
        on_partial: minisup::init::OnPartial::Retry,
        order: minisup::init::Order::Glob,
        user: None,
        charset: None,
        script_timeout: None,
        start_timeout: seconds(60),
        dry_run: false,
        json: false,
        server: Vec::new(),
        environment: Vec::new(),
    };
    let older = ["MYSQL_PASSWORD".to_owned(), "MYSQL_ROOT_PASSWORD".to_owned()];
    for engine in ["mariadb", "mysql", "postgres", "mongodb"] {
        // All that the engine itself takes for a secret, and the older names of MariaDB's.
        let known = minisup::init::engine::engine(&request(engine))
            .unwrap_or_else(|trouble| panic!("{trouble}"))
            .variables();
        let secret = known.iter().filter(|known| known.is_secret).map(|known| known.name.to_owned());
        let mut names: Vec<String> =
            secret.chain(older.iter().filter(|_| engine == "mariadb").cloned()).collect();
        names.extend(names.clone().into_iter().map(|name| format!("{name}_FILE")));
        assert!(names.len() >= 2, "{names:?}");
        let mut around = around();
        around.environment.extend(names.iter().map(|name| (name.clone(), "hunter22".to_owned())));
        around.environment.push(("MYSQL_DATABASE".into(), "shop".into()));
        let folder = Folder::new();
        let of = |keys: &str| {
            let text = format!(
                "[service.db]\npreset = \"{engine}\"\n{keys}\n[service.app]\ncommand = \"sleep 1\"\n"
            );
            load(&[folder.write("supervise.toml", text)], &around)
                .unwrap_or_else(|errors| panic!("{errors}"))
                .plan
        };
        let has =
            |spec: &ServiceSpec, name: &str| spec.launch.environment.iter().any(|(known, _)| known == name);
        let plan = of("scripts = {}");
        let [init, db, app] = &plan.services[..] else { panic!("{plan:?}") };
        for name in &names {
            let found = [init, db, app].map(|spec| has(spec, name));
            assert_eq!(found, [true, false, true], "{engine}: {name} of db-init, db and another service");
        }
        assert!(has(db, "MYSQL_DATABASE") && has(db, "PATH"));
        // Whoever says it for the server itself means the server.
        let plan = of(&format!("scripts = {{}}\nenvironment = {{ {} = \"own\" }}", names[0]));
        assert_eq!(
            [&names[0], &names[1]].map(|name| has(&plan.services[1], name)),
            [true, false],
            "{engine}"
        );
        let plan = of("");
        assert!(
            names.iter().all(|name| has(&plan.services[0], name)),
            "without a first start all is as it was"
        );
    }
}

#[test]
fn others_may_name_it() {
    let plan = plan(
        r#"
        [signals]
        USR2 = "db-init"
        [service.seen]
        command  = "sleep 1"
        requires = ["db-init"]
        [service.db]
        preset  = "mongodb"
        scripts = {}
        "#,
    );
    let [seen, init, db] = &plan.services[..] else { panic!("{plan:?}") };
    assert_eq!((&*init.name, &*db.name), ("db-init", "db"));
    assert_eq!(seen.requires[..], db.requires[..]);
    assert_eq!(plan.signals[..], [(Signal::USR2, Forward::To(seen.requires[0].service, Signal::USR2))]);
}

#[test]
fn nobody_gets_one_who_has_not_asked() {
    let text = r#"
        [defaults.scripts]
        directory = "/a"
        [service.db]
        preset  = "mysql"
        [service.other]
        preset  = "mysql"
        scripts = "none"
        [service.third]
        preset  = "mysql"
        scripts = {}
        "#;
    let plan = plan(text);
    let names: Vec<&str> = plan.services.iter().map(|spec| &*spec.name).collect();
    assert_eq!(names, ["db", "other", "third-init", "third"]);
    assert!(words(&plan.services[2]).contains(" --directory /a "), "{}", words(&plan.services[2]));
}

#[test]
fn what_cannot_be_is_said_at_its_place() {
    let rows = [
        (
            "command = 'x'\nscripts = {}",
            "3:1: error: `scripts` are for databases",
            "preset = \"mariadb\", \"mysql\"",
        ),
        ("preset = 'nginx'\nscripts = {}", "3:1: error: `scripts` are for databases", "preset = \"mariadb\""),
        (
            "preset = 'mysql'\nscripts = {}\ninstances = 2",
            "3:1: error: `scripts`: 2 instances cannot share",
            "",
        ),
        ("preset = 'mysql'\nscripts = true", "3:11: error: `scripts` must be a table such as", ""),
        ("preset = 'mysql'\nscripts = { on_partial = 'retri' }", "3:26: error:", "did you mean \"retry\"?"),
        ("preset = 'mysql'\nscripts = { dir = '/x' }", "3:13: error: unknown key \"dir\"", "directory"),
        (
            "preset = 'mysql'\nscripts = {}\nrequires = ['db-init']\n[service.db-init]\ncommand = 'x'",
            "5:10: error: `db-init` is made by the `scripts` of [service.db]",
            "call this one otherwise",
        ),
        (
            "preset = 'mysql'\nscripts = {}\nrequires = ['a']\n[service.a]\ncommand = 'x'\nrequires = ['db-init']",
            "error: services wait for one another",
            "db-init",
        ),
    ];
    for (keys, expected, cure) in rows {
        let said = errors(&format!("[service.db]\n{keys}\n"));
        assert!(said.contains(expected) && said.contains(cure), "{keys}:\n{said}");
    }
}

#[test]
fn what_is_said_of_a_database_is_not_said_of_its_first_start_too() {
    let text = r#"
        [service.db]
        preset  = "postgres"
        secrets = ["NAME"]
        environment = { NAME = "hunter22" }
        command = "postgres -c x=hunter22"
        scripts = {}
        "#;
    let warnings = loaded(text).warnings;
    let about = |part: &str| warnings.iter().filter(|it| it.message.contains(part)).count();
    assert_eq!((about("stands in the command"), about("may take")), (1, 1), "{warnings:?}");
    assert_eq!(about("minisup"), 0, "{warnings:?}");
}

#[test]
fn a_database_that_would_be_root_runs_as_its_own_user() {
    let user = |keys: &str, around: &Surroundings| {
        let folder = Folder::new();
        let path = folder.write("supervise.toml", format!("[service.db]\n{keys}\n"));
        let plan = load(&[path], around).unwrap_or_else(|errors| panic!("{errors}")).plan;
        let extra = plan.services[0].launch.extra.as_deref().cloned().unwrap_or_default();
        extra.credentials.map(|who| who.uid)
    };
    let root = around();
    assert_eq!(user("preset = 'postgres'", &root), Some(70));
    assert_eq!(user("preset = 'postgres'\ncommand = '/usr/lib/postgresql/15/bin/postgres'", &root), Some(70));
    assert_eq!(user("preset = 'postgres'\nuser = 'app'", &root), Some(1000));
    assert_eq!(user("preset = 'postgres'\nuser = 'root'", &root), Some(0));
    assert_eq!(user("preset = 'postgres'\n[defaults]\nuser = 'app'", &root), Some(1000));
    // A script may have something to do as root, and become somebody by itself.
    assert_eq!(user("preset = 'postgres'\ncommand = ['sh', '-c', 'exec postgres']", &root), None);
    assert_eq!(user("preset = 'mysql'", &root), None, "there is no such user here");
    assert_eq!(user("preset = 'redis'", &root), None);
    let app = Surroundings { euid: 1000, egid: 1000, ..around() };
    assert_eq!(user("preset = 'postgres'", &app), None);
    let accounts = Accounts::parse(b"root:x:0:0::/:\nmysql:x:7:7::/:\n", b"");
    let mysql = Surroundings { accounts, ..around() };
    assert_eq!(user("preset = 'mysql'", &mysql), Some(7));
    assert_eq!(user("preset = 'mysql'\ncommand = 'mysqld --user=other'", &mysql), None);
    let arguments = Surroundings { arguments: vec!["--user=other".into()], ..mysql };
    assert_eq!(user("preset = 'mysql'\n[command]\nservice = 'db'", &arguments), None);
}
