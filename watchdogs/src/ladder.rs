//! Ladders: whom to tell next of something critical that nobody takes care of.
//!
//! Life of a climb: an incident that a ladder's route takes begins it when it opens, with the first step. A step falls due so long after
//! the opening as it says; it is told, and the next one is waited for. After the last one the ladder begins anew, `repeat` later,
//! or ends. Whoever acknowledges the incident stops it, for `ack_timeout` where there is one. While people are told nothing of the incident, because
//! something else explains it or somebody silenced it, nobody is climbed to either: the ladder stands still, and goes on where it stood. It
//! ends with the incident, and where that is no longer critical.
//!
//! Who acts is whoever comes first ([`Need::Tell`] is entered under a guard); who is reached by a name is not decided here.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::io::Severity;
use crate::time::Wall;

/// While people are told nothing of it, it is looked at again so often.
pub const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The longest that a step, a repeat or an acknowledgement may be waited for. What claims to be later was written by a clock that jumped.
pub const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// What is so late was not told because nobody ran: the next step is counted from now, so that people have their time.
const LATE: Duration = Duration::from_secs(30);

/// Steps of one ladder.
pub const MOST_STEPS: usize = 20;

/// A ladder, without those that it names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ladder {
    /// When each step falls due, from the beginning: the first not before the others.
    pub afters: Vec<Duration>,
    /// So long after the last step it begins anew; `None`: it ends.
    pub repeat: Option<Duration>,
    /// So long an acknowledgement holds; `None`: for good.
    pub ack_timeout: Option<Duration>,
}

/// How far one incident has climbed one ladder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Climb {
    /// Times that the ladder began anew.
    pub round: u32,
    /// The next step, from 0.
    pub step: u32,
    /// When it falls due, by the database's clock.
    pub due_at: Wall,
}

/// How the incident is now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// It is not over.
    pub is_open: bool,
    /// How bad it is.
    pub severity: Severity,
    /// When somebody took care of it last.
    pub acknowledged_at: Option<Wall>,
    /// People are told nothing of it: something else explains it, or somebody silenced it.
    pub is_held: bool,
}

/// What is to be done about a climb.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// This step is told now; then this follows, or nothing.
    Tell {
        /// From 0.
        step: u32,
        /// What is waited for next.
        next: Option<Climb>,
    },
    /// Nothing before then; and why.
    Wait(Wall, Pause),
    /// The climb is over; and why.
    End(Ending),
}

/// Why nothing is told now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pause {
    /// The step is not due.
    NotYet,
    /// Somebody takes care of it.
    Acknowledged,
    /// People are told nothing of the incident.
    Held,
}

/// Why a climb is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The incident is.
    Resolved,
    /// It is a warning now.
    NotUrgent,
    /// Somebody takes care of it, for good.
    Acknowledged,
    /// There is no such step any more.
    NoSuchStep,
}

impl Ladder {
    /// How an incident that opened now begins; `None`: there is no step.
    pub fn begin(&self, now: Wall) -> Option<Climb> {
        self.afters.first().map(|after| Climb { round: 0, step: 0, due_at: now + *after })
    }

    /// What is to be done about it now.
    pub fn need(&self, climb: Climb, facts: Facts, now: Wall) -> Need {
        if !facts.is_open {
            return Need::End(Ending::Resolved);
        }
        if facts.severity < Severity::Critical {
            return Need::End(Ending::NotUrgent);
        }
        // One that lies ahead was written by a clock that jumped: it counts from now.
        if let Some(at) = facts.acknowledged_at.map(|at| at.min(now)) {
            let Some(timeout) = self.ack_timeout else { return Need::End(Ending::Acknowledged) };
            if now.since(at) < timeout {
                return Need::Wait(at + timeout, Pause::Acknowledged);
            }
        }
        let is_due = climb.due_at <= now || climb.due_at.since(now) > LONGEST;
        if !is_due {
            return Need::Wait(climb.due_at, Pause::NotYet);
        }
        if facts.is_held {
            return Need::Wait(now + LOOK_AGAIN, Pause::Held);
        }
        let has_step = usize::try_from(climb.step).is_ok_and(|step| step < self.afters.len());
        if !has_step {
            return Need::End(Ending::NoSuchStep);
        }
        Need::Tell { step: climb.step, next: self.next(climb, now) }
    }

