//! The statements of a node process on the model database: each guarded by its incarnation, each told to the judge.

use std::collections::BTreeSet;

use komainu_watchdogs::ids::{Incarnation, MonitorId, Stamp};
use komainu_watchdogs::tenure::OwnRow;

use super::events::Time;
use super::ledger::Ledger;
use super::model_store::{Database, monitor_id};
use super::variants::Variant;

/// What every statement of one process needs.
#[derive(Debug)]
pub(crate) struct Statement<'a> {
    pub(crate) database: &'a mut Database,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) now: Time,
    pub(crate) variant: Option<Variant>,
    pub(crate) node: usize,
    pub(crate) incarnation: Incarnation,
    /// What its host's clock is ahead of the database's.
    pub(crate) clock_off_ms: i64,
    /// The server says that it holds its lock.
    pub(crate) has_lock: bool,
    /// Everybody else who listened where this process listens is dead, and the holder's lock is free.
    pub(crate) is_abandoned: bool,
}

impl Statement<'_> {
    fn is_mine(&self) -> bool {
        self.database.nodes[self.node].incarnation == Some(self.incarnation)
    }

    pub(crate) fn read_row(&self) -> Option<OwnRow> {
        let row = &self.database.nodes[self.node];
        self.database.is_present[self.node].then(|| OwnRow {
            incarnation: row.incarnation,
            is_released: row.is_released,
            lease_seq: row.lease_seq,
            hostname: String::new(),
            is_abandoned: self.is_abandoned,
        })
    }

    pub(crate) fn register(&mut self, seen: Option<Incarnation>, lease_seq: u64) -> bool {
        let row = &mut self.database.nodes[self.node];
        let is_as_seen = (row.incarnation, row.lease_seq) == (seen, lease_seq);
        if !self.database.is_present[self.node] || !is_as_seen && self.variant != Some(Variant::NoRegisterGuard) {
            return false;
        }
        row.incarnation = Some(self.incarnation);
        row.lease_seq += 1;
        row.is_released = false;
        row.applied = None;
        self.database.had_lock[self.node] = false;
        self.ledger.registered(self.node, self.incarnation, self.now);
        for monitor in &mut self.database.monitors {
            if monitor.effective() == Some(self.node) {
                monitor.due_since = self.now;
            }
        }
        true
    }

    pub(crate) fn renew(&mut self, applied: Option<Stamp>) -> bool {
        if !self.is_mine() {
            return false;
        }
        let is_known = applied.is_some_and(|stamp| self.database.knows(stamp));
        let newest = self.database.cluster.stamp;
        let row = &mut self.database.nodes[self.node];
        row.lease_seq += 1;
        row.applied = applied;
        row.clock_off_ms = Some(self.clock_off_ms);
        if self.variant == Some(Variant::AcknowledgesBeforeStopping) {
            row.applied = Some(newest);
        }
        self.database.had_lock[self.node] = self.has_lock;
        self.ledger.renewed(self.node, self.now);
        self.database.unmeasured[self.node] = false;
        if let Some(stamp) = applied.filter(|_| is_known) {
            self.ledger.acknowledged(self.node, self.incarnation, stamp.generation.0);
        }
        true
    }

    pub(crate) fn read_stamp(&self, applied: Option<Stamp>) -> (Stamp, bool) {
        let stamp = self.database.cluster.stamp;
        if self.variant == Some(Variant::NoNonce) {
            let nonce = applied.map_or(stamp.nonce, |applied| applied.nonce);
            return (Stamp { nonce, ..stamp }, true);
        }
        (stamp, applied.is_none_or(|applied| self.database.knows(applied)))
    }

    pub(crate) fn read_assignments(&self) -> BTreeSet<MonitorId> {
        let monitors = self.database.monitors.iter().enumerate();
        let mine = monitors.filter(|(_, monitor)| monitor.runs() && monitor.effective() == Some(self.node));
        mine.map(|(index, _)| monitor_id(index)).collect()
    }

    pub(crate) fn release(&mut self) {
        if self.is_mine() {
            let row = &mut self.database.nodes[self.node];
            row.incarnation = None;
            row.is_released = true;
            self.ledger.released(self.node);
        }
    }

    /// Whether the guarded insert of a beat inserts it.
    pub(crate) fn takes_beat(&self, monitor: usize) -> bool {
        let row = &self.database.monitors[monitor];
        self.variant == Some(Variant::NoCheckBeforeStore)
            || ((self.is_mine() || self.variant == Some(Variant::AnyTenureStores))
                && row.runs()
                && row.effective() == Some(self.node))
    }
}
