//! The presets, at servers that take and refuse what the vendors' documentation says; each file of a preset names it.

use std::time::Duration;

use komainu_notifiers::template::{Config, Draft, preset};
use komainu_notifiers::{Channel, DeliveryError, Notice, Settings};
use serde_json::{Value, json};

use super::notices;
use super::server::{Asked, Says, Vendor, channel};

/// What somebody who has an account there would write.
struct Customer {
    preset: &'static str,
    /// Where the vendor's address stands.
    address: &'static str,
    values: &'static [(&'static str, &'static str)],
    secrets: &'static [(&'static str, &'static str)],
    judge: fn(&Asked) -> (u16, Value),
}

const CUSTOMERS: [Customer; 8] = [
    Customer {
        preset: "alertmanager",
        address: "values.url",
        values: &[],
        secrets: &[("token", "hunter2")],
        judge: alertmanager,
    },
    Customer { preset: "discord", address: "secrets.url", values: &[], secrets: &[], judge: discord },
    Customer { preset: "gotify", address: "values.url", values: &[], secrets: &[("token", "hunter2")], judge: gotify },
    Customer {
        preset: "matrix",
        address: "values.url",
        values: &[("room", "!ops:example.com")],
        secrets: &[("token", "hunter2")],
        judge: matrix,
    },
    Customer {
        preset: "ntfy",
        address: "url",
        values: &[("topic", "ops-8f3a")],
        secrets: &[("token", "hunter2")],
        judge: ntfy,
    },
    Customer {
        preset: "pagerduty",
        address: "url",
        values: &[],
        secrets: &[("routing_key", "hunter2hunter2hunter2hunter2hunt")],
        judge: pagerduty,
    },
    Customer { preset: "teams", address: "secrets.url", values: &[], secrets: &[], judge: teams },
    Customer {
        preset: "telegram",
        address: "url",
        values: &[("chat_id", "-1001")],
        secrets: &[("token", "hunter2")],
        judge: telegram,
    },
];

impl Customer {
    fn channel(&self, vendor: &Vendor) -> Channel {
        let base = vendor.url.as_str().trim_end_matches('/');
        let mut draft = Draft { preset: Some(self.preset.to_owned()), ..Draft::default() };
        draft.values.extend(self.values.iter().map(|(name, text)| ((*name).to_owned(), Value::from(*text))));
        draft.secrets.extend(self.secrets.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())));
        match self.address.split_once('.') {
            Some(("values", name)) => drop(draft.values.insert(name.to_owned(), base.into())),
            Some((_, name)) => drop(draft.secrets.insert(name.to_owned(), format!("{base}/hook/hunter2"))),
            None => {
                let url = preset::named(self.preset).unwrap().url.unwrap();
                let path = url.splitn(4, '/').nth(3).unwrap().to_owned();
                draft.url = Some(format!("{base}/{path}"));
            }
        }
        let config =
            Config::of(&draft.completed().unwrap()).unwrap_or_else(|faults| panic!("{}: {faults:?}", self.preset));
        channel(Settings::Template(config))
    }
}

fn customer(preset: &str) -> &'static Customer {
    CUSTOMERS.iter().find(|customer| customer.preset == preset).unwrap()
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn is_of(value: &Value, path: &str, chars: std::ops::RangeInclusive<usize>) -> bool {
    chars.contains(&text(value, path).chars().count())
}

fn bearer(asked: &Asked) -> bool {
    asked.headers.get("authorization").is_some_and(|value| value == "Bearer hunter2")
}

/// Whatever is sent is JSON, and says so.
fn sent(asked: &Asked) -> Value {
    assert!(asked.headers["content-type"].to_str().unwrap().starts_with("application/json"));
    asked.json()
}

