//! Whatever dies, whenever: the next start ends complete and equal to one that nobody disturbed, and what is in
//! the data directory is everything or nothing.
//!
//! Two ways to choose the moment. *By chance*: SOAK_KILLS moments (200), by a seed (SOAK_SEED), at which minisup,
//! its temporary server or everything is killed, or minisup is asked to stop; every fifth time the start after that
//! is disturbed as well. A third of the moments is spread over the time that a start takes, the others are shortly
//! after a chance entry of the journal, for else hardly one would be in a script. *By step*: strace kills minisup at its n-th rename, fsync, syncfs, mkdir …, for each n
//! that there is: before and after each entry of the journal.

use crate::database::{Database, Dice, Place, Start, number};
use crate::support::LONG;
use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
#[ignore = "minutes: make soak-databases"]
fn mariadb_survives_random_deaths() {
    random_deaths(Database::MariaDb);
}

#[test]
#[ignore = "minutes: make soak-databases"]
fn postgres_survives_random_deaths() {
    random_deaths(Database::Postgres);
}

#[test]
#[ignore = "minutes: make soak-databases"]
fn mariadb_survives_a_death_at_each_step() {
    each_step(Database::MariaDb);
}

#[test]
#[ignore = "minutes: make soak-databases"]
fn postgres_survives_a_death_at_each_step() {
    each_step(Database::Postgres);
}

/// Who dies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Victim {
    Minisup,
    Server,
    Everything,
    /// Nobody: it is asked to stop.
    Asked,
}

pub const VICTIMS: [Victim; 4] = [Victim::Minisup, Victim::Server, Victim::Everything, Victim::Asked];

fn random_deaths(database: Database) {
    if !database.is_here() {
        return;
    }
    let (kills, seed) = (number("SOAK_KILLS", 200), number("SOAK_SEED", 1));
    let (reference, span) = undisturbed(database);
    let mut dice = Dice::seeded(seed);
    let mut died: BTreeMap<Victim, u64> = BTreeMap::new();
    let (mut where_, mut done) = (BTreeMap::<String, u64>::new(), 0);
    let began = Instant::now();
    let (mut kill, mut hit) = (0u64, 0u64);
    // A moment after the end is a good test, but no disturbance: it does not count.
    while hit < kills {
        kill += 1;
        let place = Place::new(database);
        let mut story = format!("{} seed {seed} kill {kill}", database.name());
        let times = if kill.is_multiple_of(5) { 2 } else { 1 };
        for _ in 0..times {
            let victim = VICTIMS[(dice.next() % 4) as usize];
            let by_entry = !dice.next().is_multiple_of(3);
            let entry = ENTRIES[(dice.next() % ENTRIES.len() as u64) as usize];
            let share = dice.share();
            let moment = if by_entry { LATER.mul_f64(share * share) } else { span.mul_f64(share) };
            let after = if by_entry { entry } else { "the beginning" };
            story += &format!(", {victim:?} {} ms after {after}", moment.as_millis());
            let mut start = place.start(&[]);
            if by_entry {
                until(Instant::now() + LONG, || !start.runs() || has_come_to(&place, entry));
            }
            until(Instant::now() + moment, || !start.runs());
            let stage = journal_state(&place);
            strike(&mut start, victim, database);
            let (status, said) = start.wait();
            place.assert_nothing_half(&story);
            if stage == "complete" {
                done += 1;
            } else {
                hit += 1;
            }
            if !status.success() && victim == Victim::Asked {
                // Before it listens, the kernel ends it.
                let code = status.code();
                assert!(code == Some(75) || code.is_none(), "{story}: {status}\n{said}");
            }
            *died.entry(victim).or_default() += 1;
            *where_.entry(stage).or_default() += 1;
        }
        place.must_complete(&reference, &story);
        if kill % 20 == 0 {
            eprintln!("{}: {hit} of {kills}, {} s", database.name(), began.elapsed().as_secs());
        }
    }
    eprintln!(
        "{}: disturbed at {hit} moments before its end and {done} after it (seed {seed}), in {} s; all complete and equal \
         afterwards; who: {died:?}; where: {where_:?}",
        database.name(),
        began.elapsed().as_secs(),
    );
}

