//! Values that are said nowhere: those of the variables that services name as `secrets`, and those that
//! they have from files of their own. A value may have been put into a command, a probe or a hook, also of
//! a service that does not name it; and what is said of these has [`MASK`] in its place.

use super::launch::Launch;
use super::plan::ServiceSpec;
use super::sorted::{self, Set};
use std::cmp::Reverse;

/// What stands for the value of a secret.
pub const MASK: &str = "***";

/// Shorter ones cannot be told from other words: these are found only where they are the whole text.
const LEAST: usize = 4;

/// The values.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Longer ones first: one may be the beginning of another.
    values: Vec<String>,
}

impl Secrets {
    /// Of all of these.
    pub fn of<'a>(specs: impl IntoIterator<Item = &'a ServiceSpec>) -> Secrets {
        let mut values = Set::new();
        for Launch { environment, secrets, .. } in specs.into_iter().map(|spec| &spec.launch) {
            if !secrets.is_empty() {
                let is_secret =
                    |(name, value): &&(String, String)| !value.is_empty() && secrets.contains(name);
                values.extend(environment.iter().filter(is_secret).map(|(_, value)| value.as_str()));
            }
        }
        let mut values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        sorted::sort_by_key(&mut values, |value| Reverse(value.len()));
        Secrets { values }
    }

    /// The text without them.
    pub fn masked(&self, text: String) -> String {
        if self.values.contains(&text) {
            return MASK.to_owned();
        }
        let long = self.values.iter().filter(|value| value.len() >= LEAST);
        long.fold(text, |text, value| match text.contains(value.as_str()) {
            true => text.replace(value.as_str(), MASK),
            false => text,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(values: [&str; 3], text: &str) -> String {
        let mut values: Vec<String> = values.map(str::to_owned).into();
        sorted::sort_by_key(&mut values, |value| Reverse(value.len()));
        Secrets { values }.masked(text.to_owned())
    }

    #[test]
    fn a_value_is_masked_wherever_it_stands() {
        let values = ["hunter2", "hunter2secret", "abc"];
        assert_eq!(masked(values, "postgres://u:hunter2@h hunter2"), "postgres://u:***@h ***");
        assert_eq!(masked(values, "x hunter2secret y"), "x *** y", "the longer one first");
    }

    #[test]
    fn a_short_one_only_where_it_is_the_whole_text() {
        assert_eq!(masked(["abc", "zzzz", "yyyy"], "abc"), "***");
        assert_eq!(masked(["abc", "zzzz", "yyyy"], "an abc book"), "an abc book");
    }
}