fn ntfy(asked: &Asked) -> (u16, Value) {
    let sent = sent(asked);
    if !bearer(asked) {
        return (403, json!({ "code": 40301, "http": 403, "error": "forbidden" }));
    }
    let priority = sent["priority"].as_i64().unwrap_or_default();
    if asked.path != "/" || sent["topic"] != "ops-8f3a" || !(1..=5).contains(&priority) || !sent["tags"].is_array() {
        return (
            400,
            json!({ "code": 40024, "http": 400, "error": "invalid request: message body must be valid JSON" }),
        );
    }
    if text(&sent, "/message").len() > 4_096 {
        return (
            413,
            json!({ "code": 41301, "http": 413, "error": "attachment too large, or bandwidth limit reached" }),
        );
    }
    (200, json!({ "id": "sPs71M8A2T", "time": 1_763_800_000, "event": "message", "topic": "ops-8f3a" }))
}

fn telegram(asked: &Asked) -> (u16, Value) {
    let refused = |code: u16, said: &str| (code, json!({ "ok": false, "error_code": code, "description": said }));
    if asked.path != "/bothunter2/sendMessage" {
        return refused(401, "Unauthorized");
    }
    let sent = sent(asked);
    if sent["chat_id"] != "-1001" {
        return refused(400, "Bad Request: chat not found");
    }
    let units = text(&sent, "/text").encode_utf16().count();
    match units {
        0 => refused(400, "Bad Request: message text is empty"),
        1..=4_096 => (200, json!({ "ok": true, "result": { "message_id": 7 } })),
        _ => refused(400, "Bad Request: message is too long"),
    }
}

fn teams(asked: &Asked) -> (u16, Value) {
    let sent = sent(asked);
    let card = &sent["attachments"][0];
    let blocks = card.pointer("/content/body").and_then(Value::as_array).cloned().unwrap_or_default();
    let is_block = |block: &Value| block["type"] == "TextBlock" && block["text"].is_string();
    let is_card = card["contentType"] == "application/vnd.microsoft.card.adaptive"
        && card["content"]["type"] == "AdaptiveCard"
        && !blocks.is_empty()
        && blocks.iter().all(is_block);
    if asked.path != "/hook/hunter2" || sent["type"] != "message" || !is_card {
        return (
            400,
            json!({ "error": { "code": "TriggerInputSchemaMismatch", "message": "The input body does not match" } }),
        );
    }
    if asked.body.len() > 28 * 1024 {
        return (413, json!({ "error": { "code": "RequestEntityTooLarge" } }));
    }
    (202, Value::Null)
}

fn discord(asked: &Asked) -> (u16, Value) {
    if asked.path != "/hook/hunter2?wait=true" {
        return (404, json!({ "message": "Unknown Webhook", "code": 10_015 }));
    }
    let sent = sent(asked);
    let embed = "/embeds/0";
    let is_well = is_of(&sent, &format!("{embed}/title"), 1..=256)
        && is_of(&sent, &format!("{embed}/description"), 1..=4_096)
        && sent["embeds"][0]["color"].as_u64().is_some_and(|color| color <= 0x00FF_FFFF)
        && sent["embeds"][0]["timestamp"].as_str().is_some_and(|at| at.parse::<jiff::Timestamp>().is_ok())
        && sent["allowed_mentions"]["parse"] == json!([]);
    if is_well {
        (200, json!({ "id": "1", "type": 0 }))
    } else {
        (400, json!({ "code": 50_035, "message": "Invalid Form Body" }))
    }
}

fn pagerduty(asked: &Asked) -> (u16, Value) {
    let sent = sent(asked);
    let refused =
        |why: &str| (400, json!({ "status": "invalid event", "message": "Event object is invalid", "errors": [why] }));
    if asked.path != "/v2/enqueue" || text(&sent, "/routing_key").len() != 32 {
        return refused("'routing_key' is missing or blank");
    }
    if !["trigger", "acknowledge", "resolve"].contains(&text(&sent, "/event_action")) {
        return refused("'event_action' is missing or blank");
    }
    if !is_of(&sent, "/dedup_key", 1..=255) || !is_of(&sent, "/payload/summary", 1..=1_024) {
        return refused("'payload.summary' is missing or blank");
    }
    if !["critical", "error", "warning", "info"].contains(&text(&sent, "/payload/severity")) {
        return refused(
            "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')",
        );
    }
    (202, json!({ "status": "success", "message": "Event processed", "dedup_key": sent["dedup_key"] }))
}

