//! The end: what is still in the pipes is read, and the outputs have a moment to take it.

use super::output::BUSY_PIPE;
use super::pump::{Pump, TICK, TIMER, is_over, lock};
use ::log::warn;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::EpollEvent;
use std::os::fd::AsFd;
use std::time::Duration;

impl Pump {
    /// The last turn, after the last process: reads what is still in the pipes, ends all
    /// lines, and waits for the outputs, but not longer than this. The process ends next.
    pub fn finish(&mut self, within: Duration) {
        self.is_last = true;
        let until = (self.clock.now)() + within;
        // Most have ended and are empty: one question for all of them.
        let mut events = vec![EpollEvent::empty(); self.streams.len().max(1)];
        let count = self.epoll().wait(&mut events, 0u8).unwrap_or(0);
        for event in events[..count].iter().filter(|event| event.data() < TIMER && is_over(event)) {
            self.end(event.data() as u32);
        }
        // A pipe's worth at most: somebody who is not ours may write for ever.
        let mut left_in = vec![BUSY_PIPE; self.streams.len()];
        loop {
            let mut moved = 0;
            for (index, left) in left_in.iter_mut().enumerate() {
                if *left > 0 && self.streams[index].is_some() && !self.must_wait(index as u32) {
                    let count = self.read(index as u32);
                    *left = left.saturating_sub(count);
                    moved += count;
                }
            }
            let is_waiting = self.outputs.iter().any(|o| lock(o).is_waiting());
            let left = until - (self.clock.now)();
            if left.is_zero() || (moved == 0 && !is_waiting) {
                break;
            }
            if is_waiting {
                self.wait_for_outputs(left);
            }
        }
        for index in 0..self.streams.len() as u32 {
            self.end(index);
        }
        self.tell();
        let until = until.max((self.clock.now)() + TICK);
        while self.outputs.iter().any(|o| lock(o).is_waiting()) {
            let left = until - (self.clock.now)();
            if left.is_zero() {
                break;
            }
            self.wait_for_outputs(left);
        }
        for output in &self.outputs {
            let (name, pending) = {
                let output = lock(output);
                (output.name(), output.pending())
            };
            if pending > 0 {
                warn!("{name} took no more: its last {pending} bytes are lost");
            }
        }
    }

    fn wait_for_outputs(&mut self, at_most: Duration) {
        let guards = self.outputs.each_ref().map(|o| {
            // Both may be one output, and a lock is taken once.
            o.try_lock().ok().filter(|o| o.is_waiting())
        });
        let mut fds: Vec<PollFd> =
            guards.iter().flatten().map(|o| PollFd::new(o.as_fd(), PollFlags::POLLOUT)).collect();
        let timeout = PollTimeout::try_from(at_most + TICK).unwrap_or(PollTimeout::MAX);
        // Interrupted or not: the caller looks at the clock.
        let _ = poll(&mut fds, timeout);
        drop(fds);
        drop(guards);
        for index in 0..self.outputs.len() {
            self.drain(index);
        }
    }
}
