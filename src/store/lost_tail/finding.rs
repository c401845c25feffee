//! What one watchdog found of a lost tail, as it is stored, and what people are told of what all found. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use komainu_watchdogs::ids::{Generation, WatchdogId};
use komainu_watchdogs::tail::LostTail;
use komainu_watchdogs::time::Wall;
use serde::{Deserialize, Serialize};

/// Deeds and names of heartbeats that one finding keeps.
const MOST_KEPT: usize = 100;
/// And that a message names.
const MOST_NAMED: usize = 10;

/// What one watchdog found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Finding {
    /// Deeds that it carried out, answered, and that are gone.
    pub hands: Vec<LostHand>,
    /// And so many more.
    pub more_hands: u64,
    /// Pushes that it answered and that are gone, by heartbeat.
    pub pushes: BTreeMap<String, LostPushes>,
    /// And so many more, of further heartbeats.
    pub more_pushes: u64,
    /// Pushes and deeds answered then that were too many to remember: they may be gone.
    pub unknown: u64,
    /// This process was not there then: what was answered it does not know.
    pub knows_nothing: bool,
    /// The number of the cluster's assignment before and after, if it went back.
    pub generations: Option<(Generation, Generation)>,
}

/// A deed that is gone, as the audit trail would say it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LostHand {
    /// Who asked for it.
    pub who: String,
    /// What was done.
    pub what: String,
    /// To what.
    pub subject: String,
}

/// Pushes of one heartbeat that were gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LostPushes {
    /// Entered again, from memory.
    pub entered_again: u64,
    /// Left out of the history: a later one of the same heartbeat counts already, or the heartbeat is gone.
    pub overtaken: u64,
}

impl Finding {
    /// Adds a deed, if there is room.
    pub fn add_hand(&mut self, hand: LostHand) {
        if self.hands.len() < MOST_KEPT { self.hands.push(hand) } else { self.more_hands += 1 }
    }

    /// Adds a push, if there is room.
    pub fn add_push(&mut self, name: &str, is_entered_again: bool) {
        if !self.pushes.contains_key(name) && self.pushes.len() >= MOST_KEPT {
            self.more_pushes += 1;
            return;
        }
        let pushes = self.pushes.entry(name.to_owned()).or_default();
        if is_entered_again { pushes.entered_again += 1 } else { pushes.overtaken += 1 }
    }
}

/// A finding, and whose it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Who found it.
    pub watchdog: WatchdogId,
    /// The last of its writes that is there.
    pub from: Wall,
    /// The last one that is not.
    pub until: Wall,
    /// What it found.
    pub finding: Finding,
}

impl Seen {
    /// Of one that was just found.
    pub fn of(watchdog: &WatchdogId, loss: &LostTail, finding: &Finding) -> Self {
        Self { watchdog: watchdog.clone(), from: loss.from, until: loss.until, finding: finding.clone() }
    }
}

/// One sentence or two for people.
pub fn summary(seen: &[Seen]) -> String {
    let from = seen.iter().map(|seen| seen.from).min().unwrap_or_default();
    let until = seen.iter().map(|seen| seen.until).max().unwrap_or_default();
    let mut said = vec![format!(
        "the database lost what it had answered from {} to {} (a replica that was behind was promoted, or a backup restored): {}",
        shown(from),
        shown(until),
        hands(seen)
    )];
    said.push(pushes(seen));
    let generations = seen.iter().filter_map(|seen| seen.finding.generations);
    if let Some((before, after)) = generations.max() {
        said.push(format!("the assignment went back from generation {before} to {after}"));
    }
    let unknown: u64 = seen.iter().map(|seen| seen.finding.unknown).sum();
    if unknown > 0 {
        said.push(format!("of {unknown} more that were answered then nobody knows whether they are there"));
    }
    let new: BTreeSet<_> =
        seen.iter().filter(|seen| seen.finding.knows_nothing).map(|seen| seen.watchdog.as_str()).collect();
    if !new.is_empty() {
        let names = new.into_iter().collect::<Vec<_>>().join(", ");
        said.push(format!("what was asked of the process of {names} before is not known"));
    }
    let found: BTreeSet<_> = seen.iter().map(|seen| seen.watchdog.as_str()).collect();
    said.push(format!("found by {}", found.into_iter().collect::<Vec<_>>().join(", ")));
    said.join("; ")
}

