//! How long active monitors have been without a living owner.
//!
//! One by one where nobody runs them: others that come and go, as they do while monitors are moved, say nothing of
//! those that stay. Where a node that does not watch is said to run them, by that node, as long as its first monitor of
//! that type is the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::ShardGroup;
use crate::ids::{MonitorId, NodeId};
use crate::policy::Policy;
use crate::time::Mono;

/// Monitors of one node, all of one type.
type Place = (NodeId, String);

/// Since when which monitors are without a living owner, as this watchdog saw it.
#[derive(Debug, Default)]
pub(crate) struct Unwatched {
    nobodys: BTreeMap<MonitorId, Mono>,
    places: BTreeMap<Place, Stuck>,
}

/// Monitors that stay on a node which does not watch them.
#[derive(Clone, Copy, Debug)]
struct Stuck {
    first: MonitorId,
    since: Mono,
    active: u32,
}

impl Unwatched {
    /// Takes in the groups of one round that nobody watches.
    pub(crate) fn note<'a>(&mut self, now: Mono, groups: impl Iterator<Item = &'a ShardGroup>) {
        let mut nobodys = BTreeSet::new();
        let mut places: BTreeMap<Place, Stuck> = BTreeMap::new();
        for group in groups.filter(|group| group.active > 0) {
            match (&group.effective, group.first) {
                (None, _) => nobodys.extend(group.nobodys.iter().copied()),
                (Some(node), Some(first)) => {
                    let place = places.entry((node.clone(), group.kind.clone()));
                    let stuck = place.or_insert(Stuck { first, since: now, active: 0 });
                    stuck.first = stuck.first.min(first);
                    stuck.active += group.active;
                }
                (Some(_), None) => {}
            }
        }
        for (place, stuck) in &mut places {
            stuck.since = self.since_of(now, place, stuck);
        }
        let left = self.left_since(&places).unwrap_or(now);
        let known = std::mem::take(&mut self.nobodys);
        self.nobodys = nobodys.into_iter().map(|id| (id, known.get(&id).copied().unwrap_or(left))).collect();
        self.places = places;
    }

    /// Who stays is who was there: the first of them, or others beside the first. Who comes from elsewhere brings along
    /// what it waited there.
    fn since_of(&self, now: Mono, place: &Place, stuck: &Stuck) -> Mono {
        let stayed = self.places.get(place).filter(|before| before.first == stuck.first || before.active > 1);
        let waited = self.nobodys.get(&stuck.first).copied();
        let came = if self.places.contains_key(place) { None } else { self.oldest_place() };
        stayed.map(|before| before.since).into_iter().chain(waited).chain(came).min().unwrap_or(now)
    }

    fn oldest_place(&self) -> Option<Mono> {
        self.places.values().map(|stuck| stuck.since).min()
    }

    /// Since when those were unwatched that left such a node: which of them are nobody's now is not known.
    fn left_since(&self, now: &BTreeMap<Place, Stuck>) -> Option<Mono> {
        let shrank = |(place, before): &(&Place, &Stuck)| now.get(*place).is_none_or(|one| one.active < before.active);
        self.places.iter().filter(shrank).map(|(_, before)| before.since).min()
    }

    /// How many have been so for longer than the bound.
    pub(crate) fn orphaned(&self, now: Mono, policy: &Policy) -> u32 {
        let is_long = |since: Mono| now.since(since) >= policy.orphan_bound;
        let nobodys = self.nobodys.values().filter(|since| is_long(**since)).count();
        let stuck = self.places.values().filter(|stuck| is_long(stuck.since)).map(|stuck| stuck.active);
        u32::try_from(nobodys).unwrap_or(u32::MAX).saturating_add(stuck.sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobodys(ids: &[i64]) -> ShardGroup {
        let ids: Vec<MonitorId> = ids.iter().copied().map(MonitorId).collect();
        ShardGroup { effective: None, nobodys: ids, ..of_node("", 1, 1) }
    }

    fn of_node(node: &str, first: i64, active: u32) -> ShardGroup {
        ShardGroup {
            home: None,
            effective: Some(node.into()),
            source: None,
            pinned: false,
            asked: false,
            kind: "http".to_owned(),
            run_on: vec![],
            only_kuma: false,
            active,
            monitors: active,
            first: Some(MonitorId(first)),
            nobodys: vec![],
        }
    }

    #[test]
    fn monitors_that_are_moved_one_after_the_other_are_no_orphans() {
        let (mut unwatched, policy) = (Unwatched::default(), Policy::default());
        for second in 0_u64..200 {
            let id = i64::try_from(second).unwrap();
            unwatched.note(Mono::secs(second), [nobodys(&[id, id + 1, id + 2])].iter());
            assert_eq!(unwatched.orphaned(Mono::secs(second), &policy), 0);
        }
        let bound = policy.orphan_bound.as_secs();
        unwatched.note(Mono::secs(199 + bound), [nobodys(&[201])].iter());
        assert_eq!(unwatched.orphaned(Mono::secs(199 + bound), &policy), 1, "the one that stayed all along");
    }

    #[test]
    fn a_monitor_that_is_made_for_a_dead_node_is_no_orphan_at_once() {
        let (mut unwatched, policy) = (Unwatched::default(), Policy::default());
        for second in 0_u64..200 {
            let first = i64::try_from(second / 3).unwrap();
            unwatched.note(Mono::secs(second), [of_node("n1", first, 1)].iter());
            assert_eq!(unwatched.orphaned(Mono::secs(second), &policy), 0);
        }
        for second in 200_u64..=300 {
            unwatched.note(Mono::secs(second), [of_node("n1", 66, 12)].iter());
        }
        assert_eq!(unwatched.orphaned(Mono::secs(300), &policy), 12);
    }
}
