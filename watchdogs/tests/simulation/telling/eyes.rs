//! Checks: targets that the watchdogs look at themselves, whatever becomes of the database. They fall and rise, and people are told.

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::blackout::{Bad, Change, Line, Open, Picture};
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::outbox::Event;
use komainu_watchdogs::routing::Subject;
use komainu_watchdogs::time::Wall;

use super::judge::{Arrival, Variant};
use super::outbox::{Incident, Outbox, State, channel_index, channel_name};
use super::world::{Ms, TICK, Telling};

/// From the fault to the verdict of a majority.
const VERDICT: Ms = 2_000;

/// What is well for so long is called over.
const CALM: Ms = 7_000;

/// While people know that the database is away, and nothing hinders anybody: the verdict, the group's wait, the pause between two attempts,
/// one attempt of the speaker before, and what it tells.
const TOLD_WITHIN: Ms = 45_000;

#[derive(Clone, Debug, Default)]
pub(crate) struct Eye {
    pub(super) down_since: Option<Ms>,
    /// By the database's clock of that moment.
    began_at: Wall,
    pub(super) up_since: Ms,
    /// The judge's: while somebody could have told.
    untold_for: Ms,
}

/// Something that one channel was told of a check.
#[derive(Clone, Debug)]
pub(super) struct News {
    pub(super) meant: usize,
    pub(super) via: usize,
    pub(super) is_sent: bool,
    pub(super) at: Wall,
    pub(super) notice: String,
    pub(super) change: Change,
}

fn check_key(check: usize) -> String {
    format!("check/c{check}")
}

fn alarm(key: &str) -> Alarm {
    Alarm { key: key.to_owned(), severity: Severity::Critical, summary: String::new(), votes: (1, 1) }
}

impl Telling {
    /// A target falls, or is back.
    pub(super) fn turn_check(&mut self) {
        let check = self.rng.index(self.eyes.len());
        let (now, wall) = (self.now, self.wall());
        self.counts.check_turns += 1;
        let row = &mut self.eyes[check];
        if row.down_since.take().is_some() {
            row.up_since = now;
        } else {
            (row.down_since, row.began_at) = (Some(now), wall);
        }
    }

    fn is_seen_down(&self, check: usize) -> bool {
        self.eyes[check].down_since.is_some_and(|since| self.now >= since + VERDICT)
    }

    /// What a watchdog that reaches the outside world does about its checks while the tables are there.
    pub(super) fn look_at_checks(&mut self, dog: usize) {
        if !self.dogs[dog].has_egress {
            return;
        }
        for check in 0..self.eyes.len() {
            let (key, now) = (check_key(check), self.wall());
            if self.is_seen_down(check) {
                self.counts.incidents += u64::from(self.outbox.open(now, &alarm(&key), None));
                continue;
            }
            let is_calm = self.eyes[check].down_since.is_none() && self.now >= self.eyes[check].up_since + CALM;
            if let Some(incident) = self.outbox.is_open(&key).filter(|_| is_calm) {
                self.outbox.resolve(now, incident);
            }
        }
    }

    /// What one watchdog knows of checks; nothing, where it is cut off.
    pub(super) fn picture(&self, dog: usize) -> Option<Picture> {
        if !self.dogs[dog].has_egress || self.is_broken(Variant::ChecksUnseen) {
            return None;
        }
        let mut picture = Picture { open: self.dogs[dog].dark.open.clone(), ..Picture::default() };
        for check in 0..self.eyes.len() {
            let key = check_key(check);
            let (row, alarm) = (&self.eyes[check], alarm(&key));
            if self.is_seen_down(check) {
                let channels = self.outbox.who_hears(&alarm, row.began_at);
                let Alarm { severity, summary, votes, .. } = alarm;
                picture.bad.insert(key, Bad { began_at: row.began_at, severity, summary, votes, channels });
            } else if row.down_since.is_some() || self.now < row.up_since + VERDICT {
                picture.unknown.insert(key);
            }
        }
        Some(picture)
    }

    /// What people believe after a message that told of checks.
    pub(super) fn hear_of_checks(&mut self, arrival: &Arrival) {
        for change in &arrival.news {
            self.counts.news_heard += 1;
            let at = (arrival.channel, change.key.clone());
            if arrival.by_fallback {
                self.unsure_checks.insert(at.clone());
            }
            self.check_beliefs.insert(at, change.event != Event::Resolved);
        }
        for item in arrival.items.iter().filter(|item| item.what != Event::Acknowledged) {
            let known = self.beliefs.get(&(arrival.channel, item.incident));
            let key = &self.outbox.incidents[item.incident].key;
            if key.starts_with("check/") && known.is_none_or(|known| item.event >= known.0) {
                self.check_beliefs.insert((arrival.channel, key.clone()), item.what != Event::Resolved);
            }
        }
    }

