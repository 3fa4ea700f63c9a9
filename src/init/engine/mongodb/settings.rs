//! What mongod is told: its command line, its file, and what the temporary server is told instead.
//!
//! mongod refuses an option that is given twice, so what the temporary server must not have is taken out, not
//! overruled. Of its file (YAML) only a few keys matter here. They are read, and the sections that are not
//! for the temporary server are left out, by lines: every mongod.conf that a package, a manual or an image has
//! is block style, where a section is a key at the beginning of a line and all indented lines after it. JSON,
//! which is YAML too, goes through a real parser. What is neither is refused with the line, not guessed at; a
//! whole YAML parser for five keys would be the largest part of the program that nobody uses.

use crate::core::sorted::Map;
use serde_json::Value;

/// Sections of the file that the temporary server must not have: it logs to us, in the foreground, listens on
/// its own socket only, and lets its one client in.
const NOT_FOR_IT: &[&str] = &["systemLog", "processManagement", "net", "security"];

/// And these if a user is to be made: a member of a replica set that is not yet initiated takes no writes.
const NOT_WITH_USER: &[&str] = &["replication", "sharding"];

/// Options that say nothing about the data, and are ours to choose: with a value, and without.
const OPTIONS_WITH_VALUE: &[&str] = &[
    "--config",
    "-f",
    "--dbpath",
    "--bind_ip",
    "--port",
    "--unixSocketPrefix",
    "--filePermissions",
    "--logpath",
    "--logRotate",
    "--syslogFacility",
    "--timeStampFormat",
    "--pidfilepath",
    "--keyFile",
    "--clusterAuthMode",
];
const OPTIONS_ALONE: &[&str] = &[
    "--bind_ip_all",
    "--auth",
    "--noauth",
    "--transitionToAuth",
    "--fork",
    "--logappend",
    "--syslog",
    "--nounixsocket",
    "--shutdown",
];

/// The same with a user to be made.
const REPLICA_WITH_VALUE: &[&str] = &["--replSet"];
const REPLICA_ALONE: &[&str] = &["--configsvr", "--shardsvr"];

/// Options of TLS that have no value; all others have one.
const TLS_ALONE: &[&str] = &[
    "AllowConnectionsWithoutCertificates",
    "AllowInvalidCertificates",
    "AllowInvalidHostnames",
    "FIPSMode",
    "OnNormalPorts",
    "WeakCertificateValidation",
];

/// The words of a command line without those that are not for the temporary server.
pub fn temporary(words: &[String], with_user: bool) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (name, has_value) = word.split_once('=').map_or((word.as_str(), false), |(name, _)| (name, true));
        let tls = ["--tls", "--ssl"].iter().find_map(|start| name.strip_prefix(start));
        let alone = OPTIONS_ALONE.contains(&name)
            || (with_user && REPLICA_ALONE.contains(&name))
            || tls.is_some_and(|rest| TLS_ALONE.contains(&rest));
        let with_value = OPTIONS_WITH_VALUE.contains(&name)
            || (with_user && REPLICA_WITH_VALUE.contains(&name))
            || tls.is_some();
        match (alone, with_value, has_value) {
            (false, false, _) => kept.push(word.clone()),
            (false, true, false) => drop(words.next()),
            (true, _, _) | (false, true, true) => {}
        }
    }
    kept
}

/// The value of an option: `--dbpath X` or `--dbpath=X`.
pub fn value<'a>(words: &'a [String], name: &str) -> Option<&'a str> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == name {
            return words.next().map(String::as_str);
        }
        if let Some(value) = word.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')) {
            return Some(value);
        }
    }
    None
}

