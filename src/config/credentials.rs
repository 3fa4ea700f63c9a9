//! `user`, `group`, `groups`: from names to numbers.

use super::Surroundings;
use super::accounts::User;
use super::diagnostics::Problems;
use super::file::Value;
use super::view::{Field, View};
use crate::core::plan::Credentials;
use std::borrow::Cow;

/// Whom a service runs as.
#[derive(Default)]
pub struct Who<'a> {
    /// What is switched to; `None`: nothing needs to be.
    pub credentials: Option<Credentials>,
    /// Whose HOME, USER and LOGNAME it gets.
    pub user: Option<Cow<'a, User>>,
}

/// Reads the three keys.
pub fn of<'a>(view: &View<'_>, around: &'a Surroundings, problems: &mut Problems) -> Who<'a> {
    let (user_field, group_field, groups_field) = (view.get("user"), view.get("group"), view.get("groups"));
    if user_field.is_none() && group_field.is_none() && groups_field.is_none() {
        return Who::default();
    }
    let mut group_text = None;
    let user = match user_field {
        Some(field) => match name(field, problems) {
            Some(text) => {
                // `1000:1000`, as `docker run --user` writes it.
                let (text, group) = match text.split_once(':') {
                    Some((user, group)) => (user.to_owned(), Some(group.to_owned())),
                    None => (text, None),
                };
                group_text = group.map(|group| (group, field));
                match find_user(&text, field, around, problems) {
                    Some(user) => Some(user),
                    None => return Who::default(),
                }
            }
            None => return Who::default(),
        },
        None => None,
    };
    if let Some(field) = group_field {
        if let Some((_, first)) = group_text {
            problems.error(field.key, "the group is already given behind the user").see(first.span(), "here");
        }
        group_text = name(field, problems).map(|text| (text, field));
    }
    let mut gid = user.as_ref().map_or(around.egid, |user| user.gid);
    if let Some((text, field)) = &group_text {
        gid = find_group(text, *field, around, problems).unwrap_or(gid);
    }
    let uid = user.as_ref().map_or(around.euid, |user| user.uid);
    let mut groups = match &user {
        Some(user) => around.accounts.groups_of(&user.name, gid),
        None => vec![gid],
    };
    if let Some(field) = groups_field {
        groups = vec![gid];
        for element in field.elements("a list of groups", problems).unwrap_or_default() {
            let found = name(element, problems).and_then(|text| find_group(&text, element, around, problems));
            groups.extend(found.filter(|group| !groups.contains(group)));
        }
    }
    // Who is not root can become nobody else; to stay what one is needs nothing.
    if around.euid != 0 {
        let field = user_field.or(group_field).or(groups_field);
        if (uid, gid) == (around.euid, around.egid) && groups_field.is_none() {
            return Who { credentials: None, user };
        }
        if let Some(field) = field {
            let message =
                format!("minisup runs as user {} and cannot become user {uid}, group {gid}", around.euid);
            problems.warning(field.span(), message).mark("start the container as root, or leave it out");
        }
    }
    Who { credentials: Some(Credentials { uid, gid, groups: groups.into() }), user }
}

/// `user`, and `group` behind it, as they are written; `None` if no user is.
pub fn as_written(view: &View<'_>) -> Option<String> {
    let text = |key| match &view.get(key)?.node.value {
        Value::Integer { number, .. } => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    };
    let user: String = text("user")?;
    Some(match text("group") {
        Some(group) => format!("{user}:{group}"),
        None => user,
    })
}

/// A name, or a number as text.
fn name(field: Field<'_>, problems: &mut Problems) -> Option<String> {
    match &field.node.value {
        Value::Integer { number, .. } if (0..i64::from(u32::MAX)).contains(number) => {
            Some(number.to_string())
        }
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        _ => field.wrong("a name or a number", problems),
    }
}

/// Reads `control_group`.
pub fn control_group(view: &View<'_>, around: &Surroundings, problems: &mut Problems) -> Option<u32> {
    let field = view.get("control_group")?;
    find_group(&name(field, problems)?, field, around, problems)
}

fn find_user<'a>(
    text: &str,
    field: Field<'_>,
    around: &'a Surroundings,
    problems: &mut Problems,
) -> Option<Cow<'a, User>> {
    if let Some(user) = around.accounts.user(text) {
        return Some(Cow::Borrowed(user));
    }
    // A number without an entry is a user without a name; its group has the same number,
    // for root's group is nothing to be given by accident.
    if let Some(uid) = text.parse().ok().filter(|uid| *uid != u32::MAX) {
        let gid = if uid == around.euid { around.egid } else { uid };
        return Some(Cow::Owned(User { name: text.to_owned(), uid, gid, home: "/".into() }));
    }
    let problem = problems.error(field.span(), format!("there is no user \"{text}\" in /etc/passwd"));
    if around.accounts.is_empty() {
        problem.mark("there is no user at all: give a number");
    } else if let Some(near) = around.accounts.user_like(text) {
        problem.mark(format!("did you mean \"{near}\"?"));
    }
    None
}

fn find_group(text: &str, field: Field<'_>, around: &Surroundings, problems: &mut Problems) -> Option<u32> {
    let found = around.accounts.gid(text);
    if found.is_none() {
        let problem = problems.error(field.span(), format!("there is no group \"{text}\" in /etc/group"));
        if let Some(near) = around.accounts.group_like(text) {
            problem.mark(format!("did you mean \"{near}\"?"));
        }
    }
    found
}
