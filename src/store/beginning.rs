//! What assignments say of how monitors were begun: started, begun apart, put aside. What it means is
//! [`komainu_watchdogs::beginning`]'s to say.

use std::collections::BTreeSet;

use komainu_watchdogs::beginning::Past;
use komainu_watchdogs::ids::{Incarnation, MonitorId, NodeId};

use super::decisions::id_list;
use super::error::StoreError;
use super::only_kuma;
use super::pool::Store;
use super::session::{Session, Sql};
use super::value::{Value, values};

/// Monitors that one statement names.
const BATCH: usize = 1_000;

/// The marks that one process of a node makes, and those that it finds.
#[derive(Clone)]
pub struct Beginnings {
    store: Store,
    node: NodeId,
    incarnation: Incarnation,
}

impl Beginnings {
    /// For this process.
    pub fn new(store: Store, node: NodeId, incarnation: Incarnation) -> Self {
        Self { store, node, incarnation }
    }

    /// How long one statement may take where it should take `limit`.
    pub fn allow(&self, limit: std::time::Duration) -> std::time::Duration {
        self.store.allow(limit)
    }

    /// These are started now: notes so, and says what was noted of them before. The note is also what progress counts from:
    /// a monitor that was paused for months is not overdue at once.
    pub async fn start(&self, monitors: &[MonitorId]) -> Result<Vec<(MonitorId, Past)>, StoreError> {
        let mut session = self.store.lease("note the starts").await?;
        let monitors: BTreeSet<MonitorId> = monitors.iter().copied().collect();
        let mut pasts = Vec::new();
        let newest = newest_beat(&mut session).await?;
        for part in batches(&monitors) {
            pasts.extend(self.pasts(&mut session, &part).await?);
        }
        let sets = format!("started_after = ?, started_at_ms = {}", session.dialect().now_ms());
        self.mark(&mut session, "note the starts", (&sets, values![newest]), &monitors).await?;
        Ok(pasts)
    }

    /// These are begun apart now, together. `false`: they are not this process's any more.
    pub async fn begin_apart(&self, monitors: &BTreeSet<MonitorId>) -> Result<bool, StoreError> {
        let act = "note which monitors are begun apart";
        let with = u32::try_from(monitors.len()).unwrap_or(u32::MAX);
        let mut session = self.store.lease(act).await?;
        let sets = ("begun_by = ?, begun_with = ?", values![self.incarnation, with]);
        Ok(self.mark(&mut session, act, sets, monitors).await? > 0)
    }

    /// This process lived through their runs, or is not to run them any more.
    pub async fn begun_well(&self, monitors: &BTreeSet<MonitorId>) -> Result<(), StoreError> {
        let act = "take back which monitors are begun apart";
        let mut session = self.store.lease(act).await?;
        for part in batches(monitors) {
            let sql = format!(
                "UPDATE komainu_assignment{} SET begun_by = NULL, begun_with = NULL WHERE monitor_id IN ({part}) \
                 AND begun_by = ?",
                session.dialect().by_primary(),
            );
            session.execute(act, Sql::Once(sql), values![self.incarnation]).await?;
        }
        Ok(())
    }

    /// These are run by nobody any more. The mark of the process over which it is stays: that one may be heard of again.
    pub async fn put_aside(&self, monitors: &BTreeSet<MonitorId>) -> Result<(), StoreError> {
        let act = "put monitors aside";
        let mut session = self.store.lease(act).await?;
        self.mark(&mut session, act, ("put_aside = 1", vec![]), monitors).await.map(drop)
    }

    /// This node cannot look at their targets, and a stock Kuma could.
    pub async fn only_kuma(&self, monitors: &BTreeSet<MonitorId>) -> Result<(), StoreError> {
        let mut session = self.store.lease("note which monitors only a stock Kuma can run").await?;
        only_kuma::note(&mut session, (&self.node, self.incarnation), monitors).await
    }

    /// A process that holds a node's row is not gone, whatever it began. What people were told of and somebody resumed is begun once more.
    async fn pasts(&self, session: &mut Session, part: &str) -> Result<Vec<(MonitorId, Past)>, StoreError> {
        let sql = format!(
            "SELECT a.monitor_id, a.started_after, CASE WHEN a.put_aside = 2 OR a.begun_by IS NULL OR EXISTS \
             (SELECT 1 FROM node n WHERE n.incarnation = a.begun_by) THEN NULL ELSE a.begun_with END AS begun_with \
             FROM komainu_assignment a WHERE a.monitor_id IN ({part})"
        );
        let rows = session.rows("read how monitors were begun", Sql::Once(sql), vec![]).await?;
        let read = |row: &super::value::Row| {
            let begun_with = row.maybe_int("begun_with")?.map(|with| u32::try_from(with).unwrap_or(u32::MAX));
            let started_after = row.maybe_int("started_after")?;
            Ok((MonitorId(row.int("monitor_id")?), Past { started_after, begun_with, last_beat: None }))
        };
        rows.iter().map(read).collect()
    }

    /// Only of what is this process's. Says how many rows changed.
    async fn mark(
        &self,
        session: &mut Session,
        act: &'static str,
        (sets, values): (&str, Vec<Value>),
        monitors: &BTreeSet<MonitorId>,
    ) -> Result<u64, StoreError> {
        let mut changed = 0;
        for part in batches(monitors) {
            let own = values![&self.node, &self.node, self.incarnation];
            let sql = format!(
                "UPDATE komainu_assignment{} SET {sets} WHERE monitor_id IN ({part}) AND effective_node = ? \
                 AND EXISTS (SELECT 1 FROM node n WHERE n.node_id = ? AND n.incarnation = ?)",
                session.dialect().by_primary(),
            );
            changed += session.execute(act, Sql::Once(sql), [values.clone(), own].concat()).await?;
        }
        Ok(changed)
    }
}

/// Read alone, before anything is written: within a statement that writes it would lock a row of Kuma's.
async fn newest_beat(session: &mut Session) -> Result<i64, StoreError> {
    let row =
        session.row("read the newest beat", "SELECT COALESCE(MAX(id), 0) AS newest FROM heartbeat", vec![]).await?;
    row.map_or(Ok(0), |row| row.int("newest"))
}

fn batches(monitors: &BTreeSet<MonitorId>) -> Vec<String> {
    let ids: Vec<i64> = monitors.iter().map(|monitor| monitor.0).collect();
    ids.chunks(BATCH).map(id_list).collect()
}
