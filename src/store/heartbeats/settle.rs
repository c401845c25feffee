//! Marking what is late, and opening and resolving the incidents of heartbeats.
//!
//! Any watchdog does it. What is to be done is judged by the row under its lock, and done in one transaction with the
//! incident: a watchdog that was frozen, or comes second, finds nothing to do. Rows that another transaction holds are
//! skipped: it is changing what there is to do.

use komainu_watchdogs::heartbeat::{Need, OutageNeed, outage_need};
use komainu_watchdogs::io::Alarm;
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;

use super::columns::{self, DEFINITION, TOLD, VITALS, changed, stored};
use super::outage::{self, Gaps, Look, NEWEST_GAP};
use super::{CachedHeartbeat, LastPush};
use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::incidents::opening::{open_on, resolve_on};
use crate::store::pool::Store;
use crate::store::session::{Purpose, Session, Sql};
use crate::store::value::{Value, values};

const ACT: &str = "settle heartbeats";

/// The connection.
pub struct SettleConnection {
    session: Session,
    gaps: Gaps,
}

/// Which words an incident is told in.
pub trait Words {
    /// Of a heartbeat that is late or failed, and what its last push told.
    fn alarm(&self, known: &CachedHeartbeat, last: &LastPush, now: Wall) -> (Alarm, Subject);
    /// Of one that is well again.
    fn relief(&self, known: &CachedHeartbeat, now: Wall) -> String;
}

impl SettleConnection {
    /// Connects; it never reconnects by itself.
    pub async fn connect(store: &Store) -> Result<Self, StoreError> {
        Ok(Self { session: super::connect(store).await?, gaps: Gaps::default() })
    }

    /// Does what these heartbeats need, in one transaction; says what was done. While no push can be taken none is marked late.
    pub async fn settle(
        &mut self,
        names: &[String],
        words: &(impl Words + Sync),
        routing: &Routing,
    ) -> Result<Vec<(Need, CachedHeartbeat)>, StoreError> {
        self.session.begin(ACT, Purpose::Write).await?;
        let settled = self.settle_all(names, words, routing).await;
        self.session.end(ACT, settled).await
    }

    async fn settle_all(
        &mut self,
        names: &[String],
        words: &(impl Words + Sync),
        routing: &Routing,
    ) -> Result<Vec<(Need, CachedHeartbeat)>, StoreError> {
        // In this order: a gap that has ended by then is among those that are read.
        let Look { at: now, since } = outage::look(&mut self.session).await?;
        let mut done = Vec::new();
        for (known, last) in self.lock(names).await? {
            let Some(need) = known.need(now, since.is_some()) else { continue };
            let is_done = match need {
                Need::Recount => self.recount(&known, now).await?,
                Need::MarkLate | Need::OpenIncident => self.open((&known, &last), now, (words, routing)).await?,
                Need::ResolveIncident => self.resolve(&known, now, words).await?,
            };
            if is_done {
                done.push((need, known));
            }
        }
        Ok(done)
    }

    /// Since when no push can be taken, if none can.
    pub async fn outage_since(&mut self) -> Result<Option<Wall>, StoreError> {
        Ok(outage::look(&mut self.session).await?.since)
    }

    /// Tells people that no push can be taken, or can again; says whether that was news.
    pub async fn tell_outage(&mut self, alarm: &Alarm, routing: &Routing) -> Result<bool, StoreError> {
        let act = "tell of an outage of pushes";
        self.session.begin(act, Purpose::Write).await?;
        let told = self.tell_outage_in(alarm, routing).await;
        self.session.end(act, told).await
    }

    async fn tell_outage_in(&mut self, alarm: &Alarm, routing: &Routing) -> Result<bool, StoreError> {
        let Look { at, since } = outage::look(&mut self.session).await?;
        let sql = format!(
            "SELECT id FROM komainu_incident WHERE k = ? AND resolved_at IS NULL{}",
            self.session.dialect().for_update()
        );
        let open = self.session.row(ACT, sql, values![&alarm.key]).await?.map(|row| row.int("id")).transpose()?;
        match (outage_need(since.map(|since| at.since(since)), open.is_some()), open) {
            (Some(OutageNeed::Tell), _) => {
                open_on(&mut self.session, alarm, &Subject::of(alarm), routing).await.map(|opened| opened.is_news)
            }
            (Some(OutageNeed::Resolve), Some(open)) => {
                resolve_on(&mut self.session, open, "pushes of heartbeats can be taken again").await
            }
            (Some(OutageNeed::Resolve) | None, _) => Ok(false),
        }
    }

