//! What a plan says of files that people really have.

use super::*;
use crate::init::scripts::listing::{self, list};
use std::os::unix::fs::PermissionsExt;

const SQL: Kinds = Kinds { sql: true, javascript: false, always_sourced: false, backups: false };

/// A directory that is removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("minisup-preflight-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>, mode: u32) -> &Directory {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn plan(&self, engine: &str, who: Option<&Credentials>) -> Plan {
        let listing = list(&self.0, SQL, Order::Glob, who).unwrap();
        let about = About {
            engine,
            kinds: SQL,
            order: Order::Glob,
            who,
            path: None,
            data: Path::new("/nowhere/yet"),
        };
        examine(listing, &about)
    }

    /// All remarks of one level, without the directory's path.
    fn said(&self, level: Level, engine: &str) -> Vec<String> {
        let remarks = self.plan(engine, None).remarks.into_iter().filter(|remark| remark.level == level);
        remarks.map(|remark| remark.text.replace(&format!("{}/", self.0.display()), "")).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn a_plan_says_how_each_file_is_run_and_what_is_not() {
    let directory = Directory::new("plan");
    directory
        .file("1.sql", "SELECT 1;\n", 0o644)
        .file("2.sh", "#!/bin/sh\n", 0o755)
        .file("3.sh", "true\n", 0o644)
        .file("4.sql.gz", [0x1f, 0x8b], 0o644)
        .file("5.tar.gz", "x", 0o644)
        .file("README.md", "x", 0o644);
    // A gzip file of two bytes is damaged, and that is seen now.
    let plan = directory.plan("mariadb", None);
    assert_eq!(plan.errors().count(), 1, "{:?}", plan.remarks);
    assert!(plan.errors().all(|text| text.contains("4.sql.gz ends too early, after 2 bytes")));
    let lines = plan.lines();
    assert_eq!(lines[0], format!("4 scripts in {}, in the order of their bytes:", directory.0.display()));
    assert_eq!(lines[1], "   1  1.sql         10 B  fed to the client");
    assert_eq!(lines[2], "   2  2.sh          10 B  run, for it is executable");
    assert!(lines[3].contains("sourced by a /") && lines[3].ends_with("sh of its own"), "{}", lines[3]);
    assert!(
        lines[5].starts_with("   -  5.tar.gz       1 B  not run: an archive, which is not unpacked"),
        "{}",
        lines[5]
    );
    assert!(lines[6].ends_with("not run: a text for people"));
    let warnings: Vec<_> = plan.remarks.iter().filter(|remark| remark.level == Level::Warning).collect();
    assert!(
        warnings.len() == 1 && warnings[0].text.starts_with("5.tar.gz is not run: an archive"),
        "{warnings:?}"
    );
    let json = plan.json();
    assert_eq!(json["scripts"][1]["how"], "run, for it is executable");
    assert_eq!(json["scripts"][3]["packing"], "gzip");
    assert_eq!(json["ignored"][0]["warning"], true);
    assert_eq!(json["remarks"][0]["level"], "error");
}

#[test]
fn the_employees_sample_is_read_with_its_files_and_a_missing_one_is_an_error() {
    let directory = Directory::new("employees");
    directory
        .file(
            "employees.sql",
            "USE employees;\nSELECT 'LOADING';\nsource load_departments.dump ;\nsource load_gone.dump ;\n",
            0o644,
        )
        .file("load_departments.dump", "INSERT INTO departments VALUES (1);\n", 0o644);
    let plan = directory.plan("mysql", None);
    let named: Vec<_> =
        plan.items[0].named.iter().map(|(path, size)| (path.file_name().unwrap(), *size)).collect();
    assert_eq!(named, [(OsStr::new("load_departments.dump"), 36)]);
    assert_eq!(plan.items[0].size(), plan.items[0].script.size + 36);
    assert_eq!(plan.ignored[0].why, "read where a script names it");
    assert_eq!(
        directory.said(Level::Error, "mysql"),
        ["employees.sql: line 4 reads load_gone.dump: there is no such file"]
    );
    assert_eq!(directory.said(Level::Error, "postgres"), [""; 0], "psql knows no source");
    directory.file("a.sh", "touch load_gone.dump\n", 0o644);
    assert_eq!(directory.said(Level::Error, "mysql"), [""; 0]);
    assert_eq!(
        directory.said(Level::Warning, "mysql"),
        ["employees.sql: line 4 reads load_gone.dump, which is not there yet: a .sh before has to make it"]
    );
}

#[test]
fn what_windows_writes_is_refused_or_said() {
    let directory = Directory::new("windows");
    directory
        .file("1.sh", "#!/bin/sh\r\necho hello\r\n", 0o755)
        .file("2.sh", "echo hello\r\necho you\r\n", 0o644)
        .file("3.sql", b"\xff\xfeS\0E\0", 0o644)
        .file("4.sql", "\u{feff}SELECT 1;\r\n", 0o644)
        .file("5.sql", "SELECT\u{a0}1;\n", 0o644);
    let errors = directory.said(Level::Error, "mariadb");
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors[0].starts_with("1.sh: its first line ends in CR LF"));
    assert!(errors[1].starts_with("2.sh: its lines end in CR LF"));
    assert!(errors[2].starts_with("3.sql: it is UTF-16"));
    assert_eq!(
        directory.said(Level::Note, "mariadb"),
        ["4.sql: it begins with a byte order mark, which is left out"]
    );
    assert_eq!(
        directory.said(Level::Warning, "mariadb"),
        ["5.sql: line 1 has a no-break space (U+00A0) where nobody sees it but a parser"]
    );
}

