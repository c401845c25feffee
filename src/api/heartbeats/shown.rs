//! A heartbeat, and a push, as the API shows them: the names of the columns.

use komainu_watchdogs::heartbeat::PushStatus;
use komainu_watchdogs::heartbeat::limits::Run;
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::openapi::Millis;
use crate::store::heartbeats::{Definition, Heartbeat, PushRow};

#[derive(Serialize, ToSchema)]
#[schema(as = Heartbeat)]
pub(in crate::api) struct HeartbeatView {
    #[serde(flatten)]
    chosen: HeartbeatChoice,
    #[serde(flatten)]
    seen: HeartbeatState,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    secret: Option<String>,
    /// Stands in the header.
    #[serde(skip)]
    pub(super) etag: String,
}

/// A heartbeat with its secret.
#[derive(ToSchema)]
#[expect(dead_code, reason = "shown as a heartbeat that has its secret; this is what the document says of it")]
pub(in crate::api) struct MadeHeartbeat {
    #[serde(flatten)]
    heartbeat: HeartbeatView,
    /// What pushes are signed with. Shown this once.
    secret: String,
}

/// What people chose.
#[derive(Serialize, ToSchema)]
#[schema(as = HeartbeatChoices)]
struct HeartbeatChoice {
    name: String,
    description: String,
    #[schema(required)]
    period_s: Option<u32>,
    #[schema(required)]
    cron: Option<String>,
    #[schema(required)]
    time_zone: Option<String>,
    grace_s: u32,
    #[schema(required)]
    max_runtime_s: Option<u32>,
    #[schema(value_type = Option<Millis>, required)]
    first_due: Option<Wall>,
    severity: String,
    channels: Vec<String>,
    tags: Vec<String>,
    /// The set that it belongs to: `apply/shop`.
    managed_by: Option<String>,
    allow_sha1: bool,
    /// Never late, and nobody is told of it.
    paused: bool,
}

/// How it is.
#[derive(Serialize, ToSchema)]
#[schema(as = HeartbeatState)]
struct HeartbeatState {
    #[schema(value_type = String)]
    state: &'static str,
    is_running: bool,
    #[schema(value_type = Option<Millis>, required)]
    deadline: Option<Wall>,
    #[schema(value_type = Option<Millis>, required)]
    started_at: Option<Wall>,
    /// Of the last push.
    #[schema(required)]
    run_id: Option<String>,
    /// Runs that must end by a time of their own, in the order of their beginning; of more than 50 the first.
    open_runs: Vec<OpenRun>,
    #[schema(value_type = Option<String>, required)]
    last_status: Option<&'static str>,
    #[schema(value_type = Option<Millis>, required)]
    last_ok_at: Option<Wall>,
    #[schema(value_type = Option<Millis>, required)]
    last_at: Option<Wall>,
    /// The sender's time of the last push: unix seconds.
    #[schema(required)]
    last_time: Option<f64>,
    #[schema(required)]
    last_duration_ms: Option<i64>,
    #[schema(required)]
    last_exit_code: Option<i64>,
    #[schema(required)]
    last_message: Option<String>,
    #[schema(required)]
    incident_id: Option<i64>,
    /// Until when the secret before the last rotation holds.
    #[schema(value_type = Option<Millis>, required)]
    old_secret_until: Option<Wall>,
    revision: u64,
    #[schema(value_type = Millis)]
    created_at: Wall,
    #[schema(value_type = Millis)]
    changed_at: Wall,
}

/// A run that began and did not end.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenRun)]
struct OpenRun {
    /// `null`: its program does not name its runs.
    #[schema(required)]
    run_id: Option<String>,
    #[schema(value_type = Millis)]
    started_at: Wall,
    /// By when it must have ended.
    #[schema(value_type = Millis)]
    deadline: Wall,
}

impl From<&Run> for OpenRun {
    fn from(run: &Run) -> Self {
        Self { run_id: run.run_id.clone(), started_at: run.started_at, deadline: run.limit.at }
    }
}

impl HeartbeatView {
    pub(super) fn with_secret(self, secret: String) -> Self {
        Self { secret: Some(secret), ..self }
    }
}

impl From<Definition> for HeartbeatChoice {
    fn from(definition: Definition) -> Self {
        Self {
            name: definition.name,
            description: definition.description,
            period_s: definition.period_s,
            cron: definition.cron,
            time_zone: definition.time_zone,
            grace_s: definition.grace_s,
            max_runtime_s: definition.max_runtime_s,
            first_due: definition.first_due,
            severity: definition.severity,
            channels: definition.channels,
            tags: definition.tags,
            managed_by: definition.managed_by,
            allow_sha1: definition.allow_sha1,
            paused: definition.is_paused,
        }
    }
}

impl From<Heartbeat> for HeartbeatView {
    fn from(heartbeat: Heartbeat) -> Self {
        let Heartbeat { definition, vitals, last } = heartbeat;
        let etag = definition.etag();
        let record = vitals.record;
        let seen = HeartbeatState {
            state: record.state.as_str(),
            is_running: record.started_at.is_some(),
            deadline: record.deadline(),
            open_runs: record.limits.runs.iter().map(OpenRun::from).collect(),
            started_at: record.started_at,
            run_id: record.run_id,
            last_status: record.last_status.map(PushStatus::as_str),
            last_ok_at: vitals.last_ok_at,
            last_at: vitals.last_at,
            last_time: Some(record.last_time_us).filter(|&us| us > 0).map(seconds),
            last_duration_ms: last.duration_ms,
            last_exit_code: last.exit_code,
            last_message: last.message,
            incident_id: vitals.incident_id,
            old_secret_until: definition.old_nonce.as_ref().map(|(_, until)| *until),
            revision: definition.revision,
            created_at: definition.created_at,
            changed_at: vitals.changed_at,
        };
        Self { chosen: definition.into(), seen, secret: None, etag }
    }
}

/// One accepted push.
#[derive(Serialize, ToSchema)]
#[schema(as = Push)]
pub(in crate::api) struct PushShown {
    id: i64,
    push_id: String,
    #[schema(value_type = Millis)]
    at: Wall,
    /// The sender's: unix seconds.
    time: f64,
    status: String,
    #[schema(required)]
    run_id: Option<String>,
    #[schema(required)]
    duration_ms: Option<i64>,
    #[schema(required)]
    exit_code: Option<i64>,
    #[schema(required)]
    message: Option<String>,
    watchdog_id: String,
}

impl From<PushRow> for PushShown {
    fn from(row: PushRow) -> Self {
        Self {
            id: row.id,
            push_id: row.push_id,
            at: row.at,
            time: seconds(row.time_us),
            status: row.status,
            run_id: row.run_id,
            duration_ms: row.duration_ms,
            exit_code: row.exit_code,
            message: row.message,
            watchdog_id: row.watchdog_id,
        }
    }
}

/// Unix seconds. Exact to the microsecond: until the year 2255 all of them are below 2^53, and the shortest text of the
/// number nearest to such a fraction is that fraction.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "below 2^53 nothing is lost")]
pub(super) fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_to_the_microsecond() {
        for (us, text) in [
            (1_763_800_000_250_000, "1763800000.25"),
            (1_763_800_000_000_001, "1763800000.000001"),
            (1_763_800_000_999_999, "1763800000.999999"),
            (4_102_444_800_123_457, "4102444800.123457"),
        ] {
            assert_eq!(serde_json::to_string(&seconds(us)).unwrap(), text);
        }
    }
}
