//! What was told and is not entered yet: on disk before anything is sent, gone when it stands in the tables.

use std::collections::BTreeMap;

use komainu_watchdogs::blackout::{Line, Said};
use komainu_watchdogs::time::Wall;

use super::letter::delivery_of;
use crate::clock;
use crate::state_dir::{Spooled, StateDir};
use crate::store::spool::{Outage, Told};

/// The spool of one watchdog.
pub(super) struct Spool {
    state: StateDir,
    entries: Vec<Spooled>,
}

impl Spool {
    /// As an earlier process left it.
    pub(super) async fn open(state: StateDir) -> Self {
        let entries = state.spool().await;
        Self { state, entries }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What was told for sure, with its age by this host's clock.
    pub(super) fn remembered(&self) -> Vec<Said> {
        let age = |at: Wall| u64::try_from(clock::wall().since(at).as_millis()).unwrap_or(u64::MAX);
        let sent = self.entries.iter().filter(|entry| entry.is_sent);
        sent.map(|entry| Said { age_ms: age(entry.said.at), ..entry.said.clone() }).collect()
    }

    /// Keeps these, unless they are there; on disk when this returns.
    pub(super) async fn keep(&mut self, fresh: Vec<Spooled>) {
        let count = self.entries.len();
        for entry in fresh {
            if !self.entries.iter().any(|known| is_same(&known.said, &entry.said)) {
                self.entries.push(entry);
            }
        }
        if self.entries.len() > count {
            self.state.keep_spool(&self.entries).await;
        }
    }

    /// The channel took it.
    pub(super) async fn mark_sent(&mut self, said: &[Said]) {
        for entry in &mut self.entries {
            if let Some(said) = said.iter().find(|said| is_same(said, &entry.said)) {
                entry.is_sent = true;
                entry.said = said.clone();
            }
        }
        self.state.keep_spool(&self.entries).await;
    }

    /// The vendor refused it: it did not arrive.
    pub(super) async fn forget(&mut self, notice_id: &str, lines: impl IntoIterator<Item = &Line>) {
        let lines: Vec<_> = lines.into_iter().collect();
        self.entries
            .retain(|entry| entry.is_sent || entry.said.notice_id != notice_id || !lines.contains(&&entry.said.line));
        self.state.keep_spool(&self.entries).await;
    }

    /// Everything, an outage each, as it is to be entered.
    pub(super) fn outages(&self, clock_ahead_ms: i64) -> (usize, Vec<Outage>) {
        let mut outages: BTreeMap<&str, Outage> = BTreeMap::new();
        for entry in &self.entries {
            let outage = outages.entry(&entry.outage).or_insert_with(|| Outage {
                began_at: entry.began_at,
                summary: entry.summary.clone(),
                votes: entry.votes,
                told: Vec::new(),
            });
            outage.began_at = outage.began_at.min(entry.began_at);
            outage.told.push(Told {
                delivery: delivery_of(&entry.said.line),
                channel: entry.said.line.channel.clone(),
                via: entry.said.via.clone(),
                notice_id: entry.said.notice_id.clone(),
                at: Wall(entry.said.at.0.saturating_add(clock_ahead_ms)),
                is_sent: entry.is_sent,
                vendor_ref: entry.said.vendor_ref.clone(),
            });
        }
        for outage in outages.values_mut() {
            // What is sure comes first: the rest then finds it.
            outage.told.sort_by_key(|told| !told.is_sent);
        }
        (self.entries.len(), outages.into_values().collect())
    }

    /// The first so many are entered.
    pub(super) async fn clear(&mut self, entered: usize) {
        self.entries.drain(..entered.min(self.entries.len()));
        self.state.keep_spool(&self.entries).await;
    }
}

fn is_same(one: &Said, other: &Said) -> bool {
    (&one.line, &one.notice_id, &one.via) == (&other.line, &other.notice_id, &other.via)
}
