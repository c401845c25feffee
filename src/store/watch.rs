//! A watchdog's own connection: reads the rounds, writes the own row and observations, raises and resolves incidents.
//!
//! It never reconnects by itself: the watchdog must see each failure, for its watching of leases starts anew with it.

mod own_row;
mod round;

pub(super) use round::{applied, cluster_row, kinds, leader_row, overlay, overlay_text, stamp, watchdog_row};

use komainu_watchdogs::facts::{Observation, Round, Target};
use komainu_watchdogs::ids::{Incarnation, WatchdogId, Zone};
use komainu_watchdogs::io::{Alarm, Write};
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::{Mono, Wall};

use super::error::StoreError;
use super::heartbeats;
use super::incidents::opening::{open_on, resolve_on};
use super::pool::{ATTEMPTS, Store};
use super::session::{Purpose, Session};
use super::shard;
use super::value::{Value, values};
use crate::clock;

/// What a watchdog says of itself in its row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchdogIdentity {
    /// Its configured id.
    pub watchdog: WatchdogId,
    /// Where it stands.
    pub zone: Zone,
    /// Where its peers reach it.
    pub advertise: String,
    /// The host it runs on, for people.
    pub hostname: String,
    /// Of this program.
    pub version: String,
}

/// The connection.
pub struct Watch {
    session: Session,
    identity: WatchdogIdentity,
    beat_hint: String,
    /// Another process that wrote our row, its counter, and since when it stands still.
    other: Option<(Incarnation, u64, Mono)>,
    counts: shard::Counts,
}

impl Watch {
    pub(crate) async fn connect(store: &Store, identity: WatchdogIdentity) -> Result<Self, StoreError> {
        let beat_hint = store.catalog().await?.beat_hint();
        Ok(Self {
            session: Session::connect(store.url()).await?,
            identity,
            beat_hint,
            other: None,
            counts: shard::Counts::default(),
        })
    }

    /// Reads the small tables in one snapshot.
    pub async fn read_round(&mut self, with_progress: bool) -> Result<Round, StoreError> {
        let act = "read the round";
        let began_at = clock::now();
        self.session.begin(act, Purpose::Snapshot).await?;
        let counts = (&self.identity.watchdog, &mut self.counts);
        let read = round::read(&mut self.session, counts, with_progress.then_some(self.beat_hint.as_str())).await;
        let round = self.session.end(act, read).await?;
        Ok(Round { began_at, ended_at: clock::now(), ..round })
    }

