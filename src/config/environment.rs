//! What a service finds in its environment.
//!
//! Later ones win: what minisup was given (unless cleared) · HOME, USER, LOGNAME of the
//! service's user · `[environment]` · `environment_files` · `environment` · `secrets`.
//! Services with the same environment share one.

use super::accounts::User;
use super::diagnostics::{Origin, Problems, SourceId, Sources, Span};
use super::file::{Table, Value};
use super::keys;
use super::reading;
use super::view::{Field, View, check_keys};
use crate::core::sorted::{Map, Set};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// No file with variables or with a secret is larger.
const LARGEST: u64 = 1 << 20;

/// A complete environment and the names in it whose values are shown nowhere.
#[derive(Clone)]
pub struct Environment {
    /// Sorted by name.
    pub variables: Rc<[(String, String)]>,
    /// Sorted.
    pub secrets: Rc<[String]>,
    /// What the service's own keys set, sorted; `None` if it was cleared.
    pub own: Option<Rc<[String]>>,
}

/// What whoever launched minisup told minisup, not its services (sd_notify(3),
/// sd_listen_fds(3)): a service that took it for its own would answer in our name.
const OURS: [&str; 6] =
    ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

type Pairs = Rc<[(String, String)]>;

/// What all services share, and all that were made so far.
pub struct Environments {
    inherited: Map<String, String>,
    /// `[environment]`.
    common: Map<String, String>,
    masked: Set<String>,
    plain: Environment,
    /// By whom they are for and the values they come from: most services share all of them.
    known: Map<(Option<String>, bool, Vec<usize>), Environment>,
    made: Set<Pairs>,
    names: Set<Rc<[String]>>,
    files: Map<PathBuf, Option<Pairs>>,
}

impl Environments {
    /// From what minisup was given and `[environment]`.
    pub fn new(
        inherited: &[(String, String)],
        common: Option<&Table>,
        sources: &Sources,
        problems: &mut Problems,
    ) -> Environments {
        let inherited = inherited.iter();
        let mut all = Environments {
            inherited: Map::from_iter(inherited.filter(|(name, _)| !OURS.contains(&name.as_str())).cloned()),
            common: Map::new(),
            masked: Set::new(),
            plain: Environment { variables: Rc::new([]), secrets: Rc::new([]), own: None },
            known: Map::new(),
            made: Set::new(),
            names: Set::new(),
            files: Map::new(),
        };
        if let Some(table) = common {
            let (mut variables, mut masked) = (Map::new(), Set::new());
            values(table, &mut variables, &mut masked, sources, problems);
            (all.common, all.masked) = (variables, masked);
        }
        let mut variables = all.inherited.clone();
        variables.extend(all.common.clone());
        all.plain = all.share(variables, all.masked.clone(), Some(Set::new()));
        all
    }

