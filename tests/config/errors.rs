//! What people read when something is wrong: each golden/NAME.toml with NAME.txt, all that
//! is said of it. `UPDATE=1 cargo test --test config` writes the texts anew.

use super::{Folder, around, errors};
use minisup::config::{command, load};
use std::path::PathBuf;

#[test]
fn each_error_is_said_with_its_place_and_its_cure() {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/config/golden");
    let mut names: Vec<_> = std::fs::read_dir(&golden).unwrap().map(|file| file.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    assert!(names.len() >= 10);
    for path in names {
        let said = errors(&std::fs::read_to_string(&path).unwrap()) + "\n";
        let expected = path.with_extension("txt");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expected, &said).unwrap();
        }
        assert_eq!(said, std::fs::read_to_string(&expected).unwrap(), "{}", path.display());
    }
}

/// What is said of these files, with the folder's name taken out; "" if nothing is wrong.
fn said(files: &[(&str, &str)], named: &[&str]) -> String {
    let folder = Folder::new();
    for (name, text) in files {
        folder.write(name, text);
    }
    let paths: Vec<_> = named.iter().map(|name| folder.0.join(name)).collect();
    match load(&paths, &around()) {
        Ok(_) => String::new(),
        Err(errors) => errors.to_string().replace(&format!("{}/", folder.0.display()), ""),
    }
}

const A: &str = "[service.a]\ncommand = \"a\"\n";

#[test]
fn an_include_loop_is_said_with_its_path() {
    let files = [("a.toml", "include = [\"b/b.toml\"]"), ("b/b.toml", "include = [\"../a.toml\"]")];
    let said = said(&files, &["a.toml"]);
    assert!(
        said.contains("b/b.toml:1:12: error: cannot read b/../a.toml: it includes itself: a.toml"),
        "{said}"
    );
    assert!(said.contains("→ b/b.toml → a.toml"), "{said}");
}

#[test]
fn a_file_that_two_patterns_match_is_read_once() {
    let files = [("a.toml", "include = [\"c/*.toml\", \"c/x.toml\"]"), ("c/x.toml", A)];
    assert_eq!(said(&files, &["a.toml"]), "");
}

#[test]
fn deep_includes_end_in_an_error() {
    let files: Vec<(String, String)> =
        (0..40).map(|n| (format!("{n}.toml"), format!("include = [\"{}.toml\"]", n + 1))).collect();
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let said = said(&files, &["0.toml"]);
    assert!(
        said.contains("15.toml:1:12: error: cannot read 16.toml: includes are nested more than 16 deep"),
        "{said}"
    );
}

#[test]
fn a_service_in_two_pieces_is_an_error_that_shows_both() {
    let files = [("a.toml", "include = [\"*.d/*.toml\"]\n[service.a]\ncommand = \"a\"\n"), ("x.d/x.toml", A)];
    let said = said(&files, &["a.toml"]);
    assert!(said.starts_with("x.d/x.toml:1:10: error: the service \"a\" is already defined"), "{said}");
    assert!(said.contains("= a.toml:2:10: first here"), "{said}");
}

#[test]
fn what_is_not_there_is_said() {
    assert_eq!(said(&[], &["none.toml"]), "none.toml: error: cannot read it: there is no such file");
    let include = [("a.toml", "include = [\"none.toml\", \"none/*.toml\"]")];
    let text = said(&include, &["a.toml"]);
    assert!(text.starts_with("a.toml:1:12: error: cannot read none.toml: there is no such file"), "{text}");
    assert_eq!(text.matches("error:").count(), 1, "a pattern may match nothing: {text}");
}

#[test]
fn a_file_that_cannot_be_included_is_one_error_among_the_others() {
    let b = "[service.b]\ncommand = \"b\"\nrestrt = \"no\"\n";
    let a = "include = [\"none.toml\", \"bytes.toml\", \"b.toml\"]\n[service.a]\ncomand = \"a\"\n";
    let folder = Folder::new();
    folder.write("bytes.toml", b"# \xff");
    folder.write("b.toml", b);
    let file = folder.write("a.toml", a);
    let said = load(std::slice::from_ref(&file), &around()).unwrap_err();
    let expected = ["no such file", "has no command", "\"comand\"", "not UTF-8", "\"restrt\""];
    assert_eq!(said.list.len(), expected.len(), "{said}");
    for (diagnostic, part) in said.list.iter().zip(expected) {
        assert!(diagnostic.message.contains(part) && diagnostic.place.is_some(), "no {part}: {said}");
    }
    // Also where words stand behind the image's name that may be for a service.
    let words = ["gunicorn".to_owned(), "--reload".to_owned()];
    assert_eq!(command::meaning(&[file], &around(), &words).unwrap_err(), said);
}

#[test]
fn what_a_file_may_say_that_cannot_be_included_is_not_missed() {
    let a = "include = [\"none.toml\"]\nsignals.USR1 = \"b\"\ncommand.service = \"b\"\n\
        [service.a]\ncommand = \"a\"\nrequires = [\"b\"]\nafter = [\"c\"]\n";
    let text = said(&[("a.toml", a)], &["a.toml"]);
    assert!(text.starts_with("a.toml:1:12: error: cannot read none.toml"), "{text}");
    assert_eq!(text.matches("error:").count(), 1, "{text}");
    // In layers, a service without a command may be a piece of what it says.
    let files = [("a.toml", "include = [\"none.toml\"]"), ("b.toml", "[service.b]\nuser = \"app\"\n")];
    let text = said(&files, &["a.toml", "b.toml"]);
    assert_eq!(text.matches("error:").count(), 1, "{text}");
}

