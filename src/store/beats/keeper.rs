//! Stores beats and counts them, in one transaction that the owner of their monitors alone can commit.
//!
//! Two round trips on MariaDB. The first locks: the monitors, shared, as everybody locks them before what hangs on them;
//! the rows of the statistics, sorted; then the node's row and the assignments, shared. A decision that takes the monitors
//! away waits for the commit, or came before, and then nothing is stored. Kuma's tables come first because somebody else's
//! long statement may hold their rows: waiting for it, this transaction holds nothing that a lease or a decision needs.
//! The second writes and commits.
//!
//! When the answer to the second was lost, nobody knows whether it was carried out, or still is. The next attempt says so
//! ([`Earlier::InDoubt`]): it takes the node's row exclusively, which waits for the end of the one before, and then leaves
//! out the very beats that are there. So a beat counts once, and none is taken for another one. On Galera each attempt writes
//! the node's row: of two that meet, on whichever servers, one has to begin anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use komainu_watchdogs::ids::{Incarnation, MonitorId, NodeId};
use komainu_watchdogs::time::Wall;
use serde_json::{Value as Json, json};

use super::{Beat, downs};
use crate::store::catalog::Catalog;
use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::insert::inserted;
use crate::store::pool::Store;
use crate::store::session::Session;
use crate::store::stats::{self, Averages, Key, Stat};
use crate::store::value::{Row, Value, values};

const ACT: &str = "store beats";

/// Text columns take 65,535 bytes; a message is for people.
const LONGEST_MESSAGE: usize = 16_000;
const LONGEST_RESPONSE: usize = 65_535;

/// What is known of the attempt before this one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Earlier {
    /// There was none, or its outcome is known.
    Answered,
    /// It may have been committed, or may be yet.
    InDoubt,
}

/// A beat on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// To be stored.
    pub beat: Beat,
    /// What is known of the attempt before.
    pub earlier: Earlier,
}

/// What became of a beat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Receipt {
    /// It is stored and counted.
    Stored,
    /// It was there before this attempt.
    AlreadyThere,
    /// Its monitor is not this process's now.
    Refused,
    /// Somebody is changing its monitor this moment: nobody waits for them, it is to be tried again.
    Later,
}

/// One process that stores the beats of its monitors.
pub struct BeatKeeper {
    store: Store,
    node: NodeId,
    incarnation: Incarnation,
    averages: Mutex<Averages>,
}

/// What tells a row of `heartbeat` from others.
struct There {
    monitor: MonitorId,
    status: i64,
    important: bool,
    msg: String,
    /// Seconds since the beat before; down beats; retries.
    numbers: (i64, i64, i64),
    time: Wall,
    end_time: Option<Wall>,
    ping_ms: Option<i64>,
}

/// What the first round trip found.
#[derive(Default)]
struct Locked {
    /// Not paused, as far as everybody sees.
    active: BTreeSet<MonitorId>,
    /// The same, and nobody can change that before the commit.
    held: BTreeSet<MonitorId>,
    owned: BTreeSet<MonitorId>,
    /// What may be of the attempt before, where that is in doubt.
    there: Vec<There>,
    stats: BTreeMap<Key, Stat>,
}

impl BeatKeeper {
    /// For this process; each process has one.
    pub fn new(store: Store, node: NodeId, incarnation: Incarnation) -> Self {
        Self { store, node, incarnation, averages: Mutex::default() }
    }

    /// Where beats are stored.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Stores beats that all stand alike, as [`BeatKeeper::keep_each`] does.
    pub async fn keep(&self, beats: &[Beat], earlier: Earlier) -> Result<Vec<Receipt>, StoreError> {
        let attempts: Vec<Attempt> = beats.iter().map(|beat| Attempt { beat: beat.clone(), earlier }).collect();
        self.keep_each(&attempts).await
    }

    /// Stores those of these beats that this process may store; one receipt for each, in their order. An error means
    /// that none was stored, unless the answer was lost: then the next attempt is [`Earlier::InDoubt`].
    pub async fn keep_each(&self, attempts: &[Attempt]) -> Result<Vec<Receipt>, StoreError> {
        if attempts.is_empty() {
            return Ok(Vec::new());
        }
        let catalog = self.store.catalog().await?;
        let mut lease = self.store.lease(ACT).await?;
        let mut locked = match self.lock(&mut lease, &catalog, attempts).await {
            Ok(locked) => locked,
            Err(error) => {
                lease.roll_back().await;
                return Err(error);
            }
        };
        let receipts: Vec<Receipt> = attempts.iter().map(|attempt| locked.receipt(attempt)).collect();
        let taken = attempts.iter().zip(&receipts).filter(|(_, receipt)| **receipt == Receipt::Stored);
        let mut taken: Vec<&Beat> = taken.map(|(attempt, _)| &attempt.beat).collect();
        if taken.is_empty() {
            lease.roll_back().await;
            return Ok(receipts);
        }
        // By rising monitor, so that two writers lock in one order; those of one monitor as they were made, whatever
        // their times say: what was stored last counts.
        taken.sort_by_key(|beat| beat.monitor);
        let dialect = self.store.dialect();
        let counted = self.count(locked.stats, &taken);
        let mut statements = vec![insert(dialect, &catalog, &taken)];
        statements.extend(stats::writing(dialect, &catalog, &counted));
        statements.extend(downs::writing(dialect, &self.node, &taken));
        lease.commit_with(ACT, statements).await?;
        self.averages.lock().unwrap_or_else(PoisonError::into_inner).remember(&counted);
        Ok(receipts)
    }

