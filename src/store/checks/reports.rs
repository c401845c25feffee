//! The slow way of votes: what a watchdog saw, written for peers that cannot ask it, and read by them.
//!
//! A row per watchdog, written anew as long as one of its peers does not ask it; ordinarily nothing of this is used.

use komainu_watchdogs::check::Look;
use komainu_watchdogs::ids::{Incarnation, WatchdogId};

use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::session::Sql;
use crate::store::value::{Row, Value, values};

/// What one watchdog wrote for peers that cannot ask it.
#[derive(Clone, PartialEq, Debug)]
pub struct WrittenReport {
    /// Who.
    pub watchdog: WatchdogId,
    /// Which process of it.
    pub incarnation: Incarnation,
    /// Raised by each writing of that process.
    pub seq: u64,
    /// What it saw.
    pub looks: Vec<Look>,
}

/// Writes what this watchdog saw, in the place of what it wrote before.
pub async fn write_report(store: &Store, report: &WrittenReport) -> Result<(), StoreError> {
    let act = "write what was seen of checks";
    let looks = serde_json::to_string(&report.looks).map_err(|_| StoreError::unreadable(act, "looks", "no JSON"))?;
    let mut lease = store.lease(act).await?;
    let sql = format!(
        "INSERT INTO komainu_check_report (watchdog_id, incarnation, seq, looks) VALUES (?, ?, ?, ?){}",
        lease.dialect().or_update("watchdog_id", &["incarnation", "seq", "looks"])
    );
    let values = values![report.watchdog.as_str(), report.incarnation.to_string(), report.seq, looks];
    lease.execute(act, sql, values).await.map(|_| ())
}

/// What these watchdogs wrote last.
pub async fn reports(store: &Store, of: &[WatchdogId]) -> Result<Vec<WrittenReport>, StoreError> {
    let act = "read what peers saw of checks";
    let places = vec!["?"; of.len()].join(", ");
    let sql = format!(
        "SELECT watchdog_id, incarnation, seq, looks FROM komainu_check_report WHERE watchdog_id IN ({places})"
    );
    let values = of.iter().map(|watchdog| Value::from(watchdog.as_str())).collect();
    let rows = store.lease(act).await?.rows(act, Sql::Once(sql), values).await?;
    let report = |row: &Row| {
        Ok(WrittenReport {
            watchdog: row.text("watchdog_id")?.into(),
            incarnation: row.text("incarnation")?.parse().unwrap_or_default(),
            seq: row.count("seq")?,
            // Of a peer of another version nothing is understood, and nothing is missed but its votes.
            looks: serde_json::from_str(&row.text("looks")?).unwrap_or_default(),
        })
    };
    rows.iter().map(report).collect()
}
