//! The columns of `komainu_heartbeat`, in and out.

use komainu_watchdogs::heartbeat::limits::{Limit, Limits};
use komainu_watchdogs::heartbeat::{PushStatus, Record, State};
use komainu_watchdogs::time::Wall;

use super::{CachedHeartbeat, Definition, Heartbeat, LastPush, Vitals};
use crate::store::error::StoreError;
use crate::store::value::{Row, Value, values};
use crate::store::watch::text_list;

pub(super) const DEFINITION: &str = "name, period_s, cron, time_zone, grace_s, max_runtime_s, first_due, severity, \
     channels, tags, managed_by, nonce, old_nonce, old_nonce_until, allow_sha1, is_paused, revision, created_at";

pub(super) const VITALS: &str = "state, deadline, started_at, run_id, last_status, last_ok_at, last_at, last_push_id, \
     incident_id, changed_at, last_time_us, limits, gap_id";

/// What people read, and nobody decides by.
pub(super) const TOLD: &str = "description, last_duration_ms, last_exit_code, last_message";

pub(super) fn known(row: &Row) -> Result<CachedHeartbeat, StoreError> {
    Ok(CachedHeartbeat { definition: definition(row)?, vitals: vitals(row)? })
}

pub(super) fn heartbeat(row: &Row) -> Result<Heartbeat, StoreError> {
    let definition = Definition { description: row.text("description")?, ..definition(row)? };
    Ok(Heartbeat { definition, vitals: vitals(row)?, last: last_push(row)? })
}

pub(super) fn last_push(row: &Row) -> Result<LastPush, StoreError> {
    Ok(LastPush {
        duration_ms: row.maybe_int("last_duration_ms")?,
        exit_code: row.maybe_int("last_exit_code")?,
        message: row.maybe_text("last_message")?,
    })
}

fn definition(row: &Row) -> Result<Definition, StoreError> {
    let seconds = |column: &str| Ok::<_, StoreError>(row.maybe_int(column)?.and_then(|number| number.try_into().ok()));
    Ok(Definition {
        name: row.text("name")?,
        description: String::new(),
        period_s: seconds("period_s")?,
        cron: row.maybe_text("cron")?,
        time_zone: row.maybe_text("time_zone")?,
        grace_s: row.small("grace_s")?,
        max_runtime_s: seconds("max_runtime_s")?,
        first_due: row.maybe_wall("first_due")?,
        severity: row.text("severity")?,
        channels: text_list(&row.text("channels")?),
        tags: text_list(&row.text("tags")?),
        managed_by: row.maybe_text("managed_by")?,
        nonce: row.text("nonce")?,
        old_nonce: row.maybe_text("old_nonce")?.zip(row.maybe_wall("old_nonce_until")?),
        allow_sha1: row.flag("allow_sha1")?,
        is_paused: row.flag("is_paused")?,
        revision: row.count("revision")?,
        created_at: row.wall("created_at")?,
    })
}

/// What the deadline is made of. Where the parts do not make it, an older program wrote it after them.
fn limits(row: &Row) -> Result<Limits, StoreError> {
    let deadline = row.maybe_wall("deadline")?;
    let parts = row.maybe_text("limits")?.and_then(|text| serde_json::from_str::<Limits>(&text).ok());
    if let Some(limits) = parts.filter(|limits| limits.earliest() == deadline) {
        return Ok(limits);
    }
    let Some(at) = deadline else { return Ok(Limits::default()) };
    let set_at = row.maybe_wall("last_at")?.unwrap_or(row.wall("created_at")?);
    let due = Wall(at.0.saturating_sub(row.int("grace_s")?.saturating_mul(1_000)));
    Ok(Limits::of(Limit::new(set_at, due, at)))
}

/// As they are stored, for `deadline` and `limits`.
pub(super) fn stored(limits: &Limits) -> [Value; 2] {
    let text = serde_json::to_string(limits).expect("limits are numbers and names");
    [Value::from(limits.earliest()), Value::from(text)]
}

fn vitals(row: &Row) -> Result<Vitals, StoreError> {
    let state = row.text("state")?;
    let state = State::parse(&state).ok_or_else(|| StoreError::unreadable("read a heartbeat", "state", &state))?;
    let record = Record {
        state,
        limits: limits(row)?,
        started_at: row.maybe_wall("started_at")?,
        last_time_us: row.int("last_time_us")?,
        last_status: row.maybe_text("last_status")?.as_deref().and_then(PushStatus::parse),
        run_id: row.maybe_text("run_id")?,
        is_paused: row.flag("is_paused")?,
    };
    let gap_id = row.int("gap_id")?;
    Ok(Vitals {
        record,
        stored_gap_id: gap_id,
        gap_id,
        last_ok_at: row.maybe_wall("last_ok_at")?,
        last_at: row.maybe_wall("last_at")?,
        last_push_id: row.maybe_text("last_push_id")?,
        incident_id: row.maybe_int("incident_id")?,
        changed_at: row.wall("changed_at")?,
    })
}

/// The columns that people choose, for INSERT and UPDATE; without name, nonces and revision.
pub(super) const CHOSEN: [&str; 13] = [
    "description",
    "period_s",
    "cron",
    "time_zone",
    "grace_s",
    "max_runtime_s",
    "first_due",
    "severity",
    "channels",
    "tags",
    "managed_by",
    "allow_sha1",
    "is_paused",
];

/// In the order of [`CHOSEN`].
pub(super) fn chosen(definition: &Definition) -> Vec<Value> {
    values![
        &definition.description,
        definition.period_s,
        definition.cron.clone(),
        definition.time_zone.clone(),
        definition.grace_s,
        definition.max_runtime_s,
        definition.first_due,
        &definition.severity,
        text(&definition.channels),
        text(&definition.tags),
        definition.managed_by.clone(),
        definition.allow_sha1,
        definition.is_paused,
    ]
}

fn text(list: &[String]) -> String {
    serde_json::to_string(list).unwrap_or_else(|_| "[]".to_owned())
}

/// Later than before, also when the database's clock was set back.
pub(super) fn changed(before: Wall, now: Wall) -> Wall {
    Wall(now.0.max(before.0 + 1))
}
