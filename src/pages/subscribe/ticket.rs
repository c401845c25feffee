//! What the links of a subscription bear, and the secret of a webhook: they follow from the cluster's key, so any watchdog knows them, nobody guesses
//! them, and nobody who reads the database can make one.

use hmac::Mac;
use komainu_notifiers::webhook::SigningKey;

use crate::keys::{ClusterKey, hmac};

/// Hex digits of a subscriber's public id.
const ID: usize = 24;
/// Of what is made anew for each wish.
const NONCE: usize = 32;
/// Of the signature: 128 bits.
const SIGNATURE: usize = 32;

/// Of the link that confirms a wish. Another wish has another one.
pub(crate) fn to_confirm(key: &ClusterKey, slug: &str, (id, nonce): (&str, &str)) -> String {
    format!("{id}{nonce}{}", signature(key, "subscription confirmed", [slug, id, nonce]))
}

/// The subscriber and the wish that it confirms; `None`: it is none of ours.
pub(super) fn confirming<'a>(key: &ClusterKey, slug: &str, ticket: &'a str) -> Option<(&'a str, &'a str)> {
    let (id, rest) = parted(ticket, ID, ID + NONCE + SIGNATURE)?;
    let (nonce, _) = rest.split_at_checked(NONCE)?;
    is_same(ticket, &to_confirm(key, slug, (id, nonce))).then_some((id, nonce))
}

/// Of the link that ends it; good as long as there is something to end.
pub(crate) fn to_leave(key: &ClusterKey, slug: &str, id: &str) -> String {
    format!("{id}{}", signature(key, "subscription ended", [slug, id, ""]))
}

/// The subscriber that it ends.
pub(super) fn leaving<'a>(key: &ClusterKey, slug: &str, ticket: &'a str) -> Option<&'a str> {
    let (id, _) = parted(ticket, ID, ID + SIGNATURE)?;
    is_same(ticket, &to_leave(key, slug, id)).then_some(id)
}

/// What messages to a webhook are signed with.
pub(crate) fn secret(key: &ClusterKey, (id, nonce): (&str, &str)) -> SigningKey {
    let mut mac = hmac(&key.page_key("subscription secret"));
    mac.update(id.as_bytes());
    mac.update(nonce.as_bytes());
    SigningKey::of(&mac.finalize().into_bytes().into())
}

fn parted(ticket: &str, at: usize, length: usize) -> Option<(&str, &str)> {
    let is_ours = ticket.len() == length && ticket.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_ours { ticket.split_at_checked(at) } else { None }
}

/// By their hashes, so that how long it takes says nothing.
fn is_same(said: &str, known: &str) -> bool {
    crate::keys::hash_api_key(said) == crate::keys::hash_api_key(known)
}

fn signature(key: &ClusterKey, purpose: &str, parts: [&str; 3]) -> String {
    let mut mac = hmac(&key.page_key(purpose));
    for part in parts {
        mac.update(part.as_bytes());
        mac.update(b"\0");
    }
    let mut text = hex::encode(mac.finalize().into_bytes());
    text.truncate(SIGNATURE);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_for_one_page_one_subscriber_one_wish_and_one_deed() {
        let key = |letter: &str| ClusterKey::parse(&letter.repeat(64)).unwrap();
        let (id, nonce) = ("a".repeat(24), "b".repeat(32));
        let ticket = to_confirm(&key("a"), "shop", (&id, &nonce));
        assert_eq!(confirming(&key("a"), "shop", &ticket), Some((id.as_str(), nonce.as_str())));
        assert_eq!(confirming(&key("b"), "shop", &ticket), None);
        assert_eq!(confirming(&key("a"), "mail", &ticket), None);
        let end = to_leave(&key("a"), "shop", &id);
        assert_eq!(leaving(&key("a"), "shop", &end), Some(id.as_str()));
        assert_eq!((leaving(&key("a"), "shop", &ticket), confirming(&key("a"), "shop", &end)), (None, None));
        for forged in [
            "",
            "x",
            &ticket.to_uppercase(),
            &ticket[..87],
            &format!("{ticket}0"),
            &"ä".repeat(44),
            &ticket.replace('b', "c"),
        ] {
            assert_eq!(confirming(&key("a"), "shop", forged), None, "{forged}");
        }
    }

    #[test]
    fn another_wish_has_another_secret() {
        let key = ClusterKey::parse(&"a".repeat(64)).unwrap();
        assert_ne!(secret(&key, ("a", "b")).text(), secret(&key, ("a", "c")).text());
        assert!(secret(&key, ("a", "b")).text().starts_with("whsec_"));
    }
}
