//! What grows is cut, in small batches that block nobody.
//!
//! Kuma deletes the minutes and hours of a monitor while it runs it: of those that native nodes run, nobody else would.
//! Beats and days it deletes each night, of all monitors; where there is no Kuma, [`thinning`] and [`Retention`] do. What one
//! heartbeat may leave behind is bounded by [`histories`].

use std::time::Duration;

use self::check_statistics::CheckStatistics;
use self::histories::Histories;
use self::thinning::Thinning;
use super::decisions::id_list;
use super::error::StoreError;
use super::monitors;
use super::pool::Store;
use super::session::Sql;
use crate::clock;

pub mod check_statistics;
pub mod histories;
pub mod thinning;

/// How long what grows is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Retention {
    /// Beats and days of statistics, where no Kuma cleans them.
    pub beats: Duration,
    /// Statistics by the minute.
    pub minutes: Duration,
    /// Statistics by the hour.
    pub hours: Duration,
    /// Resolved incidents, with what was told of them, and silences that are over.
    pub incidents: Duration,
    /// The audit trail.
    pub audit: Duration,
    /// Accepted pushes of heartbeats.
    pub pushes: Duration,
    /// Changes of checks' verdicts.
    pub verdicts: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        // Kuma keeps beats and days for 365 days, minutes for 24 hours, hours for 30 days; some minutes more leave to a
        // running Kuma what is its own to delete. The trail must outlive the yearly question "who moved this?". A month of pushes
        // shows how a job usually behaves; how many one heartbeat may have is another bound.
        let margin = Duration::from_secs(600);
        Self {
            beats: days(365),
            minutes: days(1) + margin,
            hours: days(30) + margin,
            incidents: days(365),
            audit: days(400),
            pushes: days(30),
            verdicts: days(400),
        }
    }
}

/// Rows deleted at once: a few milliseconds of locks.
const BATCH: u32 = 1_000;

/// What is over climbs no ladder.
const CLIMBED_DOWN: &str =
    "NOT EXISTS (SELECT 1 FROM komainu_incident i WHERE i.id = komainu_climb.incident_id AND i.resolved_at IS NULL)";

/// Stamps kept: an acknowledgement is at most some generations old, and this is hours of steady moving.
const GENERATIONS: u32 = 10_000;

/// How long batch after batch of beats and statistics is deleted until the rest is looked at again.
const STRETCH: Duration = Duration::from_secs(10);

/// What is gone through part by part.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rounds {
    /// Beats of monitors.
    pub thinning: Thinning,
    /// Pushes of heartbeats.
    pub histories: Histories,
    /// Statistics of checks.
    pub check_statistics: CheckStatistics,
}

/// Deletes what is too old, for [`STRETCH`] or until nothing is left; says how many rows went. Call it again soon while
/// that is not 0.
///
/// Between two batches it rests for as long as the last one took: half of the time nobody waits for it, and what it
/// achieves rises with what the database can do. Beats and statistics come by the thousand each second, all else slowly.
pub async fn keep_up(store: &Store, rounds: &mut Rounds) -> Result<u64, StoreError> {
    let retention = Retention::default();
    let mut rows = store.prune(&retention).await? + monitors::sweep(store).await?;
    let began_at = clock::now();
    loop {
        let batch_at = clock::now();
        let gone_through = rounds.thinning.step(store).await? + rounds.histories.step(store).await?;
        let gone_through = gone_through + rounds.check_statistics.step(store).await?;
        let grown = store.prune_growing(&retention).await? + gone_through;
        rows += grown;
        if grown == 0 || clock::now().since(began_at) >= STRETCH {
            return Ok(rows);
        }
        tokio::time::sleep(clock::now().since(batch_at)).await;
    }
}

