//! The clock of schedules: one timer on the wall clock, for whichever run comes next.
//!
//! The kernel wakes us when that moment has come, or when somebody sets the clock
//! (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET): then all moments are computed anew from what the
//! clock shows now. Where the clock jumps over a run, that run comes late rather than not at all,
//! unless it is late by hours. A clock that is set back by little does not bring a run twice.
//!
//! The time zone is that of the service's TZ: a name of /usr/share/zoneinfo, a rule of POSIX, or a
//! path; without TZ it is /etc/localtime, and without that UTC. Daylight saving is as cron has it: a
//! run at a time that is left out comes right after the gap, and one at a time that comes twice comes
//! once; those that run every so often run as often as the clock shows it.

use super::turn::Turn;
use crate::config::schedule::{next, parse};
use crate::core::ids::ServiceId;
use crate::core::input::Input;
use crate::core::plan::{Plan, Schedule, ServiceSpec};
use crate::sys::clock;
use crate::sys::watch::{Kept, Watched};
use croner::Cron;
use jiff::tz::TimeZone;
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// A run that is later than this is left out, in seconds: the clock was wrong before, or the
/// machine asleep.
const LATE_MAX: i64 = 3 * 3600;

/// A clock that is set back by less than this, in seconds, brings nothing twice.
const BACK_MAX: i64 = 300;

/// Where images keep their time zones (tzset(3)).
const ZONES: &str = "/usr/share/zoneinfo";

/// All schedules.
#[derive(Default)]
pub(super) struct Schedules {
    timer: Option<Watched<Kept<TimerFd>>>,
    entries: Vec<Entry>,
    has_warned: bool,
}

/// One schedule. Moments are in seconds since 1970.
struct Entry {
    service: ServiceId,
    line: String,
    cron: Cron,
    zone: TimeZone,
    /// The run that was due last.
    last: Option<i64>,
    next: Option<i64>,
}

/// What has become of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Due {
    Now,
    /// It is too late for it.
    Missed,
}

impl Schedules {
    /// From now on these schedules hold.
    pub(super) fn follow(&mut self, plan: &Plan, order: &[ServiceId]) {
        let mut before = std::mem::take(&mut self.entries);
        for service in order.iter().copied() {
            let spec = plan.service(service);
            let Some(Schedule::Cron(line)) = spec.schedule.as_deref().filter(|_| spec.enabled) else {
                continue;
            };
            let same = before.iter().position(|it| it.service == service && it.line == *line);
            let last = same.and_then(|at| before.swap_remove(at).last);
            // It has been understood before.
            let Ok(cron) = parse(line) else { continue };
            let zone = self.zone_of(spec);
            self.entries.push(Entry { service, line: line.clone(), cron, zone, last, next: None });
        }
        let now = clock::wall().0;
        self.entries.iter_mut().for_each(|it| it.find_next(now));
        self.set_timer();
    }

    /// The time zone of a service's schedule; one that is not to be found is UTC, and that is said once.
    fn zone_of(&mut self, spec: &ServiceSpec) -> TimeZone {
        let variables = &spec.launch.environment;
        let name = variables.iter().find(|(name, _)| name == "TZ").map(|(_, value)| value.as_str());
        zone(name).unwrap_or_else(|| {
            if !std::mem::replace(&mut self.has_warned, true) {
                log::warn!("there is no time zone {:?}: schedules are in UTC", name.unwrap_or_default());
            }
            TimeZone::UTC
        })
    }

    /// When this service runs next, in seconds since 1970.
    pub(super) fn next_of(&self, service: ServiceId) -> Option<i64> {
        self.entries.iter().find(|it| it.service == service)?.next
    }

    /// Returns when the timer has run out, or the clock was set.
    pub(super) async fn ready(&self) {
        match &self.timer {
            Some(timer) => timer.ready().await,
            None => std::future::pending().await,
        }
    }

    fn set_timer(&mut self) {
        let Some(next) = self.entries.iter().filter_map(|it| it.next).min() else {
            self.timer = None;
            return;
        };
        if let Err(error) = self.try_set(next) {
            log::warn!("no timer for schedules: {}", error.desc().to_lowercase());
        }
    }

