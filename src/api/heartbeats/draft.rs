//! A heartbeat as a client sends it: which fields there are, what they must be, what is assumed where they are not.

use komainu_watchdogs::time::Wall;
use utoipa::ToSchema;

use crate::api::channels;
use crate::api::fields::Fields;
use crate::api::openapi::Millis;
use crate::api::problem::ApiError;
use crate::heartbeat::schedule::Schedule;
use crate::heartbeat::{NAME_CHARS, is_name};
use crate::store::heartbeats::Definition;

const TEXT_CHARS: usize = 4_000;
const MANAGER_CHARS: usize = 150;
const CRON_CHARS: usize = 200;
const ZONE_CHARS: usize = 60;
/// A leap year: what comes more rarely is no heartbeat.
const MOST_SECONDS: i64 = 366 * 86_400;
/// Enough for a push that took a slow way, and not so long that people wonder.
const GRACE_S: u32 = 60;
const SEVERITIES: [&str; 2] = ["critical", "warning"];

/// A new heartbeat: `period_s` or `cron`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read field by field; this is what the document says of it")]
pub(super) struct NewHeartbeat {
    /// Letters, digits, dots, dashes and underscores.
    #[schema(min_length = 1, max_length = 100, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    name: String,
    #[serde(flatten)]
    choices: HeartbeatChanges,
}

/// What can be chosen for a heartbeat.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read field by field; this is what the document says of it")]
pub(super) struct HeartbeatChanges {
    /// Due so many seconds after the last push.
    #[schema(minimum = 1, maximum = 31_622_400)]
    period_s: Option<u32>,
    /// Due by this expression, instead of `period_s`.
    #[schema(max_length = 200, example = "0 3 * * *")]
    cron: Option<String>,
    /// Of the cron expression.
    #[schema(max_length = 60, example = "Europe/Berlin", default = "UTC")]
    time_zone: Option<String>,
    /// Silence beyond the due time that is forgiven, in seconds.
    #[schema(minimum = 0, maximum = 31_622_400, default = 60)]
    grace_s: Option<u32>,
    /// How long a run may take, in seconds.
    #[schema(minimum = 1, maximum = 31_622_400)]
    max_runtime_s: Option<u32>,
    /// When the first push is due; without it, the first is waited for without end.
    #[schema(value_type = Option<Millis>)]
    first_due: Option<i64>,
    /// Of its incident.
    #[schema(pattern = "^(critical|warning)$", default = "critical")]
    severity: Option<String>,
    /// Channels of its own; without them the routes decide.
    #[schema(max_items = 100)]
    channels: Option<Vec<String>>,
    /// For routes.
    #[schema(max_items = 100)]
    tags: Option<Vec<String>>,
    /// Whether legacy SHA-1 signatures count.
    allow_sha1: Option<bool>,
    /// Who keeps it as code: `apply/shop`.
    #[schema(max_length = 150)]
    managed_by: Option<String>,
    /// For people.
    #[schema(max_length = 4_000)]
    description: Option<String>,
}

/// Reads all fields of a new one; says everything that is wrong with them at once.
pub(super) fn read_new(mut fields: Fields, now: Wall, channels: &[String]) -> Result<Definition, ApiError> {
    let name = fields.required_text("name", NAME_CHARS).unwrap_or_default();
    if !name.is_empty() && !is_name(&name) {
        fields.fault("name", "must be letters, digits, dots, dashes and underscores, and begin with a letter or digit");
    }
    let blank =
        Definition { name, grace_s: GRACE_S, severity: "critical".to_owned(), revision: 1, ..Definition::default() };
    read(fields, blank, now, channels)
}

/// Reads what is to be changed of one.
pub(super) fn read_changed(
    fields: Fields,
    before: Definition,
    now: Wall,
    channels: &[String],
) -> Result<Definition, ApiError> {
    read(fields, before, now, channels)
}

fn read(mut fields: Fields, base: Definition, now: Wall, channels: &[String]) -> Result<Definition, ApiError> {
    let mut definition = base;
    read_schedule(&mut fields, &mut definition, now);
    if let Some(grace) = whole(fields.integer("grace_s", 0..=MOST_SECONDS)) {
        definition.grace_s = grace;
    }
    if fields.is_null("max_runtime_s") {
        definition.max_runtime_s = None;
    }
    definition.max_runtime_s = whole(fields.integer("max_runtime_s", 1..=MOST_SECONDS)).or(definition.max_runtime_s);
    if fields.is_null("first_due") {
        definition.first_due = None;
    }
    definition.first_due = fields.integer("first_due", 0..=i64::MAX / 2_000).map(Wall).or(definition.first_due);
    if let Some(severity) = fields.text("severity", 10) {
        if SEVERITIES.contains(&severity.as_str()) {
            definition.severity = severity;
        } else {
            fields.fault("severity", "must be critical or warning");
        }
    }
    if let Some(named) = fields.texts("channels", 100) {
        if let Some(message) = channels::fault(&named, channels) {
            fields.fault("channels", message);
        }
        definition.channels = named;
    }
    definition.tags = fields.texts("tags", 100).unwrap_or(definition.tags);
    if fields.is_null("managed_by") {
        definition.managed_by = None;
    }
    let manager = fields.text("managed_by", MANAGER_CHARS).filter(|manager| !manager.is_empty());
    definition.managed_by = manager.or(definition.managed_by);
    definition.allow_sha1 = fields.flag("allow_sha1").unwrap_or(definition.allow_sha1);
    definition.description = fields.text("description", TEXT_CHARS).unwrap_or(definition.description);
    fields.finish()?;
    Ok(definition)
}

/// A period or a cron expression; the one that is named replaces the other.
fn read_schedule(fields: &mut Fields, definition: &mut Definition, now: Wall) {
    let period = whole(fields.integer("period_s", 1..=MOST_SECONDS));
    let cron = fields.text("cron", CRON_CHARS).map(|text| text.trim().to_owned());
    let zone = fields.text("time_zone", ZONE_CHARS);
    if period.is_some() && cron.is_some() {
        fields.fault("cron", "period_s is given too; a heartbeat has one of the two");
        return;
    }
    if period.is_some() {
        (definition.period_s, definition.cron, definition.time_zone) = (period, None, None);
    } else if let Some(cron) = cron {
        (definition.period_s, definition.cron) = (None, Some(cron));
    }
    if let Some(cron) = &definition.cron {
        let zone = zone.or_else(|| definition.time_zone.take()).unwrap_or_else(|| "UTC".to_owned());
        if let Err(error) = Schedule::cron(cron, &zone, now) {
            fields.fault(error.field(), error.to_string());
        }
        definition.time_zone = Some(zone);
        return;
    }
    if zone.is_some() {
        fields.fault("time_zone", "only a cron expression has one; give cron too");
    }
    if definition.period_s.is_none() && !fields.has_fault("period_s") {
        fields.fault("period_s", "is missing; give period_s or cron");
    }
}

fn whole(number: Option<i64>) -> Option<u32> {
    number.and_then(|number| u32::try_from(number).ok())
}
