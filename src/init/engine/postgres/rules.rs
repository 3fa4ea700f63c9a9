//! What the variables of PostgreSQL's image must fulfil before anything is touched.
//!
//! The names and the refusals are the official image's; what it finds out half way (a name that is cut, a
//! method nobody knows, an option that contradicts a variable) is refused here, where it costs nothing.
//! POSTGRES_INITDB_ARGS is split into words as a shell splits them, quotes and all, but no shell sees it: the
//! image's `eval` runs what stands in it.

use super::{DATABASE, INITDB_ARGS, METHOD, PASSWORD, Settings, USER, WALDIR};
use crate::init::engine::Remark;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// PostgreSQL cuts longer names (NAMEDATALEN - 1, in bytes), with a notice that nobody reads.
const NAME_MAX: usize = 63;

/// Said when there is no password at all.
pub const NO_PASSWORD: &str = "\
database is uninitialized and superuser password is not specified
  you must specify POSTGRES_PASSWORD (or POSTGRES_PASSWORD_FILE) to a non-empty value for the superuser, for
  example \"-e POSTGRES_PASSWORD=password\" on \"docker run\".
  You may also use \"POSTGRES_HOST_AUTH_METHOD=trust\" to allow all connections without a password. This is *not*
  recommended: see https://www.postgresql.org/docs/current/auth-trust.html";

/// Said when everybody may come in.
pub const TRUST: &str = "\
********************************************************************************
WARNING: POSTGRES_HOST_AUTH_METHOD has been set to \"trust\". This will allow
         anyone with access to the Postgres port to access your database without
         a password, even if POSTGRES_PASSWORD is set. See PostgreSQL
         documentation about \"trust\":
         https://www.postgresql.org/docs/current/auth-trust.html
         In Docker's default configuration, this is effectively any other
         container on the same system.

         It is not recommended to use POSTGRES_HOST_AUTH_METHOD=trust. Replace
         it with \"-e POSTGRES_PASSWORD=password\" instead to set a password in
         \"docker run\".
********************************************************************************";

/// Methods of pg_hba.conf(5) that a `host` line may have, up to version 18.
const METHODS: &[&str] = &[
    "trust",
    "reject",
    "scram-sha-256",
    "md5",
    "password",
    "gss",
    "sspi",
    "ident",
    "ldap",
    "radius",
    "cert",
    "pam",
    "bsd",
    "oauth",
];

/// Everything that is to be said.
pub fn remarks(settings: &Settings) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let trust = settings.method.as_deref() == Some("trust");
    if settings.password.is_none() && !trust {
        remarks.push(Remark::error(NO_PASSWORD));
    }
    if settings.password.as_ref().is_some_and(|password| std::str::from_utf8(password.as_bytes()).is_err()) {
        remarks.push(Remark::error(format!("{PASSWORD} is not UTF-8: PostgreSQL would refuse it")));
    }
    if trust {
        remarks.push(Remark::warning(TRUST));
    }
    for (variable, name) in [(USER, &settings.user), (DATABASE, &settings.database)] {
        remarks.extend(name_fault(variable, name).map(Remark::error));
    }
    if settings.user.starts_with("pg_") {
        remarks.push(Remark::error(format!(
            "{USER} cannot begin with \"pg_\": such names are PostgreSQL's own"
        )));
    }
    if ["public", "none"].contains(&settings.user.as_str()) {
        remarks.push(Remark::error(format!("{USER} cannot be \"{}\": the name is reserved", settings.user)));
    }
    remarks.extend(settings.method.as_deref().and_then(method_fault));
    remarks.extend(initdb_faults(settings));
    if let Some(directory) = &settings.waldir
        && !Path::new(directory).is_absolute()
    {
        let given = Path::new(directory).display();
        remarks.push(Remark::error(format!("{WALDIR} must be an absolute path, not {given}")));
    }
    if let Some(port) = &settings.port
        && !port.parse::<u16>().is_ok_and(|port| port > 0)
    {
        remarks.push(Remark::error(format!("PGPORT must be a number from 1 to 65535, not \"{port}\"")));
    }
    remarks
}

/// Whether a user or a database can have this name.
fn name_fault(variable: &str, name: &str) -> Option<String> {
    if name.contains(char::REPLACEMENT_CHARACTER) {
        return Some(format!("{variable} is not UTF-8: PostgreSQL would refuse it"));
    }
    let length = name.len();
    (length > NAME_MAX).then(|| {
        let mut cut = NAME_MAX;
        while !name.is_char_boundary(cut) {
            cut -= 1;
        }
        format!(
            "{variable} is {length} bytes long, and PostgreSQL cuts names at {NAME_MAX} bytes: it would become \"{}\" \
             without a word. Choose a shorter one",
            &name[..cut]
        )
    })
}

