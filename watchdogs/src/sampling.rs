//! Which of a large node's monitors one reading of progress looks at.
//!
//! The question is whether more than half of them are overdue, and some hundred monitors answer it as well as all of them.
//! Each monitor has a place on a circle, by its key alone; a reading looks at one arc, the next reading at the arc after
//! it, so in as many readings as there are arcs each monitor is looked at once. Of [`AT_LEAST`] monitors, where three in
//! five have stopped, a reading finds no more than half of them overdue in fewer than one of 100,000 cases, and where two
//! in five have, it finds more in as few: two readings in a row that say so are right. Smaller nodes are read exactly.
//!
//! Nearly always all is well, and [`AT_REST`] monitors say that: where three in five have stopped, a hundred of them show no
//! more than a quarter overdue in fewer than one of a million cases. So a node of which the last reading found no more
//! than a quarter overdue is looked at by so many, and by [`AT_LEAST`] as soon as one finds more, or nothing is known.
//! At rest an arc is looked at [`HELD`] times before the next one is: rows that nobody has touched for long cost a database
//! the most, and were nearly all that an idle cluster read.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::facts::{ProgressRow, ShardGroup};
use crate::ids::{MonitorId, NodeId};

/// A reading that matters looks at this many monitors of a node at least, where it has so many.
pub const AT_LEAST: u32 = 500;

/// Of a node that was well a moment ago a reading looks at this many.
pub const AT_REST: u32 = 100;

/// So many readings of a node that is well look at the same arc.
const HELD: u32 = 6;

/// Places on the circle: a prime, so that keys in steps of anything spread over all of it.
pub const CIRCLE: u32 = 65_521;

/// Near `CIRCLE` divided by the golden ratio: neighbours come to lie far apart, whatever the step between them.
pub const FACTOR: u32 = 40_494;

/// What is asked of one node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Look {
    /// No monitor of it has waited for longer than this, whatever the tables say.
    pub within: Option<Duration>,
    /// Only these of its monitors; `None`: all.
    pub part: Option<Part>,
}

/// An arc of the circle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// The first place in it.
    pub from: u32,
    /// The first place behind it.
    pub until: u32,
    /// It is one of so many: what is found in it stands for as many times.
    pub of: u32,
}

impl Part {
    /// The part whose turn it is, of `looked_at` monitors or a few more; `None`: there are so few that all are read.
    fn of(monitors: u32, looked_at: u32, turn: u32) -> Option<Self> {
        let of = (monitors / looked_at).min(CIRCLE);
        if of < 2 {
            return None;
        }
        let bound = |part: u32| u32::try_from(u64::from(part) * u64::from(CIRCLE) / u64::from(of)).unwrap_or(CIRCLE);
        let part = turn % of;
        Some(Self { from: bound(part), until: bound(part + 1), of })
    }

    /// Whether this monitor is looked at.
    pub fn contains(&self, monitor: MonitorId) -> bool {
        let place = monitor.0.unsigned_abs() % u64::from(CIRCLE) * u64::from(FACTOR) % u64::from(CIRCLE);
        (u64::from(self.from)..u64::from(self.until)).contains(&place)
    }
}

/// What the next reading asks of each node about which there is something to say.
///
/// `groups`: who runs how many monitors, as last counted. `last`: what the last reading found. `turn`: rises with each
/// reading.
pub(crate) fn looks(
    groups: &[ShardGroup],
    spans: &BTreeMap<NodeId, Duration>,
    last: &[ProgressRow],
    turn: u32,
) -> BTreeMap<NodeId, Look> {
    let mut probing: BTreeMap<&NodeId, u32> = BTreeMap::new();
    for group in groups.iter().filter(|group| !matches!(group.kind.as_str(), "push" | "group" | "manual")) {
        if let Some(node) = &group.effective {
            *probing.entry(node).or_default() += group.active;
        }
    }
    let look = |node: &NodeId| Look {
        within: spans.get(node).copied(),
        part: probing.get(node).and_then(|monitors| {
            let (looked_at, turn) = if is_well(node, last) { (AT_REST, turn / HELD) } else { (AT_LEAST, turn) };
            Part::of(*monitors, looked_at, turn)
        }),
    };
    let nodes = probing.keys().copied().chain(spans.keys());
    nodes.map(|node| (node.clone(), look(node))).filter(|(_, look)| *look != Look::default()).collect()
}

