//! Who reads along: `minisup logs -f`.
//!
//! A follower has a queue with a limit, and what does not fit is counted, not kept: somebody
//! who reads slowly, or has fallen asleep over it, holds up neither the services nor us.

use super::ring::{Facts, RingLine};
use crate::core::ids::InstanceId;
use memchr::memchr_iter;
use std::collections::VecDeque;

/// So many bytes of lines wait for one follower at most.
pub const QUEUE_LIMIT: usize = 256 * 1024;
/// What a line in the queue costs besides its bytes.
const LINE: usize = size_of::<RingLine>();

/// One who reads along. Never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FollowerId(u32);

/// What has come for a follower.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Followed {
    /// The lines, in the order in which they were read.
    pub lines: Vec<RingLine>,
    /// So many lines, which came after these, were lost because the queue was full.
    pub lost: u64,
}

/// All of them.
#[derive(Default)]
pub(super) struct Followers {
    list: Vec<Follower>,
    next: u32,
}

struct Follower {
    id: FollowerId,
    /// `None`: all.
    whose: Option<Box<[InstanceId]>>,
    queue: VecDeque<RingLine>,
    bytes: usize,
    lost: u64,
}

impl Followers {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn add(&mut self, whose: Option<Box<[InstanceId]>>) -> FollowerId {
        let id = FollowerId(self.next);
        self.next = self.next.wrapping_add(1);
        self.list.push(Follower { id, whose, queue: VecDeque::new(), bytes: 0, lost: 0 });
        id
    }

    /// Whoever follows the one follows the other, too.
    pub(super) fn also(&mut self, one: InstanceId, other: InstanceId) {
        for whose in self.list.iter_mut().filter_map(|follower| follower.whose.as_mut()) {
            if whose.contains(&one) {
                include(whose, other);
            }
        }
    }

    /// This one follows this instance, too.
    pub(super) fn extend(&mut self, id: FollowerId, instance: InstanceId) {
        let follower = self.list.iter_mut().find(|follower| follower.id == id);
        if let Some(whose) = follower.and_then(|follower| follower.whose.as_mut()) {
            include(whose, instance);
        }
    }

    pub(super) fn remove(&mut self, id: FollowerId) {
        self.list.retain(|follower| follower.id != id);
    }

    /// Takes at most so many bytes of lines for this follower.
    pub(super) fn take(&mut self, id: FollowerId, bytes: usize) -> Followed {
        let Some(follower) = self.list.iter_mut().find(|follower| follower.id == id) else {
            return Followed::default();
        };
        let mut followed = Followed::default();
        let mut taken = 0;
        while taken < bytes.max(1)
            && let Some(line) = follower.queue.pop_front()
        {
            taken += line.text.len() + LINE;
            followed.lines.push(line);
        }
        follower.bytes -= taken;
        if follower.queue.is_empty() {
            follower.queue = VecDeque::new();
            followed.lost = std::mem::take(&mut follower.lost);
        }
        followed
    }

    /// Some lines have come: the bytes of `head`, then those of `tail`, the last perhaps
    /// without its newline. Calls `woken` for each follower who had nothing before.
    pub(super) fn push(
        &mut self,
        instance: InstanceId,
        head: &[u8],
        tail: &[u8],
        facts: Facts,
        mut woken: impl FnMut(FollowerId),
    ) {
        for follower in &mut self.list {
            if follower.whose.as_ref().is_some_and(|whose| !whose.contains(&instance)) {
                continue;
            }
            let had_none = follower.queue.is_empty() && follower.lost == 0;
            let text = tail.strip_suffix(b"\n").unwrap_or(tail);
            let mut from = 0;
            for end in memchr_iter(b'\n', text).chain([text.len()]) {
                let before = if from == 0 { head } else { b"" };
                let line = &text[from..end];
                from = end + 1;
                let cost = before.len() + line.len() + LINE;
                // Once it has begun to lose it goes on until all has been taken: one gap, not many.
                if follower.lost > 0 || follower.bytes + cost > QUEUE_LIMIT {
                    follower.lost += 1;
                    continue;
                }
                follower.bytes += cost;
                let continues = facts.continues && end == text.len();
                let text = [before, line].concat().into();
                follower.queue.push_back(RingLine { text, continues, ..facts.line(instance) });
            }
            if had_none {
                woken(follower.id);
            }
        }
    }
}

fn include(whose: &mut Box<[InstanceId]>, other: InstanceId) {
    if !whose.contains(&other) {
        *whose = whose.iter().copied().chain([other]).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Std;

    const FACTS: Facts = Facts { at: (1, 2), stream: Std::Err, continues: false, shown: false };
    const WEB: InstanceId = InstanceId(1);

    #[test]
    fn a_follower_gets_the_lines_of_those_whom_it_follows() {
        let mut all = Followers::default();
        let one = all.add(Some([WEB].into()));
        let mut woken = Vec::new();
        all.push(InstanceId(2), b"", b"not mine\n", FACTS, |id| woken.push(id));
        all.push(WEB, b"fi", b"rst\nsecond\n", FACTS, |id| woken.push(id));
        all.push(WEB, b"", b"third\n", FACTS, |id| woken.push(id));
        assert_eq!(woken, [one], "told once");
        let Followed { lines, lost } = all.take(one, usize::MAX);
        let texts: Vec<_> = lines.iter().map(|line| &*line.text).collect();
        assert_eq!((texts, lost), (vec![&b"first"[..], b"second", b"third"], 0));
        assert_eq!(all.take(one, usize::MAX), Followed::default());
        all.remove(one);
        assert!(all.is_empty());
    }

    #[test]
    fn a_slow_follower_loses_lines_and_learns_how_many() {
        let mut all = Followers::default();
        let one = all.add(None);
        for _ in 0..1000 {
            all.push(WEB, b"", &[b"x".repeat(999).as_slice(), b"\n"].concat(), FACTS, drop);
        }
        let (mut lines, mut lost) = (0, 0);
        loop {
            let followed = all.take(one, 10_000);
            if followed == Followed::default() {
                break;
            }
            lines += followed.lines.len();
            lost += followed.lost;
        }
        assert!((200..300).contains(&lines), "{lines}");
        assert_eq!(lines as u64 + lost, 1000);
        all.push(WEB, b"", b"again\n", FACTS, drop);
        assert_eq!(all.take(one, 1).lines.len(), 1);
    }
}
