//! What an edit makes of a heartbeat that lives already.
//!
//! A new rhythm counts from the edit: nobody is late before the first run by it. A new grace or longest runtime counts from
//! what it is about, and makes nothing late at once: there is one grace from now. A late one that the new schedule would not
//! call late is well again; a failed one stays failed.
//!
//! What goes on after it was paused begins anew: due by its schedule from now, each open run for a grace more at least, and what was late is not. A failed one
//! stays failed until its next ok, and that is told.

use std::time::Duration;

use komainu_watchdogs::heartbeat::State;
use komainu_watchdogs::heartbeat::limits::{Limit, Limits};
use komainu_watchdogs::time::Wall;

use super::intake::next_due;
use crate::store::heartbeats::{Changed, Definition, Heartbeat};

/// The row as it is to be after an edit at `now`.
#[must_use]
pub fn after_edit(heartbeat: &Heartbeat, edited: &Definition, now: Wall) -> Changed {
    let Heartbeat { definition: before, vitals, .. } = heartbeat;
    let record = &vitals.record;
    let unchanged = Changed { definition: edited.clone(), state: record.state, limits: record.limits.clone() };
    if before.is_paused && !edited.is_paused {
        return resumed(heartbeat, edited, now);
    }
    let terms = |of: &Definition| (of.grace_s, of.max_runtime_s);
    let has_new_rhythm = rhythm(before) != rhythm(edited);
    if !has_new_rhythm && terms(before) == terms(edited) {
        return unchanged;
    }
    let last = vitals.last_ok_at.or(vitals.last_at);
    let runs = with_runs(before, edited, &record.limits, now);
    let silence = match (record.limits.silence, last) {
        // An open run is waited for.
        (None, _) if !runs.runs.is_empty() => None,
        (Some(silence), _) if !has_new_rhythm => Some(with_grace(silence, before, edited, now)),
        (_, Some(_)) => next_due(edited, now).map(|due| Limit::new(now, due, due + edited.grace())),
        (_, None) => edited.first_due.map(|due| Limit::new(now, due, (due + edited.grace()).max(now + edited.grace()))),
    };
    let limits = Limits { silence, ..runs };
    match record.state {
        State::New | State::Up => Changed { limits, ..unchanged },
        State::Late if is_fine(edited, last, &limits, now) => {
            let state = if last.is_some() { State::Up } else { State::New };
            Changed { state, limits, ..unchanged }
        }
        State::Late | State::Failed => unchanged,
    }
}

fn resumed(heartbeat: &Heartbeat, edited: &Definition, now: Wall) -> Changed {
    let Heartbeat { definition: before, vitals, .. } = heartbeat;
    let last = vitals.last_ok_at.or(vitals.last_at);
    let runs = with_runs(before, edited, &vitals.record.limits, now)
        .map(|limit, _| at_least_grace(limit, limit.at, edited.grace(), now));
    let state = match vitals.record.state {
        State::Late if last.is_some() => State::Up,
        State::Late => State::New,
        state @ (State::New | State::Up | State::Failed) => state,
    };
    let is_waited_for = state != State::Failed && runs.runs.is_empty();
    let due = if last.is_some() { next_due(edited, now) } else { edited.first_due };
    let silence = due.filter(|_| is_waited_for).map(|due| {
        let at = (due + edited.grace()).max(now + edited.grace());
        Limit::new(now, due, at)
    });
    Changed { definition: edited.clone(), state, limits: Limits { silence, ..runs } }
}

fn rhythm(of: &Definition) -> (Option<u32>, Option<&str>, Option<&str>, Option<Wall>) {
    (of.period_s, of.cron.as_deref(), of.time_zone.as_deref(), of.first_due)
}

/// By the new schedule, had it been so all the time.
fn is_fine(edited: &Definition, last: Option<Wall>, limits: &Limits, now: Wall) -> bool {
    let due = match last {
        Some(last) => next_due(edited, last),
        None => edited.first_due,
    };
    let is_silence_fine = limits.silence.is_none() || due.is_none_or(|due| due + edited.grace() > now);
    is_silence_fine && limits.runs.iter().all(|run| run.limit.at > now + edited.grace())
}

fn with_runs(before: &Definition, edited: &Definition, limits: &Limits, now: Wall) -> Limits {
    limits.map(|limit, started_at| match (started_at, edited.max_runtime()) {
        _ if before.max_runtime_s == edited.max_runtime_s => limit,
        (None, _) => limit,
        (Some(started_at), Some(longest)) => at_least_grace(limit, started_at + longest, edited.grace(), now),
        (Some(_), None) => {
            let due = next_due(edited, now).unwrap_or(now);
            at_least_grace(limit, due + edited.grace(), edited.grace(), now)
        }
    })
}

fn with_grace(limit: Limit, before: &Definition, edited: &Definition, now: Wall) -> Limit {
    let more_s = i64::from(edited.grace_s) - i64::from(before.grace_s);
    at_least_grace(limit, Wall(limit.at.0.saturating_add(more_s * 1_000)), edited.grace(), now)
}

