//! `[command]`: what the words after the image's name mean.

use super::*;
use minisup::config::command::{Meaning, meaning};

const DB: &str = r#"
[command]
service = "db"
[service.db]
preset  = "mariadb"
command = "/opt/bin/mariadbd --datadir=/x"
secrets = ["NOT_GIVEN"]
"#;

fn means(text: &str, words: &str) -> Meaning {
    let folder = Folder::new();
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let path = folder.write("supervise.toml", text);
    meaning(&[path], &around(), &words).unwrap_or_else(|errors| panic!("{errors}"))
}

fn alone(before: &[&str]) -> Meaning {
    Meaning::Alone(before.iter().map(|word| word.to_string()).collect())
}

#[test]
fn options_and_the_servers_own_name_are_arguments() {
    for words in ["--max-connections=5", "mariadbd", "mysqld --x", "/usr/sbin/mariadbd -x", "-x mysql"] {
        assert_eq!(means(DB, words), Meaning::Arguments, "{words}");
    }
}

#[test]
fn any_other_command_runs_alone_whatever_the_services_lack() {
    for words in ["mysql -h db", "echo hello", "sh -c --help", "mysqldump --x"] {
        assert_eq!(means(DB, words), alone(&[]), "{words}");
    }
}

#[test]
fn who_asks_the_server_something_gets_only_the_answer() {
    for words in ["mysqld --verbose --help", "mariadbd --version", "mysqld -V", "mysqld --print-defaults"] {
        assert_eq!(means(DB, words), alone(&[]), "{words}");
    }
    assert_eq!(means(DB, "--verbose --help"), alone(&["/opt/bin/mariadbd"]));
    let other = "[command]\nservice = 'x'\n[service.x]\ncommand = 'app serve'\n";
    assert_eq!(means(other, "--version"), alone(&["app"]));
    assert_eq!(means(other, "-V"), Meaning::Arguments);
    assert_eq!(means(other, "app -V"), Meaning::Arguments);
    let postgres = "[command]\nservice = 'x'\n[service.x]\npreset = 'postgres'\n";
    assert_eq!(means(postgres, "postgres --describe-config"), alone(&[]));
    assert_eq!(means(postgres, "postgres -C data_directory"), Meaning::Arguments);
}

#[test]
fn without_a_table_nothing_is_an_argument() {
    let plain = "[service.db]\npreset = 'mariadb'\n";
    assert_eq!(means(plain, "mysqld"), alone(&[]));
    assert_eq!(means(plain, "--max-connections=5"), Meaning::Nobodys);
}

#[test]
fn who_wants_to_mend_a_file_gets_a_shell_and_who_wants_a_server_its_errors() {
    let broken = "[service.db\npreset = 'mariadb'\n";
    let folder = Folder::new();
    let path = [folder.write("supervise.toml", broken)];
    let of = |words: &str| meaning(&path, &around(), &[words.to_owned()]);
    assert_eq!(of("sh").unwrap(), alone(&[]));
    assert!(of("mysqld").unwrap_err().to_string().contains("not TOML"));
    assert!(of("--x").unwrap_err().to_string().contains("not TOML"));
}

#[test]
fn arguments_take_the_place_of_the_commands_own() {
    let run = |words: &[&str]| {
        let folder = Folder::new();
        let text = DB.replace("NOT_GIVEN", "NAME") + "scripts = {}\n[service.other]\ncommand = 'sleep 1'\n";
        let path = folder.write("supervise.toml", text);
        let arguments = words.iter().map(|word| word.to_string()).collect();
        let around = Surroundings { arguments, ..around() };
        let plan = load(&[path], &around).unwrap_or_else(|errors| panic!("{errors}")).plan;
        assert_eq!(plan.services[2].launch.command[..], ["sleep", "1"]);
        let init = plan.services[0].launch.command.join(" ");
        let command = plan.services[1].launch.command.join(" ");
        assert!(init.ends_with(&format!(" -- {command}")), "{init}");
        command
    };
    assert_eq!(run(&[]), "/opt/bin/mariadbd --datadir=/x");
    assert_eq!(run(&["--a=1", "-b"]), "/opt/bin/mariadbd --a=1 -b");
    assert_eq!(run(&["mysqld"]), "/opt/bin/mariadbd --datadir=/x");
    assert_eq!(run(&["mariadbd", "--a=b c"]), "/opt/bin/mariadbd --a=b c");
    assert_eq!(run(&["/usr/sbin/mysqld", "--a"]), "/usr/sbin/mysqld --a");
}

#[test]
fn presets_complete_them() {
    let folder = Folder::new();
    let text = "[command]\nservice = 'web'\n[service.web]\npreset = 'nginx'\n";
    let path = folder.write("supervise.toml", text);
    let around = Surroundings { arguments: vec!["-e".into(), "stderr".into()], ..around() };
    let plan = load(&[path], &around).unwrap().plan;
    assert_eq!(plan.services[0].launch.command[..], ["nginx", "-e", "stderr", "-g", "daemon off;"]);
}

#[test]
fn a_table_that_names_nobody_is_an_error() {
    let rows = [
        ("[command]\nservice = 'dbb'", "2:11: error: there is no service \"dbb\"", "did you mean \"db\"?"),
        ("[command]", "1:2: error: `[command]` needs `service`", ""),
        ("[command]\nservic = 'db'", "2:1: error: unknown key", "did you mean \"service\"?"),
        ("command = 'db'", "1:11: error: `command` must be a table", ""),
    ];
    for (table, expected, cure) in rows {
        let said = errors(&format!("{table}\n[service.db]\ncommand = 'sleep 1'\n"));
        assert!(said.contains(expected) && said.contains(cure), "{table}:\n{said}");
    }
}
