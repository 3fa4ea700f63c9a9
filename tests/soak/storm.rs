//! Logs at full speed, and logs that nobody reads: PID 1 answers, launches and reaps as ever.
//!
//! What may take 50 ms may do so in one of a hundred tries: on two processors that six
//! processes want, the one that measures is sometimes not the first.

use crate::needs_namespaces;
use crate::stage::{Stage, ask, number, p99, status};
use crate::support::container::Running;
use crate::support::{LONG, loudly, wait_until};
use minisup::control::wire::{Reply, Request};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(50);

/// Of each kind, for a hundredth of them to mean something.
const SAMPLES: usize = 200;

const STORM: &str = r#"
[supervisor]
control_socket = "FOLDER/minisup.sock"
log_format     = "FORMAT"

[service.short]
command = ["yes", "GET /some/page?with=a&query=string HTTP/1.1 200 5316 as servers write them"]

[service.long]
command = ["yes", "LONG"]

[service.quiet]
command = ["sleep", "1000000"]
instances = 10
"#;

#[test]
#[ignore = "moves gigabytes: make soak"]
fn in_a_log_storm_status_answers_in_time() {
    needs_namespaces!();
    let wanted = number("SOAK_STORM_MIB", 1024) << 20;
    for format in ["raw", "prefix", "json"] {
        let long = "x".repeat((64 << 10) - 1);
        let stage = Stage::new(format, &STORM.replace("FORMAT", format).replace("LONG", &long));
        let mut running = stage.run();
        let (stdout, stderr) = (running.stdout.owner(), running.stderr.owner());
        std::thread::spawn(move || std::io::copy(&mut File::from(stderr), &mut std::io::sink()));
        let moved = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| take_all(File::from(stdout), &moved));
            wait_until("the storm", || moved.load(Ordering::Relaxed) > 1 << 20);
            let (began, before) = (Instant::now(), moved.load(Ordering::Relaxed));
            let moved = || moved.load(Ordering::Relaxed) - before;
            let mut times = Vec::new();
            while moved() < wanted || times.len() < SAMPLES {
                assert!(began.elapsed() < 5 * LONG, "only {} MiB came", moved() >> 20);
                times.push(stage.time_status());
            }
            let rate = moved() as f64 / began.elapsed().as_secs_f64() / (1 << 20) as f64;
            let last = p99(&mut times);
            let (count, half) = (times.len(), times[times.len() / 2]);
            loudly(&format!(
                "storm, {format}: {} MiB at {rate:.0} MiB/s; {count} times status: median {half:?}, p99 {last:?}",
                moved() >> 20
            ));
            running.signal(15);
            assert_eq!(running.wait(), 0, "an asked stop");
            assert!(last < SOON, "{format}: p99 of status during a storm: {last:?}");
        });
    }
}

/// Reads as fast as can be, to the end.
fn take_all(mut stream: File, moved: &AtomicU64) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        moved.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// So many numbered lines are written by each of the two services.
const LINES: u64 = 2_000_000;

const STUCK: &str = r#"
[supervisor]
control_socket = "FOLDER/minisup.sock"
log_level      = "warn"

[defaults]
essential = false
min_uptime = "0s"
max_failures = 0

[service.blocks]
type    = "oneshot"
command = ["seq", "-f", "block %.0f", "LINES"]
log     = { when_full = "block" }

[service.drops]
type    = "oneshot"
command = ["seq", "-f", "drop %.0f", "LINES"]
log     = { when_full = "drop" }

[service.dies]
command = ["sleep", "1000000"]
"#;

