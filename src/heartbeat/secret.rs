//! The secrets of heartbeats, and the signatures made with them.
//!
//! A secret is not stored: it is base64url of HMAC-SHA256(cluster key, `heartbeat:NAME:NONCE`), with a nonce that each
//! rotation draws anew. Senders key their HMAC with the ASCII bytes of that text. Which secrets hold at a moment is
//! [`Secrets`]'; where nonces are kept is the store's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::keys::{ClusterKey, hmac as hmac_sha256};

/// The header of a push: `sha256=<hex>`.
pub const HEADER: &str = "X-Hub-Signature-256";

/// The header of legacy senders: hex of HMAC-SHA1, with or without `sha1=`.
pub const LEGACY_HEADER: &str = "X-Hub-Signature";

/// The secret of one heartbeat under one nonce.
#[must_use]
pub fn derive(key: &ClusterKey, name: &str, nonce: &str) -> String {
    let mut mac = hmac_sha256(key.as_bytes());
    for part in ["heartbeat:", name, ":", nonce] {
        mac.update(part.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

/// A new nonce: 128 random bits in hex.
#[must_use]
pub fn draw_nonce() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

/// What a push brings along to prove where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Proof<'a> {
    /// The value of [`HEADER`].
    pub sha256: Option<&'a str>,
    /// The value of [`LEGACY_HEADER`].
    pub sha1: Option<&'a str>,
}

/// The secrets that hold for a heartbeat now.
#[derive(Clone, Debug)]
pub struct Secrets {
    texts: Vec<String>,
    allow_sha1: bool,
}

impl Secrets {
    /// Any of these texts; signatures with SHA-1 only where they are allowed.
    #[must_use]
    pub fn new(texts: Vec<String>, allow_sha1: bool) -> Self {
        Self { texts, allow_sha1 }
    }

    /// Whether one of them signed these raw bytes. Comparisons take constant time. A sender that knows SHA-256 is
    /// judged by that alone.
    #[must_use]
    pub fn have_signed(&self, body: &[u8], proof: Proof<'_>) -> bool {
        match (proof.sha256, proof.sha1) {
            (Some(header), _) => self.match_sha256(body, header),
            (None, Some(header)) if self.allow_sha1 => self.match_sha1(body, header),
            (None, _) => false,
        }
    }

    fn match_sha256(&self, body: &[u8], header: &str) -> bool {
        let claimed = header.trim().strip_prefix("sha256=").and_then(|digits| hex::decode(digits).ok());
        let Some(claimed) = claimed else { return false };
        self.texts.iter().any(|secret| {
            let mut mac = hmac_sha256(secret.as_bytes());
            mac.update(body);
            mac.verify_slice(&claimed).is_ok()
        })
    }

    fn match_sha1(&self, body: &[u8], header: &str) -> bool {
        let header = header.trim();
        let claimed = hex::decode(header.strip_prefix("sha1=").unwrap_or(header)).ok();
        let Some(claimed) = claimed else { return false };
        self.texts.iter().any(|secret| {
            let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of every length");
            mac.update(body);
            mac.verify_slice(&claimed).is_ok()
        })
    }
}

/// The value of [`HEADER`] for a body.
#[must_use]
pub fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = hmac_sha256(secret.as_bytes());
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";
    const NONCE: &str = "00112233445566778899aabbccddeeff";
    const BODY: &[u8] = br#"{"time": 1763800000.25}"#;

    fn secrets(allow_sha1: bool) -> Secrets {
        Secrets::new(vec!["old".to_owned(), "s3cret".to_owned()], allow_sha1)
    }

    fn sha256(header: &str) -> Proof<'_> {
        Proof { sha256: Some(header), sha1: None }
    }

    fn sha1(header: &str) -> Proof<'_> {
        Proof { sha256: None, sha1: Some(header) }
    }

    #[test]
    fn a_secret_is_what_openssl_makes_of_key_name_and_nonce() {
        // printf heartbeat:backup:NONCE | openssl dgst -sha256 -hmac KEY -binary | basenc --base64url | tr -d =
        let key = ClusterKey::parse(KEY).unwrap();
        assert_eq!(derive(&key, "backup", NONCE), "y_ru4sEH677ZUPP48Pkh-gWBgb1h0EtzYpnK5fmiahY");
        assert_ne!(derive(&key, "backup", NONCE), derive(&key, "backup", &draw_nonce()));
        assert_ne!(derive(&key, "backup", NONCE), derive(&key, "backup2", NONCE));
    }

    #[test]
    fn a_signature_is_what_openssl_makes_of_the_raw_body() {
        // printf '{"time": 1763800000.25}' | openssl dgst -sha256 -hmac s3cret
        let signed = sign("s3cret", BODY);
        assert_eq!(signed, "sha256=ba02f96650e736d4bfa20442a83431af383c25b148d22cdd3b90ae8dd74c24f3");
        assert!(secrets(false).have_signed(BODY, sha256(&signed)));
        assert!(secrets(false).have_signed(BODY, sha256(&sign("old", BODY))));
        assert!(!secrets(false).have_signed(br#"{"time":1763800000.25}"#, sha256(&signed)));
        assert!(!secrets(false).have_signed(BODY, sha256(&sign("other", BODY))));
    }

    #[test]
    fn sha1_counts_only_where_it_is_allowed_with_or_without_its_prefix() {
        // printf '{"time": 1763800000.25}' | openssl dgst -sha1 -hmac s3cret
        let digits = "14ecadfa2c64aea5d3d2e14563c81946fea9281d";
        for header in [digits.to_owned(), format!("sha1={digits}")] {
            assert!(secrets(true).have_signed(BODY, sha1(&header)), "{header}");
            assert!(!secrets(false).have_signed(BODY, sha1(&header)), "{header}");
        }
        // A wrong SHA-256 is not made good by a right SHA-1.
        let both = Proof { sha256: Some("sha256=00"), sha1: Some(digits) };
        assert!(!secrets(true).have_signed(BODY, both));
    }

    #[test]
    fn garbage_is_no_signature() {
        for header in ["", "sha256=", "sha256=zz", "sha512=00", "00"] {
            assert!(!secrets(true).have_signed(BODY, sha256(header)), "{header}");
            assert!(!secrets(true).have_signed(BODY, sha1(header)), "{header}");
        }
        assert!(!secrets(true).have_signed(BODY, Proof { sha256: None, sha1: None }));
    }
}
