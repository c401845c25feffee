//! Slack: an incoming webhook, or a bot that threads and edits.
//!
//! The whole message is `text`, without blocks: servers that speak Slack's webhooks (Mattermost, Rocket.Chat) show nothing
//! else. A bot puts what happens to an incident later into the thread of the message that opened it, and edits that
//! message so that it says what is so now; whatever is bad again or still is shown in the channel too. A message about several
//! is in no thread, and edits the headlines of those that stand alone. A webhook can only write another message.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Client;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::http::{self, VendorAnswer};
use crate::words::{self, Story, Tone};
use crate::{DeliveryError, EventKind, Item, Notice, Receipt, Secret};

/// Slack's own API. `GovSlack` has another, and so has a company whose traffic leaves through a gateway.
pub const DEFAULT_API_URL: &str = "https://slack.com/api";

/// As many headlines are edited with one message: Slack takes about one edit a second over time.
const MOST_EDITS: usize = 20;

/// How long these may take together, beside the message itself.
pub(crate) const EDITS_LIMIT: Duration = Duration::from_secs(4);

const POST: &str = "chat.postMessage";
const UPDATE: &str = "chat.update";
const DELETE: &str = "chat.delete";

/// Where messages go, and as whom.
#[derive(Clone, Debug)]
pub struct Config {
    /// By which of Slack's ways.
    pub access: Access,
}

/// One of Slack's two ways.
#[derive(Clone, Debug)]
pub enum Access {
    /// <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>
    Webhook {
        /// Its path is the credential.
        url: Secret<Url>,
    },
    /// <https://docs.slack.dev/reference/methods/chat.postMessage>
    Bot {
        /// `xoxb-…`, with the scope `chat:write`.
        token: Secret<String>,
        /// Its id, or its name.
        channel: String,
        /// Without a slash at the end.
        api_url: Url,
    },
}

/// One thing that Slack is asked to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Call {
    /// Of Slack's Web API; `None`: the webhook itself.
    pub method: Option<&'static str>,
    /// What is posted.
    pub body: Value,
}

/// All that Slack is asked for one notice, in order.
pub fn payload(config: &Config, notice: &Notice) -> Vec<Call> {
    let message = Message::new(notice);
    let Access::Bot { channel, .. } = &config.access else {
        return vec![Call { method: None, body: json!(message) }];
    };
    let [item] = notice.items.as_slice() else {
        return grouped(notice, &Message { channel: Some(channel), ..message });
    };
    let Some(opening) = headline(notice, item) else {
        let body = json!(Message { channel: Some(channel), ..message });
        return vec![Call { method: Some(POST), body }];
    };
    // The edit repeats nothing, so it goes first: a retry after a failed reply edits once more.
    let mut calls = Vec::from_iter(edit(notice, item));
    let reply = Message {
        channel: Some(opening.channel),
        thread_ts: Some(opening.ts),
        // A reminder, or a return, that only those see who follow the thread would reach nobody.
        reply_broadcast: is_for_everybody(item.event).then_some(true),
        ..message
    };
    calls.push(Call { method: Some(POST), body: json!(reply) });
    calls
}

/// One message about several, and then each headline that stands alone says what is so now.
fn grouped(notice: &Notice, message: &Message<'_>) -> Vec<Call> {
    let edits = notice.items.iter().filter_map(|item| edit(notice, item)).take(MOST_EDITS);
    std::iter::once(Call { method: Some(POST), body: json!(message) }).chain(edits).collect()
}

/// Whether the channel is shown it, beside those who follow the thread.
fn is_for_everybody(event: EventKind) -> bool {
    match event {
        EventKind::Opened | EventKind::Worse | EventKind::Reminder | EventKind::Flapping => true,
        EventKind::Acknowledged | EventKind::Resolved => false,
    }
}

/// Where the message is that told of this incident first.
fn headline<'a>(notice: &'a Notice, item: &Item) -> Option<Place<'a>> {
    notice.threads.get(&item.incident_id).and_then(|thread| Place::parse(thread))
}

/// That message, as it is now. A reminder says nothing that it does not.
fn edit(notice: &Notice, item: &Item) -> Option<Call> {
    let opening = headline(notice, item).filter(|_| item.event != EventKind::Reminder)?;
    let alone = Notice { items: vec![item.clone()], is_digest: false, threads: BTreeMap::new(), ..notice.clone() };
    let message = Message { channel: Some(opening.channel), ts: Some(opening.ts), ..Message::new(&alone) };
    Some(Call { method: Some(UPDATE), body: json!(message) })
}

#[derive(Clone, Serialize)]
struct Message<'a> {
    text: String,
    // What a runbook or a monitor's address looks like from Slack's side is of no interest to anybody.
    unfurl_links: bool,
    unfurl_media: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_ts: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_broadcast: Option<bool>,
}

