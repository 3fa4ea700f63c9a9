//! Whom our children run as, and what they have in their environment.
//!
//! Accounts are read from /etc/passwd and /etc/group as text: nothing of the image is loaded for that.

use super::Request;
use super::engine::{self, Engine, Variables};
use super::trouble::Trouble;
use crate::config::Accounts;
use crate::core::plan::Credentials;
use crate::sys::pid1;
use std::fs;

/// Variables that lead to a supervisor, which the temporary server must not find.
const SUPERVISORS: [&str; 7] = [
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "MAINPID",
];

/// Whom children run as, and what they have in their environment.
///
/// # Errors
/// There is no such user or group, or only root could become it.
pub(super) fn identity(
    request: &Request,
    engine: &dyn Engine,
) -> Result<(Option<Credentials>, Variables), Trouble> {
    let mut environment = request.environment.clone();
    SUPERVISORS.iter().for_each(|name| engine::remove_variable(&mut environment, name));
    let read = |path: &str| fs::read(path).unwrap_or_default();
    let accounts = Accounts::parse(&read("/etc/passwd"), &read("/etc/group"));
    let is_root = pid1::own_uid() == 0;
    let name = match &request.user {
        Some(name) => Some(name.as_str()),
        None if is_root => engine.accounts().iter().copied().find(|name| accounts.user(name).is_some()),
        None => None,
    };
    let Some(name) = name else { return Ok((None, environment)) };
    let (name, group) = name.split_once(':').map_or((name, None), |(name, group)| (name, Some(group)));
    let no_group =
        |group: &str| Trouble::Rules(vec![format!("--user: there is no group {group:?} in /etc/group")]);
    let group = match group {
        Some(group) => Some(accounts.gid(group).ok_or_else(|| no_group(group))?),
        None => None,
    };
    let who = match accounts.user(name) {
        Some(user) => {
            for (variable, value) in user.variables() {
                engine::set_variable(&mut environment, variable, value);
            }
            let gid = group.unwrap_or(user.gid);
            Credentials { uid: user.uid, gid, groups: accounts.groups_of(&user.name, gid).into() }
        }
        None => {
            let uid: u32 = name.parse().map_err(|_| {
                let like = accounts.user_like(name).map(|like| format!(": did you mean {like:?}?"));
                let like = like.unwrap_or_default();
                Trouble::Rules(vec![format!("--user: there is no user {name:?} in /etc/passwd{like}")])
            })?;
            let gid = group.unwrap_or(uid);
            Credentials { uid, gid, groups: [gid].into() }
        }
    };
    if who.uid == pid1::own_uid() {
        return Ok((None, environment));
    }
    if !is_root {
        return Err(Trouble::Rules(vec![format!(
            "--user {name}: only root can become somebody else, and minisup runs as user {}: start the container as \
             root, or leave --user out",
            pid1::own_uid()
        )]));
    }
    Ok((Some(who), environment))
}
