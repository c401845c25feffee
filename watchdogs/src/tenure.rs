//! A node's right to run monitors: registration, lease, fence, and the order stop, acknowledge, start.
//!
//! Life: a process *registers* its incarnation in its own row once the former holder is released, gone for one watched
//! lease, or was killed where this one listens now. It then *renews* every [`Policy::lease_renewal`]. It may run only while its last successful
//! renewal was **sent** less than [`Policy::lease_fence`] ago; and where the lock that its process holds at the database is
//! lost, only from the next renewal on: others may take it for killed. When the generation (or its nonce) differs from the one
//! it applied it *reconciles*: reads the assignments, stops what is not its own any more, waits until nothing of that
//! can be stored any longer, acknowledges, and only then starts what is new. When it
//! loses its row, everything stops and it registers anew, under the same incarnation.
//!
//! This machine does not know what a monitor is, nor how it is run: it answers [`Tenure::may_run`] and orders stops
//! and starts. The same machine is driven by the native node and by the simulation.

mod messages;
mod reconciling;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::ids::{Incarnation, MonitorId, Stamp};
use crate::policy::Policy;
use crate::time::Mono;
use crate::watch::Stillness;

pub use messages::{ExitReason, Fence, Input, Output, OwnRow, Request};

/// One node process's tenure.
#[derive(Debug)]
pub struct Tenure {
    policy: Policy,
    incarnation: Incarnation,
    phase: Phase,
    /// When the last successful renewal was sent: the right to run counts from here.
    renewed_at: Option<Mono>,
    /// What was sent before gives no right to run any more.
    lock_lost_at: Option<Mono>,
    /// The stamp acknowledged last.
    applied: Option<Stamp>,
    /// Monitors that may run.
    mine: BTreeSet<MonitorId>,
    /// The assignments must be read by a request sent at or after this point before anything runs.
    unreconciled_since: Option<Mono>,
    /// What was asked at or before this point may show what the database lost since.
    failed_at: Option<Mono>,
    reconcile: Reconcile,
    /// [`Output::Stop`]s without an answer: nothing is acknowledged, released or registered before they are zero.
    stops_outstanding: usize,
    /// A database that lost its tail was seen, or may have gone unnoticed: nothing starts before this point.
    quarantined_until: Option<Mono>,
    /// Requests without an answer, and when they were ordered.
    in_flight: BTreeMap<Request, Mono>,
    renew_at: Mono,
    look_at: Mono,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum Phase {
    /// Wants the row. `since` is the first undisturbed look at it.
    Registering { row: WatchedLease, since: Option<Mono> },
    /// Has the row.
    Holding,
    /// Asked to stop; waits for the runs to stop, then for the release.
    Leaving,
    /// Said its last word.
    Ended,
}

/// A lease that somebody else had, watched by who wants the row.
#[derive(Debug, Default)]
struct WatchedLease {
    /// Raised by whoever holds the lease, and by nobody who takes it away: a revocation is no sign of life.
    counter: Stillness<u64>,
    /// The counter, since the holder is known to be gone but for a renewal that is under way.
    abandoned: Stillness<(Option<Incarnation>, u64)>,
}

impl WatchedLease {
    fn see(&mut self, began_at: Mono, ended_at: Mono, row: &OwnRow) {
        self.counter.see(began_at, ended_at, row.lease_seq);
        if row.is_abandoned {
            self.abandoned.see(began_at, ended_at, (row.incarnation, row.lease_seq));
        } else {
            self.abandoned.reset();
        }
    }

    fn is_over(&self, policy: &Policy) -> bool {
        self.counter.is_still_for(policy.lease_watch) || self.abandoned.is_still_for(policy.killed_watch)
    }
}

#[derive(Debug)]
enum Reconcile {
    /// Applied what was read last.
    Settled,
    /// What was read is being stopped.
    Stopping { stamp: Stamp, monitors: BTreeSet<MonitorId> },
    /// Stopped; the acknowledgement is under way.
    Acknowledging { stamp: Stamp, monitors: BTreeSet<MonitorId> },
}

impl Tenure {
    /// A process that has just started.
    pub fn new(policy: Policy, incarnation: Incarnation, now: Mono) -> Self {
        let phase = Phase::Registering { row: WatchedLease::default(), since: None };
        let mut tenure = Self {
            policy,
            incarnation,
            phase,
            renewed_at: None,
            lock_lost_at: None,
            applied: None,
            mine: BTreeSet::new(),
            unreconciled_since: Some(now),
            failed_at: None,
            reconcile: Reconcile::Settled,
            stops_outstanding: 0,
            quarantined_until: None,
            in_flight: BTreeMap::new(),
            renew_at: now,
            look_at: now,
            outputs: VecDeque::new(),
        };
        tenure.tick(now);
        tenure
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Mono, input: Input) {
        match input {
            Input::Row(row) => self.handle_row(now, row),
            Input::Registered { began_at, won } => self.handle_registered(now, began_at, won),
            Input::Renewed { began_at, ours } => self.handle_renewed(now, began_at, ours),
            Input::StampRead { began_at: _, stamp, applied_is_known } => {
                self.handle_stamp(now, stamp, applied_is_known);
            }
            Input::Assigned { stamp, monitors } => self.handle_assigned(now, stamp, monitors),
            Input::Stopped => self.handle_stopped(now),
            Input::Acknowledged { began_at, ours } => self.handle_acknowledged(now, began_at, ours),
            Input::Released => self.end(ExitReason::Stopped),
            Input::Edited => self.handle_edited(now),
            Input::Hint => self.look_at = now,
            Input::Failed(request) => self.handle_failed(now, request),
            Input::LockLost => self.handle_lock_lost(now),
            Input::Stop => self.handle_stop(now),
            Input::Tick => {}
        }
        self.tick(now);
    }