impl Message<'_> {
    fn new(notice: &Notice) -> Self {
        Self {
            text: text(&words::tell(notice)),
            unfurl_links: false,
            unfurl_media: false,
            channel: None,
            ts: None,
            thread_ts: None,
            reply_broadcast: None,
        }
    }
}

/// Where a message is: its channel's id and its timestamp, which Slack uses as its name.
struct Place<'a> {
    channel: &'a str,
    ts: &'a str,
}

impl<'a> Place<'a> {
    fn parse(vendor_ref: &'a str) -> Option<Self> {
        let (channel, ts) = vendor_ref.split_once('/')?;
        Some(Self { channel, ts })
    }
}

/// Hands a notice over.
pub(crate) async fn send(
    config: &Config,
    notice: &Notice,
    http: &Client,
    now_ms: i64,
) -> Result<Receipt, DeliveryError> {
    let calls = payload(config, notice);
    match &config.access {
        Access::Webhook { url } => send_to_webhook(url.reveal(), &calls, http, now_ms).await,
        Access::Bot { token, api_url, .. } => {
            let bot = Bot { token: token.reveal(), api_url, http, now_ms };
            bot.tell(&calls).await
        }
    }
}

/// Deletes a message of a bot: <https://docs.slack.dev/reference/methods/chat.delete>. A webhook can only write.
pub(crate) async fn delete(
    config: &Config,
    place: Option<&str>,
    http: &Client,
    now_ms: i64,
) -> Result<bool, DeliveryError> {
    let Access::Bot { token, api_url, .. } = &config.access else { return Ok(false) };
    let Some(place) = place.and_then(Place::parse) else { return Ok(false) };
    let bot = Bot { token: token.reveal(), api_url, http, now_ms };
    bot.call(DELETE, &json!({"channel": place.channel, "ts": place.ts})).await.map(|_| true)
}

async fn send_to_webhook(url: &Url, calls: &[Call], http: &Client, now_ms: i64) -> Result<Receipt, DeliveryError> {
    let mut said = String::new();
    for Call { body, .. } in calls {
        let request = http::json(http.post(url.clone()), body);
        let answer = http::post(request, &[url.as_str(), url.path(), url.query().unwrap_or("")]).await?;
        ensure_taken(&answer, now_ms)?;
        said = answer.shown();
    }
    Ok(Receipt { answer: said, ..Receipt::default() })
}

fn ensure_taken(answer: &VendorAnswer, now_ms: i64) -> Result<(), DeliveryError> {
    if !answer.status.is_success() {
        return Err(answer.refusal(now_ms));
    }
    let text = answer.text.trim();
    // Slack and Mattermost say `ok`; Rocket.Chat says so in JSON.
    if text.is_empty() || text.eq_ignore_ascii_case("ok") {
        return Ok(());
    }
    let Ok(said) = serde_json::from_str::<Value>(text) else {
        let reason = format!(
            "answered {} instead of ok: the address may lead to a page, a login or a proxy in between",
            answer.shown()
        );
        return Err(DeliveryError::Retryable { reason, after: None });
    };
    if said.get("success") == Some(&Value::Bool(false)) || said.get("ok") == Some(&Value::Bool(false)) {
        return Err(DeliveryError::Permanent { reason: format!("answered {}", answer.shown()) });
    }
    Ok(())
}

struct Bot<'a> {
    token: &'a str,
    api_url: &'a Url,
    http: &'a Client,
    now_ms: i64,
}

#[derive(Deserialize)]
struct SlackAnswer {
    ok: bool,
    error: Option<String>,
    channel: Option<String>,
    ts: Option<String>,
}

