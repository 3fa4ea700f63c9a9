//! What a start does about what it finds, with the real PostgreSQL: nothing that is not ours is touched.

use crate::crash::{Victim, children, journal_state, signal, strike};
use crate::database::{Database, Place};
use crate::support::wait_until;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A place whose one script fails, after a first start that it has failed.
fn failed() -> Option<Place> {
    if !Database::Postgres.is_here() {
        return None;
    }
    let place = Place::new(Database::Postgres);
    fs::write(place.scripts.join("0_wrong.sql"), "CREATE TABLE a (n INT);\n\nSELECT wrong FROM a;\n")
        .unwrap();
    let (status, said) = place.start(&[]).wait();
    assert!(!status.success(), "{said}");
    assert!(said.contains("script 1 of 5 failed: "), "{said}");
    assert!(said.contains("0_wrong.sql, line 3") && said.contains("SELECT wrong FROM a"), "{said}");
    assert!(said.contains("the next start moves what is left aside and begins again"), "{said}");
    place.assert_nothing_half("after a failed script");
    Some(place)
}

fn names(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(&place.folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_a_dry_run_says_is_said_before_anything_is_touched_to_people_and_to_programs() {
    if !Database::Postgres.is_here() {
        return;
    }
    let place = Place::new(Database::Postgres);
    fs::write(place.scripts.join("5_old.tar.gz"), "x").unwrap();
    let (status, planned) = place.start_with(&[], &["--dry-run"]).wait();
    assert!(status.success() && !place.data.exists(), "{planned}");
    let (status, document) = place.start_with(&[], &["--dry-run", "--json"]).wait();
    assert!(status.success() && !place.data.exists(), "{document}");
    let (status, said) = place.start(&[]).wait();
    assert!(status.success(), "{said}");

    let before: Vec<&str> = said.lines().take_while(|line| !line.contains("initialising ")).collect();
    assert!(planned.contains("4 scripts in ") && planned.contains("not run: an archive"), "{planned}");
    // The first two lines are where, and how it is there now.
    for line in planned.lines().skip(2) {
        assert!(before.contains(&format!("minisup init: {line}").as_str()), "{line:?} is not in {before:#?}");
    }

    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["data_directory"], place.data.to_str().unwrap());
    assert_eq!(document["state"], "empty: a first start would begin");
    assert_eq!(document["scripts"][2]["packing"], "gzip", "{document:#}");
    assert_eq!(document["ignored"][0]["name"], "5_old.tar.gz");
    assert_eq!(document["remarks"][0]["level"], "warning");
    let (_, later) = place.start_with(&[], &["--dry-run", "--json"]).wait();
    let later: serde_json::Value = serde_json::from_str(&later).unwrap();
    assert_eq!(later["state"], "complete: nothing to be done");
    assert!(later["since"][0].as_str().unwrap().contains("4 scripts: nothing to be done"), "{later:#}");
}

#[test]
fn a_failed_script_is_repaired_and_the_next_start_completes() {
    let Some(place) = failed() else { return };
    fs::remove_file(place.scripts.join("0_wrong.sql")).unwrap();
    let (status, said) = place.start(&[]).wait();
    assert!(status.success(), "{said}");
    assert!(said.contains("what it left has been moved to "), "{said}");
    assert_eq!(names(&place).iter().filter(|name| name.starts_with(".data.failed-")).count(), 1);
    // A later start says what is new, and what differs.
    fs::write(place.scripts.join("9_new.sql"), "SELECT 1;\n").unwrap();
    let (status, said) = place.start(&["env", "POSTGRES_DB=other"]).wait();
    assert!(status.success() && said.contains("nothing to be done"), "{said}");
    assert!(said.contains("9_new.sql"), "{said}");
}

#[test]
fn with_on_partial_fail_nothing_is_touched_and_the_commands_are_given() {
    let Some(place) = failed() else { return };
    let before = names(&place);
    let (status, said) = place.start_with(&[], &["--on-partial", "fail"]).wait();
    assert_eq!(status.code(), Some(78), "{said}");
    assert!(said.contains("Nothing was touched") && said.contains("rm -rf '"), "{said}");
    let log_is_new = |names: &[String]| names.iter().filter(|name| *name != "log").count();
    assert_eq!(log_is_new(&before), log_is_new(&names(&place)));
}

#[test]
fn a_loop_of_failures_does_not_fill_the_disk() {
    let Some(place) = failed() else { return };
    for _ in 0..3 {
        let (status, said) = place.start(&[]).wait();
        assert!(said.contains("has been moved to "), "{status} {said}");
    }
    let (status, said) = place.start(&[]).wait();
    assert_eq!(status.code(), Some(78), "{said}");
    assert!(
        said.contains("3 first starts have failed here") && said.contains("then remove them: rm -rf '"),
        "{said}"
    );
}

#[test]
fn what_is_no_data_of_ours_is_never_touched() {
    if !Database::Postgres.is_here() {
        return;
    }
    let place = Place::new(Database::Postgres);
    fs::create_dir(&place.data).unwrap();
    fs::write(place.data.join("thesis.txt"), "mine").unwrap();
    fs::set_permissions(&place.data, fs::Permissions::from_mode(0o750)).unwrap();
    let (status, said) = place.start(&[]).wait();
    assert_eq!(status.code(), Some(78), "{said}");
    assert!(said.contains("thesis.txt. Nothing was touched"), "{said}");
    fs::write(place.data.join("PG_VERSION"), "15\n").unwrap();
    let (status, said) = place.start(&[]).wait();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("minisup did not make: it is used as it is"), "{said}");
    assert_eq!(fs::read_to_string(place.data.join("thesis.txt")).unwrap(), "mine");
    assert_eq!(fs::metadata(&place.data).unwrap().permissions().mode() & 0o777, 0o750);
}

