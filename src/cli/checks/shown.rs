//! A check, for people.

use serde_json::{Map, Value};

use super::votes;
use crate::cli::monitors::shown::fields;
use crate::cli::print::{self, cell};

pub(super) const HEADINGS: [&str; 8] = ["NAME", "TYPE", "STATE", "SINCE", "TARGET", "INTERVAL", "QUORUM", "WHY"];

/// Said first, in this order; every other field follows by name.
const FIRST: [&str; 10] =
    ["name", "type", "state", "reason", "url", "hostname", "port", "interval", "timeout", "quorum"];

/// Said as times.
const TIMES: [&str; 3] = ["since", "created_at", "changed_at"];

/// Said in lines of their own.
const OF_ITS_OWN: [&str; 2] = ["votes", "uptime"];

/// Spans of an uptime, as the API names them.
const SPANS: [&str; 4] = ["24h", "7d", "30d", "90d"];

/// A row of the list.
pub(super) fn row(check: &Value) -> [String; 8] {
    let of = |name: &str| cell(check.get(name));
    let interval = check.get("interval").and_then(Value::as_u64);
    let interval = interval.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds}s"));
    let since = print::time(check.get("since"));
    [of("name"), of("type"), of("state"), since, target(check), interval, of("quorum"), of("reason")]
}

/// All of one, a field a line; what it does not say is left out.
pub(super) fn one(check: &Value) -> String {
    let mut lines = fields(check, &FIRST, &[&TIMES[..], &OF_ITS_OWN[..]].concat());
    let said = TIMES.into_iter().filter(|name| check.get(*name).is_some_and(|at| !at.is_null()));
    lines.extend(said.map(|name| format!("{name}: {}", print::time(check.get(name)))));
    lines.extend(check.get("uptime").map(uptime));
    let votes = votes::table(check.get("votes").and_then(Value::as_array).map_or(&[], Vec::as_slice));
    if !votes.is_empty() {
        lines.push(String::new());
        lines.extend(votes);
    }
    lines.join("\n")
}

/// A check with what the watchdog that is asked knows of it at this moment, where it knows anything, and with its uptime.
pub(super) fn whole(check: &Value, now: &Value, uptime: Value) -> Value {
    let mut whole = check.as_object().cloned().unwrap_or_default();
    let is_paused = check.get("paused").and_then(Value::as_bool).unwrap_or_default();
    let is_known = now.get("state").is_some_and(|state| !state.is_null());
    if is_known && !is_paused {
        let told =
            ["state", "since", "reason"].map(|name| (name.to_owned(), now.get(name).cloned().unwrap_or_default()));
        whole.extend(told);
    }
    let votes = now.get("votes").cloned().unwrap_or_else(|| Value::from(Vec::<Value>::new()));
    whole.extend(Map::from_iter([("votes".to_owned(), votes), ("uptime".to_owned(), uptime)]));
    Value::Object(whole)
}

/// `uptime: 24h 99.98 %, 7d 100.00 %, 30d -, 90d -`; never rounded up to a whole.
fn uptime(uptime: &Value) -> String {
    let share = |span: &str| uptime.get(span)?.get("uptime")?.as_f64();
    let percent = |share: f64| format!("{:.2} %", (share * 10_000.0 + 1e-6).floor() / 100.0);
    let said = SPANS.map(|span| format!("{span} {}", share(span).map_or_else(|| "-".to_owned(), percent)));
    format!("uptime: {}", said.join(", "))
}

fn target(check: &Value) -> String {
    let text = |name: &str| check.get(name).and_then(Value::as_str).map(str::to_owned);
    let host = |host: String| match check.get("port").and_then(Value::as_u64) {
        Some(port) if cell(check.get("type")) == "port" => format!("{host}:{port}"),
        _ => host,
    };
    text("url").or_else(|| text("hostname").map(host)).unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_check_is_shown_as_it_is_now_with_its_votes_and_its_uptime() {
        let stored = json!({"name": "shop", "type": "http", "url": "https://shop.example/", "state": "up", "since": 0,
            "reason": "3 of 3 watchdogs reach it", "paused": false});
        let now = json!({"name": "shop", "state": "down", "since": 1_798_761_600_000_i64, "reason": "2 of 3 watchdogs see it fail",
            "votes": [{"watchdog": "w1", "zone": "eu", "verdict": "failed", "reason": "refused", "phases": {}, "age_s": 3}]});
        let uptime = json!({"24h": {"uptime": 0.999_999}, "7d": {"uptime": 1.0}, "30d": {"uptime": null}});
        let said = one(&whole(&stored, &now, uptime.clone()));
        for line in [
            "state: down",
            "reason: 2 of 3 watchdogs see it fail",
            "since: 2027-01-01 00:00:00Z",
            "uptime: 24h 99.99 %, 7d 100.00 %, 30d -, 90d -",
        ] {
            assert!(said.lines().any(|found| found == line), "{line} is missing in\n{said}");
        }
        let table: Vec<&str> = said.lines().skip_while(|line| !line.is_empty()).collect();
        assert!(table.len() == 3 && table[2].trim_start().starts_with("w1") && table[2].contains("refused"), "{said}");
        let unknown = whole(&stored, &json!({"name": "shop", "state": null}), uptime.clone());
        assert_eq!((&unknown["state"], &unknown["votes"]), (&json!("up"), &json!([])));
        let paused = json!({"name": "shop", "state": "paused", "paused": true});
        assert_eq!(whole(&paused, &now, uptime)["state"], "paused");
    }
}
