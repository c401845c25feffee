//! Pushbullet tells quota, revoked tokens and its rate limit apart, so we do.

use std::time::Duration;

use komainu_notifiers::pushbullet::{Config, Target};
use komainu_notifiers::{DeliveryError, Receipt, Secret, Settings};

use super::notices;
use super::server::{Says, Vendor, channel, nobody};

fn settings(api_url: url::Url) -> Settings {
    let token = Secret::new("o.hunter2".to_owned());
    Settings::Pushbullet(Config { token, target: Target::AllDevices, api_url })
}

async fn answered(says: Says) -> Result<Receipt, DeliveryError> {
    let vendor = Vendor::saying([says]).await;
    channel(settings(vendor.url.clone())).send(&notices::opened()).await
}

async fn refused(says: Says) -> String {
    let outcome = answered(says).await;
    let Err(DeliveryError::Permanent { reason }) = outcome else { panic!("{outcome:?}") };
    assert!(!reason.contains("hunter2"), "{reason}");
    reason
}

#[tokio::test]
async fn a_push_bears_the_token_and_a_guid_that_is_the_same_each_time() {
    let vendor = Vendor::saying([Says::Text(200, r#"{"iden":"ujpah72o0sjAoRtnM0jc"}"#)]).await;
    let phone = channel(settings(vendor.url.clone()));
    for _ in 0..2 {
        phone.send(&notices::opened()).await.unwrap();
    }
    for asked in vendor.asked() {
        assert_eq!(asked.path, "/v2/pushes");
        assert_eq!(asked.headers["access-token"], "o.hunter2");
        assert_eq!(asked.json()["guid"], notices::opened().id);
    }
}

#[tokio::test]
async fn a_used_up_quota_is_told_as_one() {
    let quota = r#"{"error":{"code":"pushbullet_pro_required","type":"invalid_request","message":"Pushbullet Pro is required to make this call.","cat":""},"error_code":"pushbullet_pro_required"}"#;
    let reason = refused(Says::Text(400, quota)).await;
    assert!(reason.contains("quota is used up") && reason.contains("500 pushes a month"), "{reason}");
}

#[tokio::test]
async fn a_revoked_token_is_told_as_one() {
    let revoked = r#"{"error":{"code":"invalid_access_token","type":"invalid_request","message":"Access token is missing or invalid.","cat":"(=^‥^=)"},"error_code":"invalid_access_token"}"#;
    for status in [401, 403] {
        let reason = refused(Says::Text(status, revoked)).await;
        assert!(reason.contains("does not accept the access token (Access token is missing or invalid.)"), "{reason}");
    }
}

#[tokio::test]
async fn a_malformed_push_is_refused_for_good() {
    let reason = refused(Says::Text(400, r#"{"error":{"type":"invalid_request","message":"device not found"}}"#)).await;
    assert!(reason.contains("device not found"), "{reason}");
}

#[tokio::test]
async fn the_rate_limit_says_when_it_begins_anew() {
    let outcome = answered(Says::With(429, "x-ratelimit-reset", "1763800090", "{}")).await;
    let Err(DeliveryError::Retryable { after, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(after, Some(Duration::from_secs(90)));
}

#[tokio::test]
async fn trouble_of_the_server_passes() {
    for status in [500, 502, 503] {
        assert!(matches!(answered(Says::Text(status, "")).await, Err(DeliveryError::Retryable { .. })));
    }
    assert!(matches!(answered(Says::Nothing).await, Err(DeliveryError::Unanswered { .. })));
    let nobody = channel(settings(nobody().await)).send(&notices::opened()).await;
    assert!(matches!(nobody, Err(DeliveryError::Unreached { .. })), "{nobody:?}");
}

#[tokio::test]
async fn a_drills_push_is_deleted_by_its_iden_and_one_without_stays() {
    let said = Says::Text(200, r#"{"iden":"ujpah72o0sjAoRtnM0jc"}"#);
    let vendor = Vendor::saying([said, Says::Text(200, "{}")]).await;
    let phone = channel(settings(vendor.url.clone()));
    let receipt = phone.send(&notices::opened()).await.unwrap();
    assert_eq!(receipt.vendor_ref.as_deref(), Some("ujpah72o0sjAoRtnM0jc"));
    assert_eq!(phone.take_back(&notices::opened(), &receipt).await, Ok(true));
    let asked = vendor.asked().pop().unwrap();
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("DELETE", "/v2/pushes/ujpah72o0sjAoRtnM0jc"));
    assert_eq!(asked.headers["access-token"], "o.hunter2");
    let odd = Vendor::saying([Says::Text(200, r#"{"iden":"../../v2/users/me"}"#)]).await;
    let phone = channel(settings(odd.url.clone()));
    let receipt = phone.send(&notices::opened()).await.unwrap();
    assert_eq!(receipt.vendor_ref, None, "no address is made of that");
    assert_eq!(phone.take_back(&notices::opened(), &receipt).await, Ok(false));
}
