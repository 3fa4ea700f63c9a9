//! `[scripts]`: each file of a folder becomes a oneshot that runs before all services.
//!
//! The contract is that of nginx's image, without its traps: `*.sh` that may be executed is run,
//! `*.envsh` that may be executed is sourced, by a shell of its own, and what it exports reaches
//! everything that is launched after it; what may not be executed is skipped, what has another name
//! ignored, and both are said. Folders are looked into and links followed. Names that begin with a
//! dot are passed over: editors leave them behind, and Kubernetes keeps the files of a ConfigMap
//! under such names a second and a third time.
//!
//! A script is a service like any other: it has a name (`10-listen.sh` is `script-10-listen`), its
//! lines have a prefix, it may have a time limit and a user; it requires the one before it, and whoever
//! does not say otherwise requires the last one. A script that fails ends the container with
//! its code, as every essential service does. `[defaults]` is for services, not for scripts.

use super::diagnostics::{Problems, Sources, Span};
use super::environment::beside;
use super::file::{Entry, Node, Table, Value};
use super::first_line::Script;
use super::init::OURS;
use super::service::Resolved;
use super::view::View;
use super::{Surroundings, keys, version, view};
use crate::core::ids::ServiceId;
use crate::core::plan::{Condition, Dependency};
use crate::core::sorted;
use crate::core::sorted::Set;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Folders in folders, so deep.
const DEEPEST: usize = 8;

/// So many files are looked at.
const MOST: usize = 1000;

/// No name of a service is longer; what makes it unique has room besides.
const LONGEST: usize = 90;

/// A script, as the table of a service.
pub struct Found {
    /// What it is called as a service.
    pub name: String,
    /// Its table.
    pub entry: Entry,
    /// Whether what it exports is kept.
    pub exports: bool,
}

/// The scripts, in the order in which they are to run.
pub fn scripts(
    tree: &Table,
    builtin: &Table,
    around: &Surroundings,
    sources: &mut Sources,
    problems: &mut Problems,
) -> Vec<Found> {
    let Some(entry) = tree.get("scripts") else { return Vec::new() };
    let Value::Table(table) = &entry.node.value else {
        if !matches!(entry.node.value, Value::Lost) {
            problems.error(entry.node.span, "`scripts` must be a table: [scripts]");
        }
        return Vec::new();
    };
    view::check_keys(table, &[keys::ENTRYPOINT], "[scripts]", problems);
    let empty = Table::default();
    let view = View::new(vec![table, builtin.table("scripts").unwrap_or(&empty)]);
    read(&view, table, entry.key, tree, around, sources, problems).unwrap_or_default()
}

fn read(
    view: &View<'_>,
    own: &Table,
    key: Span,
    tree: &Table,
    around: &Surroundings,
    sources: &mut Sources,
    problems: &mut Problems,
) -> Option<Vec<Found>> {
    let order = view.get("order")?.choice(&[("version", Order::Version), ("glob", Order::Glob)], problems);
    let run = view.get("run")?.choice(&[("every-start", true), ("never", false)], problems);
    let directory = view.get("directory")?;
    let path = beside(directory.span(), directory.text(problems)?, sources);
    let (order, run) = (order?, run?);
    if !run {
        return None;
    }
    let place = own.get("directory").map_or(key, |entry| entry.node.span);
    let mut files = Vec::new();
    if let Err(fault) = list(&path, Path::new(""), &mut Vec::new(), &mut files) {
        match fault {
            Fault::Absent => {
                let message = format!("there is no folder {}: no script runs", path.display());
                problems.warning(place, message);
            }
            Fault::Unreadable(why) => {
                problems.error(place, format!("cannot read {why}"));
            }
        }
        return None;
    }
    sorted::sort_by(&mut files, |a, b| order.compare(a, b));
    let taken = tree.table("service").map(|services| services.0.keys().map(|name| name.to_string()));
    let mut taken: Set<String> = taken.into_iter().flatten().collect();
    let mut scripts: Vec<Found> = Vec::new();
    for file in files {
        let Some((command, exports)) = command(&path, &file, around, sources, problems) else { continue };
        let name = unique(&file, &mut taken);
        let requires = match scripts.last() {
            Some(before) => Some((list_of([before.name.clone()], key), key)),
            None => own.get("requires").map(|own| (own.node.value.clone(), own.node.span)),
        };
        let mut table = Table::default();
        let mut put = |name: &str, value: Value, span: Span| {
            table.0.insert(name.into(), Entry { key: span, node: Node::new(value, span) });
        };
        put("type", Value::String("oneshot".into()), key);
        put("command", list_of(command, key), key);
        if let Some((requires, span)) = requires {
            put("requires", requires, span);
        }
        let prefix = Node::new(Value::Boolean(true), key);
        put("log", Value::Table(Table([("prefix".into(), Entry { key, node: prefix })].into())), key);
        for name in ["user", "timeout"] {
            if let Some(Entry { node, .. }) = own.get(name) {
                put(name, node.value.clone(), node.span);
            }
        }
        let entry = Entry { key, node: Node::new(Value::Table(table), key) };
        scripts.push(Found { name, entry, exports });
    }
    Some(scripts)
}

fn list_of(words: impl IntoIterator<Item = String>, span: Span) -> Value {
    Value::Array(words.into_iter().map(|word| Node::new(Value::String(word), span)).collect())
}

#[derive(Clone, Copy)]
enum Order {
    Version,
    Glob,
}

impl Order {
    fn compare(self, a: &Path, b: &Path) -> std::cmp::Ordering {
        let (a, b) = (a.as_os_str().as_encoded_bytes(), b.as_os_str().as_encoded_bytes());
        match self {
            Order::Version => version::compare(a, b),
            Order::Glob => a.cmp(b),
        }
    }
}

