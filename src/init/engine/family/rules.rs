//! Rules of variables that MySQL and MariaDB share, by the numbers of the facts they come from: each is a
//! function that says what it found.
//!
//! Besides the images' own rules there are those of the servers (how long a name may be, which
//! characters it may have): the server would find them after the data directory is made, we find them before.

use super::Family;
use crate::init::engine::Remark;

/// What a server's names may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest user name, in characters.
    pub user: usize,
    /// The server, for messages.
    pub server: &'static str,
}

/// The longest name of a database, in characters, in both servers (NAME_CHAR_LEN).
const DATABASE: usize = 64;

/// The longest host in an account: MySQL since 8.0.17, MariaDB since 10.6.
const HOST: usize = 255;

/// `None of the options that say what root's password is.`
pub fn no_password_option(family: &Family, options: &[&str]) -> Option<Remark> {
    if options.iter().any(|name| family.is_set(name)) {
        return None;
    }
    let names: Vec<String> = options.iter().map(|name| family.full(name)).collect();
    Some(Remark::error(format!(
        "database is uninitialized and password option is not specified: you need to specify one of {}",
        names.join(", ")
    )))
}

/// Several of the options for root's password: the images take the random one, without a word.
pub fn several_password_options(family: &Family, random: &str, others: &[&str]) -> Option<Remark> {
    let other = others.iter().find(|name| family.is_set(name)).filter(|_| family.is_set(random))?;
    Some(Remark::warning(format!(
        "{} has no effect: {} asks for a random one",
        family.full(other),
        family.full(random)
    )))
}

/// USER=root, with which the images fail after half of the work, or never.
pub fn user_is_root(family: &Family) -> Option<Remark> {
    family.text("USER").filter(|user| *user == "root").map(|_| {
        Remark::error(format!(
            "{user}=\"root\": {user} and {password} are for a regular user and cannot be used for root; \
             remove {user} and use {root} for root's password, and {host} for where root may come from",
            user = family.full("USER"),
            password = family.full("PASSWORD"),
            root = family.full("ROOT_PASSWORD"),
            host = family.full("ROOT_HOST"),
        ))
    })
}

/// A user without a password is not created, a password without a user is ignored; both are said.
pub fn half_a_user(family: &Family, passwords: &[&str]) -> Option<Remark> {
    let password = passwords.iter().find(|name| family.is_set(name));
    match (family.is_set("USER"), password) {
        (true, None) => {
            let names: Vec<String> = passwords.iter().map(|name| family.full(name)).collect();
            let (user, names) = (family.full("USER"), names.join(" or "));
            Some(Remark::warning(format!("{user} without {names}: the user will not be created")))
        }
        (false, Some(password)) => Some(Remark::warning(format!(
            "{} without {}: the password will be ignored",
            family.full(password),
            family.full("USER")
        ))),
        (true, Some(_)) | (false, None) => None,
    }
}

/// What the server would refuse, or keep so that nobody can log in.
pub fn names(family: &Family, limits: Limits, users: &[&str], hosts: &[&str]) -> Vec<Remark> {
    let mut found = Vec::new();
    for known in family.kind.known {
        if family.given.get(known.name).is_some_and(|value| value.to_str().is_none()) {
            found.push(Remark::error(format!("{} is not UTF-8", known.name)));
        }
    }
    let mut check = |name: &str, longest: usize| {
        let Some(value) = family.text(name) else { return };
        let (full, count) = (family.full(name), value.chars().count());
        if count > longest {
            found.push(Remark::error(format!(
                "{full} is {count} characters long: {} allows {longest}",
                limits.server
            )));
        }
        if let Some(c) = value.chars().find(|c| *c > '\u{ffff}') {
            found.push(Remark::error(format!(
                "{full} has the character {c:?}: {} keeps names in utf8mb3, which does not have it \
                 (passwords may)",
                limits.server
            )));
        }
    };
    check("DATABASE", DATABASE);
    users.iter().for_each(|name| check(name, limits.user));
    hosts.iter().for_each(|name| check(name, HOST));
    if family.text("DATABASE").is_some_and(|name| name.ends_with(' ')) {
        found.push(Remark::error(format!(
            "{} ends in a space: {} has no such names",
            family.full("DATABASE"),
            limits.server
        )));
    }
    found
}

/// A list of privileges stands in a GRANT as it is, so it may be nothing else.
pub fn privileges(family: &Family, name: &str) -> Option<Remark> {
    let value = family.text(name)?;
    let is_word = |c: char| c.is_ascii_alphabetic() || c == ' ' || c == ',';
    let is_list = value.chars().all(is_word) && value.split(',').all(|word| !word.trim().is_empty());
    (!is_list).then(|| {
        Remark::error(format!(
            "{} is {value:?}: it has to be a list of privileges, such as \"REPLICA MONITOR, PROCESS\"",
            family.full(name)
        ))
    })
}
