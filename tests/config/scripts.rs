//! `[scripts]`: which files become oneshots, in which order, and what they are called.

use super::{Folder, around};
use minisup::config::{Loaded, load};
use minisup::core::plan::*;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

const WEB: &str = "[service.web]\ncommand = \"sleep 1\"\n";

/// With these scripts, all of them executable, beside the configuration.
fn with(folder: &Folder, keys: &str, rest: &str, scripts: &[&str]) -> Loaded {
    for name in scripts {
        let path = folder.write(&format!("d/{name}"), "echo\n");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = folder.write("supervise.toml", format!("[scripts]\ndirectory = \"d\"\n{keys}\n{rest}"));
    load(&[path], &around()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.services.iter().map(|spec| &*spec.name).collect()
}

#[test]
fn each_requires_the_one_before_it_and_every_service_the_last() {
    let folder = Folder::new();
    let services = "[service.web]\ncommand = \"sleep 1\"\nrequires = [\"app\"]\n[service.app]\ncommand = \"sleep 1\"\n\
                    [service.early]\ncommand = \"sleep 1\"\nrequires = [\"script-1-a\"]\n";
    let plan = with(&folder, "", services, &["2-b.envsh", "10-c.sh", "1-a.sh"]).plan;
    assert_eq!(names(&plan), ["script-1-a", "script-2-b", "script-10-c", "web", "app", "early"]);
    let requires = |at: usize| -> Vec<usize> {
        plan.services[at].requires.iter().map(|dependency| dependency.service.index()).collect()
    };
    let all: Vec<_> = (0..6).map(requires).collect();
    assert_eq!(all, [vec![], vec![0], vec![1], vec![4, 2], vec![2], vec![0]]);
    let exports = |at: usize| plan.services[at].launch.extra.as_ref().is_some_and(|extra| extra.exports);
    assert_eq!((0..6).map(exports).collect::<Vec<_>>(), [false, true, false, false, false, false]);
    assert!(plan.services[0].log.prefix && !plan.services[3].log.prefix);
    assert!(plan.services[..3].iter().all(|spec| spec.kind == Kind::Oneshot && spec.essential));
}

#[test]
fn the_order_is_by_version_or_byte_by_byte() {
    let folder = Folder::new();
    let scripts = ["10-b.sh", "2-a.sh", "B.sh", "a.sh", "a/1.sh"];
    let version = with(&folder, "", WEB, &scripts).plan;
    assert_eq!(names(&version), ["script-2-a", "script-10-b", "script-B", "script-a", "script-a-1", "web"]);
    let glob = with(&folder, "order = \"glob\"", WEB, &scripts).plan;
    assert_eq!(names(&glob), ["script-10-b", "script-2-a", "script-B", "script-a", "script-a-1", "web"]);
}

/// Against the program whose order it is.
#[test]
fn the_order_by_version_is_that_of_sort() {
    let mut seed = 1u32;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) as usize % below
    };
    let mut found = std::collections::BTreeSet::new();
    while found.len() < 300 {
        let pieces =
            ["1", "2", "10", "010", "0", "9", "-", "_", ".", "a", "b", "B", "~", "+", "x.sh", ".envsh", " "];
        let name: String = (0..1 + next(5)).map(|_| pieces[next(pieces.len())]).collect();
        if !name.starts_with('.') && name != "all" {
            found.insert(format!("{name}.{}", ["sh", "envsh"][next(2)]));
        }
    }
    let folder = Folder::new();
    let scripts: Vec<&str> = found.iter().map(String::as_str).collect();
    let plan = with(&folder, "", WEB, &scripts).plan;
    let of_plan: Vec<String> = plan.services[..300]
        .iter()
        .map(|spec| spec.launch.command.last().unwrap().rsplit('/').next().unwrap().to_owned())
        .collect();
    let list = folder.write("list", scripts.join("\n"));
    let sorted = Command::new("sort")
        .arg("-V")
        .arg(list)
        .env("LC_ALL", "C")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let of_sort: Vec<_> = std::str::from_utf8(&sorted.stdout).unwrap().lines().collect();
    assert_eq!(of_plan, of_sort);
}

#[test]
fn names_are_legal_and_nobody_elses() {
    let folder = Folder::new();
    let long = format!("{}.sh", "x".repeat(200));
    let scripts = ["a b.sh", "a:b.sh", "c.sh", "c.envsh", "d.sh", "\u{e9}.sh", &long];
    let services = "[service.script-d]\ncommand = \"sleep 1\"\n";
    let plan = with(&folder, "", services, &scripts).plan;
    let mut found = names(&plan);
    found.sort_unstable();
    let cut = format!("script-{}", "x".repeat(83));
    let mut expected = [
        "script-a-b",
        "script-a-b.sh",
        "script-c",
        "script-c.sh",
        "script-d",
        "script-d.sh",
        "script--",
        &cut,
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn defaults_are_for_services_only() {
    let folder = Folder::new();
    let defaults = "[defaults]\nuser = \"app\"\nessential = false\nready = { tcp = \"127.0.0.1:1\" }\n";
    let plan =
        with(&folder, "timeout = \"5s\"\nuser = \"postgres\"", &format!("{defaults}{WEB}"), &["a.sh"]).plan;
    let script = &plan.services[0];
    let who = script.launch.extra.as_ref().unwrap().credentials.as_ref().unwrap();
    assert!(script.essential && who.uid == 70);
    let ready = script.ready.as_deref().unwrap();
    assert!(ready.is_time_limit() && ready.timeout == super::seconds(5));
}

#[test]
fn what_is_wrong_with_the_table_is_said_at_its_place() {
    let said = |keys: &str| super::errors(&format!("[scripts]\n{keys}\n{WEB}"));
    assert!(said("order = \"locale\"").starts_with("supervise.toml:2:9: error: `order` must be"));
    assert!(said("run = \"once\"").contains("\"every-start\" or \"never\""));
    assert!(said("directroy = \"d\"").contains("did you mean \"directory\""));
    assert!(said("directory = \"supervise.toml\"").contains("it is no folder"));
    assert!(super::errors(&format!("scripts = 1\n{WEB}")).contains("`scripts` must be a table"));
}

#[test]
fn a_folder_that_is_not_there_is_only_a_warning() {
    let loaded = super::loaded(&format!("[scripts]\ndirectory = \"/nowhere\"\n{WEB}"));
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert!(loaded.warnings[0].message.contains("there is no folder /nowhere"));
}

#[test]
fn a_line_of_windows_in_a_script_is_a_warning_with_its_place() {
    let folder = Folder::new();
    let script = folder.write("d/a.sh", "#!/bin/sh\necho a\necho b\r\n");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let warnings = with(&folder, "", WEB, &[]).warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let place = format!("{}:3: the line ends with a carriage return", script.display());
    assert!(warnings[0].message.starts_with(&place), "{:?}", warnings[0]);
}

#[test]
fn a_time_limit_is_for_oneshots_that_have_no_readiness() {
    let said = |keys: &str| {
        super::errors(&format!("[service.x]\ncommand = \"sleep 1\"\ntimeout = \"1s\"\n{keys}\n"))
    };
    assert!(said("").contains("`timeout` is for oneshots: a longrun runs for ever"));
    assert!(said("type = \"oneshot\"\nready = { tcp = \"127.0.0.1:1\" }").contains("set `ready.timeout`"));
    let plan = super::plan("[defaults]\ntimeout = \"1s\"\n[service.x]\ncommand = \"sleep 1\"\n");
    assert!(plan.services[0].ready.is_none());
}
