//! What people believe of checks after what they were told in this outage.

use std::collections::BTreeMap;
use std::time::Duration;

use super::news_number;
use crate::blackout::messages::{Change, ToldLine};
use crate::outbox::Event;
use crate::time::Mono;

/// By channel and key.
#[derive(Debug, Default)]
pub(super) struct Beliefs {
    /// Of the channel that it was meant for.
    meant: BTreeMap<(String, String), Belief>,
    /// Whoever carried that it opened, and not yet that it is over.
    heard: BTreeMap<(String, String), Change>,
}

/// What was told last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Belief {
    pub(super) is_open: bool,
    pub(super) flaps: u32,
    pub(super) at: Mono,
}

impl Beliefs {
    /// From everything that was told, with its age.
    pub(super) fn of<'a>(now: Mono, told: impl Iterator<Item = (&'a ToldLine, Duration)>) -> Self {
        let numbered = told.filter_map(|(said, age)| Some((news_number(&said.line)?, said, now - age)));
        let mut numbered: Vec<_> = numbered.collect();
        // As it was told: numbers are those of one channel, and say nothing of another's.
        numbered.sort_by_key(|(number, said, at)| (*at, *number, &said.line.channel));
        let mut beliefs = Self::default();
        for (_, said, at) in numbered {
            for change in &said.changes {
                beliefs.take(said, change, at);
            }
        }
        beliefs
    }

    fn take(&mut self, said: &ToldLine, change: &Change, at: Mono) {
        let (key, flaps) = (&change.key, change.flaps);
        let is_open = change.event != Event::Resolved;
        let of = |channel: &String| (channel.clone(), key.clone());
        self.meant.insert(of(&said.line.channel), Belief { is_open, flaps, at });
        if is_open {
            self.heard.insert(of(&said.via), change.clone());
            return;
        }
        self.heard.remove(&of(&said.line.channel));
        // Whoever was told by another channel, which has told the end now, is told no other.
        let is_told = !self.heard.keys().any(|(_, other)| other == key);
        let others = self.meant.iter_mut().filter(|((_, other), belief)| is_told && other == key && belief.is_open);
        others.for_each(|(_, belief)| *belief = Belief { is_open, flaps: belief.flaps.max(flaps), at });
    }

    pub(super) fn of_channel(&self, channel: &str, key: &str) -> Option<&Belief> {
        self.meant.get(&(channel.to_owned(), key.to_owned()))
    }

    /// Whether this channel was told anything of it, or told it for another.
    pub(super) fn is_known(&self, channel: &str, key: &str) -> bool {
        let at = (channel.to_owned(), key.to_owned());
        self.meant.contains_key(&at) || self.heard.contains_key(&at)
    }

    pub(super) fn heard(&self) -> impl Iterator<Item = (&(String, String), &Change)> {
        self.heard.iter()
    }
}
