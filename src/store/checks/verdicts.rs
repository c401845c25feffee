//! What the watchdogs say of checks: the verdict that stands, how it came to change, and the incidents of it.
//!
//! Any watchdog enters what it found. A verdict is entered only in the place of the one that its finder knew, so of several that find the
//! same one enters it. The row with id 2 of `komainu_check_revision` is raised by each change, so that reading what stands costs one row
//! while nothing does.

use std::collections::BTreeMap;

use komainu_watchdogs::check::{CheckName, Known, State, Transition};
use komainu_watchdogs::facts::IncidentRow;
use komainu_watchdogs::ids::WatchdogId;
use komainu_watchdogs::io::Alarm;
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;

use crate::store::error::StoreError;
use crate::store::incidents::bulk::open_many;
use crate::store::incidents::opening::{incident_row, resolve_seen};
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Session, Sql};
use crate::store::value::{Value, values};

/// Changes of one check's verdict that are kept, the latest, however fast it flaps: each holds what every watchdog said.
const KEPT: u32 = 1_000;

/// Kinds of the incidents that checks open.
const KINDS: [&str; 3] = ["check", "partial", "checks"];

/// All verdicts that stand, and the number of the last change of one; `None`: that number is `known` already.
pub async fn verdicts(store: &Store, known: Option<u64>) -> Result<Option<(u64, Vec<Known>)>, StoreError> {
    let act = "read the checks' verdicts";
    let mut lease = store.lease(act).await?;
    let row = lease.row(act, "SELECT revision FROM komainu_check_revision WHERE id = 2", vec![]).await?;
    // Read first: what is entered after it is read again the next time.
    let revision = row.ok_or_else(|| StoreError::unreadable(act, "revision", "nothing"))?.count("revision")?;
    if known == Some(revision) {
        return Ok(None);
    }
    let rows = lease.rows(act, "SELECT name, state, since_ms FROM komainu_check_state", vec![]).await?;
    let known = rows.iter().map(|row| {
        Ok(Known {
            check: CheckName::from(row.text("name")?),
            // What a newer komainu calls otherwise says nothing to this one.
            state: State::parse(&row.text("state")?).unwrap_or_default(),
            since: row.wall("since_ms")?,
        })
    });
    Ok(Some((revision, known.collect::<Result<_, StoreError>>()?)))
}

/// Enters verdicts that changed; says which were not entered because another one stands there, or the check is gone.
pub async fn enter(store: &Store, transitions: &[Transition]) -> Result<Vec<CheckName>, StoreError> {
    in_transaction!(store, "enter verdicts of checks", |session| enter_in(session, transitions).await)
}

async fn enter_in(session: &mut Session, transitions: &[Transition]) -> Result<Vec<CheckName>, StoreError> {
    let act = "enter verdicts of checks";
    // Writers of verdicts come one after another, and always in this order.
    let sql = "UPDATE komainu_check_revision SET revision = revision + 1 WHERE id = 2";
    session.execute(act, sql, vec![]).await?;
    let mut lost = vec![];
    for transition in transitions {
        if is_entered(session, transition).await? {
            note(session, transition).await?;
        } else {
            lost.push(transition.check.clone());
        }
    }
    Ok(lost)
}

/// A verdict that is found while the database's clock, as far as its finder knows it, is behind was found now at the latest.
async fn is_entered(session: &mut Session, transition: &Transition) -> Result<bool, StoreError> {
    let act = "enter a verdict of a check";
    let Transition { check, from, to, reason, at, .. } = transition;
    let (least, now) = (session.dialect().least(), session.dialect().now_ms());
    let sql = format!(
        "UPDATE komainu_check_state SET state = ?, reason = ?, since_ms = {least}(?, {now}) WHERE name = ? AND state = ?"
    );
    let values = values![to.as_str(), reason.to_string(), *at, check.as_str(), from.as_str()];
    if session.execute(act, sql, values).await? > 0 {
        return Ok(true);
    }
    if *from != State::Unknown {
        return Ok(false);
    }
    let sql = format!(
        "{} INTO komainu_check_state (name, state, reason, since_ms) \
         SELECT c.name, ?, ?, {least}(?, {now}) FROM komainu_check c WHERE c.name = ?",
        session.dialect().insert_ignore()
    );
    let values = values![to.as_str(), reason.to_string(), *at, check.as_str()];
    Ok(session.execute(act, sql, values).await? > 0)
}

async fn note(session: &mut Session, transition: &Transition) -> Result<(), StoreError> {
    let act = "note a change of a verdict";
    let Transition { check, from, to, reason, at, votes, first_failing, .. } = transition;
    let (least, now) = (session.dialect().least(), session.dialect().now_ms());
    let votes = serde_json::to_string(votes).map_err(|_| StoreError::unreadable(act, "votes", "what is no JSON"))?;
    let sql = format!(
        "INSERT INTO komainu_check_transition (name, at_ms, from_state, to_state, reason, votes, first_failing) \
         VALUES (?, {least}(?, {now}), ?, ?, ?, ?, ?)"
    );
    let first = first_failing.as_ref().map(WatchdogId::as_str);
    let values = values![check.as_str(), *at, from.as_str(), to.as_str(), reason.to_string(), votes, first];
    session.execute(act, sql, values).await?;
    let sql = "DELETE FROM komainu_check_transition WHERE name = ? AND id <= (SELECT id FROM \
               (SELECT id FROM komainu_check_transition WHERE name = ? ORDER BY id DESC LIMIT 1 OFFSET ?) oldest)";
    session.execute(act, sql, values![check.as_str(), check.as_str(), KEPT]).await.map(|_| ())
}

