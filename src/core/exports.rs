//! What a script adds to the environment of everything that is launched after it.
//!
//! An `.envsh` is sourced by a shell of its own, never by PID 1. What it has exported by its end
//! goes to PID 1 as bytes in a file that has no name and lies in memory (memfd_create(2)): no
//! folder has to be writable, nobody else can open it, nothing is left of it. PID 1 reads it once
//! the script has ended well. These are the bytes: each entry ends with a NUL, as in
//! /proc/PID/environ (proc(5)), so values may hold anything that a variable may; a first and a last
//! entry tell a whole list from half of one.

use crate::core::sorted::Map;

/// The descriptor at which the script's process finds the file: above those that a shell script
/// can name, and that shells use themselves.
pub const FD: i32 = 100;

/// The file is not larger: no environment that execve(2) takes is, by far.
pub const LARGEST: usize = 4 << 20;

const FIRST: &[u8] = b"minisup exports 1";
const LAST: &[u8] = b".";

/// Variables that every shell makes for itself, and those by which we know our processes.
const NOBODYS: [&[u8]; 6] = [b"_", b"SHLVL", b"PWD", b"OLDPWD", b"MINISUP_SERVICE", b"MINISUP_INSTANCE"];

/// Variables with what became of each: a value, or `None` where it was unset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exports(Map<Box<[u8]>, Option<Box<[u8]>>>);

impl Exports {
    /// What distinguishes two environments, each a list of `name=value`.
    pub fn between<'a>(
        before: impl Iterator<Item = &'a [u8]>,
        after: impl Iterator<Item = &'a [u8]>,
    ) -> Exports {
        let before = Map::from_iter(before.filter_map(pair));
        let after = Map::from_iter(after.filter_map(pair));
        let set = after.iter().filter(|(name, value)| before.get(*name) != Some(value));
        let set = set.map(|(name, value)| (*name, Some(Box::from(*value))));
        let unset = before.keys().filter(|name| !after.contains_key(*name)).map(|name| (*name, None));
        let is_somebodys = |name: &[u8]| !NOBODYS.contains(&name) && !name.starts_with(b"__minisup");
        let changes = set.chain(unset).filter(|(name, _)| is_somebodys(name));
        Exports(changes.map(|(name, value)| (Box::from(name), value)).collect())
    }

    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut entry = |parts: &[&[u8]]| {
            parts.iter().for_each(|part| bytes.extend_from_slice(part));
            bytes.push(0);
        };
        entry(&[FIRST]);
        for (name, value) in &self.0 {
            match value {
                Some(value) => entry(&[b"+", name, b"=", value]),
                None => entry(&[b"-", name]),
            }
        }
        entry(&[LAST]);
        bytes
    }

    /// From bytes; `None` if it is not all of them.
    pub fn from_bytes(bytes: &[u8]) -> Option<Exports> {
        let mut entries = bytes.strip_suffix(b"\0")?.split(|byte| *byte == 0);
        if entries.next() != Some(FIRST) || entries.next_back() != Some(LAST) {
            return None;
        }
        let read = |entry: &[u8]| match entry.split_first()? {
            (b'+', rest) => {
                let (name, value) = pair(rest)?;
                Some((Box::from(name), Some(Box::from(value))))
            }
            (b'-', name) => Some((Box::from(name), None)),
            (_, _) => None,
        };
        // Of two entries of a variable the later one counts.
        entries.map(read).collect::<Option<_>>().map(Exports)
    }

    /// Takes what a later script says over what earlier ones said.
    pub fn extend(&mut self, later: Exports) {
        self.0.extend(later.0);
    }

    /// Whether it says something of this variable.
    pub fn knows(&self, name: &str) -> bool {
        self.0.contains_key(name.as_bytes())
    }

    /// Those that have a value.
    pub fn values(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().filter_map(|(name, value)| Some((&**name, value.as_deref()?)))
    }

    /// How many variables are said something of.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `name=value`, divided.
fn pair(variable: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = variable.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
    Some((&variable[..at], &variable[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(before: &[&str], after: &[&str]) -> Exports {
        let bytes = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        let (before, after) = (bytes(before), bytes(after));
        Exports::between(before.iter().map(Vec::as_slice), after.iter().map(Vec::as_slice))
    }

    #[test]
    fn what_is_new_changed_or_gone_is_told_and_nothing_else() {
        let all = between(&["A=1", "B=2", "C=3", "SHLVL=1"], &["A=1", "B=two", "D=", "SHLVL=2", "PWD=/"]);
        let values: Vec<_> = all.values().collect();
        assert_eq!(values, [(&b"B"[..], &b"two"[..]), (b"D", b"")]);
        assert!(all.knows("C") && !all.knows("A") && !all.knows("PWD") && all.len() == 3);
    }

    #[test]
    fn values_come_back_as_they_were() {
        let all = between(&["GONE=x"], &["A=two\nlines", "B='\"$(rm)`=\\", "C=\u{1F600}", "D="]);
        assert_eq!(Exports::from_bytes(&all.to_bytes()), Some(all));
        let none = Exports::default();
        assert_eq!(Exports::from_bytes(&none.to_bytes()), Some(none));
    }

    #[test]
    fn half_a_list_is_none() {
        let whole = between(&[], &["A=1", "B=2"]).to_bytes();
        for end in 0..whole.len() {
            assert_eq!(Exports::from_bytes(&whole[..end]), None, "{end}");
        }
        assert_eq!(Exports::from_bytes(b"A=1\0B=2\0"), None);
    }

    #[test]
    fn what_a_later_script_says_counts() {
        let mut all = between(&["A=0"], &["A=1", "B=1"]);
        all.extend(between(&["A=1", "B=1"], &["A=2"]));
        assert_eq!(all.values().collect::<Vec<_>>(), [(&b"A"[..], &b"2"[..])]);
        assert!(all.knows("B"));
    }
}
