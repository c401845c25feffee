//! A heartbeat as a client sends it: which fields there are, what they must be, what is assumed where they are not.

use komainu_watchdogs::time::Wall;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::Type;

use crate::api::channels;
use crate::api::fields::Fields;
use crate::api::openapi::Millis;
use crate::api::problem::ApiError;
use crate::api::request::{Change, Count, Field, Flag, Request, Shape, Text, Texts, Whole, request};
use crate::heartbeat::schedule::Schedule;
use crate::heartbeat::{NAME_CHARS, is_name};
use crate::store::heartbeats::Definition;

/// A leap year: what comes more rarely is no heartbeat.
const MOST_SECONDS: u32 = 366 * 86_400;
/// Enough for a push that took a slow way, and not so long that people wonder.
const GRACE_S: u32 = 60;
const ZONE: &str = "UTC";
const SEVERITY: &str = "critical";

request! {
    /// A new heartbeat: `period_s` or `cron`.
    pub(super) struct NewHeartbeat {
        /// Letters, digits, dots, dashes and underscores.
        name: HeartbeatName,
        ..choices: HeartbeatChanges,
    }
}

request! {
    /// What can be chosen for a heartbeat.
    pub(super) struct HeartbeatChanges {
        /// Due so many seconds after the last push.
        period_s: Option<Count<1, MOST_SECONDS>>,
        /// Due by this expression, instead of `period_s`.
        cron: Option<Cron>,
        /// Of the cron expression.
        time_zone: Option<ZoneName> = ZONE,
        /// Silence beyond the due time that is forgiven, in seconds.
        grace_s: Option<Count<0, MOST_SECONDS>> = GRACE_S,
        /// How long a run may take, in seconds.
        max_runtime_s: Change<Count<1, MOST_SECONDS>>,
        /// When the first push is due; without it, the first is waited for without end.
        first_due: Change<Moment>,
        /// Of its incident.
        severity: Option<SeverityName> = SEVERITY,
        /// Channels of its own; without them the routes decide.
        channels: Option<Texts<100>>,
        /// For routes.
        tags: Option<Texts<100>>,
        /// Whether legacy SHA-1 signatures count.
        allow_sha1: Option<Flag>,
        /// Never late, and nobody is told of it; pushes count all the same.
        paused: Option<Flag>,
        /// Who keeps it as code: `apply/shop`.
        managed_by: Change<Text<0, 150>>,
        /// For people.
        description: Option<Text<0, 4_000>>,
    }
}

/// Reads all fields of a new one; says everything that is wrong with them at once.
pub(super) fn read_new(mut fields: Fields, now: Wall, channels: &[String]) -> Result<Definition, ApiError> {
    let Some(NewHeartbeat { name, choices }) = NewHeartbeat::take(&mut fields) else {
        return finished(fields, Definition::default());
    };
    let blank =
        Definition { name, grace_s: GRACE_S, severity: SEVERITY.to_owned(), revision: 1, ..Definition::default() };
    let definition = choices.made_of(blank, (now, channels), &mut fields);
    finished(fields, definition)
}

/// Reads what is to be changed of one.
pub(super) fn read_changed(
    mut fields: Fields,
    before: Definition,
    now: Wall,
    channels: &[String],
) -> Result<Definition, ApiError> {
    let Some(changes) = HeartbeatChanges::take(&mut fields) else { return finished(fields, before) };
    let definition = changes.made_of(before, (now, channels), &mut fields);
    finished(fields, definition)
}

fn finished(fields: Fields, definition: Definition) -> Result<Definition, ApiError> {
    fields.finish().map(|()| definition)
}

impl HeartbeatChanges {
    /// Faults of what does not fit together are added to those of single fields.
    fn made_of(mut self, base: Definition, (now, channels): (Wall, &[String]), fields: &mut Fields) -> Definition {
        let mut definition = base;
        self.choose_schedule(&mut definition, now, fields);
        if let Some(message) = self.channels.as_deref().and_then(|named| channels::fault(named, channels)) {
            fields.fault("channels", message);
        }
        let manager = self.managed_by.filter(|manager| manager.as_deref() != Some(""));
        Definition {
            grace_s: self.grace_s.unwrap_or(definition.grace_s),
            max_runtime_s: self.max_runtime_s.unwrap_or(definition.max_runtime_s),
            first_due: self.first_due.unwrap_or(definition.first_due),
            severity: self.severity.map_or(definition.severity, str::to_owned),
            channels: self.channels.unwrap_or(definition.channels),
            tags: self.tags.unwrap_or(definition.tags),
            managed_by: manager.unwrap_or(definition.managed_by),
            allow_sha1: self.allow_sha1.unwrap_or(definition.allow_sha1),
            is_paused: self.paused.unwrap_or(definition.is_paused),
            description: self.description.unwrap_or(definition.description),
            ..definition
        }
    }

    /// A period or a cron expression; the one that is named replaces the other.
    fn choose_schedule(&mut self, definition: &mut Definition, now: Wall, fields: &mut Fields) {
        let (period, cron, zone) = (self.period_s, self.cron.take(), self.time_zone.take());
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
            let zone = zone.or_else(|| definition.time_zone.take()).unwrap_or_else(|| ZONE.to_owned());
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
}

struct HeartbeatName;

impl Field for HeartbeatName {
    type Value = String;

    fn read(sent: &Value) -> Result<String, String> {
        let name = <Text<1, NAME_CHARS>>::read(sent)?;
        let rule = "must be letters, digits, dots, dashes and underscores, and begin with a letter or digit";
        if is_name(&name) { Ok(name) } else { Err(rule.to_owned()) }
    }

    fn shape() -> Shape {
        Shape::one(Type::String, |text| {
            let pattern = Some("^[A-Za-z0-9][A-Za-z0-9._-]*$");
            text.min_length(Some(1)).max_length(Some(NAME_CHARS)).pattern(pattern)
        })
    }
}

struct Cron;

impl Field for Cron {
    type Value = String;

    fn read(sent: &Value) -> Result<String, String> {
        <Text<0, 200>>::read(sent).map(|text| text.trim().to_owned())
    }

    fn shape() -> Shape {
        Shape::one(Type::String, |text| text.max_length(Some(200)).examples(["0 3 * * *"]))
    }
}

struct ZoneName;

impl Field for ZoneName {
    type Value = String;

    fn read(sent: &Value) -> Result<String, String> {
        <Text<0, 60>>::read(sent)
    }

    fn shape() -> Shape {
        Shape::one(Type::String, |text| text.max_length(Some(60)).examples(["Europe/Berlin"]))
    }
}

/// Milliseconds; far enough from the end of what a clock can say that a period may be added.
struct Moment;

impl Field for Moment {
    type Value = Wall;

    fn read(sent: &Value) -> Result<Wall, String> {
        <Whole<0, { i64::MAX / 2_000 }>>::read(sent).map(Wall)
    }

    fn shape() -> Shape {
        Shape::Named(Ref::from_schema_name(Millis::name()))
    }
}

struct SeverityName;

impl SeverityName {
    const ALL: [&str; 2] = [SEVERITY, "warning"];
}

impl Field for SeverityName {
    type Value = &'static str;

    fn read(sent: &Value) -> Result<&'static str, String> {
        let found = Self::ALL.into_iter().find(|name| sent == *name);
        found.ok_or_else(|| "must be critical or warning".to_owned())
    }

    fn shape() -> Shape {
        Shape::words(&Self::ALL)
    }
}
