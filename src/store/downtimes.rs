//! Incidents of monitors: reads what decides about them, opens and resolves them.
//!
//! Whether a state is an incident is [`komainu_watchdogs::downtime`]'s to say; it is asked again inside the transaction
//! that opens or resolves, with what is true there. Any watchdog does it, as often as it likes.

pub(super) mod spells;

use std::collections::BTreeMap;

use komainu_watchdogs::downtime::{self, End, Facts, FoundDown, State, Verdict};
use komainu_watchdogs::ids::{MonitorId, NodeId};
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;

use super::beats::BeatStatus;
use super::catalog::Catalog;
use super::decisions::id_list;
use super::error::StoreError;
use super::incidents::opening::{open_on, resolve_on};
use super::pool::{Store, in_transaction};
use super::session::{Session, Sql};
use super::value::{Row, values};

/// Incidents opened or resolved in one transaction: well below a second of locks.
const TOGETHER: usize = 50;

/// As much of a beat's message as people are told.
const LONGEST_MESSAGE: usize = 300;

/// Where the tail of the beats ends, and which monitors changed their state in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tail {
    /// The last beat's id, and the latest change of each monitor.
    pub changes: BTreeMap<MonitorId, i64>,
    /// The largest id there is.
    pub last_id: i64,
}

/// The changes of state among the beats with a larger id than this one. Ids are given before they are committed: look
/// some seconds back.
pub async fn tail(store: &Store, after: i64) -> Result<Tail, StoreError> {
    let act = "read the latest beats";
    let mut lease = store.lease(act).await?;
    let row = lease.row(act, "SELECT COALESCE(MAX(id), 0) AS last FROM heartbeat", vec![]).await?;
    let last_id = row.map_or(Ok(0), |row| row.int("last"))?;
    // By the primary key, or it reads every important beat there is.
    let sql = format!(
        "SELECT monitor_id, MAX(id) AS id FROM heartbeat{} WHERE id > ? AND important = 1 GROUP BY monitor_id",
        store.dialect().by_primary()
    );
    let rows = lease.rows(act, sql, values![after]).await?;
    let changes = rows.iter().map(|row| Ok((MonitorId(row.int("monitor_id")?), row.int("id")?)));
    Ok(Tail { changes: changes.collect::<Result<_, StoreError>>()?, last_id })
}

/// The next so many monitors after this one that are down or have an open incident.
pub async fn suspects(
    store: &Store,
    after: MonitorId,
    how_many: u32,
) -> Result<(Vec<MonitorId>, MonitorId), StoreError> {
    let act = "look for monitors that are down";
    let hint = store.catalog().await?.stored_hint();
    let sql = format!(
        "SELECT x.id, d.monitor_id AS noted, (SELECT h.status FROM heartbeat h{hint} WHERE h.monitor_id = x.id \
         ORDER BY h.id DESC LIMIT 1) AS status FROM (SELECT id FROM monitor WHERE id > ? \
         ORDER BY id LIMIT ?) x LEFT JOIN komainu_down d ON d.monitor_id = x.id ORDER BY x.id"
    );
    let rows = store.lease(act).await?.rows(act, sql, values![after, how_many]).await?;
    let mut down = vec![];
    for row in &rows {
        if row.maybe_int("noted")?.is_some() || row.maybe_int("status")? == Some(BeatStatus::Down.code()) {
            down.push(MonitorId(row.int("id")?));
        }
    }
    // Fewer than were asked for: the next look begins at the front.
    let is_last = u32::try_from(rows.len()).is_ok_and(|rows| rows < how_many);
    let reached = match rows.last() {
        Some(row) if !is_last => MonitorId(row.int("id")?),
        _ => MonitorId(0),
    };
    Ok((down, reached))
}

/// Monitors with an open incident.
pub async fn open(store: &Store) -> Result<Vec<MonitorId>, StoreError> {
    let act = "read the open incidents of monitors";
    let open = open_incidents(&mut *store.lease(act).await?).await?;
    Ok(open.into_keys().collect())
}

async fn open_incidents(session: &mut Session) -> Result<BTreeMap<MonitorId, i64>, StoreError> {
    let sql = "SELECT id, k FROM komainu_incident WHERE resolved_at IS NULL AND k LIKE 'monitor/%'";
    let rows = session.rows("read the open incidents of monitors", sql, vec![]).await?;
    let mut open = BTreeMap::new();
    for row in &rows {
        if let Some(monitor) = monitor_of(&row.text("k")?) {
            open.insert(monitor, row.int("id")?);
        }
    }
    Ok(open)
}

