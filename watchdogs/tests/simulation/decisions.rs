//! The leader's transaction on the model database, carried out exactly as the vocabulary of decisions says.

use komainu_watchdogs::decision::{Commit, Decision, Guard, Move, NodeSeen, Refusal, Revoke, StatusChange, Step};
use komainu_watchdogs::facts::{Mode, Overlay};
use komainu_watchdogs::ids::{Generation, NodeId, Nonce};

use super::counts::Counts;
use super::events::Time;
use super::ledger::{Holding, Ledger};
use super::model_store::{Assignment, Database, Server, monitor_index, node_index};
use super::variants::Variant;

/// One transaction under way.
#[derive(Debug)]
pub(crate) struct Transaction<'a> {
    pub(crate) database: &'a mut Database,
    pub(crate) server: &'a Server,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) counts: &'a mut Counts,
    pub(crate) now: Time,
    pub(crate) variant: Option<Variant>,
    pub(crate) nonce: Nonce,
}

impl Transaction<'_> {
    /// Whether everything that the decision assumes holds.
    pub(crate) fn refusal(&self, decision: &Decision) -> Option<Refusal> {
        let leader = &self.database.leader;
        let leads = (leader.epoch, leader.holder) == (decision.epoch, Some(decision.holder));
        if !leads && self.variant != Some(Variant::NoEpochGuard) {
            return Some(Refusal::Deposed);
        }
        if !self.database.knows(decision.seen) && self.variant != Some(Variant::NoGenerationGuard) {
            return Some(Refusal::UnknownGeneration);
        }
        let moves = !decision.moves.is_empty() || !decision.revokes.is_empty();
        let is_asked = decision.is_allowed_while_frozen() && self.database.cluster.mode == Mode::Active;
        if moves && self.database.has_held_mode() && !is_asked && self.variant != Some(Variant::NoFreezeGuard) {
            return Some(Refusal::Frozen);
        }
        if let Some(guard) = decision.guards.iter().find(|guard| !self.holds(guard)) {
            return Some(Refusal::GuardFailed(guard.clone()));
        }
        let lives = decision.revokes.iter().find(|revoke| !self.is_revocable(revoke)).map(|revoke| &revoke.node);
        lives.or_else(|| self.unexpected_holder(decision)).cloned().map(Refusal::NodeLives)
    }

    /// What is released needs a holder that is written down as its source; what fails over must have none any more.
    fn unexpected_holder<'d>(&self, decision: &'d Decision) -> Option<&'d NodeId> {
        let is_expected = |step: &Move, node: &NodeId| {
            let is_revoked = decision.revokes.iter().any(|revoke| &revoke.node == node);
            let is_held = self.database.nodes[node_index(node)].incarnation.is_some() && !is_revoked;
            match step.step {
                Step::Release => is_held,
                Step::Failover => !is_held || self.variant == Some(Variant::NoVacantGuard),
                Step::Place | Step::Arrive => true,
            }
        };
        let sources = decision.moves.iter().filter_map(|step| Some((step, step.from.as_ref()?)));
        sources.filter(|(step, node)| !is_expected(step, node)).map(|(_, node)| node).next()
    }

    fn holds(&self, guard: &Guard) -> bool {
        match guard {
            Guard::Acknowledged { node, incarnation, generation } => {
                let row = &self.database.nodes[node_index(node)];
                let has_applied = row.applied.is_some_and(|applied| {
                    let is_known = self.database.knows(applied) || self.variant == Some(Variant::NoNonce);
                    applied.generation >= *generation && is_known
                });
                let is_taken_for_granted = self.variant == Some(Variant::EverybodyAcknowledged);
                row.incarnation == Some(*incarnation) && (has_applied || is_taken_for_granted)
            }
            Guard::Superseded { node, incarnation } => {
                let row = &self.database.nodes[node_index(node)];
                let is_taken_for_granted = self.variant == Some(Variant::EverybodySuperseded);
                row.incarnation.is_some_and(|holder| holder != *incarnation) || is_taken_for_granted
            }
            Guard::Vacant { node, lease_seq } => {
                let row = &self.database.nodes[node_index(node)];
                let is_present = self.database.is_present[node_index(node)];
                let is_vacant = row.incarnation.is_none() && row.lease_seq == *lease_seq;
                is_present && is_vacant || self.variant == Some(Variant::NoVacantGuard)
            }
        }
    }

    /// The decision without the steps that are left alone.
    pub(crate) fn carried_out(&self, decision: &Decision) -> Decision {
        let stands = |step: &&Move| {
            let is_changed = step.nodes().any(|node| self.is_changed(decision, node));
            !is_changed && self.row_as_seen(step, decision.seen.generation).is_some()
        };
        Decision { moves: decision.moves.iter().filter(stands).cloned().collect(), ..decision.clone() }
    }

    /// The row that a step changes, if it is still what the plan saw.
    fn row_as_seen(&self, step: &Move, read_at: Generation) -> Option<Assignment> {
        let monitor = self.database.monitors.get(monitor_index(step.monitor));
        let row = monitor.filter(|monitor| !monitor.is_deleted)?.assignment.clone().unwrap_or_default();
        let (from, home) = (step.from.as_ref().map(node_index), step.home.as_ref().map(node_index));
        let is_pin_as_seen = row.is_pinned == step.pinned || self.variant == Some(Variant::PinHidden);
        let is_as_seen = (row.effective, row.home, row.is_asked) == (from, home, step.asked);
        let is_old = row.written <= read_at || self.variant == Some(Variant::NoGenerationGuard);
        let is_as_planned = is_as_seen && is_pin_as_seen && is_old;
        (is_as_planned || self.variant == Some(Variant::NoRowGuard)).then_some(row)
    }

    fn is_revocable(&self, revoke: &Revoke) -> bool {
        let row = &self.database.nodes[node_index(&revoke.node)];
        let is_as_seen = row.incarnation == Some(revoke.incarnation)
            && revoke.lease_seq.is_none_or(|lease_seq| lease_seq == row.lease_seq);
        is_as_seen || self.variant == Some(Variant::NoRevokeGuard)
    }

    /// Does everything that the decision says.
    pub(crate) fn apply(&mut self, decision: &Decision) -> Commit {
        self.database.leader.renewals += 1;
        for revoke in &decision.revokes {
            self.revoke(revoke);
        }
        for change in &decision.statuses {
            self.change_status(change);
        }
        let mut moved = 0;
        for step in &decision.moves {
            let stands = !step.nodes().any(|node| self.is_changed(decision, node));
            moved += u32::from(stands && self.step(step, decision.seen.generation));
        }
        if decision.forget_leftover {
            for monitor in self.database.monitors.iter_mut().filter(|monitor| monitor.is_deleted) {
                monitor.assignment = None;
            }
        }
        if moved > 0 || !decision.revokes.is_empty() {
            self.database.raise_generation(self.nonce);
        }
        Commit::Done { stamp: self.database.cluster.stamp, moved }
    }

    fn revoke(&mut self, revoke: &Revoke) {
        let node = node_index(&revoke.node);
        let row = &mut self.database.nodes[node];
        row.incarnation = None;
        row.is_released = false;
        if revoke.is_emptied {
            row.emptied = Some(revoke.incarnation);
            self.counts.emptied += 1;
        }
        let was_watched = revoke.lease_seq.is_some();
        if was_watched {
            self.counts.revokes += 1;
        } else {
            self.counts.fresh_revokes += 1;
        }
        self.ledger.revoked(node, revoke.incarnation, was_watched, self.now);
    }

    /// Something else was asked of a node since the plan saw it.
    fn is_changed(&self, decision: &Decision, node: &NodeId) -> bool {
        let seen = decision.nodes.iter().find(|seen| &seen.node == node);
        let has_guard = self.variant != Some(Variant::NoNodeGuard);
        has_guard && seen.is_some_and(|seen| NodeSeen::from(&self.database.nodes[node_index(node)]) != *seen)
    }

    fn change_status(&mut self, change: &StatusChange) {
        let wall = self.server.wall(self.now);
        let is_emptied = change.overlay == Overlay::Drained && change.overlay_seen != Overlay::Drained;
        if is_emptied && self.owns(node_index(&change.node)) {
            return;
        }
        let row = &mut self.database.nodes[node_index(&change.node)];
        if row.overlay != change.overlay_seen || !self.database.is_present[node_index(&change.node)] {
            return;
        }
        row.status = change.status;
        row.overlay = change.overlay;
        if change.forgets_losses {
            (row.losses, row.lost_at) = (0, None);
        }
        if change.is_loss {
            row.losses += 1;
            row.lost_at = Some(wall);
        }
        if change.recovered {
            row.recover_asked = false;
            row.emptied = None;
        }
    }

    fn owns(&self, node: usize) -> bool {
        let present = self.database.monitors.iter().filter(|monitor| !monitor.is_deleted);
        let assignments = present.filter_map(|monitor| monitor.assignment.as_ref());
        let is_here = |row: &Assignment| row.effective == Some(node) || row.source.is_some_and(|(at, _, _)| at == node);
        assignments.into_iter().any(is_here)
    }

    fn step(&mut self, step: &Move, read_at: Generation) -> bool {
        let index = monitor_index(step.monitor);
        let to = step.to.as_ref().map(node_index);
        let Some(row) = self.row_as_seen(step, read_at) else {
            self.counts.rows_left_alone += 1;
            return false;
        };
        let changed = match step.step {
            Step::Place => (row.home.is_none() && row.source.is_none()).then(|| self.place(index, to)),
            Step::Release => self.release(index, &row),
            Step::Arrive | Step::Failover => {
                self.note_arrival(index, step.step);
                let is_there = to == row.home;
                self.counts.sent_arrived += u64::from(row.is_asked && is_there);
                Some(Assignment { effective: to, source: None, is_asked: row.is_asked && !is_there, ..row })
            }
        };
        let Some(assignment) = changed else { return false };
        let assignment = Assignment { written: self.database.cluster.stamp.generation.next(), ..assignment };
        self.log(index, &assignment);
        let monitor = &mut self.database.monitors[index];
        monitor.assignment = Some(assignment);
        monitor.due_since = self.now;
        true
    }

    fn place(&mut self, index: usize, to: Option<usize>) -> Assignment {
        let row = self.database.monitors[index].assignment.clone().unwrap_or_default();
        self.counts.placements += 1;
        Assignment { home: to, effective: to, ..row }
    }

    /// A node that holds no lease has nothing that could be released.
    fn release(&mut self, index: usize, row: &Assignment) -> Option<Assignment> {
        let node = row.effective?;
        let holder = self.database.nodes[node].incarnation?;
        let generation = self.database.cluster.stamp.generation.next();
        self.counts.releases += 1;
        self.ledger.holdings[index] =
            Holding::Released { node, incarnation: holder, generation: generation.0, is_acknowledged: false };
        let source = Some((node, Variant::source(self.variant, holder), generation));
        Some(Assignment { effective: None, source, ..row.clone() })
    }

    fn note_arrival(&mut self, index: usize, step: Step) {
        let was_acknowledged = matches!(self.ledger.holdings[index], Holding::Released { is_acknowledged: true, .. });
        self.counts.hand_overs += u64::from(was_acknowledged);
        self.counts.failed_over += u64::from(step == Step::Failover);
    }

    fn log(&mut self, index: usize, assignment: &Assignment) {
        if let Some(node) = assignment.effective {
            self.counts.homecomings += u64::from(assignment.home == Some(node) && self.was_away(index, node));
            self.ledger.holdings[index] = Holding::Owned { node };
        }
    }

    fn was_away(&self, index: usize, home: usize) -> bool {
        matches!(self.ledger.holdings[index], Holding::Released { node, .. } if node != home)
    }
}
