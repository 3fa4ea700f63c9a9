//! `minisup run`: the supervisor.

use super::ConfigArgs;
use crate::config::{self, Surroundings};
use crate::core::exit::code;
use crate::runtime::{self, Origin};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// `minisup [run]`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// A command to be run alone, instead of the services, as `minisup exec` does it: so
    /// `docker run IMAGE ls /` does what it says
    #[arg(value_name = "ARGS", trailing_var_arg = true)]
    instead: Vec<OsString>,
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
    if let Some(word) = args.instead.first() {
        if let Some(meant) = mistyped(word) {
            super::complain(format_args!(
                "minisup: there is neither a command nor a program {word:?}{meant}"
            ));
            return code::USAGE;
        }
        return super::exec::alone(args.instead);
    }
    runtime::boot::hold_signals();
    let around = Surroundings::here();
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
            code::INTERNAL
        }
    }
}

/// What to say of a word that is no program, and nearly a command of ours.
fn mistyped(word: &OsStr) -> Option<String> {
    let meant = super::did_you_mean(word.to_str()?);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_program = || std::env::split_paths(&path).any(|folder| folder.join(word).exists());
    (!meant.is_empty() && !is_program()).then_some(meant)
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