    /// A check that is down is told while the database is away, and people know that, where all watchdogs run and reach channels that work.
    pub(super) fn invariant_no_silence_of_checks(&mut self) -> Result<(), String> {
        let has_teller = self.dogs.iter().all(|dog| dog.is_running(self.now) && dog.has_egress);
        let could_tell = (0..self.moods.len()).all(|channel| self.moods[channel].works());
        let is_same_night = self.lasting_checks == self.is_database_up;
        self.lasting_checks = self.is_database_up;
        for check in 0..self.eyes.len() {
            let key = check_key(check);
            let is_told = self.check_beliefs.iter().any(|((_, known), is_open)| *known == key && *is_open);
            let is_fair = has_teller && could_tell && is_same_night && !self.is_database_up && self.is_explained();
            let row = &mut self.eyes[check];
            let is_silent = row.down_since.is_some() && !is_told && is_fair;
            row.untold_for = if is_silent { row.untold_for + TICK } else { 0 };
            self.counts.dark_views += u64::from(row.down_since.is_some() && is_told && is_fair);
            if row.untold_for > TOLD_WITHIN {
                return Err(format!("no_silence: {key} is down and nobody was told for {} ms", row.untold_for));
            }
        }
        Ok(())
    }

    /// Nobody believes that a check is down when all is well.
    pub(super) fn invariant_news_of_checks_end(&self) -> Result<(), String> {
        for ((channel, key), is_open) in &self.check_beliefs {
            let rows = self.outbox.deliveries.iter().filter(|row| row.channel == *channel);
            let is_of_it = |row: &super::outbox::Delivery| self.outbox.incidents[row.incident].key == *key;
            let was_refused = rows.clone().any(|row| is_of_it(row) && row.state == State::Failed);
            let is_unsure = self.unsure_checks.contains(&(*channel, key.clone()));
            if *is_open && !was_refused && !is_unsure {
                return Err(format!("every_incident_ends: {} believes that {key} is down", channel_name(*channel)));
            }
        }
        Ok(())
    }
}

impl Outbox {
    /// `at`: when it was entered, or would be.
    fn who_hears(&self, alarm: &Alarm, at: Wall) -> BTreeSet<String> {
        self.planned(at, &Subject::of(alarm)).into_iter().map(|planned| planned.channel).collect()
    }

    /// What people believe of checks, by the tables: whoever was to be told that one is open, but for those who still wait; and whoever
    /// waits to be told that it is over.
    pub(super) fn believed(&self) -> BTreeMap<String, Open> {
        let mut believed: BTreeMap<String, Open> = BTreeMap::new();
        let of_checks = |incident: &Incident| incident.key.starts_with("check/");
        for incident in self.incidents.iter().filter(|incident| incident.is_open && of_checks(incident)) {
            let channels = self.who_hears(&alarm(&incident.key), incident.opened_at);
            let (began_at, severity) = (incident.opened_at, incident.severity);
            believed.insert(incident.key.clone(), Open { began_at, severity, channels });
        }
        for row in self.deliveries.iter().filter(|row| row.state == State::Waiting) {
            let (incident, channel) = (&self.incidents[row.incident], channel_name(row.channel));
            if !of_checks(incident) {
                continue;
            }
            let (began_at, severity) = (incident.opened_at, incident.severity);
            match self.events[row.event] {
                Event::Resolved => {
                    let fresh = Open { began_at, severity, channels: BTreeSet::new() };
                    believed.entry(incident.key.clone()).or_insert(fresh).channels.insert(channel);
                }
                Event::Opened | Event::Worse | Event::Flapping => {
                    if let Some(open) = believed.get_mut(&incident.key) {
                        open.channels.remove(&channel);
                    }
                }
                Event::Reminder | Event::Acknowledged => {}
            }
        }
        believed
    }

    /// The first incident of this key that is open, or ended after so many events.
    fn same_check(&self, key: &str, events: usize) -> Option<usize> {
        let is_same =
            |incident: &Incident| incident.key == key && (incident.is_open || incident.events_before_end >= events);
        self.incidents.iter().position(is_same)
    }

