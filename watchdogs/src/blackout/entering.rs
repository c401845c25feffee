//! What is entered, and when an outage is over.

use std::time::Duration;

use super::messages::Output;
use super::{Blackout, Note, SETTLED, SLACK, Verdict};
use crate::time::Mono;

impl Blackout {
    /// Once at a time, and after a pause.
    pub(super) fn enter(&mut self, now: Mono) {
        if !self.entering && now >= self.enter_at {
            self.entering = true;
            self.outputs.push_back(Output::Enter);
        }
    }

    /// The database takes writes and gives verdicts.
    pub(super) fn tick_back(&mut self, now: Mono) {
        self.verdict = None;
        if !self.is_exact() {
            return;
        }
        let back_since = *self.back_since.get_or_insert(now);
        if self.is_unentered {
            self.enter(now);
        } else if let Note::Pending(verdict) = self.note {
            self.enter_untold(now, verdict, back_since);
        }
        let is_pending = self.is_unentered || matches!(self.note, Note::Pending(_));
        let is_over = !is_pending && self.speaking.is_empty() && now.since(back_since) >= SETTLED;
        if is_over && self.outage.take().is_some() {
            self.outages += 1;
        }
        if is_over {
            self.note = Note::None;
            self.told.clear();
            self.unanswered.clear();
            self.saying.clear();
            self.heard.clear();
        }
    }

    /// Nobody was told, as far as this one knows. Whoever told somebody, or is doing it, enters that first.
    fn enter_untold(&mut self, now: Mono, verdict: Verdict, back_since: Mono) {
        if !self.speaking.is_empty() {
            return;
        }
        let is_sure = verdict == Verdict::Majority;
        if !is_sure {
            self.ask(now);
        }
        if !is_sure && self.had_a_peer_the_database(now, back_since) {
            self.note = Note::Done;
            self.outputs.push_back(Output::Withdraw);
        } else if now.since(back_since) >= SETTLED {
            self.enter(now);
        }
    }

    /// A peer that answers now was well before this one was.
    fn had_a_peer_the_database(&self, now: Mono, back_since: Mono) -> bool {
        self.heard.values().any(|heard| {
            let well = Duration::from_millis(heard.report.well_ms) + now.since(heard.at);
            heard.at >= back_since && heard.report.failing_ms == 0 && well > now.since(back_since) + SLACK
        })
    }
}