    async fn lock(&self, session: &mut Session, catalog: &Catalog, attempts: &[Attempt]) -> Result<Locked, StoreError> {
        let dialect = session.dialect();
        let beats = || attempts.iter().map(|attempt| &attempt.beat);
        let doubted = attempts.iter().filter(|attempt| attempt.earlier == Earlier::InDoubt);
        let first_doubted = doubted.map(|attempt| attempt.beat.time.0).min();
        let monitors: BTreeSet<MonitorId> = beats().map(|beat| beat.monitor).collect();
        let monitors = monitors.iter().map(|monitor| json!([monitor.0])).collect::<Json>().to_string();
        let mut statements = Vec::new();
        statements.push((held(dialect), values![&monitors]));
        statements.push((active(dialect), values![&monitors]));
        statements.extend(stats::locking(dialect, catalog, &stats::keys(beats())));
        if session.is_galera() {
            // Locks hold on this server alone: whoever takes the lease away on another one writes this row too.
            let sql = "UPDATE node SET fence = fence + 1 WHERE node_id = ? AND incarnation = ?".to_owned();
            statements.push((sql, values![&self.node, self.incarnation]));
        } else if first_doubted.is_some() {
            let sql = format!("SELECT 'node' AS found FROM node WHERE node_id = ?{}", dialect.for_update());
            statements.push((sql, values![&self.node]));
        }
        statements.push((owned(dialect), values![&monitors, &self.node, self.incarnation]));
        if let Some(first) = first_doubted {
            // The column may have rounded it.
            let since = datetime(Wall(first - 1_000));
            statements.push((there(dialect, catalog), values![monitors, since]));
        }
        let mut locked = Locked::default();
        for row in session.begin_with_all(ACT, statements).await? {
            locked.take(&row)?;
        }
        Ok(locked)
    }

    fn count(&self, mut rows: BTreeMap<Key, Stat>, taken: &[&Beat]) -> BTreeMap<Key, Stat> {
        self.averages.lock().unwrap_or_else(PoisonError::into_inner).refine(&mut rows);
        stats::counted(rows, taken.iter().copied())
    }
}

impl Locked {
    fn take(&mut self, row: &Row) -> Result<(), StoreError> {
        match row.text("found")?.as_str() {
            "owned" => {
                self.owned.insert(MonitorId(row.int("monitor_id")?));
            }
            "held" => {
                self.held.insert(MonitorId(row.int("monitor_id")?));
            }
            "active" => {
                self.active.insert(MonitorId(row.int("monitor_id")?));
            }
            "there" => self.there.push(There {
                monitor: MonitorId(row.int("monitor_id")?),
                status: row.int("status")?,
                important: row.flag("important")?,
                msg: row.maybe_text("msg")?.unwrap_or_default(),
                numbers: (row.int("duration")?, row.int("down_count")?, row.int("retries")?),
                time: row.wall("time_ms")?,
                end_time: row.maybe_int("end_ms")?.map(Wall),
                ping_ms: row.maybe_int("ping")?,
            }),
            "stat" => {
                let (key, stat) = stats::read(row)?;
                self.stats.insert(key, stat);
            }
            _ => {}
        }
        Ok(())
    }

    /// A row stands for one beat, however alike two are.
    fn receipt(&mut self, attempt: &Attempt) -> Receipt {
        let (beat, monitor) = (&attempt.beat, attempt.beat.monitor);
        let may_be_there = attempt.earlier == Earlier::InDoubt;
        if let Some(at) = self.there.iter().position(|there| may_be_there && there.is(beat)) {
            self.there.swap_remove(at);
            return Receipt::AlreadyThere;
        }
        match (self.owned.contains(&monitor), self.held.contains(&monitor), self.active.contains(&monitor)) {
            (true, true, _) => Receipt::Stored,
            (true, false, true) => Receipt::Later,
            (true, false, false) | (false, _, _) => Receipt::Refused,
        }
    }
}

