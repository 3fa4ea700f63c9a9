//! What is listed, and in which order.

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

const SQL: Kinds = Kinds { sql: true, javascript: false, always_sourced: false, backups: false };

/// A directory that is removed in the end.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("minisup-scripts-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn names(listing: &Listing) -> Vec<&str> {
    listing.scripts.iter().map(|script| script.name.as_str()).collect()
}

#[test]
fn the_order_is_that_of_bytes_or_of_numbers() {
    let directory = Directory::new("order");
    for name in ["10-x.sql", "2-x.sql", "B.sql", "a.sql", "A.sql", "_.sql", ".hidden.sql", "ä.sql"] {
        directory.file(name, "x");
    }
    let listing = list(&directory.0, SQL, Order::Glob, None).unwrap();
    assert_eq!(names(&listing), ["10-x.sql", "2-x.sql", "A.sql", "B.sql", "_.sql", "a.sql", "ä.sql"]);
    let listing = list(&directory.0, SQL, Order::Version, None).unwrap();
    assert_eq!(names(&listing)[..2], ["2-x.sql", "10-x.sql"]);
    assert!(listing.ignored.is_empty(), "hidden files are not even mentioned");
}

#[test]
fn the_ending_says_what_a_file_is() {
    let sql = |name| kind(name, SQL);
    assert_eq!(sql("a.sql"), Some(Kind::Sql(Packing::None)));
    assert_eq!(sql("a.sql.gz"), Some(Kind::Sql(Packing::Gzip)));
    assert_eq!(sql("a.sql.xz"), Some(Kind::Sql(Packing::Xz)));
    assert_eq!(sql("a.sql.zst"), Some(Kind::Sql(Packing::Zstd)));
    assert_eq!(sql("a.sql.bz2"), Some(Kind::Sql(Packing::Bzip2)));
    assert_eq!(sql("a.sh"), Some(Kind::Shell));
    assert_eq!([sql("a.js"), sql("a.SQL"), sql("a.tar.gz"), sql("a.gz"), sql("asql"), sql("a")], [None; 6]);
    let mongo = Kinds { javascript: true, ..Kinds::default() };
    assert_eq!((kind("a.js", mongo), kind("a.sql", mongo)), (Some(Kind::JavaScript), None));
    let backups = Kinds { backups: true, ..SQL };
    assert_eq!(kind("a.tar.zst", backups), Some(Kind::Backup(Packing::Zstd)));
    assert_eq!(kind("a.tar.bz2", backups), None);
}

#[test]
fn links_are_followed_and_what_is_no_file_says_so() {
    let directory = Directory::new("links");
    let elsewhere = Directory::new("elsewhere");
    symlink(elsewhere.file("data", "12345"), directory.0.join("1.sql")).unwrap();
    symlink("/nowhere/at/all", directory.0.join("2.sql")).unwrap();
    fs::create_dir(directory.0.join("3.sql")).unwrap();
    fs::create_dir(directory.0.join("sub")).unwrap();
    let listing = list(&directory.0, SQL, Order::Glob, None).unwrap();
    let found: Vec<_> =
        listing.scripts.iter().map(|script| (script.size, script.obstacle.as_deref())).collect();
    assert_eq!(found[0], (5, None));
    assert!(found[1].1.unwrap().starts_with("a link to /nowhere/at/all: No such file"));
    assert!(found[2].1.unwrap().starts_with("a directory; when a file that is to be mounted does not exist"));
    assert_eq!(listing.ignored[0].why, "a directory, and what is in it is not looked at");
    assert!(
        list(Path::new("/nowhere"), SQL, Order::Glob, None)
            .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    );
}

#[test]
fn what_is_not_run_says_why_and_what_to_do() {
    for (name, words, is_surprising) in [
        ("dump.tar.gz", "an archive, which is not unpacked", true),
        ("x.dump", "pg_restore", true),
        ("X.SQL", "rename it", true),
        ("x.sql.zip", "packed in a way that is not unpacked here", true),
        ("x.gz", "not named .sql", true),
        ("x.js", "only MongoDB", true),
        ("seed.py", "only .sh is run", true),
        ("README.md", "a text for people", false),
        ("x.sql.bak", "a copy that is not to be run", false),
        ("data", "no ending that is run here", true),
    ] {
        let (why, surprise) = why_not(name, false, SQL);
        assert!(why.contains(words), "{name}: {why}");
        assert_eq!(surprise, is_surprising, "{name}");
    }
}

#[test]
fn whether_it_is_executable_is_asked_for_the_user_that_runs_it() {
    let directory = Directory::new("bits");
    let path = directory.file("x.sh", "");
    let about = |mode| {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        fs::metadata(&path).unwrap()
    };
    let owner = about(0o600).uid();
    let who = |uid, gid, groups: &[u32]| Credentials { uid, gid, groups: groups.into() };
    let other = who(owner + 1, about(0o600).gid() + 1, &[]);
    assert!(may_execute(&path, &about(0o001), Some(&other)));
    assert!(!may_execute(&path, &about(0o770), Some(&other)));
    let member = who(owner + 1, 77, &[about(0o600).gid()]);
    assert!(may_execute(&path, &about(0o010), Some(&member)));
    assert!(!may_execute(&path, &about(0o707), Some(&member)), "the group's bits count for its members");
    let root = who(0, 0, &[]);
    assert!(may_execute(&path, &about(0o010), Some(&root)));
    assert!(!may_execute(&path, &about(0o666), Some(&root)), "not even root runs what nobody may");
}

#[test]
fn a_backup_is_restored_instead_of_running_scripts() {
    let directory = Directory::new("backup");
    directory.file("a.sql", "x");
    directory.file("full.tar.xz", "x");
    let listing = list(&directory.0, Kinds { backups: true, ..SQL }, Order::Glob, None).unwrap();
    assert_eq!(names(&listing), ["full.tar.xz"]);
    assert_eq!(listing.ignored[0].why, "a backup is restored instead of running scripts");
}

#[test]
fn a_script_is_known_by_its_digest() {
    let directory = Directory::new("digest");
    directory.file("a.sql", "abc");
    let listing = list(&directory.0, SQL, Order::Glob, None).unwrap();
    let digest = listing.scripts[0].sha256().unwrap();
    assert!(digest.starts_with("ba7816bf"), "{digest}");
}
