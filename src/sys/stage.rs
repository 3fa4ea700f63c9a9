//! Where a launch failed, and why, in words: what errno(3) means for whoever reads the log.

use crate::core::exit::code;
use nix::errno::Errno;
use std::fmt;

/// What was being done when a launch failed. In the order in which things are done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Stage {
    /// A word of argv or of the environment holds a NUL, or there is no command.
    Arguments,
    /// Making the pipe on which the child reports.
    Pipe,
    /// clone(2), and memory for the child's stack.
    Fork,
    /// stdin, stdout and stderr; the detail is which.
    Stdio,
    /// Descriptors given at fixed numbers; the detail is the number.
    Descriptors,
    /// setsid(2), setpgid(2).
    Session,
    /// Taking the terminal.
    Terminal,
    /// setpriority(2).
    Nice,
    /// /proc/self/oom_score_adj.
    OomScore,
    /// prlimit(2); the detail is the resource.
    Limits,
    /// setgroups(2).
    Groups,
    /// setgid(2).
    Group,
    /// setuid(2).
    User,
    /// capabilities(7); the detail is the capability, or -1.
    Capabilities,
    /// PR_SET_NO_NEW_PRIVS.
    NoNewPrivileges,
    /// chdir(2), as the user it then is.
    Directory,
    /// The program is there, but not what its first line or its ELF header names.
    Interpreter,
    /// execve(2).
    Exec,
}

/// A launch that failed: where, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchError {
    /// What was being done.
    pub stage: Stage,
    /// The kernel's answer.
    pub errno: i32,
    /// What it was done to: a program, a directory, a limit.
    pub subject: String,
}

impl Stage {
    pub(super) const ALL: [Stage; 18] = [
        Stage::Arguments,
        Stage::Pipe,
        Stage::Fork,
        Stage::Stdio,
        Stage::Descriptors,
        Stage::Session,
        Stage::Terminal,
        Stage::Nice,
        Stage::OomScore,
        Stage::Limits,
        Stage::Groups,
        Stage::Group,
        Stage::User,
        Stage::Capabilities,
        Stage::NoNewPrivileges,
        Stage::Directory,
        Stage::Interpreter,
        Stage::Exec,
    ];
}

impl LaunchError {
    /// What a shell would answer: 127 if the program was not found, else 126.
    pub fn exit_code(&self) -> u8 {
        match (self.stage, self.errno) {
            (Stage::Exec | Stage::Interpreter, libc::ENOENT | libc::ENOTDIR) => code::NOT_FOUND,
            _ => code::NOT_EXECUTABLE,
        }
    }

    /// Whether the same order may succeed later: something was used up or busy.
    pub fn is_passing(&self) -> bool {
        let used_up = [libc::EAGAIN, libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::EINTR];
        used_up.contains(&self.errno) || (self.stage == Stage::Exec && self.errno == libc::ETXTBSY)
    }

    /// The kernel's answer in words, lower case.
    pub fn reason(&self) -> String {
        lower(Errno::from_raw(self.errno).desc())
    }
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = &self.subject;
        match self.stage {
            Stage::Arguments => return write!(f, "cannot execute {subject:?}: a NUL or nothing at all"),
            Stage::Pipe => write!(f, "no pipe for {subject}")?,
            Stage::Fork if self.errno == libc::EAGAIN => {
                return write!(f, "no process for {subject}: the limit of processes is reached");
            }
            Stage::Fork => write!(f, "no process for {subject}")?,
            Stage::Stdio => write!(f, "cannot connect {subject}")?,
            Stage::Descriptors => write!(f, "cannot place descriptor {subject}")?,
            Stage::Session => write!(f, "cannot make a session for {subject}")?,
            Stage::Terminal => write!(f, "cannot hand the terminal to {subject}")?,
            Stage::Nice => write!(f, "cannot set nice to {subject}")?,
            Stage::OomScore => write!(f, "cannot set oom_score_adj to {subject}")?,
            Stage::Limits => write!(f, "cannot set the limit {subject}")?,
            Stage::Groups => write!(f, "cannot set supplementary groups {subject}")?,
            Stage::Group => write!(f, "cannot become group {subject}")?,
            Stage::User => write!(f, "cannot become user {subject}")?,
            Stage::Capabilities => write!(f, "cannot set {subject}")?,
            Stage::NoNewPrivileges => write!(f, "cannot set no_new_privileges")?,
            Stage::Directory => write!(f, "cannot change to directory {subject}")?,
            Stage::Interpreter => {
                return write!(f, "cannot execute {subject}: its interpreter does not exist");
            }
            Stage::Exec if self.errno == libc::ENOEXEC => {
                return write!(
                    f,
                    "cannot execute {subject}: neither a program for this machine nor a script with #!"
                );
            }
            Stage::Exec => write!(f, "cannot execute {subject}")?,
        }
        write!(f, ": {}", self.reason())
    }
}

impl std::error::Error for LaunchError {}

/// Without the capital letter of a sentence; abbreviations keep theirs.
fn lower(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(letters).collect(),
        _ => text.to_string(),
    }
}
