//! The secrets that komainu makes, reads and derives: the cluster key, the keys of nodes and gateways, the API keys.
//!
//! Owns their text forms and how one follows from another. Where they are kept is the business of `config` (files) and
//! `store` (hashes); what is signed with them is [`crate::signature`]'s.
//!
//! Every key is used as the ASCII bytes of its text, so that a shell with `openssl dgst -hmac` agrees with this crate.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use komainu_watchdogs::ids::NodeId;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Shorter cluster keys can be guessed offline from one signed report: 32 characters of hex carry 128 bits.
const CLUSTER_KEY_CHARS: usize = 32;

/// A node key is the hex form of an HMAC-SHA256.
const NODE_KEY_CHARS: usize = 64;

/// Every API key starts so: secret scanners and people recognise it.
const API_KEY_PREFIX: &str = "kmn_";

/// Why a text is not a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum KeyError {
    /// The file or variable is empty.
    #[error("the key is empty; `komainu keygen` prints a good one")]
    Empty,
    /// It can be guessed.
    #[error(
        "the cluster key has {chars} characters, it needs at least {CLUSTER_KEY_CHARS}; `komainu keygen` prints a good one"
    )]
    TooShort {
        /// How many it has.
        chars: usize,
    },
    /// A blank or a control character: most likely two lines, or not the key at all.
    #[error("the key holds a blank or a character that cannot be printed; it must be one word")]
    NotOneWord,
    /// Not what `komainu nodes add` prints.
    #[error("a node key is {NODE_KEY_CHARS} hex digits, as `komainu nodes add` prints it")]
    NotANodeKey,
}

/// The secret that a cluster's watchdogs share. Never leaves them.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterKey(String);

impl ClusterKey {
    /// The key of that text; blanks and line ends around it are not part of it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = one_word(text)?;
        if text.len() < CLUSTER_KEY_CHARS {
            return Err(KeyError::TooShort { chars: text.len() });
        }
        Ok(Self(text.to_owned()))
    }

    /// A new key: 256 random bits in hex.
    #[must_use]
    pub fn generate() -> Self {
        Self(hex::encode(rand::random::<[u8; 32]>()))
    }

    /// The key of one node: hex HMAC-SHA256(cluster key, `node:` + id).
    #[must_use]
    pub fn node_key(&self, node: &NodeId) -> NodeKey {
        let mut mac = hmac(self.as_bytes());
        mac.update(b"node:");
        mac.update(node.as_str().as_bytes());
        NodeKey(hex::encode(mac.finalize().into_bytes()))
    }

    /// The key of the cluster's gateways: hex HMAC-SHA256(cluster key, `gateway`).
    #[must_use]
    pub fn gateway_key(&self) -> GatewayKey {
        let mut mac = hmac(self.as_bytes());
        mac.update(b"gateway");
        GatewayKey(hex::encode(mac.finalize().into_bytes()))
    }

    /// What browsers carry of the dashboard is signed with this, for one purpose each: HMAC-SHA256(cluster key, `page:` + purpose).
    #[must_use]
    pub fn page_key(&self, purpose: &str) -> [u8; 32] {
        let mut mac = hmac(self.as_bytes());
        mac.update(b"page:");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// What HMACs are keyed with.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The secret itself, for the file it is kept in.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(…)")
    }
}

/// The secret that one node shares with the watchdogs.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeKey(String);

impl NodeKey {
    /// The key of that text; blanks and line ends around it are not part of it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = one_word(text)?;
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if text.len() != NODE_KEY_CHARS || !is_hex {
            return Err(KeyError::NotANodeKey);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// What HMACs are keyed with.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The secret itself, for the file it is kept in.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeKey(…)")
    }
}

/// The secret that the gateways share with the watchdogs: it finds the owners of push monitors, and opens nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct GatewayKey(String);

impl GatewayKey {
    /// What HMACs are keyed with.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The secret itself, for the file it is kept in.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for GatewayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatewayKey(…)")
    }
}

/// Makes API keys. The text is shown once; only its hash is kept.
#[derive(Clone, Copy, Debug)]
pub struct ApiKey;

impl ApiKey {
    /// A new key's text (`kmn_…`, 192 random bits in hex) and the hash that the database keeps.
    #[must_use]
    pub fn generate() -> (String, String) {
        let text = format!("{API_KEY_PREFIX}{}", hex::encode(rand::random::<[u8; 24]>()));
        let hash = hash_api_key(&text);
        (text, hash)
    }
}

/// Hex SHA-256 of an API key. A plain hash is enough: nobody guesses 192 random bits.
#[must_use]
pub fn hash_api_key(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// HMAC-SHA256 keyed with any number of bytes.
pub(crate) fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

fn one_word(text: &str) -> Result<&str, KeyError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(KeyError::Empty);
    }
    if text.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err(KeyError::NotOneWord);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_node_key_is_what_openssl_makes_of_the_cluster_key() {
        // printf node:node1 | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        let key = ClusterKey::parse(KEY).unwrap().node_key(&NodeId::from("node1"));
        assert_eq!(key.reveal(), "0d3d9f2824adf8d2f33581b5465a13f1680664e50bf4c5ac29dcc0857a9dd721");
        assert_eq!(NodeKey::parse(key.reveal()), Ok(key));
    }

    #[test]
    fn the_gateways_key_is_what_openssl_makes_of_the_cluster_key() {
        // printf gateway | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        let key = ClusterKey::parse(KEY).unwrap().gateway_key();
        assert_eq!(key.reveal(), "703637d5c76abeb90b9535ca62aceab7ebfc57d414e0a335a0d8e4738ea153fb");
    }

    #[test]
    fn a_line_end_is_not_part_of_a_key() {
        let key = ClusterKey::parse(&format!("{KEY}\n")).unwrap();
        assert_eq!(key.reveal(), KEY);
    }

    #[test]
    fn texts_that_are_no_good_keys_are_refused() {
        assert_eq!(ClusterKey::parse("  \n"), Err(KeyError::Empty));
        assert_eq!(ClusterKey::parse("changeme"), Err(KeyError::TooShort { chars: 8 }));
        assert_eq!(ClusterKey::parse(&format!("{KEY} {KEY}")), Err(KeyError::NotOneWord));
        assert_eq!(NodeKey::parse(KEY), Err(KeyError::NotANodeKey));
    }

    #[test]
    fn generated_keys_are_good_and_differ() {
        let key = ClusterKey::generate();
        assert_eq!(ClusterKey::parse(key.reveal()), Ok(key.clone()));
        assert_ne!(key, ClusterKey::generate());
    }

    #[test]
    fn an_api_key_is_kept_as_its_hash() {
        let (text, hash) = ApiKey::generate();
        assert!(text.starts_with("kmn_") && text.len() == 52);
        assert_eq!(hash, hash_api_key(&text));
        assert_eq!(hash_api_key("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn the_log_never_shows_a_key() {
        let key = ClusterKey::parse(KEY).unwrap();
        let shown = format!("{key:?} {:?} {:?}", key.node_key(&NodeId::from("node1")), key.gateway_key());
        assert_eq!(shown, "ClusterKey(…) NodeKey(…) GatewayKey(…)");
    }
}