/// A child between its launch and its exec has the lock of a minisup that was killed.
#[test]
fn a_lock_that_outlives_a_killed_minisup_for_a_moment_is_waited_for() {
    if !Database::Postgres.is_here() {
        return;
    }
    let place = Place::new(Database::Postgres);
    let holder = place.folder.join(".data.minisup");
    fs::create_dir(&holder).unwrap();
    let script = format!("exec 9<{0}; flock 9; touch {0}.locked; sleep 0.5", holder.display());
    let mut other = std::process::Command::new("sh").args(["-c", &script]).spawn().unwrap();
    let locked = place.folder.join(".data.minisup.locked");
    crate::support::wait_until("it is locked", || locked.exists());
    let (status, said) = place.start(&[]).wait();
    assert!(status.success(), "{said}");
    other.wait().unwrap();
}

#[test]
fn two_at_once_do_not_meet() {
    if !Database::Postgres.is_here() {
        return;
    }
    let place = Place::new(Database::Postgres);
    // The first is not done before the second has given up waiting.
    let go = place.folder.join("go");
    let script = format!("#!/bin/sh\nuntil [ -e {} ]; do sleep 0.05; done\n", go.display());
    fs::write(place.scripts.join("0_wait.sh"), script).unwrap();
    let first = place.start(&[]);
    let holder = place.folder.join(".data.minisup/journal.json");
    crate::support::wait_until("the first is at work", || holder.exists());
    let (status, said) = place.start(&[]).wait();
    assert_eq!(status.code(), Some(75), "{said}");
    assert!(said.contains("somebody else is making this first start"), "{said}");
    fs::write(go, "").unwrap();
    let (status, _) = first.wait();
    assert!(status.success());
}

/// What it had not written yet is recovered by whoever starts next, but for what is never recovered: unlogged tables.
#[test]
fn a_server_that_dies_while_it_is_stopped_was_not_stopped_cleanly() {
    if !Database::Postgres.is_here() {
        return;
    }
    let place = Place::new(Database::Postgres);
    let go = place.folder.join("go");
    fs::write(
        place.scripts.join("5_wait.sh"),
        format!("until [ -e {} ]; do sleep 0.05; done\n", go.display()),
    )
    .unwrap();
    let start = place.start(&[]);
    wait_until("the last script runs", || journal_state(&place) == "provisioning 5");
    let pid_file = fs::read_to_string(place.folder.join(".data.minisup/data/postmaster.pid")).unwrap();
    let postmaster = pid_file.lines().next().unwrap().parse().unwrap();
    let is_checkpointer = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("checkpointer"))
    };
    let checkpointer = children(postmaster).into_iter().find(is_checkpointer).unwrap();
    // Now it cannot be done with stopping before it is killed.
    signal(checkpointer, 19);
    fs::write(go, "").unwrap();
    wait_until("the server is being stopped", || journal_state(&place) == "stopping 5");
    signal(postmaster, 9);
    signal(checkpointer, 9);
    let (status, said) = start.wait();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("the stop of the temporary server failed: killed by KILL"), "{said}");
    assert!(said.contains("the next start moves what is left aside and begins again"), "{said}");
    place.assert_nothing_half("after an unclean stop");
    let (status, said) = place.start(&[]).wait();
    assert!(status.success() && said.contains("what it left has been moved to "), "{said}");
    assert!(!place.data.join("postmaster.pid").exists(), "{said}");
}

#[test]
fn whatever_the_umask_is_the_server_reads_what_it_is_given_and_scripts_see_it() {
    for database in [Database::Postgres, Database::MariaDb] {
        if !database.is_here() {
            return;
        }
        let mut place = Place::new(database);
        // What is missing above the data is made as well.
        place.data = place.folder.join("deep/data");
        fs::write(place.scripts.join("5_umask.sh"), "umask\n").unwrap();
        let (status, said) = place.start(&["sh", "-c", "umask 077; exec \"$@\"", "sh"]).wait();
        assert!(status.success() && said.contains("5_umask.sh: 0077"), "{said}");
        database.fingerprint(&place.data);
    }
}

