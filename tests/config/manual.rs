//! What the manual tells people to type: every configuration in it is one, and every command line
//! of minisup is one, too.

use super::{Folder, around};
use std::fs;
use std::path::{Path, PathBuf};

/// README.md, CONTRIBUTING.md, docs/*.md, entrypoint.d/README.md, docker/*/README.md.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join("docs"), root.join("entrypoint.d"), root.join("docker")];
    found.extend(["README.md", "CONTRIBUTING.md"].map(|name| root.join(name)));
    // A copy of entrypoint.d that `make containers` leaves for the build.
    let copied = root.join("docker/minisup/entrypoint.d");
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("md") => found.push(path),
                _ if path.is_dir() && path != copied => folders.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    let pages: Vec<_> =
        found.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    assert!(pages.len() > 25, "{}", pages.len());
    pages
}

/// The code blocks of a page: the number of the first line, the word behind the fence, the text.
fn blocks(page: &str) -> Vec<(usize, &str, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, &str, String)> = None;
    for (number, line) in page.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(kind), None) => open = Some((number + 2, kind, String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((.., text))) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a code block without an end");
    blocks
}

/// What a page shows of a configuration, as a whole one: a service of which it says neither what it
/// runs nor what knows that gets a command, and whoever is named exists.
fn whole(example: &str) -> String {
    const COMMAND: &str = "command = [\"sleep\", \"infinity\"]\n";
    let header =
        |line: &str| line.strip_prefix("[service.")?.split_once(']').map(|(name, _)| name.to_owned());
    let services: Vec<String> = example.lines().filter_map(header).collect();
    let mut text = String::new();
    for (number, line) in example.lines().enumerate() {
        text += &format!("{line}\n");
        let mut own = example.lines().skip(number + 1).take_while(|line| !line.starts_with('['));
        let says = |line: &str| line.starts_with("command") || line.starts_with("preset");
        if header(line).is_some_and(|name| !name.contains('.')) && !own.any(says) {
            text += COMMAND;
        }
    }
    let is_named =
        |name: &&&str| [format!("\"{name}\""), format!("\"{name}:")].iter().any(|it| example.contains(it));
    let missing = |name: &&&str| !services.iter().any(|known| known == **name);
    for name in ["app", "web", "db"].iter().filter(is_named).filter(missing) {
        text += &format!("[service.{name}]\n{COMMAND}");
    }
    if !text.contains("[service.") {
        text += &format!("[service.example]\n{COMMAND}");
    }
    text
}

#[test]
fn every_configuration_that_the_manual_shows_is_valid_and_falls_into_no_trap() {
    let (mut wrong, mut examples) = (Vec::new(), 0);
    for (path, page) in pages() {
        for (line, _, text) in blocks(&page).into_iter().filter(|(_, kind, _)| *kind == "toml") {
            let folder = Folder::new();
            let file = folder.write("supervise.toml", whole(&text));
            folder.write("conf.d/one.toml", "");
            folder.write("app.env", "A=b\n");
            let mut around = around();
            around.environment.push(("DB_PASSWORD".into(), "x".into()));
            let place = format!("{}:{line}", path.display());
            match minisup::config::load(&[file], &around) {
                Err(errors) => wrong.push(format!("{place}:\n{errors}")),
                Ok(loaded) => {
                    // Whose programs are here is this machine's affair.
                    let traps = loaded.warnings.iter().map(ToString::to_string);
                    let traps = traps.filter(|text| !text.contains("there is no "));
                    wrong.extend(traps.map(|text| format!("{place}:\n{text}")));
                }
            }
            examples += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(examples > 25, "{examples}");
}

/// The command lines in a page: lines of code blocks and of indented blocks, and code in the text.
fn command_lines(page: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in page.lines() {
        let code = line.trim_start();
        let code = code.strip_prefix("$ ").unwrap_or(code);
        let is_ours = code.split_whitespace().find(|word| !word.contains('=')) == Some("minisup");
        match code.strip_prefix("docker exec ").and_then(|rest| rest.split_once(' ')) {
            Some((_, inside)) => lines.push(inside.to_owned()),
            // Not a sentence that begins with it.
            None if is_ours && !line.starts_with("minisup") => lines.push(code.to_owned()),
            None if code.contains("<(minisup ") => lines.push(code.to_owned()),
            None => {}
        }
        // Between backticks is every second part.
        lines.extend(
            line.split('`').skip(1).step_by(2).filter(|code| code.starts_with("minisup ")).map(str::to_owned),
        );
    }
    lines
}

/// The words that minisup gets, or nothing if the line is about several, or about a shape.
fn words(line: &str) -> Option<Vec<String>> {
    let line = line.split(" #").next()?.split(" | ").next()?.split("<(").last()?.trim_end_matches(')');
    let is_shape = line.contains(['…', '|', '[', '<']) || line.contains("ENGINE");
    let words: Vec<String> = shlex::split(line.split([';', '&', '>']).next()?)?;
    let start = words.iter().position(|word| word == "minisup")?;
    (!is_shape).then(|| words[start..].to_vec())
}

#[test]
fn every_command_line_in_the_manual_is_one() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (path, page) in pages() {
        for line in command_lines(&page) {
            let Some(words) = words(&line) else { continue };
            seen += 1;
            if let Err(error) = minisup::cli::command().try_get_matches_from(&words) {
                use clap::error::ErrorKind::*;
                match error.kind() {
                    // A command that is only named: `minisup restart`.
                    MissingRequiredArgument | DisplayHelpOnMissingArgumentOrSubcommand
                        if words.len() == 2 => {}
                    DisplayHelp | DisplayVersion => {}
                    _ => wrong.push(format!("{}: {line}\n{error}", path.display())),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 80, "{seen}");
}

#[test]
fn every_link_in_the_manual_leads_somewhere() {
    let mut wrong = Vec::new();
    for (path, page) in pages() {
        for rest in page.split("](").skip(1) {
            let target = rest.split(')').next().unwrap();
            if target.contains("://") || target.contains(' ') {
                continue;
            }
            let (file, part) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let heads = || fs::read_to_string(&file).unwrap_or_default();
            let anchor = |line: &str| {
                let head = line.trim_start_matches('#').trim().to_lowercase();
                let kept = head.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
                kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>()
            };
            let leads = match part {
                "" => file.exists(),
                part => heads().lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == part),
            };
            if !leads {
                wrong.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
