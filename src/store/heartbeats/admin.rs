//! Making, changing and deleting heartbeats, for the API: each in one transaction with its row of the audit trail.

use std::time::Duration;

use komainu_watchdogs::heartbeat::State;
use komainu_watchdogs::heartbeat::limits::Limits;
use komainu_watchdogs::time::Wall;

use super::columns::{self, CHOSEN, DEFINITION, TOLD, VITALS, changed, chosen, stored};
use super::outage::{self, NEWEST_GAP};
use super::{Definition, Heartbeat, trail};
use crate::store::Page;
use crate::store::dependencies;
use crate::store::error::StoreError;
use crate::store::incidents::opening::resolve_on;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::Session;
use crate::store::value::{Value, values};

/// What is older than this is outside the window of any watchdog's clock.
const TWO_WINDOWS: Duration = Duration::from_secs(600);

/// What an edit makes of a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changed {
    /// What people chose; its name, nonces, revision and age are left as they are.
    pub definition: Definition,
    /// How it is by the new schedule.
    pub state: State,
    /// When silence makes it late now.
    pub limits: Limits,
}

/// Makes one. [`StoreError::is_duplicate`] when the name is taken.
pub async fn create(
    store: &Store,
    definition: &Definition,
    deadline: Option<Wall>,
    by: &str,
) -> Result<(), StoreError> {
    in_transaction!(store, "make a heartbeat", |session| {
        match create_in(session, definition, deadline).await {
            Ok(()) => trail::note(session, by, None, Some(definition)).await,
            refused => refused,
        }
    })
}

async fn create_in(session: &mut Session, definition: &Definition, deadline: Option<Wall>) -> Result<(), StoreError> {
    let now = session.dialect().now_ms();
    // A fixed secret outlives the row: what was pushed under this name before must not count again.
    let sql = format!(
        "INSERT INTO komainu_heartbeat (name, nonce, deadline, gap_id, last_time_us, {}, created_at, changed_at) \
         VALUES (?, ?, ?, {NEWEST_GAP}, COALESCE((SELECT MAX(p.time_us) FROM komainu_push p WHERE p.name = ? \
         AND p.at > {now} - {}), 0){}, {now}, {now})",
        CHOSEN.join(", "),
        TWO_WINDOWS.as_millis(),
        ", ?".repeat(CHOSEN.len())
    );
    let values = values![&definition.name, &definition.nonce, deadline, &definition.name];
    let values = [values, chosen(definition)].concat();
    session.execute("make a heartbeat", sql, values).await.map(|_| ())
}

/// One of them.
pub async fn get(store: &Store, name: &str) -> Result<Option<Heartbeat>, StoreError> {
    let mut lease = store.lease("read a heartbeat").await?;
    Ok(locked(&mut lease, name, "").await?.map(|(heartbeat, _)| heartbeat))
}

