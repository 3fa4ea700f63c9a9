//! Files whose change reloads a service, however they change.

use crate::needs_namespaces;
use crate::stage::{Place, Run, supervise};
use std::os::unix::fs::symlink;

/// It says what it reads whenever it gets HUP.
const READER: &str = r#"
    [service.web]
    command = ["sh", "-c", "trap 'cat ${DIR}/conf/app' HUP; echo begun; while :; do sleep 0.02; done"]
    reload = { signal = "HUP" }
    watch = ["${DIR}/conf/app"]
"#;

/// The next version of a ConfigMap: a folder, and the link that leads to it, swapped in one step.
fn publish(run: &Run, version: &str) {
    let conf = run.path("conf");
    std::fs::create_dir_all(conf.join(version)).unwrap();
    std::fs::write(conf.join(version).join("app"), format!("{version}\n")).unwrap();
    symlink(version, conf.join("..new")).unwrap();
    std::fs::rename(conf.join("..new"), conf.join("..data")).unwrap();
}

pub fn a_config_map_that_is_swapped_is_read_again(place: Place) {
    let mut run = supervise(place, READER).start();
    run.heard("begun");
    // It is not even there yet.
    publish(&run, "first");
    symlink("..data/app", run.path("conf/app")).unwrap();
    assert_eq!(run.heard(""), "first");
    for version in ["second", "third"] {
        publish(&run, version);
        assert_eq!(run.heard(""), version);
    }
    run.stops_with(0);
}

#[test]
fn a_file_is_read_again_however_it_is_written() {
    needs_namespaces!();
    let mut run = supervise(Place::Pid1, READER).start();
    run.heard("begun");
    let file = run.path("conf/app");
    std::fs::create_dir(run.path("conf")).unwrap();
    std::fs::write(&file, "written\n").unwrap();
    assert_eq!(run.heard(""), "written");
    // Shorter than before: cat may not yet have looked for the end.
    std::fs::write(&file, "over\n").unwrap();
    assert_eq!(run.heard(""), "over");
    run.write("conf/app", "renamed\n");
    assert_eq!(run.heard(""), "renamed");
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "back\n").unwrap();
    assert_eq!(run.heard(""), "back");
    // Others in the same folder are none of its business; many changes are one.
    for number in 0..20 {
        std::fs::write(run.path("conf/other"), "x").unwrap();
        std::fs::write(&file, format!("many {number}\n")).unwrap();
    }
    assert_eq!(run.heard(""), "many 19");
    run.write("conf/app", "last\n");
    assert_eq!(run.heard(""), "last");
    run.stops_with(0);
}

#[test]
fn who_cannot_reload_is_restarted_and_folders_and_patterns_are_watched_too() {
    needs_namespaces!();
    let config = r#"
        [service.app]
        command = ["sh", "-c", "cat ${DIR}/conf.d/*.conf; exec sleep 1001"]
        watch = ["${DIR}/conf.d/*.conf"]
        min_uptime = "0s"

        [service.other]
        command = ["sh", "-c", "cat ${DIR}/conf.d/*.txt; exec sleep 1002"]
        watch = "${DIR}/conf.d"
        min_uptime = "0s"
    "#;
    let stage = supervise(Place::Pid1, config);
    std::fs::create_dir(stage.folder().join("conf.d")).unwrap();
    std::fs::write(stage.folder().join("conf.d/a.conf"), "a\n").unwrap();
    std::fs::write(stage.folder().join("conf.d/a.txt"), "text\n").unwrap();
    let mut run = stage.start();
    let mut both = [run.heard(""), run.heard("")];
    both.sort();
    assert_eq!(both, ["a", "text"]);
    // Both look into the folder.
    run.write("conf.d/b.conf", "b\n");
    let mut all = [run.heard(""), run.heard(""), run.heard("")];
    all.sort();
    assert_eq!(all, ["a", "b", "text"]);
    // Only one cares for this one.
    run.write("conf.d/a.txt", "new text\n");
    assert_eq!(run.heard(""), "new text");
    run.stops_with(0);
}

#[test]
fn a_folder_stands_also_for_the_files_that_links_in_it_lead_to() {
    needs_namespaces!();
    let config = r#"
        [service.web]
        command = ["sh", "-c", "cat ${DIR}/enabled/*.conf; exec sleep 1001"]
        watch = "${DIR}/enabled"
        min_uptime = "0s"
    "#;
    let stage = supervise(Place::Pid1, config).file("available.conf", "first\n");
    let folder = stage.folder().to_owned();
    std::fs::create_dir_all(folder.join("enabled/folder")).unwrap();
    std::fs::create_dir(folder.join("elsewhere")).unwrap();
    std::fs::write(folder.join("elsewhere/other.conf"), "other\n").unwrap();
    symlink("../available.conf", folder.join("enabled/a.conf")).unwrap();
    // These lead to folders, which do not count, and round and round.
    for (name, target) in [("up", ".."), ("here", "."), ("folder/here", ".."), ("nowhere", "nowhere")] {
        symlink(target, folder.join("enabled").join(name)).unwrap();
    }
    let mut run = stage.start();
    assert_eq!(run.heard(""), "first");
    run.write("available.conf", "second\n");
    assert_eq!(run.heard(""), "second");
    // A link that comes later is followed, too.
    symlink(folder.join("elsewhere/other.conf"), folder.join("enabled/b.conf")).unwrap();
    assert_eq!([run.heard(""), run.heard("")], ["second", "other"]);
    std::fs::write(folder.join("elsewhere/other.conf"), "another\n").unwrap();
    assert_eq!([run.heard(""), run.heard("")], ["second", "another"]);
    run.stops_with(0);
}

#[test]
fn paths_that_lead_nowhere_hurt_nobody() {
    needs_namespaces!();
    // A link to itself leads nowhere, and is waited for.
    let config = r#"
        [service.app]
        command = ["sh", "-c", "echo begun; exec sleep 1001"]
        watch = ["${DIR}/loop/app", "/proc/self/status", "/no/such/folder/file"]
    "#;
    let stage = supervise(Place::Pid1, config);
    symlink("loop", stage.folder().join("loop")).unwrap();
    let mut run = stage.start();
    run.heard("begun");
    run.stops_with(0);
}

#[test]
fn an_update_changes_what_is_watched_and_leaves_the_service_alone() {
    needs_namespaces!();
    let before = format!("supervisor.control_socket = \"${{DIR}}/socket\"\n{READER}");
    let after = before.replace("watch = [\"${DIR}/conf/app\"]", "watch = \"${DIR}/switch\"");
    let mut run = supervise(Place::Pid1, &before).file("switch", "off").start();
    run.heard("begun");
    std::fs::create_dir(run.path("conf")).unwrap();
    run.write("conf/app", "first\n");
    assert_eq!(run.heard(""), "first");
    run.write("supervise.toml", &after);
    let asked = run.ask(&["update"]);
    assert!(asked.status.success(), "{asked:?}");
    // Nobody looks at this one any more, but at that one.
    run.write("conf/app", "second\n");
    run.write("switch", "on");
    assert_eq!(run.heard(""), "second");
    let words = run.stops_with(0);
    assert_eq!(words.matches("files that web watches have changed").count(), 2, "{words}");
}
