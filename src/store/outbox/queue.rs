//! What waits in the outbox, and moving it between waiting, held and cancelled.

use std::collections::BTreeMap;
use std::time::Duration;

use komainu_watchdogs::ids::NodeId;
use komainu_watchdogs::outbox::Event;
use komainu_watchdogs::outbox::queue::{Parent, Plan, Queued};
use komainu_watchdogs::routing::Subject;
use komainu_watchdogs::time::Wall;

use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Purpose, Session, Sql};
use crate::store::value::{Row, values};

/// As much of a queue as is looked at together.
const MOST_QUEUED: u32 = 5_000;

/// How much waits for one channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backlog {
    /// Its name.
    pub channel: String,
    /// Deliveries that wait.
    pub waiting: u64,
    /// Deliveries that are held.
    pub held: u64,
    /// Deliveries that this channel refused for good.
    pub failed: u64,
    /// When the first of the waiting ones is or was due.
    pub oldest_due_at: Option<Wall>,
    /// By the database's clock.
    pub now: Wall,
}

impl Backlog {
    /// Something is to be sent, or to be looked at again.
    pub fn is_pressing(&self, with_held: bool) -> bool {
        (with_held && self.held > 0) || self.oldest_due_at.is_some_and(|due_at| due_at <= self.now)
    }
}

/// What waits, channel by channel; read from an index alone.
pub async fn backlog(store: &Store) -> Result<Vec<Backlog>, StoreError> {
    let act = "read the outbox";
    let sql = format!(
        "SELECT channel, state, COUNT(*) AS how_many, MIN(due_at) AS oldest, {} AS now FROM komainu_delivery \
         WHERE state IN ('waiting', 'held', 'failed') GROUP BY channel, state",
        store.dialect().now_ms()
    );
    let rows = store.lease(act).await?.rows(act, sql, vec![]).await?;
    let mut backlogs: BTreeMap<String, Backlog> = BTreeMap::new();
    for row in rows {
        let channel = row.text("channel")?;
        let fresh = Backlog {
            channel: channel.clone(),
            waiting: 0,
            held: 0,
            failed: 0,
            oldest_due_at: None,
            now: row.wall("now")?,
        };
        let backlog = backlogs.entry(channel).or_insert(fresh);
        match row.text("state")?.as_str() {
            "waiting" => {
                backlog.waiting = row.count("how_many")?;
                backlog.oldest_due_at = row.maybe_wall("oldest")?;
            }
            "held" => backlog.held = row.count("how_many")?,
            _ => backlog.failed = row.count("how_many")?,
        }
    }
    Ok(backlogs.into_values().collect())
}

/// One channel's queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// By the database's clock.
    pub now: Wall,
    /// In the order of entering.
    pub queue: Vec<Queued>,
    /// Open incidents that explain others, and that this channel knows of.
    pub parents: Vec<Parent>,
    /// Nobody may send before that.
    pub next_at: Wall,
    /// Attempts in a row that failed.
    pub failures: u32,
    /// Messages of one incident that the channel refused in a row, taking nothing between them.
    pub refused_alone: u32,
}

/// Reads one channel's queue, all of it at the same instant.
pub async fn snapshot(store: &Store, channel: &str) -> Result<Snapshot, StoreError> {
    let act = "read a channel's queue";
    let mut lease = store.lease(act).await?;
    lease.begin(act, Purpose::Snapshot).await?;
    let read = read(&mut lease, channel).await;
    lease.end(act, read).await
}