/// A page of the heartbeats in the order of their names.
pub async fn list(
    store: &Store,
    (state, is_paused): (Option<State>, Option<bool>),
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Heartbeat>, StoreError> {
    let act = "read heartbeats";
    let mut values = values![cursor.unwrap_or_default()];
    let mut condition = String::new();
    if let Some(state) = state {
        condition.push_str(" AND state = ?");
        values.push(Value::from(state.as_str()));
    }
    if let Some(is_paused) = is_paused {
        condition.push_str(" AND is_paused = ?");
        values.push(Value::from(is_paused));
    }
    values.push(Value::from(limit.saturating_add(1)));
    let sql = format!(
        "SELECT {DEFINITION}, {VITALS}, {TOLD} FROM komainu_heartbeat WHERE name > ?{condition} ORDER BY name LIMIT ?"
    );
    let mut lease = store.lease(act).await?;
    let rows = lease.rows(act, sql, values).await?;
    let mut items = rows.iter().map(columns::heartbeat).collect::<Result<Vec<_>, _>>()?;
    let oldest = items.iter().map(|heartbeat| heartbeat.vitals.gap_id).min();
    let gaps = outage::after(&mut lease, oldest.unwrap_or(i64::MAX)).await?;
    for heartbeat in &mut items {
        heartbeat.vitals.count(&gaps, heartbeat.definition.created_at);
    }
    Ok(Page::cut(items, limit, |heartbeat| heartbeat.definition.name.clone()))
}

/// Changes one as `change` says, under its lock; `None`: there is none. What `change` refuses is handed through.
pub async fn update<E>(
    store: &Store,
    name: &str,
    by: &str,
    change: impl Fn(&Heartbeat, Wall) -> Result<Changed, E>,
) -> Result<Option<Result<(), E>>, StoreError> {
    in_transaction!(store, "change a heartbeat", |session| update_in(session, name, by, &change).await)
}

async fn update_in<E>(
    session: &mut Session,
    name: &str,
    by: &str,
    change: impl Fn(&Heartbeat, Wall) -> Result<Changed, E>,
) -> Result<Option<Result<(), E>>, StoreError> {
    let lock = session.dialect().for_update();
    let Some((heartbeat, now)) = locked(session, name, lock).await? else { return Ok(None) };
    let changes = match change(&heartbeat, now) {
        Ok(changes) => changes,
        Err(refusal) => return Ok(Some(Err(refusal))),
    };
    let sql = format!(
        "UPDATE komainu_heartbeat SET {} = ?, state = ?, deadline = ?, limits = ?, gap_id = ?, \
         revision = revision + 1, changed_at = ? \
         WHERE name = ?",
        CHOSEN.join(" = ?, ")
    );
    let changed_at = changed(heartbeat.vitals.changed_at, now);
    let [deadline, limits] = stored(&changes.limits);
    let rest = values![changes.state.as_str(), deadline, limits, heartbeat.vitals.gap_id, changed_at, name];
    session.execute("change a heartbeat", sql, [chosen(&changes.definition), rest].concat()).await?;
    trail::note(session, by, Some(&heartbeat.definition), Some(&changes.definition)).await?;
    Ok(Some(Ok(())))
}

/// Gives it a new nonce; the old one holds for `overlap_ms` more. `false`: there is none.
pub async fn rotate(store: &Store, name: &str, nonce: &str, overlap_ms: i64, by: &str) -> Result<bool, StoreError> {
    let act = "rotate a heartbeat's secret";
    let dialect = store.dialect();
    // Assigned from left to right: the old nonce is read before it is replaced.
    let sql = format!(
        "UPDATE komainu_heartbeat SET old_nonce = nonce, old_nonce_until = {now} + ?, nonce = ?, \
         changed_at = {}(changed_at + 1, {now}) WHERE name = ?",
        dialect.greatest(),
        now = dialect.now_ms()
    );
    in_transaction!(store, act, |session| {
        match session.execute(act, sql.clone(), values![overlap_ms, nonce, name]).await {
            Ok(1) => trail::note_rotation(session, by, name, overlap_ms).await.map(|()| true),
            other => other.map(|_| false),
        }
    })
}

/// Deletes one, and ends its incident; `None`: there was none.
pub async fn delete(store: &Store, name: &str, by: &str) -> Result<Option<Heartbeat>, StoreError> {
    Ok(delete_if(store, name, by, |_| true).await?.and_then(Result::ok))
}

/// The same, only if it is wanted as it is under its lock; otherwise it is handed back and stays.
pub async fn delete_if(
    store: &Store,
    name: &str,
    by: &str,
    is_wanted: impl Fn(&Heartbeat) -> bool,
) -> Result<Option<Result<Heartbeat, Heartbeat>>, StoreError> {
    in_transaction!(store, "delete a heartbeat", |session| delete_in(session, name, by, &is_wanted).await)
}

async fn delete_in(
    session: &mut Session,
    name: &str,
    by: &str,
    is_wanted: impl Fn(&Heartbeat) -> bool,
) -> Result<Option<Result<Heartbeat, Heartbeat>>, StoreError> {
    let act = "delete a heartbeat";
    let lock = session.dialect().for_update();
    let Some((heartbeat, _)) = locked(session, name, lock).await? else { return Ok(None) };
    if !is_wanted(&heartbeat) {
        return Ok(Some(Err(heartbeat)));
    }
    if let Some(incident) = heartbeat.vitals.incident_id {
        resolve_on(session, incident, "the heartbeat was deleted").await?;
    }
    session.execute(act, "DELETE FROM komainu_heartbeat WHERE name = ?", values![name]).await?;
    dependencies::forget(session, &format!("heartbeat/{name}")).await?;
    trail::note(session, by, Some(&heartbeat.definition), None).await?;
    Ok(Some(Ok(heartbeat)))
}

async fn locked(session: &mut Session, name: &str, lock: &str) -> Result<Option<(Heartbeat, Wall)>, StoreError> {
    let act = "read a heartbeat";
    let now = session.dialect().now_ms();
    let sql =
        format!("SELECT {DEFINITION}, {VITALS}, {TOLD}, {now} AS now_ms FROM komainu_heartbeat WHERE name = ?{lock}");
    let Some(row) = session.row(act, sql, values![name]).await? else { return Ok(None) };
    let (mut heartbeat, now) = (columns::heartbeat(&row)?, row.wall("now_ms")?);
    let gaps = outage::after(session, heartbeat.vitals.gap_id).await?;
    heartbeat.vitals.count(&gaps, heartbeat.definition.created_at);
    Ok(Some((heartbeat, now)))
}
