//! A heartbeat and its pushes, for people.

use jiff::Timestamp;
use serde_json::Value;

use crate::cli::duration;
use crate::cli::print::cell;
use crate::heartbeat::snippet::Schedule;

/// What is said of one, in this order; what it does not say is left out.
const FIELDS: [&str; 7] = ["description", "severity", "channels", "tags", "managed_by", "allow_sha1", "last_message"];

/// A row of the list.
pub(super) fn row(heartbeat: &Value) -> [String; 5] {
    [
        cell(heartbeat.get("name")),
        state(heartbeat),
        schedule(heartbeat),
        at(heartbeat, "last_at"),
        at(heartbeat, "deadline"),
    ]
}

/// All of one, a field a line.
pub(super) fn one(heartbeat: &Value) -> String {
    let [name, state, schedule, last, deadline] = row(heartbeat);
    let mut lines = vec![format!("{name}: {state}"), format!("schedule: {schedule}")];
    if let Some(longest) = heartbeat.get("max_runtime_s").and_then(Value::as_u64) {
        lines.push(format!("max_runtime: {}", duration::friendly(longest)));
    }
    lines.extend([format!("last push: {last}"), format!("deadline: {deadline}")]);
    let is_said = |value: &&Value| {
        !value.is_null() && value.as_str() != Some("") && value.as_array().is_none_or(|items| !items.is_empty())
    };
    for name in FIELDS {
        if let Some(value) = heartbeat.get(name).filter(is_said) {
            let items = value.as_array().map(|items| items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>());
            lines.push(format!("{name}: {}", items.map_or_else(|| cell(Some(value)), |items| items.join(", "))));
        }
    }
    lines.join("\n")
}

/// A row of the history.
pub(super) fn push(push: &Value) -> [String; 6] {
    let took = push.get("duration_ms").and_then(Value::as_u64);
    let message = push.get("message").and_then(Value::as_str).unwrap_or_default();
    // Of the tail of an output the last line says most.
    let line = message.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    [
        at(push, "at"),
        cell(push.get("status")),
        took.map_or_else(|| "-".to_owned(), short),
        cell(push.get("exit_code")),
        cell(push.get("watchdog_id")),
        line.chars().take(80).collect(),
    ]
}

fn state(heartbeat: &Value) -> String {
    let is = |field: &str| heartbeat.get(field).and_then(Value::as_bool) == Some(true);
    let state = cell(heartbeat.get("state"));
    let running = if is("is_running") { ", running" } else { "" };
    if is("paused") { format!("paused ({state}{running})") } else { format!("{state}{running}") }
}

fn schedule(heartbeat: &Value) -> String {
    let grace = heartbeat.get("grace_s").and_then(Value::as_u64).map(duration::friendly);
    let grace = grace.map(|grace| format!(", grace {grace}")).unwrap_or_default();
    match Schedule::of(heartbeat) {
        Schedule::Period(seconds) => format!("every {}{grace}", duration::friendly(seconds)),
        Schedule::Cron { cron, time_zone } => {
            format!("{cron}{}{grace}", time_zone.map(|zone| format!(" {zone}")).unwrap_or_default())
        }
    }
}

/// Milliseconds UTC as a time to the second.
fn at(object: &Value, name: &str) -> String {
    let at = object.get(name).and_then(Value::as_i64).map(|at| Timestamp::from_second(at.div_euclid(1000)));
    match at {
        Some(Ok(at)) => at.to_string(),
        Some(Err(_)) | None => cell(object.get(name)),
    }
}

fn short(milliseconds: u64) -> String {
    if milliseconds < 10_000 { format!("{milliseconds}ms") } else { duration::friendly(milliseconds / 1000) }
}
