//! Pushbullet: notes and links on phones.
//!
//! The same push is never shown twice: its `guid` is made from the notice, and Pushbullet drops one that it knows.

use jiff::Timestamp;
use reqwest::{Client, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::http::{self, VendorAnswer};
use crate::words::{self, Part, Story};
use crate::{DeliveryError, Notice, Receipt, Secret};

/// Pushbullet's own API; a company whose traffic leaves through a gateway has another.
pub const DEFAULT_API_URL: &str = "https://api.pushbullet.com";

/// Whose phone.
#[derive(Clone, Debug)]
pub struct Config {
    /// An access token, made at pushbullet.com under Settings, Account.
    pub token: Secret<String>,
    /// Which of the account's devices or people.
    pub target: Target,
    /// Without a slash at the end.
    pub api_url: Url,
}

/// Who gets a push: <https://docs.pushbullet.com/#target-parameters>
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// All devices of the token's account.
    AllDevices,
    /// One of them, by its `iden`.
    Device(String),
    /// Another person.
    Email(String),
    /// The subscribers of a channel of the account.
    ChannelTag(String),
}

/// What is posted.
pub fn payload(config: &Config, notice: &Notice) -> Value {
    let story = words::tell(notice);
    // A push has one link, so a group has none: each of its incidents would need another.
    let link = match story.parts.as_slice() {
        // The answers lead to the runbook too.
        [part] => Some(part.answers.first().map_or(part.runbook_url.as_str(), |answer| answer.url.as_str())),
        _ => None,
    };
    let mut push = Push {
        kind: if link.is_some() { "link" } else { "note" },
        title: &story.headline,
        body: body(&story),
        url: link,
        guid: &notice.id,
        device_iden: None,
        email: None,
        channel_tag: None,
    };
    match &config.target {
        Target::AllDevices => {}
        Target::Device(iden) => push.device_iden = Some(iden),
        Target::Email(email) => push.email = Some(email),
        Target::ChannelTag(tag) => push.channel_tag = Some(tag),
    }
    json!(push)
}

#[derive(Serialize)]
struct Push<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    body: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    guid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_iden: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_tag: Option<&'a str>,
}

/// Hands a notice over.
pub(crate) async fn send(
    config: &Config,
    notice: &Notice,
    http: &Client,
    now_ms: i64,
) -> Result<Receipt, DeliveryError> {
    let url = format!("{}/v2/pushes", config.api_url.as_str().trim_end_matches('/'));
    let token = config.token.reveal();
    let request = http::json(http.post(url).header("Access-Token", token), &payload(config, notice));
    let answer = http::post(request, &[token]).await?;
    if answer.status.is_success() {
        let vendor_ref = serde_json::from_str::<Pushed>(&answer.text).ok().and_then(Pushed::place);
        return Ok(Receipt { vendor_ref, answer: answer.shown(), ..Receipt::default() });
    }
    Err(refused(&answer, now_ms))
}

/// What a push is called there.
#[derive(Deserialize)]
struct Pushed {
    iden: Option<String>,
}

impl Pushed {
    /// A word that an address holds as it is; of what is none nothing is made.
    fn place(self) -> Option<String> {
        let is_word = |iden: &String| {
            (1..=100).contains(&iden.len())
                && iden.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter))
        };
        self.iden.filter(is_word)
    }
}

/// Deletes a push: <https://docs.pushbullet.com/#delete-push>
pub(crate) async fn delete(
    config: &Config,
    iden: Option<&str>,
    http: &Client,
    now_ms: i64,
) -> Result<bool, DeliveryError> {
    let Some(iden) = iden else { return Ok(false) };
    let url = format!("{}/v2/pushes/{iden}", config.api_url.as_str().trim_end_matches('/'));
    let token = config.token.reveal();
    let answer = http::post(http.delete(url).header("Access-Token", token), &[token]).await?;
    if answer.status.is_success() { Ok(true) } else { Err(refused(&answer, now_ms)) }
}

#[derive(Deserialize)]
struct PushbulletError {
    error: PushbulletErrorBody,
}

#[derive(Deserialize)]
struct PushbulletErrorBody {
    code: Option<String>,
    message: Option<String>,
}

fn refused(answer: &VendorAnswer, now_ms: i64) -> DeliveryError {
    let said = serde_json::from_str::<PushbulletError>(&answer.text).ok().map(|said| said.error);
    let code = said.as_ref().and_then(|error| error.code.as_deref());
    let message = said.as_ref().and_then(|error| error.message.as_deref()).unwrap_or(answer.text.trim());
    let message = words::clip(message, 300);
    if code == Some("pushbullet_pro_required") {
        let reason = format!(
            "Pushbullet's quota is used up: a free account sends 500 pushes a month ({message}); wait for the next month \
             or subscribe to Pushbullet Pro"
        );
        return DeliveryError::Permanent { reason };
    }
    match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => DeliveryError::Permanent {
            reason: format!("Pushbullet does not accept the access token ({message}); make a new one and renew token"),
        },
        StatusCode::TOO_MANY_REQUESTS => DeliveryError::Retryable {
            reason: format!("Pushbullet's rate limit is reached ({message})"),
            after: reset(answer, now_ms).or_else(|| http::retry_after(&answer.headers, now_ms)),
        },
        _ => answer.refusal(now_ms),
    }
}

/// When the rate limit begins anew, in Unix seconds: <https://docs.pushbullet.com/#ratelimiting>
fn reset(answer: &VendorAnswer, now_ms: i64) -> Option<std::time::Duration> {
    let seconds = answer.headers.get("X-Ratelimit-Reset")?.to_str().ok()?.trim().parse().ok()?;
    Some(http::until(Timestamp::from_second(seconds).ok()?, now_ms))
}

fn body(story: &Story) -> String {
    let lines_of = |part: &Part| {
        let title = part.title.as_ref().map(|title| format!("• {title}"));
        title.into_iter().chain(part.lines.clone()).collect::<Vec<_>>()
    };
    let mut lines: Vec<String> = story.counts.iter().cloned().collect();
    lines.extend(story.parts.iter().flat_map(lines_of));
    lines.extend(story.more.iter().chain(&story.remarks).cloned());
    lines.join("\n")
}
