//! `minisup completions` and `minisup man`: what a shell and man(1) want to know of the command
//! line, from the table that reads it.

use super::complain;
use crate::core::exit::code;
use clap_complete::Shell;

/// `minisup completions`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
bash: source <(minisup completions bash)
zsh:  minisup completions zsh > \"${fpath[1]}/_minisup\"
fish: minisup completions fish > ~/.config/fish/completions/minisup.fish")]
pub struct Args {
    /// For which shell
    shell: Shell,
}

/// `minisup man`.
#[derive(clap::Args, Debug)]
#[command(after_help = "minisup man status | man -l -")]
pub struct ManArgs {
    /// The page of this command; without it, the page of minisup
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

/// Writes the script for the shell.
pub fn run(args: Args) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut shown(&super::command()), "minisup", &mut script);
    super::put(&script);
    0
}

/// The table without what is hidden from people: clap_complete would offer that, too.
fn shown(whole: &clap::Command) -> clap::Command {
    let commands = whole.get_subcommands().filter(|command| !command.is_hide_set());
    clap::Command::new("minisup")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .args(whole.get_arguments())
        .subcommands(commands.cloned())
}

/// Writes a page in the language of man(7).
pub fn man(args: ManArgs) -> u8 {
    let mut command = super::command();
    command.build();
    let wanted = match &args.command {
        None => Some(&command),
        Some(name) => command.find_subcommand(name),
    };
    let Some(wanted) = wanted else {
        let name = args.command.unwrap_or_default();
        complain(format_args!("minisup: there is no command {name:?}{}", super::did_you_mean(&name)));
        return code::USAGE;
    };
    let name = wanted.get_display_name().unwrap_or("minisup").to_owned();
    let mut page = Vec::new();
    match clap_mangen::Man::new(wanted.clone().display_name(name)).render(&mut page) {
        Ok(()) => {
            super::put(&page);
            0
        }
        Err(error) => {
            complain(format_args!("minisup: cannot write the page: {error}"));
            code::INTERNAL
        }
    }
}
