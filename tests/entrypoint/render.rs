//! `minisup render`: what is written, what is left alone, and what it says.

use crate::support::MINISUP;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("minisup-render-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn has(&self, name: &str) -> bool {
        self.0.join(name).exists()
    }

    /// Runs `minisup render WORDS` in the folder, with PORT=80 and little else: exit code, stdout, stderr.
    fn render(&self, words: &[&str]) -> (i32, String, String) {
        let output = Command::new(MINISUP)
            .arg("render")
            .args(words)
            .current_dir(&self.0)
            .env_clear()
            .env("PORT", "80")
            .env("NAME", "a b\n$c")
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_template_becomes_a_file_beside_it() {
    let folder = Folder::new();
    folder.write("web.conf.template", "listen $PORT; # ${NAME} $host ${PORTS:-none}\n");
    let (code, out, err) = folder.render(&["web.conf.template"]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "web.conf.template -> web.conf\n", ""));
    assert_eq!(folder.read("web.conf"), "listen 80; # a b\n$c $host none\n");
}

#[test]
fn a_folder_keeps_its_folders() {
    let folder = Folder::new();
    folder.write("t/a.conf.template", "$PORT");
    folder.write("t/deep/er/b.conf.template", "${PORT}");
    folder.write("t/README", "$PORT");
    folder.write("t/..data/a.conf.template", "$PORT");
    symlink("..", folder.0.join("t/deep/round")).unwrap();
    let (code, out, _) = folder.render(&["t", "--to", "out"]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        (code, lines),
        (0, vec!["t/a.conf.template -> out/a.conf", "t/deep/er/b.conf.template -> out/deep/er/b.conf"])
    );
    assert_eq!(folder.read("out/deep/er/b.conf"), "80");
    assert!(!folder.has("out/README"));
    assert_eq!(folder.render(&["t", "--to", "out", "--suffix", ".none"]).0, 0, "none is no error");
}

#[test]
fn nothing_is_written_if_anything_is_wrong() {
    let folder = Folder::new();
    folder.write("a.template", "$PORT");
    folder.write("b.template", "one\n${SECRET:?set it to the password}\n");
    let (code, out, err) = folder.render(&["a.template", "b.template", "c.template", "--to", "out"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(
        err,
        "minisup: b.template:2: SECRET: set it to the password\n\
         minisup: cannot read c.template: there is no such file or folder\n\
         minisup: nothing has been written\n"
    );
    assert!(!folder.has("out"));
}

#[test]
fn only_what_is_named_is_replaced() {
    let folder = Folder::new();
    folder.write("a.template", "$PORT $NAME");
    assert_eq!(folder.render(&["a.template", "--only", "PORT", "--to", "-"]).1, "80 $NAME");
    assert_eq!(folder.render(&["a.template", "--only", "$PORT,$PATHS", "--to", "-"]).1, "80 $NAME");
    for only in ["$PORT $PATHS", "${PATHS}:${PORT}", "$PATHS$PORT", "PATHS, PORT"] {
        assert_eq!(folder.render(&["a.template", "--only", only, "--to", "-"]).1, "80 $NAME", "{only}");
    }
    assert_eq!(folder.render(&["a.template", "--only", "", "--to", "-"]).1, "$PORT $NAME");
    assert_eq!(folder.render(&["a.template", "--only-matching", "^P", "--to", "-"]).1, "80 $NAME");
    folder.write("b.template", "$OTHER");
    let (code, _, err) = folder.render(&["b.template", "--only", "OTHER", "--to", "-"]);
    assert!(code == 1 && err.starts_with("minisup: b.template:1: OTHER is not set"), "{err}");
    assert_eq!(folder.render(&["b.template", "--only-matching", "(", "--to", "-"]).0, 2);
}

#[test]
fn an_output_that_is_the_same_is_not_touched() {
    let folder = Folder::new();
    folder.write("a.template", "$PORT");
    let output = folder.write("a", "80");
    let before = fs::metadata(&output).unwrap();
    let (code, out, _) = folder.render(&["a.template"]);
    assert_eq!((code, out.as_str()), (0, "a.template -> a: unchanged\n"));
    let after = fs::metadata(&output).unwrap();
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
}

#[test]
fn an_output_keeps_its_permissions_and_its_link() {
    let folder = Folder::new();
    folder.write("a.template", "$PORT");
    let target = folder.write("elsewhere/a", "old");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&target, folder.0.join("a")).unwrap();
    assert_eq!(folder.render(&["a.template", "-q"]), (0, String::new(), String::new()));
    assert_eq!(folder.read("elsewhere/a"), "80");
    assert!(fs::symlink_metadata(folder.0.join("a")).unwrap().is_symlink());
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
    let left: Vec<_> = fs::read_dir(folder.0.join("elsewhere")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_template_never_replaces_itself() {
    let folder = Folder::new();
    folder.write("a.template", "$PORT");
    symlink("a.template", folder.0.join("a")).unwrap();
    let (code, _, err) = folder.render(&["a.template"]);
    assert!(code == 1 && err.contains("a.template would replace itself"), "{err}");
    assert_eq!(folder.read("a.template"), "$PORT");
    folder.write("plain", "$PORT");
    let (code, _, err) = folder.render(&["plain"]);
    assert!(code == 1 && err.contains("its name does not end with .template"), "{err}");
    folder.write("x/a.template", "1");
    let (code, _, err) = folder.render(&["a.template", "x/a.template", "--to", "out"]);
    assert!(code == 1 && err.contains("would both be out/a"), "{err}");
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let folder = Folder::new();
    folder.write("a.template", "$PORT");
    folder.write("out", "a file");
    let (code, _, err) = folder.render(&["a.template", "--to", "out"]);
    assert!(code == 1 && err.starts_with("minisup: cannot write out/a: "), "{err}");
    let (code, _, err) = folder.render(&["a.template", "--to", "/proc/none"]);
    assert!(code == 1 && err.starts_with("minisup: cannot write /proc/none/a: "), "{err}");
}

#[test]
fn a_variable_that_was_probably_meant_is_told() {
    let folder = Folder::new();
    folder.write("a.template", "one\n${SERVER_NAME} $host ${host}\n");
    let (code, _, err) = folder.render(&["a.template"]);
    assert_eq!(
        (code, err.as_str()),
        (0, "a.template:2: ${SERVER_NAME} stays as it is: there is no such variable\n")
    );
}

#[test]
fn whoever_may_have_meant_a_file_by_to_is_told_that_it_becomes_a_folder() {
    let folder = Folder::new();
    folder.write("nginx.conf.template", "listen $PORT;\n");
    let (code, _, said) = folder.render(&["nginx.conf.template", "--to", "nginx.conf"]);
    assert_eq!((code, folder.read("nginx.conf/nginx.conf").as_str()), (0, "listen 80;\n"));
    assert!(said.contains("nginx.conf is a new folder; for a file say: --to - >nginx.conf"), "{said}");
    let (_, _, said) = folder.render(&["nginx.conf.template", "--to", "nginx.conf"]);
    assert_eq!(said, "", "it is one already");
    folder.write("all/a.template", "$PORT");
    let (_, _, said) = folder.render(&["all", "--to", "new"]);
    assert_eq!(said, "", "a folder goes into a folder");
}
