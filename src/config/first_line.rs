//! What the beginning of a script says of how it is run, and whether it can be run at all.
//!
//! The kernel's own words for a script that cannot be executed are "no such file or directory", about
//! a file that everybody sees. So it is said before anything runs, with the line: the interpreter
//! that is missing, the line endings of another system, the invisible mark before `#!`
//! (execve(2), "Interpreter scripts").

use super::diagnostics::{Origin, Problems, Sources, Span};
use super::launch::find;
use super::reading;
use std::io::Read;
use std::path::Path;

/// So much of a script is looked at.
const HEAD: u64 = 4096;

/// Who runs a script that does not say who.
const SHELL: &str = "/bin/sh";

/// Who can source an `.envsh`.
const SHELLS: [&str; 7] = ["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"];

/// A script about to be looked at.
pub struct Script<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// Whether a shell is to source it.
    pub is_sourced: bool,
    /// The PATH that `#!/usr/bin/env` has.
    pub search: Option<&'a str>,
}

impl Script<'_> {
    /// The words before its name in the command that runs it, or the shell that sources it. `None`
    /// if that cannot go well, which has been said.
    pub fn runner(&self, sources: &mut Sources, problems: &mut Problems) -> Option<Vec<String>> {
        let mut head = Vec::new();
        let opened = reading::open(self.path, true);
        // Whom we may not read, the kernel may still execute.
        let Ok(_) = opened.and_then(|file| file.take(HEAD).read_to_end(&mut head)) else {
            return Some(if self.is_sourced { vec![SHELL.to_owned()] } else { Vec::new() });
        };
        if head.starts_with(b"\x7fELF") && !self.is_sourced {
            return Some(Vec::new());
        }
        match self.read(&String::from_utf8_lossy(&head)) {
            Ok(words) => {
                if let Some(at) = head.windows(2).position(|pair| pair == b"\r\n") {
                    let line = head[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
                    let path = self.path.display();
                    problems.warn(format!(
                        "{path}:{line}: the line ends with a carriage return (CRLF), which belongs to its last \
                         word: save the file with LF",
                    ));
                }
                Some(words)
            }
            Err(Fault { message, mark }) => {
                let text = String::from_utf8_lossy(&head).into_owned();
                let end = text.find('\n').unwrap_or(text.len()) as u32;
                let source = sources.add(Origin::File(self.path.to_owned()), text);
                problems.error(Span { source, start: 0, end }, message).mark(mark);
                None
            }
        }
    }

    fn read(&self, head: &str) -> Result<Vec<String>, Fault> {
        let first = head.lines().next().unwrap_or_default();
        let first =
            if head.starts_with(&format!("{first}\r\n")) { format!("{first}\r") } else { first.into() };
        if let Some(rest) = first.strip_prefix('\u{feff}') {
            let what =
                if rest.starts_with("#!") { "the kernel does not see its `#!`" } else { "no shell takes it" };
            return Err(fault(
                format!("the script begins with an invisible byte order mark: {what}"),
                "save it as UTF-8 without a BOM",
            ));
        }
        if first.ends_with('\r') {
            let message =
                "the script's lines end with CRLF, as on Windows: no interpreter has a name that ends so";
            let mend = format!("save it with LF: sed -i 's/\\r$//' {}", self.path.display());
            return Err(fault(message, mend));
        }
        let Some(rest) = first.strip_prefix("#!") else {
            return self.exists(SHELL).map(|()| vec![SHELL.to_owned()]);
        };
        let rest = rest.trim_matches([' ', '\t']);
        let (interpreter, argument) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
        let argument = argument.trim_start_matches([' ', '\t']);
        if interpreter.is_empty() {
            return self.exists(SHELL).map(|()| vec![SHELL.to_owned()]);
        }
        self.exists(interpreter)?;
        let by_env = (name(interpreter) == "env").then(|| env_program(argument)).flatten();
        if let Some(program) = by_env
            && !program.contains('/')
            && find(program, self.search).is_none()
        {
            let message = format!("its interpreter {program} is not in PATH in this image");
            return Err(fault(message, format!("install {program}, or name another one")));
        }
        if !self.is_sourced {
            return Ok(Vec::new());
        }
        let shell = by_env.unwrap_or(interpreter);
        if name(shell) == "busybox" {
            return Ok(vec![shell.to_owned(), "sh".to_owned()]);
        }
        if !SHELLS.contains(&name(shell)) {
            let message = format!("an .envsh is sourced by a shell, and {} is none", name(shell));
            return Err(fault(message, "call it .sh, if it only has to run"));
        }
        let mut words = vec![shell.to_owned()];
        if by_env.is_none() && argument.starts_with(['-', '+']) {
            words.push(argument.to_owned());
        }
        Ok(words)
    }

    fn exists(&self, interpreter: &str) -> Result<(), Fault> {
        // A relative one depends on where it is run.
        if !interpreter.starts_with('/') || Path::new(interpreter).exists() {
            return Ok(());
        }
        let message = format!("its interpreter {interpreter} does not exist in this image");
        let mark = match name(interpreter) {
            "bash" => "install bash, or write #!/bin/sh".to_owned(),
            other => format!("install {other}, or name another one"),
        };
        Err(fault(message, mark))
    }
}

struct Fault {
    message: String,
    mark: String,
}

fn fault(message: impl Into<String>, mark: impl Into<String>) -> Fault {
    Fault { message: message.into(), mark: mark.into() }
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The program in `#!/usr/bin/env -S NAME=value program …` (env(1)).
fn env_program(argument: &str) -> Option<&str> {
    let argument = argument.strip_prefix("-S").unwrap_or(argument);
    argument.split_whitespace().find(|word| !word.starts_with('-') && !word.contains('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runner(text: &str, is_sourced: bool) -> Result<Vec<String>, String> {
        let script = Script { path: Path::new("x"), is_sourced, search: Some("/usr/bin:/bin") };
        script.read(text).map_err(|fault| fault.message)
    }

    fn ok(words: &[&str]) -> Result<Vec<String>, String> {
        Ok(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn the_kernel_runs_what_has_an_interpreter_and_a_shell_the_rest() {
        assert_eq!(runner("#!/bin/sh -e\necho\n", false), ok(&[]));
        assert_eq!(runner("#! /usr/bin/env sh\n", false), ok(&[]));
        assert_eq!(runner("echo hello\n", false), ok(&["/bin/sh"]));
        assert_eq!(runner("", false), ok(&["/bin/sh"]));
    }

    #[test]
    fn an_envsh_is_sourced_by_its_own_shell() {
        assert_eq!(runner("export A=1\n", true), ok(&["/bin/sh"]));
        assert_eq!(runner("#!/bin/sh -e\n", true), ok(&["/bin/sh", "-e"]));
        assert_eq!(runner("#!/usr/bin/env bash\n", true), ok(&["bash"]));
        assert!(runner("#!/usr/bin/env sort\n", true).unwrap_err().contains("sort is none"));
    }

    #[test]
    fn what_cannot_run_is_said_before() {
        assert!(runner("#!/bin/sh\r\necho\r\n", false).unwrap_err().contains("CRLF"));
        assert!(runner("\u{feff}#!/bin/sh\n", false).unwrap_err().contains("byte order mark"));
        assert!(runner("#!/opt/bin/bash\n", false).unwrap_err().contains("/opt/bin/bash does not exist"));
        assert!(runner("#!/usr/bin/env zxy\n", false).unwrap_err().contains("zxy is not in PATH"));
        assert!(runner("#!/usr/bin/env -S A=1 zxy -q\n", false).unwrap_err().contains("zxy is not in PATH"));
    }
}