async fn read(session: &mut Session, channel: &str) -> Result<Snapshot, StoreError> {
    let act = "read a channel's queue";
    let sql = format!("SELECT {} AS now", session.dialect().now_ms());
    let now = session.row(act, sql, vec![]).await?.map_or(Ok(Wall::default()), |row| row.wall("now"))?;
    let sql = "SELECT d.id, d.incident_id, d.state, d.due_at, d.group_wait_ms, d.claimed_until, d.sending_at, \
         d.notice_id, d.attempts, d.last_error, d.retry_at, d.failed_at, d.unanswered, d.company, d.told_to IS NOT NULL AS has_readers, \
         e.kind, i.k, i.resolved_at, i.subject_json FROM komainu_delivery d \
         JOIN komainu_event e ON e.id = d.event_id JOIN komainu_incident i ON i.id = d.incident_id \
         WHERE d.channel = ? AND d.state IN ('waiting', 'held') ORDER BY d.state = 'held', d.id LIMIT ?";
    let rows = session.rows(act, sql, values![channel, MOST_QUEUED]).await?;
    let mut queue = rows.iter().map(queued).collect::<Result<Vec<_>, _>>()?;
    // What waits is read first, so that thousands that are held do not hide it.
    queue.sort_by_key(|row| row.delivery);
    let sql = "SELECT DISTINCT i.id, i.k FROM komainu_incident i JOIN komainu_delivery d ON d.incident_id = i.id \
         WHERE i.resolved_at IS NULL AND (i.k IN ('database', 'nodes') OR i.k LIKE 'node/%') AND d.channel = ? \
         AND d.state IN ('waiting', 'sent')";
    let rows = session.rows(act, sql, values![channel]).await?;
    let parent = |row: &Row| Ok(Parent { incident: row.int("id")?, key: row.text("k")? });
    let parents = rows.iter().map(parent).collect::<Result<_, StoreError>>()?;
    let sql = "SELECT next_at, failures, refused_alone, last_sent_at FROM komainu_channel WHERE name = ?";
    let row = session.row(act, sql, values![channel]).await?;
    let fresh = Snapshot { now, queue, parents, next_at: Wall::default(), failures: 0, refused_alone: 0 };
    let Some(row) = row else { return Ok(fresh) };
    let (next_at, failures, refused_alone) =
        (row.wall("next_at")?, row.small("failures")?, row.small("refused_alone")?);
    let (last_sent_at, mut queue) = (row.maybe_wall("last_sent_at")?, fresh.queue);
    for row in &mut queue {
        row.is_suspect = row.failed_at.is_some_and(|failed_at| Some(failed_at) < last_sent_at);
    }
    Ok(Snapshot { queue, next_at, failures, refused_alone, ..fresh })
}

fn queued(row: &Row) -> Result<Queued, StoreError> {
    let is_begun = row.maybe_wall("sending_at")?.is_some();
    Ok(Queued {
        delivery: row.int("id")?,
        incident: row.int("incident_id")?,
        key: row.text("k")?,
        node: node(row.maybe_text("subject_json")?.as_deref()),
        is_open: row.maybe_wall("resolved_at")?.is_none(),
        event: Event::parse(&row.text("kind")?).unwrap_or(Event::Opened),
        is_held: row.text("state")? == "held",
        due_at: row.wall("due_at")?,
        group_wait: Duration::from_millis(row.count("group_wait_ms")?),
        claimed_until: row.maybe_wall("claimed_until")?,
        begun: row.maybe_text("notice_id")?.filter(|_| is_begun),
        attempts: row.small("attempts")?,
        last_error: row.maybe_text("last_error")?,
        retry_at: row.maybe_wall("retry_at")?,
        failed_at: row.maybe_wall("failed_at")?,
        is_suspect: false,
        unanswered: row.small("unanswered")?,
        company: row.maybe_int("company")?.and_then(|company| usize::try_from(company).ok()),
        has_readers: row.flag("has_readers")?,
    })
}

/// An incident of an earlier komainu has none.
fn node(subject: Option<&str>) -> Option<NodeId> {
    serde_json::from_str::<Subject>(subject?).ok()?.node
}

/// Holds, releases and cancels; whatever somebody claimed meanwhile is left as it is.
pub async fn change(store: &Store, plan: &Plan) -> Result<(), StoreError> {
    let act = "hold and release deliveries";
    in_transaction!(store, act, |session| change_on(session, plan).await)
}

async fn change_on(session: &mut Session, plan: &Plan) -> Result<(), StoreError> {
    let act = "hold and release deliveries";
    let (primary, now) = (session.dialect().by_primary(), session.dialect().now_ms());
    let is_free = format!("sending_at IS NULL AND (claimed_until IS NULL OR claimed_until <= {now})");
    let mut children: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for (delivery, parent) in &plan.hold {
        children.entry(*parent).or_default().push(*delivery);
    }
    for (parent, deliveries) in children {
        let sql = format!(
            "UPDATE komainu_delivery{primary} SET state = 'held', held_by = {parent} WHERE id IN ({}) \
             AND state = 'waiting' AND {is_free}",
            id_list(&deliveries)
        );
        session.execute(act, Sql::Once(sql), vec![]).await?;
    }
    if !plan.release.is_empty() {
        // What was held is not late: it is collected anew.
        let sql = format!(
            "UPDATE komainu_delivery{primary} SET state = 'waiting', held_by = NULL, due_at = {now} + group_wait_ms \
             WHERE id IN ({}) AND state = 'held'",
            id_list(&plan.release)
        );
        session.execute(act, Sql::Once(sql), vec![]).await?;
    }
    if !plan.cancel.is_empty() {
        let sql = format!(
            "UPDATE komainu_delivery{primary} SET state = 'cancelled' WHERE id IN ({}) \
             AND state IN ('waiting', 'held') AND {is_free}",
            id_list(&plan.cancel)
        );
        session.execute(act, Sql::Once(sql), vec![]).await?;
    }
    Ok(())
}
