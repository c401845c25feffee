//! What a watchdog's answer to a push means. Decides; sends nothing.

use std::time::Duration;

use http::StatusCode;
use komainu_watchdogs::time::Wall;
use serde_json::Value;

use super::push::micros;

/// An answer as far as it matters.
#[derive(Clone, Debug)]
pub struct WatchdogAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its `Retry-After`.
    pub retry_after: Option<String>,
    /// Its `Location`.
    pub location: Option<String>,
    /// The beginning of its body.
    pub body: Vec<u8>,
}

/// What to make of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It counts.
    Accepted,
    /// It had counted: the answer to an earlier attempt got lost.
    CountedBefore,
    /// No, and asking again changes nothing.
    Refused {
        /// The watchdog's own words.
        words: String,
    },
    /// Not now, or not here.
    Retry {
        /// How long this watchdog wants to be left alone.
        after: Duration,
        /// Why it is so, in words for people.
        reason: String,
    },
}

/// Words of an answer that is no JSON: enough to recognise a proxy's error page.
const WORDS: usize = 200;

/// Judges the answer to a push of `time_us`.
pub fn judge(answer: &WatchdogAnswer, time_us: i64, now: Wall) -> Verdict {
    let status = answer.status;
    let parsed: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let words = words(answer, &parsed);
    match status {
        StatusCode::OK => Verdict::Accepted,
        StatusCode::CONFLICT if parsed.get("last_time").and_then(micros) == Some(time_us) => Verdict::CountedBefore,
        // 408: the connection was too slow for a proxy; another try may be faster.
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => retry(answer, words, now),
        _ if status.is_server_error() => retry(answer, words, now),
        _ if status.is_redirection() => {
            let to = answer.location.as_deref().unwrap_or("somewhere else");
            Verdict::Refused { words: format!("it redirects to {to}; give the address that answers itself") }
        }
        _ => Verdict::Refused { words },
    }
}

fn retry(answer: &WatchdogAnswer, reason: String, now: Wall) -> Verdict {
    let after = answer.retry_after.as_deref().and_then(|text| retry_after(text, now)).unwrap_or_default();
    Verdict::Retry { after, reason }
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(text: &str, now: Wall) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Wall(at.as_millisecond()).since(now))
}

fn words(answer: &WatchdogAnswer, parsed: &Value) -> String {
    let status = answer.status.as_u16();
    if let Some(detail) = parsed.get("detail").and_then(Value::as_str) {
        return format!("{detail} (HTTP {status})");
    }
    let text = String::from_utf8_lossy(&answer.body);
    let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(WORDS).collect();
    if text.is_empty() { format!("HTTP {status}, no word") } else { format!("HTTP {status}: {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: i64 = 1_763_800_000_250_001;
    /// Sun, 06 Nov 1994 08:49:37 GMT
    const THEN: Wall = Wall(784_111_777_000);

    fn answer(status: u16, body: &str) -> WatchdogAnswer {
        let status = StatusCode::from_u16(status).unwrap();
        WatchdogAnswer { status, retry_after: None, location: None, body: body.as_bytes().to_vec() }
    }

    fn verdict(status: u16, body: &str) -> Verdict {
        judge(&answer(status, body), TIME, THEN)
    }

    fn refused(words: &str) -> Verdict {
        Verdict::Refused { words: words.to_owned() }
    }

    #[test]
    fn a_200_counts_and_no_other_success_does() {
        assert_eq!(verdict(200, "{}"), Verdict::Accepted);
        assert_eq!(verdict(204, ""), refused("HTTP 204, no word"));
    }

    #[test]
    fn a_replay_of_just_this_push_had_counted() {
        assert_eq!(verdict(409, r#"{"last_time":1763800000.250001}"#), Verdict::CountedBefore);
        assert_eq!(
            verdict(409, r#"{"last_time":1763800000.250002,"detail":"a later one counts"}"#),
            refused("a later one counts (HTTP 409)")
        );
        assert_eq!(verdict(409, ""), refused("HTTP 409, no word"));
    }

    #[test]
    fn what_the_server_asks_for_is_waited() {
        let after = |header: &str| {
            let answer = WatchdogAnswer { retry_after: Some(header.to_owned()), ..answer(503, "") };
            let Verdict::Retry { after, .. } = judge(&answer, TIME, THEN) else { panic!("{header} is no refusal") };
            after.as_secs()
        };
        assert_eq!(after("7"), 7);
        assert_eq!(after("Sun, 06 Nov 1994 08:50:00 GMT"), 23);
        assert_eq!(after("Sun, 06 Nov 1994 08:00:00 GMT"), 0);
        assert_eq!(after("soon"), 0);
    }

    #[test]
    fn trouble_of_a_server_or_a_proxy_is_worth_another_try() {
        for status in [408, 429, 500, 502, 503, 504] {
            let reason = format!("HTTP {status}: <h1>no</h1>");
            assert_eq!(verdict(status, "<h1>no</h1>\n"), Verdict::Retry { after: Duration::ZERO, reason });
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_own_words() {
        assert_eq!(verdict(403, r#"{"detail":"wrong signature"}"#), refused("wrong signature (HTTP 403)"));
        assert_eq!(verdict(404, ""), refused("HTTP 404, no word"));
    }

    #[test]
    fn a_redirect_is_never_followed_and_its_aim_is_named() {
        let answer = WatchdogAnswer { location: Some("https://w1/".to_owned()), ..answer(301, "") };
        assert_eq!(
            judge(&answer, TIME, THEN),
            refused("it redirects to https://w1/; give the address that answers itself")
        );
    }
}
