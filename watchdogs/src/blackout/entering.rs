//! What is entered, and when an outage is over.

use std::collections::BTreeSet;
use std::time::Duration;

use super::messages::{Doubt, Output};
use super::{Blackout, Note, SETTLED, SLACK, Verdict};
use crate::incident::RAISE_AGAIN;
use crate::time::Mono;

impl Blackout {
    /// Orders that what was told be entered: one such order at a time, and after a pause where the last one failed.
    pub(super) fn enter(&mut self, now: Mono) {
        if !self.entering && now >= self.enter_at {
            self.entering = true;
            self.outputs.push_back(Output::Enter);
        }
    }

    /// Most cannot judge, and the tables say so: one that can reads it there, and would call it over. Whoever was started
    /// anew meanwhile counts at once: that it lasts needs no proof as long as that it is so.
    pub(super) fn say_that_it_lasts(&mut self, now: Mono) {
        let Some(outage) = &self.outage else { return };
        // Where no vendor could be reached others may reach one, and what the tables say of an earlier outage is not over.
        let is_untold = self.told.is_empty() && self.is_cut_off && self.note == Note::Pending(Verdict::Majority);
        let is_theirs = (self.is_in_tables || is_untold) && self.takes_writes(now);
        if is_theirs && self.do_most_fail(now) && now >= self.lasts_at {
            let outage = outage.name.clone();
            self.lasts_at = now + RAISE_AGAIN;
            let speech = self.speech(now, BTreeSet::new(), (Doubt::DatabaseUnreachable, outage));
            self.outputs.push_back(Output::Lasts(speech));
        }
    }

    /// What is done while the database takes writes and gives verdicts again.
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
        if is_over {
            self.end_outage();
            self.heard.clear();
        }
    }

    /// What comes next is another one.
    fn end_outage(&mut self) {
        self.outages += u32::from(self.outage.take().is_some());
        self.note = Note::None;
        self.is_in_tables = false;
        self.others_since = None;
        self.told.clear();
        self.checks.end();
        self.unanswered.clear();
        self.saying.clear();
    }

    /// Few cannot judge by now, and everything is entered: those who can call it over. Whoever went on believing that it was
    /// told would be silent, and make others silent, in the next one.
    pub(super) fn leave_it_to_others(&mut self, now: Mono) {
        let is_theirs = self.is_in_tables
            && !self.is_unentered
            && self.speaking.is_empty()
            && self.takes_writes(now)
            && !self.do_most_fail(now)
            && self.is_anybody_well(now);
        self.others_since = self.others_since.filter(|_| is_theirs).or_else(|| is_theirs.then_some(now));
        if self.others_since.is_some_and(|since| now.since(since) >= SETTLED) {
            self.left_at = Some(now);
            self.end_outage();
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

    /// Whether a peer that answers now had the database before this watchdog had it again.
    fn had_a_peer_the_database(&self, now: Mono, back_since: Mono) -> bool {
        self.heard.values().any(|heard| {
            let well = Duration::from_millis(heard.report.well_ms) + now.since(heard.at);
            heard.at >= back_since && heard.report.failing_ms == 0 && well > now.since(back_since) + SLACK
        })
    }
}
