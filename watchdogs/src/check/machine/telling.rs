//! What is wrong with checks, as incidents: `check/NAME`, `partial/NAME`, and `checks` for those that nobody can judge.

use std::collections::{BTreeMap, BTreeSet};

use super::Machine;
use super::slot::Slot;
use crate::check::{CheckName, Outcome, Output, Reason, Stand, State, View};
use crate::facts::IncidentRow;
use crate::io::{self, Alarm, Severity};
use crate::time::{Mono, Wall};

/// Some checks have had no fresh majority for long.
const UNJUDGED: &str = "checks";

/// Whether an incident of this key is a check's, or says that some cannot be judged.
pub fn is_incident_of_checks(key: &str) -> bool {
    matches!(key.split_once('/').map_or(key, |(kind, _)| kind), "check" | "partial" | UNJUDGED)
}

/// Checks whose verdict is not simply up.
#[derive(Debug, Default)]
pub(super) struct Bad {
    down: BTreeSet<CheckName>,
    partial: BTreeSet<CheckName>,
    /// Since when each cannot be judged.
    unknown: BTreeMap<CheckName, Mono>,
    /// What was said last of each incident while it was clear: its words, and its votes.
    said: BTreeMap<String, (String, (u32, u32))>,
}

impl Bad {
    pub(super) fn note(&mut self, name: &CheckName, slot: &Slot) {
        let (state, reason) = slot.verdict;
        self.down.remove(name);
        self.partial.remove(name);
        match state {
            State::Down => drop(self.down.insert(name.clone())),
            State::Partial => drop(self.partial.insert(name.clone())),
            State::Unknown if reason != Reason::Paused => {
                self.unknown.entry(name.clone()).or_insert(slot.changed_at);
                return;
            }
            State::Up | State::Unknown => {}
        }
        self.unknown.remove(name);
    }

    pub(super) fn forget(&mut self, name: &CheckName) {
        self.down.remove(name);
        self.partial.remove(name);
        self.unknown.remove(name);
    }
}

impl Machine {
    pub(super) fn handle_incidents(&mut self, now: Mono, open: &[IncidentRow]) {
        let found = self.alarms(now);
        let open: Vec<_> = open.iter().filter(|row| self.may_judge(&row.key)).cloned().collect();
        for output in self.incidents.handle_round(now, found, &open) {
            match output {
                io::Output::Raise(alarm) => self.outputs.push_back(Output::Raise(alarm)),
                io::Output::Resolve { key, last_bad_at } => {
                    self.outputs.push_back(Output::Resolve { key, last_bad_at });
                }
                io::Output::ReadRound
                | io::Output::Write(_)
                | io::Output::Errand(_)
                | io::Output::ReadProgress(_)
                | io::Output::Probe(_)
                | io::Output::Leadership(_)
                | io::Output::ReadShard
                | io::Output::Commit(_)
                | io::Output::Announce(_)
                | io::Output::Hint(_)
                | io::Output::LostTail(_) => {}
            }
        }
    }

    /// What is wrong now: for the incidents, and for whoever tells it while the database is away.
    pub fn alarms(&mut self, now: Mono) -> Vec<Alarm> {
        let down = self.bad.down.iter().filter_map(|name| self.alarm_of(now, name, "check"));
        let partial = self.bad.partial.iter().filter_map(|name| self.alarm_of(now, name, "partial"));
        let mut alarms: Vec<_> = down.chain(partial).collect();
        let mut said = std::mem::take(&mut self.bad.said);
        for alarm in &mut alarms {
            let before = said.remove(&alarm.key);
            if let Some(before) = before.filter(|_| self.is_settling(&alarm.key)) {
                (alarm.summary, alarm.votes) = before;
            }
            self.bad.said.insert(alarm.key.clone(), (alarm.summary.clone(), alarm.votes));
        }
        alarms.extend(self.unjudged(now));
        if self.is_sole_witness() {
            for alarm in &mut alarms {
                alarm.summary = format!("{} (sole witness: {})", alarm.summary, self.identity.watchdog);
            }
        }
        alarms
    }

    /// Not all have looked twice since something changed, and how many see it fail is no news until they have.
    fn is_settling(&self, key: &str) -> bool {
        let slot = key.split_once('/').and_then(|(_, name)| self.slots.get(&CheckName::from(name)));
        slot.is_some_and(|slot| matches!(slot.verdict.1, Reason::Settling { .. }))
    }

