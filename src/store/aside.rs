//! Monitors that a node put aside, because nodes were lost over them: paused, told, and on again when somebody resumes them.
//!
//! A pause is what everything knows already: nobody plans, counts or misses such a monitor, and it stands in Kuma's own page,
//! where whoever edits it makes it active again. Any watchdog may do this; the rows' locks see to it that one does.

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::routing::{Routing, Subject};
use serde_json::json;

use super::audit;
use super::error::StoreError;
use super::hands::deed;
use super::incidents::opening::{open_on, resolve_on};
use super::pool::{Store, in_transaction};
use super::session::Session;
use super::value::values;

/// The incident's kind.
pub const KIND: &str = "aside";

/// More than this at once are for the next look.
const MOST: u32 = 100;

const ACT: &str = "look for monitors that were put aside";

/// What a look changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Settled {
    /// Monitors paused.
    pub paused: u32,
    /// Incidents ended, because somebody resumed or deleted the monitor.
    pub ended: u32,
}

/// Pauses and tells what nodes put aside, and ends the incidents of what is active again.
pub async fn settle(store: &Store, routing: &Routing) -> Result<Settled, StoreError> {
    let (asides, over) = {
        let mut session = store.lease(ACT).await?;
        (put_aside(&mut session).await?, over(&mut session).await?)
    };
    let mut settled = Settled::default();
    for monitor in asides {
        let is_paused = in_transaction!(store, "pause a monitor", |session| pause(session, monitor, routing).await)?;
        settled.paused += u32::from(is_paused);
    }
    for incident in over {
        let why = "somebody resumed the monitor, or it is gone";
        let is_ended = in_transaction!(store, ACT, |session| resolve_on(session, incident, why).await)?;
        settled.ended += u32::from(is_ended);
    }
    Ok(settled)
}

async fn put_aside(session: &mut Session) -> Result<Vec<MonitorId>, StoreError> {
    let sql = "SELECT monitor_id FROM komainu_assignment WHERE put_aside = 1 ORDER BY monitor_id LIMIT ?";
    let rows = session.rows(ACT, sql, values![MOST]).await?;
    rows.iter().map(|row| Ok(MonitorId(row.int("monitor_id")?))).collect()
}

async fn over(session: &mut Session) -> Result<Vec<i64>, StoreError> {
    let open =
        session.rows(ACT, "SELECT id, k FROM komainu_incident WHERE resolved_at IS NULL AND k LIKE 'aside/%'", vec![]);
    let mut over = Vec::new();
    for row in open.await? {
        let key = row.text("k")?;
        let monitor = key.rsplit('/').next().and_then(|id| id.parse::<i64>().ok()).unwrap_or_default();
        let sql = "SELECT m.id FROM monitor m LEFT JOIN komainu_assignment a ON a.monitor_id = m.id \
             WHERE m.id = ? AND (m.active = 0 OR a.put_aside = 1)";
        if session.row(ACT, sql, values![monitor]).await?.is_none() {
            over.push(row.int("id")?);
        }
    }
    Ok(over)
}

/// `false`: another watchdog did.
async fn pause(session: &mut Session, monitor: MonitorId, routing: &Routing) -> Result<bool, StoreError> {
    let dialect = session.dialect();
    let sql = format!("SELECT name, active FROM monitor WHERE id = ?{}", dialect.for_update());
    let row = session.row("read the monitor", sql, values![monitor]).await?;
    let sql = "UPDATE komainu_assignment SET put_aside = 0 WHERE monitor_id = ? AND put_aside = 1";
    let is_first = session.execute("take it in that a monitor was put aside", sql, values![monitor]).await? == 1;
    let Some(row) = row.filter(|_| is_first) else { return Ok(false) };
    let sql = "UPDATE monitor SET active = 0 WHERE id = ? AND active = 1";
    if session.execute("pause the monitor", sql, values![monitor]).await? == 0 {
        return Ok(false);
    }
    let subject = format!("monitor/{monitor}");
    let (before, after) = (json!({"active": true}), json!({"active": false}));
    audit::append_in(session, &deed("komainu", "monitor.aside", &subject, Some(before), Some(after))).await?;
    let summary = format!(
        "nodes were lost while they began to run monitor {monitor} ({}): it is paused, and nobody watches its target",
        row.text("name")?
    );
    let alarm = Alarm { key: format!("{KIND}/{monitor}"), severity: Severity::Critical, summary, votes: (0, 0) };
    open_on(session, &alarm, &Subject::of(&alarm), routing).await?;
    Ok(true)
}