/// The key of a monitor's incident.
fn key(monitor: MonitorId) -> String {
    format!("monitor/{monitor}")
}

pub(super) fn monitor_of(key: &str) -> Option<MonitorId> {
    key.strip_prefix("monitor/")?.parse().ok().map(MonitorId)
}

/// Opens and resolves what is to be opened and resolved of these monitors; says how many of each.
pub async fn settle(store: &Store, monitors: &[MonitorId], routing: &Routing) -> Result<(u32, u32), StoreError> {
    let catalog = store.catalog().await?;
    let mut due: Vec<MonitorId> = vec![];
    for part in monitors.chunks(1_000) {
        let mut lease = store.lease("look at monitors").await?;
        let open = open_incidents(&mut lease).await?;
        let known = known(&mut lease, &catalog, part).await?;
        let is_due = |monitor: &&MonitorId| {
            let facts = known.get(monitor).map(|known| &known.facts);
            let has_stale_note = facts.is_some() && downtime::is_note_stale(facts);
            has_stale_note || downtime::decide(facts, open.contains_key(monitor)) != Verdict::Leave
        };
        due.extend(part.iter().filter(is_due));
    }
    // In the same order everywhere: two watchdogs wait for each other only in one direction.
    due.sort();
    let (mut opened, mut resolved) = (0, 0);
    for part in due.chunks(TOGETHER) {
        let changed = in_transaction!(store, "settle the incidents of monitors", |session| {
            settle_on(session, &catalog, part, routing).await
        })?;
        opened += changed.0;
        resolved += changed.1;
    }
    Ok((opened, resolved))
}

async fn settle_on(
    session: &mut Session,
    catalog: &Catalog,
    monitors: &[MonitorId],
    routing: &Routing,
) -> Result<(u32, u32), StoreError> {
    let known = known(session, catalog, monitors).await?;
    let (mut opened, mut resolved) = (0, 0);
    for monitor in monitors {
        let sql = "SELECT id FROM komainu_incident WHERE k = ? AND resolved_at IS NULL";
        let row = session.row("look for an incident", sql, values![key(*monitor)]).await?;
        let incident = row.map(|row| row.int("id")).transpose()?;
        let known = known.get(monitor);
        match (downtime::decide(known.map(|known| &known.facts), incident.is_some()), known, incident) {
            (Verdict::Open, Some(known), _) => {
                let tags = tags(session, catalog, *monitor).await?;
                let (alarm, subject) = told(*monitor, known, tags);
                opened += u32::from(open_on(session, &alarm, &subject, routing).await?.is_news);
            }
            (Verdict::Resolve(end), _, Some(incident)) => {
                let summary = summary(*monitor, known, end);
                resolved += u32::from(resolve_on(session, incident, &summary).await?);
            }
            (Verdict::Leave | Verdict::Open | Verdict::Resolve(_), _, _) => {}
        }
        if downtime::is_note_stale(known.map(|known| &known.facts)) {
            forget_note(session, *monitor, known.and_then(|known| known.noted_at)).await?;
        }
    }
    Ok((opened, resolved))
}

/// Unless it was written anew since it was read.
async fn forget_note(session: &mut Session, monitor: MonitorId, noted_at: Option<Wall>) -> Result<(), StoreError> {
    let (also, values) = match noted_at {
        Some(noted_at) => (" AND at = ?", values![monitor, noted_at]),
        None => ("", values![monitor]),
    };
    let sql = format!("DELETE FROM komainu_down WHERE monitor_id = ?{also}");
    session.execute("forget that a monitor was down", sql, values).await.map(|_| ())
}

/// A monitor and what is told of it.
struct Known {
    facts: Facts,
    name: String,
    node: Option<NodeId>,
    channels: Vec<String>,
    message: String,
    noted_at: Option<Wall>,
}

