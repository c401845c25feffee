//! Slack answers webhooks with a word and a status, and bots with 200 and `ok`.

use std::time::Duration;

use komainu_notifiers::slack::{Access, Config};
use komainu_notifiers::{DeliveryError, Item, Notice, Receipt, Secret, Settings};
use url::Url;

use super::notices;
use super::server::{Asked, Says, Vendor, channel, nobody};

fn webhook(url: Url) -> Settings {
    Settings::Slack(Config { access: Access::Webhook { url: Secret::new(url) } })
}

fn bot(api_url: Url) -> Settings {
    let token = Secret::new("xoxb-hunter2".to_owned());
    Settings::Slack(Config { access: Access::Bot { token, channel: "#ops".to_owned(), api_url } })
}

async fn hooked(says: Says) -> Result<Receipt, DeliveryError> {
    let vendor = Vendor::saying([says]).await;
    channel(webhook(vendor.at("/services/T0/B0/hunter2"))).send(&notices::opened()).await
}

async fn asked_as_bot(says: Vec<Says>, notice: &Notice) -> (Result<Receipt, DeliveryError>, Vec<Asked>) {
    let vendor = Vendor::saying(says).await;
    let outcome = channel(bot(vendor.at("/api"))).send(notice).await;
    (outcome, vendor.asked())
}

fn permanent(reason: &str) -> Result<Receipt, DeliveryError> {
    Err(DeliveryError::Permanent { reason: reason.to_owned() })
}

fn retryable(reason: &str, after: Option<u64>) -> Result<Receipt, DeliveryError> {
    Err(DeliveryError::Retryable { reason: reason.to_owned(), after: after.map(Duration::from_secs) })
}

#[tokio::test]
async fn a_webhook_that_says_ok_took_the_message() {
    let receipt = hooked(Says::Text(200, "ok")).await.unwrap();
    assert_eq!(receipt, Receipt { answer: "200: ok".to_owned(), ..Receipt::default() });
}

#[tokio::test]
async fn what_a_webhook_refuses_is_refused_for_good() {
    for (status, word) in [
        (400, "invalid_payload"),
        (403, "action_prohibited"),
        (404, "no_service"),
        (404, "channel_not_found"),
        (410, "channel_is_archived"),
    ] {
        assert_eq!(hooked(Says::Text(status, word)).await, permanent(&format!("answered {status}: {word}")));
    }
}

#[tokio::test]
async fn a_page_with_status_200_is_no_word_of_slack() {
    for page in ["<!doctype html><title>Sign in</title>", "\n <html><body>ok</body></html>", "Welcome to nginx"] {
        let outcome = hooked(Says::Text(200, page)).await;
        let Err(DeliveryError::Retryable { reason, after: None }) = outcome else { panic!("{page}: {outcome:?}") };
        assert!(reason.contains("instead of ok"), "{reason}");
    }
    for word in ["ok", "OK\n", "", "{\"ok\":true}"] {
        assert!(hooked(Says::Text(200, word)).await.is_ok(), "{word}");
    }
}

#[tokio::test]
async fn a_webhook_that_is_busy_is_asked_again_when_it_wishes() {
    let busy = Says::With(429, "retry-after", "7", "rate_limited");
    assert_eq!(hooked(busy).await, retryable("answered 429: rate_limited", Some(7)));
    assert_eq!(hooked(Says::Text(500, "rollup_error")).await, retryable("answered 500: rollup_error", None));
}

