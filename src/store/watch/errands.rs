//! What a watchdog reads and writes beside its rounds: open incidents, counts, progress; opening and resolving.
//!
//! On connections of their own, so that nothing here, however slow, is in the way of a lease. A connection on which a call
//! failed is thrown away by its owner.

use std::collections::BTreeMap;

use komainu_watchdogs::alarms::{KINDS, NOT_OF_ROUNDS};
use komainu_watchdogs::facts::{Counts, IncidentRow, ProgressRow};
use komainu_watchdogs::ids::{NodeId, WatchdogId};
use komainu_watchdogs::io::Alarm;
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::sampling::Look;
use komainu_watchdogs::time::Wall;

use crate::clock;
use crate::store::again::Again;
use crate::store::error::StoreError;
use crate::store::incidents::opening::{incident_row, is_noted, open_on, resolve_seen};
use crate::store::pool::Store;
use crate::store::session::{Purpose, Session};
use crate::store::{progress, shard};

/// Of incidents that others judge, so many are shown: the most urgent, and of those the latest.
pub(crate) const MOST_OTHERS: usize = 200;

/// The spans of keys that watchdogs judge. As spans and not by LIKE, which SQLite reads every open incident for: its LIKE takes no heed of case,
/// and its indexes do.
fn own_keys() -> Vec<String> {
    let within = |from: &str, to: &str| format!("k >= '{from}' AND k < '{to}'");
    // What begins with a kind and a slash lies before the kind and the next character.
    let next = |prefix: &str| format!("{}0", prefix.trim_end_matches('/'));
    let kinds: Vec<_> = KINDS.iter().map(|kind| format!("'{kind}'")).collect();
    let mut spans = vec![format!("k IN ({})", kinds.join(", "))];
    for kind in KINDS {
        let (from, to) = (format!("{kind}/"), next(kind));
        if NOT_OF_ROUNDS.starts_with(&from) {
            spans.extend([within(&from, NOT_OF_ROUNDS), within(&next(NOT_OF_ROUNDS), &to)]);
        } else {
            spans.push(within(&from, &to));
        }
    }
    spans
}

/// A connection for errands.
pub struct Errands {
    session: Session,
    store: Store,
    watchdog: WatchdogId,
    counts: shard::Counts,
}

impl Errands {
    pub(crate) async fn connect(store: &Store, watchdog: &WatchdogId) -> Result<Self, StoreError> {
        let session = Session::connect(store.url()).await?;
        Ok(Self { session, store: store.clone(), watchdog: watchdog.clone(), counts: shard::Counts::default() })
    }

    /// All monitors, counted by likeness.
    pub async fn counts(&mut self) -> Result<Counts, StoreError> {
        let act = "count the assignments";
        let began_at = clock::now();
        self.session.begin(act, Purpose::Snapshot).await?;
        let groups = self.counts.read(&mut self.session, &self.watchdog).await;
        let (shards, leftover) = self.session.end(act, groups).await?;
        Ok(Counts { began_at, shards, leftover })
    }

    /// How far behind each node is, by what is asked of it.
    pub async fn progress(&mut self, looks: &BTreeMap<NodeId, Look>) -> Result<Vec<ProgressRow>, StoreError> {
        let hint = self.store.catalog().await?.stored_hint();
        let read = progress::read(&mut self.session, &hint, looks).await;
        if self.session.take_misfit() {
            // An index was renamed, a column went: the next reading is made of what there is now.
            self.store.forget_catalog();
        }
        read
    }

    /// The open incidents that watchdogs judge, all of them, and of the others the most urgent.
    pub async fn incidents(&mut self) -> Result<Vec<IncidentRow>, StoreError> {
        let sql = self.open_incidents();
        let rows = self.session.rows("read the open incidents", sql, vec![]).await?;
        let mut incidents = rows.iter().map(incident_row).collect::<Result<Vec<_>, _>>()?;
        incidents.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(incidents)
    }

    /// The statement that reads them.
    pub fn open_incidents(&self) -> String {
        // Not by the virtual column: a consistent read through its index has been seen to miss a row just inserted.
        let columns = "SELECT k, severity, opened_at, first_opened_at, last_bad_at, id FROM komainu_incident";
        let dialect = self.session.dialect();
        let (by_key, by_urgency) =
            (dialect.by_index("komainu_incident_standing"), dialect.by_index("komainu_incident_urgent"));
        let own = own_keys();
        // Each span of keys by itself, so that each is a step in the index, however many others are open.
        let each: Vec<_> =
            own.iter().map(|keys| format!("{columns}{by_key} WHERE resolved_at IS NULL AND {keys}")).collect();
        let own = own.iter().map(|keys| format!("({keys})")).collect::<Vec<_>>().join(" OR ");
        // Each severity by itself, the latest first as its index has them: however many are open, so many are looked at.
        let others = |severity: &str| {
            format!(
                "SELECT * FROM ({columns}{by_urgency} WHERE resolved_at IS NULL AND severity = '{severity}' \
                 AND NOT ({own}) ORDER BY id DESC LIMIT {MOST_OTHERS}) of_{severity}"
            )
        };
        format!(
            "SELECT * FROM ({}) own UNION ALL SELECT * FROM ({} UNION ALL {} ORDER BY severity, id DESC LIMIT {MOST_OTHERS}) others",
            each.join(" UNION ALL "),
            others("critical"),
            others("warning")
        )
    }

    /// Opens this incident, opens it again, or notes that it is still bad. Says whether it is news.
    pub async fn raise(&mut self, alarm: &Alarm, routing: &Routing) -> Result<bool, StoreError> {
        if is_noted(&mut self.session, alarm).await? {
            return Ok(false);
        }
        let act = "open an incident";
        let mut again = Again::default();
        loop {
            let opened = match self.session.begin(act, Purpose::Write).await {
                Ok(()) => {
                    let opened = open_on(&mut self.session, alarm, &Subject::of(alarm), routing).await;
                    self.session.end(act, opened).await
                }
                Err(error) => Err(error),
            };
            match opened {
                Err(error) => self.give_up_or_wait(&mut again, error).await?,
                Ok(opened) => return Ok(opened.is_news),
            }
        }
    }

    /// Resolves this incident unless somebody saw it bad after `last_bad_at`. Says whether it did.
    pub async fn resolve(&mut self, key: &str, last_bad_at: Wall) -> Result<bool, StoreError> {
        let act = "resolve an incident";
        let mut again = Again::default();
        loop {
            let resolved = match self.session.begin(act, Purpose::Write).await {
                Ok(()) => {
                    let resolved = resolve_seen(&mut self.session, (key, None), last_bad_at).await;
                    self.session.end(act, resolved).await
                }
                Err(error) => Err(error),
            };
            match resolved {
                Err(error) => self.give_up_or_wait(&mut again, error).await?,
                Ok(is_resolved) => return Ok(is_resolved),
            }
        }
    }

    /// Returns when it is time to try again; the error, where that is of no use.
    async fn give_up_or_wait(&self, again: &mut Again, error: StoreError) -> Result<(), StoreError> {
        if self.session.is_clean() && again.after(&error).await { Ok(()) } else { Err(error) }
    }
}
