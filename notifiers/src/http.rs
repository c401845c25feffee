//! What the vendors that are spoken to over HTTP have in common: one POST, and what its answer means.
//!
//! Reasons never hold a secret: URLs are taken out of errors, and what an answer repeats of the request is blotted out.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;

use crate::error::{DeliveryError, with_causes};
use crate::words::clip;

/// More of an answer is of no use to anybody.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// As much of a vendor's answer as an error shows.
const MAX_SHOWN_CHARS: usize = 300;

/// Longest wait that a vendor may ask for: a broken header must not silence a channel for days.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// What came back.
pub(crate) struct VendorAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Without what must not be repeated.
    pub(crate) text: String,
}

/// A body in JSON. Slack warns of a missing character set.
pub(crate) fn json(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header(CONTENT_TYPE, "application/json; charset=utf-8").body(body.to_string())
}

/// Sends a request; `secrets` are blotted out of what the answer says.
pub(crate) async fn post(request: RequestBuilder, secrets: &[&str]) -> Result<VendorAnswer, DeliveryError> {
    let mut response = request.send().await.map_err(|error| not_answered(error, secrets))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    // A status whose body broke off is an answer all the same.
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER_BYTES {
            break;
        }
    }
    body.truncate(MAX_ANSWER_BYTES);
    Ok(VendorAnswer { status, headers, text: blot(&String::from_utf8_lossy(&body), secrets) })
}

impl VendorAnswer {
    /// As an error or `notify test` shows it.
    pub(crate) fn shown(&self) -> String {
        let text = clip(&self.text.split_whitespace().collect::<Vec<_>>().join(" "), MAX_SHOWN_CHARS);
        if text.is_empty() { self.status.to_string() } else { format!("{}: {text}", self.status.as_u16()) }
    }

    /// What a status other than 2xx means.
    pub(crate) fn refusal(&self, now_ms: i64) -> DeliveryError {
        let reason = format!("answered {}", self.shown());
        let may_pass =
            matches!(self.status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS);
        if may_pass || self.status.is_server_error() {
            return DeliveryError::Retryable { reason, after: retry_after(&self.headers, now_ms) };
        }
        if self.status.is_redirection() {
            return DeliveryError::Permanent { reason: format!("{reason}; redirects are not followed") };
        }
        DeliveryError::Permanent { reason }
    }
}

/// `Retry-After`, as seconds or as a date (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap, now_ms: i64) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => until(jiff::fmt::rfc2822::parse(text).ok()?.timestamp(), now_ms),
    };
    Some(asked.min(MAX_RETRY_AFTER))
}

/// How long until then, bounded like every wait that a vendor asks for.
pub(crate) fn until(then: Timestamp, now_ms: i64) -> Duration {
    let left = then.as_millisecond().saturating_sub(now_ms);
    Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(MAX_RETRY_AFTER)
}

/// Whether anything was told is what matters to whoever tries next.
fn not_answered(error: reqwest::Error, secrets: &[&str]) -> DeliveryError {
    let error = error.without_url();
    let reason = clip(&blot(&with_causes(&error), secrets), MAX_SHOWN_CHARS);
    if error.is_connect() || error.is_builder() {
        DeliveryError::Unreached { reason }
    } else {
        DeliveryError::Unanswered { reason }
    }
}

pub(crate) fn blot(text: &str, secrets: &[&str]) -> String {
    // Blotting out a few letters would shred the rest, and they would hardly be a secret.
    let secrets = secrets.iter().filter(|secret| secret.len() > 3);
    secrets.fold(text.to_owned(), |text, &secret| text.replace(secret, "…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        retry_after(&headers, 1_445_412_480_000 - 30_000)
    }

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_as_a_date_and_is_bounded() {
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(asked("Tue, 21 Oct 2014 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("86400000"), Some(MAX_RETRY_AFTER));
        assert_eq!(asked("soon"), None);
    }

    #[test]
    fn an_answer_that_repeats_the_path_does_not_show_it() {
        assert_eq!(blot("Cannot POST /services/T0/B0/xyz", &["/services/T0/B0/xyz", ""]), "Cannot POST …");
    }
}
