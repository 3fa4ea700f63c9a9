//! What others may ask of the pump: the last lines of an instance, and to read along.

use super::follow::{Followed, FollowerId};
use super::output::BUSY_PIPE;
use super::pump::Pump;
use super::ring::RingLine;
use super::stream::Stream;
use crate::core::ids::InstanceId;

impl Pump {
    /// The last lines of an instance, the oldest first, up to what it has written by now. Lines of
    /// several instances are merged by [`RingLine::at`].
    pub fn last_lines(&mut self, instance: InstanceId, count: usize) -> Vec<RingLine> {
        self.catch_up(instance);
        self.rings.last(instance, count)
    }

    /// The same, only of what was written since its last launch.
    pub fn last_lines_of_launch(&mut self, instance: InstanceId, count: usize) -> Vec<RingLine> {
        self.catch_up(instance);
        self.rings.last_of_launch(instance, count)
    }

    /// An instance is about to be launched: all that it has written by now is of earlier launches.
    pub fn begin_launch(&mut self, instance: InstanceId) {
        if self.rings.has_some(instance) {
            self.catch_up(instance);
            self.rings.begin_launch(instance);
        }
    }

    /// Reads what an instance has written by now, but no more than its pipes hold.
    fn catch_up(&mut self, instance: InstanceId) {
        for index in 0..self.streams.len() as u32 {
            let is_its = |stream: &Stream| stream.source.slot() == instance;
            let mut left = BUSY_PIPE;
            while left > 0
                && self.streams[index as usize].as_ref().is_some_and(is_its)
                && !self.must_wait(index)
            {
                match self.read(index) {
                    0 => break,
                    count => left = left.saturating_sub(count),
                }
            }
        }
    }

    /// The lines of an instance have been shown by now, in another way than the usual one.
    pub fn mark_shown(&mut self, instance: InstanceId) {
        self.rings.mark_shown(instance);
    }

    /// An instance is no more, or its number is to be another's: nobody asks for its lines again.
    pub fn forget_lines(&mut self, instance: InstanceId) {
        self.rings.forget(instance);
    }

    /// From now on the lines of these instances (`None`: of all) wait for [`take_followed`](Self::take_followed),
    /// up to [`QUEUE_LIMIT`](super::follow::QUEUE_LIMIT); [`Event::Followed`] tells when there are some.
    pub fn follow(&mut self, whose: Option<Box<[InstanceId]>>) -> FollowerId {
        self.followers.add(whose)
    }

    /// This follower follows this instance, too, if it does not yet.
    pub fn follow_too(&mut self, id: FollowerId, instance: InstanceId) {
        self.followers.extend(id, instance);
    }

    /// Whoever follows the first of these follows the second, too: both are one to people.
    pub fn follow_also(&mut self, one: InstanceId, other: InstanceId) {
        self.followers.also(one, other);
    }

    /// What has come for a follower, about so many bytes of it; empty when that was all.
    pub fn take_followed(&mut self, id: FollowerId, bytes: usize) -> Followed {
        self.followers.take(id, bytes)
    }

    /// The follower has gone.
    pub fn unfollow(&mut self, id: FollowerId) {
        self.followers.remove(id);
    }
}
