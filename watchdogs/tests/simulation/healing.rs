//! After the chaos everything is healed, and must settle in time; then one node is killed in calm.

use komainu_watchdogs::facts::{NodeStatus, Overlay};
use komainu_watchdogs::view::{DatabaseView, Health};

use super::clocks::WallClock;
use super::events::{Event, SEC, Time, Who};
use super::invariants;
use super::ledger::Holding;
use super::model_store::Monitor;
use super::tails::invariant_losses_are_told;
use super::world::{Life, World};

/// Everything settles within this time: a restarted process waits for one lease, a stalled node for its grace and one
/// lease more, each with the rounds and probes in between.
const SETTLES_WITHIN: Time = 120 * SEC;

/// From the kill of a node's process to the first beats elsewhere.
const FAILOVER_BOUND: Time = 20 * SEC;

/// A source that does not acknowledge is revoked after 10 s, and its lease watched from then on.
const ACKNOWLEDGE_WAIT: Time = 11 * SEC;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    Chaos,
    Healing {
        since: Time,
    },
    /// A node was killed in calm: its monitors must beat elsewhere by then.
    Mourning {
        node: usize,
        since: Time,
        until: Time,
    },
    Done,
}

impl World {
    /// Once a second: what holds at all times, and whether what must come has come.
    pub(crate) fn check(&mut self) {
        self.note_owners();
        if self.phase == Phase::Chaos {
            self.meddle_with_locks();
        }
        for dog in &mut self.dogs {
            if dog.life != Life::Dead {
                for tally in &mut dog.tallies {
                    tally.touch(self.now);
                }
            }
        }
        let found = invariants::invariant_no_false_calm(self);
        self.judge(found);
        self.check_calm();
        match self.phase {
            Phase::Chaos => self.check_bounds(),
            Phase::Done => {}
            Phase::Healing { since } => self.check_healing(since),
            Phase::Mourning { node, since, until } => self.check_mourning(node, since, until),
        }
        self.schedule(self.now + SEC, Event::Check);
    }

    /// Each second and at each decision: a monitor may be somebody's for less than a second.
    pub(crate) fn note_owners(&mut self) {
        self.unowned_since.resize(self.database.monitors.len(), None);
        for index in 0..self.database.monitors.len() {
            let monitor = &self.database.monitors[index];
            // A lease that was renewed lately is believed by everybody.
            let is_believed = |node: usize| self.now - self.ledger.nodes[node].renewed_at < self.at_most(15 * SEC);
            let is_owned = monitor.effective().is_some_and(|node| self.has_node(node) || is_believed(node));
            let since = &mut self.unowned_since[index];
            *since = (monitor.runs() && !is_owned).then(|| since.unwrap_or(self.now));
        }
    }

    /// Everything that can be healed is healed; some processes stay dead.
    pub(crate) fn heal(&mut self) {
        self.trace(&"heal");
        self.network.calm();
        self.phase = Phase::Healing { since: self.now };
        self.server.is_down = false;
        self.server.slow_until = 0;
        self.server.troubles.clear();
        self.server.far = (0, 0);
        self.snapshot = None;
        self.wall_clocks.fill(WallClock::right(self.server.wall_offset));
        self.set_frozen(false);
        for node in 0..self.nodes.len() {
            self.nodes[node].stalled_until = 0;
            self.nodes[node].slow_until = 0;
            self.nodes[node].runs_at = self.now;
            self.schedule(self.now, Event::Runs(node));
        }
        let everybody = (0..self.dogs.len()).map(Who::Dog).chain((0..self.nodes.len()).map(Who::Node));
        for who in everybody.collect::<Vec<_>>() {
            self.schedule(self.now, Event::Resume(who));
        }
        self.heal_dogs();
        self.heal_nodes();
    }

    fn heal_dogs(&mut self) {
        for id in 0..self.setup.dogs {
            let alive: Vec<_> = (0..self.dogs.len())
                .filter(|dog| self.dogs[*dog].id == id && self.dogs[*dog].life != Life::Dead)
                .collect();
            for dog in alive.iter().skip(1) {
                self.end_process(Who::Dog(*dog), true);
            }
            if let Some(first) = alive.first() {
                self.dogs[*first].in_use_since = None;
            }
            let living = (0..self.setup.dogs).filter(|id| self.has_dog(*id)).count();
            let is_needed = 2 * living <= self.setup.dogs;
            let is_stopping = alive.first().is_some_and(|dog| self.dogs[*dog].is_stopping);
            if is_stopping || (alive.is_empty() && (is_needed || self.rng.per_mille(600))) {
                for dog in alive {
                    self.end_process(Who::Dog(dog), true);
                }
                self.start_dog(id);
            }
        }
    }