    /// What was told of one check, in the order of telling: as the store enters it.
    pub(super) fn enter_news(&mut self, now: Wall, key: &str, (mut told, events): (Vec<News>, usize)) {
        // What a channel told later for sure says what is believed there.
        let mut known = BTreeSet::new();
        told.reverse();
        told.retain(|one| {
            let is_new = !known.contains(&one.via);
            known.extend(one.is_sent.then_some(one.via));
            is_new
        });
        told.reverse();
        told.retain(|one| !self.entered_news.contains(&(key.to_owned(), one.via, one.notice.clone())));
        let Some(last) = told.last().map(|one| one.change.clone()) else { return };
        let last_at = told.last().map(|one| one.at).unwrap_or_default();
        let (is_end, is_back) = (last.event == Event::Resolved, told.iter().any(|one| one.change.is_back));
        let mut same = self.same_check(key, events);
        let is_later = |incident: &Incident| incident.is_open && incident.opened_at > last_at;
        if is_end && same.is_some_and(|at| is_later(&self.incidents[at])) {
            return;
        }
        let is_earlier = |incident: &Incident| incident.opened_at < last.began_at;
        if let Some(at) = same.filter(|at| is_back && !is_end && is_earlier(&self.incidents[*at])) {
            if self.incidents[at].is_open {
                self.resolve(now, at);
                for one in &told {
                    self.mark_news(now, at, (one, true));
                }
            }
            same = None;
        }
        if same.is_none() {
            self.open(now, &alarm(key), None);
        }
        let Some(incident) = self.same_check(key, events) else { return };
        self.incidents[incident].opened_at = self.incidents[incident].opened_at.min(last.began_at);
        for one in told.iter().filter(|one| one.change.event != Event::Resolved) {
            if !self.mark_news(now, incident, (one, false)) && one.is_sent {
                self.enter_heard(now, incident, one.via);
            }
            let opened = self.deliveries.iter().filter(|row| row.incident == incident);
            let opened = opened.filter(|row| self.events[row.event] != Event::Resolved).map(|row| row.event).max();
            if let Some(event) = opened {
                self.tell_end(now, (event, incident), one.via);
            }
        }
        if is_end {
            if self.incidents[incident].is_open {
                self.resolve(now, incident);
            }
            for one in told.iter().filter(|one| one.change.event == Event::Resolved) {
                self.mark_news(now, incident, (one, true));
            }
        }
        let entered = told.into_iter().filter(|one| one.is_sent);
        self.entered_news.extend(entered.map(|one| (key.to_owned(), one.via, one.notice)));
    }

    /// What waits for that channel was told, or may have been; whether anything did.
    fn mark_news(&mut self, now: Wall, incident: usize, (one, is_end): (&News, bool)) -> bool {
        let mut is_any = false;
        // Whoever believes that it is open is still to hear of the end, whoever else was told instead.
        if (is_end || !one.is_sent) && one.via != one.meant {
            return false;
        }
        // Whoever was told since that it is open, or is being told, is still to hear of the end.
        let is_otherwise = |row: &super::outbox::Delivery| {
            let is_begun = row.state == State::Waiting && (row.is_begun || row.is_claimed(now));
            let is_later = row.state == State::Sent && row.sent_at > one.at;
            (row.incident, row.channel) == (incident, one.via)
                && self.events[row.event] != Event::Resolved
                && (is_begun || is_later)
        };
        if is_end && one.is_sent && self.deliveries.iter().any(is_otherwise) {
            return false;
        }
        for at in 0..self.deliveries.len() {
            let row = &self.deliveries[at];
            let is_it = (row.incident, row.channel, row.state) == (incident, one.meant, State::Waiting)
                && (self.events[row.event] == Event::Resolved) == is_end;
            let is_claimed = row.is_claimed(now);
            let row = &mut self.deliveries[at];
            if is_it && one.is_sent && (one.via == one.meant || !row.is_begun) {
                (row.state, row.claim, row.sent_at, row.channel) = (State::Sent, None, now, one.via);
                is_any = true;
            } else if is_it && !one.is_sent && !row.is_begun && !is_claimed {
                row.is_begun = true;
                row.notice = Some(u64::try_from(at).unwrap());
                is_any = true;
            }
        }
        is_any
    }

    fn enter_heard(&mut self, now: Wall, incident: usize, via: usize) {
        let bad = self.deliveries.iter().filter(|row| row.incident == incident).map(|row| row.event);
        let Some(event) = bad.filter(|event| self.events[*event] != Event::Resolved).max() else { return };
        let is_told = |row: &super::outbox::Delivery| {
            (row.incident, row.event, row.channel, row.state) == (incident, event, via, State::Sent)
        };
        if !self.deliveries.iter().any(is_told) {
            self.enter_sent(now, (event, incident), via);
        }
    }
}

/// The news that a line told, one for each check.
pub(super) fn news(
    line: &Line,
    via: &str,
    (at, is_sent, notice): (Wall, bool, &str),
    changes: &[Change],
) -> Vec<(String, News)> {
    let (meant, via) = (channel_index(&line.channel), channel_index(via));
    let notice = format!("{notice} {}", line.topic);
    let one = |change: &Change| {
        // The message's id comes from its words, too.
        let notice = format!("{notice} {}", change.event.as_str());
        let news = News { meant, via, is_sent, at, notice, change: change.clone() };
        (change.key.clone(), news)
    };
    changes.iter().map(one).collect()
}
