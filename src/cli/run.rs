//! `minisup run`: the supervisor.

use super::ConfigArgs;
use crate::config::command::{self, Meaning};
use crate::config::{self, Diagnostics, Surroundings};
use crate::core::exit::code;
use crate::runtime::{self, Origin};
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::PathBuf;

/// `minisup [run]`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// A command to be run alone, instead of the services, as `minisup exec` does it: so
    /// `docker run IMAGE ls /` does what it says. With `[command]` in the configuration, words
    /// that begin with `-` or with its service's program are that service's arguments. A command of
    /// minisup is that, where there is no such program: `docker run IMAGE check`
    #[arg(value_name = "ARGS", trailing_var_arg = true)]
    words: Vec<OsString>,
}

/// What somebody reads who has typed `minisup` and nothing else.
const NOTHING_TO_RUN: &str = "\
minisup: there is no configuration. Looked for $MINISUP_CONFIG, ./supervise.toml,
/etc/minisup/supervise.toml, /etc/supervisor/supervisord.conf, /etc/supervisord.conf.

A first one, in ./supervise.toml:

    [service.app]
    preset    = \"gunicorn\"
    command   = \"gunicorn --bind unix:/run/app.sock app:app\"
    directory = \"/srv/app\"

    [service.web]
    preset   = \"nginx\"
    requires = [\"app\"]

Then `minisup check --plan` shows what would run, and `minisup` runs it.
For a single command there is nothing to configure: `minisup exec -- COMMAND`.";

/// Runs the services to their end. Returns the container's exit code.
pub fn run(args: Args) -> u8 {
    let mut around = Surroundings::here();
    if let Some(line) = own_command(&args, &around) {
        return super::dispatch(line);
    }
    if !args.words.is_empty() {
        match words(&args, &around) {
            Words::Ended(code) => return code,
            Words::Arguments(words) => around.arguments = words,
        }
    }
    runtime::boot::hold_signals();
    let Some(files) = args.config.files(&around) else {
        super::complain(NOTHING_TO_RUN);
        return code::CONFIGURATION;
    };
    let loaded = match config::load(&files, &around) {
        Ok(loaded) => loaded,
        Err(diagnostics) => {
            super::complain(diagnostics);
            return code::CONFIGURATION;
        }
    };
    for warning in &loaded.warnings {
        super::complain(warning);
    }
    let plan = loaded.plan;
    let origin = Origin::new(files, &around, loaded.became);
    drop((around, loaded.warnings, loaded.files));
    match runtime::boot::run(plan, origin) {
        Ok(code) => code,
        Err(error) => {
            super::complain(format_args!("minisup: cannot start: {error}"));
            match error.kind() {
                // Somebody else has it.
                ErrorKind::AddrNotAvailable => code::FAILED,
                _ => code::INTERNAL,
            }
        }
    }
}

/// What became of the words after the image's name.
enum Words {
    /// A command was run alone, or could not be; with this exit code.
    Ended(u8),
    /// They are a service's arguments.
    Arguments(Vec<String>),
}

fn words(args: &Args, around: &Surroundings) -> Words {
    // A stop that comes from now on is for whatever runs then.
    let held = super::exec::hold_signals();
    let refuse = |text: std::fmt::Arguments<'_>, code| {
        super::complain(text);
        Words::Ended(code)
    };
    let texts = texts(&args.words);
    match meaning(args, around, &texts) {
        Err(diagnostics) => refuse(format_args!("{diagnostics}"), code::CONFIGURATION),
        Ok(Meaning::Nobodys) => refuse(format_args!("minisup: {}", nobodys(&texts[0])), code::USAGE),
        Ok(Meaning::Arguments) => {
            let words = args.words.iter().map(|word| word.to_str().map(str::to_owned));
            match words.collect() {
                Some(words) => Words::Arguments(words),
                None => refuse(format_args!("minisup: a service's arguments must be UTF-8"), code::USAGE),
            }
        }
        Ok(Meaning::Alone(before)) => {
            if before.is_empty()
                && let Some(meant) = mistyped(&args.words[0])
            {
                let word = &texts[0];
                let text = format_args!("minisup: there is neither a command nor a program {word:?}{meant}");
                return refuse(text, code::USAGE);
            }
            let command = before.into_iter().map(OsString::from).chain(args.words.iter().cloned());
            Words::Ended(super::exec::alone(command.collect(), &held))
        }
    }
}

fn texts(words: &[OsString]) -> Vec<String> {
    words.iter().map(|word| word.to_string_lossy().into_owned()).collect()
}

fn meaning(args: &Args, around: &Surroundings, texts: &[String]) -> Result<Meaning, Diagnostics> {
    match args.config.files(around) {
        Some(files) => command::meaning(&files, around, texts),
        None => Ok(command::without_configuration(texts)),
    }
}

/// The words as a command line of ours, if they are one: whoever runs an image whose entrypoint is
/// `minisup --config FILE --` with the word `check` means our `check`, where there is no program of that
/// name and it is none of a service's. The files go along to who reads any.
fn own_command(args: &Args, around: &Surroundings) -> Option<Vec<OsString>> {
    let (name, rest) = args.words.split_first()?;
    let reads_configuration = super::reads_configuration(name.to_str()?)?;
    let is_alone = |meaning| matches!(meaning, Ok(Meaning::Alone(before)) if before.is_empty());
    if is_program(name) || !is_alone(meaning(args, around, &texts(&args.words))) {
        return None;
    }
    let mut line = vec![OsString::from("minisup"), name.clone()];
    if reads_configuration {
        let files = args.config.config.iter();
        line.extend(files.flat_map(|file| ["--config".into(), file.clone().into_os_string()]));
    }
    line.extend(rest.iter().cloned());
    Some(line)
}

/// What to say of arguments without a service.
pub fn nobodys(word: &str) -> String {
    let text =
        "no service takes arguments here: [command] with `service` in the configuration says which one";
    format!("{word:?} begins with \"-\", but {text}")
}

/// What to say of a word that is no program, and nearly a command of ours.
fn mistyped(word: &OsStr) -> Option<String> {
    let meant = super::did_you_mean(word.to_str()?);
    (!meant.is_empty() && !is_program(word)).then_some(meant)
}

fn is_program(word: &OsStr) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(word).exists())
}

impl ConfigArgs {
    /// The files to be read: those named, or the one that is found.
    pub fn files(&self, around: &Surroundings) -> Option<Vec<PathBuf>> {
        match self.config.as_slice() {
            [] => config::find_default(around).map(|file| vec![file]),
            named => Some(named.to_vec()),
        }
    }
}
