//! The plan: what will be run and how, and everything that is wrong with it, before anything is touched.
//!
//! A first start takes minutes, and what fails in its last script could usually be seen in its first second.
//! What cannot work is an error, and nothing is begun; what probably was not meant is a warning; and what lies
//! there and is not run is shown with the reason, for the most frequent question of all is why a file was not
//! run. A dry run prints the same plan.

use super::listing::{Ignored, Kind, Listing, Packing, Script};
use super::look::{Dialect, Look, look};
use super::progress::PACKED_WEIGHT;
use super::shell::{self, Way};
use crate::core::plan::Credentials;
use crate::core::size::size_text;
use crate::core::sorted;
use crate::init::Order;
use crate::init::engine::{Kinds, Level, Remark};
use crate::sys::identity;
use nix::sys::statvfs::statvfs;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What the plan needs to know of the first start.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// `mariadb`.
    pub engine: &'a str,
    /// Which scripts it takes.
    pub kinds: Kinds,
    /// In which order they are run.
    pub order: Order,
    /// Whom they are run as.
    pub who: Option<&'a Credentials>,
    /// PATH of scripts.
    pub path: Option<&'a OsStr>,
    /// Where the data will lie, or the next directory above that is there.
    pub data: &'a Path,
}

/// What is to be run.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The directory.
    pub directory: PathBuf,
    /// In order.
    pub items: Vec<Item>,
    /// What lies there and is not run.
    pub ignored: Vec<Ignored>,
    /// What is to be said; with an error among it nothing is begun.
    pub remarks: Vec<Remark>,
    engine: String,
    order: Order,
}

/// A script and how it is run.
#[derive(Clone, Debug)]
pub struct Item {
    /// The file.
    pub script: Script,
    /// How it is run.
    pub how: How,
    /// Files that it names for the client to read, with their sizes, in that order.
    pub named: Vec<(PathBuf, u64)>,
}

/// How a script is run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum How {
    /// By a shell, or by itself.
    Shell(Way),
    /// Unpacked and fed to the client.
    Feed(Packing),
    /// The client gets its path.
    Hand,
    /// A backup, which becomes the data directory instead of all else.
    Restore(Packing),
    /// Not at all: the remarks say why.
    Not,
}

impl Item {
    /// Bytes to be read, as they lie there, with the files that it names.
    pub fn size(&self) -> u64 {
        self.script.size + self.named.iter().map(|(_, size)| *size).sum::<u64>()
    }

    /// How much of the whole it is: see [`super::progress`].
    pub fn weight(&self) -> u64 {
        let named: u64 = self.named.iter().map(|(_, size)| *size).sum();
        let own = match self.how {
            How::Feed(Packing::None) | How::Shell(_) | How::Hand | How::Not => self.script.size,
            How::Feed(_) | How::Restore(_) => self.script.size * PACKED_WEIGHT,
        };
        (own + named).max(1)
    }

    /// In words: `unpacked (gzip) and fed to the client`.
    pub fn how(&self) -> String {
        match &self.how {
            How::Shell(Way::Run) => "run, for it is executable".into(),
            How::Shell(Way::Read(shell)) => format!("run by {}, for it has no #! line", shell.display()),
            How::Shell(Way::Source(shell)) => format!("sourced by a {} of its own", shell.display()),
            How::Feed(Packing::None) => "fed to the client".into(),
            How::Feed(packing) => format!("unpacked ({}) and fed to the client", packing.name()),
            How::Hand => "read by the client".into(),
            How::Restore(_) => "restored, instead of making a new database".into(),
            How::Not => "cannot be run".into(),
        }
    }
}

