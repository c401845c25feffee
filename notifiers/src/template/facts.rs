//! What templates may speak of: the names, and their values for one message.

use jiff::Timestamp;
use minijinja::value::Value as Known;
use serde_json::{Map, Value, json};

use crate::words::{self, Tone};
use crate::{Doubt, EventKind, Item, Kind, Notice};

/// Everything that a template can name without a loop of its own; `body` in headers only.
pub(super) const NAMES: [&str; 23] = [
    "id",
    "cluster",
    "headline",
    "tone",
    "is_over",
    "is_digest",
    "counts",
    "more",
    "lines",
    "text",
    "remarks",
    "doubt",
    "late_by_s",
    "late_why",
    "items",
    "item",
    "runbook_url",
    "link",
    "now",
    "now_s",
    "values",
    "secrets",
    "body",
];

/// By name, for one message.
pub(super) fn of(notice: &Notice, now_ms: i64) -> Map<String, Value> {
    let story = words::tell(notice);
    let mut lines: Vec<String> = story.counts.iter().cloned().collect();
    for part in &story.parts {
        lines.extend(part.title.iter().map(|title| format!("• {title}")));
        lines.extend(part.lines.iter().cloned());
    }
    lines.extend(story.more.iter().chain(&story.remarks).cloned());
    let items: Vec<Value> = notice.items.iter().map(item).collect();
    let only = match items.as_slice() {
        [only] => only.clone(),
        _ => Value::Null,
    };
    let runbook_url = match story.parts.as_slice() {
        [part] => part.runbook_url.as_str(),
        _ => "",
    };
    // Where a message has one link alone: to answer it, or else to what can be done.
    let link = match story.parts.as_slice() {
        [part] => part.answers.first().map_or(runbook_url, |answer| answer.url.as_str()),
        _ => "",
    };
    let facts = json!({
        "id": notice.id,
        "cluster": notice.cluster,
        "headline": story.headline,
        "tone": tone(story.tone),
        "is_over": story.tone == Tone::Resolved,
        "is_digest": notice.is_digest,
        "counts": story.counts,
        "more": story.more,
        "text": lines.join("\n"),
        "lines": lines,
        "remarks": story.remarks,
        "doubt": notice.doubt.map(doubt),
        "late_by_s": notice.lateness.as_ref().map(|late| late.by.as_secs()),
        "late_why": notice.lateness.as_ref().map(|late| &late.why),
        "items": items,
        "item": only,
        "runbook_url": runbook_url,
        "link": link,
        "now": rfc3339(now_ms),
        "now_s": now_ms.div_euclid(1_000),
    });
    match facts {
        Value::Object(facts) => facts,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

/// As a template takes it.
pub(super) fn known(value: &Map<String, Value>) -> Known {
    Known::from(minijinja::value::Serde(value))
}

fn item(item: &Item) -> Value {
    json!({
        "incident_id": item.incident_id,
        "event": item.event,
        "key": item.key,
        "kind": Kind::of_key(&item.key).map_or("other", Kind::as_str),
        "name": item.name,
        "called": words::called(item),
        "severity": item.severity,
        "is_over": item.event == EventKind::Resolved,
        "summary": item.summary,
        "opened_at_ms": item.opened_at_ms,
        "opened_at": rfc3339(item.opened_at_ms),
        "first_opened_at_ms": item.first_opened_at_ms,
        "at_ms": item.at_ms,
        "at": rfc3339(item.at_ms),
        "votes": item.votes,
        "done": item.done,
        "acknowledged_by": item.acknowledged_by,
        "instead_of": item.instead_of,
        "runbook_url": item.runbook_url,
        "answers": item.answers,
    })
}

/// What is no time any more is the beginning of time.
pub(super) fn rfc3339(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).unwrap_or_default().to_string()
}

fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Critical => "critical",
        Tone::Warning => "warning",
        Tone::Acknowledged => "acknowledged",
        Tone::Resolved => "resolved",
    }
}

fn doubt(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::MayBeRepeated => "may_be_repeated",
        Doubt::DatabaseUnreachable => "database_unreachable",
        Doubt::UnconfirmedAlone => "unconfirmed_alone",
    }
}
