//! What presets make of the commands of databases.

use super::*;

/// Programs that are there, and the probe of this preset then.
fn probe(programs: &[&str], keys: &str) -> Option<Probe> {
    let folder = Folder::new();
    programs.iter().for_each(|program| drop(folder.write(program, "")));
    let mut around = around();
    around.environment.retain(|(name, _)| name != "PATH");
    around.environment.push(("PATH".into(), format!("/none:{}", folder.0.display())));
    loaded(&[], keys, &around).plan.services[0].ready.as_ref().map(|ready| ready.probe.clone())
}

fn exec(text: &str) -> Option<Probe> {
    Some(Probe::Exec(text.split(' ').map(str::to_owned).collect()))
}

#[test]
fn they_are_asked_by_their_own_clients_where_there_are_any() {
    assert_eq!(probe(&["pg_isready"], "preset = \"postgres\""), exec("pg_isready --quiet"));
    let own = "preset = \"postgres\"\ncommand = \"postgres -k /run/x -p 5433\"";
    assert_eq!(probe(&["pg_isready"], own), exec("pg_isready --quiet --host=/run/x --port=5433"));
    assert_eq!(probe(&[], own), Some(Probe::Unix("/run/x/.s.PGSQL.5433".into())));
    assert_eq!(probe(&[], "preset = \"postgres\""), None);
    for (arguments, asked) in [
        ("-c port=5433", " --port=5433"),
        ("--port=5433", " --port=5433"),
        ("-p5433 -c PORT=5434", " --port=5434"),
        ("-c unix_socket_directories=/x,/y -p 1", " --host=/x --port=1"),
        ("--unix-socket-directories=/x", " --host=/x"),
        ("-c shared_buffers=1GB -k /x", " --host=/x"),
        ("-k '' -p 5433", " --host=localhost --port=5433"),
        ("-k '' -h 10.0.0.1,::1", " --host=10.0.0.1"),
        ("-c unix_socket_directories= -c listen_addresses='*'", " --host=127.0.0.1"),
    ] {
        let keys = format!("preset = \"postgres\"\ncommand = \"postgres {arguments}\"");
        assert_eq!(probe(&["pg_isready"], &keys), exec(&format!("pg_isready --quiet{asked}")), "{arguments}");
    }
    let tcp = "preset = \"postgres\"\ncommand = \"postgres -k '' -p 5433\"";
    assert_eq!(probe(&[], tcp), Some(Probe::Tcp("127.0.0.1:5433".parse().unwrap())));
    let ping = "mysqladmin --connect-timeout=2 --silent ping";
    assert_eq!(probe(&["mysqladmin"], "preset = \"mariadb\""), exec(ping));
    assert_eq!(probe(&[], "preset = \"mysql\""), Some(Probe::Notify));
}

