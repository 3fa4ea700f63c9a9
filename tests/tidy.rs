//! House rules that reading the text can keep.
//!
//! Each rule is a line of a table; what clippy can keep for us is in clippy.toml instead.
//! A rule that turns out to be wrong is changed here, with its reason, not worked around.

use regex_lite::Regex;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms, and the rooms each may name. Arrows point down only: siblings (config, control,
/// log, sys) do not know one another, and core knows nobody.
const ARROWS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("config", &["core"]),
    ("log", &["core"]),
    ("sys", &["core"]),
    ("control", &["core"]),
    ("runtime", &["core", "config", "control", "log", "sys"]),
    ("probe", &["core", "sys"]),
    ("init", &["core", "config", "sys"]),
    ("cli", &["core", "config", "control", "log", "sys", "runtime", "probe", "init"]),
];

/// Where (a pattern of paths), what may not be written there (a pattern of text), and why.
const NOT_WRITTEN: &[(&str, &str, &str)] = &[
    // Core is pure: see the promises in ARCHITECTURE.md.
    (
        "^src/core/",
        r"\b(tokio|nix|libc|signal_hook)::|\blog::|\b(trace|debug|info|warn|error)!\(",
        "core does no I/O",
    ),
    ("^src/core/", r"\bstd::(fs|io|env|process|thread|os)\b", "core does no I/O"),
    ("^src/core/", r"\b(Instant|SystemTime)\b", "core reads no clock"),
    (
        "^src/core/",
        r"\b(rand|fastrand|getrandom)\b|RandomState|HashMap|HashSet",
        "core draws no random number",
    ),
    (
        "^src/(cli|config|control|core|init|log|runtime)/|^src/[a-z]+\\.rs",
        r"\bunsafe\s*(\{|fn|impl|extern)",
        "unsafe is sys's",
    ),
    // One word, one meaning.
    (
        "^src/",
        r"\b(fn|struct|enum|trait|type|mod) \w*([Ss]pawn|[Dd]aemon[^i]|[Jj]ob\b)",
        "launch, service: see the words",
    ),
    (
        r"^(src|tests)/.*\.rs$",
        r"\b(?i:fix)ME\b|\b(?i:to)DO\b|\bunimplemented!|\btodo!",
        "what is missing is an issue",
    ),
    ("^tests/", r"thread::sleep\(Duration::from_secs", "tests wait for events, never for seconds"),
];

/// "Some 500 lines": longer than this, and a second thing moved in.
const LINES: usize = 600;

#[test]
fn every_room_names_only_the_rooms_below_it() {
    let rooms = Regex::new(r"\bcrate::(\w+)").unwrap();
    let mut broken = Vec::new();
    for (room, may) in ARROWS {
        for (path, text) in files(&format!("^src/{room}(/|\\.rs)")) {
            for (number, line) in code_lines(&text) {
                for found in rooms.captures_iter(line) {
                    let named = &found[1];
                    let is_room = ARROWS.iter().any(|(other, _)| other == &named);
                    if is_room && named != *room && !may.contains(&named) {
                        broken.push(format!("{}:{number}: {room} may not name {named}", path.display()));
                    }
                }
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_room_is_in_the_table_of_arrows() {
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let room = name.strip_suffix(".rs").unwrap_or(&name);
        let known = ["lib", "main"].contains(&room) || ARROWS.iter().any(|(known, _)| *known == room);
        assert!(known, "src/{name}: a new room needs a line in ARROWS");
    }
}

#[test]
fn nothing_is_written_where_it_does_not_belong() {
    let mut broken = Vec::new();
    for (place, words, why) in NOT_WRITTEN {
        let words = Regex::new(words).unwrap();
        for (path, text) in files(place) {
            for (number, line) in code_lines(&text).filter(|(_, line)| words.is_match(line)) {
                broken.push(format!("{}:{number}: {why}: {}", path.display(), line.trim()));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_file_is_about_one_thing() {
    for (path, text) in files(r"^(src|tests|benches)/.*\.rs$") {
        let lines = text.lines().count();
        assert!(lines <= LINES, "{}: {lines} lines: which second thing moved in?", path.display());
        assert!(text.starts_with("//!"), "{}: says nothing about itself", path.display());
    }
}

#[test]
fn every_dependency_says_why_it_is_here() {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut in_dependencies = false;
    let mut reason = false;
    for line in text.lines() {
        match line.chars().next() {
            Some('[') => (in_dependencies, reason) = (line.contains("dependencies"), false),
            Some('#') => reason = true,
            Some(_) if in_dependencies => assert!(reason, "Cargo.toml: no reason above: {line}"),
            Some(_) => {}
            None => reason = false,
        }
    }
}

#[test]
fn tokio_brings_no_thread_no_process_and_no_signal() {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let tokio = text.lines().find(|line| line.starts_with("tokio ")).expect("tokio's line in Cargo.toml");
    assert!(tokio.contains("default-features = false"), "{tokio}");
    for feature in ["full", "process", "fs", "signal", "rt-multi-thread"] {
        assert!(!tokio.contains(&format!("\"{feature}\"")), "promise 2 and 3 forbid tokio's `{feature}`");
    }
}

/// The lines with their numbers, without those that are comments as a whole.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// All files below src, tests and benches whose path matches, with their text; never none.
fn files(pattern: &str) -> Vec<(PathBuf, String)> {
    let pattern = Regex::new(pattern).unwrap();
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["src", "tests", "benches"].map(PathBuf::from).into();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(root().join(&folder)) else { continue };
        for entry in entries {
            let path = folder.join(entry.unwrap().file_name());
            let full = root().join(&path);
            if full.is_dir() {
                folders.push(path);
            } else if pattern.is_match(path.to_str().unwrap()) && path != Path::new("tests/tidy.rs") {
                found.push((path, fs::read_to_string(full).unwrap_or_default()));
            }
        }
    }
    assert!(!found.is_empty(), "no file matches {pattern}: is the rule still true?");
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
