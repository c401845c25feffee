//! The cluster as a whole: mode, freeze, adoption.
//!
//! Each of these acts raises the generation, and writes it into the assignments that it changes: a decision that was
//! planned before leaves those alone.

use komainu_watchdogs::facts::{ClusterRow, LeaderRow};
use komainu_watchdogs::ids::{NodeId, Nonce, Stamp};
use serde_json::json;

use super::audit::{self, Deed};
use super::catalog::Catalog;
use super::dialect::Dialect;
use super::error::StoreError;
use super::pool::{Store, in_transaction};
use super::session::{Session, Statement};
use super::value::{Value, values};
use super::watch::{cluster_row, leader_row, stamp, text_list};

/// Where the homes of monitors come from at adoption.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Homes {
    /// The leader places every monitor that has none.
    ByLeader,
    /// All that it can run on this node, which runs them now.
    All(NodeId),
    /// The fork's `monitor.node_id` and `monitor.assigned_node`.
    FromFork,
}

/// What adoption wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Adoption {
    /// Monitors that got a home now.
    pub homed: u32,
    /// Monitors that have none yet: the leader places them.
    pub homeless: u32,
    /// Monitors of which Kuma's own notifications tell.
    pub told_by_kuma: u32,
}

/// Mode, freeze, stamp.
pub async fn get(store: &Store) -> Result<ClusterRow, StoreError> {
    let mut lease = store.lease("read the cluster").await?;
    let sql = "SELECT mode, frozen, pinned_node, generation, nonce FROM komainu_cluster WHERE id = 1";
    let row = lease.row("read the cluster", sql, vec![]).await?;
    cluster_row(&row.ok_or(StoreError::SchemaMissing)?)
}

/// Who leads.
pub async fn leader(store: &Store) -> Result<LeaderRow, StoreError> {
    let mut lease = store.lease("read the leader").await?;
    let sql = "SELECT epoch, holder, watchdog_id, renewals FROM komainu_leader WHERE id = 1";
    let row = lease.row("read the leader", sql, vec![]).await?;
    leader_row(&row.ok_or(StoreError::SchemaMissing)?)
}

/// Locks the cluster's row, which every change of an assignment locks first: no decision commits before this
/// transaction ends.
pub(crate) async fn lock(session: &mut Session) -> Result<(), StoreError> {
    let sql = format!("SELECT id FROM komainu_cluster WHERE id = 1{}", session.dialect().for_update());
    session.row("lock the cluster", sql, vec![]).await.map(|_| ())
}

/// Makes a new generation with a fresh nonce, and remembers it. The caller is within a transaction.
pub(crate) async fn raise_generation(session: &mut Session, reason: &str, monitors: u32) -> Result<Stamp, StoreError> {
    let act = "raise the generation";
    let now = session.dialect().now_ms();
    let sql =
        format!("UPDATE komainu_cluster SET generation = generation + 1, nonce = ?, changed_at = {now} WHERE id = 1");
    session.execute(act, sql, values![Nonce(rand::random())]).await?;
    let row = session.row(act, "SELECT generation, nonce FROM komainu_cluster WHERE id = 1", vec![]).await?;
    let stamp = stamp(&row.ok_or(StoreError::SchemaMissing)?)?;
    let (sql, values) = remembered(session.dialect(), stamp, reason, monitors);
    session.execute(act, sql, values).await?;
    Ok(stamp)
}

/// The statements that make this generation the present one, for whoever holds the lock on the cluster's row and saw there
/// the one before.
pub(crate) fn raised(dialect: Dialect, stamp: Stamp, reason: &str, monitors: u32) -> [Statement; 2] {
    let now = dialect.now_ms();
    let sql = format!("UPDATE komainu_cluster SET generation = ?, nonce = ?, changed_at = {now} WHERE id = 1");
    [(sql, values![stamp.generation, stamp.nonce]), remembered(dialect, stamp, reason, monitors)]
}

/// A database that was restored half may have this number already: the later one is the true one.
fn remembered(dialect: Dialect, stamp: Stamp, reason: &str, monitors: u32) -> Statement {
    let sql = format!(
        "REPLACE INTO komainu_generation (generation, nonce, epoch, changed_at, reason, monitors) \
         SELECT ?, ?, epoch, {}, ?, ? FROM komainu_leader WHERE id = 1",
        dialect.now_ms()
    );
    (sql, values![stamp.generation, stamp.nonce, reason, monitors])
}

/// Writes homes and starts automation. Homes that are written already stay. `by`: who wants it, for the audit trail.
pub async fn adopt(store: &Store, homes: &Homes, by: &str) -> Result<Adoption, StoreError> {
    let catalog = store.catalog().await?;
    in_transaction!(store, "adopt the monitors", |session| {
        let adoption = adopt_in(session, &catalog, homes).await;
        match adoption {
            Ok(adoption) => audit::append_in(session, &deed(by, adoption)).await.map(|()| adoption),
            Err(error) => Err(error),
        }
    })
}