    /// The next thing to do, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle`] with [`Input::Tick`] at the latest.
    pub fn poll_timeout(&self) -> Mono {
        match self.phase {
            Phase::Registering { .. } => self.look_at,
            Phase::Holding => self.renew_at.min(self.look_at),
            Phase::Leaving | Phase::Ended => Mono::micros(u64::MAX),
        }
    }

    /// Whether a run of this monitor may start now. Asked again before its beat is stored, by [`Self::may_store`].
    pub fn may_run(&self, now: Mono, monitor: MonitorId) -> Result<(), Fence> {
        if !matches!(self.phase, Phase::Holding) {
            return Err(Fence::NotRegistered);
        }
        if self.lease_left(now).is_zero() {
            return Err(Fence::LeaseTooOld);
        }
        if self.unreconciled_since.is_some() {
            return Err(Fence::NotReconciled);
        }
        if self.mine.contains(&monitor) { Ok(()) } else { Err(Fence::NotMine) }
    }

    /// Whether a beat of this monitor may be stored now: the same question, asked again.
    pub fn may_store(&self, now: Mono, monitor: MonitorId) -> Result<(), Fence> {
        self.may_run(now, monitor)
    }

    /// What this node applied last.
    pub fn applied(&self) -> Option<Stamp> {
        self.applied
    }

    /// How long the lease still allows runs.
    pub fn lease_left(&self, now: Mono) -> Duration {
        self.renewed_at.map_or(Duration::ZERO, |renewed_at| (renewed_at + self.policy.lease_fence).since(now))
    }

    fn handle_row(&mut self, now: Mono, row: Option<OwnRow>) {
        let Some(began_at) = self.in_flight.remove(&Request::ReadRow) else {
            return;
        };
        let Phase::Registering { row: watched, since } = &mut self.phase else {
            return;
        };
        let Some(row) = row else {
            self.end(ExitReason::Unknown);
            return;
        };
        let first_look = *since.get_or_insert(now);
        watched.see(began_at, now, &row);
        let is_free = (row.incarnation.is_none() && (row.is_released || row.lease_seq == 0))
            // An earlier registration of this very process was committed although its answer was lost.
            || row.incarnation == Some(self.incarnation)
            || watched.is_over(&self.policy);
        if is_free && self.stops_outstanding == 0 {
            self.send(now, Request::Register, Output::Register { seen: row.incarnation, lease_seq: row.lease_seq });
        } else if began_at.since(first_look) >= 2 * self.policy.lease_watch && row.incarnation.is_some() {
            self.end(ExitReason::IdInUse { hostname: row.hostname });
        }
    }

    fn handle_registered(&mut self, now: Mono, began_at: Mono, won: bool) {
        if self.in_flight.remove(&Request::Register).is_none() {
            return;
        }
        if won && matches!(self.phase, Phase::Registering { .. }) {
            self.phase = Phase::Holding;
            self.renewed_at = Some(began_at);
            self.renew_at = began_at + self.policy.lease_renewal;
            self.demand_reconcile(now);
        }
    }

    fn handle_renewed(&mut self, now: Mono, began_at: Mono, ours: bool) {
        if self.in_flight.remove(&Request::Renew).is_some() {
            self.note_renewal(now, began_at, ours);
        }
    }

    /// A renewal or an acknowledgement was answered.
    fn note_renewal(&mut self, now: Mono, began_at: Mono, ours: bool) {
        if !ours {
            self.lose_row(now);
            return;
        }
        if self.lock_lost_at.is_some_and(|lost_at| began_at <= lost_at) {
            self.renew_at = now;
            return;
        }
        if self.lease_left(now).is_zero() {
            // Out for longer than the fence: others may have been given what this node ran.
            self.demand_reconcile(now);
        }
        self.renewed_at = self.renewed_at.max(Some(began_at));
    }

