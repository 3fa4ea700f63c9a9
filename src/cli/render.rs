//! `minisup render`: templates become files, with the variables of the environment in them.
//!
//! Nothing is written before all templates have been rendered: one that is wrong leaves everything as
//! it was. Each output appears at once and whole, under its name, with the permissions that it had;
//! one that would be the same is not touched, so that nobody reloads for nothing.

use crate::config::template::{Remark, Rules};
use crate::core::exit::code;
use crate::core::sorted::{self, Map, Set};
use regex_lite::Regex;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// `minisup render`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
$NAME, ${NAME}, ${NAME:-default} and ${NAME:?message} are replaced: without --only and --only-matching, \
of the variables that are set, so that nginx's own ($host) stay. Everything else stays byte for byte.
To see what would come of a template: minisup render FILE --to -")]
pub struct Args {
    /// A template, or a folder: all templates in it, with the folders that they are in
    #[arg(required = true, value_name = "TEMPLATE")]
    templates: Vec<PathBuf>,
    /// Where outputs go; `-` writes them to stdout. Without it each lies beside its template
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// What a template's name ends with, and its output's does not
    #[arg(long, value_name = "SUFFIX", default_value = ".template")]
    suffix: String,
    /// Only these variables, and each that is used must be set or have a default: "A,B" or "$A $B"
    #[arg(long, value_name = "NAMES")]
    only: Vec<String>,
    /// Only variables whose names match somewhere
    #[arg(long, value_name = "REGEX")]
    only_matching: Option<String>,
    /// Say nothing of what went well
    #[arg(short, long)]
    quiet: bool,
}

/// One template and where it goes.
struct Work {
    from: PathBuf,
    to: PathBuf,
}

/// Renders. 0; 1 if anything is wrong with any of them, and then nothing has been written, unless
/// writing itself went wrong; 2 if what is asked makes no sense.
pub fn run(args: Args) -> u8 {
    let matching = match args.only_matching.as_deref().filter(|text| !text.is_empty()).map(Regex::new) {
        Some(Ok(regex)) => Some(regex),
        Some(Err(error)) => {
            super::complain(format_args!("minisup: --only-matching is no regular expression: {error}"));
            return code::USAGE;
        }
        None => None,
    };
    let variables = std::env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec()));
    let variables = Map::from_iter(variables);
    let only = (!args.only.is_empty()).then(|| names(&args.only));
    let rules = Rules { variables, only, matching };

    let mut faults = Vec::new();
    let works = works(&args, &mut faults);
    let mut outputs = Vec::new();
    for work in works {
        match fs::read(&work.from) {
            Ok(template) => {
                let rendered = rules.render(&template);
                let place = |it: &Remark| format!("{}:{}: {}", work.from.display(), it.line, it.text);
                rendered.left.iter().for_each(|it| super::complain(place(it)));
                faults.extend(rendered.faults.iter().map(place));
                outputs.push((work, rendered.bytes));
            }
            Err(error) => faults.push(format!("cannot read {}: {}", work.from.display(), words(&error))),
        }
    }
    if !faults.is_empty() {
        faults.iter().for_each(|fault| super::complain(format_args!("minisup: {fault}")));
        super::complain("minisup: nothing has been written");
        return code::FAILED;
    }
    if args.to.as_deref().is_some_and(is_stdout) {
        let is_written = outputs.iter().all(|(_, bytes)| super::put(bytes));
        return if is_written { 0 } else { code::FAILED };
    }
    // Who names one file and one place may have meant a file by it.
    let is_new = |to: &&Path| matches!(&args.templates[..], [one] if !one.is_dir()) && !to.exists();
    let new = args.to.as_deref().filter(is_new).map(Path::display);
    let mut exit_code = 0;
    for (work, bytes) in outputs {
        let (from, to) = (work.from.display(), work.to.display());
        match put(&work, &bytes) {
            Ok(_) if args.quiet => {}
            Ok(true) => super::say(&format!("{from} -> {to}")),
            Ok(false) => super::say(&format!("{from} -> {to}: unchanged")),
            Err(error) => {
                super::complain(format_args!("minisup: cannot write {to}: {}", words(&error)));
                exit_code = code::FAILED;
            }
        }
    }
    if let Some(to) = new.filter(|_| exit_code == 0) {
        super::complain(format_args!("minisup: warning: {to} is a new folder; for a file say: --to - >{to}"));
    }
    exit_code
}

/// The names in lists of them, also as envsubst(1) has them: `$A ${B}`.
fn names(lists: &[String]) -> Set<String> {
    let is_between = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let names = lists.iter().flat_map(|list| list.split(is_between));
    Set::from_iter(names.filter(|name| !name.is_empty()).map(str::to_owned))
}

fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// All templates with their outputs.
fn works(args: &Args, faults: &mut Vec<String>) -> Vec<Work> {
    let mut works = Vec::new();
    for template in &args.templates {
        let (root, mut found) = match fs::metadata(template) {
            Ok(about) if about.is_dir() => {
                let mut found = Vec::new();
                if let Err(fault) = list(template, Path::new(""), &args.suffix, &mut Vec::new(), &mut found) {
                    faults.push(fault);
                }
                (template.as_path(), found)
            }
            _ => {
                let name = template.file_name().map(PathBuf::from).unwrap_or_default();
                (template.parent().unwrap_or(Path::new("")), vec![name])
            }
        };
        sorted::sort(&mut found);
        for name in found {
            let from = root.join(&name);
            let folder = args.to.as_deref().unwrap_or(root);
            let to = match without(&name, &args.suffix) {
                Some(output) => folder.join(output),
                None if is_stdout(folder) => PathBuf::new(),
                None => {
                    faults.push(format!("{}: its name does not end with {}", from.display(), args.suffix));
                    continue;
                }
            };
            works.push(Work { from, to });
        }
    }
    let mut first: Map<&Path, &Path> = Map::new();
    for work in works.iter().filter(|work| !work.to.as_os_str().is_empty()) {
        if is_same(&work.from, &work.to) {
            faults.push(format!("{} would replace itself: a template stays as it is", work.from.display()));
        }
        if let Some(other) = first.insert(&work.to, &work.from) {
            let (one, two, to) = (other.display(), work.from.display(), work.to.display());
            faults.push(format!("{one} and {two} would both be {to}"));
        }
    }
    works
}

/// The name without its ending.
fn without(name: &Path, suffix: &str) -> Option<PathBuf> {
    let bytes = name.as_os_str().as_bytes().strip_suffix(suffix.as_bytes())?;
    let is_name = !suffix.is_empty() && !bytes.is_empty() && !bytes.ends_with(b"/");
    is_name.then(|| PathBuf::from(OsString::from_vec(bytes.to_vec())))
}

fn is_same(a: &Path, b: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|about| (about.dev(), about.ino())).ok();
    identity(a).is_some_and(|a| Some(a) == identity(b))
}

/// All templates below a folder, relative to it: links are followed, names with a dot are passed over, as
/// those under which Kubernetes keeps the files of a ConfigMap.
fn list(
    root: &Path,
    below: &Path,
    suffix: &str,
    above: &mut Vec<(u64, u64)>,
    found: &mut Vec<PathBuf>,
) -> Result<(), String> {
    let folder = root.join(below);
    let cannot = |error: io::Error| format!("cannot read {}: {}", folder.display(), words(&error));
    let about = fs::metadata(&folder).map_err(cannot)?;
    if above.contains(&(about.dev(), about.ino())) {
        return Ok(());
    }
    above.push((about.dev(), about.ino()));
    for entry in fs::read_dir(&folder).map_err(cannot)? {
        let name = entry.map_err(cannot)?.file_name();
        if name.as_bytes().starts_with(b".") {
            continue;
        }
        let path = below.join(&name);
        match fs::metadata(root.join(&path)) {
            Ok(about) if about.is_dir() => list(root, &path, suffix, above, found)?,
            Ok(_) | Err(_) if without(&path, suffix).is_some() => found.push(path),
            Ok(_) | Err(_) => {}
        }
    }
    above.pop();
    Ok(())
}

/// Puts an output into its place, at once. Whether it is another than before.
fn put(work: &Work, bytes: &[u8]) -> io::Result<bool> {
    let before = fs::metadata(&work.to).ok();
    // What is written through a link, as a shell's `>` does it.
    let to = match before {
        Some(_) => fs::canonicalize(&work.to)?,
        None => work.to.clone(),
    };
    if before.is_some() && fs::read(&to).is_ok_and(|there| there == bytes) {
        return Ok(false);
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut name = OsString::from(".");
    name.push(to.file_name().unwrap_or_default());
    name.push(format!(".{}.new", std::process::id()));
    let new = folder.join(name);
    let written = write(&new, bytes, work, before.as_ref()).and_then(|()| fs::rename(&new, &to));
    if written.is_err() {
        // There may be none.
        let _ = fs::remove_file(&new);
    }
    written.map(|()| true)
}

fn write(new: &Path, bytes: &[u8], work: &Work, before: Option<&fs::Metadata>) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(new)?;
    file.write_all(bytes)?;
    let mode = match before {
        Some(before) => {
            // Only root may give files away.
            let _ = fchown(&file, Some(before.uid()), Some(before.gid()));
            before.permissions().mode()
        }
        None => fs::metadata(&work.from)?.permissions().mode() & 0o666 | 0o200,
    };
    file.set_permissions(fs::Permissions::from_mode(mode & 0o7777))
}

fn words(error: &io::Error) -> String {
    let text = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder",
        io::ErrorKind::PermissionDenied => "permission denied",
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only: mount a volume or a tmpfs there",
        io::ErrorKind::ResourceBusy => "it is mounted as a file of its own, which nothing can replace",
        _ => return error.to_string(),
    };
    text.to_owned()
}
