//! A check, for people.

use serde_json::Value;

use crate::cli::monitors::shown::fields;
use crate::cli::print::{self, cell};

pub(super) const HEADINGS: [&str; 7] = ["NAME", "TYPE", "STATE", "SINCE", "TARGET", "INTERVAL", "QUORUM"];

/// Said first, in this order; every other field follows by name.
const FIRST: [&str; 9] = ["name", "type", "state", "url", "hostname", "port", "interval", "timeout", "quorum"];

/// Said as times.
const TIMES: [&str; 3] = ["since", "created_at", "changed_at"];

/// A row of the list.
pub(super) fn row(check: &Value) -> [String; 7] {
    let of = |name: &str| cell(check.get(name));
    let interval = check.get("interval").and_then(Value::as_u64);
    let interval = interval.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds}s"));
    let since = print::time(check.get("since"));
    [of("name"), of("type"), of("state"), since, target(check), interval, of("quorum")]
}

/// All of one, a field a line; what it does not say is left out.
pub(super) fn one(check: &Value) -> String {
    let mut lines = fields(check, &FIRST, &TIMES);
    let said = TIMES.into_iter().filter(|name| check.get(*name).is_some_and(|at| !at.is_null()));
    lines.extend(said.map(|name| format!("{name}: {}", print::time(check.get(name)))));
    lines.join("\n")
}

fn target(check: &Value) -> String {
    let text = |name: &str| check.get(name).and_then(Value::as_str).map(str::to_owned);
    let host = |host: String| match check.get("port").and_then(Value::as_u64) {
        Some(port) if cell(check.get("type")) == "port" => format!("{host}:{port}"),
        _ => host,
    };
    text("url").or_else(|| text("hostname").map(host)).unwrap_or_else(|| "-".to_owned())
}
