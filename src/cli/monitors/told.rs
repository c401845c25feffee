//! What came of a monitor's runs: beats and uptime, for people.

use jiff::Timestamp;
use serde_json::Value;

use crate::cli::print::cell;

/// So much of a message fits on a line beside the rest.
const MESSAGE_CHARS: usize = 100;

const SPANS: [&str; 3] = ["24h", "7d", "30d"];

/// A row of the beats.
pub(super) fn beat(beat: &Value) -> [String; 4] {
    let ping = beat.get("ping_ms").and_then(Value::as_f64).map(|ping| format!("{ping:.0}ms"));
    let message = cell(beat.get("msg"));
    let message = message.lines().next().unwrap_or_default().chars().take(MESSAGE_CHARS).collect();
    [at(beat.get("time")), cell(beat.get("status")), ping.unwrap_or_else(|| "-".to_owned()), message]
}

/// A row for each span.
pub(super) fn spans(uptime: &Value) -> impl Iterator<Item = [String; 5]> {
    SPANS.into_iter().filter_map(|span| {
        let of = uptime.get(span)?;
        let share = of.get("uptime").and_then(Value::as_f64).map(|share| format!("{:.3} %", share * 100.0));
        let ping = of.get("avg_ping_ms").and_then(Value::as_f64).map(|ping| format!("{ping:.1}ms"));
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        Some([span.to_owned(), or_none(share), cell(of.get("up")), cell(of.get("down")), or_none(ping)])
    })
}

/// Milliseconds UTC to the second; a text as it is.
fn at(value: Option<&Value>) -> String {
    let second = value.and_then(Value::as_i64).map(|at| Timestamp::from_second(at.div_euclid(1_000)));
    match second {
        Some(Ok(at)) => at.to_string(),
        Some(Err(_)) | None => cell(value),
    }
}