/// In bash, as the images' own entrypoints are: `psql=( docker_process_sql )`.
#[test]
fn older_scripts_find_the_client_in_an_array() {
    for (database, array) in [(Database::Postgres, "psql"), (Database::MariaDb, "mysql")] {
        if !database.is_here() {
            return;
        }
        let place = Place::new(database);
        let script = format!(
            "echo 'INSERT INTO done VALUES (7)' | \"${{{array}[@]}}\"\n\"${{{array}[@]}}\" <<<'INSERT INTO done VALUES (8)'\n"
        );
        fs::write(place.scripts.join("5_array.sh"), script).unwrap();
        let (status, said) = place.start(&[]).wait();
        assert!(status.success(), "{said}");
        let table = if database == Database::MariaDb { "d.done" } else { "done" };
        let print = database.fingerprint_with(&place.data, &format!("SELECT sum(n) FROM {table}"));
        assert!(print.ends_with("\n16\n"), "{print}\n{said}");
    }
}

/// As everybody empties a directory; the journal has a dot in front.
#[test]
fn data_that_somebody_has_removed_is_made_anew_though_its_journal_is_left() {
    for database in [Database::Postgres, Database::MariaDb] {
        if !database.is_here() {
            return;
        }
        let place = Place::new(database);
        let (status, said) = place.start(&[]).wait();
        assert!(status.success(), "{said}");
        let empty = format!("rm -rf {}/*", place.data.display());
        crate::crash::tool(&["sh", "-c", &empty]);
        let (status, said) = place.start(&[]).wait();
        assert!(status.success() && said.contains("but its data is gone: it is made anew"), "{said}");
        assert!(said.contains("script 4 of 4"), "{said}");
        let (status, said) = place.start(&[]).wait();
        assert!(status.success() && said.contains("nothing to be done"), "{said}");
        assert!(!place.data.join(".minisup-first-start").exists());
        database.fingerprint(&place.data);
    }
}

#[test]
fn data_that_minisup_made_for_another_database_is_never_touched() {
    if !Database::Postgres.is_here() || !Database::MariaDb.is_here() {
        return;
    }
    let place = Place::new(Database::Postgres);
    let (status, said) = place.start(&[]).wait();
    assert!(status.success(), "{said}");
    let owner = || std::os::unix::fs::MetadataExt::uid(&fs::metadata(place.data.join("base")).unwrap());
    let before = owner();
    for more in [&["--dry-run"][..], &[]] {
        let mut start = std::process::Command::new(crate::support::MINISUP);
        start
            .args(["init", "mariadb", "--data-directory"])
            .arg(&place.data)
            .arg("--directory")
            .arg(&place.scripts);
        let output = start.args(more).env("MARIADB_ROOT_PASSWORD", "x").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains("no data of mariadb: PG_VERSION, base,"), "{said}");
        assert!(said.contains("(minisup made it for postgres). Nothing was touched"), "{said}");
        assert_eq!(owner(), before);
    }
}

#[test]
fn a_mode_with_which_postgresql_does_not_start_is_made_right_at_a_later_start_and_others_stay() {
    if !Database::Postgres.is_here() {
        return;
    }
    let place = Place::new(Database::Postgres);
    let (status, said) = place.start(&[]).wait();
    assert!(status.success(), "{said}");
    for (mode, becomes) in [(0o777, 0o700), (0o755, 0o700), (0o750, 0o750)] {
        fs::set_permissions(&place.data, fs::Permissions::from_mode(mode)).unwrap();
        let (status, said) = place.start(&[]).wait();
        assert!(status.success(), "{said}");
        assert_eq!(fs::metadata(&place.data).unwrap().permissions().mode() & 0o777, becomes);
        assert_eq!(said.contains("has mode 700 now"), mode != becomes, "{said}");
    }
}

/// A volume of Kubernetes with an fsGroup: the group may write, and nobody may give it away.
#[test]
fn a_volume_that_is_somebody_else_s_is_refused_before_anything_is_touched() {
    if !Database::Postgres.is_here() {
        return;
    }
    let mut place = Place::new(Database::Postgres);
    let (uid, gid) = crate::postgres::account();
    fs::create_dir_all(place.data.join("lost+found")).unwrap();
    std::os::unix::fs::chown(&place.data, None, Some(gid)).unwrap();
    fs::set_permissions(&place.data, fs::Permissions::from_mode(0o2775)).unwrap();
    let (uid, gid) = (format!("--reuid={uid}"), format!("--regid={gid}"));
    let as_postgres = ["setpriv", &uid, &gid, "--clear-groups"];
    let (status, said) = place.start(&as_postgres).wait();
    assert_eq!(status.code(), Some(78), "{said}");
    assert!(said.contains("belongs to user 0 with mode 2775, which cannot be changed"), "{said}");
    assert_eq!(fs::read_dir(&place.data).unwrap().count(), 1);
    place.data.push("data");
    let (status, said) = place.start(&as_postgres).wait();
    assert!(status.success(), "{said}");
}