async fn known(
    session: &mut Session,
    catalog: &Catalog,
    monitors: &[MonitorId],
) -> Result<BTreeMap<MonitorId, Known>, StoreError> {
    if monitors.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<i64> = monitors.iter().map(|monitor| monitor.0).collect();
    // One jump per monitor through the index on its id. The last change by time is asked for only where a native node of
    // an earlier komainu notes nothing.
    let sql = format!(
        "SELECT m.id, m.name, m.active, k.made_by, k.channels, a.effective_node, a.changed_at, h.status, h.msg, \
         d.at AS noted_at, CASE WHEN {notes_nothing} AND h.status = 0 THEN (SELECT {time} FROM heartbeat c{changes} \
         WHERE c.monitor_id = m.id AND c.important = 1 ORDER BY c.time DESC, c.id DESC LIMIT 1) END AS unnoted_at \
         FROM monitor m LEFT JOIN komainu_monitor k ON k.monitor_id = m.id \
         LEFT JOIN komainu_assignment a ON a.monitor_id = m.id LEFT JOIN node n ON n.node_id = a.effective_node \
         LEFT JOIN komainu_down d ON d.monitor_id = m.id \
         LEFT JOIN heartbeat h ON h.id = (SELECT l.id FROM heartbeat l{stored} WHERE l.monitor_id = m.id \
         ORDER BY l.id DESC LIMIT 1) WHERE m.id IN ({ids})",
        notes_nothing =
            "n.runner = 'native' AND (n.noting_incarnation IS NULL OR n.noting_incarnation <> n.incarnation)",
        time = session.dialect().datetime_ms("c.time"),
        changes = catalog.change_hint(),
        stored = catalog.stored_hint(),
        ids = id_list(&ids)
    );
    let rows = session.rows("look at monitors", Sql::Once(sql), vec![]).await?;
    rows.iter().map(|row| Ok((MonitorId(row.int("id")?), read(row)?))).collect()
}

fn read(row: &Row) -> Result<Known, StoreError> {
    let state = row.maybe_int("status")?.and_then(BeatStatus::from_code).map(|status| match status {
        BeatStatus::Down => State::Down,
        BeatStatus::Up => State::Up,
        BeatStatus::Pending => State::Pending,
        BeatStatus::Maintenance => State::Maintenance,
    });
    let noted_at = row.maybe_wall("noted_at")?;
    let moved_at = row.maybe_wall("changed_at")?;
    let unnoted_at = row.maybe_wall("unnoted_at")?;
    let facts = Facts {
        is_active: row.flag("active")?,
        is_api_made: row.maybe_text("made_by")?.as_deref() == Some("api"),
        by_native: match (noted_at, unnoted_at) {
            (Some(_), _) => FoundDown::Noted,
            (None, Some(down_at)) if downtime::went_down_since(moved_at, down_at) => FoundDown::Unnoted,
            (None, _) => FoundDown::No,
        },
        state,
    };
    Ok(Known {
        facts,
        name: row.text("name")?,
        node: row.maybe_node("effective_node")?,
        channels: serde_json::from_str(&row.text("channels")?).unwrap_or_default(),
        message: row.text("msg")?,
        noted_at,
    })
}

/// By name, and as `name:value` where Kuma's tag has a value.
pub(super) async fn tags(
    session: &mut Session,
    catalog: &Catalog,
    monitor: MonitorId,
) -> Result<Vec<String>, StoreError> {
    if !catalog.has_table("monitor_tag") {
        return Ok(vec![]);
    }
    let sql = "SELECT t.name, x.value FROM monitor_tag x JOIN tag t ON t.id = x.tag_id WHERE x.monitor_id = ?";
    let mut tags = vec![];
    for row in session.rows("read a monitor's tags", sql, values![monitor]).await? {
        let (name, value) = (row.text("name")?, row.text("value")?);
        if !value.is_empty() {
            tags.push(format!("{name}:{value}"));
        }
        tags.push(name);
    }
    Ok(tags)
}

fn told(monitor: MonitorId, known: &Known, tags: Vec<String>) -> (Alarm, Subject) {
    let message: String = known.message.chars().take(LONGEST_MESSAGE).collect();
    let alarm = Alarm {
        key: key(monitor),
        severity: Severity::Critical,
        summary: format!("monitor {} is down: {message}", known.name),
        votes: (0, 0),
    };
    let subject = Subject { tags, channels: known.channels.clone(), node: known.node.clone(), ..Subject::of(&alarm) };
    (alarm, subject)
}

fn summary(monitor: MonitorId, known: Option<&Known>, end: End) -> String {
    let name = known.map_or_else(|| monitor.to_string(), |known| known.name.clone());
    let what = match end {
        End::Up => "is up again",
        End::Paused => "was paused",
        End::Deleted => "was deleted",
    };
    format!("monitor {name} {what}")
}