/// Whether an option is there.
pub fn has(words: &[String], name: &str) -> bool {
    words.iter().any(|word| word == name || word.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')))
}

/// A file of settings.
#[derive(Debug, PartialEq)]
pub enum File {
    /// YAML in block style.
    Block {
        /// Each line.
        lines: Vec<String>,
        /// What has a value, by its path: `storage.dbPath`.
        values: Map<String, String>,
    },
    /// JSON.
    Json(Value),
    /// The older form, `dbpath = /x`, with what it says.
    Ini(Map<String, String>),
}

impl File {
    /// Reads a file's text.
    ///
    /// # Errors
    /// What it is not, with the line.
    pub fn parse(text: &str) -> Result<File, String> {
        let mut significant =
            text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let first = significant.find(|line| *line != "---" && !line.starts_with('%')).unwrap_or("");
        if first.starts_with('{') {
            return serde_json::from_slice(text.as_bytes()).map(File::Json).map_err(|error| {
                format!(
                    "it begins as JSON does, but is not: {error}. Write it in block style, a key on each line"
                )
            });
        }
        let (equals, colon) = (first.find('='), first.find(':'));
        if equals.is_some_and(|equals| colon.is_none_or(|colon| equals < colon)) {
            let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
            let pairs = lines.filter_map(|line| line.split_once('='));
            let pairs = pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
            return Ok(File::Ini(Map::from_iter(pairs)));
        }
        block(text)
    }

    /// A value, by its path.
    pub fn get(&self, path: &str) -> Option<String> {
        match self {
            File::Block { values, .. } => values.get(path).cloned(),
            File::Json(root) => {
                let found = path.split('.').try_fold(root, |value, key| value.get(key))?;
                Some(found.as_str().map_or_else(|| found.to_string(), str::to_owned))
            }
            File::Ini(values) => {
                let name = path.rsplit('.').next()?.to_ascii_lowercase();
                values.get(&name).cloned()
            }
        }
    }

    /// The file for the temporary server; `None`: none.
    pub fn temporary(&self, with_user: bool) -> Option<String> {
        let leaves_out = |section: &str| {
            NOT_FOR_IT.contains(&section)
                || (with_user && NOT_WITH_USER.contains(&section))
                || section.starts_with("net.")
        };
        match self {
            File::Ini(_) => None,
            File::Json(Value::Object(sections)) => {
                let mut kept = sections.clone();
                kept.retain(|name, _| !leaves_out(name));
                Some(Value::Object(kept).to_string())
            }
            File::Json(_) => None,
            File::Block { lines, .. } => {
                let mut kept = String::new();
                let mut is_in = true;
                for line in lines {
                    if let Some(key) = key_at_beginning(line) {
                        let section = key.split('.').next().unwrap_or(key);
                        is_in = !leaves_out(section);
                    }
                    if is_in {
                        kept.push_str(line);
                        kept.push('\n');
                    }
                }
                Some(kept)
            }
        }
    }
}

/// The key of a line that is not indented.
fn key_at_beginning(line: &str) -> Option<&str> {
    let begins = line.starts_with(|c: char| !c.is_whitespace() && c != '#' && c != '-' && c != '%');
    begins.then(|| line.split_once(':').map(|(key, _)| unquoted(key.trim_end()))).flatten()
}

/// All values of block style, by path.
fn block(text: &str) -> Result<File, String> {
    let mut values = Map::new();
    let mut above: Vec<(usize, String)> = Vec::new();
    let mut folded_above: Option<usize> = None;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let content = without_comment(line);
        let trimmed = content.trim();
        let indent = content.len() - content.trim_start_matches(' ').len();
        if trimmed.is_empty() || trimmed.starts_with('%') || trimmed == "---" || trimmed == "..." {
            continue;
        }
        if folded_above.is_some_and(|deep| indent > deep) || trimmed.starts_with("- ") || trimmed == "-" {
            // More of a text or a list, which none of our keys has.
            continue;
        }
        folded_above = None;
        if content[indent..].starts_with('\t') {
            return Err(format!("line {number}: YAML is indented by spaces, not tabs"));
        }
        let pair = trimmed.split_once(": ").or_else(|| trimmed.strip_suffix(':').map(|key| (key, "")));
        let Some((key, value)) = pair else {
            return Err(format!("line {number}: `key: value` or `key:` expected, not {trimmed:?}"));
        };
        let (key, value) = (unquoted(key.trim()), value.trim());
        above.retain(|(deep, _)| *deep < indent);
        let mut path: Vec<&str> = above.iter().map(|(_, key)| key.as_str()).collect();
        path.push(key);
        let path = path.join(".");
        if value.starts_with('{') {
            return Err(format!("line {number}: {path} is written in braces: write it a key on each line"));
        }
        above.push((indent, key.to_owned()));
        if value.starts_with('|') || value.starts_with('>') {
            folded_above = Some(indent);
        } else if !value.is_empty() {
            values.insert(path, unquoted(value).to_owned());
        }
    }
    Ok(File::Block { lines: text.lines().map(str::to_owned).collect(), values })
}

