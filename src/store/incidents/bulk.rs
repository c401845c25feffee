//! Many incidents at once: what a mass outage opens, and what its end resolves.
//!
//! The same rows under the same guards as one by one, in a number of statements that does not depend on how many they
//! are. Both calls run on a session whose write transaction has begun.

use std::collections::BTreeMap;

use komainu_watchdogs::io::Alarm;
use komainu_watchdogs::outbox::{self, Event};
use komainu_watchdogs::routing::{Planned, Routing, Subject};

use super::opening::{self, as_json, details};
use super::returning;
use crate::store::decisions::id_list;
use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::moment;
use crate::store::outbox::entry::{self, Happening};
use crate::store::session::{Session, Sql};
use crate::store::value::{Value, values};

/// Opens these incidents, each key once, those that were resolved a moment ago again; says how many were opened by this
/// call. What is open already is nobody's news, unless it is worse now.
pub(crate) async fn open_many(
    session: &mut Session,
    alarms: &[(Alarm, Subject)],
    routing: &Routing,
) -> Result<u32, StoreError> {
    if alarms.is_empty() {
        return Ok(0);
    }
    // In the order of the keys: two watchdogs wait for each other only in one direction.
    let alarms: BTreeMap<&str, &(Alarm, Subject)> = alarms.iter().map(|one| (one.0.key.as_str(), one)).collect();
    let keys: Vec<_> = alarms.keys().copied().collect();
    let latest = opening::latest(session, &keys).await?;
    let (mut fresh, mut returns) = (vec![], vec![]);
    for (key, one) in alarms {
        let (alarm, subject) = one;
        match latest.get(key) {
            None => fresh.push(one),
            Some(latest) if !latest.is_open => returns.push((alarm, subject, latest)),
            Some(latest) if alarm.severity > latest.severity => {
                opening::open_again(session, (alarm, subject), latest, routing).await?;
            }
            Some(_) => {}
        }
    }
    returning::reopen_many(session, &returns, routing).await?;
    let returned = u32::try_from(returns.len()).unwrap_or(u32::MAX);
    Ok(returned.saturating_add(enter_fresh(session, &fresh, routing).await?))
}

async fn enter_fresh(session: &mut Session, fresh: &[&(Alarm, Subject)], routing: &Routing) -> Result<u32, StoreError> {
    if fresh.is_empty() {
        return Ok(0);
    }
    let mine = insert(session, fresh).await?;
    let at = moment::present(session, routing).await?;
    let mut happenings = vec![];
    for (alarm, subject) in fresh {
        if let Some(incident_id) = mine.get(&alarm.key) {
            let planned = routing.plan(subject, at).into_iter();
            let waits = planned.map(|Planned { channel, group_wait, .. }| (channel, group_wait));
            happenings.push((Happening::of(*incident_id, Event::Opened, alarm), waits.collect()));
        }
    }
    entry::enter_many(session, &happenings).await?;
    Ok(u32::try_from(happenings.len()).unwrap_or(u32::MAX))
}

/// The rows that this call made, by key: somebody else may have been faster with some.
async fn insert(session: &mut Session, fresh: &[&(Alarm, Subject)]) -> Result<BTreeMap<String, i64>, StoreError> {
    let act = "open incidents";
    let now = session.dialect().now_ms();
    let row = format!("(?, ?, ?, ?, ?, ?, {now}, {now})");
    let sql =
        format!("{} {}{}", opening::INSERT, vec![row; fresh.len()].join(", "), opening::or_note(session.dialect()));
    let values =
        fresh.iter().flat_map(|(alarm, subject)| [details(alarm), values![&alarm.key, as_json(subject)]].concat());
    session.execute(act, Sql::Once(sql), values.collect()).await?;
    // An incident and its first event are committed together: one without any is of this transaction.
    let sql = format!(
        "SELECT i.id, i.k FROM komainu_incident i{} WHERE i.k IN ({}) AND i.resolved_at IS NULL \
         AND NOT EXISTS (SELECT 1 FROM komainu_event e WHERE e.incident_id = i.id)",
        by_key(session.dialect()),
        vec!["?"; fresh.len()].join(", ")
    );
    let keys: Vec<Value> = fresh.iter().flat_map(|(alarm, _)| values![&alarm.key]).collect();
    let rows = session.rows(act, Sql::Once(sql), keys).await?;
    rows.iter().map(|row| Ok((row.text("k")?, row.int("id")?))).collect()
}

/// Looks incidents up by their key, whatever the optimizer makes of thousands that are open.
pub(in crate::store) fn by_key(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::MariaDb => " FORCE INDEX (komainu_incident_key)",
        Dialect::Sqlite => "",
    }
}

/// Resolves these incidents, each with what is said of its end; says how many were open until now.
pub(crate) async fn resolve_many(session: &mut Session, ends: &BTreeMap<i64, String>) -> Result<u32, StoreError> {
    let act = "resolve incidents";
    if ends.is_empty() {
        return Ok(0);
    }
    let dialect = session.dialect();
    let all: Vec<i64> = ends.keys().copied().collect();
    let sql = format!(
        "SELECT id, severity, votes_bad, votes_of, flaps FROM komainu_incident{} WHERE id IN ({}) \
         AND resolved_at IS NULL ORDER BY id{}",
        dialect.by_primary(),
        id_list(&all),
        dialect.for_update()
    );
    let rows = session.rows(act, Sql::Once(sql), vec![]).await?;
    let open = rows.iter().map(|row| row.int("id")).collect::<Result<Vec<_>, _>>()?;
    if open.is_empty() {
        return Ok(0);
    }
    let sql = format!(
        "UPDATE komainu_incident{} SET resolved_at = {} WHERE id IN ({})",
        dialect.by_primary(),
        dialect.now_ms(),
        id_list(&open)
    );
    session.execute(act, Sql::Once(sql), vec![]).await?;
    let mut entered = entry::of_incidents(session, &open).await?;
    let (mut cancel, mut happenings) = (vec![], vec![]);
    for row in &rows {
        let incident_id = row.int("id")?;
        let happening = Happening {
            incident_id,
            event: Event::Resolved,
            severity: row.text("severity")?,
            summary: ends.get(&incident_id).cloned().unwrap_or_default(),
            votes: (row.small("votes_bad")?, row.small("votes_of")?),
        };
        let change = outbox::closing(&entered.remove(&incident_id).unwrap_or_default(), row.small("flaps")?);
        cancel.extend(change.cancel);
        happenings.push((happening, change.tell));
    }
    entry::cancel(session, &cancel).await?;
    entry::enter_many(session, &happenings).await?;
    Ok(u32::try_from(open.len()).unwrap_or(u32::MAX))
}