    /// The environment of a service that runs as `user`; `None`: as minisup.
    pub fn of(
        &mut self,
        service: &View<'_>,
        user: Option<&User>,
        sources: &mut Sources,
        problems: &mut Problems,
    ) -> Option<Environment> {
        let cleared = service.get("clear_environment")?.switch(problems)?;
        let (files, secrets) = (service.get("environment_files")?, service.get("secrets")?);
        let mut own: Vec<Field<'_>> = service.all("environment").collect();
        // Two services that read the same nodes of the tree get the same.
        let nodes = own.iter().chain([&files, &secrets]).map(|field| std::ptr::from_ref(field.node) as usize);
        let key = (user.map(|user| user.name.clone()), cleared, nodes.collect());
        if let Some(known) = self.known.get(&key) {
            return Some(known.clone());
        }
        let (files, secrets) = (files.texts(problems)?, secrets.texts(problems)?);
        if user.is_none() && !cleared && files.is_empty() && secrets.is_empty() && own.is_empty() {
            return Some(self.plain.clone());
        }
        let mut variables = if cleared { Map::new() } else { self.inherited.clone() };
        let mut its_own = Set::new();
        if let Some(user) = user {
            for (name, value) in user.variables() {
                variables.insert(name.to_owned(), value.to_owned());
                its_own.insert(name.to_owned());
            }
        }
        variables.extend(self.common.clone());
        let mut masked = self.masked.clone();
        for (path, field) in files {
            let pairs = self.file(path, field, sources, problems);
            variables.extend(pairs.iter().flat_map(|pairs| pairs.iter().cloned()));
            its_own.extend(pairs.iter().flat_map(|pairs| pairs.iter().map(|(name, _)| name.clone())));
        }
        own.reverse();
        for field in own {
            match &field.node.value {
                Value::Table(table) => {
                    values(table, &mut variables, &mut masked, sources, problems);
                    its_own.extend(table.0.keys().map(|name| name.to_string()));
                }
                _ => field.wrong(r#"a table such as { NAME = "value" }"#, problems)?,
            }
        }
        for (name, field) in secrets {
            secret(name, field, &self.inherited, &mut variables, sources, problems);
            masked.insert(name.to_owned());
            its_own.insert(name.to_owned());
        }
        let made = self.share(variables, masked, (!cleared).then_some(its_own));
        self.known.insert(key, made.clone());
        Some(made)
    }

    fn share(
        &mut self,
        variables: Map<String, String>,
        masked: Set<String>,
        own: Option<Set<String>>,
    ) -> Environment {
        let secrets: Rc<[String]> = masked.into_iter().filter(|name| variables.contains_key(name)).collect();
        let variables: Pairs = variables.into_iter().collect();
        Environment {
            variables: shared(&mut self.made, variables),
            secrets: shared(&mut self.names, secrets),
            own: own.map(|own| shared(&mut self.names, own.into_iter().collect())),
        }
    }

    fn file(
        &mut self,
        path: &str,
        field: Field<'_>,
        sources: &mut Sources,
        problems: &mut Problems,
    ) -> Option<Pairs> {
        let (path, may_miss) = match path.strip_prefix('-') {
            Some(path) => (path, true),
            None => (path, false),
        };
        let path = beside(field.span(), path, sources);
        if let Some(known) = self.files.get(&path) {
            return known.clone();
        }
        let pairs = match read_text(&path, sources.only_files) {
            Ok(text) => Some(lines(&path, text, sources, problems)),
            Err((_, true)) if may_miss => None,
            Err((message, _)) => {
                problems.error(field.span(), format!("cannot read {}: {message}", path.display()));
                None
            }
        };
        self.files.insert(path, pairs.clone());
        pairs
    }
}

/// The one of all equal values that was there first.
pub fn shared<T: Ord + ?Sized>(all: &mut Set<Rc<T>>, value: Rc<T>) -> Rc<T> {
    match all.get(&value) {
        Some(known) => known.clone(),
        None => {
            all.insert(value.clone());
            value
        }
    }
}

/// A path in a configuration is relative to the file that it stands in.
pub fn beside(span: Span, path: &str, sources: &Sources) -> PathBuf {
    match &sources.get(span.source).origin {
        Origin::File(file) => file.parent().unwrap_or(Path::new("")).join(path),
        Origin::Preset(_) | Origin::Defaults => PathBuf::from(path),
    }
}

/// The text of a file; else what went wrong, and whether it is just not there.
fn read_text(path: &Path, only_files: bool) -> Result<String, (String, bool)> {
    use std::io::Read;
    let words = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => ("there is no such file".to_owned(), true),
        std::io::ErrorKind::PermissionDenied => ("permission denied".to_owned(), false),
        _ => (error.to_string(), false),
    };
    let mut bytes = Vec::new();
    let file = reading::open(path, only_files).map_err(words)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(words)?;
    if bytes.len() as u64 > LARGEST {
        return Err(("it is larger than 1 MiB".into(), false));
    }
    String::from_utf8(bytes).map_err(|_| ("it is not UTF-8".into(), false))
}

/// The variables of a table.
fn values(
    table: &Table,
    variables: &mut Map<String, String>,
    masked: &mut Set<String>,
    sources: &Sources,
    problems: &mut Problems,
) {
    for (name, entry) in &table.0 {
        if name.is_empty() || name.contains('=') {
            problems.error(entry.key, "a variable's name cannot be empty or contain `=`");
            continue;
        }
        let written = || sources.text(entry.node.span).to_owned();
        let value = match &entry.node.value {
            Value::String(text) => Some(text.clone()),
            Value::Boolean(value) => Some(value.to_string()),
            // As written: 1.10 is not 1.1.
            Value::Integer { .. } | Value::Float(_) | Value::Datetime => Some(written()),
            Value::Table(inner) => {
                masked.insert(name.to_string());
                from_file(inner, entry.node.span, sources, problems)
            }
            Value::Array(_) => {
                let message = format!("the variable {name} must be a string, not a list");
                problems.error(entry.node.span, message);
                None
            }
            Value::Lost => None,
        };
        if let Some(value) = value {
            variables.insert(name.to_string(), value);
        }
    }
}

