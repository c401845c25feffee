//! Questions to the watchdogs: who asks, who takes over, and what was answered.
//!
//! A row is a question for as long as `due_at` says when somebody is to look. Whoever takes it notes itself and says so again each second; a
//! process that was killed says nothing, and another one takes it.

use std::collections::BTreeSet;
use std::time::Duration;

use komainu_watchdogs::ids::{Incarnation, MonitorId, Zone};
use komainu_watchdogs::opinion::{self, CLAIM_LASTS, Opinion, Record};

use super::disputes::Disputes;
use super::{Consulted, RECORD, consult, record};
use crate::opinion::SecondOpinion;
use crate::store::MonitorSpec;
use crate::store::catalog::Catalog;
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Session, Sql};
use crate::store::settling::Settling as _;
use crate::store::value::values;

/// One page of what is looked through.
const PAGE: u32 = 1_000;

/// As much of what each watchdog saw as is kept and told.
const LONGEST_WORDS: usize = 400;

/// A question that this process asks now.
#[derive(Clone, PartialEq, Debug)]
pub struct Claimed {
    /// The monitor, with what its target is asked.
    pub spec: MonitorSpec,
    /// Only watchdogs of these zones are asked.
    pub zones: BTreeSet<Zone>,
    /// The change of its state that it is about; 0: none.
    pub change: i64,
}

/// Asks about these changes, each once: a question that waits stays as old as it is.
pub(in crate::store) async fn ask(
    session: &mut Session,
    wanted: &[(MonitorId, &Consulted, i64)],
) -> Result<(), StoreError> {
    let act = "ask for a second opinion";
    if wanted.is_empty() {
        return Ok(());
    }
    let (ignore, now) = (session.dialect().insert_ignore(), session.dialect().now_ms());
    let others = wanted.iter().map(|_| "(monitor_id = ? AND beat <> ?)").collect::<Vec<_>>().join(" OR ");
    let sql = format!("DELETE FROM komainu_opinion WHERE {others}");
    let which = wanted.iter().flat_map(|(monitor, _, change)| values![*monitor, *change]).collect();
    session.execute(act, Sql::Once(sql), which).await?;
    let rows = vec![format!("(?, ?, ?, {now}, {now})"); wanted.len()].join(", ");
    let sql = format!("{ignore} INTO komainu_opinion (monitor_id, beat, standing, asked_at, due_at) VALUES {rows}");
    let rows = wanted.iter().flat_map(|(monitor, consulted, change)| {
        values![*monitor, *change, u32::from(opinion::rank(&consulted.chosen))]
    });
    session.execute(act, Sql::Once(sql), rows.collect()).await.map(|_| ())
}

/// How many questions wait before people are told. Those that nobody could answer in time keep no others from being asked.
pub(in crate::store) async fn waiting_on(session: &mut Session) -> Result<usize, StoreError> {
    let (now, longest) = (session.dialect().now_ms(), opinion::patience(opinion::LONGEST_LOOK).as_millis());
    let sql = format!(
        "SELECT COUNT(*) AS waiting FROM komainu_opinion WHERE seen IS NULL AND beat <> 0 AND asked_at > {now} - {longest}"
    );
    let row = session.row("count the questions", sql, vec![]).await?;
    let waiting = row.map_or(Ok(0), |row| row.int("waiting"))?;
    Ok(usize::try_from(waiting).unwrap_or(usize::MAX))
}

/// How many questions wait before people are told.
pub async fn waiting(store: &Store) -> Result<usize, StoreError> {
    waiting_on(&mut *store.lease("count the questions").await?).await
}

/// Which questions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// Those for which people wait.
    First,
    /// Those that were answered before, and those about monitors that are up.
    Again,
}

/// Takes at most so many questions that are due and that nobody else asks, the most important first.
pub async fn claim(
    store: &Store,
    me: Incarnation,
    settings: &SecondOpinion,
    wanted: (Which, u32),
) -> Result<Vec<Claimed>, StoreError> {
    if wanted.1 == 0 {
        return Ok(vec![]);
    }
    let catalog = store.catalog().await?;
    // Most seconds there is none: no transaction for it.
    if due(&mut *store.lease("look for questions").await?, (wanted.0, 1), "").await?.is_empty() {
        return Ok(vec![]);
    }
    in_transaction!(store, "take questions", |session| claim_on(session, &catalog, (me, settings), wanted).await)
}

async fn due(session: &mut Session, (which, how_many): (Which, u32), lock: &str) -> Result<Vec<MonitorId>, StoreError> {
    let is_such = match which {
        Which::First => "seen IS NULL AND beat <> 0",
        Which::Again => "(seen IS NOT NULL OR beat = 0)",
    };
    let (now, lasts) = (session.dialect().now_ms(), CLAIM_LASTS.as_millis());
    let sql = format!(
        "SELECT monitor_id, held_at, {now} AS now_ms FROM komainu_opinion WHERE due_at <= {now} AND {is_such} \
         AND (holder IS NULL OR held_at <= {now} - {lasts} OR held_at >= {now} + {lasts}) \
         ORDER BY standing, due_at LIMIT ?{lock}"
    );
    let mut due = vec![];
    for row in session.rows("look for questions", sql, values![how_many]).await? {
        if !opinion::is_claimed(row.wall("now_ms")?, row.maybe_wall("held_at")?) {
            due.push(MonitorId(row.int("monitor_id")?));
        }
    }
    Ok(due)
}

