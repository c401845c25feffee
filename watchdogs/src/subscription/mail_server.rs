//! The mail server that takes letters to subscribers, as one watchdog knows it: when the next letter may leave, and whose doing a refusal is.
//!
//! Alerts use the same server and go first: while some wait, no letter leaves, for [`ALERTS_FIRST`] at most; then letters leave for [`LETTERS_THEN`]
//! before they rest again, so that a night full of alerts delays subscribers and does not silence them.
//!
//! A server that refuses a reader may refuse everybody: a relay that was closed by mistake answers 550 to each of them. So a refusal is a failure like
//! others, tried again after a pause. It is believed at the [`MOST_REFUSALS`]th that came while the server took others: one within half a minute. A server
//! that begins to refuse everybody does so once. [`REFUSED_IN_A_ROW`] refusals without a letter that was taken are its own doing: it is left
//! alone for [`AWAY`].

use std::time::Duration;

use super::{Next, Outcome, Record, next};
use crate::time::Mono;

/// However long alerts wait, subscribers wait no longer for them.
pub const ALERTS_FIRST: Duration = Duration::from_secs(60);

/// After such a wait letters leave for so long, whatever waits.
pub const LETTERS_THEN: Duration = Duration::from_secs(15);

/// A server that takes nothing is left alone for so long, by one watchdog.
pub const AWAY: Duration = Duration::from_secs(30);

/// Alerts that were not seen to wait for so long are others.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

/// So many readers refused in a row are the server's doing, not theirs.
pub const REFUSED_IN_A_ROW: u32 = 10;

/// A server that took a letter within it takes letters.
const BESIDE: Duration = Duration::from_secs(30);

/// Refusals of one letter that are believed.
pub const MOST_REFUSALS: u32 = 3;

/// What is known of it; one for each process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MailServer {
    /// Readers refused since it took a letter, or was left alone.
    refused: u32,
    taken_at: Option<Mono>,
    away_until: Mono,
    next_at: Mono,
    /// Since when alerts are let go first, and when they were last seen to wait.
    rests: Option<(Mono, Mono)>,
}

/// When the next letter may leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leave {
    /// At once.
    Now,
    /// At the pace that is shared by all: not before.
    At(Mono),
    /// The server was away a moment ago: not before.
    Away(Mono),
    /// Alerts wait for the same server.
    AlertsFirst,
}

/// What the server said to one letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It has the letter.
    Taken,
    /// It does not take this reader now.
    Later,
    /// It may have the letter.
    Unanswered,
    /// It does not take this reader.
    Refused,
    /// It takes nothing of anybody: the letter was not offered.
    Away,
}

/// What becomes of the letter, and of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// `None`: it counts as not tried.
    pub next: Option<Next>,
    /// How often it was refused while others were not, by now.
    pub refusals: u32,
    /// The server is left alone for a while.
    pub is_away: bool,
}

impl MailServer {
    /// Whether a letter may leave. `alerts_wait`: for the same server, and not for so long that something else must be wrong.
    pub fn may_leave(&mut self, now: Mono, alerts_wait: bool) -> Leave {
        let rested = self.rested(now, alerts_wait);
        if now < self.away_until {
            return Leave::Away(self.away_until);
        }
        if rested.is_some_and(|rested| rested < ALERTS_FIRST) {
            return Leave::AlertsFirst;
        }
        if now < self.next_at { Leave::At(self.next_at) } else { Leave::Now }
    }

    /// For how long alerts were let go first by now.
    fn rested(&mut self, now: Mono, alerts_wait: bool) -> Option<Duration> {
        let went_on = self
            .rests
            .filter(|(since, seen)| now.since(*seen) < SEEN_WITHIN && now.since(*since) < ALERTS_FIRST + LETTERS_THEN);
        let since = went_on.map_or(now, |(since, _)| since);
        self.rests = alerts_wait.then_some((since, now));
        alerts_wait.then(|| now.since(since))
    }

    /// A letter leaves; `gap`: of this watchdog's share of the pace.
    pub fn left(&mut self, now: Mono, gap: Duration) {
        self.next_at = now + gap;
    }

    /// No connection could be had.
    pub fn did_not_open(&mut self, now: Mono) {
        self.leave_alone(now);
    }

    /// What becomes of a letter.
    pub fn heard(&mut self, now: Mono, answer: Answer, record: Record) -> Verdict {
        let outcome = match answer {
            Answer::Taken => Outcome::Taken,
            Answer::Later => Outcome::Later,
            Answer::Unanswered => Outcome::Unanswered,
            Answer::Refused => return self.refused(now, record),
            Answer::Away => {
                self.leave_alone(now);
                return Verdict { next: None, refusals: record.refusals, is_away: true };
            }
        };
        if outcome == Outcome::Taken {
            self.refused = 0;
            self.taken_at = Some(now);
        }
        let is_away = outcome == Outcome::Unanswered;
        if is_away {
            self.leave_alone(now);
        }
        Verdict { next: Some(next(outcome, record)), refusals: record.refusals, is_away }
    }

    fn refused(&mut self, now: Mono, record: Record) -> Verdict {
        self.refused = self.refused.saturating_add(1);
        let is_away = self.refused >= REFUSED_IN_A_ROW;
        let takes_others = !is_away && self.taken_at.is_some_and(|at| now.since(at) < BESIDE);
        let refusals = record.refusals + u32::from(takes_others);
        if is_away {
            // From then on it is asked anew: those whom it refused wait behind the others.
            self.refused = 0;
            self.leave_alone(now);
        }
        let outcome = if takes_others && refusals >= MOST_REFUSALS { Outcome::Refused } else { Outcome::Later };
        Verdict { next: Some(next(outcome, record)), refusals, is_away }
    }

    fn leave_alone(&mut self, now: Mono) {
        self.away_until = now + AWAY;
    }
}