/// Looks at everything in a listing.
pub fn examine(listing: Listing, about: &About<'_>) -> Plan {
    let Listing { directory, scripts, ignored } = listing;
    let mut plan =
        Plan { directory, ignored, engine: about.engine.to_owned(), order: about.order, ..Plan::default() };
    // A backup is read by ourselves, and run by nobody.
    if scripts.iter().any(|script| !matches!(script.kind, Kind::Backup(_))) {
        plan.examine_directory(about.who);
    }
    for script in scripts {
        let item = plan.examine_one(script, about);
        plan.items.push(item);
    }
    // Data that a script names lies there rightly.
    let named: Vec<PathBuf> =
        plan.items.iter().flat_map(|item| item.named.iter().map(|(path, _)| path.clone())).collect();
    for ignored in plan.ignored.iter_mut().filter(|ignored| named.contains(&ignored.path)) {
        (ignored.why, ignored.is_surprising) = ("read where a script names it".to_owned(), false);
    }
    for ignored in plan.ignored.iter().filter(|ignored| ignored.is_surprising) {
        plan.remarks.push(Remark::warning(format!("{} is not run: {}", ignored.name, ignored.why)));
    }
    if let [_, second, ..] = &plan.items[..]
        && matches!(second.script.kind, Kind::Backup(_))
    {
        let second = second.script.clone();
        plan.say(Level::Error, &second, "a second backup: only one can be restored. Take the others away");
    }
    plan.examine_disk(about.data);
    sorted::sort_by_key(&mut plan.remarks, |remark| std::cmp::Reverse(remark.level));
    plan
}

impl Plan {
    /// Whether there is nothing to be run.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The backup that is restored instead of all else.
    pub fn backup(&self) -> Option<&Item> {
        self.items.iter().find(|item| matches!(item.how, How::Restore(_)))
    }

    /// How many scripts there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// What all scripts weigh.
    pub fn weight(&self) -> u64 {
        self.items.iter().map(Item::weight).sum()
    }

    /// Each error.
    pub fn errors(&self) -> impl Iterator<Item = &str> {
        self.remarks.iter().filter(|remark| remark.level == Level::Error).map(|remark| remark.text.as_str())
    }

    /// For people, a line each, remarks last.
    pub fn lines(&self) -> Vec<String> {
        let count = match self.items.len() {
            0 => "no scripts".to_owned(),
            1 => "1 script".to_owned(),
            count => format!("{count} scripts"),
        };
        let order = match self.order {
            Order::Glob => "in the order of their bytes",
            Order::Version => "in the order of their numbers",
        };
        let mut lines = vec![format!("{count} in {}, {order}:", self.directory.display())];
        if self.items.is_empty() {
            lines = vec![format!("no scripts in {}", self.directory.display())];
        }
        let names =
            self.items.iter().map(|item| &item.script.name).chain(self.ignored.iter().map(|file| &file.name));
        let width = names.map(|name| name.chars().count()).max().unwrap_or(0).min(40);
        for (index, item) in self.items.iter().enumerate() {
            let (name, size) = (tame(&item.script.name), size_text(item.script.size));
            lines.push(format!("{:4}  {name:width$}  {size:>7}  {}", index + 1, item.how()));
            for (path, size) in &item.named {
                lines.push(format!("      with {}, {}", path.display(), size_text(*size)));
            }
        }
        for file in &self.ignored {
            let size = file.size.map(size_text).unwrap_or_default();
            lines.push(format!("   -  {:width$}  {size:>7}  not run: {}", tame(&file.name), file.why));
        }
        lines
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let named = |item: &Item| -> Vec<Value> {
            item.named
                .iter()
                .map(|(path, size)| json!({ "path": path.to_string_lossy(), "bytes": size }))
                .collect()
        };
        let scripts = self.items.iter().enumerate().map(|(index, item)| {
            let (kind, packing) = match item.script.kind {
                Kind::Shell => ("sh", Packing::None),
                Kind::Sql(packing) => ("sql", packing),
                Kind::JavaScript => ("js", Packing::None),
                Kind::Backup(packing) => ("backup", packing),
            };
            json!({
                "number": index + 1,
                "name": item.script.name,
                "path": item.script.path.to_string_lossy(),
                "bytes": item.script.size,
                "kind": kind,
                "packing": (packing != Packing::None).then(|| packing.name()),
                "how": item.how(),
                "reads": named(item),
            })
        });
        let scripts: Vec<Value> = scripts.collect();
        let ignored: Vec<Value> = self.ignored.iter().map(|file| {
            json!({ "name": file.name, "bytes": file.size, "why": file.why, "warning": file.is_surprising })
        }).collect();
        let remarks: Vec<Value> = self
            .remarks
            .iter()
            .map(|remark| {
                let level = match remark.level {
                    Level::Note => "note",
                    Level::Warning => "warning",
                    Level::Error => "error",
                };
                json!({ "level": level, "text": remark.text })
            })
            .collect();
        let order = match self.order {
            Order::Glob => "glob",
            Order::Version => "version",
        };
        json!({
            "engine": self.engine,
            "directory": self.directory.to_string_lossy(),
            "order": order,
            "scripts": scripts,
            "ignored": ignored,
            "remarks": remarks,
        })
    }