async fn claim_on(
    session: &mut Session,
    catalog: &Catalog,
    (me, settings): (Incarnation, &SecondOpinion),
    wanted: (Which, u32),
) -> Result<Vec<Claimed>, StoreError> {
    let lock = session.dialect().for_update_skipping();
    let taken = due(session, wanted, lock).await?;
    if taken.is_empty() {
        return Ok(vec![]);
    }
    let ids: Vec<i64> = taken.iter().map(|monitor| monitor.0).collect();
    let now = session.dialect().now_ms();
    let sql = format!("UPDATE komainu_opinion SET holder = ?, held_at = {now} WHERE monitor_id IN ({})", id_list(&ids));
    session.execute("take questions", Sql::Once(sql), values![me]).await?;
    let consulted = consult(session, catalog, settings, &taken).await?;
    let claimed = consulted.into_values().filter_map(|consulted| {
        let change = consulted.record.as_ref()?.change;
        Some(Claimed { spec: consulted.spec, zones: consulted.chosen.zones, change })
    });
    Ok(claimed.collect())
}

/// Says of these questions that this process still asks them.
pub async fn renew(store: &Store, me: Incarnation, monitors: &[MonitorId]) -> Result<(), StoreError> {
    if monitors.is_empty() {
        return Ok(());
    }
    let act = "keep questions";
    let ids: Vec<i64> = monitors.iter().map(|monitor| monitor.0).collect();
    let mut lease = store.lease(act).await?;
    let now = lease.dialect().now_ms();
    let sql =
        format!("UPDATE komainu_opinion SET held_at = {now} WHERE holder = ? AND monitor_id IN ({})", id_list(&ids));
    lease.execute(act, Sql::Once(sql), values![me]).await.map(|_| ())
}

/// Notes what the watchdogs said of a question that this process asked; `false`: somebody else asks it by now, or nobody does.
pub async fn answer(
    store: &Store,
    me: Incarnation,
    settings: &SecondOpinion,
    (monitor, change, opinion): (MonitorId, i64, Opinion),
) -> Result<bool, StoreError> {
    let catalog = store.catalog().await?;
    in_transaction!(store, "note a second opinion", |session| {
        answer_on(session, &catalog, (me, settings), (monitor, change, opinion.clone())).await
    })
}

async fn answer_on(
    session: &mut Session,
    catalog: &Catalog,
    (me, settings): (Incarnation, &SecondOpinion),
    (monitor, change, opinion): (MonitorId, i64, Opinion),
) -> Result<bool, StoreError> {
    let act = "note a second opinion";
    let sql = format!(
        "SELECT {RECORD}, {} AS now_ms FROM komainu_opinion o WHERE o.monitor_id = ? AND o.holder = ? AND o.beat = ?{}",
        session.dialect().now_ms(),
        session.dialect().for_update()
    );
    let row = session.row(act, sql, values![monitor, me, change]).await?;
    let Some(row) = row else { return Ok(false) };
    let now = row.wall("now_ms")?;
    let words = opinion.words.chars().take(LONGEST_WORDS).collect();
    let record = record(&row)?.unwrap_or_default().after(now, Opinion { words, ..opinion });
    let looked = Disputes::look(session, catalog, settings, &[monitor]).await?;
    let due_at = looked.looks_again_at(monitor, &record, now);
    let Record { seen, votes, words, clear_at, down_since, .. } = record;
    let sql = "UPDATE komainu_opinion SET due_at = ?, holder = NULL, held_at = NULL, seen = ?, votes_bad = ?, votes_of = ?, words = ?, \
         clear_at = ?, down_since = ? WHERE monitor_id = ?";
    let seen = seen.map(|seen| seen.as_str().to_owned());
    let values = values![due_at, seen, votes.0, votes.1, words, clear_at, down_since, monitor];
    session.execute(act, sql, values).await.map(|_| true)
}

/// Monitors whose messages wait for longer than any look takes: whoever settles them finds whether it is too long.
pub async fn late(store: &Store) -> Result<Vec<MonitorId>, StoreError> {
    let act = "look for late answers";
    let mut lease = store.lease(act).await?;
    let (now, shortest) = (lease.dialect().now_ms(), opinion::patience(Duration::ZERO).as_millis());
    let sql = format!(
        "SELECT monitor_id FROM komainu_opinion WHERE seen IS NULL AND beat <> 0 AND (asked_at <= {now} - {shortest} OR asked_at > {now}) \
         ORDER BY standing, monitor_id LIMIT ?"
    );
    let rows = lease.rows(act, sql, values![PAGE]).await?;
    rows.iter().map(|row| row.int("monitor_id").map(MonitorId)).collect()
}

/// The next monitors after this one of which there is a record, and where the page after it begins.
pub async fn page(store: &Store, after: MonitorId) -> Result<(Vec<MonitorId>, MonitorId), StoreError> {
    let act = "look through second opinions";
    let sql = "SELECT monitor_id FROM komainu_opinion WHERE monitor_id > ? ORDER BY monitor_id LIMIT ?";
    let rows = store.lease(act).await?.rows(act, sql, values![after, PAGE]).await?;
    let monitors = rows.iter().map(|row| row.int("monitor_id").map(MonitorId)).collect::<Result<Vec<_>, _>>()?;
    let is_last = u32::try_from(rows.len()).is_ok_and(|rows| rows < PAGE);
    let reached = monitors.last().copied().filter(|_| !is_last).unwrap_or_default();
    Ok((monitors, reached))
}
