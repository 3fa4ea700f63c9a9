//! argv → cli → exit code; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(minisup::cli::main(std::env::args_os()))
}