    fn say(&mut self, level: Level, script: &Script, text: impl AsRef<str>) {
        self.remarks.push(Remark { level, text: format!("{}: {}", script.path.display(), text.as_ref()) });
    }

    /// Whom scripts run as has to come into their directory, which is where they run: also those that we feed.
    fn examine_directory(&mut self, who: Option<&Credentials>) {
        let inside = self.directory.join(".");
        let Err(error) = identity::as_seen_by(who, || fs::metadata(&inside)) else { return };
        let user = who.map_or_else(|| nix::unistd::geteuid().as_raw(), |who| who.uid);
        self.remarks.push(Remark::error(format!(
            "{}: user {user}, which scripts run as in this directory, cannot enter it ({error}): chmod a+rx, and a+x for \
             the directories above",
            self.directory.display()
        )));
    }

    fn examine_one(&mut self, script: Script, about: &About<'_>) -> Item {
        let mut item = Item { how: How::Not, named: Vec::new(), script };
        let script = &item.script;
        if let Some(obstacle) = &script.obstacle {
            self.say(Level::Error, script, obstacle);
            return item;
        }
        let dialect = match about.engine {
            "mariadb" | "mysql" => Dialect::Mysql,
            "postgres" => Dialect::Psql,
            _ => Dialect::Other,
        };
        // We feed scripts as who we are; whatever opens a file itself does it as its own user.
        let opens = matches!(script.kind, Kind::Shell | Kind::JavaScript);
        let who = about.who.filter(|_| opens);
        let read = match identity::as_seen_by(who, || look(&script.path, script.kind, dialect)) {
            Ok(read) => read,
            Err(error) => {
                self.say(Level::Error, script, unreadable(&error, who));
                return item;
            }
        };
        item.how = match self.how(script, &read, about) {
            Ok(how) => how,
            Err(why) => {
                self.say(Level::Error, script, why);
                return item;
            }
        };
        self.examine_text(script, &read);
        let may_be_made = self.items.iter().any(|item| matches!(item.how, How::Shell(_)));
        item.named = self.examine_named(&item.script, &read, about.who, may_be_made);
        item
    }

    /// How a script is run.
    fn how(&self, script: &Script, read: &Look, about: &About<'_>) -> Result<How, String> {
        let packing = match script.kind {
            Kind::Shell => {
                let way =
                    shell::way(&read.opening, script.is_executable, about.kinds.always_sourced, about.path)?;
                let is_all = read.returns > 0 && read.returns * 2 > read.lines;
                return match is_all {
                    true => Err("its lines end in CR LF, and a shell takes the CR for a part of each last word: take \
                                 them out with sed -i 's/\\r$//' (and keep git from putting them in: *.sh text eol=lf \
                                 in .gitattributes)"
                        .to_owned()),
                    false => Ok(How::Shell(way)),
                };
            }
            Kind::JavaScript => Packing::None,
            Kind::Sql(packing) => packing,
            Kind::Backup(packing) => {
                return match read.packing == packing {
                    true => Ok(How::Restore(packing)),
                    false => Err(format!("it is not packed with {}, as its name says", packing.name())),
                };
            }
        };
        if read.is_utf16 {
            return Err(
                "it is UTF-16, which no database reads; PowerShell's > writes that: write it again with \
                        --result-file, or convert it with iconv -f UTF-16 -t UTF-8"
                    .to_owned(),
            );
        }
        if let Some(archive) = read.archive {
            return Err(format!(
                "it is {archive}: rename it, so that it is not taken for a script, and load it in a .sh"
            ));
        }
        if read.packing != packing && !read.opening.is_empty() {
            return Err(match (packing, read.packing) {
                (Packing::None, is) => {
                    let ending = Packing::ENDINGS
                        .iter()
                        .find(|(_, packing)| *packing == is)
                        .map_or("", |(ending, _)| *ending);
                    format!("it is packed with {}, and its name does not say so: add {ending}", is.name())
                }
                (named, Packing::None) => format!("it is not packed with {}, as its name says", named.name()),
                (named, is) => format!(
                    "it is packed with {}, and not with {}, as its name says",
                    is.name(),
                    named.name()
                ),
            });
        }
        Ok(match script.kind {
            Kind::Shell | Kind::Sql(_) => How::Feed(packing),
            Kind::JavaScript => How::Hand,
            Kind::Backup(_) => How::Not,
        })
    }

