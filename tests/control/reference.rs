//! What is made from the table of the command line: docs/commands.md, completions, pages for man(1).

use crate::asking::answer;
use crate::support::MINISUP;
use minisup::cli;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Between these lines of docs/commands.md the text is made.
const BEGIN: &str = "<!-- made by tests/control: `make golden` writes it anew -->\n";
const END: &str = "<!-- end of what is made -->\n";

#[test]
fn the_manual_has_every_command_with_every_option() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the line where it begins");
    let (_, after) = rest.split_once(END).expect("the line where it ends");
    let wanted = format!("{before}{BEGIN}{}{END}{after}", reference());
    if std::env::var_os("MINISUP_WRITE_GOLDEN").is_some() {
        std::fs::write(path, &wanted).unwrap();
    }
    assert!(
        text == wanted || std::env::var_os("MINISUP_WRITE_GOLDEN").is_some(),
        "it is old: run `make golden`"
    );
}

#[test]
fn whoever_ends_with_a_code_that_means_something_says_so_in_its_help() {
    let mut command = cli::command();
    command.build();
    assert!(command.render_long_help().to_string().contains("Exit codes: 0; 1 it failed;"));
    for name in ["run", "check", "status", "health", "start", "stop", "restart", "reload", "wait", "update"] {
        let help = command.find_subcommand(name).unwrap().get_after_help().unwrap().to_string();
        assert!(help.starts_with("Exit code: 0"), "{help}");
        // Longer ones would be broken once more.
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
}

fn reference() -> String {
    let mut command = cli::command();
    command.build();
    let mut text = String::new();
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let mut sub = sub.clone();
        let usage = sub.render_usage().to_string();
        let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
        writeln!(text, "\n### minisup {}\n\n{about}.\n", sub.get_name()).unwrap();
        writeln!(text, "    {}\n", usage.trim_start_matches("Usage: ")).unwrap();
        let shown: Vec<_> =
            sub.get_arguments().filter(|arg| arg.get_id() != "help" && !arg.is_hide_set()).collect();
        if !shown.is_empty() {
            text += "| | |\n|---|---|\n";
        }
        for arg in shown {
            let names: Vec<String> = [
                arg.get_short().map(|short| format!("-{short}")),
                arg.get_long().map(|long| format!("--{long}")),
            ]
            .into_iter()
            .flatten()
            .collect();
            let value = arg.get_value_names().filter(|_| arg.get_action().takes_values());
            let value = value.map(|names| names.join(" ")).unwrap_or_default();
            let name = [names.join(", "), value].join(" ");
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|");
            writeln!(text, "| `{}` | {help} |", name.trim().replace('|', "\\|")).unwrap();
        }
    }
    text + "\n"
}

fn written(words: &[&str]) -> String {
    answer(Command::new(MINISUP).args(words)).good()
}

#[test]
fn bash_understands_its_completions_and_completes() {
    let script = written(&["completions", "bash"]);
    let complete = format!(
        "{script}\nCOMP_WORDS=(minisup sta); COMP_CWORD=1; _minisup minisup sta minisup; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    assert_eq!(fed(&["bash", "-n"], &script), "");
    let words = fed(&["bash"], &complete);
    assert_eq!(words.lines().collect::<Vec<_>>(), ["status", "start"]);
}

#[test]
fn there_are_completions_for_every_usual_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = written(&["completions", shell]);
        for name in ["status", "restart", "logs", "no-wait"] {
            assert!(script.contains(name), "{shell} does not know {name}");
        }
        for name in ["envsh", "gzip", "pid-file", "probe"] {
            assert!(!script.contains(name), "{shell} offers {name}, which is for the supervisor");
        }
    }
    let said = answer(Command::new(MINISUP).args(["completions", "bsh"])).fails_with(2);
    assert!(said.contains("bash"), "{said}");
}

#[test]
fn every_command_has_a_page_that_man_can_show() {
    let mut pages = vec![(String::from("minisup"), written(&["man"]))];
    for sub in cli::command().get_subcommands() {
        pages.push((format!("minisup-{}", sub.get_name()), written(&["man", sub.get_name()])));
    }
    for (name, page) in &pages {
        assert!(page.contains(&format!(".TH {name} 1")), "{page}");
        for section in [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH OPTIONS"] {
            assert!(page.contains(section), "{name} lacks {section}");
        }
        if Command::new("groff").arg("--version").output().is_ok() {
            let shown = fed(&["groff", "-man", "-Tascii", "-ww", "-z"], page);
            assert_eq!(shown, "", "{name}");
        }
    }
    let said = answer(Command::new(MINISUP).args(["man", "statsu"])).fails_with(2);
    assert!(said.contains("did you mean \"status\"?"), "{said}");
}

/// What a program says, on stdout and stderr, to this input.
fn fed(words: &[&str], input: &str) -> String {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8(text).unwrap()
}

#[test]
fn the_first_help_names_every_command_in_lines_that_fit() {
    let help = written(&["--help"]);
    for sub in cli::command().get_subcommands().filter(|sub| !sub.is_hide_set()) {
        assert!(help.contains(&format!("\n  {:11}  ", sub.get_name())), "{help}");
    }
    let widest = help.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest <= 100, "{widest} columns: {help}");
}