    async fn lock(&mut self, names: &[String]) -> Result<Vec<(CachedHeartbeat, LastPush)>, StoreError> {
        let dialect = self.session.dialect();
        let lock = match dialect {
            Dialect::MariaDb => " FOR UPDATE SKIP LOCKED",
            Dialect::Sqlite => "",
        };
        let sql = format!(
            "SELECT {DEFINITION}, {VITALS}, {TOLD}, {NEWEST_GAP} AS newest_gap FROM komainu_heartbeat{} \
             WHERE name IN ({}) ORDER BY name{lock}",
            dialect.by_primary(),
            vec!["?"; names.len()].join(", "),
        );
        let rows = self.session.rows(ACT, Sql::Once(sql), names.iter().map(Value::from).collect()).await?;
        let Some(first) = rows.first() else { return Ok(Vec::new()) };
        self.gaps.refresh(&mut self.session, first.int("newest_gap")?).await?;
        let known = |row| {
            let mut known = columns::known(row)?;
            known.count(self.gaps.known());
            Ok((known, columns::last_push(row)?))
        };
        rows.iter().map(known).collect()
    }

    async fn recount(&mut self, known: &CachedHeartbeat, now: Wall) -> Result<bool, StoreError> {
        let CachedHeartbeat { definition, vitals } = known;
        let [deadline, limits] = stored(&vitals.record.limits.pulled_in(now));
        let sql = "UPDATE komainu_heartbeat SET deadline = ?, limits = ?, gap_id = ?, changed_at = ? WHERE name = ?";
        let values = values![deadline, limits, vitals.gap_id, changed(vitals.changed_at, now), &definition.name];
        Ok(self.session.execute(ACT, sql, values).await? == 1)
    }

    async fn open(
        &mut self,
        (known, last): (&CachedHeartbeat, &LastPush),
        now: Wall,
        (words, routing): (&(impl Words + Sync), &Routing),
    ) -> Result<bool, StoreError> {
        let vitals = &known.vitals;
        let changed_at = changed(vitals.changed_at, now);
        let name = &known.definition.name;
        if vitals.record.is_overdue(now) {
            let [deadline, limits] = stored(&vitals.record.limits);
            let sql = "UPDATE komainu_heartbeat SET state = 'late', deadline = ?, limits = ?, gap_id = ?, changed_at = ? \
                 WHERE name = ? AND changed_at = ? AND state <> 'late'";
            let values = values![deadline, limits, vitals.gap_id, changed_at, name, vitals.changed_at];
            if self.session.execute(ACT, sql, values).await? == 0 {
                return Ok(false);
            }
        }
        let (alarm, subject) = words.alarm(known, last, now);
        let opened = open_on(&mut self.session, &alarm, &subject, routing).await?;
        let sql = "UPDATE komainu_heartbeat SET incident_id = ?, changed_at = ? WHERE name = ?";
        self.session.execute(ACT, sql, values![opened.incident_id, changed_at, name]).await?;
        Ok(true)
    }

    async fn resolve(
        &mut self,
        known: &CachedHeartbeat,
        now: Wall,
        words: &(impl Words + Sync),
    ) -> Result<bool, StoreError> {
        let Some(incident) = known.vitals.incident_id else { return Ok(false) };
        resolve_on(&mut self.session, incident, &words.relief(known, now)).await?;
        let sql = "UPDATE komainu_heartbeat SET incident_id = NULL, changed_at = ? WHERE name = ?";
        let changed_at = changed(known.vitals.changed_at, now);
        self.session.execute(ACT, sql, values![changed_at, &known.definition.name]).await?;
        Ok(true)
    }
}
