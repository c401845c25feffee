//! Monitors that end their nodes: who is begun alone, who is put aside, and who is not.

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::beginning::{Aside, AsideStep, Beginning, Past, Turns};
use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Mono;

/// The rows of some monitors, and nodes that take all of them over, one after another.
struct Rows {
    rows: BTreeMap<MonitorId, Past>,
    aside: BTreeSet<MonitorId>,
    /// Seconds of the nodes' clocks.
    now: u64,
    /// Beats that were stored.
    beats: i64,
}

impl Rows {
    fn of(monitors: i64) -> Self {
        let rows = (1..=monitors).map(|id| (MonitorId(id), Past::default())).collect();
        Self { rows, aside: BTreeSet::new(), now: 1_000, beats: 0 }
    }

    /// A node gains them all, and runs them until one ends it. Says whether it lived.
    fn take_over(&mut self, is_deadly: impl Fn(MonitorId) -> bool) -> bool {
        // A lease was watched before.
        self.now += 15;
        let mut turns = Turns::default();
        turns.handle_start(Mono::secs(self.now));
        let mut at_once = Vec::new();
        for (&monitor, past) in &self.rows {
            match past.beginning() {
                _ if self.aside.contains(&monitor) => {}
                Beginning::AtOnce => at_once.push(monitor),
                Beginning::Apart => turns.wait(monitor, false),
                Beginning::Alone => turns.wait(monitor, true),
                Beginning::PutAside => {
                    self.aside.insert(monitor);
                }
            }
        }
        let newest = self.beats;
        self.rows.values_mut().for_each(|past| past.started_after = Some(newest));
        for monitor in at_once {
            if is_deadly(monitor) {
                return false;
            }
            self.ran(monitor);
        }
        while let Some(at) = turns.next_at() {
            let now = Mono::secs(self.now).max(at);
            self.now = now.since(Mono::default()).as_secs();
            let turn = turns.next(now);
            let with = u32::try_from(turn.len()).unwrap();
            for monitor in &turn {
                self.rows.get_mut(monitor).unwrap().begun_with = Some(with);
            }
            for monitor in turn {
                if is_deadly(monitor) {
                    return false;
                }
                self.ran(monitor);
                self.rows.get_mut(&monitor).unwrap().begun_with = None;
                turns.forget(monitor);
            }
        }
        true
    }

    fn ran(&mut self, monitor: MonitorId) {
        self.beats += 1;
        self.rows.get_mut(&monitor).unwrap().last_beat = Some(self.beats);
    }
}

#[test]
fn a_monitor_that_ends_two_nodes_as_they_begin_it_is_put_aside_and_no_other_is() {
    let mut rows = Rows::of(20);
    let is_deadly = |monitor| monitor == MonitorId(7);
    assert!(!rows.take_over(is_deadly), "begun with all others");
    assert!(!rows.take_over(is_deadly), "begun apart");
    assert!(rows.take_over(is_deadly), "put aside");
    assert_eq!(rows.aside, BTreeSet::from([MonitorId(7)]));
    assert!(rows.take_over(is_deadly));
    let ran = rows.rows.iter().filter(|(_, past)| past.beginning() == Beginning::AtOnce).count();
    assert_eq!(ran, 19, "all the others are as if nothing had happened");
}

#[test]
fn one_that_begins_to_end_nodes_after_years_costs_the_node_that_runs_it_and_two_more() {
    let mut rows = Rows::of(20);
    assert!(rows.take_over(|_| false));
    rows.now += 100_000;
    (1..=20).for_each(|id| rows.ran(MonitorId(id)));
    // Its target has changed, and its node is gone.
    let is_deadly = |monitor| monitor == MonitorId(1);
    let lived: Vec<_> = (0..3).map(|_| rows.take_over(is_deadly)).collect();
    assert_eq!(lived, [false, false, true]);
    assert_eq!(rows.aside, BTreeSet::from([MonitorId(1)]));
}

#[test]
fn several_that_end_nodes_are_put_aside_one_after_another() {
    let mut rows = Rows::of(50);
    let is_deadly = |monitor: MonitorId| monitor.0 % 20 == 5;
    let lost = (0..10).take_while(|_| !rows.take_over(is_deadly)).count();
    assert_eq!(rows.aside, [5, 25, 45].map(MonitorId).into());
    assert!(lost <= 4, "{lost} nodes: one for all of them, and one for each");
}

