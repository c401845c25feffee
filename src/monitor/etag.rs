//! A strong validator of everything that a client can edit: what automation moves does not change it.

use komainu_watchdogs::ids::NodeId;
use komainu_watchdogs::opinion::Wish;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Columns;
use super::rules::is_settable;

/// Hex digits shown: 128 bits, so that two rows never share one by chance.
const DIGITS: usize = 32;

/// What a client may edit beside the columns.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ours<'a> {
    /// The name that a client chose.
    pub reference: Option<&'a str>,
    /// Channels that hear of it.
    pub channels: &'a [String],
    /// Names of tags.
    pub tags: &'a [String],
    /// Labels that its node must bear.
    pub run_on: &'a [String],
    /// Whether the watchdogs are asked before people are told.
    pub second_opinion: Option<Wish>,
    /// The set that it belongs to.
    pub managed_by: Option<&'a str>,
    /// The node that an operator bound it to. An unbound home is the leader's to choose.
    pub pinned_to: Option<&'a NodeId>,
}

/// With its quotes, as it stands in the header.
pub fn etag(columns: &Columns, ours: Ours<'_>) -> String {
    let editable: Columns = columns
        .iter()
        .filter(|(name, value)| is_settable(name) && !value.is_null())
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect();
    let whole = json!([
        editable,
        ours.reference,
        ours.channels,
        ours.tags,
        ours.run_on,
        ours.managed_by,
        ours.pinned_to.map(NodeId::as_str),
        ours.second_opinion
    ]);
    let digest = hex::encode(Sha256::digest(whole.to_string().as_bytes()));
    format!("\"{}\"", digest.get(..DIGITS).unwrap_or_default())
}
