//! Monitors in the words of the document: which columns there are depends on the database, so only the usual ones are
//! named.

use std::collections::BTreeMap;

use komainu_watchdogs::opinion::Wish;
use serde_json::{Value, json};
use utoipa::openapi::schema::{AdditionalProperties, KnownFormat, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::opinion::OpinionShown;
use super::shown::BeatShown;
use crate::api::openapi::Millis;
use crate::api::request::{self, Field, Flag, Property, Shape, Texts, whole};
use crate::monitor::{Form, HOST_CHARS, MOST_NAMES, NODE_CHARS, REF_CHARS, URL_CHARS, form};

/// A monitor. Kuma's own column names, JSON columns as JSON; of the columns that are not named here those that are set,
/// secrets only with `?secrets=true`.
#[derive(ToSchema)]
#[schema(as = Monitor)]
#[expect(dead_code, reason = "shown column by column; this is what the document says of it")]
pub(in crate::api) struct Monitor {
    id: i64,
    #[schema(required)]
    name: Option<String>,
    /// `http`, `ping`, `push`, … as Kuma names them.
    #[schema(required)]
    r#type: Option<String>,
    /// `false`: no node runs it.
    active: bool,
    /// Seconds between runs.
    interval: i64,
    /// `up`, `down`, `pending`, `maintenance` by its last beat; `paused`; `unknown`: no beat yet.
    status: String,
    #[schema(required)]
    last_beat: Option<BeatShown>,
    /// Fields that are set and not shown, or, of addresses, without the user and password in them: passwords, headers,
    /// bodies and the like. An admin sees them with `?secrets=true`.
    hidden: Vec<String>,
    /// Home node.
    #[schema(required)]
    node_id: Option<String>,
    /// Who runs it while it is away from home; empty: nobody, it is being moved.
    #[schema(required)]
    assigned_node: Option<String>,
    /// Who runs it.
    #[schema(required)]
    effective_node: Option<String>,
    /// Bound to its home.
    pinned: bool,
    /// Why it is where it is.
    #[schema(required)]
    reason: Option<String>,
    /// The name that a client chose for it.
    #[schema(required)]
    r#ref: Option<String>,
    tags: Vec<String>,
    /// Channels that hear of it.
    channels: Vec<String>,
    /// Labels that its node must bear.
    run_on: Vec<String>,
    /// `off`, `note` or `require`: whether the watchdogs are asked before people are told that it is down. `null`: its tags or the configuration say.
    #[schema(required)]
    second_opinion: Option<String>,
    opinion: OpinionShown,
    /// The set that it belongs to.
    #[schema(required)]
    managed_by: Option<String>,
    /// `api`: made here; otherwise in Kuma.
    #[schema(required)]
    made_by: Option<String>,
    #[schema(value_type = Option<Millis>, required)]
    created_at: Option<i64>,
    /// After `?wait=`: the first beat since the change, `null` when there was none in time.
    first_beat: Option<BeatShown>,
    /// After `?wait=` in vain: what keeps it.
    waiting_for: Option<String>,
    #[serde(flatten)]
    columns: BTreeMap<String, Value>,
}

/// What a client says of a monitor, in the document: the usual columns, with the bounds that [`crate::monitor`] holds them
/// to, and komainu's own fields.
pub(in crate::api) struct MonitorFields;

const WORDS: &str = "What a client says of a monitor: any column of this database's table `monitor`, and komainu's own \
                     fields. What is not named is left as it is, or as Kuma presets it; `null` takes a value away.";

impl PartialSchema for MonitorFields {
    fn schema() -> RefOr<Schema> {
        let columns = USUAL.into_iter().filter_map(|(name, lines)| {
            Some(Property { name, lines, shape: shape(form(name)?), is_required: false, default: None })
        });
        let object = request::object(&[WORDS], columns.chain(own_fields()).collect());
        object.additional_properties(Some(AdditionalProperties::FreeForm(true))).into()
    }
}

impl ToSchema for MonitorFields {}

/// Columns that most monitors have, and what is said of them.
const USUAL: [(&str, &[&str]); 10] = [
    ("name", &[]),
    (
        "type",
        &["`http`, `keyword`, `json-query`, `port`, `ping`, `dns`, `push`, `group`, `manual`, and Kuma's others."],
    ),
    ("url", &[]),
    ("hostname", &[]),
    ("port", &[]),
    ("interval", &["Seconds between runs."]),
    ("maxretries", &[]),
    ("timeout", &[]),
    ("active", &["`false`: no node runs it."]),
    ("parent", &["An id of a monitor of type group."]),
];

pub(in crate::api) fn shape(form: Form) -> Shape {
    match form {
        Form::Text(most) => text(most),
        Form::Url => text(URL_CHARS),
        Form::Host => text(HOST_CHARS),
        Form::Flag => Flag::shape(),
        Form::Int(least, most) => whole(KnownFormat::Int64, least, most),
        Form::Real(least, most) => Shape::one(Type::Number, |number| {
            let format = Some(SchemaFormat::KnownFormat(KnownFormat::Double));
            number.format(format).minimum(Some(least)).maximum(Some(most))
        }),
        Form::Choice(choices) => Shape::one(Type::String, |text| {
            let named = choices.iter().map(|choice| json!(choice));
            text.enum_values(Some(named.chain([json!(""), Value::Null])))
        }),
        Form::Row(_) => whole(KnownFormat::Int64, 1, i64::from(u32::MAX)),
        Form::Texts => <Texts<MOST_NAMES>>::shape(),
        Form::Headers | Form::Codes | Form::Conditions | Form::Object => Shape::Any,
    }
}

pub(in crate::api) fn text(most: usize) -> Shape {
    Shape::one(Type::String, |text| text.max_length(Some(most)))
}

const GROUP: &str = "The group's ref instead: also of one that is made by the same request. `null` says nothing.";
const HOME: &str = "Its home; without it the leader finds one. Later a move is a deed of its own.";

const OPINION: &str = "Whether the watchdogs are asked what they see before people are told that it is down: `note`, the message says it; \
                       `require`, nobody is paged unless a majority of them sees it too. `null`: its tags or the configuration say.";

fn wish() -> Shape {
    Shape::one(Type::String, |text| {
        let named = Wish::ALL.map(|wish| json!(wish.as_str()));
        text.enum_values(Some(named.into_iter().chain([json!(""), Value::Null])))
    })
}

fn own_fields() -> impl Iterator<Item = Property> {
    let names = <Texts<MOST_NAMES>>::shape;
    let fields: [(&str, &'static [&'static str], Shape); 9] = [
        ("parent_ref", &[GROUP], text(REF_CHARS)),
        ("ref", &["The name that a client chose for it."], text(REF_CHARS)),
        ("tags", &[], names()),
        ("channels", &["Channels that hear of it."], names()),
        ("run_on", &["Labels that its node must bear."], names()),
        ("second_opinion", &[OPINION], wish()),
        ("managed_by", &["The set that it belongs to."], text(REF_CHARS)),
        ("node_id", &[HOME], text(NODE_CHARS)),
        ("pinned", &["Bound to its home."], Flag::shape()),
    ];
    let property = |(name, lines, shape)| Property { name, lines, shape, is_required: false, default: None };
    fields.into_iter().map(property)
}