impl There {
    fn is(&self, beat: &Beat) -> bool {
        // Kuma's columns keep whole seconds, cut off or rounded.
        let is_kept = |kept: Wall, exact: Wall| {
            let cut = exact.0 - exact.0.rem_euclid(1_000);
            [exact.0, cut, cut + 1_000].contains(&kept.0) && kept.0 - exact.0 <= 500
        };
        self.monitor == beat.monitor
            && self.status == beat.status.code()
            && self.important == beat.important
            && is_kept(self.time, beat.time)
            && self.end_time.is_none_or(|end_time| is_kept(end_time, beat.end_time))
            && self.ping_ms == beat.ping_ms
            && self.numbers == (beat.duration_s, i64::from(beat.down_count), i64::from(beat.retries))
            && self.msg == message(beat)
    }
}

/// The monitors that are not paused, shared until the beats are committed; not those that somebody holds.
fn held(dialect: Dialect) -> String {
    format!("{} {}", active_as(dialect, "held"), dialect.in_share_mode_skipping())
}

/// The monitors that are not paused.
fn active(dialect: Dialect) -> String {
    active_as(dialect, "active")
}

fn active_as(dialect: Dialect, found: &str) -> String {
    format!(
        "SELECT '{found}' AS found, m.id AS monitor_id FROM {wanted} {straight} monitor m ON m.id = b.monitor_id \
         WHERE m.active = 1",
        wanted = wanted(dialect),
        straight = dialect.straight(),
    )
}

/// The node's row is looked at first, then the assignments, both under a shared lock that lasts until the beats are
/// committed. Only this order of tables keeps the order of locks.
pub(in crate::store) fn owned(dialect: Dialect) -> String {
    format!(
        "SELECT 'owned' AS found, a.monitor_id FROM node n {straight} {wanted} {straight} komainu_assignment a \
         ON a.monitor_id = b.monitor_id \
         WHERE n.node_id = ? AND n.incarnation = ? AND a.effective_node = n.node_id{lock}",
        straight = dialect.straight(),
        wanted = wanted(dialect),
        lock = dialect.in_share_mode(),
    )
}

/// A few rows per monitor, through the index (`monitor_id`, `time`).
fn there(dialect: Dialect, catalog: &Catalog) -> String {
    format!(
        "SELECT 'there' AS found, h.monitor_id, h.status, h.important, h.msg, h.ping, \
         h.duration, h.down_count, h.retries, {time} AS time_ms, {end} AS end_ms \
         FROM {wanted} {straight} heartbeat h{hint} ON h.monitor_id = b.monitor_id AND h.time >= ?",
        time = dialect.datetime_ms("h.time"),
        end = dialect.datetime_ms("h.end_time"),
        wanted = wanted(dialect),
        straight = dialect.straight(),
        hint = catalog.beat_hint(),
    )
}

/// The bound JSON array of monitors as a table `b`, in the array's order.
fn wanted(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::MariaDb => "JSON_TABLE(?, '$[*]' COLUMNS (monitor_id BIGINT PATH '$[0]')) b",
        Dialect::Sqlite => "(SELECT value ->> 0 AS monitor_id FROM json_each(?)) b",
    }
}

fn insert(dialect: Dialect, catalog: &Catalog, beats: &[&Beat]) -> (String, Vec<Value>) {
    let mut columns = COLUMNS.to_vec();
    let keeps_response = catalog.has_column("heartbeat", "response");
    columns.extend(keeps_response.then_some("response"));
    let rows = beats.iter().map(|beat| {
        let mut row = values![
            beat.monitor,
            beat.status.code(),
            beat.important,
            message(beat),
            datetime(beat.time),
            beat.ping_ms,
            beat.duration_s,
            beat.down_count,
            beat.retries,
            datetime(beat.end_time),
        ];
        let response = beat.response.clone().filter(|text| text.len() <= LONGEST_RESPONSE);
        row.extend(keeps_response.then(|| Value::from(response)));
        row
    });
    inserted(dialect, "heartbeat", &columns, rows.collect())
}

fn message(beat: &Beat) -> String {
    beat.msg.chars().take(LONGEST_MESSAGE).collect()
}

const COLUMNS: [&str; 10] =
    ["monitor_id", "status", "important", "msg", "time", "ping", "duration", "down_count", "retries", "end_time"];

/// As Kuma writes it: UTC, with milliseconds. MariaDB's DATETIME keeps the seconds of it.
fn datetime(at: Wall) -> String {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_kuma_writes_it() {
        assert_eq!(datetime(Wall(1_763_800_000_250)), "2025-11-22 08:26:40.250");
        assert_eq!(datetime(Wall(1_763_800_000_000)), "2025-11-22 08:26:40.000");
    }
}
