//! Clients that ask while something is done to a server, until everything is stopped.

use crate::load::{Asked, Fate, Load, assert_none_was_cut_off};
use crate::stage::Container;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Eight clients at work.
pub struct Busy(Load);

/// What they met.
pub struct Met {
    /// The requests that had ended before the stop: each has had its whole answer.
    pub until_then: Vec<Asked>,
    /// How long the stop took.
    pub took: Duration,
    /// What the container wrote.
    pub output: String,
}

impl Busy {
    /// At this address, and fifty times answered.
    pub fn at(address: SocketAddr, container: &Container) -> Busy {
        let load = Load::on(address, 8);
        container.wait_until("fifty answers", || load.answered() >= 50);
        Busy(load)
    }

    /// Fifty answers later stops everything. No request has failed until then, and none that was
    /// taken is cut off at the stop.
    pub fn until_stopped(self, container: Container) -> Met {
        let before = self.0.answered();
        container.wait_until("fifty more answers", || self.0.answered() >= before + 50);
        let stopped = Instant::now();
        container.signal(libc::SIGTERM);
        let asked = self.0.until_refused();
        let (code, output) = container.wait();
        let took = stopped.elapsed();
        assert_eq!(code, 0, "{output}");
        let (until_then, last): (Vec<Asked>, Vec<Asked>) =
            asked.into_iter().partition(|one| one.time.1 < stopped);
        let lost: Vec<&Asked> = until_then.iter().filter(|one| one.fate != Fate::Answered).collect();
        assert!(lost.is_empty(), "{} of {} requests: {lost:?}\n{output}", lost.len(), until_then.len());
        assert_none_was_cut_off(&last, &output, stopped);
        Met { until_then, took, output }
    }
}
