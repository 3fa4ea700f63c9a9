//! conf/reference.toml and the tables of docs/configuration.md come from the key table.
//! `UPDATE=1 cargo test --test config` writes them anew.

use super::{around, errors, plan};
use minisup::config::keys::{self, Default, INSIDE, Key};
use std::path::PathBuf;

fn in_tree(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compares a file of the tree with what it should be, or writes it.
fn fresh(path: &str, expected: &str) {
    let file = in_tree(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, expected).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == expected, "{path} is not what the key table says: UPDATE=1 cargo test --test config");
}

fn comment(text: &str) -> String {
    let mut lines = vec![String::from("#")];
    for word in text.split_whitespace() {
        let line = lines.last_mut().unwrap();
        if line.len() + 1 + word.len() > 96 {
            lines.push(format!("# {word}"));
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

/// The lines of one key: its meaning, then the key at its default, or commented out.
fn lines(key: &Key) -> String {
    match key.default {
        Default::Value(value) => format!("{}{} = {value}\n\n", comment(key.meaning), key.name),
        Default::Words(words) => {
            let without = if words.is_empty() { String::new() } else { format!(" Without it: {words}.") };
            format!("{}# {} = {}\n\n", comment(&format!("{}{without}", key.meaning)), key.name, key.example)
        }
        Default::Later(_) => format!("{}# {}: not in this version yet\n\n", comment(key.meaning), key.name),
    }
}

const EXAMPLE: &str = "[service.example]\ncommand = [\"sleep\", \"infinity\"]\n";

fn reference() -> String {
    let mut text = String::from(
        "# Every key at its default: this file changes nothing. Keys without a default are commented\n\
         # out, with an example. docs/configuration.md explains them.\n\
         #\n\
         # Made from the key table in src/config/keys.rs: UPDATE=1 cargo test --test config\n\n",
    );
    let rule = |title: &str| format!("# {}\n# {title}\n\n", "-".repeat(94));
    text += &rule("The top level");
    for key in keys::TOP {
        match key.default {
            Default::Words("none") => text += &lines(key),
            Default::Later(_) => text += &lines(key),
            Default::Words(_) | Default::Value(_) => {}
        }
    }
    text += &rule("minisup itself");
    text += "[supervisor]\n\n";
    keys::SUPERVISOR.iter().for_each(|key| text += &lines(key));
    text += &rule("Variables for every service");
    text += "[environment]\n\n# NAME = \"value\"\n\n";
    keys::FILE_VALUE.iter().for_each(|key| {
        text += &comment(key.meaning);
        text += &format!("# NAME = {{ {} = {} }}\n\n", key.name, key.example);
    });
    text += &rule("What PID 1 passes on");
    text += "[signals]\n\n# To one service, to one as another signal, to all, to nobody.\n\
             # USR2 = \"web\"\n# HUP = \"web:QUIT\"\n# WINCH = \"all\"\n# PIPE = \"\"\n\n";
    text += &rule("What the words after the image's name mean");
    text += "# [command]\n\n";
    keys::COMMAND.iter().for_each(|key| text += &lines(key));
    text += &rule("Scripts that run before all services");
    text += "# Without this table none does.\n# [scripts]\n\n";
    keys::ENTRYPOINT.iter().for_each(|key| {
        let text_of = |line: &str| if line.starts_with('#') { line.to_owned() } else { format!("# {line}") };
        let commented: Vec<_> = lines(key).trim_end().lines().map(text_of).collect();
        text += &format!("{}\n\n", commented.join("\n"));
    });
    text += &rule("Any key of a service, for every service that does not say otherwise");
    text += "[defaults]\n\n";
    for key in keys::SERVICE.iter().filter(|key| !is_table(key)) {
        text += &lines(key);
    }
    for (name, tables) in INSIDE {
        let key = keys::SERVICE.iter().find(|key| key.name == *name).unwrap();
        text += &comment(key.meaning);
        text += &format!("[defaults.{name}]\n\n");
        tables.iter().copied().flatten().for_each(|key| text += &lines(key));
    }
    text += &rule("A service");
    text += EXAMPLE;
    text
}

fn is_table(key: &Key) -> bool {
    INSIDE.iter().any(|(name, _)| *name == key.name)
}

#[test]
fn the_reference_holds_every_key_at_its_default() {
    fresh("conf/reference.toml", &reference());
}

#[test]
fn the_reference_changes_nothing() {
    assert_eq!(plan(&reference()), plan(EXAMPLE));
}

/// A service that sets one key, in its own table or in an inner one.
fn setting(table: &str, key: &Key, value: &str) -> String {
    let also = match (table, key.name) {
        ("ready" | "health", "status") => "http = \"http://127.0.0.1/\"\n",
        ("health", "interval" | "timeout" | "failures" | "action") => "tcp = \"127.0.0.1:1\"\n",
        ("ready", "interval" | "timeout") => "tcp = \"127.0.0.1:1\"\n",
        ("reload", "check" | "timeout") => "signal = \"HUP\"\n",
        ("", "timeout") => "type = \"oneshot\"\n",
        ("", "schedule") => "type = \"oneshot\"\nessential = true\n",
        ("hooks", "timeout") => "before_start = \"true\"\n",
        _ => "",
    };
    let line = format!("{} = {value}\n", key.name);
    match table {
        "" if key.name == "command" => format!("[service.x]\n{line}"),
        "" => format!("[service.x]\ncommand = \"sleep 1\"\n{also}{line}"),
        "scripts" => {
            format!("[service.x]\npreset = \"postgres\"\ncommand = \"sleep 1\"\n[service.x.{table}]\n{line}")
        }
        table => format!("[service.x]\ncommand = \"sleep 1\"\n[service.x.{table}]\n{also}{line}"),
    }
}

fn tables() -> impl Iterator<Item = (&'static str, &'static Key)> {
    let own = keys::SERVICE.iter().filter(|key| !is_table(key)).map(|key| ("", key));
    let inner = INSIDE.iter().flat_map(|(name, tables)| {
        let keys = tables.iter().copied().flatten();
        keys.map(move |key| (*name, key))
    });
    own.chain(inner)
}

#[test]
fn each_key_at_its_default_means_the_same_as_without_it() {
    for (table, key) in tables() {
        let Default::Value(value) = key.default else { continue };
        let with = setting(table, key, value);
        let line = format!("\n{} = {value}\n", key.name);
        assert!(with.contains(&line));
        assert_eq!(plan(&with), plan(&with.replace(&line, "\n")), "{table} {}", key.name);
    }
    for key in keys::SUPERVISOR {
        let Default::Value(value) = key.default else { continue };
        let with = format!("[supervisor]\n{} = {value}\n{EXAMPLE}", key.name);
        assert_eq!(plan(&with), plan(EXAMPLE), "{}", key.name);
    }
}

#[test]
fn each_example_is_accepted_and_means_something() {
    for (table, key) in tables().filter(|(_, key)| matches!(key.default, Default::Words(_))) {
        if table == "health" && matches!(key.name, "fd" | "log") || key.name == "preset" {
            continue;
        }
        let with = setting(table, key, key.example);
        let without = match table {
            "" if key.name == "command" => setting(table, key, "\"other\""),
            "ready" | "health" if key.name == "status" => {
                with.replace(&format!("status = {}\n", key.example), "")
            }
            "reload" if key.name == "check" => with.replace(&format!("check = {}\n", key.example), ""),
            _ => "[service.x]\ncommand = \"sleep 1\"\n".to_owned(),
        };
        assert_ne!(plan(&with), plan(&without), "{table} {} = {}", key.name, key.example);
    }
}

#[test]
fn a_key_of_a_later_version_is_never_passed_over() {
    for key in keys::SERVICE.iter().filter(|key| matches!(key.default, Default::Later(_))) {
        let said = errors(&format!("[service.x]\ncommand = \"sleep 1\"\n{} = {{}}\n", key.name));
        assert!(
            said.starts_with(&format!("supervise.toml:3:1: error: `{}` is not in this", key.name)),
            "{said}"
        );
    }
    for key in keys::TOP.iter().filter(|key| matches!(key.default, Default::Later(_))) {
        let said = errors(&format!("[service.x]\ncommand = \"sleep 1\"\n[{}]\n", key.name));
        assert!(said.starts_with("supervise.toml:3:2: error:"), "{said}");
    }
}

/// The kind of value that no key takes everywhere: each must be refused at its place.
#[test]
fn a_value_of_the_wrong_kind_is_refused_at_its_place() {
    for (table, key) in tables().filter(|(_, key)| !matches!(key.default, Default::Later(_))) {
        let text = setting(table, key, "1979-05-27");
        let line = text.lines().position(|line| line.contains("1979")).unwrap() + 1;
        let said = errors(&text);
        assert!(said.starts_with(&format!("supervise.toml:{line}:")), "{table} {}: {said}", key.name);
    }
}

/// A Markdown table of keys.
fn table(groups: &[&[Key]]) -> String {
    let mut text = String::from("| Key | Value | Default | Meaning |\n|---|---|---|---|\n");
    for key in groups.iter().copied().flatten() {
        let default = match key.default {
            Default::Value(value) => format!("`{value}`"),
            Default::Words(words) => words.to_owned(),
            Default::Later(_) => "not in this version yet".to_owned(),
        };
        let escape = |text: &str| text.replace('|', "\\|");
        text += &format!(
            "| `{}` | {} | {} | {} |\n",
            key.name,
            escape(key.kind),
            escape(&default),
            escape(key.meaning)
        );
    }
    text
}

#[test]
fn the_tables_of_the_manual_are_fresh() {
    let path = "docs/configuration.md";
    let mut page = std::fs::read_to_string(in_tree(path)).unwrap();
    let tables: [(&str, &[&[Key]]); 17] = [
        ("top level", &[keys::TOP]),
        ("supervisor", &[keys::SUPERVISOR]),
        ("entrypoint", &[keys::ENTRYPOINT]),
        ("service", &[keys::SERVICE]),
        ("probes", &[keys::PROBES]),
        ("ready", &[keys::READY]),
        ("health", &[keys::HEALTH]),
        ("backoff", &[keys::BACKOFF]),
        ("stop", &[keys::STOP]),
        ("reload", &[keys::RELOAD]),
        ("hooks", &[keys::HOOKS]),
        ("reopen", &[keys::REOPEN]),
        ("log", &[keys::LOG]),
        ("limits", &[keys::LIMITS]),
        ("scripts", &[keys::SCRIPTS]),
        ("command", &[keys::COMMAND]),
        ("file value", &[keys::FILE_VALUE]),
    ];
    for (name, keys) in tables {
        let begin = format!("<!-- keys: {name} -->\n");
        let start =
            page.find(&begin).unwrap_or_else(|| panic!("{path} has no table of {name}")) + begin.len();
        let end = start + page[start..].find("<!-- end -->").expect("<!-- end -->");
        page.replace_range(start..end, &table(keys));
    }
    fresh(path, &page);
}

#[test]
fn every_configuration_that_ships_is_valid() {
    let mut found = 0;
    for file in std::fs::read_dir(in_tree("conf")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let mut around = around();
            // What `make demo` sets.
            around.environment.push(("DEMO".into(), "/tmp/demo".into()));
            around.environment.push(("DEMO_USER".into(), "www-data".into()));
            if let Err(errors) = minisup::config::load(std::slice::from_ref(&path), &around) {
                panic!("{}:\n{errors}", path.display());
            }
            found += 1;
        }
    }
    assert!(found >= 5, "{found}");
}