#[test]
fn nodes_that_die_of_something_else_put_nobody_aside() {
    let mut rows = Rows::of(20);
    for round in 1..=5 {
        // The power fails while some are being begun with all others; then, long after all of them ran, once more.
        assert!(!rows.take_over(|monitor| monitor == MonitorId(round * 3)));
        assert!(rows.take_over(|_| false));
        rows.now += 600;
        (1..=20).for_each(|id| rows.ran(MonitorId(id)));
    }
    assert!(rows.aside.is_empty());
    assert!(rows.rows.values().all(|past| past.beginning() == Beginning::AtOnce));
}

#[test]
fn a_run_over_which_no_node_was_lost_clears_a_monitor() {
    let begun = |started_after, begun_with, last_beat| Past { started_after, begun_with, last_beat }.beginning();
    assert_eq!(begun(None, None, None), Beginning::AtOnce, "never started");
    assert_eq!(begun(Some(100), None, None), Beginning::Apart, "started, and never ran");
    assert_eq!(begun(Some(100), None, Some(50)), Beginning::Apart);
    assert_eq!(
        begun(Some(100), None, Some(100)),
        Beginning::Apart,
        "the newest of all was its own, before it was started"
    );
    assert_eq!(begun(Some(100), None, Some(101)), Beginning::AtOnce, "whatever any clock showed");
    assert_eq!(begun(Some(100), Some(1), Some(50)), Beginning::PutAside);
    assert_eq!(begun(Some(100), Some(7), Some(50)), Beginning::Alone, "one of seven");
    assert_eq!(begun(Some(100), Some(1), Some(111)), Beginning::AtOnce, "it ran, whoever forgot to take the mark back");
}

#[test]
fn what_was_put_aside_over_a_node_that_was_only_cut_off_is_taken_back_when_that_is_heard_of_again() {
    let seen = |is_told, is_active, is_disproved| Aside { is_told, is_active, is_disproved }.step();
    assert_eq!(seen(false, true, false), AsideStep::Pause);
    assert_eq!(seen(true, false, false), AsideStep::Keep, "nothing is heard of that node");
    assert_eq!(seen(true, false, true), AsideStep::TakeBack);
    assert_eq!(seen(false, true, true), AsideStep::Forget, "it is back before anybody was told");
    assert_eq!(seen(true, true, false), AsideStep::Forget, "somebody resumed it");
    assert_eq!(seen(true, true, true), AsideStep::Forget);
    assert_eq!(seen(false, false, false), AsideStep::Forget, "somebody had paused it");
}

#[test]
fn one_at_a_time_is_begun_and_none_that_is_gone() {
    let [first, second, third] = [1, 2, 3].map(MonitorId);
    let mut turns = Turns::default();
    turns.handle_start(Mono::secs(10));
    for monitor in [first, second, third, first] {
        turns.wait(monitor, monitor == first);
    }
    assert_eq!((turns.next(Mono::secs(14)).len(), turns.next_at()), (0, Some(Mono::secs(15))), "others come first");
    assert_eq!(turns.next(Mono::secs(15)), [second].into());
    assert!(turns.next(Mono::secs(16)).is_empty(), "it is being begun");
    assert_eq!(turns.next(Mono::secs(17)), [third].into(), "a target that does not answer");
    assert!(turns.forget(third) && !turns.forget(second));
    assert_eq!(turns.next(Mono::secs(17)), [first].into(), "whoever is begun by itself comes last");
    assert_eq!((turns.next(Mono::secs(30)).len(), turns.next_at()), (0, None));
}

#[test]
fn thousands_that_come_into_question_wait_for_a_hundred_turns_and_cost_one_node_more() {
    let mut rows = Rows::of(5_000);
    let is_deadly = |monitor| monitor == MonitorId(1);
    let lived: Vec<_> = (0..4).map(|_| rows.take_over(is_deadly)).collect();
    assert_eq!(lived, [false, false, false, true]);
    assert_eq!(rows.aside, [MonitorId(1)].into());
    let mut turns = Turns::default();
    (0..5_000).for_each(|id| turns.wait(MonitorId(id), false));
    let mut now = Mono::default();
    while let Some(at) = turns.next_at() {
        now = at;
        assert!(turns.next(at).len() <= 50);
    }
    assert_eq!(now, Mono::secs(99 * 2), "each takes all of its two seconds");
}
