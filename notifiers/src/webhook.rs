//! A program of one's own, spoken to as Standard Webhooks says: <https://www.standardwebhooks.com>
//!
//! The body carries every item, also of a digest. `webhook-id` is the same at each attempt, so a receiver that remembers
//! ids sees each message once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Client;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::Sha256;
use thiserror::Error;
use url::Url;

use crate::http;
use crate::words;
use crate::{DeliveryError, Doubt, Item, Notice, Receipt, Secret};

/// Begins every signing secret.
const SECRET_PREFIX: &str = "whsec_";

/// The specification's bounds of a key.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Where messages go.
#[derive(Clone, Debug)]
pub struct Config {
    /// May hold a credential.
    pub url: Secret<Url>,
    /// `None`: not signed.
    pub key: Option<SigningKey>,
}

/// What messages are signed with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SigningKey(Secret<Vec<u8>>);

/// Why a text is no signing secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("must be whsec_ and 24 to 64 bytes in base64, for example of: echo whsec_$(openssl rand -base64 32)")]
pub struct SigningKeyError;

impl SigningKey {
    /// Reads `whsec_…`; blanks and line ends around it are not part of it.
    pub fn parse(text: &str) -> Result<Self, SigningKeyError> {
        let encoded = text.trim().strip_prefix(SECRET_PREFIX).ok_or(SigningKeyError)?;
        let key = STANDARD.decode(encoded).map_err(|_| SigningKeyError)?;
        if KEY_BYTES.contains(&key.len()) { Ok(Self(Secret::new(key))) } else { Err(SigningKeyError) }
    }

    /// Of that key.
    #[must_use]
    pub fn of(key: &[u8; 32]) -> Self {
        Self(Secret::new(key.to_vec()))
    }

    /// As whoever checks signatures is told it: `whsec_…`.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{SECRET_PREFIX}{}", STANDARD.encode(self.0.reveal()))
    }

    /// The value of `webhook-signature`.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.reveal()).expect("HMAC takes keys of any length");
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// What is posted.
pub fn payload(notice: &Notice) -> Value {
    let last_at_ms = notice.items.iter().map(|item| item.at_ms).max().unwrap_or(0);
    let timestamp = jiff::Timestamp::from_millisecond(last_at_ms).unwrap_or_default();
    let late_by_ms = notice.lateness.as_ref().map(|late| u64::try_from(late.by.as_millis()).unwrap_or(u64::MAX));
    let data = Data {
        id: &notice.id,
        cluster: &notice.cluster,
        headline: words::tell(notice).headline,
        is_digest: notice.is_digest,
        doubt: notice.doubt,
        late_by_ms,
        late_why: notice.lateness.as_ref().map(|late| late.why.as_str()),
        items: &notice.items,
    };
    json!({ "type": "komainu.notice", "timestamp": timestamp.to_string(), "data": data })
}

/// The message as programs read it.
#[derive(Serialize)]
struct Data<'a> {
    id: &'a str,
    cluster: &'a str,
    headline: String,
    is_digest: bool,
    doubt: Option<Doubt>,
    late_by_ms: Option<u64>,
    late_why: Option<&'a str>,
    items: &'a [Item],
}

/// Hands a notice over.
pub(crate) async fn send(
    config: &Config,
    notice: &Notice,
    http: &Client,
    now_ms: i64,
) -> Result<Receipt, DeliveryError> {
    let answer = posted(config, (&notice.id, payload(notice).to_string()), http, now_ms).await?;
    if answer.status.is_success() {
        return Ok(Receipt { answer: answer.shown(), ..Receipt::default() });
    }
    Err(answer.refusal(now_ms))
}

/// Hands over a body that the caller has, and says with which status it was answered. `id`: the same whenever it is sent again.
pub async fn post(
    config: &Config,
    (id, body): (&str, String),
    http: &Client,
    now_ms: i64,
) -> Result<u16, DeliveryError> {
    posted(config, (id, body), http, now_ms).await.map(|answer| answer.status.as_u16())
}

async fn posted(
    config: &Config,
    (id, body): (&str, String),
    http: &Client,
    now_ms: i64,
) -> Result<http::VendorAnswer, DeliveryError> {
    let url = config.url.reveal();
    let timestamp = now_ms / 1_000;
    let mut request = http
        .post(url.clone())
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp);
    if let Some(key) = &config.key {
        request = request.header("webhook-signature", key.sign(id, timestamp, &body));
    }
    let secrets = [url.as_str(), url.path(), url.query().unwrap_or(""), url.password().unwrap_or("")];
    http::post(request.body(body), &secrets).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn the_signature_is_the_one_of_the_reference_libraries() {
        let key = SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_key_is_told_as_it_is_read() {
        let key = SigningKey::of(&[7; 32]);
        assert_eq!(SigningKey::parse(&key.text()), Ok(key));
    }

    #[test]
    fn what_is_no_signing_secret_is_refused_without_being_repeated() {
        for text in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_c2hvcnQ=", "whsec_%%%"] {
            assert_eq!(SigningKey::parse(text), Err(SigningKeyError), "{text}");
        }
    }
}
