//! Reads what a caller says of a node.

use komainu_watchdogs::ids::NodeId;

use crate::api::fields::Fields;
use crate::api::problem::ApiError;
use crate::config;
use crate::store::nodes::{NewNode, NodeChange};

/// Monitors one node can be said to take; more is a typing error.
const MOST_CAPACITY: i64 = 1_000_000;

/// Types or labels of one node.
const MOST_ENTRIES: usize = 100;

/// Characters of a type or a label.
const MOST_CHARS: usize = 100;

/// A node to be added.
pub(super) fn new(mut fields: Fields) -> Result<NewNode, ApiError> {
    let id = fields.required_text("node_id", 50).unwrap_or_default();
    if let (false, Err(rule)) = (id.is_empty(), config::ensure_id(&id)) {
        fields.fault("node_id", rule);
    }
    let address = fields.required_text("address", 255).and_then(|text| address(&mut fields, &text));
    let new = NewNode {
        name: fields.text("name", 100).unwrap_or_else(|| id.clone()),
        node_id: NodeId::from(id),
        address: address.unwrap_or_default(),
        weight: weight(&mut fields).unwrap_or(NewNode::default().weight),
        capacity: capacity(&mut fields),
        kinds: entries(&mut fields, "kinds").unwrap_or_default(),
        labels: entries(&mut fields, "labels").unwrap_or_default(),
    };
    fields.finish().map(|()| new)
}

/// What is to change; what is not named stays.
pub(super) fn change(mut fields: Fields) -> Result<NodeChange, ApiError> {
    let address = fields.text("address", 255).and_then(|text| address(&mut fields, &text));
    let takes_policys_limit = fields.is_null("capacity");
    let capacity = capacity(&mut fields);
    let change = NodeChange {
        name: fields.text("name", 100),
        address,
        weight: weight(&mut fields),
        capacity: if takes_policys_limit { Some(None) } else { capacity.map(Some) },
        kinds: entries(&mut fields, "kinds"),
        labels: entries(&mut fields, "labels"),
    };
    fields.finish().map(|()| change)
}

fn address(fields: &mut Fields, text: &str) -> Option<String> {
    match config::parse_address(text) {
        Ok(url) => Some(config::without_slash(&url)),
        Err(rule) => {
            fields.fault("address", rule);
            None
        }
    }
}

fn weight(fields: &mut Fields) -> Option<u32> {
    fields.integer("weight", 1..=10_000).and_then(|number| u32::try_from(number).ok())
}

fn capacity(fields: &mut Fields) -> Option<u32> {
    fields.integer("capacity", 1..=MOST_CAPACITY).and_then(|number| u32::try_from(number).ok())
}

/// Kuma's UI says several labels with commas between them, so none holds a comma.
fn entries(fields: &mut Fields, field: &'static str) -> Option<Vec<String>> {
    let mut entries = fields.texts(field, MOST_ENTRIES)?;
    let is_fit = |entry: &String| {
        entry.trim() == entry && !entry.is_empty() && entry.chars().count() <= MOST_CHARS && !entry.contains(',')
    };
    if !entries.iter().all(is_fit) {
        let rule = format!("each is 1 to {MOST_CHARS} characters, without commas and without spaces around it");
        fields.fault(field, rule);
        return None;
    }
    entries.sort();
    entries.dedup();
    Some(entries)
}
