//! What operators do: through the API or the command line, whenever they like.
//!
//! Each act is one transaction, told to the judge: what hands did must stay done.

use komainu_watchdogs::decision::Decision;
use komainu_watchdogs::facts::Overlay;
use komainu_watchdogs::ids::Nonce;

use super::events::Time;
use super::model_store::monitor_index;
use super::prng::Prng;
use super::realm::Realm;
use super::world::World;

/// How quick operators are in a seed.
pub(crate) fn draw_hands(seed: u64, realm: Realm) -> u64 {
    let mut rng = Prng::new(seed ^ 0x6861_6e64);
    if realm.spares_majority() { 0 } else { rng.pick(&[0, 0, 50, 300]).unwrap() }
}

impl World {
    /// One random act.
    pub(crate) fn operate(&mut self) {
        if self.server.is_down {
            return;
        }
        let node = self.rng.index(self.setup.nodes);
        let monitor = self.rng.index(self.database.monitors.len());
        let act = self.rng.below(18);
        self.trace(&("operator", act, node, monitor));
        if !self.database.is_present[node] {
            return;
        }
        match act {
            0 | 1 => self.pin(monitor),
            2 => self.unpin(monitor),
            3 | 4 => self.set_overlay(node, Overlay::Draining),
            5 => self.set_overlay(node, Overlay::None),
            6 => self.set_frozen(true),
            7 => self.set_frozen(false),
            8 => self.add(),
            9 => self.toggle(monitor),
            10 => self.delete(monitor),
            11 => self.move_home(monitor, node),
            12..=14 => self.send(monitor, node),
            15 => self.send_all(monitor, node),
            16 => self.drain_with_pinned(node),
            _ => self.recover(node),
        }
    }

    /// `monitors move`: a new home, there as soon as it can be.
    fn send(&mut self, monitor: usize, node: usize) {
        if self.database.nodes[node].overlay != Overlay::None {
            return;
        }
        let Some(assignment) = &mut self.database.monitors[monitor].assignment else { return };
        assignment.home = Some(node);
        assignment.is_asked = assignment.effective != Some(node);
        if assignment.is_pinned {
            self.ledger.pins[monitor] = Some(node);
        }
        self.ledger.sent[monitor] = Some(node);
        self.counts.sent += 1;
        self.note_hand(Some(monitor));
    }

    /// Each hand makes a generation, and writes it into the rows that it changes.
    fn note_hand(&mut self, monitor: Option<usize>) {
        let nonce = Nonce(self.rng.draw());
        self.database.raise_generation(nonce);
        let made = self.database.cluster.stamp.generation;
        let Some(monitor) = monitor else { return };
        // A monitor that nobody has placed yet has no row that could be changed.
        if let Some(assignment) = self.database.monitors[monitor].assignment.as_mut() {
            assignment.written = made;
            self.ledger.hands[monitor] = self.now;
        }
    }

    /// Somebody is quicker than a leader: acts on what it is just about to move.
    pub(crate) fn meddle(&mut self, decision: &Decision) {
        if !self.clock_rng.per_mille(self.setup.quick_hands) {
            return;
        }
        let Some(step) = self.clock_rng.pick(&decision.moves.iter().collect::<Vec<_>>()) else { return };
        let (monitor, node) = (monitor_index(step.monitor), self.clock_rng.index(self.setup.nodes));
        self.counts.quick_hands += 1;
        match self.clock_rng.below(4) {
            0 => self.pin(monitor),
            1 => self.unpin(monitor),
            // Done and taken back.
            2 => self.note_hand(Some(monitor)),
            _ if self.database.is_present[node] => self.send(monitor, node),
            _ => {}
        }
    }

    /// `cluster rebalance` and `monitors move --from`: several at once.
    fn send_all(&mut self, like: usize, node: usize) {
        let from = self.database.monitors[like].effective();
        let alike = |monitor: &usize| self.database.monitors[*monitor].effective() == from;
        for monitor in (0..self.database.monitors.len()).filter(alike).collect::<Vec<_>>() {
            self.send(monitor, node);
        }
    }

    /// `nodes drain --move-pinned`.
    fn drain_with_pinned(&mut self, node: usize) {
        self.set_overlay(node, Overlay::Draining);
        self.database.nodes[node].drains_pinned = true;
        self.ledger.nodes[node].gives_pinned_until = Time::MAX;
    }

    /// Bound to where it is.
    fn pin(&mut self, monitor: usize) {
        let Some(assignment) = &mut self.database.monitors[monitor].assignment else { return };
        if let Some(node) = assignment.effective {
            (assignment.home, assignment.is_pinned, assignment.is_asked) = (Some(node), true, false);
            self.ledger.sent[monitor] = None;
            self.ledger.pins[monitor] = Some(node);
            self.note_hand(Some(monitor));
        }
    }

    fn unpin(&mut self, monitor: usize) {
        if let Some(assignment) = &mut self.database.monitors[monitor].assignment {
            assignment.is_pinned = false;
            self.ledger.pins[monitor] = None;
            self.note_hand(Some(monitor));
        }
    }

    pub(crate) fn set_overlay(&mut self, node: usize, overlay: Overlay) {
        let row = &mut self.database.nodes[node];
        let log = &mut self.ledger.nodes[node];
        if overlay == Overlay::None {
            log.overlaid_since = None;
            if std::mem::take(&mut row.drains_pinned) {
                log.gives_pinned_until = self.now;
            }
        } else if row.overlay == Overlay::None {
            log.overlaid_since = Some(self.now);
        } else {
            return;
        }
        row.overlay = overlay;
        self.note_hand(None);
    }

    pub(crate) fn set_frozen(&mut self, is_frozen: bool) {
        self.database.cluster.frozen = is_frozen;
        self.ledger.is_frozen = is_frozen;
        self.note_hand(None);
    }

    /// A new monitor, for the planner to place or with a home of its own.
    fn add(&mut self) {
        if self.database.monitors.len() >= self.most_monitors() {
            return;
        }
        let home = if self.rng.per_mille(400) { Some(self.rng.index(self.setup.nodes)) } else { None };
        let home =
            home.filter(|home| self.database.nodes[*home].overlay == Overlay::None && self.database.is_present[*home]);
        self.add_monitor(home);
        if home.is_some() {
            self.note_hand(Some(self.database.monitors.len() - 1));
        }
    }

    fn most_monitors(&self) -> usize {
        if self.setup.nodes > 10 { 48 } else { 16 }
    }

    fn toggle(&mut self, monitor: usize) {
        let row = &mut self.database.monitors[monitor];
        row.is_active = !row.is_active;
        row.due_since = self.now;
    }

    fn delete(&mut self, monitor: usize) {
        let present = self.database.monitors.iter().filter(|monitor| !monitor.is_deleted).count();
        if present > 2 {
            self.database.monitors[monitor].is_deleted = true;
        }
    }

    fn move_home(&mut self, monitor: usize, node: usize) {
        if self.database.nodes[node].overlay != Overlay::None {
            return;
        }
        if let Some(assignment) = &mut self.database.monitors[monitor].assignment {
            // Another home without a hurry: what was asked for before is taken back.
            (assignment.home, assignment.is_asked) = (Some(node), false);
            self.ledger.sent[monitor] = None;
            if assignment.is_pinned {
                self.ledger.pins[monitor] = Some(node);
            }
            self.note_hand(Some(monitor));
        }
    }

    pub(crate) fn recover(&mut self, node: usize) {
        let row = &mut self.database.nodes[node];
        row.recover_asked = true;
        row.emptied = None;
        self.note_hand(None);
    }
}