/// What an undisturbed start makes, and how long it takes.
pub fn undisturbed(database: Database) -> (String, Duration) {
    let place = Place::new(database);
    let began = Instant::now();
    let (status, said) = place.start(&[]).wait();
    let span = began.elapsed();
    assert!(status.success(), "{status}\n{said}");
    let fingerprint = database.fingerprint(&place.data);
    assert!(fingerprint.contains("7000"), "{fingerprint}");
    (fingerprint, span)
}

/// Entries of the journal, with how many scripts it names.
const ENTRIES: [&str; 12] = [
    "initialising 0",
    "provisioned 0",
    "provisioning 1",
    "provisioned 1",
    "provisioning 2",
    "provisioned 2",
    "provisioning 3",
    "provisioned 3",
    "provisioning 4",
    "provisioned 4",
    "stopping 4",
    "moving 4",
];

/// At most so long after an entry.
const LATER: Duration = Duration::from_millis(700);

/// Whether this entry, or a later one, has been written.
fn has_come_to(place: &Place, entry: &str) -> bool {
    let now = journal_state(place);
    let rank = |entry: &str| ENTRIES.iter().position(|known| *known == entry);
    now == "complete" || rank(&now) >= rank(entry)
}

/// How far the journal says it is.
pub fn journal_state(place: &Place) -> String {
    if place.data.join(".minisup-initialised.json").exists() {
        return "complete".into();
    }
    let beside = fs::read_to_string(place.folder.join(".data.minisup/journal.json"));
    let Ok(text) = beside else { return "nothing written".into() };
    let state = text.split("\"state\": \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("?");
    format!("{state} {}", text.matches("\"sha256\"").count())
}

pub fn strike(start: &mut Start, victim: Victim, database: Database) {
    match victim {
        Victim::Minisup => signal(start.pid(), 9),
        Victim::Asked => signal(start.pid(), 15),
        Victim::Everything => kill_everything(start),
        Victim::Server => {
            let children = children(start.pid());
            let is_server = |pid: &&i32| database.servers().contains(&name(**pid).as_str());
            if let Some(server) = children.iter().find(is_server).or(children.first()) {
                signal(*server, 9);
            }
        }
    }
}

/// minisup and all that it launched, at one moment.
pub fn kill_everything(start: &mut Start) {
    signal(start.pid(), 19);
    let mut all = vec![start.pid()];
    let mut next = 0;
    while next < all.len() {
        all.extend(children(all[next]));
        next += 1;
    }
    all.into_iter().rev().for_each(|pid| signal(pid, 9));
}

fn each_step(database: Database) {
    if !database.is_here() {
        return;
    }
    let (reference, _) = undisturbed(database);
    // With few kills only the entries of the journal: each is one rename.
    let all = ["rename", "fsync", "syncfs", "mkdir", "unlink", "rmdir", "chown,lchown,fchownat"];
    let calls = if number("SOAK_KILLS", 200) < 200 { &all[..1] } else { &all[..] };
    let mut counts = BTreeMap::new();
    for call in calls {
        for step in 1.. {
            let place = Place::new(database);
            let inject = format!("--inject={call}:signal=KILL:when={step}");
            let trace = format!("--trace={call}");
            let (status, said) = place.start(&["strace", "-o", "/dev/null", &trace, &inject]).wait();
            if status.success() {
                break;
            }
            let story = format!("{}: killed at {call} {step}: {status}", database.name());
            assert_eq!(status.code(), None, "{story}\n{said}");
            place.assert_nothing_half(&story);
            place.must_complete(&reference, &story);
            *counts.entry(*call).or_insert(0) = step;
        }
    }
    eprintln!("{}: killed at each step, all complete and equal afterwards: {counts:?}", database.name());
    assert!(counts["rename"] > 10, "the journal has more entries than {counts:?}");
}

pub fn until(end: Instant, mut is_over: impl FnMut() -> bool) {
    while Instant::now() < end && !is_over() {
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

pub fn signal(pid: i32, number: i32) {
    let signal = nix::sys::signal::Signal::try_from(number).unwrap();
    // It may have ended by itself.
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
}

pub fn children(pid: i32) -> Vec<i32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn name(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// Runs a tool of the system, which must succeed.
pub fn tool(words: &[&str]) -> String {
    let done = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}
