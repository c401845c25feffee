//! A monitor, for people.

use serde_json::Value;

use super::told;
use crate::cli::print::cell;

pub(super) const HEADINGS: [&str; 8] = ["ID", "NAME", "TYPE", "STATUS", "NODE", "HOME", "INTERVAL", "REF"];

/// Said first, in this order; every other field follows by name.
const FIRST: [&str; 13] = [
    "id",
    "name",
    "type",
    "ref",
    "status",
    "effective_node",
    "node_id",
    "assigned_node",
    "reason",
    "pinned",
    "run_on",
    "second_opinion",
    "url",
];

/// Said in lines of its own.
const LAST_BEAT: &str = "last_beat";
const OPINION: &str = "opinion";

/// A row of the list.
pub(super) fn row(monitor: &Value) -> [String; 8] {
    let of = |name: &str| cell(monitor.get(name));
    let pin = if monitor.get("pinned").and_then(Value::as_bool) == Some(true) { " (pinned)" } else { "" };
    let interval = monitor.get("interval").and_then(Value::as_u64);
    let interval = interval.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds}s"));
    let home = format!("{}{pin}", of("node_id"));
    [of("id"), of("name"), of("type"), status(monitor), node(monitor), home, interval, of("ref")]
}

/// All of one, a field a line; what it does not say is left out.
pub(super) fn one(monitor: &Value) -> String {
    let mut lines = fields(monitor, &FIRST, &[LAST_BEAT, OPINION]);
    lines.extend(opinion(monitor));
    if monitor.get(LAST_BEAT).is_some() {
        lines.push(last_beat(monitor));
    }
    lines.join("\n")
}

/// The fields of one that say something, a line each: these first, these not at all.
pub(in crate::cli) fn fields(one: &Value, first: &[&str], without: &[&str]) -> Vec<String> {
    let all = one.as_object().cloned().unwrap_or_default();
    let is_later = |name: &&str| !first.contains(name) && !without.contains(name);
    let names = first.iter().copied().chain(all.keys().map(String::as_str).filter(is_later));
    let said = names.filter_map(|name| Some((name, all.get(name).filter(|value| says_something(value))?)));
    said.map(|(name, value)| format!("{name}: {}", field(value))).collect()
}

/// Whether the watchdogs are asked, and what they saw, on one line; `None`: nobody asks, and nobody looked.
fn opinion(monitor: &Value) -> Option<String> {
    let opinion = monitor.get(OPINION)?;
    let text = |name: &str| opinion.get(name).and_then(Value::as_str);
    let asked = text("asked").filter(|asked| *asked != "off" || text("words").is_some())?;
    let from = match text("from") {
        Some("monitor") => "of this monitor",
        Some("tag") => "by its tag",
        Some("rule") => "by a rule for its tags",
        _ => "by default",
    };
    let why = text("left_out").map(|why| format!("; left out: {why}")).unwrap_or_default();
    let seen = text("words").map(|words| format!("; {words}")).unwrap_or_default();
    Some(format!("second opinion: {asked} ({from}){why}{seen}"))
}

/// The last beat on one line.
pub(super) fn last_beat(monitor: &Value) -> String {
    match monitor.get(LAST_BEAT).filter(|beat| !beat.is_null()) {
        Some(beat) => format!("last beat: {}", told::beat(beat).join("  ")),
        None => "last beat: none yet".to_owned(),
    }
}

fn status(monitor: &Value) -> String {
    let is_paused = monitor.get("active").and_then(Value::as_bool) == Some(false);
    if is_paused { "paused".to_owned() } else { cell(monitor.get("status")) }
}

/// Who runs it; '' is nobody.
fn node(monitor: &Value) -> String {
    match cell(monitor.get("effective_node")) {
        node if node.is_empty() => "-".to_owned(),
        node => node,
    }
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => true,
    }
}

fn field(value: &Value) -> String {
    match value {
        Value::Array(items) => items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(", "),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => cell(Some(value)),
    }
}