    fn try_set(&mut self, next: i64) -> nix::Result<()> {
        if self.timer.is_none() {
            let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
            let timer = Kept(TimerFd::new(ClockId::CLOCK_REALTIME, flags)?);
            self.timer = Some(Watched::new(timer).map_err(|_| Errno::ENOMEM)?);
        }
        let Some(timer) = &self.timer else { return Ok(()) };
        let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        set_or_due(next, |at| timer.set(Expiration::OneShot(TimeSpec::new(at, 0)), flags))
    }

    /// Which runs are due. To be asked when the timer has run out.
    fn take(&mut self, now: i64) -> Vec<(ServiceId, Due)> {
        let due = |it: &mut Entry| Some((it.service, it.turn(now)?));
        let all = self.entries.iter_mut().filter_map(due).collect();
        self.set_timer();
        all
    }
}

impl Entry {
    fn turn(&mut self, now: i64) -> Option<Due> {
        let due = self.next.filter(|at| *at <= now).map(|at| {
            self.last = Some(at);
            if now - at <= LATE_MAX { Due::Now } else { Due::Missed }
        });
        self.find_next(now);
        due
    }

    fn find_next(&mut self, now: i64) {
        let after = self.last.filter(|last| *last > now && *last - now < BACK_MAX).unwrap_or(now);
        self.next = next(&self.cron, &self.zone, after);
    }
}

/// Sets a timer. If the clock was set since it was last read, the kernel says ECANCELED, sets it all the same
/// (timerfd_create(2), NOTES), and does not tell of that clock again: then it is due at once, so that all
/// moments are computed anew.
fn set_or_due(next: i64, set: impl Fn(i64) -> nix::Result<()>) -> nix::Result<()> {
    const LONG_AGO: i64 = 1;
    match set(next) {
        Err(Errno::ECANCELED) => match set(LONG_AGO) {
            Err(Errno::ECANCELED) => Ok(()),
            result => result,
        },
        result => result,
    }
}

/// What TZ names, as tzset(3) reads it; without it the machine's own. `None`: it is not to be found.
fn zone(name: Option<&str>) -> Option<TimeZone> {
    let from_file = |path: &str| TimeZone::tzif(path, &std::fs::read(path).ok()?).ok();
    match name.map(|name| name.strip_prefix(':').unwrap_or(name)) {
        None => Some(from_file("/etc/localtime").unwrap_or(TimeZone::UTC)),
        Some("" | "UTC") => Some(TimeZone::UTC),
        Some(path) if path.starts_with('/') => from_file(path),
        Some(name) => {
            let is_plain = !name.split('/').any(|part| part == "..");
            let file = is_plain.then(|| from_file(&format!("{ZONES}/{name}"))).flatten();
            file.or_else(|| TimeZone::posix(name).ok())
        }
    }
}

