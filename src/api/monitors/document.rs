//! Monitors in the words of the document: which columns there are depends on the database, so only the usual ones are
//! named.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;

use super::shown::BeatShown;
use crate::api::openapi::Millis;

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

/// What a client says of a monitor: any column of this database's table `monitor`, and komainu's own fields. What is not
/// named is left as it is, or as Kuma presets it; `null` takes a value away.
#[derive(ToSchema)]
#[schema(as = MonitorFields)]
#[expect(dead_code, reason = "read column by column; this is what the document says of it")]
pub(in crate::api) struct MonitorFields {
    #[schema(max_length = 150)]
    name: Option<String>,
    /// `http`, `keyword`, `json-query`, `port`, `ping`, `dns`, `push`, `group`, `manual`, and Kuma's others.
    #[schema(max_length = 20)]
    r#type: Option<String>,
    url: Option<String>,
    #[schema(max_length = 255)]
    hostname: Option<String>,
    #[schema(minimum = 1, maximum = 65_535)]
    port: Option<i64>,
    #[schema(minimum = 1, maximum = 2_073_600)]
    interval: Option<i64>,
    #[schema(minimum = 0, maximum = 10_000)]
    maxretries: Option<i64>,
    #[schema(minimum = 0.1, maximum = 86_400.0)]
    timeout: Option<f64>,
    active: Option<bool>,
    /// An id of a monitor of type group.
    #[schema(minimum = 1)]
    parent: Option<i64>,
    /// The group's ref instead: also of one that is made by the same request. `null` says nothing.
    #[schema(max_length = 150)]
    parent_ref: Option<String>,
    #[schema(max_length = 150)]
    r#ref: Option<String>,
    #[schema(max_items = 100)]
    tags: Option<Vec<String>>,
    #[schema(max_items = 100)]
    channels: Option<Vec<String>>,
    /// Labels that its node must bear.
    #[schema(max_items = 100)]
    run_on: Option<Vec<String>>,
    /// The set that it belongs to.
    #[schema(max_length = 150)]
    managed_by: Option<String>,
    /// Its home; without it the leader finds one. Later a move is a deed of its own.
    #[schema(max_length = 50)]
    node_id: Option<String>,
    /// Bound to its home.
    pinned: Option<bool>,
    #[serde(flatten)]
    columns: BTreeMap<String, Value>,
}
