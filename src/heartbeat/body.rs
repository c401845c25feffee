//! The body of a push: which fields there are and what they must be. Faults name the field.
//!
//! `time` is read from its decimal text, not through a floating-point number: what the sender signed to the microsecond
//! is compared to the microsecond. Unknown fields are left alone: a job is not told off for saying more than is asked.

use std::collections::BTreeMap;

use komainu_watchdogs::heartbeat::{Push, PushStatus};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::byte_order_mark;

/// Longer messages are cut. More than the 10 KiB of output that `wrap` sends with its remark, whose end names the trouble;
/// even in characters of four bytes it fits a TEXT column.
const MESSAGE_CHARS: usize = 12_000;
const RUN_ID_CHARS: usize = 100;

/// What a sender told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Body {
    /// What decides whether it counts.
    pub push: Push,
    /// What the program says, for people.
    pub message: Option<String>,
    /// How long the run took.
    pub duration_ms: Option<i64>,
    /// How it ended.
    pub exit_code: Option<i32>,
}

/// Why a body is none.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum BodyError {
    /// Not one JSON object.
    #[error("{0}")]
    Malformed(String),
    /// One field is wrong.
    #[error("{field}: {problem}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// What is wrong and what to do.
        problem: &'static str,
    },
}

/// Reads a body.
pub fn parse(bytes: &[u8]) -> Result<Body, BodyError> {
    let fields = Fields(object(bytes)?);
    let time =
        fields.raw("time").ok_or(BodyError::Field { field: "time", problem: "is missing; send unix seconds" })?;
    let time_us = decimal(time, 6);
    let problem = "must be a number: unix seconds, with a fraction if you like";
    let time_us = time_us.filter(|&us| us > 0).ok_or(BodyError::Field { field: "time", problem })?;
    let problem = "must be ok, start or fail";
    let status = match fields.text("status", problem)? {
        Some(text) => PushStatus::parse(&text).ok_or(BodyError::Field { field: "status", problem })?,
        None => PushStatus::default(),
    };
    let problem = "must be text of at most 100 characters";
    let run_id = fields.text("run_id", problem)?;
    if run_id.as_ref().is_some_and(|id| id.chars().count() > RUN_ID_CHARS) {
        return Err(BodyError::Field { field: "run_id", problem });
    }
    let message = fields.text("message", "must be text")?.map(cut);
    let duration_ms = fields.number("duration_ms", "must be a number of milliseconds, not negative")?;
    let problem = "must be a whole number";
    let exit_code = fields.number("exit_code", problem)?;
    let exit_code = exit_code.map(i32::try_from).transpose();
    let exit_code = exit_code.map_err(|_| BodyError::Field { field: "exit_code", problem })?;
    if duration_ms.is_some_and(|ms| ms < 0) {
        let problem = "must be a number of milliseconds, not negative";
        return Err(BodyError::Field { field: "duration_ms", problem });
    }
    Ok(Body { push: Push { time_us, status, run_id }, message, duration_ms, exit_code })
}

fn object(bytes: &[u8]) -> Result<BTreeMap<String, &RawValue>, BodyError> {
    let bytes = byte_order_mark::stripped_bytes(bytes);
    if bytes.trim_ascii().is_empty() {
        return Err(BodyError::Malformed("the body is empty; send a JSON object with at least time".to_owned()));
    }
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(BodyError::Malformed("the body must be one JSON object".to_owned()));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let text = error.to_string();
        let problem = text.split(" at line ").next().unwrap_or_default();
        BodyError::Malformed(format!("line {}, column {}: {problem}", error.line(), error.column()))
    })
}

struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl Fields<'_> {
    /// The value's own text; `null` counts as not given.
    fn raw(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(|raw| raw.get()).filter(|text| *text != "null")
    }

    fn text(&self, field: &'static str, problem: &'static str) -> Result<Option<String>, BodyError> {
        let Some(raw) = self.raw(field) else { return Ok(None) };
        serde_json::from_str(raw).map(Some).map_err(|_| BodyError::Field { field, problem })
    }

    fn number(&self, field: &'static str, problem: &'static str) -> Result<Option<i64>, BodyError> {
        let Some(raw) = self.raw(field) else { return Ok(None) };
        decimal(raw, 0).map(Some).ok_or(BodyError::Field { field, problem })
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// A JSON number times ten to the `scale`, what lies below cut off; `None`: it is none, or larger than any time.
fn decimal(text: &str, scale: i32) -> Option<i64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (is_negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: String = [whole, fraction].concat();
    if whole.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // How many of the digits stand before the point, once it is moved.
    let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?.checked_add(scale)?;
    let length = i32::try_from(digits.len()).ok()?;
    let kept = digits.get(..usize::try_from(point.clamp(0, length)).ok()?)?.trim_start_matches('0');
    let zeros = u32::try_from(point.saturating_sub(length).max(0)).ok()?;
    let number = match kept {
        "" => 0,
        kept if kept.len() > 19 || zeros > 18 => return None,
        kept => kept.parse::<i64>().ok()?.checked_mul(10_i64.checked_pow(zeros)?)?,
    };
    Some(if is_negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: &str) -> String {
        parse(body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn everything_a_sender_may_say_is_read() {
        let body = parse(
            br#"{"time": 1763800000.25, "status": "fail", "message": "disk full", "duration_ms": 1234.9,
                "exit_code": 3, "run_id": "a-1", "host": "db1"}"#,
        );
        let push = Push { time_us: 1_763_800_000_250_000, status: PushStatus::Fail, run_id: Some("a-1".to_owned()) };
        let message = Some("disk full".to_owned());
        assert_eq!(body, Ok(Body { push, message, duration_ms: Some(1_234), exit_code: Some(3) }));
    }

    #[test]
    fn only_the_time_is_required() {
        let body = parse(br#"{"time": 1763800000, "status": null}"#).unwrap();
        assert_eq!((body.push.time_us, body.push.status), (1_763_800_000_000_000, PushStatus::Ok));
        assert_eq!((body.message, body.duration_ms, body.exit_code, body.push.run_id), (None, None, None, None));
    }

    #[test]
    fn a_time_is_kept_to_the_microsecond_whatever_its_spelling() {
        for (text, us) in [
            ("1763800000.000001", Some(1_763_800_000_000_001)),
            ("1763800000.9999999999", Some(1_763_800_000_999_999)),
            ("1.76380000025e9", Some(1_763_800_000_250_000)),
            ("176380000025E-2", Some(1_763_800_000_250_000)),
            ("1763800000", Some(1_763_800_000_000_000)),
            ("0.0000001", Some(0)),
            ("-5", Some(-5_000_000)),
            ("1e99", None),
            ("1e2147483647", None),
            ("1e-2147483648", Some(0)),
            ("1.0000000e-2147483648", Some(0)),
            ("99999999999999999999", None),
            ("\"1763800000\"", None),
            ("true", None),
        ] {
            assert_eq!(decimal(text, 6), us, "{text}");
        }
    }

    #[test]
    fn a_fault_names_its_field() {
        for (body, problem) in [
            ("", "the body is empty; send a JSON object with at least time"),
            ("[1]", "the body must be one JSON object"),
            ("{\"time\": 17", "line 1, column 11: EOF while parsing an object"),
            ("{}", "time: is missing; send unix seconds"),
            ("{\"time\": \"now\"}", "time: must be a number: unix seconds, with a fraction if you like"),
            ("{\"time\": 1, \"status\": \"up\"}", "status: must be ok, start or fail"),
            ("{\"time\": 1, \"status\": 1}", "status: must be ok, start or fail"),
            ("{\"time\": 1, \"message\": {}}", "message: must be text"),
            ("{\"time\": 1, \"duration_ms\": -1}", "duration_ms: must be a number of milliseconds, not negative"),
            ("{\"time\": 1, \"exit_code\": 99999999999}", "exit_code: must be a whole number"),
            ("{\"time\": 1, \"run_id\": 7}", "run_id: must be text of at most 100 characters"),
        ] {
            assert_eq!(told(body), problem, "{body}");
        }
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let body = format!("{{\"time\": 1, \"message\": \"{}\"}}", "ä".repeat(MESSAGE_CHARS + 1));
        let message = parse(body.as_bytes()).unwrap().message.unwrap();
        assert_eq!((message.chars().count(), message.ends_with("ä…")), (MESSAGE_CHARS + 1, true));
    }
}
