//! Questions to the watchdogs: who asks, who takes over, and what was answered.
//!
//! A row is a question for as long as `due_at` says when somebody is to look. Whoever takes it notes itself and says so again each second; a
//! process that was killed says nothing, and another one takes it.

use std::collections::BTreeSet;

use komainu_watchdogs::ids::{Incarnation, MonitorId, Zone};
use komainu_watchdogs::opinion::{self, Admission, CLAIM_LASTS, Opinion, Record};

use super::disputes::Disputes;
use super::{Consulted, RECORD, WAITS, consult, record};
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
    wanted: &[(MonitorId, &Consulted, Admission)],
) -> Result<(), StoreError> {
    let act = "ask for a second opinion";
    if wanted.is_empty() {
        return Ok(());
    }
    let (ignore, now) = (session.dialect().insert_ignore(), session.dialect().now_ms());
    let others = wanted.iter().map(|_| "(monitor_id = ? AND beat <> ?)").collect::<Vec<_>>().join(" OR ");
    let sql = format!("DELETE FROM komainu_opinion WHERE {others}");
    let which = wanted.iter().flat_map(|(monitor, consulted, _)| values![*monitor, consulted.change]).collect();
    session.execute(act, Sql::Once(sql), which).await?;
    let rows: Vec<_> = wanted
        .iter()
        .map(|(_, _, admission)| match admission {
            Admission::Asked => format!("(?, ?, ?, {now}, {now}, 0)"),
            Admission::Waits | Admission::Dropped => format!("(?, ?, ?, {now}, NULL, {WAITS})"),
        })
        .collect();
    let sql = format!(
        "{ignore} INTO komainu_opinion (monitor_id, beat, standing, asked_at, due_at, line) VALUES {}",
        rows.join(", ")
    );
    let rows = wanted.iter().flat_map(|(monitor, consulted, _)| {
        values![*monitor, consulted.change, u32::from(opinion::rank(&consulted.chosen))]
    });
    session.execute(act, Sql::Once(sql), rows.collect()).await.map(|_| ())
}

/// How many questions wait before people are told.
pub async fn waiting(store: &Store) -> Result<usize, StoreError> {
    let act = "count the questions";
    let mut lease = store.lease(act).await?;
    let (now, longest) = (lease.dialect().now_ms(), opinion::HELD_AT_MOST.as_millis());
    // What nobody could answer in time was told.
    let sql = format!(
        "SELECT COUNT(*) AS waiting FROM komainu_opinion WHERE seen IS NULL AND beat <> 0 AND asked_at > {now} - {longest}"
    );
    let row = lease.row(act, sql, vec![]).await?;
    Ok(usize::try_from(row.map_or(Ok(0), |row| row.int("waiting"))?).unwrap_or(usize::MAX))
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
    if due(&mut *store.lease("look for questions").await?, (wanted.0, 1), (me, "")).await?.is_empty() {
        return Ok(vec![]);
    }
    in_transaction!(store, "take questions", |session| claim_on(session, &catalog, (me, settings), wanted).await)
}

async fn due(
    session: &mut Session,
    (which, how_many): (Which, u32),
    (me, lock): (Incarnation, &str),
) -> Result<Vec<MonitorId>, StoreError> {
    let is_such = match which {
        Which::First => "seen IS NULL AND beat <> 0",
        Which::Again => "(seen IS NOT NULL OR beat = 0)",
    };
    let (now, lasts) = (session.dialect().now_ms(), CLAIM_LASTS.as_millis());
    // Whoever heard too few leaves it to others for as long as a claim lasts.
    let sql = format!(
        "SELECT monitor_id FROM komainu_opinion WHERE due_at <= {now} AND {is_such} \
         AND ((holder IS NULL AND (passed_by IS NULL OR passed_by NOT LIKE ?)) OR held_at <= {now} - {lasts} OR held_at >= {now} + {lasts}) \
         ORDER BY standing, due_at LIMIT ?{lock}"
    );
    let rows = session.rows("look for questions", sql, values![format!("%{me}%"), how_many]).await?;
    rows.iter().map(|row| row.int("monitor_id").map(MonitorId)).collect()
}

async fn claim_on(
    session: &mut Session,
    catalog: &Catalog,
    (me, settings): (Incarnation, &SecondOpinion),
    wanted: (Which, u32),
) -> Result<Vec<Claimed>, StoreError> {
    let lock = session.dialect().for_update_skipping();
    let taken = due(session, wanted, (me, lock)).await?;
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

/// What became of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answered {
    /// It is noted.
    Noted,
    /// Too little was heard: the question is left to another watchdog.
    PassedOn,
    /// Somebody else asks by now, or nobody does.
    TooLate,
}

