//! Somebody takes care of an incident, and whoever believes that it is open hears that.

use std::time::Duration;

use komainu_watchdogs::outbox::{self, Event};
use komainu_watchdogs::time::Wall;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::store::audit::{Deed, append_in};
use crate::store::error::StoreError;
use crate::store::outbox::entry::{self, Happening};
use crate::store::pool::{Store, in_transaction};
use crate::store::session::Session;
use crate::store::value::{Row, values};

/// A button is pressed twice within this, or a page loaded anew.
const SAID_ONCE_MS: u64 = 60_000;

/// Whether an incident that somebody takes care of is taken from them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taking {
    /// It stays theirs.
    IfFree,
    /// It is.
    Over,
}

/// What came of taking care of an incident.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Acknowledged {
    /// Whoever asked does from now on.
    Now,
    /// This one does already.
    By(String),
    /// There is none, or it is resolved.
    Over,
}

/// Notes who takes care of it, in the audit trail too; `false`: there is none, or it is resolved.
pub async fn acknowledge(store: &Store, id: i64, who: &str) -> Result<bool, StoreError> {
    take(store, id, (who, Taking::Over)).await.map(|came| came != Acknowledged::Over)
}

/// The same for somebody who may find that another one was faster.
pub async fn take(store: &Store, id: i64, (who, taking): (&str, Taking)) -> Result<Acknowledged, StoreError> {
    let act = "acknowledge an incident";
    in_transaction!(store, act, |session| take_in(session, id, (who, taking), None).await)
}

/// What was said while the database was away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Late<'a> {
    /// When, by the database's clock as far as it was known.
    pub at: Wall,
    /// The channel that told it meanwhile, and how.
    pub told: Option<(&'a str, &'a Told)>,
}

/// How a channel told it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Told {
    /// Of the message.
    pub notice_id: String,
    /// What a later message needs to refer to it.
    pub vendor_ref: Option<String>,
}

/// The same, entered afterwards.
pub async fn take_late(
    store: &Store,
    id: i64,
    (who, taking): (&str, Taking),
    late: &Late<'_>,
) -> Result<Acknowledged, StoreError> {
    let act = "enter who takes care of an incident";
    in_transaction!(store, act, |session| take_in(session, id, (who, taking), Some(late)).await)
}

async fn take_in(
    session: &mut Session,
    id: i64,
    (who, taking): (&str, Taking),
    late: Option<&Late<'_>>,
) -> Result<Acknowledged, StoreError> {
    let act = "acknowledge an incident";
    let dialect = session.dialect();
    let found = format!(
        "SELECT k, severity, summary, votes_bad, votes_of, acknowledged_by, acknowledged_at, opened_at, resolved_at, {} AS now \
         FROM komainu_incident WHERE id = ?{}",
        dialect.now_ms(),
        dialect.for_update()
    );
    let Some(row) = session.row(act, found, values![id]).await? else { return Ok(Acknowledged::Over) };
    if row.maybe_wall("resolved_at")?.is_some() {
        return Ok(Acknowledged::Over);
    }
    let (now, before) = (row.wall("now")?, row.maybe_text("acknowledged_by")?);
    // Whoever says it again much later says that they still do: a ladder counts from then. Twice at once is once.
    let is_old = row.maybe_wall("acknowledged_at")?.is_some_and(|at| now.0.abs_diff(at.0) > SAID_ONCE_MS);
    let is_same = before.as_deref() == Some(who);
    let renews = is_same && is_old && late.is_none();
    if let Some(other) = before.clone().filter(|_| !renews && (is_same || taking == Taking::IfFree)) {
        // It was entered, and nobody heard that it was: its readers have it all the same.
        if let Some((channel, told)) = late.filter(|_| is_same).and_then(|late| late.told) {
            mark_told(session, id, (channel, told, now)).await?;
        }
        return Ok(Acknowledged::By(other));
    }
    // A clock that jumped while the database was away makes it neither older than the incident nor later than now.
    let opened_at = row.wall("opened_at")?;
    let at = late.map_or(now, |late| late.at.max(opened_at).min(now));
    let sql =
        "UPDATE komainu_incident SET acknowledged_at = ?, acknowledged_by = ? WHERE id = ? AND resolved_at IS NULL";
    if session.execute(act, sql, values![at, who, id]).await? != 1 {
        return Ok(Acknowledged::Over);
    }
    let key = row.text("k")?;
    let told = |by: Option<String>| Some(json!({"key": key, "acknowledged_by": by}).to_string());
    let deed = Deed {
        who: who.to_owned(),
        what: "incident.ack".to_owned(),
        subject: id.to_string(),
        before: told(before),
        after: told(Some(who.to_owned())),
    };
    append_in(session, &deed).await?;
    if !renews {
        tell_acknowledged(session, id, &row).await?;
    }
    if let Some((channel, told)) = late.and_then(|late| late.told) {
        mark_told(session, id, (channel, told, at)).await?;
    }
    Ok(Acknowledged::Now)
}

/// That channel's readers know it.
async fn mark_told(session: &mut Session, id: i64, (channel, told, at): (&str, &Told, Wall)) -> Result<(), StoreError> {
    let sql = "UPDATE komainu_delivery SET state = 'sent', sent_at = ?, notice_id = ?, vendor_ref = ?, may_be_repeated = 1 \
         WHERE incident_id = ? AND channel = ? AND state = 'waiting' \
         AND event_id IN (SELECT e.id FROM komainu_event e WHERE e.incident_id = ? AND e.kind = ?)";
    let Told { notice_id, vendor_ref } = told;
    let values = values![at, notice_id, vendor_ref.as_deref(), id, channel, id, Event::Acknowledged.as_str()];
    session.execute("note who knows who takes care of it", sql, values).await.map(|_| ())
}

/// At once: others may be getting up just now. `row`: the incident's, which the caller has locked.
async fn tell_acknowledged(session: &mut Session, id: i64, row: &Row) -> Result<(), StoreError> {
    let believers = outbox::acknowledging(&entry::of_incident(session, id).await?);
    if believers.is_empty() {
        return Ok(());
    }
    let happening = Happening {
        incident_id: id,
        event: Event::Acknowledged,
        severity: row.text("severity")?,
        summary: row.text("summary")?,
        votes: (row.small("votes_bad")?, row.small("votes_of")?),
    };
    let waits = believers.into_iter().map(|channel| (channel, Duration::ZERO)).collect();
    entry::enter_after(session, &happening, &waits).await
}
