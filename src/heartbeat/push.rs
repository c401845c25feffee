//! One push on its way: signature, rate, body, window, replay, commit. In this order: what is not signed costs nothing,
//! and what is outside the window is not compared with anything.

use std::sync::atomic::{AtomicU64, Ordering};

use komainu_watchdogs::heartbeat::{Push, PushStatus, Replayed, Terms, is_within_window};
use komainu_watchdogs::time::Wall;
use thiserror::Error;

use super::body::{self, Body, BodyError};
use super::secret::Proof;
use super::{Heartbeats, Shared};
use crate::clock;
use crate::store::heartbeats::{Arrival, CachedHeartbeat, Judged, LastPush};

/// A push that counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// The heartbeat as it is now.
    pub known: CachedHeartbeat,
    /// The sender's time.
    pub time_us: i64,
}

/// Why a push does not count.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum PushError {
    /// Missing or wrong signature, or an unknown name: nobody is told which.
    #[error("the signature is missing or wrong, or there is no such heartbeat")]
    Forbidden,
    /// The body is wrong.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The sender's clock is off, or the push is old.
    #[error("time: is more than 300 s off the server's; compare the clocks of the two hosts")]
    OutsideWindow {
        /// The server's, microseconds UTC.
        server_us: i64,
    },
    /// It counted before, or a later one did.
    #[error("a push with this time or a later one counted already")]
    Replayed(Replayed),
    /// Too often.
    #[error("more than 50 pushes a second of one heartbeat")]
    TooMany,
    /// It cannot be stored now.
    #[error("the push cannot be stored now; send it again")]
    Unavailable,
}

/// What became of the pushes that this process was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Committed.
    pub accepted: u64,
    /// Told that it is their fault.
    pub refused: u64,
    /// Told to come back.
    pub unavailable: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    accepted: AtomicU64,
    refused: AtomicU64,
    unavailable: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts { accepted: read(&self.accepted), refused: read(&self.refused), unavailable: read(&self.unavailable) }
    }

    fn note(&self, outcome: &Result<Accepted, PushError>) {
        let counter = match outcome {
            Ok(_) => &self.accepted,
            Err(PushError::Unavailable) => &self.unavailable,
            Err(
                PushError::Forbidden
                | PushError::Body(_)
                | PushError::OutsideWindow { .. }
                | PushError::Replayed(_)
                | PushError::TooMany,
            ) => &self.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Heartbeats {
    /// Takes a push: when this returns `Ok`, it is committed.
    pub async fn push(&self, name: &str, proof: Proof<'_>, bytes: &[u8]) -> Result<Accepted, PushError> {
        let outcome = self.take(name, proof, bytes).await;
        self.shared.counts.note(&outcome);
        outcome
    }

    async fn take(&self, name: &str, proof: Proof<'_>, bytes: &[u8]) -> Result<Accepted, PushError> {
        let known = self.authenticate(name, proof, bytes).await?;
        let Shared { rates, intake, .. } = &*self.shared;
        let Body { push, message, duration_ms, exit_code } = body::parse(bytes)?;
        let server_us = self.server_us().ok_or(PushError::Unavailable)?;
        if !is_within_window(push.time_us, server_us) {
            return Err(PushError::OutsideWindow { server_us });
        }
        self.refuse_replayed(&known, &push, Wall(server_us / 1_000)).await?;
        // Last of all: what somebody overheard and repeats must not use up the sender's own rate.
        if !rates.allow(&known.definition.name) {
            return Err(PushError::TooMany);
        }
        let time_us = push.time_us;
        let arrival = Arrival {
            name: name.to_owned(),
            push_id: hex::encode(rand::random::<[u8; 16]>()),
            push,
            told: LastPush { duration_ms, exit_code: exit_code.map(i64::from), message },
        };
        match intake.take(arrival).await {
            Ok(Judged::Accepted(known)) => Ok(Accepted { known: *known, time_us }),
            Ok(Judged::Replayed(replayed)) => Err(PushError::Replayed(replayed)),
            Ok(Judged::Gone) => Err(PushError::Forbidden),
            Err(_) => Err(PushError::Unavailable),
        }
    }

    /// What is a replay by older knowledge is one for good: the last time only grows. Only a run that began elsewhere a moment
    /// ago may end although another was heard since.
    async fn refuse_replayed(&self, known: &CachedHeartbeat, push: &Push, now: Wall) -> Result<(), PushError> {
        let replayed = |known: &CachedHeartbeat| known.vitals.record.after(push, now, Terms::default()).err();
        let Some(first) = replayed(known) else { return Ok(()) };
        let may_end_a_run = push.run_id.is_some() && push.status != PushStatus::Start;
        if !may_end_a_run || !self.shared.wake.refreshed_after(clock::now()).await {
            return Err(PushError::Replayed(first));
        }
        let known = self.shared.cache.find(&known.definition.name);
        known.and_then(|known| replayed(&known)).map_or(Ok(()), |replayed| Err(PushError::Replayed(replayed)))
    }

    /// The heartbeat whose secret signed this. What the cache does not know may have been made, or rotated, a moment ago
    /// at another watchdog: then the database is asked, for unknown names and wrong signatures alike.
    async fn authenticate(
        &self,
        name: &str,
        proof: Proof<'_>,
        bytes: &[u8],
    ) -> Result<std::sync::Arc<CachedHeartbeat>, PushError> {
        if proof.sha256.is_none() && proof.sha1.is_none() {
            return Err(PushError::Forbidden);
        }
        let signed = || {
            let known = self.shared.cache.find(name)?;
            self.secrets(&known).have_signed(bytes, proof).then_some(known)
        };
        if let Some(known) = signed() {
            return Ok(known);
        }
        if !self.shared.wake.refreshed_after(clock::now()).await {
            return Err(PushError::Unavailable);
        }
        signed().ok_or(PushError::Forbidden)
    }
}