#[test]
#[ignore = "takes a minute: make soak"]
fn with_a_reader_that_is_stuck_all_else_goes_on() {
    needs_namespaces!();
    let seconds = Duration::from_secs(number("SOAK_STUCK_SECONDS", 30));
    let stage = Stage::new("stuck", &STUCK.replace("LINES", &LINES.to_string()));
    let mut running = stage.run();
    let stderr = BufReader::new(File::from(running.stderr.owner()));
    let own = std::thread::spawn(move || stderr.lines().map_while(Result::ok).collect::<Vec<_>>());
    let mut client = stage.client();
    let names = vec!["dies".to_owned()];
    assert_eq!(ask(&mut client, &Request::Wait { names: vec!["dies:ready".into()] }), Reply::Done);
    // `drops` has written all it has to say: to nobody. `blocks` cannot.
    wait_until("the end of what drops", || state(&mut client, "drops") == "exited");
    assert_eq!(state(&mut client, "blocks"), "running");

    let began = Instant::now();
    let (mut asked, mut restarted, mut reaped) = (Vec::new(), Vec::new(), Vec::new());
    while began.elapsed() < seconds || asked.len() < SAMPLES {
        asked.push(stage.time_status());
        let restart = Instant::now();
        assert_eq!(ask(&mut client, &Request::Restart { names: names.clone(), wait: true }), Reply::Done);
        restarted.push(restart.elapsed());
        reaped.push(kill_and_see_it_back(&running, &mut client));
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert_eq!(state(&mut client, "blocks"), "running", "it still waits");
    let took = [&mut asked, &mut restarted, &mut reaped].map(|times| p99(times));
    loudly(&format!("stuck for {:?}: p99 of status, restart, death to relaunch: {took:?}", began.elapsed()));

    // Somebody reads again.
    let stdout = running.stdout.owner();
    let lines = std::thread::spawn(move || judge(BufReader::with_capacity(1 << 20, File::from(stdout))));
    wait_until("the end of what blocks", || state(&mut client, "blocks") == "exited");
    running.signal(15);
    assert_eq!(running.wait(), 0, "an asked stop");
    let (came, said) = lines.join().unwrap();
    // What was dropped when nothing came after it is told apart.
    let ended = own.join().unwrap();
    let at_end = ended.iter().find_map(|line| line.split_once("drops has ended; ")?.1.split(' ').next());
    let dropped = said + at_end.map_or(0, |count| count.parse().unwrap());
    loudly(&format!("of {LINES} lines each: {came} came and {dropped} were said to be dropped"));
    assert_eq!(came + dropped, LINES, "the count is exact");
    assert!(dropped > 0, "nothing was dropped: this shows nothing");
    assert!(took.iter().all(|one| *one < SOON), "p99 of status, restart, death to relaunch: {took:?}");
}

/// A death, from the signal to the next process.
fn kill_and_see_it_back(running: &Running, client: &mut minisup::control::client::Client) -> Duration {
    let pid = |client: &mut _| {
        let all = status(client).instances;
        all.into_iter().find(|one| one.service == "dies").and_then(|one| one.pid)
    };
    let old = pid(client);
    let began = Instant::now();
    // A pid in there is another one here, so it is asked to die.
    let kill = Request::Signal { names: vec!["dies".into()], signal: "KILL".into() };
    assert_eq!(ask(client, &kill), Reply::Done);
    wait_until("the next one", || pid(client).is_some_and(|new| Some(new) != old));
    let took = began.elapsed();
    assert_eq!(running.zombies(), 0);
    took
}

fn state(client: &mut minisup::control::client::Client, name: &str) -> String {
    let all = status(client).instances;
    all.into_iter().find(|one| one.service == name).expect("a service of ours").state
}

/// All lines: those of `blocks` each and in order, those of `drops` in order. How many of those
/// came, and how many are said to be lost.
fn judge(stdout: impl BufRead) -> (u64, u64) {
    let (mut blocked, mut last, mut came, mut dropped) = (0, 0, 0, 0);
    for line in stdout.lines() {
        let line = line.unwrap();
        if let Some(number) = line.strip_prefix("block ") {
            blocked += 1;
            assert_eq!(number.parse(), Ok(blocked), "lost, or out of order");
        } else if let Some(number) = line.strip_prefix("drop ") {
            let number: u64 = number.parse().unwrap_or_else(|_| panic!("torn: {line:?}"));
            assert!(number > last, "{number} after {last}");
            (last, came) = (number, came + 1);
        } else {
            let count = line.strip_prefix("minisup: ").and_then(|rest| rest.strip_suffix(" lines dropped"));
            dropped += count.and_then(|n| n.parse::<u64>().ok()).unwrap_or_else(|| panic!("torn: {line:?}"));
        }
    }
    assert_eq!(blocked, LINES, "nothing is lost of what blocks");
    (came, dropped)
}