#[test]
fn a_lost_file_of_one_layer_hides_no_errors_of_the_others() {
    let base = "include = [\"none.toml\"]\n[service.a]\ncommand = \"a\"\nuser = \"nobody-at-all\"\n";
    // The rest of b may be in the lost file; all of this is wrong whatever that says.
    let piece = "[service.b]\nrestrt = \"no\"\nrestart = \"no\"\nstop.grace_period = \"soon\"\n";
    let whole = "[service.c]\ncommand = \"c\"\nrequires = [\"c\"]\n";
    let broken = "[service.d\ncommand = \"d\"\n";
    let files = [("base.toml", base), ("piece.toml", piece), ("whole.toml", whole), ("broken.toml", broken)];
    let text = said(&files, &["base.toml", "piece.toml", "lost.toml", "whole.toml", "broken.toml"]);
    for part in [
        "base.toml:1:12: error: cannot read none.toml",
        "base.toml:4:8: error: there is no user \"nobody-at-all\"",
        "piece.toml:2:1: error: unknown key \"restrt\"",
        "piece.toml:3:11: error: `restart` must be",
        "piece.toml:4:21: error: `stop.grace_period` must be",
        "lost.toml: error: cannot read it",
        "whole.toml:3:13: error: ",
        "broken.toml:1:11: error: not TOML",
    ] {
        assert!(text.contains(part), "no {part}: {text}");
    }
    assert_eq!(text.matches("error:").count(), 8, "{text}");
}

#[test]
fn a_directory_is_no_configuration() {
    let text = said(&[("d/a.toml", A)], &["d"]);
    assert!(text.starts_with("d: error: cannot read it: it is a directory; include what is in it"), "{text}");
}

#[test]
fn the_other_dialect_is_refused_in_words() {
    let text = said(&[("supervisord.conf", "[supervisord]\nnodaemon=true\n")], &["supervisord.conf"]);
    assert!(
        text.starts_with("supervisord.conf:1:1: error: supervisord.conf is in supervisord's dialect"),
        "{text}"
    );
}

#[test]
fn bytes_that_are_no_text_are_shown_at_their_place() {
    let folder = Folder::new();
    let path = folder.write("a.toml", b"[service.a]\ncommand = \"caf\xe9\"\n");
    let said = load(&[path], &around()).unwrap_err().to_string();
    assert!(said.contains("a.toml:2:15: error: not UTF-8"), "{said}");
}

#[test]
fn a_file_from_windows_is_shown_without_its_marks() {
    let said = errors("\u{feff}[service.a]\r\ncomand = \"x\"\r\n");
    assert!(said.starts_with("supervise.toml:1:10: error"), "{said}");
    assert!(said.contains("\n  2 | comand = \"x\"\n    | ^^^^^^ did"), "{said:?}");
}

#[test]
fn a_nul_character_is_refused_wherever_it_stands() {
    for text in [
        "command = \"a\\u0000b\"",
        "command = \"a\"\n\"x\\u0000\" = 1",
        "command = \"a\"\nenvironment = { \"A\\u0000\" = \"x\" }",
    ] {
        let said = errors(&format!("[service.a]\n{text}\n"));
        assert!(said.contains("NUL character"), "{said}");
    }
}

#[test]
fn a_default_that_a_thousand_services_share_is_said_once() {
    let services: String = (0..1000).map(|n| format!("[service.s{n}]\ncommand = \"a\"\n")).collect();
    let said = errors(&format!("[defaults]\nmin_uptime = 5\n{services}"));
    assert_eq!(said.matches("error:").count(), 1, "{said}");
}

#[test]
fn a_million_errors_are_no_million_lines() {
    let lines: String = (0..100_000).map(|n| format!("k{n} = 1\n")).collect();
    let said = errors(&format!("[service.a]\ncommand = \"a\"\n{lines}"));
    assert!(said.ends_with("… and 99900 more errors"), "{}", &said[said.len() - 200..]);
    assert!(said.lines().count() < 400);
}

#[test]
fn a_line_of_a_megabyte_is_shown_around_the_fault() {
    let said = errors(&format!("service.a = {{ command = \"{}\", comand = \"y\" }}", "é".repeat(500_000)));
    assert!(said.contains("supervise.toml:1:500029: error: unknown key \"comand\""), "{said}");
    assert!(said.len() < 1000, "{said}");
    let caret = said.lines().last().unwrap().find('^').unwrap();
    let line = said.lines().nth(1).unwrap();
    let column = line.char_indices().position(|(at, _)| line[at..].starts_with("comand")).unwrap();
    assert_eq!(caret, column, "{said}");
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let said = errors("[service.a]\ncommand = \"a\"\n\"\\u001b[31mred\" = 1\n");
    assert!(!said.contains('\u{1b}'), "{said:?}");
}
