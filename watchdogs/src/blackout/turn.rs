//! Whether there is a verdict, and whose turn it is to speak.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::messages::{DATABASE, Doubt, Line, OutageName, Output, Speech, Trouble};
use super::{ALONE, Blackout, HEARD_FOR, Heard, NEXT_SPEAKER, Note, Verdict, count};
use crate::ids::WatchdogId;
use crate::time::Mono;

impl Blackout {
    /// Who answers, with what it says.
    fn answering(&self, now: Mono) -> impl Iterator<Item = (&WatchdogId, &Heard)> {
        let is_fresh = move |heard: &&Heard| now.since(heard.at) < HEARD_FOR;
        self.members.iter().filter_map(move |peer| Some((peer, self.heard.get(peer).filter(is_fresh)?)))
    }

    /// Members whose database has been failing for the limit, of how many that are known; this one included.
    pub fn tally(&self, now: Mono) -> (u32, u32) {
        let (agreeing, known) = self.votes(now);
        (count(agreeing), count(known))
    }

    fn votes(&self, now: Mono) -> (usize, usize) {
        let known = self.members.iter().filter(|peer| **peer != self.me).count() + 1;
        let agreeing = self.answering(now).filter(|(_, heard)| self.agrees(now, heard)).count();
        (agreeing + usize::from(self.is_down(now)), known)
    }

    /// Whether a majority fails now, for however short a time.
    pub(super) fn do_most_fail(&self, now: Mono) -> bool {
        let (_, known) = self.votes(now);
        let failing = self.answering(now).filter(|(_, heard)| heard.report.failing_ms > 0).count();
        2 * (failing + usize::from(self.failing_for(now).is_some())) > known
    }

    /// Whether a peer that answers takes writes and gives verdicts.
    pub(super) fn is_anybody_well(&self, now: Mono) -> bool {
        self.answering(now).any(|(_, heard)| heard.report.failing_ms == 0)
    }

    fn agrees(&self, now: Mono, heard: &Heard) -> bool {
        let failing = Duration::from_millis(heard.report.failing_ms);
        heard.report.failing_ms > 0 && failing + now.since(heard.at) >= self.limit
    }

    pub(super) fn judge(&mut self, now: Mono) {
        let (agreeing, known) = self.votes(now);
        let is_contradicted = self.answering(now).any(|(_, heard)| !self.agrees(now, heard));
        let is_silent = self.answering(now).next().is_none();
        let verdict = if !self.is_down(now) {
            None
        } else if 2 * agreeing > known {
            Some(Verdict::Majority)
        } else if !is_contradicted && (is_silent || 2 * agreeing >= known) {
            Some(Verdict::Unconfirmed)
        } else {
            None
        };
        let since = self.verdict.filter(|(_, before)| Some(*before) == verdict).map_or(now, |(since, _)| since);
        self.verdict = verdict.map(|verdict| (since, verdict));
        if verdict.is_none() {
            self.turn = None;
        }
        // Before there is a verdict, so that all have heard it when the first one speaks.
        let is_due = self.failing_for(now).is_some_and(|span| span >= self.limit / 2);
        if is_due && self.outage.is_none() {
            let name = format!("{}-{}", self.incarnation, self.outages);
            self.outage = Some(OutageName { by: self.me.clone(), name });
        }
    }

    /// What most of those see whose database fails.
    pub fn trouble(&self, now: Mono) -> Trouble {
        let theirs = self.answering(now).filter(|(_, heard)| self.agrees(now, heard));
        let seen: Vec<bool> = theirs.map(|(_, heard)| heard.report.is_blind).chain([self.is_blind(now)]).collect();
        let blind = seen.iter().filter(|is_blind| **is_blind).count();
        if 2 * blind > seen.len() { Trouble::NoVerdict } else { Trouble::NoWrites }
    }

