//! What people are told of a heartbeat that is late, failed, or well again.

use std::time::Duration;

use jiff::Timestamp;
use komainu_watchdogs::heartbeat::State;
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::routing::Subject;
use komainu_watchdogs::time::Wall;

use crate::store::heartbeats::{CachedHeartbeat, Definition, LastPush, Words};

/// Characters of a program's own words in a message; the history has all of them.
const MOST_OF_A_LINE: usize = 200;

/// Characters of a run's name: a UUID and some.
const MOST_OF_A_RUN: usize = 40;

/// That no push can be taken, for so long.
pub(super) fn outage(lasts: Duration) -> Alarm {
    let summary = format!(
        "no watchdog could store a push for {}: jobs are refused (503) and try again; none is called late meanwhile",
        seconds(lasts)
    );
    Alarm { key: "pushes".to_owned(), severity: Severity::Critical, summary, votes: (0, 0) }
}

/// In plain English.
pub(super) struct Plain;

impl Words for Plain {
    fn alarm(&self, known: &CachedHeartbeat, last: &LastPush, now: Wall) -> (Alarm, Subject) {
        let CachedHeartbeat { definition, vitals } = known;
        let key = format!("heartbeat/{}", definition.name);
        let severity = match definition.severity.as_str() {
            "warning" => Severity::Warning,
            _ => Severity::Critical,
        };
        let summary = match vitals.record.state {
            State::Failed => failed(known, last),
            State::New | State::Up | State::Late => late(known, now),
        };
        let subject = Subject {
            key: key.clone(),
            severity,
            tags: definition.tags.clone(),
            channels: definition.channels.clone(),
            node: None,
        };
        (Alarm { key, severity, summary, votes: (0, 0) }, subject)
    }

    fn relief(&self, known: &CachedHeartbeat, _: Wall) -> String {
        let CachedHeartbeat { definition, vitals } = known;
        if definition.is_paused {
            return format!("{} was paused", definition.name);
        }
        match vitals.last_ok_at {
            Some(at) => format!("{} is well again: it said ok at {}", definition.name, told(Some(at))),
            None => format!("{} is not waited for any more", definition.name),
        }
    }
}

/// With the exit code, and the last line of what the program said: usually the one that names the trouble.
fn failed(known: &CachedHeartbeat, last: &LastPush) -> String {
    let code = last.exit_code.map_or_else(String::new, |code| format!(", exit code {code}"));
    let mut text = format!("{} said that it failed, at {}{code}", known.definition.name, told(known.vitals.last_at));
    let line = last.message.as_deref().and_then(|message| message.lines().rev().find(|line| !line.trim().is_empty()));
    if let Some(line) = line {
        text.push_str(": ");
        text.extend(line.trim().chars().take(MOST_OF_A_LINE));
    }
    text
}

fn late(known: &CachedHeartbeat, now: Wall) -> String {
    let CachedHeartbeat { definition, vitals } = known;
    let run = vitals.record.limits.overdue_run(now);
    if let Some(started) = run.map(|run| run.started_at).or(vitals.record.started_at) {
        let span = seconds(now.since(started));
        let which = run.and_then(|run| run.run_id.as_deref()).map_or_else(String::new, |run_id| {
            let shown: String = run_id.chars().take(MOST_OF_A_RUN).collect();
            format!(", run {shown},")
        });
        return format!("{}{which} started at {} and did not end within {span}", definition.name, told(Some(started)));
    }
    let due = schedule(definition);
    match vitals.last_ok_at.or(vitals.last_at) {
        Some(at) => format!("{} is silent since {}; {due}", definition.name, told(Some(at))),
        None => format!("{} never said anything; {due}", definition.name),
    }
}

fn schedule(definition: &Definition) -> String {
    let grace = seconds(definition.grace());
    match (definition.period_s, &definition.cron) {
        (Some(period), _) => {
            let period = seconds(Duration::from_secs(period.into()));
            format!("due every {period}, {grace} of grace")
        }
        (None, Some(cron)) => {
            let zone = definition.time_zone.as_deref().unwrap_or("UTC");
            format!("due by {cron} in {zone}, {grace} of grace")
        }
        (None, None) => format!("{grace} of grace"),
    }
}

/// A point in time, to the second.
fn told(at: Option<Wall>) -> String {
    let at = at.and_then(|at| Timestamp::from_millisecond(at.0).ok());
    at.map_or_else(|| "an unknown time".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// A span in its two largest units.
fn seconds(span: Duration) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let mut left = span.as_secs();
    let mut parts = Vec::new();
    for (unit, length) in units {
        if left >= length {
            parts.push(format!("{} {unit}", left / length));
            left %= length;
        }
    }
    parts.truncate(2);
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use komainu_watchdogs::heartbeat::Record;

    use super::*;
    use crate::store::heartbeats::Vitals;

    fn known(state: State) -> CachedHeartbeat {
        let definition = Definition {
            name: "backup".to_owned(),
            period_s: Some(86_400),
            grace_s: 5_400,
            severity: "critical".to_owned(),
            ..Definition::default()
        };
        let record = Record { state, ..Record::default() };
        let at = Some(Wall(1_763_800_000_000));
        CachedHeartbeat { definition, vitals: Vitals { record, last_ok_at: at, last_at: at, ..Vitals::default() } }
    }

    fn summary(known: &CachedHeartbeat) -> String {
        Plain.alarm(known, &LastPush::default(), Wall(1_763_900_000_000)).0.summary
    }

    #[test]
    fn a_failure_says_how_it_ended_and_the_last_words() {
        let message = Some("copying\nrsync: no space left\n\n".to_owned());
        let last = LastPush { exit_code: Some(11), message, ..LastPush::default() };
        let summary = Plain.alarm(&known(State::Failed), &last, Wall(1_763_900_000_000)).0.summary;
        let expected = "backup said that it failed, at 2025-11-22 08:26:40 UTC, exit code 11: rsync: no space left";
        assert_eq!(summary, expected);
    }

    #[test]
    fn each_trouble_says_what_and_since_when() {
        assert_eq!(
            summary(&known(State::Up)),
            "backup is silent since 2025-11-22 08:26:40 UTC; due every 1 d, 1 h 30 min of grace"
        );
        assert_eq!(summary(&known(State::Failed)), "backup said that it failed, at 2025-11-22 08:26:40 UTC");
        let mut running = known(State::Up);
        running.vitals.record.started_at = Some(Wall(1_763_899_000_000));
        assert_eq!(summary(&running), "backup started at 2025-11-23 11:56:40 UTC and did not end within 16 min 40 s");
        let mut never = known(State::New);
        (never.vitals.last_ok_at, never.vitals.last_at) = (None, None);
        assert_eq!(summary(&never), "backup never said anything; due every 1 d, 1 h 30 min of grace");
    }
}