    /// What is odd about a text that will run.
    fn examine_text(&mut self, script: &Script, read: &Look) {
        if read.is_empty {
            self.say(Level::Warning, script, "there is nothing in it");
        }
        if read.is_marked {
            let (level, text) = match script.kind {
                Kind::Sql(_) => (Level::Note, "it begins with a byte order mark, which is left out"),
                Kind::Shell | Kind::JavaScript | Kind::Backup(_) => (
                    Level::Warning,
                    "it begins with a byte order mark, which its reader may take for a part of the first word",
                ),
            };
            self.say(level, script, text);
        }
        if matches!(script.kind, Kind::Shell) && read.returns > 0 {
            let text = format!("{} of its {} lines end in CR LF", read.returns, read.lines);
            self.say(Level::Warning, script, text);
        }
        for (line, c) in &read.invisible {
            let name = match c {
                '\u{a0}' => "a no-break space",
                '\u{200b}' => "a zero-width space",
                '\u{feff}' => "a byte order mark",
                _ => "a character",
            };
            let text =
                format!("line {line} has {name} (U+{:04X}) where nobody sees it but a parser", u32::from(*c));
            self.say(Level::Warning, script, text);
        }
    }

    /// The files that a script names, as far as they are there.
    fn examine_named(
        &mut self,
        script: &Script,
        read: &Look,
        who: Option<&Credentials>,
        may_be_made: bool,
    ) -> Vec<(PathBuf, u64)> {
        let mut named = Vec::new();
        for (line, name) in &read.named {
            // The client's working directory is the script's own.
            let path = self.directory.join(name);
            let opened = identity::as_seen_by(who, || fs::File::open(&path).and_then(|file| file.metadata()));
            match opened {
                Ok(about) if about.is_file() => named.push((path, about.len())),
                Ok(_) => self.say(
                    Level::Error,
                    script,
                    format!("line {line} reads {}, which is no file", name.display()),
                ),
                Err(error) if error.kind() == ErrorKind::NotFound && may_be_made => {
                    let text = format!(
                        "line {line} reads {}, which is not there yet: a .sh before has to make it",
                        name.display()
                    );
                    self.say(Level::Warning, script, text);
                }
                Err(error) => {
                    let text = format!("line {line} reads {}: {}", name.display(), unreadable(&error, who));
                    self.say(Level::Error, script, text);
                }
            }
        }
        named
    }

    /// Whether what is to be loaded can fit. How large data will be nobody can know: where it is hopeless
    /// it is an error, and where it may be it is a warning.
    fn examine_disk(&mut self, data: &Path) {
        let is_data = |item: &&Item| !matches!(item.how, How::Shell(_) | How::Not);
        let surely: u64 = self.items.iter().filter(is_data).map(Item::size).sum();
        let probably: u64 = self.items.iter().filter(is_data).map(Item::weight).sum();
        let Some(system) = data.ancestors().find_map(|place| statvfs(place).ok()) else { return };
        let free = system.blocks_available() * system.fragment_size();
        if surely / 2 > free {
            self.remarks.push(Remark::error(format!(
                "{} has {} left, and the scripts have {} of data",
                data.display(),
                size_text(free),
                size_text(surely)
            )));
        } else if probably > free {
            self.remarks.push(Remark::warning(format!(
                "{} has {} left, and the scripts have about {} of data when they are unpacked: it may not fit",
                data.display(),
                size_text(free),
                size_text(probably)
            )));
        }
    }
}

/// Why something cannot be opened, and by whom.
fn unreadable(error: &io::Error, who: Option<&Credentials>) -> String {
    let user = who.map_or_else(|| nix::unistd::geteuid().as_raw(), |who| who.uid);
    match error.kind() {
        ErrorKind::PermissionDenied => format!(
            "user {user}, which scripts run as, may not read it: chmod a+r, and a+x for the directories above"
        ),
        ErrorKind::NotFound => "there is no such file".into(),
        _ => error.to_string(),
    }
}

/// A name that moves no cursor.
fn tame(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests;
