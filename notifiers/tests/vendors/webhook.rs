//! A receiver that follows Standard Webhooks.

use std::time::Duration;

use komainu_notifiers::webhook::{Config, SigningKey};
use komainu_notifiers::{DeliveryError, Receipt, Secret, Settings};

use super::notices::{self, NOW_MS};
use super::server::{Says, Vendor, channel, nobody};

fn key() -> SigningKey {
    SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()
}

fn settings(url: url::Url) -> Settings {
    Settings::Webhook(Config { url: Secret::new(url), key: Some(key()) })
}

async fn answered(says: Says) -> Result<Receipt, DeliveryError> {
    let vendor = Vendor::saying([says]).await;
    channel(settings(vendor.at("/hook/hunter2?token=hunter3"))).send(&notices::digest()).await
}

#[tokio::test]
async fn a_receiver_can_check_who_sent_it_and_when_and_whether_it_was_there_before() {
    let vendor = Vendor::saying([Says::Text(204, "")]).await;
    channel(settings(vendor.at("/hook"))).send(&notices::digest()).await.unwrap();
    let [asked] = vendor.asked().try_into().unwrap();
    let id = notices::digest().id;
    assert_eq!(asked.headers["webhook-id"], id);
    assert_eq!(asked.headers["webhook-timestamp"], (NOW_MS / 1_000).to_string());
    assert_eq!(asked.headers["webhook-signature"], key().sign(&id, NOW_MS / 1_000, &asked.body));
    assert_eq!(asked.json()["data"]["items"].as_array().unwrap().len(), notices::digest().items.len());
}

#[tokio::test]
async fn without_a_secret_nothing_is_signed() {
    let vendor = Vendor::saying([Says::Text(200, "")]).await;
    let settings = Settings::Webhook(Config { url: Secret::new(vendor.at("/hook")), key: None });
    channel(settings).send(&notices::opened()).await.unwrap();
    assert!(!vendor.asked()[0].headers.contains_key("webhook-signature"));
}

#[tokio::test]
async fn a_receiver_that_is_gone_or_refuses_is_not_asked_again() {
    for status in [400, 401, 404, 410, 422] {
        let outcome = answered(Says::Text(status, "no")).await;
        let reason = format!("answered {status}: no");
        assert_eq!(outcome, Err(DeliveryError::Permanent { reason }));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let outcome = answered(Says::With(307, "location", "/elsewhere", "")).await;
    let Err(DeliveryError::Permanent { reason }) = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("redirects are not followed"), "{reason}");
}

#[tokio::test]
async fn a_receiver_in_trouble_is_asked_again() {
    for status in [408, 429, 500, 503] {
        let outcome = answered(Says::With(status, "retry-after", "12", "later")).await;
        let (reason, after) = (format!("answered {status}: later"), Some(Duration::from_secs(12)));
        assert_eq!(outcome, Err(DeliveryError::Retryable { reason, after }));
    }
    assert!(matches!(answered(Says::Nothing).await, Err(DeliveryError::Unanswered { .. })));
    let nobody = channel(settings(nobody().await)).send(&notices::opened()).await;
    assert!(matches!(nobody, Err(DeliveryError::Unreached { .. })), "{nobody:?}");
}

#[tokio::test]
async fn no_error_shows_the_address() {
    for says in [Says::Text(404, "no /hook/hunter2?token=hunter3 here"), Says::Nothing] {
        let error = answered(says).await.unwrap_err();
        assert!(!format!("{error:?}").contains("hunter"), "{error:?}");
    }
}