    fn heal_nodes(&mut self) {
        let resumes_all = self.rng.per_mille(500);
        if !self.database.is_present[0] {
            self.enter_node(0);
        }
        if self.setup.realm.has_parts() {
            self.relabel(0, true);
        }
        for id in 0..self.setup.nodes {
            if resumes_all || id == 0 {
                self.set_overlay(id, Overlay::None);
            }
            self.database.nodes[id].emptied = None;
            let is_present = self.database.is_present[id];
            if is_present && !self.has_node(id) && (id == 0 || self.rng.per_mille(600)) {
                self.start_node(id);
            }
        }
    }

    fn check_healing(&mut self, since: Time) {
        let found = invariant_losses_are_told(self, since);
        self.judge(found);
        // What only it can run waits for an operator once it was emptied.
        if self.setup.realm.has_parts() && self.database.nodes[0].emptied.is_some() {
            self.recover(0);
        }
        // A node that was still leaving at the end is gone by now, and must be started by somebody.
        if !self.has_node(0) {
            self.start_node(0);
        }
        let Some(why) = self.unsettled(since) else {
            self.kill_in_calm();
            return;
        };
        if self.now - since > self.at_most(SETTLES_WITHIN) {
            self.judge(Err(format!("no_orphan: not settled after healing: {why}")));
        }
    }

    /// What is not yet as it should be.
    fn unsettled(&self, since: Time) -> Option<String> {
        match self.leader() {
            Some(who) if self.is_running(who) => {}
            _ => return Some("nobody leads".to_owned()),
        }
        let monitors = (0..self.database.monitors.len()).find_map(|monitor| self.unwatched(monitor, since));
        let nodes = || (0..self.setup.nodes).find_map(|node| self.unsettled_status(node));
        let sent = || (0..self.database.monitors.len()).find_map(|monitor| self.still_asked_for(monitor));
        let views = || (0..self.dogs.len()).find_map(|dog| self.unsettled_view(dog));
        let aftermath = || self.has_aftermath().then(|| "something of before is still under way".to_owned());
        monitors.or_else(nodes).or_else(sent).or_else(views).or_else(|| self.stale_incident()).or_else(aftermath)
    }

    fn unwatched(&self, monitor: usize, since: Time) -> Option<String> {
        let row = &self.database.monitors[monitor];
        if row.is_deleted {
            return None;
        }
        let Some(node) = row.effective() else { return Some(format!("monitor {monitor} is nobody's")) };
        let is_held = self.holder(node).is_some();
        let patience = 2 * row.interval + 3 * SEC;
        let beats = row.last_beat_at > since && self.now - row.last_beat_at <= patience;
        (row.is_active && !(is_held && beats)).then(|| {
            format!("monitor {monitor} of node {node} has no fresh beat (held: {is_held}, last {})", row.last_beat_at)
        })
    }

    /// Where an operator sent it, it is, as soon as that node can run it.
    fn still_asked_for(&self, monitor: usize) -> Option<String> {
        let row = &self.database.monitors[monitor];
        let assignment = row.assignment.as_ref().filter(|one| one.is_asked && !row.is_deleted)?;
        let home = &self.database.nodes[assignment.home?];
        let is_fit = home.status == NodeStatus::Online && home.overlay == Overlay::None && home.emptied.is_none();
        let is_fit = is_fit && home.takes(row.kind, &row.run_on);
        is_fit.then(|| format!("monitor {monitor} is not where it was sent: {assignment:?}"))
    }

    /// The running process that holds a node's lease.
    fn holder(&self, node: usize) -> Option<usize> {
        let holder = self.database.nodes[node].incarnation?;
        self.nodes.iter().position(|process| process.incarnation == holder && process.life == Life::Running)
    }

    fn unsettled_status(&self, node: usize) -> Option<String> {
        if !self.database.is_present[node] {
            return None;
        }
        let row = &self.database.nodes[node];
        let is_as_it_should = match (self.holder(node), self.has_node(node)) {
            (Some(_), _) if row.emptied == row.incarnation && !row.recover_asked => row.status == NodeStatus::Stalled,
            (Some(_), _) => row.status == NodeStatus::Online,
            (None, true) => false,
            (None, false) => matches!(row.status, NodeStatus::Offline | NodeStatus::New),
        };
        (!is_as_it_should).then(|| format!("node {node} is {:?}", row.status))
    }