#[tokio::test]
async fn a_server_like_rocket_chat_refuses_with_200() {
    assert_eq!(hooked(Says::Text(200, r#"{"success":false}"#)).await, permanent(r#"answered 200: {"success":false}"#));
    assert!(hooked(Says::Text(200, r#"{"success":true}"#)).await.is_ok());
}

#[tokio::test]
async fn silence_may_mean_that_it_arrived_and_nobody_there_means_that_it_did_not() {
    assert!(matches!(hooked(Says::Nothing).await, Err(DeliveryError::Unanswered { .. })));
    let nobody = channel(webhook(nobody().await)).send(&notices::opened()).await;
    assert!(matches!(nobody, Err(DeliveryError::Unreached { .. })), "{nobody:?}");
}

#[tokio::test]
async fn no_error_shows_the_webhooks_path() {
    let elsewhere = Says::With(302, "location", "/services/T0/B0/hunter2", "");
    for says in [Says::Text(404, "Cannot POST /services/T0/B0/hunter2"), Says::Nothing, elsewhere] {
        let error = hooked(says).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

const TAKEN: &str = r#"{"ok":true,"channel":"C0123456789","ts":"1763799989.000100"}"#;

#[tokio::test]
async fn a_bots_first_message_is_what_later_ones_refer_to() {
    let (outcome, asked) = asked_as_bot(vec![Says::Text(200, TAKEN)], &notices::opened()).await;
    assert_eq!(outcome.unwrap().vendor_ref.as_deref(), Some("C0123456789/1763799989.000100"));
    assert_eq!(asked[0].path, "/api/chat.postMessage");
    assert_eq!(asked[0].headers["authorization"], "Bearer xoxb-hunter2");
    assert_eq!(asked[0].headers["content-type"], "application/json; charset=utf-8");
    assert_eq!(asked[0].json()["channel"], "#ops");
}

#[tokio::test]
async fn a_resolved_incident_edits_the_headline_and_replies_in_its_thread() {
    let (outcome, asked) = asked_as_bot(vec![Says::Text(200, TAKEN)], &notices::over()).await;
    assert_eq!(outcome.unwrap().vendor_ref.as_deref(), Some(notices::THREAD));
    let paths: Vec<&str> = asked.iter().map(|asked| asked.path.as_str()).collect();
    assert_eq!(paths, ["/api/chat.update", "/api/chat.postMessage"]);
    assert_eq!(asked[0].json()["ts"], "1763799989.000100");
    assert_eq!(asked[1].json()["thread_ts"], "1763799989.000100");
}

#[tokio::test]
async fn a_return_is_the_headline_again_and_is_seen_in_the_channel() {
    let (outcome, asked) = asked_as_bot(vec![Says::Text(200, TAKEN)], &notices::returned()).await;
    assert!(outcome.is_ok());
    let paths: Vec<&str> = asked.iter().map(|asked| asked.path.as_str()).collect();
    assert_eq!(paths, ["/api/chat.update", "/api/chat.postMessage"]);
    assert!(asked[0].json()["text"].as_str().unwrap().contains("critical: monitor Shop checkout"));
    assert_eq!(asked[1].json()["reply_broadcast"], true);
}

#[tokio::test]
async fn a_group_is_a_message_of_its_own_whatever_its_first_incident_refers_to() {
    let over = notices::over();
    let group = Notice { items: [over.items.clone(), over.items].concat(), ..notices::over() };
    let (outcome, asked) = asked_as_bot(vec![Says::Text(200, TAKEN)], &group).await;
    assert!(outcome.is_ok() && asked[0].json().get("thread_ts").is_none(), "{asked:?}");
}

#[tokio::test]
async fn an_end_that_is_told_in_a_group_turns_its_own_headline_green() {
    let (outcome, asked) = asked_as_bot(vec![Says::Text(200, TAKEN)], &notices::grouped_ends()).await;
    assert!(outcome.is_ok());
    let paths: Vec<&str> = asked.iter().map(|asked| asked.path.as_str()).collect();
    assert_eq!(paths, ["/api/chat.postMessage", "/api/chat.update", "/api/chat.update"]);
    for (edit, (ts, words)) in asked[1..].iter().zip([("41.1", "node/node1"), ("42.1", "heartbeat/backup")]) {
        assert_eq!((&edit.json()["channel"], &edit.json()["ts"]), (&"C0123456789".into(), &ts.into()));
        let text = edit.json()["text"].as_str().unwrap().to_owned();
        assert!(text.starts_with(":large_green_circle:") && text.contains(&format!("resolved: {words}")), "{text}");
    }
}

#[tokio::test]
async fn a_headline_that_slack_has_no_time_for_makes_no_second_message() {
    let busy = Says::With(429, "retry-after", "30", "");
    let (outcome, asked) = asked_as_bot(vec![Says::Text(200, TAKEN), busy], &notices::grouped_ends()).await;
    assert!(outcome.is_ok() && asked.len() == 2, "{outcome:?} {asked:?}");
}

#[tokio::test]
async fn of_a_hundred_headlines_twenty_are_edited() {
    let mut many = notices::grouped_ends();
    let item = many.items[1].clone();
    many.items = (0..100).map(|number| Item { incident_id: number.to_string(), ..item.clone() }).collect();
    many.threads = (0..100).map(|number| (number.to_string(), format!("C0123456789/{number}.1"))).collect();
    let (outcome, asked) = asked_as_bot(vec![Says::Text(200, TAKEN)], &many).await;
    assert!(outcome.is_ok() && asked.len() == 21, "{outcome:?} {}", asked.len());
}

#[tokio::test]
async fn a_headline_that_cannot_be_edited_any_more_keeps_nobody_from_telling() {
    let says = vec![Says::Text(200, r#"{"ok":false,"error":"message_not_found"}"#), Says::Text(200, TAKEN)];
    let (outcome, asked) = asked_as_bot(says, &notices::over()).await;
    assert!(outcome.is_ok() && asked.len() == 2, "{outcome:?}");
}

#[tokio::test]
async fn an_edit_without_an_answer_keeps_nobody_from_telling() {
    let (outcome, asked) = asked_as_bot(vec![Says::Nothing, Says::Text(200, TAKEN)], &notices::over()).await;
    assert!(outcome.is_ok() && asked.len() == 2, "{outcome:?}");
}

#[tokio::test]
async fn slack_refuses_bots_with_200_and_a_word() {
    for (answer, reason) in [
        (r#"{"ok":false,"error":"token_revoked"}"#, "chat.postMessage refused: token_revoked"),
        (r#"{"ok":false,"error":"invalid_auth"}"#, "chat.postMessage refused: invalid_auth"),
        (r#"{"ok":false,"error":"account_inactive"}"#, "chat.postMessage refused: account_inactive"),
        (r#"{"ok":false,"error":"channel_not_found"}"#, "chat.postMessage refused: channel_not_found"),
        (r#"{"ok":false,"error":"not_in_channel"}"#, "chat.postMessage refused: not_in_channel"),
        (r#"{"ok":false,"error":"something_new"}"#, "chat.postMessage refused: something_new"),
    ] {
        let (outcome, _) = asked_as_bot(vec![Says::Text(200, answer)], &notices::opened()).await;
        let Err(DeliveryError::Permanent { reason: told }) = outcome else { panic!("{answer}: {outcome:?}") };
        assert!(told.starts_with(reason), "{told}");
    }
    for word in ["ratelimited", "fatal_error", "internal_error", "service_unavailable"] {
        let answer = format!(r#"{{"ok":false,"error":"{word}"}}"#).leak();
        let busy = vec![Says::With(200, "retry-after", "30", answer)];
        let (outcome, _) = asked_as_bot(busy, &notices::opened()).await;
        assert_eq!(outcome, retryable(&format!("chat.postMessage refused: {word}"), Some(30)));
    }
}

#[tokio::test]
async fn a_bot_waits_as_long_as_slack_asks_for() {
    let busy = Says::With(429, "retry-after", "30", r#"{"ok":false,"error":"ratelimited"}"#);
    let (outcome, _) = asked_as_bot(vec![busy], &notices::opened()).await;
    assert_eq!(outcome, retryable(r#"answered 429: {"ok":false,"error":"ratelimited"}"#, Some(30)));
}

#[tokio::test]
async fn a_page_of_something_in_between_is_not_slacks_answer() {
    let (outcome, _) =
        asked_as_bot(vec![Says::Text(200, "<html>log in to the Wi-Fi</html>")], &notices::opened()).await;
    assert!(matches!(outcome, Err(DeliveryError::Retryable { .. })), "{outcome:?}");
}

#[tokio::test]
async fn slack_gets_one_message_a_second() {
    assert_eq!(channel(webhook(nobody().await)).min_interval(), Duration::from_secs(1));
}

#[tokio::test]
async fn a_bots_drill_is_deleted_and_a_webhooks_stays() {
    let vendor = Vendor::saying([Says::Text(200, TAKEN), Says::Text(200, r#"{"ok":true}"#)]).await;
    let ops = channel(bot(vendor.at("/api")));
    let receipt = ops.send(&notices::opened()).await.unwrap();
    assert_eq!(ops.take_back(&notices::opened(), &receipt).await, Ok(true));
    let asked = vendor.asked().pop().unwrap();
    assert_eq!(asked.path, "/api/chat.delete");
    assert_eq!(asked.json(), serde_json::json!({"channel": "C0123456789", "ts": "1763799989.000100"}));
    let hook = Vendor::saying([Says::Text(200, "ok")]).await;
    let written = channel(webhook(hook.url.clone()));
    let receipt = written.send(&notices::opened()).await.unwrap();
    assert_eq!(written.take_back(&notices::opened(), &receipt).await, Ok(false));
    assert_eq!(hook.asked().len(), 1);
}
