//! Monitors that a node put aside, because nodes were lost over them: paused, told, and on again when somebody resumes them.
//!
//! A pause is what everything knows already: nobody plans, counts or misses such a monitor, and it stands in Kuma's own page,
//! where whoever edits it makes it active again. Any watchdog may do this; the rows' locks see to it that one does. What becomes of each
//! is [`komainu_watchdogs::beginning::Aside`]'s to say.

use komainu_watchdogs::beginning::{Aside, AsideStep};
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
use super::value::{Row, values};

/// The incident's kind.
pub const KIND: &str = "aside";

/// More than this at once are for the next look.
const MOST: u32 = 100;

const ACT: &str = "look for monitors that were put aside";

/// What there is to know of one; the process over which it was put aside may be heard of again.
const SEEN: &str = "a.monitor_id, a.put_aside, a.begun_by, m.name, m.active, CASE WHEN a.begun_by IS NULL OR EXISTS \
     (SELECT 1 FROM node n WHERE n.incarnation = a.begun_by) THEN 1 ELSE 0 END AS is_disproved \
     FROM komainu_assignment a JOIN monitor m ON m.id = a.monitor_id";

/// What a look changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Settled {
    /// Monitors paused.
    pub paused: u32,
    /// Monitors resumed, because the node over which they were paused lives.
    pub taken_back: u32,
    /// Incidents ended, because somebody resumed or deleted the monitor.
    pub ended: u32,
}

/// One that was put aside, as its rows say.
struct Found {
    monitor: MonitorId,
    name: String,
    begun_by: Option<String>,
    aside: Aside,
}

/// Pauses and tells what nodes put aside, takes back what a living node disproves, and ends the incidents of what is active again.
pub async fn settle(store: &Store, routing: &Routing) -> Result<Settled, StoreError> {
    let (asides, over) = {
        let mut session = store.lease(ACT).await?;
        (unsettled(&mut session).await?, over(&mut session).await?)
    };
    let mut settled = Settled::default();
    for monitor in asides {
        let step = in_transaction!(store, "settle a monitor that was put aside", |session| {
            settle_one(session, monitor, routing).await
        })?;
        settled.paused += u32::from(step == AsideStep::Pause);
        settled.taken_back += u32::from(step == AsideStep::TakeBack);
    }
    for incident in over {
        let why = "somebody resumed the monitor, or it is gone";
        let is_ended = in_transaction!(store, ACT, |session| resolve_on(session, incident, why).await)?;
        settled.ended += u32::from(is_ended);
    }
    Ok(settled)
}

/// Those with which something is to be done: what is paused and told stays so, however many there are.
async fn unsettled(session: &mut Session) -> Result<Vec<MonitorId>, StoreError> {
    let sql = format!(
        "SELECT x.monitor_id FROM (SELECT {SEEN} WHERE a.put_aside > 0) x \
         WHERE x.put_aside = 1 OR x.active = 1 OR x.is_disproved = 1 ORDER BY x.monitor_id LIMIT ?"
    );
    let rows = session.rows(ACT, sql, values![MOST]).await?;
    rows.iter().map(|row| Ok(MonitorId(row.int("monitor_id")?))).collect()
}

/// Open incidents of monitors that are not put aside any more.
async fn over(session: &mut Session) -> Result<Vec<i64>, StoreError> {
    let sql = format!(
        "SELECT i.id FROM komainu_incident i \
         LEFT JOIN komainu_assignment a ON a.monitor_id = {} AND a.put_aside > 0 LEFT JOIN monitor m ON m.id = a.monitor_id \
         WHERE i.resolved_at IS NULL AND i.k LIKE 'aside/%' AND (m.id IS NULL OR (a.put_aside = 2 AND m.active = 1)) \
         ORDER BY i.id LIMIT ?",
        session.dialect().int("SUBSTR(i.k, 7)"),
    );
    let rows = session.rows(ACT, sql, values![MOST]).await?;
    rows.iter().map(|row| row.int("id")).collect()
}

