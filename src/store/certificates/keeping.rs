//! Keeps what native nodes see of certificates, in Kuma's table and as Kuma keeps it.
//!
//! Guarded as beats are: what is said of a monitor comes from the process that owns it.

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::ids::{Incarnation, MonitorId, NodeId};
use serde_json::{Value as Json, json};

use crate::store::beats::keeper;
use crate::store::catalog::Catalog;
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Session, Sql};
use crate::store::value::values;

const ACT: &str = "keep certificates";

/// What one monitor saw.
#[derive(Clone, PartialEq, Debug)]
pub struct SeenChain {
    /// Which monitor.
    pub monitor: MonitorId,
    /// Kuma's `info_json`.
    pub info: Json,
}

/// What stands in a row of Kuma's table.
struct Kept {
    id: i64,
    fingerprint: Option<String>,
}

impl Store {
    /// Keeps the chains of those of these monitors that this process owns. Where there is no such table, nothing is kept.
    pub async fn keep_certificates(
        &self,
        node: &NodeId,
        incarnation: Incarnation,
        seen: &[SeenChain],
    ) -> Result<(), StoreError> {
        let catalog = self.catalog().await?;
        if seen.is_empty() || !catalog.has_table("monitor_tls_info") {
            return Ok(());
        }
        in_transaction!(self, ACT, |session| {
            let owned = owned(session, (node, incarnation), seen).await;
            match owned {
                Ok(owned) => keep(session, &catalog, seen.iter().filter(|seen| owned.contains(&seen.monitor))).await,
                Err(error) => Err(error),
            }
        })
    }
}

async fn owned(
    session: &mut Session,
    (node, incarnation): (&NodeId, Incarnation),
    seen: &[SeenChain],
) -> Result<BTreeSet<MonitorId>, StoreError> {
    let monitors: BTreeSet<MonitorId> = seen.iter().map(|seen| seen.monitor).collect();
    let monitors = monitors.iter().map(|monitor| json!([monitor.0])).collect::<Json>().to_string();
    let sql = keeper::owned(session.dialect());
    let rows = session.rows(ACT, sql, values![monitors, node, incarnation]).await?;
    rows.iter().map(|row| row.int("monitor_id").map(MonitorId)).collect()
}

async fn keep(
    session: &mut Session,
    catalog: &Catalog,
    seen: impl Iterator<Item = &SeenChain>,
) -> Result<(), StoreError> {
    let seen: Vec<&SeenChain> = seen.collect();
    let kept = kept(session, &seen).await?;
    for SeenChain { monitor, info } in seen {
        let text = info.to_string();
        let Some(row) = kept.get(monitor) else {
            let sql = "INSERT INTO monitor_tls_info (monitor_id, info_json) VALUES (?, ?)";
            session.execute(ACT, sql, values![*monitor, text]).await?;
            continue;
        };
        session.execute(ACT, "UPDATE monitor_tls_info SET info_json = ? WHERE id = ?", values![text, row.id]).await?;
        let fingerprint = info.pointer("/certInfo/fingerprint256").and_then(Json::as_str);
        let is_new = row.fingerprint.as_deref().is_some_and(|before| fingerprint != Some(before));
        // What Kuma told of the certificate before says nothing of this one.
        if is_new && catalog.has_table("notification_sent_history") {
            let sql = "DELETE FROM notification_sent_history WHERE type = 'certificate' AND monitor_id = ?";
            session.execute(ACT, sql, values![*monitor]).await?;
        }
    }
    Ok(())
}

async fn kept(session: &mut Session, seen: &[&SeenChain]) -> Result<BTreeMap<MonitorId, Kept>, StoreError> {
    if seen.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<i64> = seen.iter().map(|seen| seen.monitor.0).collect();
    let fingerprint = session.dialect().json_text("info_json", "$.certInfo.fingerprint256");
    // Of several rows Kuma goes by the first, which comes last here.
    let sql = format!(
        "SELECT id, monitor_id, {fingerprint} AS fingerprint FROM monitor_tls_info WHERE monitor_id IN ({}) \
         ORDER BY id DESC",
        id_list(&ids)
    );
    let rows = session.rows(ACT, Sql::Once(sql), vec![]).await?;
    let kept = rows.iter().map(|row| {
        let kept = Kept { id: row.int("id")?, fingerprint: row.maybe_text("fingerprint")? };
        Ok((MonitorId(row.int("monitor_id")?), kept))
    });
    kept.collect()
}
