//! Taking pushes: a batch in one transaction, judged under the locks of its rows.
//!
//! The rows are locked in the order of their names, by everybody who locks more than one: unsorted, two batches wait for
//! each other hundreds of times a second. A push is judged by its row as it is locked, so no edit of the schedule and no
//! other watchdog can come between. Two round trips on MariaDB: lock and read; write and commit.
//!
//! When the connection breaks while committing, nobody knows whether it did: [`IntakeConnection::find`] looks.

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::heartbeat::{Push, PushStatus, Replayed};
use komainu_watchdogs::ids::WatchdogId;
use komainu_watchdogs::time::Wall;

use super::columns::{self, DEFINITION, VITALS, changed, stored};
use super::outage::{self, Gaps, NEWEST_GAP};
use super::{CachedHeartbeat, LastPush, Vitals};
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::session::{Session, Sql};
use crate::store::value::{Value, values};

const ACT: &str = "take pushes";

/// A push that came in, its signature checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Of which heartbeat.
    pub name: String,
    /// Drawn for it: 32 hex digits.
    pub push_id: String,
    /// What decides whether it counts.
    pub push: Push,
    /// What it tells people.
    pub told: LastPush,
}

/// What became of a push.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Judged {
    /// It counts; the heartbeat as it is now.
    Accepted(Box<CachedHeartbeat>),
    /// It counted before, or is too old.
    Replayed(Replayed),
    /// The heartbeat was deleted meanwhile.
    Gone,
}

/// Pushes that are taken together.
pub type Batch = Vec<Arrival>;

/// The connection.
pub struct IntakeConnection {
    session: Session,
    watchdog: WatchdogId,
    gaps: Gaps,
}

impl IntakeConnection {
    /// Connects; it never reconnects by itself.
    pub async fn connect(store: &Store, watchdog: WatchdogId) -> Result<Self, StoreError> {
        let session = super::connect(store).await?;
        Ok(Self { session, watchdog, gaps: Gaps::default() })
    }

    /// Proves that it could take pushes, as far as it can know without one. `rehearse`: the last one could not be stored.
    pub async fn prove(&mut self, rehearse: bool) -> Result<(), StoreError> {
        outage::prove(&mut self.session, &self.watchdog, rehearse).await
    }

    /// Whether it can be used again.
    pub fn is_usable(&self) -> bool {
        self.session.is_clean()
    }

    /// Takes a batch; one answer for each push, in their order. An error means that none was taken, unless the
    /// connection was lost.
    pub async fn take(
        &mut self,
        batch: &[Arrival],
        judge: impl Fn(&CachedHeartbeat, &Push, Wall) -> Result<Vitals, Replayed>,
    ) -> Result<Vec<Judged>, StoreError> {
        let (mut rows, now) = match self.lock(batch).await {
            Ok(locked) => locked,
            Err(error) => {
                self.session.roll_back().await;
                return Err(error);
            }
        };
        let mut answers = Vec::with_capacity(batch.len());
        let mut accepted: Vec<&Arrival> = Vec::new();
        for arrival in batch {
            let Some(known) = rows.get_mut(arrival.name.as_str()) else {
                answers.push(Judged::Gone);
                continue;
            };
            match judge(known, &arrival.push, now) {
                Ok(vitals) => {
                    let changed_at = changed(known.vitals.changed_at, now);
                    let last_push_id = Some(arrival.push_id.clone());
                    known.vitals = Vitals { last_push_id, changed_at, ..vitals };
                    accepted.push(arrival);
                    answers.push(Judged::Accepted(Box::new(known.clone())));
                }
                Err(replayed) => answers.push(Judged::Replayed(replayed)),
            }
        }
        if accepted.is_empty() {
            self.session.roll_back().await;
            return Ok(answers);
        }
        let statements = vec![self.rows_written(&rows, &accepted), self.history(&accepted, now)];
        self.session.commit_with(ACT, statements).await?;
        Ok(answers)
    }

    async fn lock(&mut self, batch: &[Arrival]) -> Result<(BTreeMap<String, CachedHeartbeat>, Wall), StoreError> {
        let names: BTreeSet<&str> = batch.iter().map(|arrival| arrival.name.as_str()).collect();
        let dialect = self.session.dialect();
        let sql = format!(
            "SELECT {DEFINITION}, {VITALS}, {} AS now_ms, {NEWEST_GAP} AS newest_gap \
             FROM komainu_heartbeat{} WHERE name IN ({}) ORDER BY name{}",
            dialect.now_ms(),
            dialect.by_primary(),
            vec!["?"; names.len()].join(", "),
            dialect.for_update(),
        );
        let values = names.iter().map(|name| Value::from(*name)).collect();
        let rows = self.session.begin_with(ACT, &sql, values).await?;
        let Some(first) = rows.first() else { return Ok((BTreeMap::new(), Wall(0))) };
        let now = first.wall("now_ms")?;
        self.gaps.refresh(&mut self.session, first.int("newest_gap")?).await?;
        let known = |row| {
            let mut known = columns::known(row)?;
            known.count(self.gaps.known());
            Ok((known.definition.name.clone(), known))
        };
        Ok((rows.iter().map(known).collect::<Result<_, StoreError>>()?, now))
    }

