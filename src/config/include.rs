//! Several files, one tree.
//!
//! A file and what it includes are one configuration written in pieces: a key that two of
//! them give is a mistake. Several `--config` are layers: a later one overrides an earlier
//! one, key by key, so that a small file can change what an image brings along.

use super::diagnostics::{Origin, Problems, SourceId, Sources, Span};
use super::file::{self, Entry, Table, Value};
use super::keys::PROBES;
use super::reading;
use super::variables::Variables;
use super::view::{Field, View};
use crate::core::sorted::Map;
use std::io::Read;
use std::path::{Path, PathBuf};

/// No configuration is larger.
const LARGEST: u64 = 64 << 20;
/// A file that includes a file that includes …
const DEEPEST: usize = 16;
/// No configuration has more files.
const MOST_FILES: usize = 4096;

/// All files as one tree.
pub struct Assembled {
    /// What they say together.
    pub tree: Table,
    /// All files that were read, in order.
    pub files: Vec<PathBuf>,
    /// Whether each of them was read and is TOML.
    pub whole: bool,
    /// Whether nothing in the tree was recovered from a broken file, though what a lost file says may be missing.
    pub sound: bool,
}

/// Reads all files.
pub fn assemble(
    paths: &[PathBuf],
    variables: &Variables,
    sources: &mut Sources,
    problems: &mut Problems,
) -> Assembled {
    let mut reader = Reader {
        variables,
        sources,
        problems,
        files: Vec::new(),
        done: Map::new(),
        stack: Vec::new(),
        whole: true,
        sound: true,
        layered: paths.len() > 1,
    };
    let mut tree = Table::default();
    for path in paths {
        reader.done.clear();
        let layer = reader.file(path, None);
        if let Some(layer) = layer {
            override_with(&mut tree, layer, Level::Top);
        }
    }
    Assembled { tree, files: reader.files, whole: reader.whole, sound: reader.sound }
}

struct Reader<'a> {
    variables: &'a Variables,
    sources: &'a mut Sources,
    problems: &'a mut Problems,
    files: Vec<PathBuf>,
    /// Files of this configuration by their real path, so that a file which two patterns
    /// match is read once.
    done: Map<PathBuf, SourceId>,
    stack: Vec<PathBuf>,
    whole: bool,
    sound: bool,
    /// Whether there are several layers.
    layered: bool,
}

impl Reader<'_> {
    /// The content of a file is not known. If there are others they can be looked at without it.
    fn lose(&mut self, is_included: bool) {
        self.whole = false;
        self.sound &= is_included || self.layered;
    }

    fn fail(&mut self, path: &Path, asked: Option<Span>, message: String) -> Option<Table> {
        self.lose(asked.is_some());
        match asked {
            Some(span) => self.problems.error(span, format!("cannot read {}: {message}", path.display())),
            None => self.problems.unreadable(path, format!("cannot read it: {message}")),
        };
        None
    }

    /// A file and all it includes; `asked` is where it is included.
    fn file(&mut self, path: &Path, asked: Option<Span>) -> Option<Table> {
        if self.files.len() >= MOST_FILES {
            return self.fail(path, asked, format!("a configuration has at most {MOST_FILES} files"));
        }
        if let Some("conf" | "ini") = path.extension().and_then(|e| e.to_str()) {
            return self.supervisord(path, asked);
        }
        let (text, real) = match read(path, self.sources.only_files) {
            Ok(read) => read,
            Err(message) => return self.fail(path, asked, message),
        };
        if let Some(at) = self.stack.iter().position(|open| *open == real) {
            let mut loop_: Vec<_> = self.stack[at..].iter().map(|p| p.display().to_string()).collect();
            loop_.push(real.display().to_string());
            return self.fail(path, asked, format!("it includes itself: {}", loop_.join(" → ")));
        }
        if self.stack.len() >= DEEPEST {
            return self.fail(path, asked, format!("includes are nested more than {DEEPEST} deep"));
        }
        if self.done.contains_key(&real) {
            return None;
        }
        self.files.push(path.to_owned());
        let id = match String::from_utf8(text) {
            Ok(text) => self.sources.add(Origin::File(path.to_owned()), text),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let id = self.sources.add(Origin::File(path.to_owned()), text);
                let start = valid as u32;
                let span = Span { source: id, start, end: start + 1 };
                self.problems.error(span, "not UTF-8").mark("this byte cannot be read as text");
                self.lose(asked.is_some());
                return None;
            }
        };
        self.done.insert(real.clone(), id);
        let (mut tree, is_toml) = file::parse(self.sources, id, self.variables, self.problems);
        if !is_toml {
            self.lose(asked.is_some());
            if self.sound {
                // What a parser recovered from it would only bring errors that are none.
                tree.0.retain(|name, _| &**name == "include");
            }
        }
        if let Some(include) = tree.0.remove("include") {
            self.stack.push(real);
            self.includes(&mut tree, path, &include);
            self.stack.pop();
        }
        Some(tree)
    }

    fn supervisord(&mut self, path: &Path, asked: Option<Span>) -> Option<Table> {
        self.lose(asked.is_some());
        let message = format!(
            "{} is in supervisord's dialect, which this version of minisup does not read yet",
            path.display()
        );
        let place = match (asked, read(path, self.sources.only_files)) {
            (Some(span), _) => Some(span),
            (None, Ok((text, _))) => {
                let text = String::from_utf8_lossy(&text).into_owned();
                let source = self.sources.add(Origin::File(path.to_owned()), text);
                Some(Span { source, start: 0, end: 1 })
            }
            (None, Err(message)) => return self.fail(path, None, message),
        };
        if let Some(span) = place {
            let problem = self.problems.error(span, message);
            problem
                .mark("write the services as supervise.toml: [service.NAME] with command, user, directory …")
                .note("docs/coming-from-supervisord.md has what takes the place of each key");
        }
        None
    }

    fn includes(&mut self, tree: &mut Table, path: &Path, include: &Entry) {
        let view = Table(Map::from([("include".into(), include.clone())]));
        let view = View::new(vec![&view]);
        let Some(field) = view.get("include") else { return };
        let Some(patterns) = field.texts(self.problems) else {
            self.lose(true);
            return;
        };
        for (pattern, element) in patterns {
            for found in self.matching(path, pattern, element) {
                if let Some(part) = self.file(&found, Some(element.span())) {
                    add(tree, part, &mut Vec::new(), self.problems);
                }
            }
        }
    }

    /// The files that a pattern names, sorted. A name without a wildcard must exist.
    fn matching(&mut self, path: &Path, pattern: &str, element: Field<'_>) -> Vec<PathBuf> {
        let folder = path.parent().unwrap_or(Path::new(""));
        if !pattern.contains(['*', '?', '[']) {
            return vec![folder.join(pattern)];
        }
        let folder = glob::Pattern::escape(&folder.to_string_lossy());
        let whole = match (Path::new(pattern).is_absolute(), folder.is_empty()) {
            (true, _) | (_, true) => pattern.to_owned(),
            (false, false) => format!("{folder}/{pattern}"),
        };
        match glob::glob(&whole) {
            Ok(found) => found.filter_map(Result::ok).filter(|p| !p.is_dir()).take(MOST_FILES + 1).collect(),
            Err(error) => {
                self.lose(true);
                self.problems.error(element.span(), format!("not a pattern: {}", error.msg));
                Vec::new()
            }
        }
    }
}

