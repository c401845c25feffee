//! The columns of `komainu_check`, in and out.

use komainu_watchdogs::io::Severity;
use komainu_watchdogs::time::Wall;

use super::{Check, State};
use crate::check::{Definition, parse_quorum, quorum_text};
use crate::monitor::Columns;
use crate::store::error::StoreError;
use crate::store::value::{Row, Value, values};
use crate::store::watch::text_list;

/// With what the watchdogs said last.
pub(super) const SELECT: &str = "SELECT c.name, c.type, c.settings, c.interval_s, c.timeout_s, c.quorum, c.zones, \
     c.severity, c.channels, c.tags, c.is_paused, c.managed_by, c.revision, c.created_at, c.created_by, c.changed_at, \
     c.changed_by, s.state, s.reason, s.since_ms \
     FROM komainu_check c LEFT JOIN komainu_check_state s ON s.name = c.name";

/// In the order of [`written`].
pub(super) const COLUMNS: [&str; 17] = [
    "name",
    "type",
    "settings",
    "interval_s",
    "timeout_s",
    "quorum",
    "zones",
    "severity",
    "channels",
    "tags",
    "is_paused",
    "managed_by",
    "revision",
    "created_at",
    "created_by",
    "changed_at",
    "changed_by",
];

pub(super) fn check(row: &Row) -> Result<Check, StoreError> {
    let state = match row.maybe_text("state")? {
        Some(state) => Some(State { state, reason: row.maybe_text("reason")?, since: row.wall("since_ms")? }),
        None => None,
    };
    Ok(Check {
        definition: definition(row)?,
        revision: row.count("revision")?,
        created_at: row.wall("created_at")?,
        created_by: row.text("created_by")?,
        changed_at: row.wall("changed_at")?,
        changed_by: row.text("changed_by")?,
        state,
    })
}

fn definition(row: &Row) -> Result<Definition, StoreError> {
    let settings = row.text("settings")?;
    let settings: Columns = serde_json::from_str(&settings)
        .map_err(|_| StoreError::unreadable("read a check", "settings", "no JSON object"))?;
    Ok(Definition {
        name: row.text("name")?,
        kind: row.text("type")?,
        settings,
        interval_s: row.small("interval_s")?,
        timeout_s: row.maybe_real("timeout_s")?,
        // What a newer komainu calls otherwise is taken for the usual.
        quorum: parse_quorum(&row.text("quorum")?).unwrap_or_default(),
        zones: text_list(&row.text("zones")?),
        severity: Severity::parse(&row.text("severity")?),
        channels: text_list(&row.text("channels")?),
        tags: text_list(&row.text("tags")?),
        is_paused: row.flag("is_paused")?,
        managed_by: row.maybe_text("managed_by")?,
    })
}

/// When a row was written, and by whom.
pub(super) struct Stamp<'a> {
    pub(super) revision: u64,
    pub(super) now: Wall,
    pub(super) by: &'a str,
}

/// A row as it is to be; `before`: whose age it keeps.
pub(super) fn written(definition: &Definition, before: Option<&Check>, stamp: &Stamp<'_>) -> Vec<Value> {
    let settings = serde_json::to_string(&definition.settings).unwrap_or_else(|_| "{}".to_owned());
    let (created_at, created_by) = match before {
        Some(before) => (before.created_at, before.created_by.as_str()),
        None => (stamp.now, stamp.by),
    };
    values![
        &definition.name,
        &definition.kind,
        settings,
        definition.interval_s,
        definition.timeout_s,
        quorum_text(definition.quorum),
        text(&definition.zones),
        definition.severity.as_str(),
        text(&definition.channels),
        text(&definition.tags),
        definition.is_paused,
        definition.managed_by.clone(),
        stamp.revision,
        created_at,
        created_by,
        stamp.now,
        stamp.by,
    ]
}

fn text(list: &[String]) -> String {
    serde_json::to_string(list).unwrap_or_else(|_| "[]".to_owned())
}

/// A text as it stands in a list of them.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
