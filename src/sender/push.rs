//! One push: what a program says of itself, as the bytes that are signed and sent. The signature is [`crate::heartbeat::secret`]'s.

use serde::Serialize;
use serde_json::Number;

/// What a program says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Push {
    /// Microseconds UTC. A watchdog takes each name's times in ascending order only.
    pub time_us: i64,
    /// How it went.
    pub status: Status,
    /// What happened, in words for people.
    pub message: Option<String>,
    /// How long the run took.
    pub duration_ms: Option<u64>,
    /// How the run ended.
    pub exit_code: Option<i32>,
    /// Ties the start of a run to its end.
    pub run_id: Option<String>,
}

/// How it went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Alive, or done.
    Ok,
    /// A run begins.
    Start,
    /// A run failed.
    Fail,
}

#[derive(Serialize)]
struct Body<'a> {
    time: Number,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<&'a str>,
}

impl Status {
    /// As it is sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Start => "start",
            Self::Fail => "fail",
        }
    }
}

impl Push {
    /// Only that it is so, now or then.
    #[must_use]
    pub fn new(time_us: i64, status: Status) -> Self {
        Self { time_us, status, message: None, duration_ms: None, exit_code: None, run_id: None }
    }

    /// The bytes that are signed and sent.
    ///
    /// # Panics
    /// Never: numbers and text are always JSON.
    pub fn body(&self) -> Vec<u8> {
        let body = Body {
            time: seconds(self.time_us),
            status: self.status,
            message: self.message.as_deref(),
            duration_ms: self.duration_ms,
            exit_code: self.exit_code,
            run_id: self.run_id.as_deref(),
        };
        serde_json::to_vec(&body).expect("numbers and text are always JSON")
    }
}

/// A new name for a run: a random UUID (RFC 9562, version 4).
#[must_use]
pub fn new_run_id() -> String {
    let random: u128 = rand::random();
    let id = random & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{id:032x}");
    let parts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
    parts.map(|(from, to)| hex.get(from..to).unwrap_or_default()).join("-")
}

/// Unix seconds with six digits after the point. A double carries microseconds until the year 2242, and the shortest
/// text that reads as the same double is the one written here.
fn seconds(time_us: i64) -> Number {
    let (sign, micros) = (if time_us < 0 { "-" } else { "" }, time_us.unsigned_abs());
    let text = format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.parse().ok().and_then(Number::from_f64).expect("digits with a point among them are a number")
}

/// Microseconds of unix seconds in JSON: a number, or its digits as text.
pub(super) fn micros(seconds: &serde_json::Value) -> Option<i64> {
    let text = match seconds {
        serde_json::Value::String(text) => text.trim().to_owned(),
        serde_json::Value::Number(number) => format!("{:.6}", number.as_f64()?),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => return None,
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    whole.parse::<i64>().ok()?;
    let fraction = format!("{fraction:0<6}");
    format!("{whole}{}", fraction.get(..6)?).parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::heartbeat::secret::sign;

    const TIME: i64 = 1_763_800_000_250_001;

    #[test]
    fn a_push_says_only_what_it_knows() {
        let body = String::from_utf8(Push::new(TIME, Status::Ok).body()).unwrap();
        assert_eq!(body, r#"{"time":1763800000.250001,"status":"ok"}"#);
    }

    #[test]
    fn a_push_says_all_it_knows() {
        let push = Push {
            message: Some("2 files\n\"gone\"".to_owned()),
            duration_ms: Some(1234),
            exit_code: Some(-1),
            run_id: Some("r1".to_owned()),
            ..Push::new(TIME, Status::Fail)
        };
        let parsed: Value = serde_json::from_slice(&push.body()).unwrap();
        let expected = json!({"time": 1_763_800_000.250_001, "status": "fail", "message": "2 files\n\"gone\"",
            "duration_ms": 1234, "exit_code": -1, "run_id": "r1"});
        assert_eq!(parsed, expected);
    }

    #[test]
    fn a_push_is_signed_as_openssl_would() {
        // printf '{"time":1763800000.250001,"status":"ok"}' | openssl dgst -sha256 -hmac c2VjcmV0
        assert_eq!(sign("c2VjcmV0", &Push::new(TIME, Status::Ok).body()), OPENSSL_SAYS);
    }

    const OPENSSL_SAYS: &str = "sha256=9de63107f1141f7b9858685e4e3abcea58b594b39f9a7ee60d2d130a7c726791";

    #[test]
    fn every_microsecond_survives_the_way_there_and_back() {
        for offset in (0..1_000_000).step_by(7) {
            let time_us = TIME + offset;
            let body: Value = serde_json::from_slice(&Push::new(time_us, Status::Ok).body()).unwrap();
            assert_eq!(micros(&body["time"]), Some(time_us));
        }
    }

    #[test]
    fn seconds_are_read_from_numbers_and_from_text() {
        assert_eq!(micros(&json!(1_763_800_000)), Some(1_763_800_000_000_000));
        assert_eq!(micros(&json!("1763800000.25")), Some(1_763_800_000_250_000));
        assert_eq!(micros(&json!("1763800000.2500019")), Some(1_763_800_000_250_001));
        for nonsense in [json!(null), json!(""), json!("x.y"), json!([1]), json!("1.ä€€")] {
            assert_eq!(micros(&nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_run_id_is_a_random_uuid() {
        let (id, other) = (new_run_id(), new_run_id());
        assert_ne!(id, other);
        assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert_eq!(&id[14..15], "4");
        assert!("89ab".contains(&id[19..20]), "{id}");
    }
}