enum Fault {
    Absent,
    Unreadable(String),
}

/// All files below a folder, relative to it. `above`: the folders that we are in, so that a link back
/// to one of them is no way to go round for ever.
fn list(
    root: &Path,
    below: &Path,
    above: &mut Vec<(u64, u64)>,
    found: &mut Vec<PathBuf>,
) -> Result<(), Fault> {
    let folder = root.join(below);
    let cannot = |error: std::io::Error| {
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => return Fault::Absent,
            std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            std::io::ErrorKind::NotADirectory => "it is no folder".to_owned(),
            _ => error.to_string(),
        };
        Fault::Unreadable(format!("{}: {why}", folder.display()))
    };
    let about = fs::metadata(&folder).map_err(cannot)?;
    let identity = (about.dev(), about.ino());
    if above.contains(&identity) || above.len() >= DEEPEST {
        return Ok(());
    }
    above.push(identity);
    for entry in fs::read_dir(&folder).map_err(cannot)? {
        let name = entry.map_err(cannot)?.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = below.join(&name);
        match fs::metadata(root.join(&path)) {
            Ok(about) if about.is_dir() => list(root, &path, above, found)?,
            // What is no file, and what is a link to nothing, is named later as what is ignored.
            Ok(_) | Err(_) => found.push(path),
        }
        if found.len() > MOST {
            return Err(Fault::Unreadable(format!("{}: more than {MOST} files", folder.display())));
        }
    }
    above.pop();
    Ok(())
}

/// The command of a script, and whether it is to export; `None` if it is no script, or cannot run,
/// which has been said.
fn command(
    folder: &Path,
    file: &Path,
    around: &Surroundings,
    sources: &mut Sources,
    problems: &mut Problems,
) -> Option<(Vec<String>, bool)> {
    let path = folder.join(file);
    let shown = path.display();
    let is_sourced = match path.extension().and_then(|extension| extension.to_str()) {
        Some("sh") => false,
        Some("envsh") => true,
        Some(_) | None => {
            problems.warn(format!("{shown} is ignored: neither .sh nor .envsh"));
            return None;
        }
    };
    match fs::metadata(&path) {
        Ok(about) if !about.is_file() => {
            problems.warn(format!("{shown} is ignored: it is no regular file"));
            return None;
        }
        Ok(about) if about.permissions().mode() & 0o111 == 0 => {
            problems.warn(format!("{shown} is skipped: it is not executable (chmod +x)"));
            return None;
        }
        Ok(_) => {}
        Err(error) => {
            let why = match error.kind() {
                std::io::ErrorKind::NotFound => "it is a link to nothing".to_owned(),
                _ => error.to_string(),
            };
            problems.warn(format!("{shown} is ignored: {why}"));
            return None;
        }
    }
    let Some(word) = path.to_str() else {
        problems.unreadable(&path, "the name of a script must be UTF-8");
        return None;
    };
    // Whoever sources it would look for a bare name in PATH.
    let word = if word.contains('/') { word.to_owned() } else { format!("./{word}") };
    let script = Script { path: &path, is_sourced, search: around.variable("PATH") };
    let mut words = script.runner(sources, problems)?;
    if is_sourced {
        let shell = std::mem::replace(&mut words, vec![OURS.to_owned(), "envsh".to_owned()]);
        words.push("--shell".into());
        words.push(shell.join(" "));
    }
    words.push(word);
    Some((words, is_sourced))
}

/// What a script is called as a service: nobody else is called so.
fn unique(file: &Path, taken: &mut Set<String>) -> String {
    let legal = |text: &str| -> String {
        let good = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        format!("script-{text}").chars().map(good).take(LONGEST).collect()
    };
    let whole = file.to_string_lossy();
    let bare = file.with_extension("");
    let names = [legal(&bare.to_string_lossy()), legal(&whole)];
    let numbered = (2..).map(|number| format!("{}-{number}", names[1]));
    let mut all = names.iter().cloned().chain(numbered);
    let name = all.find(|name| !taken.contains(name)).unwrap_or_default();
    taken.insert(name.clone());
    name
}

/// The scripts are the first of these services. Everybody behind them requires the last of them: but
/// not those that the scripts themselves wait for, nor whoever says by name which script it waits for.
pub fn put_before(services: &mut [Resolved], scripts: &[Found]) {
    for (service, _) in services.iter_mut().zip(scripts).filter(|(_, script)| script.exports) {
        let extra = service.spec.launch.extra.get_or_insert_default();
        (extra.exports, extra.satellite) = (true, true);
    }
    let count = scripts.len();
    let Some(last) = count.checked_sub(1) else { return };
    let needs = |at: usize| {
        let spec = &services[at].spec;
        spec.requires.iter().chain(&spec.after).map(|dependency| dependency.service.index())
    };
    let mut first = vec![false; services.len()];
    let mut open: Vec<usize> = (0..count).collect();
    while let Some(at) = open.pop() {
        if !std::mem::replace(&mut first[at], true) {
            open.extend(needs(at));
        }
    }
    let says_which: Vec<bool> = (0..services.len()).map(|at| needs(at).any(|to| to < count)).collect();
    let dependency = Dependency { service: ServiceId(last as u32), condition: Condition::Done };
    for (at, service) in services.iter_mut().enumerate().skip(count) {
        if !first[at] && !says_which[at] {
            let requires = service.spec.requires.iter().copied().chain([dependency]);
            service.spec.requires = requires.collect();
            service.requires.push(service.name);
        }
    }
}
