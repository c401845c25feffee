//! From a generation that is read to one that is applied: stop what is not one's own any more, acknowledge, start.

use std::collections::BTreeSet;

use super::{Output, Phase, Reconcile, Request, Tenure};
use crate::ids::{MonitorId, Stamp};
use crate::time::Mono;

impl Tenure {
    pub(super) fn handle_stamp(&mut self, now: Mono, stamp: Stamp, applied_is_known: bool) {
        if self.in_flight.remove(&Request::ReadStamp).is_none() || !matches!(self.phase, Phase::Holding) {
            return;
        }
        if !applied_is_known || self.went_backwards(stamp) {
            self.quarantine(now);
        }
        if self.is_settled() && (self.unreconciled_since.is_some() || self.applied != Some(stamp)) {
            self.send(now, Request::ReadAssignments, Output::ReadAssignments);
        }
    }

    /// Nothing is being applied, and no earlier acknowledgement is without an answer, which would be taken for that of
    /// the next one.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.reconcile, Reconcile::Settled) && !self.in_flight.contains_key(&Request::Acknowledge)
    }

    /// A generation below the applied one, or the same with another nonce: the database lost its tail.
    fn went_backwards(&self, stamp: Stamp) -> bool {
        self.applied.is_some_and(|applied| {
            stamp.generation < applied.generation
                || (stamp.generation == applied.generation && stamp.nonce != applied.nonce)
        })
    }

    pub(super) fn handle_assigned(&mut self, now: Mono, stamp: Stamp, monitors: BTreeSet<MonitorId>) {
        let Some(began_at) = self.in_flight.remove(&Request::ReadAssignments) else {
            return;
        };
        let is_stale = self.unreconciled_since.is_some_and(|since| began_at < since)
            || self.failed_at.is_some_and(|at| began_at <= at);
        let is_holding = matches!(self.phase, Phase::Holding);
        let is_awaited = is_holding && matches!(self.reconcile, Reconcile::Settled);
        // However old the answer is: only a lost tail brings back what was before the stamp that was applied.
        if is_holding && self.went_backwards(stamp) {
            self.quarantine(now);
        }
        if is_stale || !is_awaited {
            self.look_at = now;
            return;
        }
        let stops: BTreeSet<_> = self.mine.difference(&monitors).copied().collect();
        self.mine.retain(|monitor| monitors.contains(monitor));
        self.stop(stops);
        if self.stops_outstanding == 0 {
            self.acknowledge(now, stamp, monitors);
        } else {
            self.reconcile = Reconcile::Stopping { stamp, monitors };
        }
    }

    /// Orders a stop; nothing to stop needs no order.
    pub(super) fn stop(&mut self, monitors: BTreeSet<MonitorId>) {
        if !monitors.is_empty() {
            self.stops_outstanding += 1;
            self.outputs.push_back(Output::Stop(monitors));
        }
    }

    fn acknowledge(&mut self, now: Mono, stamp: Stamp, monitors: BTreeSet<MonitorId>) {
        self.reconcile = Reconcile::Acknowledging { stamp, monitors };
        self.send(now, Request::Acknowledge, Output::Acknowledge(stamp));
    }

    pub(super) fn handle_stopped(&mut self, now: Mono) {
        self.stops_outstanding = self.stops_outstanding.saturating_sub(1);
        if self.stops_outstanding > 0 {
            return;
        }
        match self.phase {
            Phase::Leaving => self.send(now, Request::Release, Output::Release),
            Phase::Holding => match std::mem::replace(&mut self.reconcile, Reconcile::Settled) {
                Reconcile::Stopping { stamp, monitors } => self.acknowledge(now, stamp, monitors),
                other @ (Reconcile::Settled | Reconcile::Acknowledging { .. }) => {
                    self.reconcile = other;
                }
            },
            Phase::Registering { .. } | Phase::Ended => {}
        }
    }

    pub(super) fn handle_acknowledged(&mut self, now: Mono, began_at: Mono, ours: bool) {
        if self.in_flight.remove(&Request::Acknowledge).is_none() {
            return;
        }
        let reconcile = std::mem::replace(&mut self.reconcile, Reconcile::Settled);
        self.note_renewal(now, began_at, ours);
        let Reconcile::Acknowledging { stamp, monitors } = reconcile else {
            return;
        };
        if !ours || !matches!(self.phase, Phase::Holding) {
            return;
        }
        self.applied = Some(stamp);
        if self.unreconciled_since.is_some_and(|since| began_at < since) {
            // What was acknowledged was read before the lease was out: read again before anything runs.
            return;
        }
        self.unreconciled_since = None;
        if self.quarantined_until.is_none() {
            let starts: BTreeSet<_> = monitors.difference(&self.mine).copied().collect();
            self.mine = monitors;
            if !starts.is_empty() {
                self.outputs.push_back(Output::Start(starts));
            }
        }
    }

    pub(super) fn handle_edited(&mut self, now: Mono) {
        // The same way as with a new generation: stop, acknowledge, start.
        if self.is_settled() && matches!(self.phase, Phase::Holding) {
            self.send(now, Request::ReadAssignments, Output::ReadAssignments);
        }
    }
}
