//! update.

use crate::asking::{USUAL, ask, follow, json, status_of, supervisor};
use crate::needs_namespaces;
use crate::stage::Run;

fn write(run: &Run, services: &str) {
    let head = "[supervisor]\ncontrol_socket = \"${DIR}/socket\"\n";
    run.write("supervise.toml", &format!("{head}{services}"));
}

/// web runs something else, spare is gone, cache is new, app keeps its process and gets another
/// grace period.
fn changed() -> String {
    let (kept, _) = USUAL.split_once("[service.spare]").unwrap();
    let kept = kept.replace("sleep 1000", "sleep 1002");
    let kept = kept
        .replace("command = \"sleep 1001\"", "command = \"sleep 1001\"\nstop = { grace_period = \"3s\" }");
    format!("{kept}\n[service.cache]\ncommand = \"sleep 1003\"\n")
}

#[test]
fn without_a_difference_nothing_happens() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    let before = status_of(&run, "web")["pid"].clone();
    assert_eq!(ask(&run, &["update"]).good(), "nothing has changed\n");
    assert_eq!(status_of(&run, "web")["pid"], before);
    run.stops_with(0);
}

#[test]
fn a_dry_run_shows_the_difference_and_does_nothing() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    write(&run, &changed());
    let before = ask(&run, &["status", "--json"]).good();
    let said = ask(&run, &["update", "--dry-run"]).good();
    let pids = |text: &str| {
        let all = json(text);
        let of = |it: &serde_json::Value| (it["service"].to_string(), it["pid"].to_string());
        all["instances"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(pids(&before), pids(&ask(&run, &["status", "--json"]).good()));
    for line in ["web    replaced", "app    changed in place", "spare  removed", "cache  added"] {
        assert!(said.lines().any(|said| said == line), "no {line:?} in {said}");
    }
    assert!(said.contains("  stop.grace_period: 8s -> 3s\n"), "{said}");
    assert!(said.contains("sleep 1000") && said.contains("sleep 1002"), "{said}");
    assert!(
        said.ends_with("would be updated: 1 added, 1 removed, 1 replaced, 1 changed in place\n"),
        "{said}"
    );
    run.stops_with(0);
}

#[test]
fn an_update_does_what_it_shows() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    let (web, app) = (status_of(&run, "web")["pid"].clone(), status_of(&run, "app")["pid"].clone());
    write(&run, &changed());
    let updated = json(&ask(&run, &["update", "--json"]).good());
    assert_eq!(updated["dry_run"], false);
    let changes: Vec<String> = updated["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{} {}", it["service"].as_str().unwrap(), it["change"].as_str().unwrap()))
        .collect();
    assert_eq!(changes, ["web replaced", "app in_place", "cache added", "spare removed"]);
    assert_ne!(status_of(&run, "web")["pid"], web);
    assert_eq!(status_of(&run, "app")["pid"], app);
    assert_eq!(status_of(&run, "cache")["state"], "running");
    ask(&run, &["status", "spare"]).fails_with(1);
    let all = json(&ask(&run, &["status", "--json"]).good());
    let order: Vec<_> = all["instances"].as_array().unwrap().iter().map(|it| &it["service"]).collect();
    assert_eq!(order, ["web", "app", "migrate", "cache"], "that of the file");
    run.stops_with(0);
}

#[test]
fn without_waiting_an_update_is_only_asked_for() {
    needs_namespaces!();
    let mut run = supervisor(USUAL);
    let slow = "[service.slow]\ncommand = \"sleep 1004\"\nready = { file = \"${DIR}/up\" }\n";
    write(&run, &format!("{USUAL}\n{slow}"));
    assert_eq!(ask(&run, &["update", "--no-wait"]).good(), "slow  added\nupdate asked for: 1 added\n");
    assert_eq!(status_of(&run, "slow")["ready"], false);
    run.write("up", "");
    assert!(ask(&run, &["wait", "slow"]).good().starts_with("slow: running, ready"));
    run.said("update: done");
    assert_eq!(ask(&run, &["update", "--no-wait"]).good(), "nothing has changed\n");
    write(&run, "[service.x]\ncomand = \"true\"\n");
    assert!(ask(&run, &["update", "--no-wait"]).fails_with(78).contains("comand"));
    let said = ask(&run, &["update", "--no-wait", "--timeout", "1s"]).fails_with(2);
    assert!(said.contains("--no-wait") && said.contains("--timeout"), "{said}");
    run.stops_with(0);
}

