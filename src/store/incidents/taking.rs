//! Somebody takes care of an incident, and whoever believes that it is open hears that.

use std::time::Duration;

use komainu_watchdogs::outbox::{self, Event};
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
    take(store, id, (who, Taking::Over)).await.map(|came| came == Acknowledged::Now)
}

/// The same for somebody who may find that another one was faster.
pub async fn take(store: &Store, id: i64, (who, taking): (&str, Taking)) -> Result<Acknowledged, StoreError> {
    in_transaction!(store, "acknowledge an incident", |session| take_in(session, id, (who, taking)).await)
}

async fn take_in(session: &mut Session, id: i64, (who, taking): (&str, Taking)) -> Result<Acknowledged, StoreError> {
    let act = "acknowledge an incident";
    let dialect = session.dialect();
    let found = format!(
        "SELECT k, severity, summary, votes_bad, votes_of, acknowledged_by, acknowledged_at, resolved_at, {} AS now \
         FROM komainu_incident WHERE id = ?{}",
        dialect.now_ms(),
        dialect.for_update()
    );
    let Some(row) = session.row(act, found, values![id]).await? else { return Ok(Acknowledged::Over) };
    if row.maybe_wall("resolved_at")?.is_some() {
        return Ok(Acknowledged::Over);
    }
    let before = row.maybe_text("acknowledged_by")?;
    // Whoever says it again much later says that they still do: a ladder counts from then. Twice at once is once.
    let is_old = match row.maybe_wall("acknowledged_at")? {
        Some(at) => row.wall("now")?.0.abs_diff(at.0) > SAID_ONCE_MS,
        None => false,
    };
    let renews = is_old && before.as_deref() == Some(who);
    if let Some(other) = before.clone().filter(|_| taking == Taking::IfFree && !renews) {
        return Ok(Acknowledged::By(other));
    }
    let sql = format!(
        "UPDATE komainu_incident SET acknowledged_at = {}, acknowledged_by = ? WHERE id = ? AND resolved_at IS NULL",
        dialect.now_ms()
    );
    if session.execute(act, sql, values![who, id]).await? != 1 {
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
    Ok(Acknowledged::Now)
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
