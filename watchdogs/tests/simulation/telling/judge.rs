//! What people were told, held against what was so.

use komainu_watchdogs::outbox::Event;

use super::outbox::{State, channel_name};
use super::world::{Ms, Telling};

/// A rule of telling that can be broken, to show that the judge notices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Variant {
    /// Nobody claims a message before it is sent.
    NoClaims,
    /// A repeated message does not say so.
    Unmarked,
    /// What may have arrived is sent again without end.
    EndlessRepeats,
    /// What is late on its channel is told nowhere else.
    NoRescue,
    /// The latest beat is the one whose node's clock was the farthest ahead.
    ByWallClock,
    /// What a clock that was set back has left ahead is believed.
    ClocksBelieved,
    /// What nobody explains any more stays held.
    NeverReleased,
    /// A node explains what it ran when that went down, wherever it runs now.
    NodeOfOpening,
    /// An older event that is told instead takes back what came later.
    OvertakenCopied,
}

/// One thing that a message tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) event: usize,
    pub(crate) incident: usize,
    pub(crate) what: Event,
    /// Nobody else could be told.
    pub(crate) is_alone: bool,
}

/// A message that reached people.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Ms,
    pub(crate) channel: usize,
    pub(crate) items: Vec<Item>,
    pub(crate) is_marked: bool,
}

/// From the fault to the message: two beats, the look at them, the group's wait, and the way to the vendor.
const TOLD_WITHIN: Ms = 45_000;

/// What its own channels do not tell is told by their fallbacks, two minutes later.
const RESCUED_WITHIN: Ms = TOLD_WITHIN + 150_000;

/// The first message and three repeats.
const MOST_COPIES: usize = 4;

impl Telling {
    pub(crate) fn invariant_told_once_or_marked(&mut self, arrival: &Arrival) -> Result<(), String> {
        for item in &arrival.items {
            let copies = self.inbox.entry((arrival.channel, item.event)).or_default();
            copies.push(arrival.is_marked);
            self.counts.repeats_seen += u64::from(copies.len() > 1);
            if copies.len() > 1 && !copies.contains(&true) {
                return Err(format!("told_once_or_marked: {item:?} came twice to {}", channel_name(arrival.channel)));
            }
            if copies.len() > MOST_COPIES && !item.is_alone {
                return Err(format!("told_once_or_marked: {item:?} came {} times", copies.len()));
            }
        }
        Ok(())
    }

    pub(crate) fn hear(&mut self, arrival: &Arrival) {
        for item in &arrival.items {
            // A copy of something that was overtaken changes nobody's mind.
            let known = self.beliefs.entry((arrival.channel, item.incident)).or_insert((item.event, item.what));
            if item.event >= known.0 {
                *known = (item.event, item.what);
            }
        }
    }

    fn believes_open(&self, channel: usize, key: &str) -> bool {
        self.beliefs.iter().any(|((told, incident), (_, what))| {
            *told == channel && *what != Event::Resolved && self.outbox.incidents[*incident].key == key
        })
    }

    fn anybody_believes(&self, key: &str) -> bool {
        (0..self.moods.len()).any(|channel| self.believes_open(channel, key))
    }

    /// A target that is down for longer than the bound, seen by a living owner, while a watchdog with egress, the database
    /// and a channel work, is told; or something worse that explains it is.
    pub(crate) fn invariant_no_silence(&mut self) -> Result<(), String> {
        for monitor in 0..self.monitors.len() {
            let row = &self.monitors[monitor];
            let is_seen = row.down_since.is_some() && self.nodes[row.node].is_running();
            let key = super::world::monitor_key(monitor);
            let fair = self.fair(&key);
            let is_told = self.anybody_believes(&key)
                || self.anybody_believes(&format!("node/{}", super::world::node_name(row.node)));
            for (at, is_fair, bound) in [(0, fair.0, TOLD_WITHIN), (1, fair.1, RESCUED_WITHIN)] {
                let clock = &mut self.monitors[monitor].untold_since[at];
                *clock = (is_seen && is_fair && !is_told).then(|| clock.unwrap_or(self.now));
                if clock.is_some_and(|since| self.now - since > bound) {
                    return Err(format!("no_silence: monitor {monitor} is down and nobody was told for {bound} ms"));
                }
            }
        }
        Ok(())
    }

    /// Whether a channel of the first choice could tell, and whether any could that is told instead.
    fn fair(&self, key: &str) -> (bool, bool) {
        let has_egress = self.dogs.iter().any(|dog| dog.is_running(self.now) && dog.has_egress);
        let works = |channel: usize| {
            let is_free = self.moods[channel].works() && self.now >= self.paused_until[channel];
            is_free && !self.outbox.has_given_up(channel, key)
        };
        let is_up = self.is_database_up && has_egress;
        let mut first = (0..self.moods.len()).filter(|channel| self.is_first_choice(*channel));
        let fallback = self.moods.len() - 1;
        (is_up && first.any(works), is_up && !self.is_first_choice(fallback) && works(fallback))
    }

    /// Nothing is told down that its owner saw up.
    pub(crate) fn invariant_no_false_alarm(&self, monitor: usize) -> Result<(), String> {
        if self.monitors[monitor].was_up_for_owner {
            return Err(format!("no_false_alarm: monitor {monitor} is told down, its owner saw it up"));
        }
        Ok(())
    }

    /// After everything has been well for long enough, nothing is open, and nobody believes that something is.
    pub(crate) fn invariant_every_incident_ends(&self) -> Result<(), String> {
        // A channel that nobody needs any more is not known to work again until it is used.
        let is_told = |key: &str| !key.starts_with("channel/");
        let mut open = self.outbox.incidents.iter().filter(|incident| incident.is_open);
        if let Some(open) = open.find(|incident| is_told(&incident.key)) {
            return Err(format!("every_incident_ends: {} is still open", open.key));
        }
        for ((channel, incident), (_, what)) in &self.beliefs {
            let rows = self.outbox.deliveries.iter().filter(|row| (row.channel, row.incident) == (*channel, *incident));
            let was_refused = rows.clone().any(|row| row.state == State::Failed);
            let key = &self.outbox.incidents[*incident].key;
            if *what != Event::Resolved && !was_refused && is_told(key) {
                return Err(format!("every_incident_ends: {} believes that {key} is {what:?}", channel_name(*channel)));
            }
        }
        let waits = |row: &super::outbox::Delivery| {
            matches!(row.state, State::Waiting | State::Held) && is_told(&self.outbox.incidents[row.incident].key)
        };
        match self.outbox.deliveries.iter().find(|row| waits(row)) {
            Some(row) => Err(format!("every_incident_ends: a delivery is still there: {row:?}")),
            None => Ok(()),
        }
    }
}