    /// Writes the own row and the observations that changed, in one transaction.
    ///
    /// [`StoreError::IdInUse`] while another living process writes this row.
    ///
    /// A deadlock (1213) rolled all of it back at once and is tried again; a lock wait that timed out (1205) is not, it
    /// took longer than a round already.
    pub async fn write(&mut self, write: &Write) -> Result<(), StoreError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.write_once(write).await {
                Err(StoreError::Contention { is_deadlock: true, .. })
                    if attempt < ATTEMPTS && self.session.is_clean() => {}
                outcome => return outcome,
            }
        }
    }

    async fn write_once(&mut self, write: &Write) -> Result<(), StoreError> {
        let act = "write the watchdog's row";
        self.session.begin(act, Purpose::Write).await?;
        let written = self.write_all(write).await;
        self.session.end(act, written).await
    }

    async fn write_all(&mut self, write: &Write) -> Result<(), StoreError> {
        // Before the own row hides that nobody had written for a while.
        let look = heartbeats::notice_on(&mut self.session, &self.identity.watchdog).await?;
        let report = &write.report;
        let row_is_new = own_row::write(&mut self.session, (&self.identity, look.at), write, &mut self.other).await?;
        if row_is_new {
            let act = "forget the observations of an earlier process";
            let sql = "DELETE FROM komainu_observation WHERE watchdog_id = ?";
            self.session.execute(act, sql, values![&report.watchdog]).await?;
        }
        let is_due = |observation: &&Observation| row_is_new || write.changed.contains(&observation.target);
        let due: Vec<&Observation> = report.observations.iter().filter(is_due).collect();
        self.write_observations(write, &due).await?;
        let is_watched = |target: &Target| report.observations.iter().any(|seen| seen.target == *target);
        for target in write.changed.iter().filter(|target| !is_watched(target)) {
            let (kind, name) = key_of(target);
            let sql = "DELETE FROM komainu_observation WHERE watchdog_id = ? AND kind = ? AND target = ?";
            self.session.execute("forget a target", sql, values![&report.watchdog, kind, name]).await?;
        }
        Ok(())
    }

    async fn write_observations(&mut self, write: &Write, due: &[&Observation]) -> Result<(), StoreError> {
        let report = &write.report;
        for part in due.chunks(200) {
            let rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?)"; part.len()].join(", ");
            let replace = ["incarnation", "seq", "vote", "failures", "detail"];
            let tail = self.session.dialect().or_update("watchdog_id, kind, target", &replace);
            let sql = format!(
                "INSERT INTO komainu_observation \
                 (watchdog_id, kind, target, incarnation, seq, vote, failures, detail) VALUES {rows}{tail}"
            );
            let values = part.iter().flat_map(|seen| {
                let (kind, name) = key_of(&seen.target);
                let (vote, detail) = (round::vote_text(seen.vote), seen.detail.as_str());
                values![&report.watchdog, kind, name, report.incarnation, report.seq, vote, seen.failures, detail]
            });
            self.session.execute("write the observations", sql, values.collect::<Vec<Value>>()).await?;
        }
        Ok(())
    }

    /// Opens this incident, opens it again, or notes that it is still bad. Says whether it was opened by this call.
    pub async fn raise(&mut self, alarm: &Alarm, routing: &Routing) -> Result<bool, StoreError> {
        let act = "raise an incident";
        let mut attempt = 0;
        loop {
            attempt += 1;
            let opened = match self.session.begin(act, Purpose::Write).await {
                Ok(()) => {
                    let opened = open_on(&mut self.session, alarm, &Subject::of(alarm), routing).await;
                    self.session.end(act, opened).await
                }
                Err(error) => Err(error),
            };
            match opened {
                Err(error) if error.is_contention() && attempt < ATTEMPTS && self.session.is_clean() => {}
                outcome => return outcome.map(|opened| opened.is_news),
            }
        }
    }

    /// Resolves this incident unless somebody saw it bad after `last_bad_at`. Says whether it did.
    pub async fn resolve(&mut self, key: &str, last_bad_at: Wall) -> Result<bool, StoreError> {
        let act = "resolve an incident";
        let mut attempt = 0;
        loop {
            attempt += 1;
            let resolved = match self.session.begin(act, Purpose::Write).await {
                Ok(()) => {
                    let resolved = resolve_seen(&mut self.session, key, last_bad_at).await;
                    self.session.end(act, resolved).await
                }
                Err(error) => Err(error),
            };
            match resolved {
                Err(error) if error.is_contention() && attempt < ATTEMPTS && self.session.is_clean() => {}
                outcome => return outcome,
            }
        }
    }

    /// Says goodbye to the server.
    pub async fn close(self) {
        self.session.close().await;
    }
}

/// Resolves the open incident of this key if it was last seen bad exactly then.
async fn resolve_seen(session: &mut Session, key: &str, last_bad_at: Wall) -> Result<bool, StoreError> {
    let sql = format!(
        "SELECT id, summary FROM komainu_incident WHERE resolved_at IS NULL AND k = ? AND last_bad_at = ?{}",
        session.dialect().for_update()
    );
    let row = session.row("resolve an incident", sql, values![key, last_bad_at]).await?;
    let Some(row) = row else { return Ok(false) };
    // What was wrong is said once more, and must not read as if it still were.
    resolve_on(session, row.int("id")?, &format!("no longer: {}", row.text("summary")?)).await
}

fn key_of(target: &Target) -> (&'static str, &str) {
    match target {
        Target::Node(node) => ("node", node.as_str()),
        Target::Watchdog(watchdog) => ("watchdog", watchdog.as_str()),
        Target::Canary(address) => ("canary", address),
    }
}