    fn unsettled_view(&self, dog: usize) -> Option<String> {
        let process = &self.dogs[dog];
        if process.life == Life::Dead {
            return None;
        }
        let view = process.core.view(self.local(Who::Dog(dog)));
        let mut present = self.database.nodes.iter().zip(&self.database.is_present).filter(|(_, present)| **present);
        let is_whole = (0..self.setup.dogs).all(|id| self.has_dog(id))
            && present.all(|(row, _)| matches!(row.status, NodeStatus::Online | NodeStatus::New));
        // Whoever pins a monitor to a node that cannot run it is told so, and it stays there.
        let is_misplaced = self.database.monitors.iter().any(|monitor| {
            let node = monitor.effective().map(|node| &self.database.nodes[node]);
            monitor.runs() && monitor.is_pinned() && node.is_some_and(|row| !row.runs(monitor.kind))
        });
        let is_well = is_misplaced || view.status == Health::Ok || (view.status == Health::Degraded && !is_whole);
        (!is_well || view.database != DatabaseView::Up)
            .then(|| format!("watchdog {dog} says {:?}: {:?}", view.status, view.reasons))
    }

    fn stale_incident(&self) -> Option<String> {
        let is_stale = |key: &str| {
            let well = |node: &str| {
                self.database.nodes.iter().any(|row| row.node.as_str() == node && row.status == NodeStatus::Online)
            };
            let is_clock = key.starts_with("clock/");
            is_clock || matches!(key, "leader" | "nodes" | "isolation") || key.strip_prefix("node/").is_some_and(well)
        };
        let open = self.database.incidents.iter().find(|row| is_stale(&row.key));
        open.map(|row| format!("incident {} is still open", row.key))
    }

    /// One node dies while all is well: its monitors must beat elsewhere in time.
    fn kill_in_calm(&mut self) {
        let (rows, is_present) = (&self.database.nodes, &self.database.is_present);
        let is_fit =
            |node: usize| is_present[node] && rows[node].overlay == Overlay::None && rows[node].emptied.is_none();
        let are_well =
            rows.iter().zip(is_present).all(|(row, is_present)| row.status == NodeStatus::Online || !is_present);
        let fit: Vec<_> = (0..rows.len()).filter(|node| is_fit(*node)).collect();
        if !are_well || fit.len() < 2 {
            self.phase = Phase::Done;
            return;
        }
        let node = fit[self.rng.index(fit.len())];
        for process in 0..self.nodes.len() {
            if self.nodes[process].id == node {
                self.end_process(Who::Node(process), true);
            }
        }
        self.phase = Phase::Mourning { node, since: self.now, until: self.now + self.at_most(FAILOVER_BOUND) };
    }

    /// Another node can run it.
    fn has_taker(&self, monitor: &Monitor, besides: usize) -> bool {
        self.database.nodes.iter().enumerate().any(|(node, row)| {
            let is_fit = row.overlay == Overlay::None && row.emptied.is_none() && row.status == NodeStatus::Online;
            node != besides && self.database.is_present[node] && is_fit && row.takes(monitor.kind, &monitor.run_on)
        })
    }

    fn check_mourning(&mut self, node: usize, since: Time, until: Time) {
        // Taken from it by a release at that very moment: the acknowledgement never comes, and is waited for first.
        let is_released = self.ledger.holdings.iter().any(|holding| {
            matches!(holding, Holding::Released { node: source, is_acknowledged: false, .. } if *source == node)
        });
        if is_released {
            self.phase =
                Phase::Mourning { node, since, until: since + self.at_most(FAILOVER_BOUND + ACKNOWLEDGE_WAIT) };
        }
        // Between two others monitors go home meanwhile.
        let is_on_its_way =
            |holding: &Holding| matches!(holding, Holding::Released { node: source, .. } if *source != node);
        let mut monitors = self.database.monitors.iter().zip(&self.ledger.holdings);
        let bereft = monitors.position(|(monitor, holding)| {
            let is_left = monitor.effective().map_or(!is_on_its_way(holding), |owner| owner == node);
            monitor.runs() && self.has_taker(monitor, node) && (is_left || monitor.last_beat_at <= since)
        });
        match bereft {
            None => {
                self.counts.kills_in_calm += 1;
                self.phase = Phase::Done;
            }
            Some(monitor) if self.now > until => {
                self.judge(Err(format!("no_orphan: monitor {monitor} does not beat elsewhere in time after a kill")));
            }
            Some(_) => {}
        }
    }
}
