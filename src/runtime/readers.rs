//! Clients that read logs: first what the rings have, then, if they follow, what comes.
//!
//! A reader gets as much as it takes. What it is slow for waits with the pump, which bounds
//! it, counts what is lost, and lets nobody wait for the reader.

use super::answers;
use super::names;
use super::turn::Turn;
use crate::control::server::ClientId;
use crate::control::wire;
use crate::core::ids::InstanceId;
use crate::core::sorted;
use crate::log::{FollowerId, RingLine};
use std::collections::VecDeque;

/// So much of what waits for a follower is taken at once, in bytes.
const SIP: usize = 16 * 1024;

/// So much of it is given in one turn, in bytes: some milliseconds' work.
const TURN: usize = 256 * 1024;

/// What a line costs besides its text, in bytes.
const LINE: usize = 150;

/// A client that reads logs.
pub(super) struct Reader {
    client: ClientId,
    /// Lines of the rings that it has not got yet.
    past: VecDeque<RingLine>,
    /// What comes, if it follows.
    follower: Option<FollowerId>,
    /// Of whom; nobody means all.
    names: Vec<String>,
}

/// Which of the lines that there are already.
pub(super) struct Past {
    /// So many of each instance; `None`: all.
    pub(super) lines: Option<u32>,
    /// Only those since its last launch.
    pub(super) last_launch: bool,
}

impl Turn {
    /// A client wants the last lines of these instances, the newest last, and with `follow` what comes after
    /// them, in which case names mean also those that are still to be; none means all.
    pub(super) fn read_logs(
        &mut self,
        client: ClientId,
        chosen: &[InstanceId],
        names: Vec<String>,
        wanted: Past,
        follow: bool,
    ) {
        let count = wanted.lines.map_or(usize::MAX, |lines| lines as usize);
        let mut past = Vec::new();
        for instance in chosen {
            past.extend(match wanted.last_launch {
                true => self.pump.last_lines_of_launch(*instance, count),
                false => self.pump.last_lines(*instance, count),
            });
        }
        // Stable: what was read at the same moment stays in its order.
        sorted::sort_by_key(&mut past, |line| line.at);
        // After the rings were read, and before anything else is: no gap, and nothing twice.
        let whose = (!names.is_empty()).then(|| chosen.into());
        let follower = follow.then(|| self.pump.follow(whose));
        self.clients.readers.push(Reader { client, past: past.into(), follower, names });
        self.pour(client);
    }

    /// An instance is to be launched: whoever follows somebody of its name follows it, also if it is new.
    pub(super) fn follow_by_name(&mut self, instance: InstanceId) {
        for reader in &self.clients.readers {
            let means_it = |name: &String| {
                names::instances(&self.supervisor, std::slice::from_ref(name))
                    .is_ok_and(|all| all.contains(&instance))
            };
            if let Some(follower) = reader.follower
                && reader.names.iter().any(means_it)
            {
                self.pump.follow_too(follower, instance);
            }
        }
    }

    /// There is something for this follower.
    pub(super) fn pour_followed(&mut self, follower: FollowerId) {
        let reader = self.clients.readers.iter().find(|reader| reader.follower == Some(follower));
        if let Some(client) = reader.map(|reader| reader.client) {
            self.pour(client);
        }
    }

    /// Gives a reader as much as it takes.
    pub(super) fn pour(&mut self, client: ClientId) {
        let Some(index) = self.clients.readers.iter().position(|reader| reader.client == client) else {
            return;
        };
        let mut given = 0;
        while self.clients.server.has_room(client) {
            if given >= TURN {
                return self.clients.server.go_on_later(client);
            }
            let reader = &mut self.clients.readers[index];
            if let Some(line) = reader.past.pop_front() {
                given += line.text.len() + LINE;
                self.give(client, line);
                continue;
            }
            reader.past = VecDeque::new();
            let Some(follower) = reader.follower else {
                self.clients.readers.swap_remove(index);
                return self.clients.server.answer(client, &wire::Reply::Done);
            };
            let followed = self.pump.take_followed(follower, SIP);
            if followed.lines.is_empty() && followed.lost == 0 {
                return;
            }
            for line in followed.lines {
                given += line.text.len() + LINE;
                self.give(client, line);
            }
            if followed.lost > 0 {
                let event = answers::dropped(followed.lost, "lines");
                self.clients.server.send(client, &wire::Reply::Event(event));
            }
        }
    }

    fn give(&mut self, client: ClientId, line: RingLine) {
        let line = answers::log_line(&self.supervisor, line);
        self.clients.server.send(client, &wire::Reply::Log(line));
    }

    /// A reader has gone, if it was one.
    pub(super) fn stop_reading(&mut self, client: ClientId) {
        let Some(index) = self.clients.readers.iter().position(|reader| reader.client == client) else {
            return;
        };
        if let Some(follower) = self.clients.readers.swap_remove(index).follower {
            self.pump.unfollow(follower);
        }
    }
}