    fn handle_failed(&mut self, now: Mono, request: Request) {
        self.in_flight.remove(&request);
        // The connection may have failed because the database lost its tail, and with it what was read: read it again.
        self.reconcile = Reconcile::Settled;
        self.failed_at = Some(now);
        self.distrust();
        match request {
            Request::ReadRow | Request::Register => {
                if let Phase::Registering { row, since, .. } = &mut self.phase {
                    *row = WatchedLease::default();
                    *since = None;
                }
            }
            Request::Release => self.end(ExitReason::Stopped),
            Request::Renew => self.renew_at = now + self.policy.lease_renewal / 4,
            Request::ReadStamp | Request::ReadAssignments | Request::Acknowledge => {}
        }
    }

    /// Nothing runs until a renewal that is sent from now on says that this process lives. It is sent at once.
    fn handle_lock_lost(&mut self, now: Mono) {
        self.lock_lost_at = Some(now);
        self.renewed_at = None;
        if matches!(self.phase, Phase::Holding) {
            self.renew_at = now;
            self.demand_reconcile(now);
        }
    }

    fn handle_stop(&mut self, now: Mono) {
        match self.phase {
            Phase::Leaving | Phase::Ended => {}
            Phase::Registering { .. } => self.end(ExitReason::Stopped),
            Phase::Holding => {
                self.phase = Phase::Leaving;
                let mine = std::mem::take(&mut self.mine);
                self.stop(mine);
                if self.stops_outstanding == 0 {
                    self.send(now, Request::Release, Output::Release);
                }
            }
        }
    }

    /// The row is somebody else's, or nobody's: stop everything, then register anew.
    fn lose_row(&mut self, now: Mono) {
        match self.phase {
            Phase::Holding => {}
            Phase::Leaving => return self.end(ExitReason::Stopped),
            Phase::Registering { .. } | Phase::Ended => return,
        }
        self.phase = Phase::Registering { row: WatchedLease::default(), since: None };
        self.renewed_at = None;
        self.applied = None;
        self.distrust();
        self.reconcile = Reconcile::Settled;
        self.demand_reconcile(now);
        let mine = std::mem::take(&mut self.mine);
        self.stop(mine);
    }

    /// The database lost its tail: what this node runs may be another's now, and the other does not know either.
    fn quarantine(&mut self, now: Mono) {
        self.applied = None;
        self.quarantined_until = Some(now + self.policy.quarantine);
        self.reconcile = Reconcile::Settled;
        self.demand_reconcile(now);
        let mine = std::mem::take(&mut self.mine);
        self.stop(mine);
    }

    /// Whoever has applied nothing has no generation by which to notice that the database lost its tail. Where a request
    /// failed it may have, and another node may still run what this one is given.
    fn distrust(&mut self) {
        if let (None, Some(failed_at)) = (self.applied, self.failed_at) {
            self.quarantined_until = self.quarantined_until.max(Some(failed_at + self.policy.quarantine));
        }
    }

    fn demand_reconcile(&mut self, now: Mono) {
        self.unreconciled_since = Some(now);
        self.look_at = now;
    }

    fn tick(&mut self, now: Mono) {
        match self.phase {
            Phase::Registering { .. } => {
                if now >= self.look_at {
                    self.look_at = now + self.policy.round_interval;
                    if !self.in_flight.contains_key(&Request::Register) {
                        self.send(now, Request::ReadRow, Output::ReadRow);
                    }
                }
            }
            Phase::Holding => self.tick_holding(now),
            Phase::Leaving | Phase::Ended => {}
        }
    }

    fn tick_holding(&mut self, now: Mono) {
        if self.quarantined_until.is_some_and(|until| now >= until) {
            self.quarantined_until = None;
            self.demand_reconcile(now);
        }
        if now >= self.renew_at {
            self.renew_at = now + self.policy.lease_renewal;
            self.send(now, Request::Renew, Output::Renew { applied: self.applied });
        }
        if now >= self.look_at {
            self.look_at = now + self.policy.round_interval;
            self.send(now, Request::ReadStamp, Output::ReadStamp { applied: self.applied });
        }
    }

    /// Orders a request, unless one of its kind is still without an answer.
    fn send(&mut self, now: Mono, request: Request, output: Output) {
        if let std::collections::btree_map::Entry::Vacant(slot) = self.in_flight.entry(request) {
            slot.insert(now);
            self.outputs.push_back(output);
        }
    }

    fn end(&mut self, reason: ExitReason) {
        if !matches!(self.phase, Phase::Ended) {
            self.phase = Phase::Ended;
            self.mine.clear();
            self.outputs.push_back(Output::Exit(reason));
        }
    }
}