#[test]
fn a_wrong_configuration_is_78_with_all_errors_and_changes_nothing() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    let web = status_of(&run, "web")["pid"].clone();
    write(&run, &format!("{}\n[service.x]\ncomand = \"true\"\nrestart = \"often\"\n", changed()));
    for words in [&["update"][..], &["update", "--dry-run"], &["update", "--json"]] {
        let said = ask(&run, words).fails_with(78);
        assert!(said.contains("comand") && said.contains("often"), "{said}");
        assert!(said.contains("supervise.toml:"), "{said}");
        assert!(said.ends_with("nothing has changed\n"), "{said}");
    }
    assert_eq!(status_of(&run, "web")["pid"], web);
    run.stops_with(0);
}

#[test]
fn an_update_that_takes_too_long_goes_on_without_whoever_waited() {
    needs_namespaces!();
    let run = supervisor(USUAL);
    let slow =
        "[service.slow]\ncommand = \"sleep 1004\"\nready = { file = \"${DIR}/up\" }\nessential = false\n";
    write(&run, &format!("{USUAL}\n{slow}"));
    let said = ask(&run, &["update", "--timeout", "300ms"]).fails_with(1);
    assert!(said.contains("not within 0.3 s: slow: starting"), "{said}");
    assert!(said.ends_with("the update goes on\n"), "{said}");
    run.write("up", "");
    assert!(ask(&run, &["wait", "slow"]).good().starts_with("slow: running, ready"));
    run.stops_with(0);
}

#[test]
fn an_update_after_which_nothing_would_be_left_is_refused() {
    needs_namespaces!();
    let mut run = supervisor(USUAL);
    let before = status_of(&run, "web")["pid"].clone();
    write(&run, "");
    for words in [&["update"][..], &["update", "--dry-run"]] {
        let answer = ask(&run, words);
        assert_eq!(answer.code, 78, "{words:?}");
        assert!(answer.stderr.contains("no service that is enabled any more"), "{}", answer.stderr);
        assert!(answer.stderr.contains("minisup shutdown"), "{}", answer.stderr);
    }
    run.signal(libc::SIGHUP);
    run.said("got HUP, but the configuration cannot be used; nothing has changed");
    run.said("no service that is enabled any more");
    assert_eq!(status_of(&run, "web")["pid"], before);
    run.stops_with(0);
}

#[test]
fn who_follows_a_log_by_name_follows_also_what_an_update_adds() {
    needs_namespaces!();
    let talker = |name: &str, instances: u32| {
        format!(
            "[service.{name}]\ncommand = [\"sh\", \"-c\", \"echo I am $MINISUP_SERVICE $MINISUP_INSTANCE; exec sleep 1001\"]\ninstances = {instances}\n"
        )
    };
    let run = supervisor(&talker("app", 1));
    let (_one, mut named) = follow(&run, &["logs", "-f", "app"]);
    let (_other, mut like) = follow(&run, &["logs", "-f", "a*"]);
    assert_eq!(named.next().unwrap(), "I am app 0");
    assert!(like.next().unwrap().ends_with("I am app 0"));
    write(&run, &format!("{}{}{}", talker("app", 2), talker("also", 1), talker("nothing", 1)));
    ask(&run, &["update"]).good();
    assert!(named.next().unwrap().ends_with("I am app 1"));
    let mut both = [like.next().unwrap(), like.next().unwrap()];
    both.sort();
    assert!(both[0].ends_with("I am also 0") && both[1].ends_with("I am app 1"), "{both:?}");
    run.stops_with(0);
    assert_eq!((named.next(), like.next()), (None, None));
}
