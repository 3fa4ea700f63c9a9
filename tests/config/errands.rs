//! Schedules, watched files, limits of memory and hooks, as people write them.

use super::{around, errors, loaded, plan};
use minisup::config::{Surroundings, load};
use minisup::core::plan::*;

fn scheduled(line: &str) -> ServiceSpec {
    let text = format!("[service.x]\ntype = \"oneshot\"\ncommand = \"x\"\nschedule = \"{line}\"\n");
    plan(&text).services[0].clone()
}

#[test]
fn a_schedule_is_five_fields_or_a_nickname() {
    let cron = |line: &str| Some(Box::new(Schedule::Cron(line.into())));
    assert_eq!(scheduled("30  3 *  * mon-fri").schedule, cron("30 3 * * mon-fri"));
    assert_eq!(scheduled("@hourly").schedule, cron("0 * * * *"));
    assert_eq!(scheduled("@midnight").schedule, cron("0 0 * * *"));
    assert_eq!(scheduled("@reboot").schedule, Some(Box::new(Schedule::Boot)));
    assert_eq!(scheduled("none").schedule, None);
}

#[test]
fn a_run_by_schedule_is_not_essential_unless_its_own_table_says_so() {
    assert!(!scheduled("@daily").essential);
    let text = "[defaults]\nessential = true\n[service.x]\ntype = \"oneshot\"\ncommand = \"x\"\nschedule = \"@daily\"\n";
    assert!(!plan(text).services[0].essential);
    assert!(plan(&format!("{text}essential = true\n")).services[0].essential);
}

#[test]
fn a_schedule_in_defaults_is_meant_for_oneshots() {
    let text = "[defaults]\nschedule = \"@daily\"\n[service.web]\ncommand = \"x\"\n[service.job]\ntype = \"oneshot\"\ncommand = \"x\"\n";
    let plan = plan(text);
    assert!(plan.services[0].schedule.is_none() && plan.services[1].schedule.is_some());
}

#[test]
fn nobody_can_require_what_runs_by_the_clock() {
    let text = "[service.job]\ntype = \"oneshot\"\ncommand = \"true\"\nschedule = \"@daily\"\n\
                [service.web]\ncommand = \"true\"\nrequires = [\"job\"]\n";
    let said = errors(text);
    assert!(
        said.starts_with("supervise.toml:7:13: error: \"job\" runs by its schedule: nobody can require it"),
        "{said}"
    );
    plan(&text.replace("requires", "after"));
    plan(&text.replace("@daily", "@reboot"));
}

#[test]
fn watched_files_are_absolute_or_in_the_directory() {
    let text =
        "[service.x]\ncommand = \"x\"\ndirectory = \"/srv/app\"\nwatch = [\"conf/*.toml\", \"/etc/x\"]\n";
    let patterns: Box<[String]> = ["/srv/app/conf/*.toml".into(), "/etc/x".into()].into();
    assert_eq!(plan(text).services[0].watch, Some(patterns));
    assert_eq!(plan("[service.x]\ncommand = \"x\"\nwatch = []\n").services[0].watch, None);
}

#[test]
fn hooks_of_defaults_are_overridden_one_by_one() {
    let text = "[defaults]\nhooks = { before_start = \"a\", after_exit = \"b c\" }\n\
                [service.x]\ncommand = \"x\"\nhooks = { before_start = [], timeout = \"5s\" }\n";
    let hooks = plan(text).services[0].hooks.clone().unwrap();
    let after_exit: Box<[String]> = ["b".into(), "c".into()].into();
    assert_eq!((hooks.before_start, hooks.after_exit), (None, Some(after_exit)));
    assert_eq!(hooks.timeout, super::seconds(5));
    assert!(
        loaded("[service.x]\ncommand = \"x\"\nhooks.timeout = \"5s\"\n").plan.services[0].hooks.is_none()
    );
}

#[test]
fn what_runs_by_the_clock_is_in_the_plan_that_is_shown() {
    let folder = super::Folder::new();
    let text = "[service.x]\ntype = \"oneshot\"\ncommand = \"true\"\nschedule = \"@daily\"\nmemory_limit = \"1MB\"\n";
    let file = folder.write("supervise.toml", text);
    let around = Surroundings { ..around() };
    assert!(load(std::slice::from_ref(&file), &around).is_ok());
    let shown = std::process::Command::new(env!("CARGO_BIN_EXE_minisup"))
        .args(["check", "--plan", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("0 0 * * *") && shown.contains("1000000 bytes"), "{shown}");
}