/// Another watchdog may have been here: judged by what the rows say under their locks.
async fn settle_one(session: &mut Session, monitor: MonitorId, routing: &Routing) -> Result<AsideStep, StoreError> {
    let lock = format!("SELECT id FROM monitor WHERE id = ?{}", session.dialect().for_update());
    session.row("lock the monitor", lock, values![monitor]).await?;
    let sql = format!("SELECT {SEEN} WHERE a.monitor_id = ? AND a.put_aside > 0");
    let row = session.row("read the monitor that was put aside", sql, values![monitor]).await?;
    let Some(found) = row.as_ref().map(found).transpose()? else { return Ok(AsideStep::Keep) };
    let step = found.aside.step();
    match step {
        AsideStep::Keep => {}
        AsideStep::Pause => {
            write(session, &found, 2).await?;
            activate(session, &found, false).await?;
            open(session, &found, routing).await?;
        }
        AsideStep::Forget => write(session, &found, 0).await?,
        AsideStep::TakeBack => {
            write(session, &found, 0).await?;
            activate(session, &found, true).await?;
            take_back(session, monitor).await?;
        }
    }
    Ok(step)
}

fn found(row: &Row) -> Result<Found, StoreError> {
    Ok(Found {
        monitor: MonitorId(row.int("monitor_id")?),
        name: row.text("name")?,
        begun_by: row.maybe_text("begun_by")?,
        aside: Aside {
            is_told: row.int("put_aside")? == 2,
            is_active: row.flag("active")?,
            is_disproved: row.flag("is_disproved")?,
        },
    })
}

/// With what is over the mark goes over which it was; but what a living process has begun since is its own to take back.
async fn write(session: &mut Session, found: &Found, put_aside: u32) -> Result<(), StoreError> {
    let sql = "UPDATE komainu_assignment SET put_aside = ? WHERE monitor_id = ?";
    session.execute("note what becomes of a monitor", sql, values![put_aside, found.monitor]).await?;
    let Aside { is_told, is_active, is_disproved } = found.aside;
    if put_aside > 0 || (is_told && is_active && is_disproved) {
        return Ok(());
    }
    let sql = "UPDATE komainu_assignment SET begun_by = NULL, begun_with = NULL WHERE monitor_id = ? AND begun_by = ?";
    let values = values![found.monitor, found.begun_by.clone()];
    session.execute("take the mark away", sql, values).await.map(drop)
}

async fn activate(session: &mut Session, found: &Found, is_active: bool) -> Result<(), StoreError> {
    let sql = "UPDATE monitor SET active = ? WHERE id = ?";
    session.execute("pause or resume the monitor", sql, values![is_active, found.monitor]).await?;
    let what = if is_active { "monitor.aside_over" } else { "monitor.aside" };
    let (before, after) = (json!({"active": !is_active}), json!({"active": is_active}));
    let subject = format!("monitor/{}", found.monitor);
    audit::append_in(session, &deed("komainu", what, &subject, Some(before), Some(after))).await
}

async fn open(session: &mut Session, found: &Found, routing: &Routing) -> Result<(), StoreError> {
    let (monitor, name) = (found.monitor, &found.name);
    let summary = format!(
        "nodes were lost while they began to run monitor {monitor} ({name}): it is paused, and nobody watches its target"
    );
    let alarm = Alarm { key: format!("{KIND}/{monitor}"), severity: Severity::Critical, summary, votes: (0, 0) };
    open_on(session, &alarm, &Subject::of(&alarm), routing).await.map(drop)
}

async fn take_back(session: &mut Session, monitor: MonitorId) -> Result<(), StoreError> {
    let sql = "SELECT id FROM komainu_incident WHERE k = ? AND resolved_at IS NULL";
    let open = session.row("read the incident", sql, values![format!("{KIND}/{monitor}")]).await?;
    if let Some(row) = open {
        let why = "the node over which it was paused was cut off, and lives: the monitor is resumed";
        resolve_on(session, row.int("id")?, why).await?;
    }
    Ok(())
}
