//! Questions of which there are more than can be asked at once: how many are asked, which wait in line, and what the answers so far say of those
//! that wait.
//!
//! What becomes of them is [`komainu_watchdogs::opinion`]'s to say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::ids::{MonitorId, NodeId};
use komainu_watchdogs::opinion::{self, Asked, Crowd};

use super::{LEFT, WAITS};
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::session::{Session, Sql};
use crate::store::value::{Value, values};

/// Of those whose messages wait so many are looked at in a second.
const PAGE: u32 = 1_000;

/// Answers that are older say nothing of what goes down now: what is denied is looked at again within a minute.
const ANSWERS_LAST: Duration = Duration::from_secs(90);

/// Watchdogs that wrote within this live, as far as it matters how much they can do.
const LIVES: Duration = Duration::from_secs(15);

/// How many watchdogs can ask.
pub(in crate::store) async fn watchdogs_on(session: &mut Session) -> Result<usize, StoreError> {
    let (now, lives) = (session.dialect().now_ms(), LIVES.as_millis());
    let sql = format!(
        "SELECT COUNT(*) AS n FROM komainu_watchdog WHERE stopped = 0 AND isolated = 0 AND last_seen > {now} - {lives}"
    );
    let row = session.row("count the watchdogs", sql, vec![]).await?;
    Ok(usize::try_from(row.map_or(Ok(0), |row| row.int("n"))?).unwrap_or(0))
}

/// How many questions are asked, and not answered yet. Those that nobody could answer in time keep no others from being asked.
pub(in crate::store) async fn asked_on(session: &mut Session) -> Result<Asked, StoreError> {
    let (now, longest) = (session.dialect().now_ms(), opinion::HELD_AT_MOST.as_millis());
    let sql = format!(
        "SELECT COUNT(*) AS n, COUNT(CASE WHEN standing <= {} THEN 1 END) AS holding FROM komainu_opinion \
         WHERE seen IS NULL AND beat <> 0 AND line <> {WAITS} AND asked_at > {now} - {longest}",
        opinion::LAST_THAT_HOLDS
    );
    let Some(row) = session.row("count the questions", sql, vec![]).await? else { return Ok(Asked::default()) };
    let count = |column| row.int(column).map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    Ok(Asked { holding: count("holding")?, all: count("n")? })
}

/// Asks as many of those that wait in line as there is room for now, the most important first and of those the oldest.
pub async fn leave_line(store: &Store) -> Result<(), StoreError> {
    let act = "ask what waited for room";
    let mut lease = store.lease(act).await?;
    let some =
        format!("SELECT monitor_id FROM komainu_opinion WHERE due_at IS NULL AND seen IS NULL AND line = {WAITS}");
    if lease.row(act, format!("{some} LIMIT 1"), vec![]).await?.is_none() {
        return Ok(());
    }
    let watchdogs = watchdogs_on(&mut lease).await?;
    let room = opinion::room(watchdogs, asked_on(&mut lease).await?.holding);
    let first = format!("{some} ORDER BY standing, asked_at, monitor_id LIMIT ?");
    let rows = lease.rows(act, first, values![u32::try_from(room).unwrap_or(u32::MAX)]).await?;
    let ids = rows.iter().map(|row| row.int("monitor_id")).collect::<Result<Vec<_>, _>>()?;
    if ids.is_empty() {
        return Ok(());
    }
    // Another watchdog may do the same at the same time: it finds the same ones.
    let sql = format!(
        "UPDATE komainu_opinion SET due_at = {now}, line = {LEFT} WHERE line = {WAITS} AND monitor_id IN ({ids})",
        now = lease.dialect().now_ms(),
        ids = id_list(&ids)
    );
    lease.execute(act, Sql::Once(sql), vec![]).await.map(|_| ())
}

/// What the watchdogs said lately of monitors of these nodes that went down.
pub(in crate::store) async fn crowds(
    session: &mut Session,
    nodes: &BTreeSet<NodeId>,
) -> Result<BTreeMap<NodeId, Crowd>, StoreError> {
    if nodes.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (now, last) = (session.dialect().now_ms(), ANSWERS_LAST.as_millis());
    let sql = format!(
        "SELECT a.effective_node AS node, COUNT(*) AS heard, COUNT(CASE WHEN o.seen = 'down' THEN 1 END) AS confirmed \
         FROM komainu_opinion o JOIN komainu_assignment a ON a.monitor_id = o.monitor_id \
         WHERE o.beat <> 0 AND o.seen IN ('down', 'up', 'split') AND o.clear_at BETWEEN {now} - {last} AND {now} + {last} \
         AND a.effective_node IN ({}) GROUP BY a.effective_node",
        vec!["?"; nodes.len()].join(", ")
    );
    let nodes = nodes.iter().map(|node| Value::from(node.clone())).collect();
    let mut crowds = BTreeMap::new();
    for row in session.rows("hear what is known of a node", Sql::Once(sql), nodes).await? {
        let (heard, confirmed) = (row.small("heard")?, row.small("confirmed")?);
        if let Some(node) = row.maybe_node("node")? {
            crowds.insert(node, opinion::crowd(confirmed, heard.saturating_sub(confirmed)));
        }
    }
    Ok(crowds)
}

/// The next monitors after this one whose messages wait for longer than any look takes, or in line, and where the next page begins: whoever
/// settles them finds whether it is too long.
pub async fn late(store: &Store, after: MonitorId) -> Result<(Vec<MonitorId>, MonitorId), StoreError> {
    let act = "look for late answers";
    let mut lease = store.lease(act).await?;
    let (now, shortest) = (lease.dialect().now_ms(), opinion::patience(Duration::ZERO).as_millis());
    let sql = format!(
        "SELECT monitor_id FROM komainu_opinion WHERE seen IS NULL AND beat <> 0 AND monitor_id > ? \
         AND (line = {WAITS} OR asked_at <= {now} - {shortest} OR asked_at > {now}) ORDER BY monitor_id LIMIT ?"
    );
    let rows = lease.rows(act, sql, values![after, PAGE]).await?;
    let late = rows.iter().map(|row| row.int("monitor_id").map(MonitorId)).collect::<Result<Vec<_>, _>>()?;
    let is_last = u32::try_from(late.len()).is_ok_and(|rows| rows < PAGE);
    let reached = late.last().copied().filter(|_| !is_last).unwrap_or_default();
    Ok((late, reached))
}