    /// Incidents of which nobody here can say whether they should be open.
    pub fn unjudgeable(&self) -> BTreeSet<String> {
        let of = |name: &CheckName| [format!("check/{name}"), format!("partial/{name}")];
        let mut keys: BTreeSet<_> = self.bad.unknown.keys().flat_map(of).collect();
        if !self.may_judge(UNJUDGED) {
            keys.insert(UNJUDGED.to_owned());
        }
        keys
    }

    /// Since when what an incident says has been so; `None`: since before this watchdog knew it.
    pub fn began_at(&self, key: &str) -> Option<Wall> {
        let (_, name) = key.split_once('/')?;
        self.slots.get(&CheckName::from(name))?.since
    }

    /// Whether an open incident of this key can be called over here. What is unknown was well or ill as it was; what is gone or
    /// paused is over.
    pub fn may_judge(&self, key: &str) -> bool {
        let (kind, subject) = key.split_once('/').unwrap_or((key, ""));
        let is_known = self
            .slots
            .get(&CheckName::from(subject))
            .is_none_or(|slot| slot.definition.paused || slot.verdict.0 != State::Unknown);
        match kind {
            "check" | "partial" => self.is_defined && is_known,
            UNJUDGED => self.is_defined && self.bad.unknown.is_empty(),
            _ => false,
        }
    }

    fn is_sole_witness(&self) -> bool {
        self.members.registered > 1 && self.members.living.iter().filter(|(_, _, may_vote)| *may_vote).count() <= 1
    }

    fn alarm_of(&self, now: Mono, name: &CheckName, kind: &str) -> Option<Alarm> {
        let slot = self.slots.get(name)?;
        let verdict = self.verdict(now, name)?;
        let failing = verdict.views.iter().filter(|view| view.stand == Stand::Failed).count();
        let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Some(Alarm {
            key: format!("{kind}/{name}"),
            severity: if kind == "check" { slot.definition.severity } else { Severity::Warning },
            summary: words(slot.verdict.1, &verdict.views),
            votes: (small(failing), small(verdict.views.len())),
        })
    }

    /// Checks that have had no fresh majority for long. Where most watchdogs are cut off, that is told already.
    pub fn unjudged(&self, now: Mono) -> Option<Alarm> {
        let limit =
            |slot: &Slot| (slot.definition.interval * self.policy.unknown_intervals).min(self.policy.unknown_at_most);
        let is_long = |(name, since): &(&CheckName, &Mono)| {
            self.slots.get(*name).is_some_and(|slot| {
                let is_told = matches!(slot.verdict.1, Reason::Isolated { .. });
                !is_told && now.since(**since) >= limit(slot)
            })
        };
        let names: Vec<_> = self.bad.unknown.iter().filter(is_long).map(|(name, _)| name.as_str()).collect();
        let count = names.len();
        let (first, more) = names.split_at(count.min(5));
        let rest = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        let summary = format!("{count} cannot be judged, too few watchdogs look at them: {}{rest}", first.join(", "));
        (count > 0).then(|| Alarm { key: UNJUDGED.to_owned(), severity: Severity::Warning, summary, votes: (0, 0) })
    }
}

/// How many see it, from where, why, and what the others see.
pub fn words(reason: Reason, views: &[View]) -> String {
    let said = |stand: Stand| views.iter().filter(move |view| view.stand == stand);
    let place = |view: &View| {
        if view.zone.as_str() == view.watchdog.as_str() {
            view.watchdog.to_string()
        } else {
            format!("{} in {}", view.watchdog, view.zone)
        }
    };
    let failing: Vec<_> = said(Stand::Failed).map(|view| format!("{}: {}", place(view), why(view))).collect();
    let reaching: Vec<_> = said(Stand::Up).map(place).collect();
    let others = views.len().saturating_sub(failing.len() + reaching.len());
    let from = if failing.is_empty() { String::new() } else { format!(" ({})", failing.join("; ")) };
    let mut parts = vec![format!("{reason}{from}")];
    if !reaching.is_empty() {
        parts.push(format!("reached from {}", reaching.join(", ")));
    }
    if others > 0 {
        parts.push(format!("no word from {others}"));
    }
    parts.join("; ")
}

fn why(view: &View) -> String {
    let Some(look) = &view.look else {
        return String::new();
    };
    match (look.outcome, look.answer.detail.as_str()) {
        (Outcome::Failed(failure), "") => failure.to_string(),
        (Outcome::Failed(_), detail) => detail.to_owned(),
        (Outcome::Up | Outcome::Unable(_), _) => String::new(),
    }
}
