//! What a monitor may be: the columns of Kuma's `monitor`, what each takes, and what each type needs.
//!
//! Pure: reads what a client sent ([`Draft`]), judges it against the table of this database ([`Table`]) and against the
//! row that is there, and says which columns are to be written. A row that Kuma or a native node would choke on is never
//! made; a row that somebody else made is judged only by what the client changes of it. Stores nothing.

mod conditions;
mod draft;
mod etag;
mod kinds;
mod plan;
mod rules;
mod secrecy;
mod table;
mod value;

use std::collections::BTreeMap;

use serde_json::Value as Json;

pub(crate) use draft::names as read_names;
pub use draft::{Draft, MOST_NAMES, NODE_CHARS, REF_CHARS};
pub use etag::{Ours, etag};
pub use kinds::{KINDS, needs_group};
pub use plan::{created, edited};
pub use rules::{Form, field_of, form, is_always_shown, is_json, is_settable, known_columns, secrecy, stored_kind};
pub use secrecy::{Secrecy, holds_credentials, veiled};
pub use table::{Column, Kind, Table};
pub use value::{HOST_CHARS, URL_CHARS};
pub(crate) use value::{flag as read_flag, kind as kind_of_json, real as read_real, whole as read_whole};

/// Columns of one row by name: flags as `true` and `false`, numbers and texts as they are, JSON columns as their text.
pub type Columns = BTreeMap<String, Json>;

/// Something that is wrong with one field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldFault {
    /// Its name, as a client sends it.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
    /// It contradicts what is there, rather than being wrong by itself.
    pub is_conflict: bool,
}

impl FieldFault {
    /// Wrong by itself.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), is_conflict: false }
    }

    /// Contradicts what is there.
    pub fn conflict(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { is_conflict: true, ..Self::new(field, message) }
    }
}

/// A field as people write it, `ignore_tls=true`: the value as JSON where it is JSON, else as the text that it is.
pub(crate) fn parse_setting(text: &str) -> Result<(String, Json), String> {
    let (name, value) = text.split_once('=').ok_or("write FIELD=VALUE")?;
    if name.is_empty() {
        return Err("write FIELD=VALUE".to_owned());
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| Json::from(value));
    Ok((name.to_owned(), value))
}

/// A text column that says something.
fn text<'a>(columns: &'a Columns, column: &str) -> Option<&'a str> {
    columns.get(column).and_then(Json::as_str).filter(|text| !text.trim().is_empty())
}
