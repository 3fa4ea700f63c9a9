//! What can be run, but is hardly meant.

use super::{Folder, around, loaded};
use minisup::config::load;

fn warnings(text: &str) -> Vec<String> {
    loaded(text).warnings.iter().map(|warning| warning.message.clone()).collect()
}

fn traps(command: &str) -> Vec<String> {
    let mut all = warnings(&format!("[service.x]\ncommand = {command:?}\n"));
    all.retain(|message| !message.contains("in PATH"));
    all
}

#[test]
fn programs_in_the_background_are_found() {
    for command in [
        "nginx",
        "nginx -c /none",
        "gunicorn -D a",
        "redis-server --daemonize yes",
        "mongod --fork",
        "mysqld_safe",
        "apachectl start",
        "php-fpm",
        "cron",
        "service nginx start",
    ] {
        let found = traps(command);
        assert!(found.iter().any(|m| m.contains("in the background")), "{command}: {found:?}");
    }
    for command in
        ["nginx -g 'daemon off;'", "nginx -t", "gunicorn a", "redis-server", "cron -f", "php-fpm -F"]
    {
        assert_eq!(traps(command), [""; 0], "{command}");
    }
}

#[test]
fn shell_words_are_found_where_no_shell_is() {
    for command in ["a && b", "a | b", "a > /dev/null", "a; b", "a $HOME", "$HOME/a"] {
        assert_eq!(traps(command).len(), 1, "{command}");
    }
    for command in ["sh -c 'a && b > $X'", "a 'b && c'", "a '$1'", "a -DX=$$"] {
        assert_eq!(traps(command), [""; 0], "{command}");
    }
}

#[test]
fn a_stop_that_does_not_fit_is_found() {
    let long = "[service.x]\ncommand = \"sleep 1\"\nstop = { grace_period = \"20s\" }\n";
    assert!(warnings(long)[0].contains("x may take 20s to stop, but the whole shutdown ends after 9s"));
    let chain = "[service.x]\ncommand = \"sleep 1\"\nstop = { grace_period = \"5s\" }\n\
        [service.y]\ncommand = \"sleep 1\"\nrequires = \"x\"\n";
    let said = warnings(chain);
    assert!(
        said[0].contains("13s to stop, but the whole shutdown ends after 9s: y 8s, then x 5s"),
        "{said:?}"
    );
}

#[test]
fn a_shutdown_that_is_too_short_for_all_is_said_once() {
    let text = "[supervisor]\nshutdown_timeout = \"4s\"\n[service.x]\ncommand = \"sleep 1\"\n\
        [service.y]\ncommand = \"sleep 1\"\n[service.z]\ncommand = \"sleep 1\"\nstop = { grace_period = \"2s\" }\n";
    let said = warnings(text);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("x and 1 more may take 8s to stop"), "{said:?}");
}

#[test]
fn a_directory_that_is_not_there_is_found_and_who_may_make_it_is_said() {
    let folder = Folder::new();
    folder.write("file", "");
    let mut around = around();
    around.environment.push(("HERE".into(), folder.0.display().to_string()));
    let said = |keys: &str| {
        let text = format!(
            "[service.x]\n{keys}\n[service.prepare]\ncommand = \"true\"\ntype = \"oneshot\"\n\
            [service.other]\ncommand = \"sleep 1\"\n"
        );
        let loaded = load(&[folder.write("supervise.toml", text)], &around).unwrap();
        let said: Vec<_> = loaded.warnings.iter().map(|warning| warning.to_string()).collect();
        said.join("\n").replace(&format!("{}/", folder.0.display()), "")
    };
    let command = "command = \"sleep 1\"";
    for there in ["directory = \"${HERE}\"", "directory = \"/\"", ""] {
        assert_eq!(said(&format!("{command}\n{there}")), "");
    }
    let none = "directory = \"${HERE}/none\"";
    let not_there = "supervise.toml:3:13: warning: there is no directory none\n  \
        3 | directory = \"${HERE}/none\"\n    |             ^^^^^^^^^^^^^^ ";
    let for_ever = format!("{not_there}no launch succeeds before it is there");
    let made = format!("{not_there}no launch succeeds unless a oneshot that it requires makes it");
    assert_eq!(said(&format!("{command}\n{none}")), for_ever);
    assert_eq!(said(&format!("{command}\n{none}\nrequires = \"other\"")), for_ever);
    assert_eq!(said(&format!("{command}\n{none}\nrequires = [\"other\", \"prepare\"]")), made);
    // What would be in it is not missed as well.
    assert_eq!(said(&format!("command = \"./run\"\n{none}")), for_ever);
    let file = said(&format!("{command}\ndirectory = \"${{HERE}}/file\""));
    assert!(file.starts_with("supervise.toml:3:13: warning: file is no directory\n"), "{file}");
}

#[test]
fn a_dependency_that_cannot_hold_is_found() {
    let text = "[service.x]\ncommand = \"sleep 1\"\nenabled = false\n\
        [service.y]\ncommand = \"sleep 1\"\nrequires = [\"x\", \"x:healthy\"]\nafter = \"x\"\n";
    let said = warnings(text);
    assert_eq!(said[0], "\"x\" is not enabled, and so \"y\" fails");
    assert!(said.iter().any(|m| m.contains("\"x\" has no `health`")), "{said:?}");
}

#[test]
fn a_secret_in_a_command_is_found() {
    let text =
        "[environment]\nKEY = \"hunter22\"\n[service.x]\ncommand = \"sleep hunter22\"\nsecrets = [\"KEY\"]\n";
    assert!(warnings(text)[0].contains("the secret KEY stands in the command"));
}

#[test]
fn nothing_to_run_is_said() {
    assert_eq!(warnings(""), ["no service is enabled: there is nothing to run"]);
}
