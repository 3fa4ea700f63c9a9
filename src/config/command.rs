//! `[command]`: what the words after the image's name mean.
//!
//! `docker run IMAGE --max-connections=5` means other arguments for the server, `docker run IMAGE
//! mysql -h db` and `docker run IMAGE sh` mean another command. Which of them it is has to be
//! known before the rest of the configuration is: who wants a client, or a shell to find out what
//! is wrong, has not given the variables that a server needs. So only what decides is looked at
//! here, and errors elsewhere are left for when the services are run.

use super::diagnostics::{Diagnostics, Problems, Sources, Span};
use super::file::{Table, Value};
use super::launch::Draft;
use super::presets;
use super::variables::Variables;
use super::view::{View, check_keys};
use super::{Surroundings, include, keys};
use crate::core::ids::ServiceId;
use crate::core::plan::Kind;
use crate::core::sorted::Map;
use std::path::PathBuf;

/// What the words after the image's name mean.
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning {
    /// They are the arguments of the service that `[command]` names.
    Arguments,
    /// A command of its own, or a question to the service's program, to be run alone: these words
    /// go before them.
    Alone(Vec<String>),
    /// They begin with `-`, and no `[command]` says whose arguments they would be.
    Nobodys,
}

/// With these, programs say something and end.
const SAY: [&str; 2] = ["--help", "--version"];

/// What the words mean, by what these files say.
///
/// # Errors
/// The files cannot be read or are not TOML, and the words may be for a service.
pub fn meaning(files: &[PathBuf], around: &Surroundings, words: &[String]) -> Result<Meaning, Diagnostics> {
    let mut sources = Sources::new(around.only_files);
    let mut problems = Problems::default();
    let variables = Variables(Map::from_iter(around.environment.iter().cloned()));
    let assembled = include::assemble(files, &variables, &mut sources, &mut problems);
    let meaning = meaning_in(&assembled.tree, words);
    let is_server = |word: &String| presets::ALL.iter().any(|preset| preset.is_program(word));
    let is_alone = matches!(meaning, Meaning::Alone(_)) && !words.first().is_some_and(is_server);
    // Whoever wants a shell to mend the file is to have it.
    match assembled.whole || is_alone {
        true => Ok(meaning),
        false => super::load(files, around).map(|_| meaning),
    }
}

/// What the words mean where there is no file.
pub fn without_configuration(words: &[String]) -> Meaning {
    meaning_in(&Table::default(), words)
}

fn meaning_in(tree: &Table, words: &[String]) -> Meaning {
    let is_option = |word: &&String| word.starts_with('-');
    let Some(named) = tree.table("command") else {
        return match words.first().filter(is_option) {
            Some(_) => Meaning::Nobodys,
            None => Meaning::Alone(Vec::new()),
        };
    };
    let empty = Table::default();
    let service = match named.get("service").map(|entry| &entry.node.value) {
        Some(Value::String(name)) => tree.table("service").and_then(|services| services.table(name)),
        _ => None,
    };
    // What is wrong with `[command]` is said when all is read.
    let Some(service) = service else { return Meaning::Arguments };
    let view = View::new(vec![service, tree.table("defaults").unwrap_or(&empty)]);
    let preset = presets::of(&view, &mut Problems::default());
    let written = view.get("command").map(|command| command.words_as_written()).unwrap_or_default();
    let program = match (written.first(), preset) {
        (Some(program), _) => program.clone(),
        (None, Some(preset)) => preset.programs[0].to_owned(),
        (None, None) => return Meaning::Arguments,
    };
    let file_name = |word: &str| word.rsplit('/').next().unwrap_or(word).to_owned();
    let is_program = |word: &String| {
        let is_known = preset.is_some_and(|preset| preset.is_program(&program) && preset.is_program(word));
        file_name(word) == file_name(&program) || is_known
    };
    let arguments = match words {
        [first, ..] if first.starts_with('-') => words,
        [first, rest @ ..] if is_program(first) => rest,
        _ => return Meaning::Alone(Vec::new()),
    };
    let says = preset.map_or(&[][..], |preset| preset.says);
    let is_question = |word: &String| SAY.contains(&word.as_str()) || says.contains(&word.as_str());
    match arguments.iter().any(is_question) {
        true if arguments.len() == words.len() => Meaning::Alone(vec![program]),
        true => Meaning::Alone(Vec::new()),
        false => Meaning::Arguments,
    }
}

/// `[command]`: the service whose arguments they are.
pub fn service<'a>(
    table: &'a Table,
    key: Span,
    names: &Map<&str, (ServiceId, Kind)>,
    problems: &mut Problems,
) -> Option<&'a str> {
    check_keys(table, &[keys::COMMAND], "[command]", problems);
    let Some(field) = View::new(vec![table]).get("service") else {
        problems.error(key, "`[command]` needs `service`: whose arguments they are");
        return None;
    };
    let name = field.text(problems)?;
    if !names.contains_key(name) {
        problems.no_service(field.span(), name, names.keys().copied());
        return None;
    }
    Some(name)
}

/// These words instead of the command's own arguments. If the first one is no option it is the
/// program, and stays what the configuration calls it unless it says where it lies. The program
/// alone, as images have it for their default (`CMD ["mysqld"]`), is the command as it is.
pub fn replace(draft: &mut Draft<'_>, words: &[String]) {
    let (program, arguments) = match words {
        [first, rest @ ..] if !first.starts_with('-') => (first.contains('/').then_some(first), rest),
        _ => (None, words),
    };
    if let (Some(program), Some(own)) = (program, draft.argv.first_mut()) {
        own.clone_from(program);
    }
    if arguments.is_empty() {
        return;
    }
    draft.argv.truncate(1);
    draft.argv.extend(arguments.iter().cloned());
    draft.one_string = false;
}
