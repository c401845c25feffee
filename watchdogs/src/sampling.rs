//! Which of a large node's monitors one reading of progress looks at.
//!
//! The question is whether more than half of them are overdue, and some hundred monitors answer it as well as all of them.
//! Each monitor has a place on a circle, by its key alone; a reading looks at one arc, the next reading at the arc after
//! it, so in as many readings as there are arcs each monitor is looked at once. Of [`AT_LEAST`] monitors, where three in
//! five have stopped, a reading finds no more than half of them overdue in fewer than one of 100,000 cases, and where two
//! in five have, it finds more in as few: two readings in a row that say so are right. Smaller nodes are read exactly.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::facts::ShardGroup;
use crate::ids::{MonitorId, NodeId};

/// A reading looks at this many monitors of a node at least, where it has so many.
pub const AT_LEAST: u32 = 500;

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
    /// The part whose turn it is; `None`: there are so few monitors that all are read.
    fn of(monitors: u32, turn: u32) -> Option<Self> {
        let of = (monitors / AT_LEAST).min(CIRCLE);
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
/// `groups`: who runs how many monitors, as last counted. `turn`: rises with each reading.
pub(crate) fn looks(groups: &[ShardGroup], spans: &BTreeMap<NodeId, Duration>, turn: u32) -> BTreeMap<NodeId, Look> {
    let mut probing: BTreeMap<&NodeId, u32> = BTreeMap::new();
    for group in groups.iter().filter(|group| !matches!(group.kind.as_str(), "push" | "group" | "manual")) {
        if let Some(node) = &group.effective {
            *probing.entry(node).or_default() += group.active;
        }
    }
    let look = |node: &NodeId| Look {
        within: spans.get(node).copied(),
        part: probing.get(node).and_then(|monitors| Part::of(*monitors, turn)),
    };
    let nodes = probing.keys().copied().chain(spans.keys());
    nodes.map(|node| (node.clone(), look(node))).filter(|(_, look)| *look != Look::default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of each part in turn: how many of these monitors are looked at, and how many of them have stopped.
    fn readings(monitors: &[i64], has_stopped: impl Fn(usize) -> bool) -> Vec<(u32, u32)> {
        let count = u32::try_from(monitors.len()).unwrap();
        let of = Part::of(count, 0).unwrap().of;
        let reading = |turn| {
            let part = Part::of(count, turn).unwrap();
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
        assert_eq!(Part::of(999, 3), None);
        assert_eq!(Part::of(1_000, 3).unwrap().of, 2);
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
}