    fn next(&self, climb: Climb, now: Wall) -> Option<Climb> {
        let after = |step: u32| usize::try_from(step).ok().and_then(|step| self.afters.get(step)).copied();
        let is_late = climb.due_at > now || now.since(climb.due_at) > LATE;
        let from = if is_late { now } else { climb.due_at };
        if let (Some(here), Some(there)) = (after(climb.step), after(climb.step + 1)) {
            return Some(Climb { step: climb.step + 1, due_at: from + there.saturating_sub(here), ..climb });
        }
        let first = after(0).unwrap_or_default();
        self.repeat.map(|repeat| Climb { round: climb.round.saturating_add(1), step: 0, due_at: from + repeat + first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall(1_000_000_000);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// At once, after five minutes and after fifteen.
    fn ladder() -> Ladder {
        Ladder { afters: [0, 300, 900].map(seconds).to_vec(), repeat: None, ack_timeout: None }
    }

    fn bad() -> Facts {
        Facts { is_open: true, severity: Severity::Critical, acknowledged_at: None, is_held: false }
    }

    /// Each step that is told, and when, in seconds from the beginning, looked at each second.
    fn told(ladder: &Ladder, until_s: u64, facts: impl Fn(u64) -> Facts) -> Vec<(u32, u64)> {
        let (mut climb, mut told) = (ladder.begin(NOW).unwrap(), vec![]);
        for second in 0..until_s {
            let now = NOW + seconds(second);
            if now < climb.due_at {
                continue;
            }
            match ladder.need(climb, facts(second), now) {
                Need::Tell { step, next } => {
                    told.push((step, second));
                    match next {
                        Some(next) => climb = next,
                        None => return told,
                    }
                }
                Need::Wait(until, _) => climb.due_at = until,
                Need::End(_) => return told,
            }
        }
        told
    }

    #[test]
    fn steps_fall_due_when_they_say_and_the_last_is_the_end() {
        assert_eq!(told(&ladder(), 5_000, |_| bad()), [(0, 0), (1, 300), (2, 900)]);
    }

    #[test]
    fn a_ladder_that_repeats_begins_anew_after_its_last_step() {
        let again = Ladder { repeat: Some(seconds(600)), ..ladder() };
        assert_eq!(told(&again, 2_500, |_| bad()), [(0, 0), (1, 300), (2, 900), (0, 1_500), (1, 1_800), (2, 2_400)]);
    }

    #[test]
    fn whoever_acknowledges_or_resolves_stops_it() {
        let acked = |second| Facts { acknowledged_at: (second >= 200).then_some(NOW + seconds(200)), ..bad() };
        assert_eq!(told(&ladder(), 5_000, acked), [(0, 0)]);
        assert_eq!(told(&ladder(), 5_000, |second| Facts { is_open: second < 400, ..bad() }), [(0, 0), (1, 300)]);
        let warning =
            |second| Facts { severity: if second < 400 { Severity::Critical } else { Severity::Warning }, ..bad() };
        assert_eq!(told(&ladder(), 5_000, warning), [(0, 0), (1, 300)]);
    }

    #[test]
    fn an_acknowledgement_that_is_too_old_holds_nothing_any_more() {
        let ladder = Ladder { ack_timeout: Some(seconds(1_800)), ..ladder() };
        let acked = |second| Facts { acknowledged_at: (second >= 200).then_some(NOW + seconds(200)), ..bad() };
        assert_eq!(told(&ladder, 5_000, acked), [(0, 0), (1, 2_000), (2, 2_600)]);
        // Said again, it holds anew.
        let twice = |second| {
            let at = if second >= 1_500 { 1_500 } else { 200 };
            Facts { acknowledged_at: (second >= 200).then_some(NOW + seconds(at)), ..bad() }
        };
        assert_eq!(told(&ladder, 4_000, twice), [(0, 0), (1, 3_300), (2, 3_900)]);
        let ahead = Facts { acknowledged_at: Some(NOW + LONGEST), ..bad() };
        let climb = Climb { round: 0, step: 1, due_at: NOW };
        assert_eq!(ladder.need(climb, ahead, NOW), Need::Wait(NOW + seconds(1_800), Pause::Acknowledged));
    }

    #[test]
    fn while_people_are_told_nothing_of_it_it_stands_still() {
        let held = |second: u64| Facts { is_held: second < 1_000, ..bad() };
        assert_eq!(told(&ladder(), 5_000, held), [(0, 1_000), (1, 1_300), (2, 1_900)]);
    }

    #[test]
    fn after_an_outage_of_everybody_people_have_their_time_and_are_not_told_all_at_once() {
        let climb = Climb { round: 0, step: 0, due_at: NOW };
        let at = |late_s: u64| match ladder().need(climb, bad(), NOW + seconds(late_s)) {
            Need::Tell { next: Some(next), .. } => next.due_at.since(NOW).as_secs(),
            other @ (Need::Tell { .. } | Need::Wait(..) | Need::End(_)) => panic!("{other:?}"),
        };
        assert_eq!([at(0), at(2), at(30), at(600)], [300, 300, 300, 900]);
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_nobody_waiting_for_more_than_a_week() {
        let climb = |ahead: Duration| Climb { round: 0, step: 1, due_at: NOW + ahead };
        assert_eq!(ladder().need(climb(LONGEST), bad(), NOW), Need::Wait(NOW + LONGEST, Pause::NotYet));
        let need = ladder().need(climb(LONGEST + seconds(1)), bad(), NOW);
        assert_eq!(need, Need::Tell { step: 1, next: Some(Climb { round: 0, step: 2, due_at: NOW + seconds(600) }) });
    }

    #[test]
    fn a_ladder_that_was_shortened_meanwhile_ends() {
        let climb = Climb { round: 0, step: 7, due_at: NOW };
        assert_eq!(ladder().need(climb, bad(), NOW), Need::End(Ending::NoSuchStep));
        assert_eq!(Ladder::default().begin(NOW), None);
    }
}
