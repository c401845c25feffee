//! Whether people can be told, as each watchdog sees it: held against what was so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::io::Severity;
use komainu_watchdogs::outbox::Event;
use komainu_watchdogs::telling::{self, Facts, Part};
use komainu_watchdogs::time::Wall;
use komainu_watchdogs::view::Health;

use super::dark::clock;
use super::judge::Variant;
use super::outbox::{Delivery, Outbox, State, channel_name, key_of};
use super::world::{Ms, TICK, Telling};

/// What lasts for so long is down.
const LIMIT: Duration = Duration::from_secs(900);

/// From then on it is said that a critical reached nobody: `UNTOLD_AFTER`, and a look.
const LONGEST: Ms = 307_000;

impl Telling {
    /// How each part of the work fares: all of them need the database, and nothing else.
    pub(super) fn note_parts(&mut self, dog: usize) {
        let (now, is_well) = (clock(dog, self.now), self.is_database_up);
        let fallbacks = self.outbox.fallbacks.iter().enumerate();
        let fallbacks: BTreeMap<_, _> =
            fallbacks.filter_map(|(at, to)| Some((channel_name(at), channel_name((*to)?)))).collect();
        let routing = &self.outbox.routing;
        let fresh = || telling::Telling::new(now, routing, &fallbacks, LIMIT);
        let voice = self.dogs[dog].voice.get_or_insert_with(fresh);
        for part in Part::ALL {
            voice.note(now, part, is_well);
        }
    }

    /// What the outbox shows.
    pub(super) fn see_telling(&mut self, dog: usize) {
        let (now, facts) = (clock(dog, self.now), self.outbox.facts(self.wall()));
        let facts = if self.is_broken(Variant::TellingUnseen) { Facts::default() } else { facts };
        if let Some(voice) = &mut self.dogs[dog].voice {
            voice.see(now, facts);
        }
    }

    /// While a critical waits that reached nobody for long, no watchdog that saw it says that people can be told.
    pub(super) fn invariant_no_false_calm_of_telling(&mut self) -> Result<(), String> {
        let waiting = self.untold();
        for dog in 0..self.dogs.len() {
            let is_running = self.dogs[dog].is_running(self.now);
            let row = &mut self.dogs[dog];
            row.untold_for.retain(|event, _| waiting.contains(event));
            if !is_running || !self.is_database_up {
                continue;
            }
            for event in &waiting {
                *row.untold_for.entry(*event).or_default() += TICK;
            }
            let longest = row.untold_for.values().copied().max().unwrap_or_default();
            let health = row.voice.as_ref().map(|voice| voice.ability(clock(dog, self.now)).health);
            if longest > LONGEST && health == Some(Health::Ok) {
                return Err(format!(
                    "no_false_calm: a critical reached nobody for {longest} ms, w{dog} says all is well"
                ));
            }
            self.counts.untold_views += u64::from(longest > LONGEST);
        }
        Ok(())
    }

    /// Events of criticals that are due and have reached nobody.
    fn untold(&self) -> BTreeSet<usize> {
        let now = self.wall();
        let is_told = |row: &Delivery| (0..self.moods.len()).any(|at| self.inbox.contains_key(&(at, row.event)));
        let rows = self.outbox.deliveries.iter().filter(|row| self.outbox.is_untold(now, row) && !is_told(row));
        rows.map(|row| row.event).collect()
    }

    /// After everything has been well for long enough, nobody misses a message, and nothing fails.
    pub(super) fn invariant_no_false_alarm_of_telling(&self) -> Result<(), String> {
        for (dog, row) in self.dogs.iter().enumerate() {
            let ability = row.voice.as_ref().map(|voice| voice.ability(clock(dog, self.now)));
            let reasons = ability.map(|ability| ability.reasons).unwrap_or_default();
            // A channel that nobody needs any more is not known to work again until it is used.
            let is_of_use = |reason: &String| reason.contains("no channel");
            // What may have arrived, and nobody else can tell, is repeated seldom: until then it is missed in truth.
            let is_true =
                |reason: &String| reason.contains("a critical") && self.outbox.does_any_untold_rest(self.wall());
            if let Some(reason) = reasons.iter().find(|reason| !is_of_use(reason) && !is_true(reason)) {
                return Err(format!("no_false_alarm: all is well, and w{dog} says {reason}"));
            }
        }
        Ok(())
    }
}

impl Outbox {
    /// As the store reads it.
    fn facts(&self, now: Wall) -> Facts {
        let failing = self.channels.iter().enumerate().filter(|(_, channel)| channel.failures > 0);
        let untold = self.deliveries.iter().filter(|row| self.is_untold(now, row));
        Facts {
            failing: failing.map(|(at, _)| channel_name(at)).collect(),
            untold: untold.map(|row| key_of(row.incident)).collect(),
        }
    }

    fn does_any_untold_rest(&self, now: Wall) -> bool {
        self.deliveries.iter().any(|row| row.is_alone && row.rests(now) && self.is_untold(now, row))
    }

    /// It is due, of a critical, and nobody was told of its event. Reminders say what was told before.
    fn is_untold(&self, now: Wall, row: &Delivery) -> bool {
        let is_news = !matches!(self.events[row.event], Event::Reminder | Event::Acknowledged | Event::Resolved);
        let is_critical = self.incidents[row.incident].severity == Severity::Critical;
        let is_due = row.state == State::Waiting && row.due_at <= now;
        let is_told =
            |row: &Delivery| self.deliveries.iter().any(|other| other.event == row.event && other.state == State::Sent);
        is_due && is_critical && is_news && !is_told(row)
    }
}
