//! What a client says of one monitor: which columns it names, and which of komainu's own fields.

use komainu_watchdogs::ids::NodeId;
use komainu_watchdogs::opinion::Wish;
use serde_json::{Map, Value as Json};

use super::rules;
use super::table::Table;
use super::value::{self, kind};
use super::{Columns, FieldFault};

/// Nothing that is not named here is changed.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Draft {
    /// Columns by name; NULL: back to nothing, or to what the column starts with.
    pub columns: Columns,
    /// The name that the client chose for it.
    pub reference: Option<String>,
    /// The ref of the group that it belongs to, in the place of its key.
    pub parent_ref: Option<String>,
    /// Channels that hear of it.
    pub channels: Option<Vec<String>>,
    /// Names of tags.
    pub tags: Option<Vec<String>>,
    /// Labels that its node must bear.
    pub run_on: Option<Vec<String>>,
    /// Whether the watchdogs are asked before people are told; `Some(None)`: its tags or the configuration say.
    pub second_opinion: Option<Option<Wish>>,
    /// The set that it belongs to; `Some(None)`: none.
    pub managed_by: Option<Option<String>>,
    /// Its home.
    pub node_id: Option<NodeId>,
    /// Bound to its home.
    pub pinned: Option<bool>,
}

/// What the API shows and nobody sends.
const SHOWN_ONLY: [&str; 9] =
    ["assigned_node", "created_at", "effective_node", "id", "last_beat", "made_by", "opinion", "reason", "status"];

/// Characters of a ref, and of the name of a set.
pub const REF_CHARS: usize = 150;
/// Tags, channels or labels of one monitor.
pub const MOST_NAMES: usize = 100;
/// Characters of a node's id.
pub const NODE_CHARS: usize = 50;
const NAME_CHARS: usize = 100;

const WISHES: &str = "must be off, note or require";

impl Draft {
    /// The fields that can be read, and what is wrong with the others: for judging the rest of it too.
    pub fn read_what_can_be(fields: &Map<String, Json>, table: &Table) -> (Self, Vec<FieldFault>) {
        let mut draft = Self::default();
        let mut faults = vec![];
        for (field, sent) in fields {
            let taken = match draft.take_own(field, sent) {
                Some(taken) => taken,
                None => draft.take_column(field, sent, table),
            };
            faults.extend(taken.err().map(|message| FieldFault::new(field, message)));
        }
        faults.extend(draft.parent_fault(table));
        (draft, faults)
    }

    fn parent_fault(&self, table: &Table) -> Option<FieldFault> {
        self.parent_ref.as_ref()?;
        if table.column("parent").is_none() {
            return Some(FieldFault::new("parent_ref", "this database's table `monitor` has no column `parent`"));
        }
        let is_named_twice = self.columns.get("parent").is_some_and(|parent| !parent.is_null());
        is_named_twice.then(|| FieldFault::new("parent_ref", "name the group by parent or by parent_ref, not by both"))
    }

    /// `None`: it is none of komainu's own.
    fn take_own(&mut self, field: &str, sent: &Json) -> Option<Result<(), String>> {
        Some(match field {
            "ref" => name(sent, REF_CHARS).map(|reference| self.reference = reference.or(self.reference.take())),
            "parent_ref" => name(sent, REF_CHARS).map(|group| self.parent_ref = group),
            "channels" => names(sent).map(|channels| self.channels = Some(channels)),
            "tags" => names(sent).map(|tags| self.tags = Some(tags)),
            "run_on" => names(sent).map(|labels| self.run_on = Some(labels)),
            "second_opinion" => wish(sent).map(|wish| self.second_opinion = Some(wish)),
            "managed_by" => name(sent, REF_CHARS).map(|set| self.managed_by = Some(set)),
            "node_id" => node(sent).map(|node| self.node_id = node),
            "pinned" => match sent {
                Json::Null => Ok(()),
                Json::Bool(pinned) => {
                    self.pinned = Some(*pinned);
                    Ok(())
                }
                Json::Number(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => {
                    Err("must be true or false".to_owned())
                }
            },
            _ => return None,
        })
    }

    fn take_column(&mut self, field: &str, sent: &Json, table: &Table) -> Result<(), String> {
        if SHOWN_ONLY.contains(&field) {
            return Err("is shown, not set".to_owned());
        }
        let column_name = column_of(field, table);
        let Some(column) = table.column(&column_name).filter(|_| rules::is_settable(&column_name)) else {
            return Err(unknown(field));
        };
        if column_name != field && field.ends_with("_json") {
            return Err(unknown(field));
        }
        let value = if sent.is_null() { Json::Null } else { value::read(&column_name, column, sent)? };
        self.columns.insert(column_name, value);
        Ok(())
    }
}

/// JSON columns are named without their suffix.
fn column_of(field: &str, table: &Table) -> String {
    let suffixed = format!("{field}_json");
    if table.column(&suffixed).is_some() { suffixed } else { field.to_owned() }
}

fn unknown(field: &str) -> String {
    if let Some(bare) = field.strip_suffix("_json") {
        return format!("unknown field; JSON columns are sent as JSON: {bare}");
    }
    if rules::form(field).is_some() {
        return "this database's table `monitor` has no such column: it is of another version of Kuma, or without one"
            .to_owned();
    }
    "unknown field: it is neither a column of this database's table `monitor` nor one of ref, parent_ref, tags, channels, \
     run_on, second_opinion, managed_by, node_id, pinned"
        .to_owned()
}

/// An empty one is none.
fn name(sent: &Json, most: usize) -> Result<Option<String>, String> {
    match sent {
        Json::Null => Ok(None),
        Json::String(text) if text.contains(char::is_control) => Err("must not hold control characters".to_owned()),
        // MariaDB takes a name with and without spaces at its end for the same.
        Json::String(text) if text.trim() != text => Err("must not begin or end with spaces".to_owned()),
        Json::String(text) if text.chars().count() <= most => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Json::String(_) => Err(format!("must have at most {most} characters")),
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
            Err(format!("must be text, not {}", kind(sent)))
        }
    }
}

/// Sorted, each once: their order says nothing.
pub(crate) fn names(sent: &Json) -> Result<Vec<String>, String> {
    let items = match sent {
        Json::Null => return Ok(vec![]),
        Json::Array(items) if items.len() <= MOST_NAMES => items,
        Json::Array(_) => return Err(format!("must have at most {MOST_NAMES} entries")),
        Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_) => {
            return Err("must be a list of texts".to_owned());
        }
    };
    let mut names = items
        .iter()
        .map(|item| name(item, NAME_CHARS)?.ok_or_else(|| "must be a list of texts, none of them empty".to_owned()))
        .collect::<Result<Vec<_>, String>>()?;
    names.sort();
    names.dedup();
    Ok(names)
}

fn wish(sent: &Json) -> Result<Option<Wish>, String> {
    match sent {
        Json::Null => Ok(None),
        Json::String(text) if text.is_empty() => Ok(None),
        Json::String(text) => Wish::parse(text).map(Some).ok_or_else(|| WISHES.to_owned()),
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => Err(WISHES.to_owned()),
    }
}

fn node(sent: &Json) -> Result<Option<NodeId>, String> {
    let Some(id) = name(sent, NODE_CHARS)? else { return Ok(None) };
    crate::config::ensure_id(&id).map(|()| Some(NodeId::from(id)))
}
