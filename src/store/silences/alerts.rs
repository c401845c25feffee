//! What is wrong now, with what silences compare of it and who is told.

use std::collections::BTreeMap;

use komainu_watchdogs::routing::Subject;
use komainu_watchdogs::time::Wall;

use super::{now_on, silence, subject_of};
use crate::silence::{MOST_SILENCES, Phase, Silence};
use crate::store::error::StoreError;
use crate::store::pool::Store;

/// The latest that are read.
const MOST_ALERTS: u32 = 10_000;

/// One incident that is open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alert {
    /// As silences compare it.
    pub subject: Subject,
    /// For people.
    pub summary: String,
    /// Since when.
    pub opened_at: Wall,
    /// When it was seen last.
    pub last_bad_at: Wall,
    /// Who takes care of it.
    pub acknowledged_by: Option<String>,
    /// The key of the open incident that explains it.
    pub explained_by: Option<String>,
    /// Who is told of it, or will be.
    pub channels: Vec<String>,
}

/// All of them, with the silences that are in force at the same time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Alerts {
    /// The latest first.
    pub alerts: Vec<Alert>,
    /// Of the database's clock.
    pub now: Wall,
    /// In force.
    pub silences: Vec<Silence>,
}

/// What is wrong now; of the latest 10,000.
pub async fn alerts(store: &Store) -> Result<Alerts, StoreError> {
    let act = "read what is wrong";
    let mut lease = store.lease(act).await?;
    let now = now_on(&mut lease).await?;
    let open =
        format!("SELECT id FROM komainu_incident WHERE resolved_at IS NULL ORDER BY id DESC LIMIT {MOST_ALERTS}");
    let sql = format!(
        "SELECT i.id, i.k, i.severity, i.subject_json, i.summary, i.opened_at, i.last_bad_at, i.acknowledged_by, p.k AS explained_by \
         FROM ({open}) o JOIN komainu_incident i ON i.id = o.id \
         LEFT JOIN komainu_incident p ON p.id = i.parent_id AND p.resolved_at IS NULL ORDER BY i.id DESC"
    );
    let rows = lease.rows(act, sql, vec![]).await?;
    let sql = format!(
        "SELECT DISTINCT d.incident_id, d.channel FROM ({open}) o JOIN komainu_delivery d ON d.incident_id = o.id \
         ORDER BY d.incident_id, d.channel"
    );
    let mut channels: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for row in lease.rows(act, sql, vec![]).await? {
        channels.entry(row.int("incident_id")?).or_default().push(row.text("channel")?);
    }
    let mut alerts = Vec::with_capacity(rows.len());
    for row in &rows {
        alerts.push(Alert {
            subject: subject_of(row)?,
            summary: row.text("summary")?,
            opened_at: row.wall("opened_at")?,
            last_bad_at: row.wall("last_bad_at")?,
            acknowledged_by: row.maybe_text("acknowledged_by")?,
            explained_by: row.maybe_text("explained_by")?,
            channels: channels.remove(&row.int("id")?).unwrap_or_default(),
        });
    }
    let silences = super::in_force(&mut lease, now).await?;
    Ok(Alerts { alerts, now, silences })
}

/// All that are kept, the latest first: those in force or to come, and of those that are over as many again.
pub async fn all_silences(store: &Store) -> Result<(Vec<Silence>, Wall), StoreError> {
    let act = "read the silences";
    let mut lease = store.lease(act).await?;
    let now = now_on(&mut lease).await?;
    let mut found = vec![];
    for which in ["ends_at > ?", "ends_at <= ?"] {
        let sql = format!("{} WHERE {which} AND name IS NULL ORDER BY id DESC LIMIT {MOST_SILENCES}", super::COLUMNS);
        for row in lease.rows(act, sql, crate::store::value::values![now]).await? {
            found.push(silence(&row)?);
        }
    }
    found.sort_by_key(|one| (one.made.phase(now) == Phase::Expired, std::cmp::Reverse(one.id)));
    Ok((found, now))
}
