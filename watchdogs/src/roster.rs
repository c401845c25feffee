//! Who is there: the watchdogs that may vote, what they say, and the leases of the nodes, all watched rather than timed.
//!
//! Keeps what one [`Round`] after another showed. Decides who is a voter and whether a lease is fresh or over; does not
//! decide what follows from that.

use std::collections::BTreeMap;

use crate::facts::{LeaseLock, NodeRow, Observation, ObservationRow, Report, Round, Target, Vote, WatchdogRow};
use crate::ids::{Incarnation, NodeId, WatchdogId};
use crate::policy::Policy;
use crate::quorum::{Ballot, Word};
use crate::status::Lease;
use crate::watch::Stillness;

/// What a lease consists of: its holder and its counter.
type LeaseCounter = (Option<Incarnation>, u64);

/// All that is known about who is there.
#[derive(Debug, Default)]
pub struct Roster {
    leases: BTreeMap<NodeId, WatchedLease>,
    rows: BTreeMap<WatchdogId, WatchedRow>,
    watchdogs: Vec<WatchdogRow>,
    words: BTreeMap<WatchdogId, Words>,
}

#[derive(Debug, Default)]
struct WatchedLease {
    counter: Stillness<LeaseCounter>,
    has_moved: bool,
    lock: WatchedLock,
    /// The row stands as this watchdog left it when it revoked a lease it had watched to its end.
    vacated_at: Option<u64>,
}

/// The lock of a lease's holder. A process that was killed has lost it at that moment; but so has one whose connection was
/// ended by somebody (an operator, a proxy, the server). That one goes on renewing, and says then that it has none; or it
/// finds out, and stops. So the counter must stand while the lock is free, for longer than one renewal.
#[derive(Debug, Default)]
struct WatchedLock {
    /// Whose it was when it was seen to be held last.
    held_by: Option<Incarnation>,
    /// The counter, since the lock is free.
    free: Stillness<LeaseCounter>,
}

impl WatchedLock {
    fn see(&mut self, round: &Round, row: &NodeRow) {
        match row.lock {
            LeaseLock::Held => *self = Self { held_by: row.incarnation, free: Stillness::new() },
            LeaseLock::Unknown => *self = Self::default(),
            LeaseLock::Free => {
                let has_moved = self.free.see(round.began_at, round.ended_at, (row.incarnation, row.lease_seq));
                if has_moved || self.held_by != row.incarnation {
                    *self = Self::default();
                }
            }
        }
    }
}

/// The row of a watchdog. Until it was seen to move (also after an own database error) its author may be long gone: it
/// counts as a voter, so that nobody decides alone, but its words say nothing.
#[derive(Debug, Default)]
struct WatchedRow {
    counter: Stillness<(Incarnation, u64)>,
    has_moved: bool,
}

/// The latest words of one process of a watchdog, by target.
#[derive(Debug)]
struct Words {
    incarnation: Incarnation,
    by_target: BTreeMap<Target, (u64, Observation)>,
}

/// Who may vote now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Voters {
    /// Watchdogs whose row moves and that are not isolated.
    pub voting: Vec<WatchdogRow>,
    /// Watchdogs whose row moves.
    pub living: usize,
    /// Watchdogs that are registered and did not stop on purpose.
    pub registered: usize,
}

impl Voters {
    /// So many are isolated that the others' word on reach means nothing.
    pub fn is_suspended(&self) -> bool {
        2 * self.voting.len() < self.living
    }

    /// One voter out of several registered watchdogs: its word stands alone.
    pub fn is_sole_witness(&self) -> bool {
        self.registered > 1 && self.voting.len() <= 1
    }

    /// More than half of the registered watchdogs live.
    pub fn is_majority(&self) -> bool {
        2 * self.living > self.registered
    }
}

impl Roster {
    /// Takes in what a round showed. `me` wrote its own row, or it would not be here.
    pub fn handle_round(&mut self, round: &Round) {
        let (began_at, ended_at) = (round.began_at, round.ended_at);
        self.leases.retain(|node, _| round.nodes.iter().any(|row| &row.node == node));
        for row in &round.nodes {
            let lease = self.leases.entry(row.node.clone()).or_default();
            lease.lock.see(round, row);
            lease.has_moved |= lease.counter.see(began_at, ended_at, (row.incarnation, row.lease_seq));
            if row.incarnation.is_some() || lease.vacated_at != Some(row.lease_seq) {
                lease.vacated_at = None;
            }
        }
        self.rows.retain(|watchdog, _| round.watchdogs.iter().any(|row| &row.watchdog == watchdog));
        for row in &round.watchdogs {
            let watch = self.rows.entry(row.watchdog.clone()).or_default();
            watch.has_moved |= watch.counter.see(began_at, ended_at, (row.incarnation, row.seq));
        }
        self.watchdogs.clone_from(&round.watchdogs);
        for row in &round.observations {
            self.hear(row.clone());
        }
    }

    /// Takes in a peer's own report, which may be newer than what the database shows.
    pub fn handle_report(&mut self, report: &Report) {
        for observation in &report.observations {
            self.hear(ObservationRow {
                watchdog: report.watchdog.clone(),
                incarnation: report.incarnation,
                seq: report.seq,
                observation: observation.clone(),
            });
        }
    }

    fn hear(&mut self, row: ObservationRow) {
        // Words of a process that is no more are dropped when the registered row names another.
        let is_current = self
            .watchdogs
            .iter()
            .any(|watchdog| watchdog.watchdog == row.watchdog && watchdog.incarnation == row.incarnation);
        if !is_current {
            return;
        }
        let words = self
            .words
            .entry(row.watchdog)
            .or_insert_with(|| Words { incarnation: row.incarnation, by_target: BTreeMap::new() });
        if words.incarnation != row.incarnation {
            *words = Words { incarnation: row.incarnation, by_target: BTreeMap::new() };
        }
        let newest = words.by_target.entry(row.observation.target.clone());
        let (seq, observation) = newest.or_insert_with(|| (row.seq, row.observation.clone()));
        if row.seq > *seq {
            (*seq, *observation) = (row.seq, row.observation);
        }
    }

