//! `minisup envsh`: sources a script in a shell, and hands what it exports to the supervisor.
//!
//! The supervisor launches it for each `.envsh` of `[scripts]`. It never becomes a parent: it notes
//! its environment, becomes the shell that sources the script, and the shell, when the script is
//! through, becomes `minisup envsh` again, which then has the exported variables as its own
//! environment and no others. So values may hold anything, signals go to the one process that there
//! is, and the script's exit code is the oneshot's.
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
use std::path::PathBuf;

/// `$1` is the script, `$2` is minisup. Both are gone from what the script sees, and it sees no
/// arguments. The script may leave by `exit`, then the trap is where it arrives.
const SOURCE: &str = r#"
__minisup_file=$1 __minisup=$2
set --
trap '__minisup_code=$?
trap - 0
[ "$__minisup_code" = 0 ] || exit "$__minisup_code"
exec "$__minisup" envsh --collect --early -- "$__minisup_file"' 0
. "$__minisup_file"
__minisup_code=$?
trap - 0
[ "$__minisup_code" = 0 ] || exit "$__minisup_code"
exec "$__minisup" envsh --collect -- "$__minisup_file"
"#;

/// `minisup envsh`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The script
    file: OsString,
    /// The shell that sources it, with its options
    #[arg(long, default_value = "/bin/sh")]
    shell: String,
    /// The script is through: hand over what it has left in the environment
    #[arg(long)]
    collect: bool,
    /// It was through before its end
    #[arg(long)]
    early: bool,
}

/// Becomes the shell, or, behind it, hands over. Returns 1 if that cannot be.
pub fn run(args: Args) -> u8 {
    let done = match args.collect {
        true => collect(&args),
        false => source(&args),
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

fn collect(args: &Args) -> io::Result<()> {
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
    if args.early {
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