#[test]
fn a_socket_that_only_the_server_is_told_of_is_where_it_is_asked() {
    let folder = Folder::new();
    folder.write("mysqladmin", "");
    let files = [(
        "my.cnf",
        "[client]\nsocket=/run/other\n[mysqld]\nsocket = \"/run/x/s\"\n[mysqldump]\nsocket=/n\n",
    )];
    let asked = |command: &str| {
        let mut around = around();
        around.environment = vec![("PATH".into(), folder.0.display().to_string())];
        let keys = format!("preset = \"mysql\"\ncommand = \"{command}\"");
        match loaded(&files, &keys, &around).plan.services[0].ready.as_ref().unwrap().probe.clone() {
            Probe::Exec(words) => words[1].clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(asked("mysqld --defaults-file=my.cnf"), "--socket=/run/x/s");
    assert_eq!(asked("mysqld --defaults-file=my.cnf --socket=/y"), "--socket=/y");
    assert_eq!(asked("mysqld --defaults-file=none.cnf"), "--connect-timeout=2");
}

#[test]
fn ports_are_found() {
    let tcp = |port: u16| Some(Probe::Tcp(([127, 0, 0, 1], port).into()));
    assert_eq!(probe(&[], "preset = \"redis\""), tcp(6379));
    assert_eq!(probe(&[], "preset = \"redis\"\ncommand = \"redis-server --port 0\""), None);
    let unix = "preset = \"redis\"\ncommand = \"redis-server --port 0 --unixsocket /run/r\"";
    assert_eq!(probe(&[], unix), Some(Probe::Unix("/run/r".into())));
    assert_eq!(probe(&[], "preset = \"mongodb\"\ncommand = \"mongod --port 27018\""), tcp(27018));
}

#[test]
fn redis_is_asked_by_its_client_since_it_listens_while_it_loads() {
    let there = ["redis-cli", "sh", "grep"];
    let asks = |place: &str| {
        let words = ["sh".to_owned(), "-c".into(), format!("redis-cli {place} ping | grep -qv LOADING")];
        Some(Probe::Exec(words.into()))
    };
    let redis = |arguments: &str| {
        probe(&there, &format!("preset = \"redis\"\ncommand = \"redis-server {arguments}\""))
    };
    assert_eq!(redis(""), asks("-p 6379"));
    assert_eq!(redis("--port 6380"), asks("-p 6380"));
    assert_eq!(redis("--port 0 --unixsocket '/run/a b'"), asks("-s '/run/a b'"));
    assert_eq!(redis("--port 0"), None);
    assert_eq!(redis("--PORT 6380"), asks("-p 6380"));
    assert_eq!(redis("--bind 10.0.0.1 10.0.0.2 --port 6380"), asks("-h 10.0.0.1 -p 6380"));
    assert_eq!(redis("--bind '10.0.0.1 127.0.0.1'"), asks("-p 6379"));
    assert_eq!(redis("--bind -10.0.0.1 10.0.0.2"), asks("-h 10.0.0.2 -p 6379"));
    assert_eq!(redis("--bind '* -::*'"), asks("-p 6379"));
    assert_eq!(redis("--bind ::"), asks("-h ::1 -p 6379"));
    assert_eq!(redis("--bind redis"), asks("-h redis -p 6379"));
    let files = [("r.conf", "Bind 10.0.0.1 -::1\nPORT 6380\n")];
    let keys = "preset = \"redis\"\ncommand = \"redis-server r.conf\"\nenvironment.PATH = \"/none\"";
    let found = service(&files, keys).ready.unwrap().probe;
    assert_eq!(found, Probe::Tcp("10.0.0.1:6380".parse().unwrap()));
}

#[test]
fn the_background_is_left_or_found() {
    let files = [
        ("r.conf", "# daemonize no\ndaemonize yes\nport 6380\n"),
        ("m.conf", "processManagement:\n   fork: true\n"),
    ];
    let redis = service(&files, "preset = \"redis\"\ncommand = \"redis-server r.conf\"");
    assert_eq!(command(&redis), ["redis-server", "r.conf", "--daemonize", "no"]);
    let capitals = [("r.conf", "Daemonize YES\n")];
    let redis = service(&capitals, "preset = \"redis\"\ncommand = \"redis-server r.conf\"");
    assert_eq!(command(&redis), ["redis-server", "r.conf", "--daemonize", "no"]);
    let line = "preset = \"redis\"\ncommand = \"redis-server --Daemonize Yes\"";
    assert!(warnings(&[], line).iter().any(|m| m.contains("in the background")));
    let mongo = "preset = \"mongodb\"\ncommand = \"mongod -f m.conf\"";
    assert!(warnings(&files, mongo).iter().any(|m| m.contains("in the background")));
    let safe = "preset = \"mysql\"\ncommand = \"mysqld_safe\"";
    assert!(warnings(&[], safe).iter().any(|m| m.contains("itself a supervisor")));
}

#[test]
fn they_are_stopped_cleanly() {
    let signal = |preset: &str| service(&[], &format!("preset = \"{preset}\"")).stop.sequence[0];
    assert_eq!(signal("postgres"), (Signal::INT, std::time::Duration::from_secs(60)));
    assert_eq!(signal("redis").0, Signal::TERM);
}
