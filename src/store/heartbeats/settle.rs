//! Marking what is late, and opening and resolving the incidents of heartbeats.
//!
//! Any watchdog does it. What is to be done is judged by the row under its lock, and done in one transaction with the
//! incident: a watchdog that was frozen, or comes second, finds nothing to do. Rows that another transaction holds are
//! skipped: it is changing what there is to do.

use komainu_watchdogs::heartbeat::Need;
use komainu_watchdogs::ids::WatchdogId;
use komainu_watchdogs::io::Alarm;
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;

use super::columns::{self, DEFINITION, TOLD, VITALS, changed};
use super::{Known, LastPush, outage};
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
    watchdog: WatchdogId,
}

/// What became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Settled {
    /// No watchdog had written for a while: silence is forgiven, nothing was marked.
    Forgiven,
    /// These were changed.
    Done(Vec<(Need, Known)>),
}

/// Which words an incident is told in.
pub trait Words {
    /// Of a heartbeat that is late or failed, and what its last push told.
    fn alarm(&self, known: &Known, last: &LastPush, now: Wall) -> (Alarm, Subject);
    /// Of one that is well again.
    fn relief(&self, known: &Known, now: Wall) -> String;
}

impl SettleConnection {
    /// Connects; it never reconnects by itself.
    pub async fn connect(store: &Store, watchdog: WatchdogId) -> Result<Self, StoreError> {
        Ok(Self { session: Session::connect(store.url()).await?, watchdog })
    }

    /// Does what these heartbeats need, in one transaction.
    pub async fn settle(
        &mut self,
        names: &[String],
        words: &(impl Words + Sync),
        routing: &Routing,
    ) -> Result<Settled, StoreError> {
        self.session.begin(ACT, Purpose::Write).await?;
        let settled = self.settle_all(names, words, routing).await;
        self.session.end(ACT, settled).await
    }

    async fn settle_all(
        &mut self,
        names: &[String],
        words: &(impl Words + Sync),
        routing: &Routing,
    ) -> Result<Settled, StoreError> {
        let look = outage::notice_on(&mut self.session, &self.watchdog).await?;
        if look.ended_outage {
            return Ok(Settled::Forgiven);
        }
        let now = look.at;
        let mut done = Vec::new();
        for (known, last) in self.lock(names).await? {
            let Some(need) = known.vitals.record.need(now, known.vitals.incident_id.is_some()) else { continue };
            let is_done = match need {
                Need::MarkLate | Need::OpenIncident => self.open((&known, &last), now, (words, routing)).await?,
                Need::ResolveIncident => self.resolve(&known, now, words).await?,
            };
            if is_done {
                done.push((need, known));
            }
        }
        Ok(Settled::Done(done))
    }

    async fn lock(&mut self, names: &[String]) -> Result<Vec<(Known, LastPush)>, StoreError> {
        let dialect = self.session.dialect();
        let lock = match dialect {
            Dialect::MariaDb => " FOR UPDATE SKIP LOCKED",
            Dialect::Sqlite => "",
        };
        let sql = format!(
            "SELECT {DEFINITION}, {VITALS}, {TOLD} FROM komainu_heartbeat{} WHERE name IN ({}) ORDER BY name{lock}",
            dialect.by_primary(),
            vec!["?"; names.len()].join(", "),
        );
        let rows = self.session.rows(ACT, Sql::Once(sql), names.iter().map(Value::from).collect()).await?;
        rows.iter().map(|row| Ok((columns::known(row)?, columns::last_push(row)?))).collect()
    }

    async fn open(
        &mut self,
        (known, last): (&Known, &LastPush),
        now: Wall,
        (words, routing): (&(impl Words + Sync), &Routing),
    ) -> Result<bool, StoreError> {
        let vitals = &known.vitals;
        let changed_at = changed(vitals.changed_at, now);
        let name = &known.definition.name;
        if vitals.record.is_overdue(now) {
            let sql = "UPDATE komainu_heartbeat SET state = 'late', changed_at = ? WHERE name = ? AND deadline = ? \
                 AND state <> 'late'";
            if self.session.execute(ACT, sql, values![changed_at, name, vitals.record.deadline]).await? == 0 {
                return Ok(false);
            }
        }
        let (alarm, subject) = words.alarm(known, last, now);
        let opened = open_on(&mut self.session, &alarm, &subject, routing).await?;
        let sql = "UPDATE komainu_heartbeat SET incident_id = ?, changed_at = ? WHERE name = ?";
        self.session.execute(ACT, sql, values![opened.incident_id, changed_at, name]).await?;
        Ok(true)
    }

    async fn resolve(&mut self, known: &Known, now: Wall, words: &(impl Words + Sync)) -> Result<bool, StoreError> {
        let Some(incident) = known.vitals.incident_id else { return Ok(false) };
        resolve_on(&mut self.session, incident, &words.relief(known, now)).await?;
        let sql = "UPDATE komainu_heartbeat SET incident_id = NULL, changed_at = ? WHERE name = ?";
        let changed_at = changed(known.vitals.changed_at, now);
        self.session.execute(ACT, sql, values![changed_at, &known.definition.name]).await?;
        Ok(true)
    }
}