impl Bot<'_> {
    async fn tell(&self, calls: &[Call]) -> Result<Receipt, DeliveryError> {
        let mut receipt = Receipt::default();
        let posted = calls.iter().rposition(|call| call.method != Some(UPDATE)).map_or(0, |at| at + 1);
        let (calls, afterwards) = calls.split_at_checked(posted).unwrap_or((calls, &[]));
        for Call { method, body } in calls {
            let method = method.unwrap_or(POST);
            if method == UPDATE {
                self.edit_first(body).await?;
                continue;
            }
            match self.call(method, body).await {
                Ok((said, answer)) => {
                    // Replies are in the thread of the message that opened the incident, not of one another.
                    let thread = body.get("thread_ts").and_then(Value::as_str).map(str::to_owned);
                    let place = said.channel.zip(thread.or(said.ts)).map(|(channel, ts)| format!("{channel}/{ts}"));
                    receipt = Receipt { vendor_ref: place, answer: answer.shown(), ..Receipt::default() };
                }
                Err(error) => return Err(error),
            }
        }
        // It was told: what the headlines say is worth no second message.
        drop(tokio::time::timeout(EDITS_LIMIT, self.edit(afterwards)).await);
        Ok(receipt)
    }

    /// Before the message itself. What cannot be edited any more (too old, deleted), and what gets no answer, is still told
    /// in words; who asks for patience gets both later.
    async fn edit_first(&self, body: &Value) -> Result<(), DeliveryError> {
        match tokio::time::timeout(EDITS_LIMIT, self.call(UPDATE, body)).await {
            Ok(Err(error @ DeliveryError::Retryable { .. })) => Err(error),
            Ok(
                Ok(_)
                | Err(
                    DeliveryError::Permanent { .. }
                    | DeliveryError::Unanswered { .. }
                    | DeliveryError::Unreached { .. },
                ),
            )
            | Err(_) => Ok(()),
        }
    }

    /// As far as Slack takes them.
    async fn edit(&self, calls: &[Call]) {
        for Call { body, .. } in calls {
            match self.call(UPDATE, body).await {
                Ok(_) | Err(DeliveryError::Permanent { .. }) => {}
                Err(
                    DeliveryError::Retryable { .. }
                    | DeliveryError::Unanswered { .. }
                    | DeliveryError::Unreached { .. },
                ) => return,
            }
        }
    }

    async fn call(&self, method: &str, body: &Value) -> Result<(SlackAnswer, VendorAnswer), DeliveryError> {
        let url = format!("{}/{method}", self.api_url.as_str().trim_end_matches('/'));
        let request = http::json(self.http.post(url).bearer_auth(self.token), body);
        let answer = http::post(request, &[self.token]).await?;
        if !answer.status.is_success() {
            return Err(answer.refusal(self.now_ms));
        }
        let Ok(said) = serde_json::from_str::<SlackAnswer>(&answer.text) else {
            let reason = format!("{method} answered {}, which is not Slack's JSON", answer.shown());
            return Err(DeliveryError::Retryable { reason, after: None });
        };
        if said.ok {
            return Ok((said, answer));
        }
        Err(self.refused(method, said.error.as_deref().unwrap_or("an error without a name"), &answer))
    }

    /// Slack refuses with 200 and a word.
    fn refused(&self, method: &str, word: &str, answer: &VendorAnswer) -> DeliveryError {
        let reason = format!("{method} refused: {word}{}", advice(word));
        let after = http::retry_after(&answer.headers, self.now_ms);
        match word {
            "ratelimited"
            | "rate_limited"
            | "message_limit_exceeded"
            | "fatal_error"
            | "internal_error"
            | "service_unavailable"
            | "request_timeout"
            | "accesslimited"
            | "team_added_to_org" => DeliveryError::Retryable { reason, after },
            _ => DeliveryError::Permanent { reason },
        }
    }
}

/// What to do about the refusals that people meet.
fn advice(word: &str) -> &'static str {
    match word {
        "invalid_auth" | "not_authed" | "token_revoked" | "token_expired" | "account_inactive" => {
            " (the bot's token is not valid any more; install the app again and renew bot_token)"
        }
        "missing_scope" => " (the bot needs the scope chat:write)",
        "channel_not_found" => {
            " (no such channel, or a private one that the bot is not in; its id is safer than its name)"
        }
        "not_in_channel" => " (invite the bot: /invite @bot)",
        "is_archived" => " (the channel is archived)",
        _ => "",
    }
}

fn text(story: &Story) -> String {
    let mut lines = vec![format!("{} *{}*", emoji(story.tone), escaped(&story.headline))];
    lines.extend(story.counts.as_deref().map(escaped));
    for part in &story.parts {
        lines.extend(part.title.as_ref().map(|title| format!("{} *{}*", emoji(part.tone), escaped(title))));
        lines.extend(part.lines.iter().map(|line| escaped(line)));
        let answers = part.answers.iter().map(|answer| (answer.url.as_str(), answer.words.as_str()));
        let ways = std::iter::once((part.runbook_url.as_str(), "What to do")).chain(answers);
        let ways: Vec<_> = ways.map(|(url, words)| format!("<{}|{}>", escaped(url), escaped(words))).collect();
        lines.push(ways.join(" · "));
    }
    lines.extend(story.more.as_deref().map(escaped));
    lines.extend(story.remarks.iter().map(|remark| format!("_{}_", escaped(remark))));
    lines.join("\n")
}

fn emoji(tone: Tone) -> &'static str {
    match tone {
        Tone::Critical => ":red_circle:",
        Tone::Warning => ":large_yellow_circle:",
        Tone::Acknowledged => ":large_blue_circle:",
        Tone::Resolved => ":large_green_circle:",
    }
}

/// The three characters that Slack gives a meaning: <https://docs.slack.dev/messaging/formatting-message-text>. Without
/// this a monitor's name could call the whole channel.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