fn alertmanager(asked: &Asked) -> (u16, Value) {
    let sent = sent(asked);
    let at = |alert: &Value, name: &str| alert[name].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    let is_alert = |alert: &Value| {
        let ends = at(alert, "startsAt").zip(at(alert, "endsAt")).is_some_and(|(starts, ends)| starts <= ends);
        ends && alert["labels"].as_object().is_some_and(|labels| labels.values().all(Value::is_string))
    };
    if asked.path != "/api/v2/alerts" || !bearer(asked) {
        return (401, Value::Null);
    }
    if sent.as_array().is_some_and(|alerts| !alerts.is_empty() && alerts.iter().all(is_alert)) {
        (200, Value::Null)
    } else {
        (400, json!("start time must be before end time"))
    }
}

fn gotify(asked: &Asked) -> (u16, Value) {
    let sent = sent(asked);
    if asked.headers.get("x-gotify-key").is_none_or(|key| key != "hunter2") {
        let said = "you need to provide a valid access token or user credentials to access this api";
        return (401, json!({ "error": "Unauthorized", "errorCode": 401, "errorDescription": said }));
    }
    if asked.path != "/message" || text(&sent, "/message").is_empty() || !sent["priority"].is_i64() {
        return (
            400,
            json!({ "error": "Bad Request", "errorCode": 400, "errorDescription": "Field 'message' is required" }),
        );
    }
    (200, json!({ "id": 25, "appid": 1, "message": sent["message"], "priority": sent["priority"] }))
}

fn matrix(asked: &Asked) -> (u16, Value) {
    let sent = sent(asked);
    if !bearer(asked) {
        return (401, json!({ "errcode": "M_UNKNOWN_TOKEN", "error": "Unrecognised access token" }));
    }
    let room = "/_matrix/client/v3/rooms/%21ops%3Aexample.com/send/m.room.message/";
    let is_transaction = asked.path.strip_prefix(room).is_some_and(|id| !id.is_empty() && !id.contains('/'));
    if asked.method != "PUT" || !is_transaction || text(&sent, "/body").is_empty() || asked.body.len() > 65_536 {
        return (400, json!({ "errcode": "M_BAD_JSON", "error": "'body' not in content" }));
    }
    (200, json!({ "event_id": "$YUwRidLecu" }))
}

/// All sorts, and one whose texts are as long as texts may be.
fn sorts() -> Vec<Notice> {
    let mut long = notices::digest();
    for item in &mut long.items {
        item.summary = "größer \"&<b>\u{202e} ".repeat(500);
    }
    notices::all().into_iter().map(|(_, notice)| notice).chain([long]).collect()
}

#[tokio::test]
async fn every_preset_says_every_sort_of_message_as_its_vendor_takes_it() {
    assert_eq!(CUSTOMERS.map(|customer| customer.preset), preset::NAMES);
    for customer in &CUSTOMERS {
        let vendor = Vendor::saying([Says::Judged(customer.judge)]).await;
        let channel = customer.channel(&vendor);
        for notice in sorts() {
            let sent = channel.send(&notice).await;
            assert!(sent.is_ok(), "{}: {sent:?}: {}", customer.preset, vendor.asked().last().unwrap().body);
        }
    }
}

#[tokio::test]
async fn no_preset_shows_a_secret_when_it_is_refused() {
    for customer in &CUSTOMERS {
        let said = match customer.preset {
            "pagerduty" => r#"{"error": "no hunter2hunter2hunter2hunter2hunt"}"#,
            _ => r#"{"error": "no /hook/hunter2, hunter2"}"#,
        };
        let vendor = Vendor::saying([Says::Text(403, said)]).await;
        let error = customer.channel(&vendor).send(&notices::opened()).await.unwrap_err();
        assert!(matches!(error, DeliveryError::Permanent { .. }), "{}: {error:?}", customer.preset);
        assert!(!format!("{error:?}").contains("hunter2"), "{}: {error:?}", customer.preset);
    }
}