impl Turn {
    /// Runs what the clock says.
    pub(super) fn take_times(&mut self) {
        let Some(timer) = &self.rounds.schedules.timer else { return };
        // Nothing to be read: it was somebody else who woke us.
        if timer.wait().is_err() {
            return;
        }
        for (service, due) in self.rounds.schedules.take(clock::wall().0) {
            match due {
                Due::Now => self.tell(Input::Scheduled(service)),
                Due::Missed => {
                    let name = &self.supervisor.plan().service(service).name;
                    log::warn!("{name} has missed a run of its schedule by more than 3 hours: left out");
                }
            }
            self.perform_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn entry(line: &str, zone: &str, now: &str) -> Entry {
        let (cron, zone) = (parse(line).unwrap(), super::zone(Some(zone)).unwrap());
        let mut it = Entry { service: ServiceId(0), line: line.into(), cron, zone, last: None, next: None };
        it.find_next(at(now));
        it
    }

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    /// The first moments after this one, in UTC.
    fn moments(line: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let mut it = entry(line, zone, after);
        let mut all = Vec::new();
        for _ in 0..count {
            let next = it.next.unwrap();
            all.push(Timestamp::from_second(next).unwrap().to_string());
            assert_eq!(it.turn(next), Some(Due::Now));
        }
        all
    }

    /// Berlin's rule, for machines without a database of time zones.
    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

    #[test]
    fn a_line_of_five_fields_is_due_at_its_moments() {
        let all = moments("*/20 3 * * *", "", "2026-11-20T03:15:00Z", 3);
        assert_eq!(all, ["2026-11-20T03:20:00Z", "2026-11-20T03:40:00Z", "2026-11-21T03:00:00Z"]);
        // The 13th or a Friday, as crontab(5) has it.
        let all = moments("0 0 13 * 5", "", "2026-11-12T00:00:00Z", 3);
        assert_eq!(all, ["2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z", "2026-11-27T00:00:00Z"]);
    }

    #[test]
    fn the_time_zone_is_that_of_tz() {
        assert_eq!(moments("30 6 * * *", BERLIN, "2026-01-10T00:00:00Z", 1), ["2026-01-10T05:30:00Z"]);
        assert_eq!(moments("30 6 * * *", BERLIN, "2026-07-10T00:00:00Z", 1), ["2026-07-10T04:30:00Z"]);
        assert_eq!(moments("30 6 * * *", ":EST5", "2026-07-10T00:00:00Z", 1), ["2026-07-10T11:30:00Z"]);
        assert!(zone(Some("Nowhere/Atall")).is_none() && zone(Some("/no/such/file")).is_none());
        assert!(zone(Some("../zoneinfo/UTC")).is_none());
        if std::path::Path::new(ZONES).join("Europe/Berlin").exists() {
            let named = moments("30 6 * * *", "Europe/Berlin", "2026-07-10T00:00:00Z", 2);
            assert_eq!(named, moments("30 6 * * *", BERLIN, "2026-07-10T00:00:00Z", 2));
        }
        assert!(zone(None).is_some());
    }

    #[test]
    fn a_time_that_is_left_out_in_spring_comes_after_the_gap() {
        // On 29 March 2026 it goes from 2:00 to 3:00, which is 1:00 in UTC.
        let all = moments("30 2 * * *", BERLIN, "2026-03-28T12:00:00Z", 2);
        assert_eq!(all, ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    }

    #[test]
    fn a_time_that_comes_twice_in_autumn_comes_once() {
        // On 25 October 2026 it goes from 3:00 back to 2:00, which is 1:00 in UTC.
        let all = moments("30 2 * * *", BERLIN, "2026-10-24T12:00:00Z", 2);
        assert_eq!(all, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn a_clock_that_jumps_forward_brings_one_late_run_or_after_hours_none() {
        let mut it = entry("0 * * * *", "", "2026-11-20T10:10:00Z");
        assert_eq!(it.turn(at("2026-11-20T12:30:00Z")), Some(Due::Now));
        assert_eq!(it.next, Some(at("2026-11-20T13:00:00Z")));
        assert_eq!(it.turn(at("2027-01-01T00:00:30Z")), Some(Due::Missed));
        assert_eq!(it.next, Some(at("2027-01-01T01:00:00Z")));
    }

    #[test]
    fn a_clock_that_is_set_back_brings_nothing_twice_unless_it_was_wrong() {
        let mut it = entry("0 * * * *", "", "2026-11-20T10:10:00Z");
        assert_eq!(it.turn(at("2026-11-20T11:00:00Z")), Some(Due::Now));
        assert_eq!(it.turn(at("2026-11-20T10:59:58Z")), None);
        assert_eq!(it.next, Some(at("2026-11-20T12:00:00Z")));
        assert_eq!(it.turn(at("2026-11-20T08:15:00Z")), None);
        assert_eq!(it.next, Some(at("2026-11-20T09:00:00Z")));
    }

    #[test]
    fn a_timer_that_says_that_the_clock_was_set_is_set_and_due() {
        use std::cell::RefCell;
        let asked = |answers: &[nix::Result<()>]| {
            let (answers, set) = (RefCell::new(answers.iter()), RefCell::new(Vec::new()));
            let result = set_or_due(1000, |at| {
                set.borrow_mut().push(at);
                *answers.borrow_mut().next().unwrap()
            });
            (result, set.into_inner())
        };
        assert_eq!(asked(&[Ok(())]), (Ok(()), vec![1000]));
        assert_eq!(asked(&[Err(Errno::ECANCELED), Ok(())]), (Ok(()), vec![1000, 1]));
        assert_eq!(asked(&[Err(Errno::ECANCELED); 2]), (Ok(()), vec![1000, 1]));
        assert_eq!(asked(&[Err(Errno::EINVAL)]), (Err(Errno::EINVAL), vec![1000]));
    }
}
