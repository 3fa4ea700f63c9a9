//! Who runs a `.sh`.
//!
//! As in the official images an executable one is run, and any other is sourced: with the image's functions
//! at hand, in the directory we say. But it is sourced by a shell of its own, so that its `exit 0`, its `cd`
//! and its `set -u` end with it. That shell is bash where there is one, as in the images, for many a script
//! that was only ever sourced has `[[` in it, whatever its first line says.

use crate::init::programs::find;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How a `.sh` gets run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Way {
    /// By the kernel, which reads its `#!` line.
    Run,
    /// It is executable but has no `#!` line: so this shell reads it, as a shell would do it (execvp(3), ENOEXEC).
    Read(PathBuf),
    /// It is sourced by this shell.
    Source(PathBuf),
}

impl Way {
    /// Program and arguments. `prelude` are functions for sourced scripts.
    pub fn argv(&self, script: &Path, prelude: &str) -> Vec<OsString> {
        match self {
            Way::Run => vec![script.into()],
            Way::Read(shell) => vec![shell.into(), script.into()],
            Way::Source(shell) => {
                // As the images' entrypoints have it. Not every sh knows pipefail, and one that does not would end.
                let strict = match shell.file_name() == Some(OsStr::new("bash")) {
                    true => "set -eo pipefail; shopt -s nullglob",
                    false => "set -e",
                };
                let text = format!("{strict}\n{prelude}\n. \"$0\"\n");
                vec![shell.into(), "-c".into(), text.into(), script.into()]
            }
        }
    }
}

/// What the first line of a script names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interpreter {
    /// The program in the `#!` line.
    pub program: PathBuf,
    /// What `/usr/bin/env` is to look for.
    pub sought: Option<OsString>,
    /// The line ends in CR LF, so the kernel looks for a program with a CR at the end of its name.
    pub has_return: bool,
}

impl Interpreter {
    /// From the first bytes of a file (execve(2), "Interpreter scripts").
    pub fn of(opening: &[u8]) -> Option<Interpreter> {
        let line = opening.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
        let has_return = line.ends_with(b"\r");
        let mut words =
            line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r')).filter(|word| !word.is_empty());
        let program = PathBuf::from(OsStr::from_bytes(words.next()?));
        let is_env = program.file_name() == Some(OsStr::new("env"));
        // `env -S bash -e`, `env A=1 bash`.
        let is_name = |word: &&[u8]| !word.starts_with(b"-") && !word.contains(&b'=');
        let sought = words.find(is_name).filter(|_| is_env).map(|word| OsStr::from_bytes(word).to_owned());
        Some(Interpreter { program, sought, has_return })
    }

    /// Whether it is a shell, so that such a script can be sourced.
    pub fn is_shell(&self) -> bool {
        let name = self.sought.as_deref().or(self.program.file_name()).unwrap_or_default();
        ["sh", "bash", "dash", "ash", "ksh", "mksh", "busybox"].iter().any(|shell| name == OsStr::new(shell))
    }

    /// What is missing: a message, or `None` if all is there.
    pub fn missing(&self, path: Option<&OsStr>) -> Option<String> {
        if !self.program.exists() {
            return Some(format!("{} is not there", self.program.display()));
        }
        let sought = self.sought.as_deref()?;
        find(sought, path).is_none().then(|| format!("there is no {} in PATH", sought.display()))
    }
}

/// How a `.sh` is to be run.
///
/// # Errors
/// It cannot be: why, and what is to be done.
pub fn way(
    opening: &[u8],
    is_executable: bool,
    always_sourced: bool,
    path: Option<&OsStr>,
) -> Result<Way, String> {
    let interpreter = Interpreter::of(opening);
    let any_shell = || find(OsStr::new("bash"), path).or_else(|| find(OsStr::new("sh"), path));
    if is_executable && !always_sourced {
        return match interpreter {
            Some(interpreter) if interpreter.has_return => Err(format!(
                "its first line ends in CR LF, so the kernel would look for {:?}: take the returns out with sed -i 's/\\r$//'",
                format!("{}\r", interpreter.program.display())
            )),
            Some(interpreter) => match interpreter.missing(path) {
                None => Ok(Way::Run),
                Some(missing) => Err(format!("its interpreter is missing: {missing}")),
            },
            None if opening.starts_with(b"\x7fELF") => Ok(Way::Run),
            None => any_shell()
                .map(Way::Read)
                .ok_or_else(|| "it has no #! line, and there is no shell".to_owned()),
        };
    }
    match interpreter {
        Some(other) if !other.is_shell() => Err(format!(
            "it is not executable, so a shell would source it, but it is written for {}: chmod +x",
            other.sought.as_deref().unwrap_or(other.program.as_os_str()).display()
        )),
        _ => any_shell().map(Way::Source).ok_or_else(|| {
            "it is not executable, so it is to be sourced, and there is no shell here: neither bash nor sh".to_owned()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, is_executable: bool) -> Result<Way, String> {
        way(text.as_bytes(), is_executable, false, None)
    }

    #[test]
    fn an_executable_is_run_and_any_other_is_sourced() {
        assert_eq!(of("#!/bin/sh\necho", true), Ok(Way::Run));
        let Ok(Way::Source(shell)) = of("#!/bin/sh\necho", false) else { panic!("not sourced") };
        assert!(["bash", "sh"].map(OsStr::new).contains(&shell.file_name().unwrap()), "{shell:?}");
        let Ok(Way::Read(_)) = of("echo without a first line", true) else { panic!("not read") };
        let Ok(Way::Source(_)) = way(b"#!/bin/sh\n", true, true, None) else { panic!("not sourced") };
    }

    #[test]
    fn what_cannot_run_says_why() {
        let why = |text: &str, is_executable| of(text, is_executable).unwrap_err();
        assert_eq!(why("#!/no/such/sh -e\n", true), "its interpreter is missing: /no/such/sh is not there");
        assert_eq!(
            why("#!/usr/bin/env -S no-such-tool -x\n", true),
            "its interpreter is missing: there is no no-such-tool in PATH"
        );
        assert!(why("#!/bin/bash\r\necho\r\n", true).contains("look for \"/bin/bash\\r\""));
        assert_eq!(
            why("#!/usr/bin/env python3\n", false),
            "it is not executable, so a shell would source it, but it is written for python3: chmod +x"
        );
        assert_eq!(
            way(b"echo", false, false, Some(OsStr::new("/nowhere"))),
            Err("it is not executable, so it is to be sourced, and there is no shell here: neither bash nor sh".into())
        );
    }

    #[test]
    fn a_sourced_script_ends_alone_and_has_the_prelude() {
        let script = std::env::temp_dir().join(format!("minisup-sourced-{}.sh", std::process::id()));
        std::fs::write(&script, "greet you; echo $0; exit 0; echo never").unwrap();
        for name in ["bash", "sh"] {
            let Some(shell) = find(OsStr::new(name), None) else { continue };
            let argv = Way::Source(shell).argv(&script, "greet() { echo \"hello $1\"; }");
            let done = std::process::Command::new(&argv[0]).args(&argv[1..]).output().unwrap();
            let said = String::from_utf8(done.stdout).unwrap();
            assert_eq!(said, format!("hello you\n{}\n", script.display()), "{name}: {:?}", done.stderr);
        }
        std::fs::remove_file(&script).unwrap();
    }
}