async fn asked_for_patience(preset: &str, says: Says) -> Option<Duration> {
    let vendor = Vendor::saying([says]).await;
    match customer(preset).channel(&vendor).send(&notices::opened()).await {
        Err(DeliveryError::Retryable { after, .. }) => after,
        other => panic!("{preset}: {other:?}"),
    }
}

#[tokio::test]
async fn a_vendor_that_asks_for_patience_gets_it_in_its_own_words() {
    let telegram = r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 5","parameters":{"retry_after":5}}"#;
    assert_eq!(asked_for_patience("telegram", Says::Text(429, telegram)).await, Some(Duration::from_secs(5)));
    let discord = r#"{"message":"You are being rate limited.","retry_after":0.25,"global":false}"#;
    assert_eq!(asked_for_patience("discord", Says::Text(429, discord)).await, Some(Duration::from_millis(250)));
    let matrix = r#"{"errcode":"M_LIMIT_EXCEEDED","error":"Too many requests","retry_after_ms":2000}"#;
    assert_eq!(asked_for_patience("matrix", Says::Text(429, matrix)).await, Some(Duration::from_secs(2)));
    for preset in preset::NAMES {
        let after = asked_for_patience(preset, Says::With(429, "retry-after", "7", "slow down")).await;
        assert_eq!(after, Some(Duration::from_secs(7)), "{preset}");
        assert_eq!(asked_for_patience(preset, Says::Text(503, "<html>")).await, None, "{preset}");
    }
}

#[tokio::test]
async fn a_page_instead_of_an_answer_is_no_success() {
    for preset in ["telegram", "matrix", "pagerduty"] {
        let vendor = Vendor::saying([Says::Text(200, "<html>please log in</html>")]).await;
        let outcome = customer(preset).channel(&vendor).send(&notices::opened()).await;
        assert!(matches!(outcome, Err(DeliveryError::Retryable { .. })), "{preset}: {outcome:?}");
    }
}

#[tokio::test]
async fn pagerduty_gets_an_event_for_each_incident_and_its_end_under_the_same_name() {
    let vendor = Vendor::saying([Says::Judged(pagerduty)]).await;
    let channel = customer("pagerduty").channel(&vendor);
    assert!(channel.takes_one_incident());
    channel.send(&notices::grouped_ends()).await.unwrap();
    channel.send(&notices::opened()).await.unwrap();
    let events: Vec<(String, String)> = vendor
        .asked()
        .iter()
        .map(|asked| (text(&asked.json(), "/event_action").to_owned(), text(&asked.json(), "/dedup_key").to_owned()))
        .collect();
    let event = |action: &str, key: &str| (action.to_owned(), format!("komainu/prod/{key}"));
    assert_eq!(
        events,
        [
            event("trigger", "monitor/123"),
            event("resolve", "node/node1"),
            event("resolve", "heartbeat/backup"),
            event("trigger", "node/node1"),
        ]
    );
}

#[tokio::test]
async fn an_alert_is_open_for_alertmanager_until_komainu_says_that_it_is_over() {
    let vendor = Vendor::saying([Says::Judged(alertmanager)]).await;
    let channel = customer("alertmanager").channel(&vendor);
    channel.send(&notices::opened()).await.unwrap();
    channel.send(&notices::over()).await.unwrap();
    let ends: Vec<jiff::Timestamp> =
        vendor.asked().iter().map(|asked| text(&asked.json(), "/0/endsAt").parse().unwrap()).collect();
    let now = jiff::Timestamp::from_millisecond(notices::NOW_MS).unwrap();
    assert!(ends[0] > now + Duration::from_secs(29 * 86_400), "{ends:?}");
    assert!(ends[1] <= now + Duration::from_secs(900), "{ends:?}");
}