impl Store {
    /// Deletes at most one batch of each kind of row that is too old; says how many. Call it again while it is not 0.
    pub async fn prune(&self, retention: &Retention) -> Result<u64, StoreError> {
        let now = self.dialect().now_ms();
        let audit = format!("at < {now} - {}", retention.audit.as_millis());
        let incidents = format!("resolved_at < {now} - {}", retention.incidents.as_millis());
        let pushes = format!("at < {now} - {}", retention.pushes.as_millis());
        let verdicts = format!("at_ms < {now} - {}", retention.verdicts.as_millis());
        let silences = format!("ends_at < {now} - {}", retention.incidents.as_millis());
        // What was told of an incident goes with it.
        let orphaned = |table: &str, at: &str| {
            let age = retention.incidents.as_millis();
            format!(
                "{at} < {now} - {age} AND NOT EXISTS (SELECT 1 FROM komainu_incident i WHERE i.id = {table}.incident_id)"
            )
        };
        let stamps = format!("generation <= (SELECT generation FROM komainu_cluster WHERE id = 1) - {GENERATIONS}");
        let pruned = self.prune_table("komainu_audit", "id", &audit).await?
            + self.prune_table("komainu_incident", "id", &incidents).await?
            + self.prune_table("komainu_event", "id", &orphaned("komainu_event", "at")).await?
            + self.prune_table("komainu_delivery", "id", &orphaned("komainu_delivery", "created_at")).await?
            + self.prune_table("komainu_push", "id", &pushes).await?
            + self.prune_table("komainu_silence", "id", &silences).await?
            + self.prune_table("komainu_climb", "incident_id", CLIMBED_DOWN).await?
            + self.prune_table("komainu_check_transition", "id", &verdicts).await?
            + self.prune_table("komainu_generation", "generation", &stamps).await?;
        Ok(pruned + self.prune_growing(retention).await?)
    }

    /// The same of what grows with every beat.
    async fn prune_growing(&self, retention: &Retention) -> Result<u64, StoreError> {
        Ok(self.prune_statistics(retention).await? + self.prune_beats(retention.beats).await?)
    }

    /// Deletes at most one batch of beats older than this, if there is no Kuma that does; says how many.
    pub async fn prune_beats(&self, older_than: Duration) -> Result<u64, StoreError> {
        if !self.made_here("heartbeat").await? {
            return Ok(0);
        }
        self.prune_oldest("heartbeat", &self.dialect().datetime_ms("time"), older_than).await
    }

    async fn prune_statistics(&self, retention: &Retention) -> Result<u64, StoreError> {
        let catalog = self.catalog().await?;
        let mut kept = vec![("stat_minutely", retention.minutes), ("stat_hourly", retention.hours)];
        if self.made_here("stat_daily").await? {
            kept.push(("stat_daily", retention.beats));
        }
        let mut pruned = 0;
        for (table, kept) in kept.into_iter().filter(|(table, _)| catalog.has_table(table)) {
            pruned += self.prune_oldest(table, "timestamp * 1000", kept).await?;
        }
        Ok(pruned)
    }

    /// Whether this table of Kuma's was made by a migration of ours: then no Kuma cleans it.
    async fn made_here(&self, table: &str) -> Result<bool, StoreError> {
        let sql = "SELECT kuma_tables FROM komainu_schema WHERE id = 1";
        let row = self.lease("read the schema").await?.row("read the schema", sql, vec![]).await?;
        let made = row.map_or(Ok(String::new()), |row| row.text("kuma_tables"))?;
        Ok(made.split(',').any(|made| made == table))
    }

    /// For tables whose rows are written in the order of their ids: the oldest are the first, and no index on the time
    /// is needed. What a clock dated ahead is left out, or it would keep what comes after it. `at`: in milliseconds.
    async fn prune_oldest(&self, table: &str, at: &str, kept: Duration) -> Result<u64, StoreError> {
        let (now, primary) = (self.dialect().now_ms(), self.dialect().by_primary());
        let first =
            format!("SELECT id, {at} AS at FROM {table}{primary} WHERE {at} <= {now} ORDER BY id LIMIT {BATCH}");
        self.prune_rows(table, "id", &format!("({first}) x WHERE x.at < {now} - {}", kept.as_millis())).await
    }

    async fn prune_table(&self, table: &str, key: &str, condition: &str) -> Result<u64, StoreError> {
        self.prune_rows(table, key, &format!("{table} WHERE {condition}")).await
    }

    async fn prune_rows(&self, table: &str, key: &str, from: &str) -> Result<u64, StoreError> {
        let act = "prune what is too old";
        let mut lease = self.lease(act).await?;
        let sql = format!("SELECT {key} AS id FROM {from} ORDER BY {key} LIMIT {BATCH}");
        let old = lease.rows(act, sql, vec![]).await?;
        let old = old.iter().map(|row| row.int("id")).collect::<Result<Vec<_>, _>>()?;
        if old.is_empty() {
            return Ok(0);
        }
        let sql = format!("DELETE FROM {table} WHERE {key} IN ({})", id_list(&old));
        lease.execute(act, Sql::Once(sql), vec![]).await
    }
}