/// The open incidents of checks.
pub async fn incidents(store: &Store) -> Result<Vec<IncidentRow>, StoreError> {
    let act = "read the open incidents of checks";
    let rows = store.lease(act).await?.rows(act, open_incidents(), vec![]).await?;
    rows.iter().map(incident_row).collect()
}

/// What [`incidents`] asks each second: by ranges of keys, each read by itself, because SQLite finds neither a `LIKE` nor an `OR` of ranges by its
/// index, and would read all that is open.
pub fn open_incidents() -> String {
    let columns =
        "SELECT k, severity, opened_at, first_opened_at, last_bad_at FROM komainu_incident WHERE resolved_at IS NULL";
    // After the last `check/…` comes `check0`.
    let subjects = KINDS.iter().map(|kind| format!("k >= '{kind}/' AND k < '{kind}0'"));
    let whole = format!("k IN ('{}')", KINDS.join("', '"));
    let parts: Vec<_> = subjects.chain([whole]).map(|which| format!("{columns} AND {which}")).collect();
    parts.join(" UNION ALL ")
}

/// Opens these incidents, opens them again, or notes that they are still bad. `is_still`: asked of each key once the locks are held, for
/// which one may have waited long.
pub async fn raise(
    store: &Store,
    alarms: &[(Alarm, Subject)],
    routing: &Routing,
    is_still: impl Fn(&str) -> bool,
) -> Result<u32, StoreError> {
    in_transaction!(store, "open incidents of checks", |session| {
        let alarms: Vec<_> = alarms.iter().filter(|(alarm, _)| is_still(&alarm.key)).cloned().collect();
        if alarms.is_empty() { Ok(0) } else { raise_in(session, &alarms, routing).await }
    })
}

async fn raise_in(session: &mut Session, alarms: &[(Alarm, Subject)], routing: &Routing) -> Result<u32, StoreError> {
    let opened = open_many(session, alarms, routing).await?;
    let act = "note incidents of checks";
    // In the order of their keys, as they were opened: two watchdogs wait for each other only in one direction.
    let alarms: BTreeMap<&str, &Alarm> = alarms.iter().map(|(alarm, _)| (alarm.key.as_str(), alarm)).collect();
    let places = vec!["?"; alarms.len()].join(", ");
    let keys = || alarms.keys().map(|key| Value::from(*key)).collect::<Vec<_>>();
    let sql = format!("SELECT k, summary FROM komainu_incident WHERE resolved_at IS NULL AND k IN ({places})");
    for row in session.rows(act, Sql::Once(sql), keys()).await? {
        let (key, summary) = (row.text("k")?, row.text("summary")?);
        let Some(alarm) = alarms.get(key.as_str()).filter(|alarm| alarm.summary != summary) else { continue };
        let sql =
            "UPDATE komainu_incident SET summary = ?, votes_bad = ?, votes_of = ? WHERE k = ? AND resolved_at IS NULL";
        session.execute(act, sql, values![&alarm.summary, alarm.votes.0, alarm.votes.1, &key]).await?;
    }
    let (greatest, now) = (session.dialect().greatest(), session.dialect().now_ms());
    let sql = format!(
        "UPDATE komainu_incident SET last_bad_at = {greatest}(last_bad_at + 1, {now}) WHERE resolved_at IS NULL AND k IN ({places})"
    );
    session.execute(act, Sql::Once(sql), keys()).await?;
    Ok(opened)
}

/// Resolves an incident unless somebody saw it bad after `last_bad_at`. Says whether it did. `why`: what is told, if not that
/// it is no longer so. `is_still`: whether it is over, asked once the locks are held.
pub async fn resolve(
    store: &Store,
    (key, why): (&str, Option<&str>),
    last_bad_at: Wall,
    is_still: impl Fn() -> bool,
) -> Result<bool, StoreError> {
    in_transaction!(store, "resolve an incident of a check", |session| {
        if is_still() { resolve_seen(session, (key, why), last_bad_at).await } else { Ok(false) }
    })
}

/// Changes of one check's verdict, the latest first.
#[derive(Clone, PartialEq, Debug)]
pub struct ShownTransition {
    /// The key of its row.
    pub id: i64,
    /// By the database's clock.
    pub at: Wall,
    /// What stood before.
    pub from: String,
    /// What it became.
    pub to: String,
    /// Why.
    pub reason: String,
    /// Each voter's word, as JSON.
    pub votes: serde_json::Value,
    /// Who saw it first, if it failed.
    pub first_failing: Option<String>,
}

/// A page of the changes of one check's verdict, the latest first.
pub async fn transitions(
    store: &Store,
    name: &str,
    before: Option<i64>,
    limit: u32,
) -> Result<crate::store::Page<ShownTransition>, StoreError> {
    let act = "read the changes of a verdict";
    let sql = "SELECT id, at_ms, from_state, to_state, reason, votes, first_failing FROM komainu_check_transition \
               WHERE name = ? AND id < ? ORDER BY id DESC LIMIT ?";
    let values = values![name, before.unwrap_or(i64::MAX), Value::from(limit.saturating_add(1))];
    let rows = store.lease(act).await?.rows(act, Sql::from(sql), values).await?;
    let shown = |row: &crate::store::value::Row| {
        Ok(ShownTransition {
            id: row.int("id")?,
            at: row.wall("at_ms")?,
            from: row.text("from_state")?,
            to: row.text("to_state")?,
            reason: row.text("reason")?,
            votes: serde_json::from_str(&row.text("votes")?).unwrap_or_default(),
            first_failing: row.maybe_text("first_failing")?,
        })
    };
    let items = rows.iter().map(shown).collect::<Result<Vec<_>, StoreError>>()?;
    Ok(crate::store::Page::cut(items, limit, |transition| transition.id.to_string()))
}