fn from_file(table: &Table, span: Span, sources: &Sources, problems: &mut Problems) -> Option<String> {
    check_keys(table, &[keys::FILE_VALUE], "a variable", problems);
    let view = View::new(vec![table]);
    let Some(field) = view.get("file") else {
        problems.error(span, "a variable is a string, or { file = \"/run/secrets/x\" }");
        return None;
    };
    let path = beside(field.span(), field.text(problems)?, sources);
    secret_file(&path, field, sources, problems)
}

/// The content of a file without the newlines at its end, as shells take it.
fn secret_file(path: &Path, field: Field<'_>, sources: &Sources, problems: &mut Problems) -> Option<String> {
    match read_text(path, sources.only_files) {
        Ok(text) if text.contains('\0') => {
            problems.error(field.span(), format!("{} contains a NUL character", path.display()));
            None
        }
        Ok(text) => Some(text.trim_end_matches(['\n', '\r']).to_owned()),
        Err((message, _)) => {
            problems.error(field.span(), format!("cannot read {}: {message}", path.display()));
            None
        }
    }
}

/// NAME from NAME or from the file that NAME_FILE names; empty counts as unset.
fn secret(
    name: &str,
    field: Field<'_>,
    inherited: &Map<String, String>,
    variables: &mut Map<String, String>,
    sources: &Sources,
    problems: &mut Problems,
) -> Option<()> {
    let file_name = format!("{name}_FILE");
    // Also from a cleared environment: who asks for it by name wants it.
    let given = |name: &str| {
        let value = variables.get(name).or_else(|| inherited.get(name));
        value.filter(|value| !value.is_empty()).cloned()
    };
    match (given(name), given(&file_name)) {
        (Some(value), None) => {
            variables.insert(name.to_owned(), value);
        }
        (None, Some(path)) => {
            let value = secret_file(Path::new(&path), field, sources, problems)?;
            variables.insert(name.to_owned(), value);
        }
        (Some(_), Some(_)) => {
            let message = format!("both {name} and {file_name} are set");
            problems.error(field.span(), message).mark("unset one of them");
        }
        (None, None) => {
            let message = format!("the secret {name} is not given");
            problems.error(field.span(), message).mark(format!("set {name}, or {file_name} to a path"));
        }
    }
    variables.remove(&file_name);
    Some(())
}

/// Lines `NAME=value`, as `docker run --env-file` reads them, a byte order mark before them or not;
/// also with `export` before them and with quotes around the value.
fn lines(path: &Path, text: String, sources: &mut Sources, problems: &mut Problems) -> Pairs {
    let mut pairs = Vec::new();
    let mut wrong: Vec<(usize, usize)> = Vec::new();
    // The mark before the first line is of the editor, and of no variable's name.
    let marked = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut start = text.len() - marked.len();
    for line in marked.split_inclusive('\n') {
        let begin = start;
        start += line.len();
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let plain = line.strip_prefix("export ").unwrap_or(line);
        match plain.split_once('=') {
            Some((name, value)) if good_name(name.trim_end()) && !value.contains('\0') => {
                pairs.push((name.trim_end().to_owned(), unquoted(value.trim()).to_owned()));
            }
            _ => wrong.push((begin, begin + line.len())),
        }
    }
    if !wrong.is_empty() {
        let source: SourceId = sources.add(Origin::File(path.to_owned()), text);
        for (start, end) in wrong {
            let span = Span { source, start: start as u32, end: end as u32 };
            problems.error(span, "not a line NAME=value");
        }
    }
    pairs.into()
}

fn good_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '\0')
}

fn unquoted(value: &str) -> &str {
    let inner = |quote: char| value.strip_prefix(quote).and_then(|v| v.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}
