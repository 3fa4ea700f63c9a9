//! What the server says about itself (`--verbose --help`), and where programs are.

use crate::init::engine::{Variables, variable};
use crate::init::programs;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Where servers are that a user's PATH does not name.
const MORE_PLACES: [&str; 4] = ["/usr/local/sbin", "/usr/sbin", "/usr/local/libexec", "/usr/libexec"];

/// What the server says about its configuration.
#[derive(Debug, Default)]
pub struct Configuration {
    /// `10.11.6-MariaDB`.
    pub version: String,
    pub(super) values: Vec<(String, String)>,
}

impl Configuration {
    /// The answer to `--verbose --help`: the version first, a table of values last.
    pub fn parse(text: &str) -> Configuration {
        let version = text.lines().find_map(|line| line.split_once("Ver ").map(|(_, rest)| rest));
        let version = version.and_then(|rest| rest.split_whitespace().next()).unwrap_or("").to_owned();
        let table = text.lines().skip_while(|line| !line.starts_with("-----")).skip(1);
        let rows = table.take_while(|line| !line.trim().is_empty());
        let pair = |line: &str| {
            let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            (name.replace('_', "-"), value.trim().to_owned())
        };
        Configuration { version, values: rows.map(pair).collect() }
    }

    /// A value that is set.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.values.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty() && *value != "(No default value)")
    }
}

/// Whether with this argument the server prints something and ends, so that nothing is to be initialised.
pub fn prints_and_exits(argument: &OsStr) -> bool {
    ["-?", "--help", "--print-defaults", "-V", "--version"].iter().any(|known| argument == *known)
}

/// The first of these programs that there is, with its path; none: the first name.
pub fn find(names: &[&str], environment: &Variables) -> OsString {
    let path = variable(environment, "PATH").unwrap_or(OsStr::new(programs::USUAL_PATH));
    let places = std::env::split_paths(path).chain(MORE_PLACES.map(PathBuf::from));
    programs::first_or_name(names, places.filter(|place| place.is_absolute()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_a_server_has_its_version_first_and_its_values_last() {
        let text = "mariadbd  Ver 10.11.6-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)\n\n\
                    Variables (--variable-name=value)\nand boolean options {FALSE|TRUE}  Value\n\
                    --------------------- -------------\n\
                    datadir               /srv/my data/\nlog-bin               (No default value)\n\
                    ssl-ca                \nport                  3306\n\nport 1\n";
        let configuration = Configuration::parse(text);
        assert_eq!(configuration.version, "10.11.6-MariaDB-0+deb12u1");
        assert_eq!(configuration.get("datadir"), Some("/srv/my data/"));
        assert_eq!(configuration.get("port"), Some("3306"));
        assert_eq!(configuration.get("log-bin"), None);
        assert_eq!(configuration.get("ssl-ca"), None);
    }

    #[test]
    fn a_program_that_is_nowhere_keeps_its_name() {
        let nowhere = vec![(OsString::from("PATH"), OsString::from("/nowhere:relative"))];
        assert_eq!(find(&["minisup-no-such-program"], &nowhere), "minisup-no-such-program");
        assert!(prints_and_exits(OsStr::new("--help")) && !prints_and_exits(OsStr::new("--verbose")));
    }
}