/// Whether the last reading found so.
fn is_well(node: &NodeId, last: &[ProgressRow]) -> bool {
    let row = last.iter().find(|row| row.node == *node);
    row.is_some_and(|row| row.probing > 0 && row.overdue <= row.probing / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of each part in turn: how many of these monitors are looked at, and how many of them have stopped.
    fn readings(monitors: &[i64], has_stopped: impl Fn(usize) -> bool) -> Vec<(u32, u32)> {
        readings_of(AT_LEAST, monitors, has_stopped)
    }

    fn readings_of(looked_at: u32, monitors: &[i64], has_stopped: impl Fn(usize) -> bool) -> Vec<(u32, u32)> {
        let count = u32::try_from(monitors.len()).unwrap();
        let of = Part::of(count, looked_at, 0).unwrap().of;
        let reading = |turn| {
            let part = Part::of(count, looked_at, turn).unwrap();
            let looked: Vec<_> = (0..monitors.len()).filter(|at| part.contains(MonitorId(monitors[*at]))).collect();
            let stopped = looked.iter().filter(|at| has_stopped(**at)).count();
            (u32::try_from(looked.len()).unwrap(), u32::try_from(stopped).unwrap())
        };
        (0..of).map(reading).collect()
    }

    /// As planners and people leave them: one after another, every fifth, every fortieth, in blocks, far up.
    fn keys() -> Vec<Vec<i64>> {
        let steps = [1, 2, 5, 40, 89, 1_000];
        let mut keys: Vec<Vec<i64>> = steps.iter().map(|step| (0..20_000).map(|at| 7 + at * step).collect()).collect();
        keys.push((0..20_000).map(|at| at % 100 + at / 100 * 500).collect());
        keys.push((4_000_000_000..4_000_020_000).collect());
        keys
    }

    #[test]
    fn small_nodes_are_read_whole() {
        assert_eq!(Part::of(999, AT_LEAST, 3), None);
        assert_eq!(Part::of(1_000, AT_LEAST, 3).unwrap().of, 2);
    }

    #[test]
    fn each_monitor_is_looked_at_once_in_a_turn_of_all_parts_and_each_part_is_about_as_large() {
        for keys in keys() {
            let readings = readings(&keys, |_| true);
            assert_eq!(readings.len(), 40);
            assert_eq!(readings.iter().map(|(looked, _)| looked).sum::<u32>(), 20_000);
            assert!(readings.iter().all(|(looked, _)| (350..650).contains(looked)), "{readings:?}");
        }
    }

    #[test]
    fn where_three_in_five_have_stopped_every_reading_says_so() {
        for keys in keys() {
            let kinds: [fn(usize) -> bool; 4] =
                [|at| at < 12_000, |at| at >= 8_000, |at| at % 5 < 3, |at| at * 7_919 % 10_007 < 6_004];
            for has_stopped in kinds {
                let readings = readings(&keys, has_stopped);
                assert!(readings.iter().all(|(looked, stopped)| 2 * stopped > *looked), "{readings:?}");
            }
        }
    }

    #[test]
    fn where_two_in_five_have_stopped_no_reading_calls_it_more_than_half() {
        for keys in keys() {
            let kinds: [fn(usize) -> bool; 4] =
                [|at| at < 8_000, |at| at >= 12_000, |at| at % 5 < 2, |at| at * 7_919 % 10_007 < 4_002];
            for has_stopped in kinds {
                let readings = readings(&keys, has_stopped);
                assert!(readings.iter().all(|(looked, stopped)| 2 * stopped <= *looked), "{readings:?}");
            }
        }
    }
    #[test]
    fn where_three_in_five_have_stopped_no_look_at_a_hundred_takes_the_node_for_well() {
        for keys in keys() {
            let kinds: [fn(usize) -> bool; 4] =
                [|at| at < 12_000, |at| at >= 8_000, |at| at % 5 < 3, |at| at * 7_919 % 10_007 < 6_004];
            for has_stopped in kinds {
                let readings = readings_of(AT_REST, &keys, has_stopped);
                assert_eq!(readings.len(), 200);
                assert!(readings.iter().all(|(looked, stopped)| *stopped > *looked / 4), "{readings:?}");
            }
        }
    }

    #[test]
    fn a_node_that_was_well_is_looked_at_by_a_hundred_and_by_five_hundred_as_soon_as_there_is_doubt() {
        let group = ShardGroup {
            home: None,
            effective: Some("n1".into()),
            source: None,
            pinned: false,
            asked: false,
            kind: "http".to_owned(),
            run_on: Vec::new(),
            only_kuma: false,
            active: 20_000,
            monitors: 20_000,
            first: None,
            nobodys: Vec::new(),
        };
        let part = |last: &[ProgressRow], turn| {
            let looks = looks(std::slice::from_ref(&group), &BTreeMap::new(), last, turn);
            looks[&NodeId::from("n1")].part.unwrap()
        };
        let found = |overdue| vec![ProgressRow { node: "n1".into(), probing: 20_000, overdue, beating: 0 }];
        assert_eq!(part(&[], 1).of, 40, "nothing is known");
        assert_eq!(part(&found(0), 1).of, 200);
        assert_eq!(part(&found(5_000), 1).of, 200);
        assert_eq!(part(&found(5_001), 1).of, 40);
        let empty = [ProgressRow { node: "n1".into(), probing: 0, overdue: 0, beating: 0 }];
        assert_eq!(part(&empty, 1).of, 40, "a part was empty");
        assert_eq!(part(&found(0), 5), part(&found(0), 0), "at rest an arc is looked at six times");
        assert_ne!(part(&found(0), 6), part(&found(0), 5));
        assert_ne!(part(&found(5_001), 1), part(&found(5_001), 0), "in doubt each reading looks at others");
    }
}