    /// A verdict that holds for as long as it takes to speak of it is kept, told or not.
    pub(super) fn take_note(&mut self, now: Mono) {
        let (Some((since, verdict)), Some(outage)) = (self.verdict, &self.outage) else { return };
        let (doubt, patience) = doubt(verdict);
        let outage = outage.name.clone();
        match self.note {
            Note::None if now.since(since) >= patience => {
                let speech = self.speech(now, BTreeSet::new(), (doubt, outage));
                self.note = Note::Pending(verdict);
                self.outputs.push_back(Output::Note(speech));
            }
            Note::Pending(before) => self.note = Note::Pending(before.max(verdict)),
            Note::None | Note::Done => {}
        }
    }

    pub(super) fn speech(&self, now: Mono, lines: BTreeSet<Line>, (doubt, outage): (Doubt, String)) -> Speech {
        let failing_for = self.failing_for(now).unwrap_or_default();
        let (trouble, votes, changes) = (self.trouble(now), self.tally(now), BTreeMap::new());
        Speech { lines, doubt, trouble, outage, votes, failing_for, changes }
    }

    pub(super) fn speak(&mut self, now: Mono) {
        let (Some((since, verdict)), Some(outage)) = (self.verdict, &self.outage) else { return };
        if !self.speaking.is_empty() || now < self.try_at {
            return;
        }
        let Some(before_me) = self.before_me(now) else { return };
        let rank = count(before_me.len());
        let (doubt, patience) = doubt(verdict);
        let turn = before_me.first().map(|first| match &self.turn {
            Some((known, at)) if known == first => (first.clone(), *at),
            _ => (first.clone(), now),
        });
        // Whoever comes first has its time; but turns that change for ever are no reason for silence.
        let latest = since + patience + NEXT_SPEAKER * count(self.members.len());
        let due_at =
            turn.as_ref().map_or(since + patience, |(_, at)| (*at + patience + NEXT_SPEAKER * rank).min(latest));
        let outage = outage.name.clone();
        self.turn = turn;
        if now < due_at {
            return;
        }
        let patience = NEXT_SPEAKER * (rank + 1);
        let is_being_told =
            |line: &Line| self.saying.iter().any(|((_, one), at)| one == line && now.since(*at) < patience);
        // What waits in a database that takes writes is the outbox's to tell.
        let is_ours = |line: &&Line| !self.takes_writes(now) || (line.topic == DATABASE && !self.is_the_outboxs());
        let is_due = |line: &&Line| is_ours(line) && !self.told.contains_key(*line) && !is_being_told(line);
        let mut lines: BTreeSet<Line> = self.wanted.iter().filter(is_due).cloned().collect();
        let mut changes = self.news_to_tell(now, rank);
        changes.retain(|line, _| !is_being_told(line));
        lines.extend(changes.keys().cloned());
        if lines.is_empty() {
            return;
        }
        self.speaking.clone_from(&lines);
        self.begin_telling(&changes);
        let speech = self.speech(now, lines, (doubt, outage));
        self.outputs.push_back(Output::Speak(Speech { changes, ..speech }));
    }

    /// People were told, and the tables say so: whoever was not hears it from the outbox.
    fn is_the_outboxs(&self) -> bool {
        self.is_in_tables && !self.is_unentered && self.told.keys().any(|line| line.topic == DATABASE)
    }

    /// Who should speak before this one, in order; `None`: another one should, this one does not reach the world.
    fn before_me(&self, now: Mono) -> Option<Vec<WatchdogId>> {
        let failing: Vec<_> = self.answering(now).filter(|(_, heard)| heard.report.failing_ms > 0).collect();
        let reaching: Vec<_> = failing.iter().filter(|(_, heard)| heard.report.egress).copied().collect();
        let candidates = match (self.reaches_world(now), reaching.is_empty()) {
            (false, false) => return None,
            (true, _) => reaching,
            // When nobody believes to reach the world, trying does no harm.
            (false, true) => failing,
        };
        Some(candidates.into_iter().map(|(peer, _)| peer).filter(|peer| **peer < self.me).cloned().collect())
    }
}

/// How a verdict is marked, and how long it is waited with.
fn doubt(verdict: Verdict) -> (Doubt, Duration) {
    match verdict {
        Verdict::Majority => (Doubt::DatabaseUnreachable, Duration::ZERO),
        Verdict::Unconfirmed => (Doubt::UnconfirmedAlone, ALONE),
    }
}
