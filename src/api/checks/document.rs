//! Checks in the words of the document: every field with its bounds, from where the handlers have them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::schema::{KnownFormat, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::api::monitors::document::{shape as shape_of, text};
use crate::api::openapi::Millis;
use crate::api::request::{self, Field, Flag, Property, Shape, Texts, whole};
use crate::check::{
    INTERVAL_S, KINDS, LEAST_INTERVAL_S, LEAST_TIMEOUT_S, MOST_INTERVAL_S, MOST_TIMEOUT_S, all_columns,
};
use crate::heartbeat::NAME_CHARS;
use crate::monitor::{MOST_NAMES, REF_CHARS, field_of, form};

/// A check. Kuma's own column names, JSON columns as JSON; of the columns that are not named here those that are set, secrets
/// only with `?secrets=true`.
#[derive(ToSchema)]
#[schema(as = Check)]
#[expect(dead_code, reason = "shown column by column; this is what the document says of it")]
pub(in crate::api) struct CheckShown {
    name: String,
    /// `http`, `keyword`, `json-query`, `port`, `ping`, `dns`.
    r#type: String,
    /// Seconds between the looks of one watchdog.
    interval: u32,
    /// Seconds that one look may take.
    timeout: f64,
    /// How many watchdogs must agree: `majority`, `all`, `any`, or a number.
    quorum: Value,
    /// Only watchdogs there look; empty: all.
    zones: Vec<String>,
    /// Of its incident: `critical` or `warning`.
    severity: String,
    /// Channels of its own; without them the routes decide.
    channels: Vec<String>,
    tags: Vec<String>,
    /// Nobody looks.
    paused: bool,
    /// The set that it belongs to.
    #[schema(required)]
    managed_by: Option<String>,
    /// `up`, `down`, `partial`, `unknown` (also before the first verdict), or `paused`.
    state: String,
    /// Since when it is so; `null`: nothing was said of it yet.
    #[schema(value_type = Option<Millis>, required)]
    since: Option<i64>,
    /// Why, in words for people; `null`: nothing was said of it yet, or it is paused.
    #[schema(required)]
    reason: Option<String>,
    /// Fields that are set and not shown, or, of addresses, without the user and password in them. An admin sees them with
    /// `?secrets=true`.
    hidden: Vec<String>,
    /// Of the write that made it so: rises with each write to any check.
    revision: u64,
    #[schema(value_type = Millis)]
    created_at: i64,
    created_by: String,
    #[schema(value_type = Millis)]
    changed_at: i64,
    changed_by: String,
    #[serde(flatten)]
    columns: BTreeMap<String, Value>,
}

/// A new check.
pub(in crate::api) struct NewCheck;

/// What a client says of a check that it names in the path.
pub(in crate::api) struct CheckFields;

/// What would be a check, and is only tried.
pub(in crate::api) struct TriedFields;

const WORDS: &str =
    "What a client says of a check: its own fields, and Kuma's columns, of which each type has its own.";

impl PartialSchema for NewCheck {
    fn schema() -> RefOr<Schema> {
        let is_needed = |property: &Property| ["name", "type"].contains(&property.name);
        let fields = fields().map(|property| Property { is_required: is_needed(&property), ..property });
        request::object(&[WORDS], fields.collect()).into()
    }
}

impl ToSchema for NewCheck {}

impl PartialSchema for CheckFields {
    fn schema() -> RefOr<Schema> {
        request::object(&[WORDS], fields().collect()).into()
    }
}

impl ToSchema for CheckFields {}

impl PartialSchema for TriedFields {
    fn schema() -> RefOr<Schema> {
        let fields = fields().filter(|property| property.name != "name");
        let fields = fields.map(|property| Property { is_required: property.name == "type", ..property });
        request::object(&[WORDS], fields.collect()).into()
    }
}

impl ToSchema for TriedFields {}

fn fields() -> impl Iterator<Item = Property> {
    let columns = all_columns().columns().filter_map(|(column, _)| {
        let (name, shape) = (field_of(column), shape_of(form(column)?));
        Some(Property { name, lines: &[], shape, is_required: false, default: None })
    });
    own_fields().into_iter().chain(columns)
}

fn own_fields() -> [Property; 11] {
    let names = <Texts<MOST_NAMES>>::shape;
    let of = |name, lines, shape, default| Property { name, lines, shape, is_required: false, default };
    [
        of("name", &["Letters, digits, dots, dashes and underscores."], name(), None),
        of("type", &[], Shape::words(&KINDS), None),
        of("interval", &["Seconds between the looks of one watchdog."], interval(), Some(json!(INTERVAL_S))),
        of("timeout", &[TIMEOUT], timeout(), None),
        of("quorum", &["How many watchdogs must agree: a word, or a number."], quorum(), Some(json!("majority"))),
        of("zones", &["Only watchdogs there look; without them all do."], names(), None),
        of("severity", &["Of its incident."], Shape::words(&["critical", "warning"]), Some(json!("critical"))),
        of("channels", &["Channels of its own; without them the routes decide."], names(), None),
        of("tags", &["For routes."], names(), None),
        of("paused", &["Nobody looks."], Flag::shape(), Some(json!(false))),
        of("managed_by", &["Who keeps it as code: `apply/shop`."], text(REF_CHARS), None),
    ]
}

const TIMEOUT: &str = "Seconds that one look may take; below the interval. Without it 0.8 of the interval, at most 10.";

fn name() -> Shape {
    Shape::one(Type::String, |text| {
        let pattern = Some("^[A-Za-z0-9][A-Za-z0-9._-]*$");
        text.min_length(Some(1)).max_length(Some(NAME_CHARS)).pattern(pattern)
    })
}

fn interval() -> Shape {
    whole(KnownFormat::Int32, LEAST_INTERVAL_S.into(), MOST_INTERVAL_S.into())
}

fn timeout() -> Shape {
    Shape::one(Type::Number, |number| {
        let format = Some(SchemaFormat::KnownFormat(KnownFormat::Double));
        number.format(format).minimum(Some(LEAST_TIMEOUT_S)).maximum(Some(MOST_TIMEOUT_S))
    })
}

fn quorum() -> Shape {
    Shape::Any
}
