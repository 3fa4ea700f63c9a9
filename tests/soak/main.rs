//! Hours in minutes, under minisup as PID 1; afterwards nothing may be left over: no zombie, no
//! descriptor, no memory. Slow and ignored by default: `make soak`.
//!
//! Here: services that crash, fork away, talk and are slow, all at once; SOAK_SECONDS says how
//! long (120). `asking.rs`: clients that restart and ask. `storm.rs`: logs at full speed, and
//! logs that nobody reads.

mod asking;
mod stage;
mod storm;
#[path = "../support/mod.rs"]
mod support;

use stage::Stage;
use std::fs;
use std::time::{Duration, Instant};
use support::container::Running;
use support::{loudly, wait_until};

const SERVICES: &str = r#"
[supervisor]
control_socket = "FOLDER/minisup.sock"
log_level = "error"

[defaults]
essential    = false
max_failures = 0
min_uptime   = "0s"
backoff      = { initial = "20ms", max = "200ms" }

# Ends at once, badly or well.
[service.crashes]
instances = 10
command   = ["sh", "-c", "exit ${instance}"]

# Leaves daemons behind that have left its group, and that PID 1 adopts.
[service.orphans]
instances = 5
command   = ["sh", "-c", "setsid sh -c 'sleep 0.05' & setsid sh -c 'sleep 0.1 & :' & exit 1"]

# Says more than a pipe holds, then kills itself.
[service.talks]
instances = 3
command   = ["sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo line $i of ${instance}; i=$((i+1)); done; kill -9 $$"]

# Never gets ready.
[service.unready]
instances = 2
command   = ["sleep", "1000"]
ready     = { exec = ["false"], interval = "20ms", timeout = "300ms" }

# So many that children leave our descriptors behind instead of copying them (fd::make_room).
[service.many]
instances = 250
command   = ["sleep", "1000000"]

# Stands through it all.
[service.steady]
essential = true
command   = ["tail", "-f", "/dev/null"]
"#;

/// What PID 1 holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    descriptors: usize,
    resident: u64,
}

#[test]
#[ignore = "takes minutes: make soak"]
fn after_crashes_orphans_and_talk_without_end_nothing_is_left_over() {
    needs_namespaces!();
    let seconds = stage::number("SOAK_SECONDS", 120);
    let stage = Stage::new("crashes", SERVICES);
    let mut running = stage.run();
    for stream in [running.stdout.owner(), running.stderr.owner()] {
        std::thread::spawn(move || std::io::copy(&mut fs::File::from(stream), &mut std::io::sink()));
    }
    let began = Instant::now();
    let warm = Duration::from_secs(seconds) / 4;
    wait_until("the first quarter", || began.elapsed() >= warm.min(support::LONG - Duration::from_secs(1)));
    let (early, standing) = (most(&running), steady(&running));

    let mut zombies = Vec::new();
    while began.elapsed() < Duration::from_secs(seconds) {
        let now: Vec<i32> = running.processes().iter().filter(|p| p.is_zombie).map(|p| p.pid).collect();
        let stuck: Vec<&i32> = now.iter().filter(|pid| zombies.contains(*pid)).collect();
        assert!(stuck.is_empty() || !are_zombies_after_a_while(&running, &stuck), "never reaped: {stuck:?}");
        zombies = now;
        std::thread::park_timeout(Duration::from_millis(500));
    }
    let late = most(&running);
    let launched = last_pid(&running);
    assert!(standing.is_some() && steady(&running) == standing, "the steady one did not stand: {standing:?}");
    running.signal(15);
    assert_eq!(running.wait(), 0, "an asked stop");

    loudly(&format!("soak: {seconds} s, {launched} pids used; early {early:?}, late {late:?}"));
    assert!(launched > 20 * seconds as i32, "only {launched} pids: this shows nothing");
    // What the dead have said waits in their pipes until it is read: a busy machine has more of them;
    // one that leaked for each death would have thousands.
    assert!(late.descriptors <= early.descriptors + 500, "descriptors leak: {early:?}, {late:?}");
    assert!(late.resident <= early.resident + 512, "memory leaks (kB): {early:?}, {late:?}");
}

/// The most of twenty looks: a look may fall between a launch and its end.
fn most(running: &Running) -> Held {
    let look = |_| {
        std::thread::park_timeout(Duration::from_millis(50));
        let descriptors = fs::read_dir(format!("/proc/{}/fd", running.pid())).map_or(0, Iterator::count);
        let resident = running.field("VmRSS").split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        Held { descriptors, resident }
    };
    let looks: Vec<Held> = (0..20).map(look).collect();
    Held {
        descriptors: looks.iter().map(|held| held.descriptors).max().unwrap_or(0),
        resident: looks.iter().map(|held| held.resident).max().unwrap_or(0),
    }
}

/// The pid of the service that stands.
fn steady(running: &Running) -> Option<i32> {
    running.processes().iter().find(|process| process.name == "tail" && process.parent == 1).map(|p| p.pid)
}

/// Pids count up, so the highest says how many processes there have been (below pid_max).
fn last_pid(running: &Running) -> i32 {
    running.processes().iter().map(|process| process.pid).max().unwrap_or(0)
}

/// Whether one of these is still a zombie when the machine has had time for everything.
fn are_zombies_after_a_while(running: &Running, pids: &[&i32]) -> bool {
    let end = Instant::now() + Duration::from_secs(5);
    let is_stuck = || running.processes().iter().any(|p| p.is_zombie && pids.contains(&&p.pid));
    while is_stuck() {
        if Instant::now() > end {
            return true;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    false
}