/// The line of pg_hba.conf that the method becomes part of must be one that the server takes.
fn method_fault(method: &str) -> Option<Remark> {
    if method.contains('\n') {
        return Some(Remark::error(format!("{METHOD} must be one line of pg_hba.conf(5)")));
    }
    let word = method.split_whitespace().next().unwrap_or("");
    match word {
        "peer" => Some(Remark::error(format!(
            "{METHOD} cannot be \"peer\": that is for local sockets, and this is about connections by network"
        ))),
        word if METHODS.contains(&word) => None,
        word => Some(Remark::warning(format!(
            "{METHOD} is \"{word}\", which is no method that we know: the server may refuse to start"
        ))),
    }
}

/// The words of POSTGRES_INITDB_ARGS; an error if a quote is left open.
pub fn initdb_words(text: &str) -> Result<Vec<String>, String> {
    shlex::split(text)
        .ok_or_else(|| format!("{INITDB_ARGS} has a quote that is never closed, or ends in a backslash"))
}

/// Options of initdb that have a variable of their own, or cannot work here: each with what to say.
const NOT_HERE: &[(&str, &str, &str)] = &[
    ("-U", "--username", "set POSTGRES_USER instead"),
    ("-D", "--pgdata", "set PGDATA instead"),
    ("", "--pwfile", "set POSTGRES_PASSWORD_FILE instead"),
    ("-W", "--pwprompt", "nobody is there to type it; set POSTGRES_PASSWORD"),
    ("-V", "--version", "it makes no database"),
    ("-?", "--help", "it makes no database"),
    ("-s", "--show", "it makes no database"),
    ("-S", "--sync-only", "it makes no database"),
];

fn initdb_faults(settings: &Settings) -> Vec<Remark> {
    let text = &settings.initdb_args;
    let words = match initdb_words(text) {
        Ok(words) => words,
        Err(fault) => return vec![Remark::error(fault)],
    };
    let mut remarks = Vec::new();
    for (short, long, instead) in NOT_HERE {
        let is_it = |word: &String| {
            let long_with_value =
                word.strip_prefix(long).is_some_and(|rest| rest.is_empty() || rest.starts_with('='));
            long_with_value || (!short.is_empty() && word.starts_with(short) && !word.starts_with("--"))
        };
        if words.iter().any(is_it) {
            remarks.push(Remark::error(format!("{INITDB_ARGS} cannot have {long}: {instead}")));
        }
    }
    let has_waldir = |word: &String| word.starts_with("--waldir") || word.starts_with("-X");
    if settings.waldir.is_some() && words.iter().any(has_waldir) {
        remarks.push(Remark::error(format!(
            "{WALDIR} and --waldir in {INITDB_ARGS} are both set (but are exclusive)"
        )));
    }
    if text.contains("$(") || text.contains('`') {
        remarks.push(Remark::warning(format!(
            "{INITDB_ARGS} is split into words, but no shell runs it: commands in it stay text"
        )));
    }
    remarks
}

/// How a password is asked for that was stored so. Before PostgreSQL 10 the setting was a switch.
pub(super) fn asked_method(encryption: &str) -> &str {
    match encryption {
        "on" | "off" => "md5",
        method => method,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_counted_in_bytes_and_cut_between_characters() {
        assert_eq!(name_fault("POSTGRES_DB", &"x".repeat(63)), None);
        let fault = name_fault("POSTGRES_DB", &"ä".repeat(32)).unwrap();
        assert!(fault.contains("is 64 bytes long"), "{fault}");
        assert!(fault.contains(&format!("\"{}\"", "ä".repeat(31))), "{fault}");
    }

    #[test]
    fn words_are_split_as_a_shell_does_and_nothing_is_run() {
        let words = initdb_words(r#"--locale=C -E 'UTF 8' --set "a=$(touch /x)""#).unwrap();
        assert_eq!(words, ["--locale=C", "-E", "UTF 8", "--set", "a=$(touch /x)"]);
        assert!(initdb_words("--locale='C").is_err());
    }

    #[test]
    fn a_switch_of_older_versions_means_md5() {
        assert_eq!(
            ["on", "off", "md5", "scram-sha-256"].map(asked_method),
            ["md5", "md5", "md5", "scram-sha-256"]
        );
    }
}