fn deed(by: &str, adoption: Adoption) -> Deed {
    let after = json!({"mode": "active", "homed": adoption.homed, "homeless": adoption.homeless});
    Deed {
        who: by.to_owned(),
        what: "cluster.adopt".to_owned(),
        subject: "cluster".to_owned(),
        before: None,
        after: Some(after.to_string()),
    }
}

async fn adopt_in(session: &mut Session, catalog: &Catalog, homes: &Homes) -> Result<Adoption, StoreError> {
    let act = "adopt the monitors";
    let stamp = raise_generation(session, "adopt", 0).await?;
    let adopted = match homes {
        Homes::ByLeader => 0,
        Homes::All(node) => {
            ensure_node(session, node).await?;
            let kinds = kinds_of(session, node).await?;
            let can_run = can_run(&kinds);
            let from = format!("SELECT m.id, ?, NULL, 'adopted', ?, {{now}} FROM monitor m WHERE {can_run}");
            let values =
                values![node, stamp.generation].into_iter().chain(kinds.into_iter().map(Value::from)).collect();
            write_homes(session, &from, values).await?
        }
        Homes::FromFork => {
            let from = fork_homes(catalog)?;
            write_homes(session, &from, values![stamp.generation]).await?
        }
    };
    session.execute(act, "UPDATE komainu_cluster SET mode = 'active' WHERE id = 1", vec![]).await?;
    let sql = "SELECT COUNT(*) AS homeless FROM monitor m LEFT JOIN komainu_assignment a ON a.monitor_id = m.id \
         WHERE COALESCE(a.node_id, '') = ''";
    let homeless = session.row(act, sql, vec![]).await?.map_or(Ok(0), |row| row.small("homeless"))?;
    let told_by_kuma = if catalog.has_notifications() {
        let sql = "SELECT COUNT(DISTINCT monitor_id) AS told FROM monitor_notification";
        session.row(act, sql, vec![]).await?.map_or(Ok(0), |row| row.small("told"))?
    } else {
        0
    };
    Ok(Adoption { homed: u32::try_from(adopted).unwrap_or(u32::MAX), homeless, told_by_kuma })
}

/// The types of monitor that a node says it can run; none: all, or it never started.
async fn kinds_of(session: &mut Session, node: &NodeId) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT kinds FROM node WHERE node_id = ?";
    let row = session.row("look up a node", sql, values![node]).await?;
    row.map_or(Ok(vec![]), |row| Ok(text_list(&row.text("kinds")?)))
}

fn can_run(kinds: &[String]) -> String {
    if kinds.is_empty() { "1 = 1".to_owned() } else { format!("m.type IN ({})", vec!["?"; kinds.len()].join(", ")) }
}

/// Fills the assignments of monitors that have none.
async fn write_homes(session: &mut Session, from: &str, values: Vec<Value>) -> Result<u64, StoreError> {
    let sql = format!(
        "INSERT INTO komainu_assignment (monitor_id, node_id, assigned_node, reason, generation, changed_at) {} \
         AND NOT EXISTS (SELECT 1 FROM komainu_assignment a WHERE a.monitor_id = m.id)",
        from.replace("{now}", session.dialect().now_ms())
    );
    session.execute("adopt the monitors", sql, values).await
}

/// Homes that name a node which exists; without one, whoever runs it now is its home. The others are left to the leader.
fn fork_homes(catalog: &Catalog) -> Result<String, StoreError> {
    if !catalog.has_column("monitor", "node_id") {
        let reason = "this database has no `monitor.node_id`: it is not one of uptime-kuma-cluster; use --home NODE";
        return Err(StoreError::Invalid(reason.to_owned()));
    }
    let assigned = if catalog.has_column("monitor", "assigned_node") { "m.assigned_node" } else { "NULL" };
    Ok(format!(
        "SELECT m.id, COALESCE(h.node_id, t.node_id), CASE WHEN t.node_id <> h.node_id THEN t.node_id END, 'adopted', ?, \
         {{now}} FROM monitor m LEFT JOIN node h ON h.node_id = m.node_id LEFT JOIN node t ON t.node_id = {assigned} \
         WHERE COALESCE(h.node_id, t.node_id) IS NOT NULL"
    ))
}

pub(crate) async fn ensure_node(session: &mut Session, node: &NodeId) -> Result<(), StoreError> {
    let sql = "SELECT 1 AS one FROM node WHERE node_id = ?";
    if session.row("look up a node", sql, values![node]).await?.is_some() {
        return Ok(());
    }
    Err(StoreError::Invalid(format!("there is no node {node}: `komainu nodes add {node}` makes it")))
}
