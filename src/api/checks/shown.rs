//! A check as the API shows it: Kuma's column names, JSON columns as JSON, secrets only by their names.

use serde_json::{Value, json};

use crate::api::monitors::shown::{Sight, columns_shown};
use crate::check::{quorum_json, shown_table};
use crate::store::checks::Check;

pub(super) fn show(check: &Check, sight: Sight) -> Value {
    let definition = &check.definition;
    let mut shown = columns_shown(shown_table(&definition.kind), &definition.settings, sight);
    let state = match &check.state {
        _ if definition.is_paused => "paused",
        Some(state) => &state.state,
        None => "unknown",
    };
    let ours = json!({
        "name": definition.name,
        "type": definition.kind,
        "interval": definition.interval_s,
        "timeout": definition.timeout_s(),
        "quorum": quorum_json(definition.quorum),
        "zones": definition.zones,
        "severity": definition.severity,
        "channels": definition.channels,
        "tags": definition.tags,
        "paused": definition.is_paused,
        "managed_by": definition.managed_by,
        "state": state,
        "since": check.state.as_ref().map(|state| state.since),
        "reason": check.state.as_ref().filter(|_| !definition.is_paused).and_then(|state| state.reason.clone()),
        "revision": check.revision,
        "created_at": check.created_at,
        "created_by": check.created_by,
        "changed_at": check.changed_at,
        "changed_by": check.changed_by,
    });
    if let Value::Object(ours) = ours {
        shown.extend(ours);
    }
    Value::Object(shown)
}