fn hands(seen: &[Seen]) -> String {
    let hands: Vec<_> = seen.iter().flat_map(|seen| &seen.finding.hands).collect();
    let more: u64 = seen.iter().map(|seen| seen.finding.more_hands).sum();
    let all = u64::try_from(hands.len()).unwrap_or(u64::MAX).saturating_add(more);
    if all == 0 {
        return "no act of anybody's that is known".to_owned();
    }
    let words = hands.iter().map(|hand| format!("{} {} by {}", hand.what, hand.subject, hand.who));
    format!("gone, to be done again if still wanted: {}", list(words, all))
}

fn pushes(seen: &[Seen]) -> String {
    let mut names: BTreeMap<&str, LostPushes> = BTreeMap::new();
    for (name, pushes) in seen.iter().flat_map(|seen| &seen.finding.pushes) {
        let known = names.entry(name).or_default();
        known.entered_again += pushes.entered_again;
        known.overtaken += pushes.overtaken;
    }
    let more: u64 = seen.iter().map(|seen| seen.finding.more_pushes).sum();
    let entered: u64 = names.values().map(|pushes| pushes.entered_again).sum();
    let overtaken: u64 = names.values().map(|pushes| pushes.overtaken).sum();
    let all = entered + overtaken + more;
    if all == 0 {
        return "no push that is known".to_owned();
    }
    let words = names.iter().map(|(name, pushes)| format!("{name} x {}", pushes.entered_again + pushes.overtaken));
    let count = u64::try_from(names.len()).unwrap_or(u64::MAX);
    format!(
        "{all} pushes, of which {entered} were entered again and {overtaken} were overtaken by later ones ({})",
        list(words, count)
    )
}

fn list(words: impl Iterator<Item = String>, all: u64) -> String {
    let named: Vec<_> = words.take(MOST_NAMED).collect();
    let more = all.saturating_sub(u64::try_from(named.len()).unwrap_or(u64::MAX));
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    named.join(", ") + &more
}

fn shown(at: Wall) -> String {
    Timestamp::from_millisecond(at.0)
        .map_or_else(|_| at.0.to_string(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(watchdog: &str, finding: Finding) -> Seen {
        Seen { watchdog: watchdog.into(), from: Wall(1_763_800_000_000), until: Wall(1_763_800_006_000), finding }
    }

    #[test]
    fn what_all_found_is_one_text_and_each_is_counted_once() {
        let mut one = Finding { generations: Some((Generation(7), Generation(5))), ..Finding::default() };
        one.add_hand(LostHand { who: "key/ops".into(), what: "node.drain".into(), subject: "node3".into() });
        one.add_push("backup", true);
        let mut other = Finding::default();
        other.add_push("backup", false);
        other.add_push("bot", true);
        let text = summary(&[
            seen("w1", one),
            seen("w2", other),
            seen("w3", Finding { knows_nothing: true, ..Finding::default() }),
        ]);
        assert_eq!(
            text,
            "the database lost what it had answered from 2025-11-22 08:26:40 UTC to 2025-11-22 08:26:46 UTC (a replica that was \
             behind was promoted, or a backup restored): gone, to be done again if still wanted: node.drain node3 by key/ops; \
             3 pushes, of which 2 were entered again and 1 were overtaken by later ones (backup x 2, bot x 1); the assignment \
             went back from generation 7 to 5; what was asked of the process of w3 before is not known; found by w1, w2, w3"
        );
    }

    #[test]
    fn very_many_are_counted_and_ten_are_named() {
        let mut finding = Finding { unknown: 3, ..Finding::default() };
        for number in 0..120 {
            finding.add_hand(LostHand { subject: number.to_string(), ..LostHand::default() });
            finding.add_push(&format!("bot{number:03}"), true);
        }
        assert_eq!(
            (finding.hands.len(), finding.more_hands, finding.pushes.len(), finding.more_pushes),
            (100, 20, 100, 20)
        );
        let text = summary(&[seen("w1", finding)]);
        for words in ["and 110 more; 120 pushes", "bot009 x 1 and 90 more)", "of 3 more that were answered"] {
            assert!(text.contains(words), "{words} is not in {text}");
        }
        assert!(text.len() < 1_000, "{}", text.len());
    }

    #[test]
    fn where_nothing_is_known_that_is_said() {
        let text = summary(&[seen("w1", Finding::default())]);
        assert!(text.contains("no act of anybody's that is known; no push that is known; found by w1"), "{text}");
    }
}
