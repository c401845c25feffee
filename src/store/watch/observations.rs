//! What a watchdog sees, as it stands in its own row: one text, written with the counter that says it lives.
//!
//! So a vote cannot outlive its author's last word, a round writes one row and reads one table less, and nothing is left
//! to write again after a failure.

use komainu_watchdogs::facts::{Observation, ObservationRow, Report, Target, Vote, WatchdogRow};
use serde::{Deserialize, Serialize};

/// Longer texts than this say nothing more to anybody; it bounds the row.
const DETAIL: usize = 200;

#[derive(Serialize, Deserialize)]
struct StoredObservation {
    kind: String,
    target: String,
    vote: String,
    #[serde(default)]
    failures: u32,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    refused: bool,
    #[serde(default)]
    blind: bool,
}

/// The text of a report.
pub(super) fn of_report(report: &Report) -> String {
    let words: Vec<_> = report.observations.iter().map(word).collect();
    serde_json::to_string(&words).expect("words and numbers have a JSON form")
}

fn word(seen: &Observation) -> StoredObservation {
    let (kind, target) = match &seen.target {
        Target::Node(node) => ("node", node.to_string()),
        Target::Watchdog(watchdog) => ("watchdog", watchdog.to_string()),
        Target::Canary(address) => ("canary", address.clone()),
    };
    let vote = match seen.vote {
        Vote::Unknown => "unknown",
        Vote::Up => "up",
        Vote::Down => "down",
    };
    StoredObservation {
        kind: kind.to_owned(),
        target,
        vote: vote.to_owned(),
        failures: seen.failures,
        detail: seen.detail.chars().take(DETAIL).collect(),
        refused: seen.is_refused,
        blind: seen.is_blind,
    }
}

/// What stands in a row. Whatever is none of ours says nothing.
pub(super) fn of_row(row: &WatchdogRow, text: &str) -> Vec<ObservationRow> {
    let words: Vec<StoredObservation> = serde_json::from_str(text).unwrap_or_default();
    let observation = |word: StoredObservation| {
        Some(ObservationRow {
            watchdog: row.watchdog.clone(),
            incarnation: row.incarnation,
            seq: row.seq,
            observation: seen(word)?,
        })
    };
    words.into_iter().filter_map(observation).collect()
}

/// A kind of target that a newer komainu writes is not ours to judge.
fn seen(word: StoredObservation) -> Option<Observation> {
    let target = match word.kind.as_str() {
        "node" => Target::Node(word.target.into()),
        "watchdog" => Target::Watchdog(word.target.into()),
        "canary" => Target::Canary(word.target),
        _ => return None,
    };
    let vote = match word.vote.as_str() {
        "up" => Vote::Up,
        "down" => Vote::Down,
        _ => Vote::Unknown,
    };
    let StoredObservation { failures, detail, refused: is_refused, blind: is_blind, .. } = word;
    Some(Observation { target, vote, failures, detail, is_refused, is_blind })
}
