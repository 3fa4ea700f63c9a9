//! Users and groups, from /etc/passwd and /etc/group (passwd(5), group(5)).
//!
//! Read by ourselves: in a static binary getpwnam(3) would load the host image's NSS
//! libraries. Lines that make no sense are skipped, as the C library skips them; a file
//! that is missing is empty; and a number works without an entry.

use super::diagnostics::did_you_mean;

/// What the two files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    users: Vec<User>,
    groups: Vec<Group>,
}

/// A line of /etc/passwd.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub home: String,
}

impl User {
    /// What a process of this user has in its environment (login(1)).
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let home = if self.home.is_empty() { "/" } else { &self.home };
        [("HOME", home), ("USER", &self.name), ("LOGNAME", &self.name)].into_iter()
    }
}

/// A line of /etc/group.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

impl Accounts {
    /// From the text of /etc/passwd and of /etc/group. What is not UTF-8 is replaced: it
    /// can then not be named, but does no harm.
    pub fn parse(passwd: &[u8], group: &[u8]) -> Accounts {
        let user = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|n| !n.is_empty())?.to_owned();
            let uid = fields.nth(1)?.trim().parse().ok()?;
            let gid = fields.next()?.trim().parse().ok()?;
            let home = fields.nth(1).unwrap_or("").to_owned();
            Some(User { name, uid, gid, home })
        };
        let group_of = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|n| !n.is_empty())?.to_owned();
            let gid = fields.nth(1)?.trim().parse().ok()?;
            let members = fields.next().unwrap_or("").split(',').map(str::trim);
            Some(Group { name, gid, members: members.filter(|m| !m.is_empty()).map(str::to_owned).collect() })
        };
        Accounts {
            users: String::from_utf8_lossy(passwd).lines().filter_map(user).collect(),
            groups: String::from_utf8_lossy(group).lines().filter_map(group_of).collect(),
        }
    }

    /// The user of this name, else of this number. As for chown(1), a name of digits goes
    /// before the number.
    pub fn user(&self, name_or_number: &str) -> Option<&User> {
        let by_name = self.users.iter().find(|u| u.name == name_or_number);
        by_name.or_else(|| self.user_of(name_or_number.parse().ok()?))
    }

    /// The first user with this number.
    pub fn user_of(&self, uid: u32) -> Option<&User> {
        self.users.iter().find(|u| u.uid == uid)
    }

    /// The number of the group of this name, or the number itself.
    pub fn gid(&self, name_or_number: &str) -> Option<u32> {
        let by_name = self.groups.iter().find(|g| g.name == name_or_number).map(|g| g.gid);
        by_name.or_else(|| name_or_number.parse().ok().filter(|gid| *gid != u32::MAX))
    }

    /// The supplementary groups of a user, with its own group first, as initgroups(3)
    /// would set them.
    pub fn groups_of(&self, user: &str, gid: u32) -> Vec<u32> {
        let mut groups = vec![gid];
        for group in &self.groups {
            if group.members.iter().any(|m| m == user) && !groups.contains(&group.gid) {
                groups.push(group.gid);
            }
        }
        groups
    }

    /// The user's name that is most like this one.
    pub fn user_like(&self, name: &str) -> Option<&str> {
        did_you_mean(name, self.users.iter().map(|u| u.name.as_str()))
    }

    /// The group's name that is most like this one.
    pub fn group_like(&self, name: &str) -> Option<&str> {
        did_you_mean(name, self.groups.iter().map(|g| g.name.as_str()))
    }

    /// Whether there is not one user.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\n\nbroken\nwww-data:x:33:33::/var/www:/bin/false\n\
            bad:x:minus:1::/:\n12:x:77:78::/twelve:\n\xff\xfe:x:9:9::/:\nshort:x:5:6";
        let group = b"root:x:0:\nwww-data:x:33:\nadm:x:4:syslog, www-data\nssl:x:5:www-data\n+::::\n";
        Accounts::parse(passwd, group)
    }

    #[test]
    fn a_user_is_found_by_name_and_by_number() {
        assert_eq!(accounts().user("www-data").unwrap().uid, 33);
        assert_eq!(accounts().user("33").unwrap().name, "www-data");
        assert_eq!(accounts().user("12").unwrap().uid, 77, "a name of digits goes first");
        assert_eq!(accounts().user("short").unwrap().home, "");
        assert_eq!(accounts().user("nobody"), None);
        assert_eq!(accounts().user("bad"), None);
    }

    #[test]
    fn supplementary_groups_begin_with_the_own_one() {
        assert_eq!(accounts().groups_of("www-data", 33), [33, 4, 5]);
        assert_eq!(accounts().groups_of("root", 0), [0]);
    }

    #[test]
    fn missing_files_are_empty_and_numbers_still_work() {
        let none = Accounts::default();
        assert!(none.is_empty());
        assert_eq!(none.gid("1000"), Some(1000));
        assert_eq!(none.gid("staff"), None);
    }
}