#[test]
fn a_name_that_does_not_say_what_is_in_it_is_refused() {
    let directory = Directory::new("names");
    directory
        .file("1.sql.gz", "SELECT 1;\n", 0o644)
        .file("2.sql", b"\x28\xb5\x2f\xfd....", 0o644)
        .file("3.sql", b"PGDMP\x01", 0o644)
        .file("4.sql.xz", b"BZh9....", 0o644)
        .file("5.sql", "", 0o644);
    fs::create_dir(directory.0.join("6.sql")).unwrap();
    let errors = directory.said(Level::Error, "postgres");
    assert_eq!(errors[0], "1.sql.gz: it is not packed with gzip, as its name says");
    assert_eq!(errors[1], "2.sql: it is packed with zstd, and its name does not say so: add .zst");
    assert!(errors[2].contains("only pg_restore reads"));
    assert_eq!(errors[3], "4.sql.xz: it is packed with bzip2, and not with xz, as its name says");
    assert!(errors[4].starts_with("6.sql: a directory; when a file that is to be mounted"));
    assert_eq!(directory.said(Level::Warning, "postgres"), ["5.sql: there is nothing in it"]);
}

#[test]
fn what_the_services_user_may_not_read_is_seen_before_it_is_its_turn() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let directory = Directory::new("user");
    directory
        .file("1.sh", "true\n", 0o600)
        .file("2.sql", "SELECT 1;\nsource x.dump\n", 0o600)
        .file("x.dump", "x", 0o600);
    fs::set_permissions(&directory.0, fs::Permissions::from_mode(0o755)).unwrap();
    let nobody = Credentials { uid: 65_534, gid: 65_534, groups: Box::new([65_534]) };
    let plan = directory.plan("mariadb", Some(&nobody));
    let errors: Vec<&str> = plan.errors().collect();
    assert_eq!(errors.len(), 2, "2.sql itself is fed by root: {errors:?}");
    assert!(errors[0].contains("1.sh: user 65534, which scripts run as, may not read it"));
    assert!(errors[1].contains("2.sql: line 2 reads x.dump: user 65534"));
}

#[test]
fn a_directory_that_the_services_user_cannot_enter_is_an_error_before_anything_is_touched() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let directory = Directory::new("closed");
    directory.file("1.sql", "SELECT 1;\n", 0o644);
    fs::set_permissions(&directory.0, fs::Permissions::from_mode(0o700)).unwrap();
    let nobody = Credentials { uid: 65_534, gid: 65_534, groups: Box::new([65_534]) };
    let plan = directory.plan("mariadb", Some(&nobody));
    let errors: Vec<&str> = plan.errors().collect();
    let expected = format!(
        "{}: user 65534, which scripts run as in this directory, cannot enter it (Permission denied (os error 13)): \
         chmod a+rx, and a+x for the directories above",
        directory.0.display()
    );
    assert_eq!(errors, [expected]);
    assert_eq!(directory.plan("mariadb", None).errors().count(), 0, "we ourselves may");
}

#[test]
fn a_disk_that_is_hopelessly_small_is_an_error() {
    let directory = Directory::new("disk");
    directory.file("1.sql", "SELECT 1;\n", 0o644);
    let sparse = fs::File::options().write(true).open(directory.0.join("1.sql")).unwrap();
    // Larger than any disk, and empty on this one.
    if sparse.set_len(1 << 43).is_err() {
        return;
    }
    let listing = list(&directory.0, SQL, Order::Glob, None).unwrap();
    let mut plan = Plan::default();
    for script in listing.scripts {
        plan.items.push(Item { script, how: How::Feed(Packing::None), named: vec![] });
    }
    plan.examine_disk(&std::env::temp_dir().join("not/there/yet"));
    assert!(
        plan.errors().next().unwrap().contains(" left, and the scripts have 8.8 TB of data"),
        "{:?}",
        plan.remarks
    );
}

#[test]
fn packed_files_weigh_what_they_will_be() {
    let script = listing::Script {
        path: "x".into(),
        name: "x".into(),
        kind: Kind::Sql(Packing::Zstd),
        size: 100,
        is_executable: false,
        obstacle: None,
    };
    let item = Item { script, how: How::Feed(Packing::Zstd), named: vec![("y".into(), 50)] };
    assert_eq!((item.size(), item.weight()), (150, 650));
}
