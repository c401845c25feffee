//! What the audit trail says of heartbeats: who did what, and which choices changed. Never a nonce.

use serde_json::{Map, Value, json};

use super::Definition;
use crate::store::audit::{Deed, append_in};
use crate::store::error::StoreError;
use crate::store::session::Session;

/// A heartbeat that was made, edited or deleted: the choices that differ.
pub(super) async fn note(
    session: &mut Session,
    by: &str,
    before: Option<&Definition>,
    after: Option<&Definition>,
) -> Result<(), StoreError> {
    let what = match (before, after) {
        (None, _) => "heartbeat.create",
        (Some(_), Some(_)) => "heartbeat.edit",
        (Some(_), None) => "heartbeat.delete",
    };
    let name = before.or(after).map_or("", |definition| &definition.name);
    let (mut old, mut new) = (before.map(choices), after.map(choices));
    if let (Some(old), Some(new)) = (&mut old, &mut new) {
        old.retain(|field, value| new.get(field) != Some(value));
        new.retain(|field, _| old.contains_key(field));
    }
    let text = |fields: Option<Map<String, Value>>| fields.map(|fields| Value::Object(fields).to_string());
    append_in(session, &deed(by, what, name, text(old), text(new))).await
}

/// A secret that was replaced.
pub(super) async fn note_rotation(
    session: &mut Session,
    by: &str,
    name: &str,
    overlap_ms: i64,
) -> Result<(), StoreError> {
    let after = json!({"overlap_s": overlap_ms / 1_000}).to_string();
    append_in(session, &deed(by, "heartbeat.rotate", name, None, Some(after))).await
}

fn deed(by: &str, what: &str, name: &str, before: Option<String>, after: Option<String>) -> Deed {
    Deed { who: by.to_owned(), what: what.to_owned(), subject: format!("heartbeat/{name}"), before, after }
}

/// By the names that the API has for them.
fn choices(definition: &Definition) -> Map<String, Value> {
    let fields = [
        ("description", json!(definition.description)),
        ("period_s", json!(definition.period_s)),
        ("cron", json!(definition.cron)),
        ("time_zone", json!(definition.time_zone)),
        ("grace_s", json!(definition.grace_s)),
        ("max_runtime_s", json!(definition.max_runtime_s)),
        ("first_due", json!(definition.first_due)),
        ("severity", json!(definition.severity)),
        ("channels", json!(definition.channels)),
        ("tags", json!(definition.tags)),
        ("managed_by", json!(definition.managed_by)),
        ("allow_sha1", json!(definition.allow_sha1)),
        ("paused", json!(definition.is_paused)),
    ];
    fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect()
}