fn at_least_grace(limit: Limit, at: Wall, grace: Duration, now: Wall) -> Limit {
    let at = at.max(now + grace);
    Limit { at, span_ms: limit.span_ms.max(at.0.saturating_sub(now.0)), ..limit }
}

#[cfg(test)]
mod tests {
    use komainu_watchdogs::heartbeat::Record;

    use super::*;
    use crate::store::heartbeats::Vitals;

    fn heartbeat(state: State, last_ok_s: i64) -> Heartbeat {
        let definition = Definition { period_s: Some(60), grace_s: 10, ..Definition::default() };
        let last = Wall(last_ok_s * 1_000);
        let limits = Limits::of(Limit::new(last, Wall(last.0 + 60_000), Wall(last.0 + 70_000)));
        let record = Record { state, limits, ..Record::default() };
        let vitals = Vitals { record, last_ok_at: Some(last), last_at: Some(last), ..Vitals::default() };
        Heartbeat { definition, vitals, ..Heartbeat::default() }
    }

    fn edited(state: State, period_s: u32, now_s: i64) -> (State, Option<i64>) {
        let heartbeat = heartbeat(state, 1_000);
        let edited = Definition { period_s: Some(period_s), ..heartbeat.definition.clone() };
        let changed = after_edit(&heartbeat, &edited, Wall(now_s * 1_000));
        (changed.state, changed.limits.earliest().map(|at| at.0 / 1_000))
    }

    #[test]
    fn a_new_period_counts_from_the_edit_so_that_nobody_is_late_before_the_first_new_run() {
        assert_eq!(edited(State::Up, 600, 1_020), (State::Up, Some(1_630)));
        assert_eq!(edited(State::Up, 5, 1_020), (State::Up, Some(1_035)));
        let daily = heartbeat(State::Up, 1_000);
        let hourly = Definition { period_s: None, cron: Some("0 * * * *".to_owned()), ..daily.definition.clone() };
        let changed = after_edit(&daily, &hourly, Wall(5_000_000));
        assert_eq!(changed.limits.earliest(), Some(Wall(7_210_000)), "the hour that was due before is not asked for");
    }

    #[test]
    fn a_smaller_grace_leaves_one_of_it_from_now() {
        let heartbeat = heartbeat(State::Up, 1_000);
        let edited = Definition { grace_s: 2, ..heartbeat.definition.clone() };
        let at = |now_s: i64| after_edit(&heartbeat, &edited, Wall(now_s * 1_000)).limits.earliest().unwrap().0 / 1_000;
        assert_eq!((at(1_010), at(1_068)), (1_062, 1_070));
    }

    #[test]
    fn a_longer_period_forgives_the_late_and_not_the_failed() {
        assert_eq!(edited(State::Late, 600, 1_200), (State::Up, Some(1_810)));
        assert_eq!(edited(State::Late, 90, 1_200), (State::Late, Some(1_070)));
        assert_eq!(edited(State::Failed, 600, 1_200), (State::Failed, Some(1_070)));
    }

    #[test]
    fn what_goes_on_after_a_pause_is_due_by_its_schedule_from_then_and_a_failure_stays_one() {
        let resumed = |state: State| {
            let mut heartbeat = heartbeat(state, 1_000);
            heartbeat.definition.is_paused = true;
            let edited = Definition { is_paused: false, ..heartbeat.definition.clone() };
            let changed = after_edit(&heartbeat, &edited, Wall(90_000_000));
            (changed.state, changed.limits.earliest().map(|at| at.0 / 1_000))
        };
        assert_eq!(resumed(State::Up), (State::Up, Some(90_070)), "a job that died meanwhile is found");
        assert_eq!(resumed(State::Late), (State::Up, Some(90_070)));
        assert_eq!(resumed(State::Failed), (State::Failed, None));
        let mut never = Heartbeat { vitals: Vitals::default(), ..heartbeat(State::New, 0) };
        never.definition.first_due = Some(Wall(5_000_000));
        let paused =
            Heartbeat { definition: Definition { is_paused: true, ..never.definition.clone() }, ..never.clone() };
        let changed = after_edit(&paused, &never.definition, Wall(90_000_000));
        assert_eq!((changed.state, changed.limits.earliest()), (State::New, Some(Wall(90_010_000))));
    }

    #[test]
    fn to_pause_changes_nothing_of_what_is_known() {
        let heartbeat = heartbeat(State::Up, 1_000);
        let edited = Definition { is_paused: true, ..heartbeat.definition.clone() };
        let changed = after_edit(&heartbeat, &edited, Wall(9_000_000));
        assert_eq!((changed.state, changed.limits), (State::Up, heartbeat.vitals.record.limits));
    }

    #[test]
    fn an_edit_of_something_else_leaves_the_deadline_alone() {
        let heartbeat = heartbeat(State::Up, 1_000);
        let edited = Definition { severity: "warning".to_owned(), ..heartbeat.definition.clone() };
        let changed = after_edit(&heartbeat, &edited, Wall(1_065_000));
        assert_eq!((changed.state, changed.limits.earliest()), (State::Up, Some(Wall(1_070_000))));
    }
}
