//! Monitors that their nodes call up, and that somebody wants a second opinion on: looked through in turn.

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::ids::{MonitorId, Zone};
use komainu_watchdogs::opinion::{Chosen, Ends, Said, Turn, Wish};
use komainu_watchdogs::time::Wall;

use super::consult;
use crate::opinion::SecondOpinion;
use crate::store::MonitorSpec;
use crate::store::downtimes::known;
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::session::Sql;
use crate::store::value::values;

/// After everything that people wait for.
const LEAST_URGENT: u32 = 9;

/// Monitors looked through at once.
const PAGE: u32 = 250;

/// A page of all monitors.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wished {
    /// Those of them at which watchdogs are to look.
    pub monitors: Vec<MonitorId>,
    /// Of these, those at which only watchdogs of some zones look.
    pub zones: BTreeMap<MonitorId, BTreeSet<Zone>>,
    /// How many were wished and are left out.
    pub left_out: u32,
    /// Where the next page begins; 0: it was the last.
    pub reached: MonitorId,
}

/// One at which a watchdog may look now.
#[derive(Clone, PartialEq, Debug)]
pub struct Sampled {
    /// The monitor, with what its target is asked.
    pub spec: MonitorSpec,
    /// Whether watchdogs of that zone look.
    pub chosen: Chosen,
}

/// The lowest and the highest key of a monitor, and the time by the database's clock.
pub async fn ends(store: &Store) -> Result<(Ends, Wall), StoreError> {
    let act = "look for the first and the last monitor";
    let mut lease = store.lease(act).await?;
    let now = lease.dialect().now_ms();
    // Each is one step in the primary key.
    let sql = format!(
        "SELECT (SELECT MIN(id) FROM monitor) AS first, (SELECT MAX(id) FROM monitor) AS last, {now} AS now_ms"
    );
    let Some(row) = lease.row(act, sql, vec![]).await? else { return Ok(Default::default()) };
    let key = |column| row.maybe_int(column).map(|key| MonitorId(key.unwrap_or(0)));
    Ok((Ends { first: key("first")?, last: key("last")? }, row.wall("now_ms")?))
}

/// The next page of monitors after this one.
pub async fn next_wished(store: &Store, settings: &SecondOpinion, after: MonitorId) -> Result<Wished, StoreError> {
    between(store, settings, (after, MonitorId(i64::MAX))).await
}

/// The first page of those whose turn it is; `reached`: the last of them, or of the page.
pub async fn drawn(store: &Store, settings: &SecondOpinion, turn: Turn) -> Result<Wished, StoreError> {
    let page = between(store, settings, (turn.after, turn.upto)).await?;
    let reached = if page.reached.0 == 0 { turn.upto } else { page.reached };
    Ok(Wished { reached, ..page })
}

async fn between(
    store: &Store,
    settings: &SecondOpinion,
    (after, upto): (MonitorId, MonitorId),
) -> Result<Wished, StoreError> {
    let act = "look for monitors to look at";
    let catalog = store.catalog().await?;
    let mut lease = store.lease(act).await?;
    let sql = "SELECT id, active FROM monitor WHERE id > ? AND id <= ? ORDER BY id LIMIT ?";
    let rows = lease.rows(act, sql, values![after, upto, PAGE]).await?;
    let mut active = vec![];
    for row in &rows {
        if row.flag("active")? {
            active.push(MonitorId(row.int("id")?));
        }
    }
    let is_last = u32::try_from(rows.len()).is_ok_and(|rows| rows < PAGE);
    let reached = match rows.last() {
        Some(row) if !is_last => MonitorId(row.int("id")?),
        _ => MonitorId(0),
    };
    let mut wished = Wished { reached, ..Wished::default() };
    for (monitor, consulted) in consult(&mut lease, &catalog, settings, &active).await? {
        if consulted.chosen.wish == Wish::Off {
            continue;
        }
        if consulted.left_out.is_some() {
            wished.left_out += 1;
        } else {
            if !consulted.chosen.zones.is_empty() {
                wished.zones.insert(monitor, consulted.chosen.zones);
            }
            wished.monitors.push(monitor);
        }
    }
    Ok(wished)
}

/// Of these monitors those that their nodes call up now, and that nobody is looking at already.
pub async fn sampled(
    store: &Store,
    settings: &SecondOpinion,
    monitors: &[MonitorId],
) -> Result<Vec<Sampled>, StoreError> {
    let catalog = store.catalog().await?;
    let mut lease = store.lease("look at monitors that are up").await?;
    let consulted = consult(&mut lease, &catalog, settings, monitors).await?;
    let some: Vec<_> = consulted.keys().copied().collect();
    let known = known(&mut lease, &catalog, &some).await?;
    let is_up = |monitor: &MonitorId| known.get(monitor).is_some_and(|known| known.said(0) == Said::Up);
    let sampled = consulted
        .into_iter()
        .filter(|(monitor, consulted)| consulted.wish() != Wish::Off && consulted.record.is_none() && is_up(monitor));
    Ok(sampled.map(|(_, consulted)| Sampled { spec: consulted.spec, chosen: consulted.chosen }).collect())
}

/// Asks all watchdogs about a monitor that its node calls up and that one of them sees down.
pub async fn suspect(store: &Store, monitor: MonitorId) -> Result<(), StoreError> {
    let act = "suspect a monitor";
    let mut lease = store.lease(act).await?;
    let (ignore, now) = (lease.dialect().insert_ignore(), lease.dialect().now_ms());
    let sql = format!(
        "{ignore} INTO komainu_opinion (monitor_id, beat, standing, asked_at, due_at) VALUES (?, 0, ?, {now}, {now})"
    );
    lease.execute(act, Sql::Fixed(sql), values![monitor, LEAST_URGENT]).await.map(|_| ())
}