/// A line up to a `#` that stands at its beginning or after white space, and not in quotes.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') if before.is_whitespace() => return &line[..at],
            (None, '"' | '\'') if before.is_whitespace() => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        before = c;
    }
    line
}

fn unquoted(text: &str) -> &str {
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    const PACKAGED: &str = "\
# mongod.conf
storage:
  dbPath: \"/srv/mongo db\"   # where
  wiredTiger:
    engineConfig:
      cacheSizeGB: 1
systemLog:
  destination: file
  path: /var/log/mongodb/mongod.log

net:
  port: 27018
  bindIp: 127.0.0.1
security:
  authorization: enabled
replication:
  replSetName: rs0
setParameter:
  ttlMonitorSleepSecs: 60
";

    #[test]
    fn the_packaged_file_is_read_and_stripped() {
        let file = File::parse(PACKAGED).unwrap();
        assert_eq!(file.get("storage.dbPath").as_deref(), Some("/srv/mongo db"));
        assert_eq!(file.get("net.port").as_deref(), Some("27018"));
        assert_eq!(file.get("port"), None);
        let kept = file.temporary(false).unwrap();
        let (has, has_not) = (
            ["dbPath", "cacheSizeGB", "ttlMonitor", "replSetName"],
            ["systemLog", "/var/log", "27018", "authorization"],
        );
        assert!(has.iter().all(|word| kept.contains(word)), "{kept}");
        assert!(!has_not.iter().any(|word| kept.contains(word)), "{kept}");
        assert!(!file.temporary(true).unwrap().contains("replSetName"));
    }

    #[test]
    fn json_is_yaml_too() {
        let file = File::parse(r#"{"storage": {"dbPath": "/d"}, "net": {"port": 1}}"#).unwrap();
        assert_eq!(file.get("storage.dbPath").as_deref(), Some("/d"));
        assert_eq!(file.temporary(false).unwrap(), r#"{"storage":{"dbPath":"/d"}}"#);
    }

    #[test]
    fn the_older_form_is_recognised() {
        let file = File::parse("# old\ndbpath = /old\nport = 1\n").unwrap();
        assert_eq!(file.get("storage.dbPath").as_deref(), Some("/old"));
        assert_eq!(file.temporary(true), None);
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_line() {
        assert!(
            File::parse("storage: {dbPath: /x}\n")
                .unwrap_err()
                .starts_with("line 1: storage is written in braces")
        );
        assert!(
            File::parse("storage:\n\tdbPath: /x\n")
                .unwrap_err()
                .starts_with("line 2: YAML is indented by spaces")
        );
        assert!(File::parse("storage:\n  nonsense\n").unwrap_err().starts_with("line 2: `key: value`"));
    }

    #[test]
    fn the_temporary_server_gets_what_concerns_the_data_only() {
        let given = words(
            "--config /c --port=1 --bind_ip_all --auth --keyFile /k --wiredTigerCacheSizeGB 1 --replSet rs0 \
             --tlsMode requireTLS --tlsCertificateKeyFile=/p --tlsAllowInvalidHostnames --setParameter a=b --fork --logpath /l",
        );
        assert_eq!(temporary(&given, true), words("--wiredTigerCacheSizeGB 1 --setParameter a=b"));
        assert_eq!(
            temporary(&given, false),
            words("--wiredTigerCacheSizeGB 1 --replSet rs0 --setParameter a=b")
        );
    }
}
