//! What the watchdogs see of a monitor's target, beside its node.
//!
//! The watchdog that asks looks itself and asks its living peers (`POST /peer/v1/opinion`), each of which reads the monitor's settings from the
//! database: what is secret in them goes no other way. What a majority says is decided as for a try ([`super::trial`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use komainu_watchdogs::check::{Definition as Judged, Members, Outcome, Quorum};
use komainu_watchdogs::ids::{MonitorId, WatchdogId, Zone};
use komainu_watchdogs::io::Severity;
use komainu_watchdogs::opinion::{AT_ONCE, LONGEST_LOOK, Opinion, is_decided};
use komainu_watchdogs::rota::Rota;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Looks;
use super::trial::{Enough, Question, TrialAnswer};
use crate::run::spec;
use crate::store::MonitorSpec;

/// Where watchdogs answer each other.
pub const PATH: &str = "/peer/v1/opinion";

/// Looks for peers at once: what seven of them may ask together.
pub const MOST_FOR_PEERS: usize = 256;

/// Looks at what is up that one watchdog has under way: with 50 begun a second by all of them together, one alone keeps up where each takes a
/// second, and three where each takes three.
pub const MOST_SAMPLES: usize = 64;

/// What one watchdog asks another. No settings: whoever looks reads them itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpinionRequest {
    /// Who asks.
    pub watchdog: WatchdogId,
    /// At which monitor's target it is to look.
    pub monitor: MonitorId,
}

/// How much goes on at once.
#[derive(Debug)]
pub(super) struct Rooms {
    for_peers: Arc<Semaphore>,
    own: Arc<Semaphore>,
    for_samples: Arc<Semaphore>,
}

impl Default for Rooms {
    fn default() -> Self {
        let room = |many| Arc::new(Semaphore::new(many));
        Self { for_peers: room(MOST_FOR_PEERS), own: room(AT_ONCE), for_samples: room(MOST_SAMPLES) }
    }
}

/// Room for one, until it is dropped.
#[derive(Debug)]
pub struct Room {
    _permit: OwnedSemaphorePermit,
}

impl Looks {
    /// Room for a look that a peer asks for; `None`: as many as may be are under way.
    pub fn room_for_peer(&self) -> Option<Room> {
        let permit = Arc::clone(&self.rooms.for_peers).try_acquire_owned().ok()?;
        Some(Room { _permit: permit })
    }

    /// Room for one more of one's own.
    pub fn room_for_opinion(&self) -> Option<Room> {
        let permit = Arc::clone(&self.rooms.own).try_acquire_owned().ok()?;
        Some(Room { _permit: permit })
    }

    /// For how many more there is room.
    pub fn rooms_for_opinions(&self) -> usize {
        self.rooms.own.available_permits()
    }

    /// Room for one more look at what is up.
    pub fn room_for_sample(&self) -> Option<Room> {
        let permit = Arc::clone(&self.rooms.for_samples).try_acquire_owned().ok()?;
        Some(Room { _permit: permit })
    }

    /// For how many more of these there is room.
    pub fn rooms_for_samples(&self) -> usize {
        self.rooms.for_samples.available_permits()
    }

    /// What this watchdog sees of a monitor's target.
    pub async fn look_beside_node(&self, _: &Room, monitor: &MonitorSpec) -> TrialAnswer {
        self.trials.look(monitor, Some(LONGEST_LOOK)).await
    }

    /// Whether this watchdog alone sees it fail, and that is no trouble of its own.
    pub async fn sees_it_fail(&self, room: &Room, monitor: &MonitorSpec) -> bool {
        let seen = self.look_beside_node(room, monitor).await;
        !seen.is_isolated && matches!(seen.outcome, Outcome::Failed(_))
    }

    /// What a majority sees of those who stand in these zones; none: of all.
    pub async fn opinion(&self, room: &Room, monitor: &MonitorSpec, zones: &BTreeSet<Zone>) -> Opinion {
        let question = OpinionRequest { watchdog: self.shared.identity.watchdog.clone(), monitor: monitor.id };
        // Two plain values: they are always JSON.
        let body = serde_json::to_vec(&question).unwrap_or_default();
        let own = self.look_beside_node(room, monitor);
        let judged = judged(monitor, zones);
        let is_enough: Enough<'_> = &|(members, seen), awaited| is_decided(&judged, members, seen, awaited);
        let question = Question { path: PATH, body };
        let trial = self.gather(&judged, &question, (own, Some(is_enough))).await;
        Opinion::of(&trial.supposed.verdict, &self.shared.identity.watchdog)
    }

    /// This watchdog's place among those that live; `None`: it is cut off, or knows nobody, and asks nobody.
    pub fn rota_of_opinions(&self) -> Option<(Rota, u32)> {
        let members = self.members_of_trial();
        if members.is_isolated || self.blindness().is_some() {
            return None;
        }
        let rota = self.place(&members, &BTreeSet::new())?;
        let living = members.living.iter().filter(|(_, _, may_vote)| *may_vote).count();
        Some((rota, u32::try_from(living).unwrap_or(u32::MAX)))
    }

    /// The same among those of these zones; `None`: it stands elsewhere.
    pub fn rota_in(&self, zones: &BTreeSet<Zone>) -> Option<Rota> {
        self.place(&self.members_of_trial(), zones)
    }

    fn place(&self, members: &Members, zones: &BTreeSet<Zone>) -> Option<Rota> {
        let me = &self.shared.identity;
        Rota::among((&me.watchdog, &me.zone), &members.living, zones)
    }

    /// Whether this watchdog stands where it may look.
    pub fn stands_in(&self, zones: &BTreeSet<Zone>) -> bool {
        zones.is_empty() || zones.contains(&self.shared.identity.zone)
    }
}

/// As a check of the same settings would be judged.
fn judged(monitor: &MonitorSpec, zones: &BTreeSet<Zone>) -> Judged {
    Judged {
        name: "opinion".into(),
        version: 0,
        interval: spec::interval(monitor),
        timeout: spec::timeout(monitor).min(LONGEST_LOOK),
        quorum: Quorum::Majority,
        zones: zones.clone(),
        severity: Severity::Critical,
        paused: false,
        // Whoever looked has turned it round.
        upside_down: false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn nobody_looks_for_longer_than_a_minute_for_a_second_opinion() {
        let monitor = MonitorSpec { interval: 3_600, timeout: 0.0, ..MonitorSpec::default() };
        assert_eq!(judged(&monitor, &BTreeSet::new()).timeout, Duration::from_secs(60));
        let monitor = MonitorSpec { timeout: 5.0, ..monitor };
        assert_eq!(judged(&monitor, &BTreeSet::new()).timeout, Duration::from_secs(5));
    }
}
