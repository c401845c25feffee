//! What an edit makes of a heartbeat that lives already.
//!
//! A new schedule counts from the last push. It makes nothing late at once: whatever it says, there is one grace from now.
//! A late one that the new schedule would not call late is well again; a failed one stays failed.

use komainu_watchdogs::heartbeat::State;
use komainu_watchdogs::time::Wall;

use super::intake::next_deadline;
use crate::store::heartbeats::{Changed, Definition, Heartbeat};

/// The row as it is to be after an edit at `now`.
#[must_use]
pub fn after_edit(heartbeat: &Heartbeat, edited: &Definition, now: Wall) -> Changed {
    let Heartbeat { definition: before, vitals, .. } = heartbeat;
    let record = &vitals.record;
    let unchanged = Changed { definition: edited.clone(), state: record.state, deadline: record.deadline };
    let schedule = |of: &Definition| {
        (of.period_s, of.cron.clone(), of.time_zone.clone(), of.grace_s, of.max_runtime_s, of.first_due)
    };
    if schedule(before) == schedule(edited) {
        return unchanged;
    }
    let last = vitals.last_ok_at.or(vitals.last_at);
    let due = match (last, record.started_at.zip(edited.max_runtime())) {
        (_, Some((started, longest))) => Some(started + longest),
        (Some(last), None) => next_deadline(edited, last),
        (None, None) => edited.first_due.map(|due| due + edited.grace()),
    };
    let seen = if last.is_some() { State::Up } else { State::New };
    match record.state {
        State::New | State::Up => Changed { deadline: due.map(|due| due.max(now + edited.grace())), ..unchanged },
        State::Late if due.is_none_or(|due| due > now) => Changed { state: seen, deadline: due, ..unchanged },
        State::Late | State::Failed => unchanged,
    }
}

#[cfg(test)]
mod tests {
    use komainu_watchdogs::heartbeat::Record;

    use super::*;
    use crate::store::heartbeats::Vitals;

    fn heartbeat(state: State, last_ok_s: i64) -> Heartbeat {
        let definition = Definition { period_s: Some(60), grace_s: 10, ..Definition::default() };
        let last = Wall(last_ok_s * 1_000);
        let record = Record { state, deadline: Some(Wall(last.0 + 70_000)), ..Record::default() };
        let vitals = Vitals { record, last_ok_at: Some(last), last_at: Some(last), ..Vitals::default() };
        Heartbeat { definition, vitals, ..Heartbeat::default() }
    }

    fn edited(state: State, period_s: u32, now_s: i64) -> (State, Option<i64>) {
        let heartbeat = heartbeat(state, 1_000);
        let edited = Definition { period_s: Some(period_s), ..heartbeat.definition.clone() };
        let changed = after_edit(&heartbeat, &edited, Wall(now_s * 1_000));
        (changed.state, changed.deadline.map(|at| at.0 / 1_000))
    }

    #[test]
    fn a_new_period_counts_from_the_last_push_and_leaves_one_grace_at_least() {
        assert_eq!(edited(State::Up, 600, 1_020), (State::Up, Some(1_610)));
        assert_eq!(edited(State::Up, 5, 1_020), (State::Up, Some(1_030)));
    }

    #[test]
    fn a_longer_period_forgives_the_late_and_not_the_failed() {
        assert_eq!(edited(State::Late, 600, 1_200), (State::Up, Some(1_610)));
        assert_eq!(edited(State::Late, 90, 1_200), (State::Late, Some(1_070)));
        assert_eq!(edited(State::Failed, 600, 1_200), (State::Failed, Some(1_070)));
    }

    #[test]
    fn an_edit_of_something_else_leaves_the_deadline_alone() {
        let heartbeat = heartbeat(State::Up, 1_000);
        let edited = Definition { severity: "warning".to_owned(), ..heartbeat.definition.clone() };
        let changed = after_edit(&heartbeat, &edited, Wall(1_065_000));
        assert_eq!((changed.state, changed.deadline), (State::Up, Some(Wall(1_070_000))));
    }
}
