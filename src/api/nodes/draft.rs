//! What a caller says of a node.

use komainu_watchdogs::ids::NodeId;
use serde_json::Value;

use crate::api::request::{Change, Count, Field, Shape, Text, Texts, request};
use crate::config;
use crate::store::nodes;

/// Monitors one node can be said to take; more is a typing error.
const MOST_CAPACITY: u32 = 1_000_000;

const MOST_WEIGHT: u32 = 10_000;

/// Its share of the load, unless said otherwise.
const WEIGHT: u32 = 100;

/// Types or labels of one node.
const MOST_ENTRIES: usize = 100;

/// Characters of a type or a label.
const MOST_CHARS: usize = 100;

request! {
    pub(in crate::api) struct NewNode {
        /// Letters, digits, dots, dashes, underscores.
        node_id: Id,
        /// Where its HTTP surface answers: `http://10.0.0.5:3001`.
        address: Address,
        /// For people; left out: its id.
        name: Option<Text<0, 100>>,
        weight: Option<Count<1, MOST_WEIGHT>> = WEIGHT,
        capacity: Option<Count<1, MOST_CAPACITY>>,
        kinds: Option<Entries>,
        labels: Option<Entries>,
    }
}

request! {
    /// Only what is named changes.
    pub(in crate::api) struct NodeChange {
        address: Option<Address>,
        name: Option<Text<0, 100>>,
        weight: Option<Count<1, MOST_WEIGHT>>,
        /// `null`: the policy's limit.
        capacity: Change<Count<1, MOST_CAPACITY>>,
        /// A native node says them itself whenever it starts.
        kinds: Option<Entries>,
        labels: Option<Entries>,
    }
}

impl From<NewNode> for nodes::NewNode {
    fn from(new: NewNode) -> Self {
        Self {
            name: new.name.unwrap_or_else(|| new.node_id.clone()),
            node_id: NodeId::from(new.node_id),
            address: new.address,
            weight: new.weight.unwrap_or(WEIGHT),
            capacity: new.capacity,
            kinds: new.kinds.unwrap_or_default(),
            labels: new.labels.unwrap_or_default(),
        }
    }
}

impl From<NodeChange> for nodes::NodeChange {
    fn from(change: NodeChange) -> Self {
        let NodeChange { address, name, weight, capacity, kinds, labels } = change;
        Self { name, address, weight, capacity, kinds, labels }
    }
}

struct Id;

impl Field for Id {
    type Value = String;

    fn read(sent: &Value) -> Result<String, String> {
        let id = <Text<1, 50>>::read(sent)?;
        config::ensure_id(&id).map(|()| id)
    }

    fn shape() -> Shape {
        <Text<1, 50>>::shape()
    }
}

struct Address;

impl Field for Address {
    type Value = String;

    fn read(sent: &Value) -> Result<String, String> {
        let text = <Text<0, 255>>::read(sent)?;
        config::parse_address(&text).map(|url| config::without_slash(&url))
    }

    fn shape() -> Shape {
        <Text<0, 255>>::shape()
    }
}

/// Types or labels. Kuma's UI says several labels with commas between them, so none holds a comma.
struct Entries;

impl Field for Entries {
    type Value = Vec<String>;

    fn read(sent: &Value) -> Result<Vec<String>, String> {
        let mut entries = <Texts<MOST_ENTRIES>>::read(sent)?;
        let is_fit = |entry: &String| {
            entry.trim() == entry && !entry.is_empty() && entry.chars().count() <= MOST_CHARS && !entry.contains(',')
        };
        if !entries.iter().all(is_fit) {
            return Err(format!("each is 1 to {MOST_CHARS} characters, without commas and without spaces around it"));
        }
        entries.sort();
        entries.dedup();
        Ok(entries)
    }

    fn shape() -> Shape {
        <Texts<MOST_ENTRIES>>::shape()
    }
}