    /// One statement for all rows that changed. They are locked and there: it never inserts.
    fn rows_written(&self, rows: &BTreeMap<String, CachedHeartbeat>, accepted: &[&Arrival]) -> (String, Vec<Value>) {
        // The last push of each name decides what people are shown.
        let last: BTreeMap<&str, &LastPush> =
            accepted.iter().map(|arrival| (arrival.name.as_str(), &arrival.told)).collect();
        let replaced = [
            "state",
            "deadline",
            "limits",
            "gap_id",
            "started_at",
            "run_id",
            "last_status",
            "last_ok_at",
            "last_at",
            "last_duration_ms",
            "last_exit_code",
            "last_message",
            "last_push_id",
            "changed_at",
            // Last: a statement that compares it must still see the value before.
            "last_time_us",
        ];
        let values = last.iter().filter_map(|(name, told)| {
            let vitals = &rows.get(*name)?.vitals;
            let record = &vitals.record;
            let [deadline, limits] = stored(&record.limits);
            Some(values![
                *name,
                record.state.as_str(),
                deadline,
                limits,
                vitals.gap_id,
                record.started_at,
                record.run_id.clone(),
                record.last_status.map(PushStatus::as_str),
                vitals.last_ok_at,
                vitals.last_at,
                told.duration_ms,
                told.exit_code,
                told.message.clone(),
                vitals.last_push_id.clone(),
                vitals.changed_at,
                record.last_time_us,
            ])
        });
        let sql = format!(
            "INSERT INTO komainu_heartbeat (description, grace_s, channels, tags, nonce, created_at, name, {}) VALUES {}{}",
            replaced.join(", "),
            vec!["('', 0, '', '', '', 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; last.len()].join(", "),
            self.session.dialect().or_update("name", &replaced)
        );
        (sql, values.flatten().collect())
    }

    fn history(&self, accepted: &[&Arrival], now: Wall) -> (String, Vec<Value>) {
        let sql = format!(
            "INSERT INTO komainu_push (name, push_id, at, time_us, status, run_id, duration_ms, exit_code, message, \
             watchdog_id) VALUES {}",
            vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; accepted.len()].join(", ")
        );
        let values = accepted.iter().flat_map(|arrival| {
            values![
                &arrival.name,
                &arrival.push_id,
                now,
                arrival.push.time_us,
                arrival.push.status.as_str(),
                arrival.push.run_id.clone(),
                arrival.told.duration_ms,
                arrival.told.exit_code,
                arrival.told.message.clone(),
                &self.watchdog,
            ]
        });
        (sql, values.collect())
    }

    /// What became of a batch of which some pushes were found: those count, the others are older than what counts.
    pub async fn judge_found(
        &mut self,
        batch: &[Arrival],
        found: &BTreeSet<String>,
    ) -> Result<Vec<Judged>, StoreError> {
        let (rows, _) = match self.lock(batch).await {
            Ok(locked) => locked,
            Err(error) => {
                self.session.roll_back().await;
                return Err(error);
            }
        };
        self.session.roll_back().await;
        let judged = batch.iter().map(|arrival| match rows.get(&arrival.name) {
            None => Judged::Gone,
            Some(known) if found.contains(&arrival.push_id) => Judged::Accepted(Box::new(known.clone())),
            Some(known) => Judged::Replayed(Replayed { last_time_us: known.vitals.record.last_time_us }),
        });
        Ok(judged.collect())
    }

    /// Which of these pushes are in the history.
    pub async fn find(&mut self, batch: &[Arrival]) -> Result<BTreeSet<String>, StoreError> {
        let act = "look for pushes";
        let marks = vec!["?"; batch.len()].join(", ");
        let sql = format!("SELECT push_id FROM komainu_push WHERE name IN ({marks}) AND push_id IN ({marks})");
        let names = batch.iter().map(|arrival| Value::from(&arrival.name));
        let ids = batch.iter().map(|arrival| Value::from(&arrival.push_id));
        let rows = self.session.rows(act, Sql::Once(sql), names.chain(ids).collect()).await?;
        rows.iter().map(|row| row.text("push_id")).collect()
    }
}
