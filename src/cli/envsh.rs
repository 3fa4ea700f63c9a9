//! `minisup envsh`: sources a script in a shell, and hands what it exports to the supervisor.
//!
//! The supervisor launches it for each `.envsh` of `[scripts]`. It never becomes a parent: it notes
//! its environment, and becomes the shell that sources the script. The shell, when the script is
//! through, launches `minisup envsh` again, which then has the exported variables as its own
//! environment and no others, and ends as it would without us. So values may hold anything, signals
//! go to the one process that there is, the script's exit code is the oneshot's, and its own traps run.
//!
//! A script that says `exit 0` halfway is ended, as everybody expects who reads it alone; but what
//! it has exported until then counts, the scripts after it run, and it is said.

use crate::core::exit::code;
use crate::core::exports::{self, Exports};
use crate::sys::fd;
use crate::sys::words::Words;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::parent_id;
use std::path::PathBuf;

/// `$1` is the script, `$2` is minisup. Both are gone from what the script sees, and it sees no
/// arguments. The script may leave by `exit`. A trap of ours would be where it arrives, but for a script
/// that has one of its own for its end, and no shell has two. So `exit` is another word for a function of
/// ours; where it is not, as in `command exit`, there is the trap. Neither touches the script's own
/// trap, nor what `exit` without a number means in it: the status from before the trap.
///
/// What `exit` ends may be a subshell, whose variables are nobody's: `collect` sees who launched it.
const SOURCE: &str = r#"
__minisup_file=$1 __minisup=$2 __minisup_done=
set --
__minisup_end() {
    [ "$__minisup_done$1" = 0 ] || return 0
    __minisup_done=1
    "$__minisup" envsh --collect "$2" --shell-pid "$$" -- "$__minisup_file"
}
__minisup_status() {
    return "$1"
}
__minisup_exit() {
    __minisup_code=$?
    [ "$#" = 0 ] || __minisup_code=$1
    __minisup_end "$__minisup_code" early || __minisup_code=1
    [ "$#" = 0 ] || exit "$__minisup_code"
    __minisup_status "$__minisup_code" && :
    exit
}
trap '__minisup_end "$?" early || exit 1' 0
[ -z "${BASH_VERSION-}" ] || shopt -s expand_aliases
alias exit=__minisup_exit || :
. "$__minisup_file"
__minisup_code=$?
__minisup_end "$__minisup_code" whole || __minisup_code=1
\exit "$__minisup_code"
"#;

/// `minisup envsh`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The script
    file: OsString,
    /// The shell that sources it, with its options
    #[arg(long, default_value = "/bin/sh")]
    shell: String,
    /// The script is through: hand over what it has left in the environment. Whether it is "whole", or
    /// was left "early"
    #[arg(long)]
    collect: Option<String>,
    /// If this shell has launched us, and no subshell of it
    #[arg(long)]
    shell_pid: Option<u32>,
}

/// Becomes the shell, or, behind it, hands over. Returns 1 if that cannot be.
pub fn run(args: Args) -> u8 {
    let done = match args.collect.as_deref() {
        Some(_) if args.shell_pid.is_some_and(|shell| shell != parent_id()) => Ok(()),
        Some(end) => collect(&args, end == "early"),
        None => source(&args),
    };
    match done {
        Ok(()) => 0,
        Err(error) => {
            let file = args.file.to_string_lossy();
            super::complain(format_args!("minisup: cannot source {file}: {error}"));
            code::FAILED
        }
    }
}

fn source(args: &Args) -> io::Result<()> {
    let mut file = handed()?;
    // Whom we could tell how far we are is nobody for the script to talk to.
    let ours = |word: &&[u8]| word.starts_with(b"NOTIFY_SOCKET=");
    let mut environment = Words::new();
    for word in Words::inherited().iter().filter(|word| !ours(word)) {
        file.write_all(word)?;
        file.write_all(b"\0")?;
        environment.push(OsStr::from_bytes(word));
    }
    let mut shell = args.shell.split_whitespace();
    let program = shell.next().unwrap_or("/bin/sh");
    let mut command = Words::from_iter([program].into_iter().chain(shell));
    // Without /proc there is only how we were called, which was a path.
    let own = std::env::current_exe().or_else(|error| {
        let called = std::env::args_os().next().filter(|word| word.as_bytes().contains(&b'/'));
        called.map(PathBuf::from).ok_or(error)
    })?;
    ["-c", SOURCE, program].iter().for_each(|word| command.push(word));
    command.push(&args.file);
    command.push(own);
    Err(command.exec(&environment))
}

fn collect(args: &Args, early: bool) -> io::Result<()> {
    let mut file = handed()?;
    file.rewind()?;
    let mut before = Vec::new();
    Read::take(&mut file, exports::LARGEST as u64).read_to_end(&mut before)?;
    let now = Words::inherited();
    let exports = Exports::between(before.split(|byte| *byte == 0), now.iter());
    // Shorter than what it replaces it may be, but never a mixture of both: the last entry of one is
    // not the last of the other.
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&exports.to_bytes())?;
    if early {
        let name = args.file.to_string_lossy();
        super::complain(format_args!(
            "{name}: left by `exit 0` before its end; what it has exported until then counts"
        ));
    }
    Ok(())
}

/// The file that the supervisor has given us.
fn handed() -> io::Result<File> {
    let file = fd::handed_over(exports::FD);
    file.map(File::from).map_err(|_| io::Error::other("only the supervisor can ask for this"))
}
