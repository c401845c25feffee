//! What changes under the cluster's feet: nodes are added and deleted, change what they can run, and clocks jump.

use komainu_watchdogs::facts::{NodeRow, Overlay};
use komainu_watchdogs::ids::Nonce;

use super::events::{SEC, Time};
use super::ledger::NodeLog;
use super::model_store::node_id;
use super::prng::Prng;
use super::world::World;

/// A lease that stood still for so long is over, as a watchdog watches it.
const LEASE_WATCH: Time = 11 * SEC;

const HOUR: i64 = 3_600_000;

const KINDS: [&str; 4] = ["http", "ping", "dns", "push"];

const LABELS: [&str; 2] = ["eu", "dmz"];

/// What a monitor is, most of them plain.
pub(crate) fn draw_kind(rng: &mut Prng) -> &'static str {
    rng.pick(&["http", "http", "http", "ping", "dns", "push"]).unwrap()
}

pub(crate) fn draw_run_on(rng: &mut Prng) -> Vec<String> {
    if rng.per_mille(150) { vec![rng.pick(&LABELS).unwrap().to_owned()] } else { Vec::new() }
}

impl World {
    /// What a node can run, and what it is called.
    pub(crate) fn relabel(&mut self, node: usize, can_everything: bool) {
        let kinds = KINDS.iter().filter(|_| can_everything || self.rng.per_mille(700)).map(|kind| (*kind).to_owned());
        let kinds: Vec<_> = kinds.collect();
        let labels = LABELS.iter().filter(|_| can_everything || self.rng.per_mille(600)).map(|one| (*one).to_owned());
        let labels = labels.collect();
        let row = &mut self.database.nodes[node];
        // None named: it can run all.
        row.kinds = if kinds.len() == KINDS.len() { Vec::new() } else { kinds };
        row.labels = labels;
        self.counts.relabels += 1;
    }

    pub(crate) fn add_node(&mut self) {
        let absent: Vec<_> = (0..self.setup.nodes).filter(|node| !self.database.is_present[*node]).collect();
        if let Some(node) = self.rng.pick(&absent) {
            self.enter_node(node);
            self.start_node(node);
        }
    }

    pub(crate) fn enter_node(&mut self, node: usize) {
        self.counts.added_nodes += 1;
        self.database.is_present[node] = true;
        let fresh = NodeRow { node: node_id(node), weight: 100, is_native: true, ..NodeRow::default() };
        self.database.nodes[node] = fresh;
        self.relabel(node, false);
        self.raise_generation();
    }

    /// `nodes delete --rehome`: refused while anything depends on the node.
    pub(crate) fn delete_node(&mut self, node: usize) {
        let row = &self.database.nodes[node];
        let is_over = row.incarnation.is_none() || self.now - self.ledger.nodes[node].renewed_at >= LEASE_WATCH;
        let others = self.database.is_present.iter().filter(|is_present| **is_present).count();
        if !self.database.is_present[node] || !is_over || others < 2 || self.has_bonds(node) {
            return;
        }
        for monitor in 0..self.database.monitors.len() {
            let Some(assignment) = &mut self.database.monitors[monitor].assignment else { continue };
            if assignment.home == Some(node) {
                (assignment.home, assignment.is_asked) = (assignment.effective, false);
                self.ledger.sent[monitor] = None;
            }
        }
        self.counts.deleted_nodes += 1;
        self.database.is_present[node] = false;
        self.database.nodes[node] = NodeRow { node: node_id(node), ..NodeRow::default() };
        self.ledger.nodes[node] = NodeLog::default();
        self.raise_generation();
    }

    fn has_bonds(&self, node: usize) -> bool {
        let monitors = self.database.monitors.iter().filter(|monitor| !monitor.is_deleted);
        monitors.filter_map(|monitor| monitor.assignment.as_ref()).any(|assignment| {
            let is_home = assignment.home == Some(node);
            assignment.effective == Some(node)
                || assignment.source.is_some_and(|(source, _, _)| source == node)
                || is_home && (assignment.effective.is_none() || assignment.is_pinned)
        })
    }

    /// A drain that ends with the node's deletion, if nobody changes their mind.
    pub(crate) fn retire_node(&mut self, node: usize) {
        if self.database.nodes[node].overlay == Overlay::Drained || self.rng.per_mille(500) {
            self.delete_node(node);
        } else if self.database.is_present[node] {
            self.set_overlay(node, Overlay::Draining);
        }
    }

    pub(crate) fn raise_generation(&mut self) {
        let nonce = Nonce(self.rng.draw());
        self.database.raise_generation(nonce);
    }

    /// By seconds, an hour, or a day, to either side.
    pub(crate) fn draw_jump(&mut self) -> i64 {
        let most = self.rng.pick(&[10_000, HOUR, 24 * HOUR]).unwrap();
        let by = self.rng.between(1_000, u64::try_from(most).unwrap());
        let by = i64::try_from(by).unwrap();
        if self.rng.per_mille(500) { by } else { -by }
    }
}