/// Notes what the watchdogs said of a question that this process asked.
pub async fn answer(
    store: &Store,
    me: Incarnation,
    settings: &SecondOpinion,
    (monitor, change, opinion): (MonitorId, i64, Opinion),
) -> Result<Answered, StoreError> {
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
) -> Result<Answered, StoreError> {
    let act = "note a second opinion";
    let sql = format!(
        "SELECT {RECORD}, o.passed_by, {} AS now_ms FROM komainu_opinion o WHERE o.monitor_id = ? AND o.holder = ? AND o.beat = ?{}",
        session.dialect().now_ms(),
        session.dialect().for_update()
    );
    let row = session.row(act, sql, values![monitor, me, change]).await?;
    let Some(row) = row else { return Ok(Answered::TooLate) };
    let (now, record) = (row.wall("now_ms")?, record(&row)?.unwrap_or_default());
    let looked = Disputes::look(session, catalog, settings, &[monitor]).await?;
    let passed_by = row.maybe_text("passed_by")?.unwrap_or_default();
    let patience = looked.patience(monitor).unwrap_or_default();
    if opinion::passes_on(now, &record, patience, (opinion.unheard, passed_by.split_whitespace().count())) {
        pass_on(session, monitor, (me, &passed_by)).await?;
        return Ok(Answered::PassedOn);
    }
    let words = opinion.words.chars().take(LONGEST_WORDS).collect();
    let record = record.after(now, Opinion { words, ..opinion });
    let due_at = looked.looks_again_at(monitor, &record, now);
    let Record { seen, votes, words, clear_at, down_since, .. } = record;
    let sql = "UPDATE komainu_opinion SET due_at = ?, holder = NULL, held_at = NULL, passed_by = NULL, seen = ?, votes_bad = ?, votes_of = ?, \
         words = ?, clear_at = ?, down_since = ? WHERE monitor_id = ?";
    let seen = seen.map(|seen| seen.as_str().to_owned());
    let values = values![due_at, seen, votes.0, votes.1, words, clear_at, down_since, monitor];
    session.execute(act, sql, values).await.map(|_| Answered::Noted)
}

/// For now others are to ask, and not this process.
async fn pass_on(
    session: &mut Session,
    monitor: MonitorId,
    (me, passed_by): (Incarnation, &str),
) -> Result<(), StoreError> {
    let me = me.to_string();
    // No more of them than there are watchdogs: with as many the question is answered.
    let all: BTreeSet<_> = passed_by.split_whitespace().chain([me.as_str()]).collect();
    let all = Vec::from_iter(all).join(" ");
    let now = session.dialect().now_ms();
    let sql = format!("UPDATE komainu_opinion SET holder = NULL, held_at = {now}, passed_by = ? WHERE monitor_id = ?");
    session.execute("leave a question to others", sql, values![all, monitor]).await.map(|_| ())
}

/// The next monitors after this one of which there is a record, and where the page after it begins. What is known of monitors that are no more,
/// deleted in Kuma's own pages, goes.
pub async fn page(store: &Store, after: MonitorId) -> Result<(Vec<MonitorId>, MonitorId), StoreError> {
    let act = "look through second opinions";
    let sql = "SELECT o.monitor_id, m.id AS there FROM komainu_opinion o LEFT JOIN monitor m ON m.id = o.monitor_id WHERE o.monitor_id > ? \
         ORDER BY o.monitor_id LIMIT ?";
    let mut lease = store.lease(act).await?;
    let rows = lease.rows(act, sql, values![after, PAGE]).await?;
    let (mut monitors, mut gone) = (vec![], vec![]);
    for row in &rows {
        let monitor = row.int("monitor_id")?;
        if row.maybe_int("there")?.is_none() {
            gone.push(monitor);
        }
        monitors.push(MonitorId(monitor));
    }
    if !gone.is_empty() {
        let sql = format!("DELETE FROM komainu_opinion WHERE monitor_id IN ({})", id_list(&gone));
        lease.execute("forget deleted monitors", Sql::Once(sql), vec![]).await?;
    }
    let is_last = u32::try_from(rows.len()).is_ok_and(|rows| rows < PAGE);
    let reached = monitors.last().copied().filter(|_| !is_last).unwrap_or_default();
    Ok((monitors, reached))
}