#[test]
fn what_a_script_put_at_the_final_place_is_said_and_when_it_is_moved_away_the_next_start_goes_on() {
    if !Database::Postgres.is_here() {
        return;
    }
    let place = Place::new(Database::Postgres);
    fs::set_permissions(&place.folder, fs::Permissions::from_mode(0o777)).unwrap();
    let script = format!("mkdir -p {0}\necho x >{0}/extra.conf\n", place.data.display());
    fs::write(place.scripts.join("5_fixed.sh"), script).unwrap();
    for _ in 0..2 {
        let (status, said) = place.start(&[]).wait();
        assert_eq!(status.code(), Some(78), "{said}");
        assert!(said.contains("(extra.conf): a script may have written it"), "{said}");
    }
    fs::rename(&place.data, place.folder.join("data.old")).unwrap();
    let (status, said) = place.start(&[]).wait();
    assert!(status.success() && said.contains("complete but not yet in its place: going on"), "{said}");
    Database::Postgres.fingerprint(&place.data);
}

#[test]
fn a_link_to_nothing_is_no_place_for_data() {
    if !Database::Postgres.is_here() {
        return;
    }
    let place = Place::new(Database::Postgres);
    std::os::unix::fs::symlink("nowhere", &place.data).unwrap();
    let (status, said) = place.start(&[]).wait();
    assert_eq!(status.code(), Some(78), "{said}");
    assert!(said.contains("data is a link to nowhere, where nothing is"), "{said}");
    assert!(!place.folder.join(".data.minisup").exists());
}

/// It has a password in it, and a container that is started again has the same /run.
#[test]
fn what_a_killed_start_left_in_run_the_next_one_removes() {
    for database in [Database::Postgres, Database::MariaDb] {
        if !database.is_here() {
            return;
        }
        let place = Place::new(database);
        fs::set_permissions(&place.folder, fs::Permissions::from_mode(0o777)).unwrap();
        let (go, told) = (place.folder.join("go"), place.folder.join("told"));
        let script = format!(
            "echo \"${{PGHOST-$MYSQL_HOME}}\" >{0}.new\nmv {0}.new {0}\nuntil [ -e {1} ]; do sleep 0.05; done\n",
            told.display(),
            go.display()
        );
        fs::write(place.scripts.join("5_wait.sh"), &script).unwrap();
        let each = place.folder.join("migrations");
        fs::create_dir(&each).unwrap();
        fs::write(each.join("1.sh"), script).unwrap();
        for options in [&[][..], &["--each-start", each.to_str().unwrap()]] {
            let mut start = place.start_with(&[], options);
            wait_until("a script runs", || told.exists() || !start.runs());
            let private = fs::read_to_string(&told).unwrap();
            strike(&mut start, Victim::Everything, database);
            start.wait();
            assert!(std::path::Path::new(private.trim()).is_dir(), "{private:?}");
            fs::write(&go, "").unwrap();
            let (_, said) = place.start_with(&[], options).wait();
            assert!(!std::path::Path::new(private.trim()).exists(), "{private:?}\n{said}");
            fs::remove_file(&go).unwrap();
            fs::remove_file(&told).unwrap();
        }
    }
}

#[test]
fn with_on_partial_fail_nobody_is_at_work_in_what_is_to_be_removed() {
    if !Database::Postgres.is_here() {
        return;
    }
    let place = Place::new(Database::Postgres);
    let go = place.folder.join("go");
    fs::write(
        place.scripts.join("5_wait.sh"),
        format!("until [ -e {} ]; do sleep 0.05; done\n", go.display()),
    )
    .unwrap();
    let mut start = place.start(&[]);
    wait_until("the last script runs", || journal_state(&place) == "provisioning 5");
    let (status, said) = place.start_with(&[], &["--on-partial", "fail"]).wait();
    assert_eq!(status.code(), Some(75), "somebody else is at work: {said}");
    strike(&mut start, Victim::Minisup, Database::Postgres);
    start.wait();
    assert_ne!(place.at_work(), Vec::<String>::new(), "the server outlives it");
    let (status, said) = place.start_with(&[], &["--on-partial", "fail"]).wait();
    assert_eq!(status.code(), Some(78), "{said}");
    assert!(said.contains("what an earlier start left running is being ended"), "{said}");
    assert_eq!(place.at_work(), Vec::<String>::new());
}