    /// An own database access failed: every watch starts again.
    pub fn reset(&mut self) {
        for lease in self.leases.values_mut() {
            lease.counter.reset();
            lease.lock = WatchedLock::default();
            lease.has_moved = false;
        }
        for row in self.rows.values_mut() {
            *row = WatchedRow::default();
        }
    }

    /// This watchdog revoked a lease that it had watched to its end: nobody need watch the vacant row again.
    pub fn note_vacated(&mut self, node: &NodeId, lease_seq: u64) {
        if let Some(lease) = self.leases.get_mut(node) {
            lease.vacated_at = Some(lease_seq);
        }
    }

    /// A node's lease, as this watchdog watched it.
    pub fn lease(&self, row: &NodeRow, policy: &Policy) -> Lease {
        if row.incarnation.is_none() && row.is_released {
            return Lease::Released;
        }
        let Some(lease) = self.leases.get(&row.node) else {
            return Lease::Unknown;
        };
        let is_vacated = row.incarnation.is_none() && lease.vacated_at == Some(row.lease_seq);
        if is_vacated || lease.counter.is_still_for(policy.lease_watch) {
            Lease::Ended
        } else if row.incarnation.is_some() && lease.has_moved {
            Lease::Fresh
        } else {
            Lease::Unknown
        }
    }

    /// The lock of a lease's holder was seen to be held, and is free now: its process may be gone.
    pub fn has_lost_lock(&self, row: &NodeRow) -> bool {
        self.leases.get(&row.node).is_some_and(|lease| lease.lock.free.value().is_some())
    }

    /// It is free for so long, while the counter stands, that only a majority's word is missing.
    pub fn is_without_lock(&self, row: &NodeRow, policy: &Policy) -> bool {
        self.leases.get(&row.node).is_some_and(|lease| lease.lock.free.is_still_for(policy.killed_watch))
    }

    /// A node's counter stood still for [`Policy::lease_fence`]: it has stopped by itself, or is about to renew.
    pub fn is_fenced(&self, row: &NodeRow, policy: &Policy) -> bool {
        self.leases.get(&row.node).is_some_and(|lease| lease.counter.is_still_for(policy.lease_fence))
    }

    /// Whether a node's counter moved within its last two renewals, as far as two rounds apart can tell.
    pub fn is_renewing(&self, node: &NodeId, policy: &Policy) -> bool {
        let span = 2 * policy.lease_renewal + policy.round_interval;
        self.leases.get(node).is_some_and(|lease| lease.has_moved && !lease.counter.is_still_for(span))
    }

    /// Who may vote now. `me` votes unless it is isolated itself.
    pub fn voters(&self, me: &WatchdogId, is_isolated: bool, policy: &Policy) -> Voters {
        let registered = self.watchdogs.iter().filter(|row| !row.stopped || &row.watchdog == me);
        let living: Vec<_> = self.living(me, policy).collect();
        let may_vote = |row: &&&WatchdogRow| {
            if &row.watchdog == me { !is_isolated } else { !row.isolated }
        };
        Voters {
            voting: living.iter().filter(may_vote).map(|&row| row.clone()).collect(),
            living: living.len(),
            registered: registered.count(),
        }
    }

    /// Watchdogs whose row moves, and this one.
    pub fn living<'a>(&'a self, me: &'a WatchdogId, policy: &'a Policy) -> impl Iterator<Item = &'a WatchdogRow> {
        self.watchdogs.iter().filter(move |row| &row.watchdog == me || self.is_moving(row, policy))
    }

    /// A watchdog's row has been moving lately.
    pub fn is_moving(&self, row: &WatchdogRow, policy: &Policy) -> bool {
        !row.stopped
            && self.rows.get(&row.watchdog).is_some_and(|watch| !watch.counter.is_still_for(policy.voter_watch))
    }

    /// The voters' words on one target; `mine` is this watchdog's own, which no table delays.
    pub fn ballots(&self, voters: &Voters, me: &WatchdogId, target: &Target, mine: Word) -> Vec<Ballot> {
        let word = |row: &WatchdogRow| {
            let words = self.words.get(&row.watchdog)?;
            self.rows.get(&row.watchdog).filter(|watch| watch.has_moved)?;
            (words.incarnation == row.incarnation).then(|| words.by_target.get(target))?.map(|(_, seen)| Word {
                vote: seen.vote,
                is_refused: seen.is_refused,
                is_blind: seen.is_blind,
            })
        };
        voters
            .voting
            .iter()
            .map(|row| {
                let word = if &row.watchdog == me { mine } else { word(row).unwrap_or_default() };
                Ballot { zone: row.zone.clone(), word }
            })
            .collect()
    }

    /// What a peer said last of the other watchdogs.
    pub fn peers_seen_by(&self, row: &WatchdogRow) -> BTreeMap<WatchdogId, Vote> {
        let words = self.words.get(&row.watchdog).filter(|words| words.incarnation == row.incarnation);
        let seen = words.into_iter().flat_map(|words| &words.by_target);
        seen.filter_map(|(target, (_, seen))| match target {
            Target::Watchdog(peer) => Some((peer.clone(), seen.vote)),
            Target::Node(_) | Target::Canary(_) => None,
        })
        .collect()
    }

    /// All registered watchdogs, as last read.
    pub fn watchdogs(&self) -> &[WatchdogRow] {
        &self.watchdogs
    }
}