/// The content of a file and its real path.
fn read(path: &Path, only_files: bool) -> Result<(Vec<u8>, PathBuf), String> {
    let words = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    let file = reading::open(path, only_files).map_err(words)?;
    if file.metadata().map_err(words)?.is_dir() {
        return Err(
            "it is a directory; include what is in it from a file: include = [\"conf.d/*.toml\"]".into()
        );
    }
    let mut text = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut text).map_err(words)?;
    if text.len() as u64 > LARGEST {
        return Err(format!("it is larger than {} MiB", LARGEST >> 20));
    }
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    Ok((text, real))
}

/// Adds a piece of the same configuration; what both say is an error.
fn add(tree: &mut Table, part: Table, trail: &mut Vec<String>, problems: &mut Problems) {
    for (name, entry) in part.0 {
        match tree.0.get_mut(&name) {
            None => {
                tree.0.insert(name, entry);
            }
            Some(known) => {
                trail.push(name.into());
                let service = trail.len() == 2 && trail[0] == "service";
                let first = known.key;
                match (&mut known.node.value, entry.node.value) {
                    (Value::Table(tree), Value::Table(part)) if !service && trail.len() < 2 => {
                        add(tree, part, trail, problems)
                    }
                    _ => {
                        let what = if service {
                            format!("the service \"{}\" is already defined", trail[1])
                        } else {
                            format!("`{}` is already given", trail.join("."))
                        };
                        problems
                            .error(entry.key, what)
                            .mark("an included file only adds; to override, give both files with --config")
                            .see(first, "first here");
                    }
                }
                trail.pop();
            }
        }
    }
}

/// Where in a tree a table stands, as far as overriding needs to know.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Top,
    Services,
    Service,
    Below,
}

/// Puts a layer over a tree: tables are merged, everything else is replaced.
fn override_with(tree: &mut Table, layer: Table, level: Level) {
    for (name, entry) in layer.0 {
        match tree.0.get_mut(&name) {
            None => {
                tree.0.insert(name, entry);
            }
            Some(known) => {
                let inner = match (level, &*name) {
                    (Level::Top, "service") => Level::Services,
                    (Level::Top, "defaults") | (Level::Services, _) => Level::Service,
                    _ => Level::Below,
                };
                let kinds: Vec<&str> = match (level, &*name) {
                    (Level::Service, "ready" | "health") => PROBES.iter().map(|k| k.name).collect(),
                    (Level::Service, "reload") => vec!["signal", "exec"],
                    _ => Vec::new(),
                };
                match (&mut known.node.value, entry.node.value) {
                    (Value::Table(below), Value::Table(above)) => {
                        // `{ http = … }` over `{ tcp = … }`: another kind, the same times.
                        if kinds.iter().any(|kind| above.get(kind).is_some()) {
                            below.0.retain(|key, _| !kinds.contains(&&**key));
                        }
                        override_with(below, above, inner);
                    }
                    (_, value) => {
                        let node = file::Node { value, ..entry.node };
                        *known = Entry { key: entry.key, node };
                    }
                }
            }
        }
    }
}
