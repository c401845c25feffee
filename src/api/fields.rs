//! Reads a JSON object, or a query string, field by field, and collects every fault instead of stopping at the first.
//!
//! What is left over when a handler has taken its fields is unknown, and refused by name. What a field may hold is said in
//! [`super::request`].

use serde_json::{Map, Value};

use super::problem::{ApiError, FieldError};

/// The fields not yet taken, and the faults found so far.
pub(super) struct Fields {
    left: Map<String, Value>,
    known: Vec<&'static str>,
    errors: Vec<FieldError>,
}

impl Fields {
    pub(super) fn new(object: Map<String, Value>) -> Self {
        Self { left: object, known: Vec::new(), errors: Vec::new() }
    }

    /// All that were sent, for a reader that knows its fields only from the database.
    pub(super) fn into_object(self) -> Map<String, Value> {
        self.left
    }

    /// Of a query string: every value is text.
    pub(super) fn of_query(query: Option<&str>) -> Self {
        let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self::new(pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect())
    }

    pub(super) fn fault(&mut self, field: &str, message: impl Into<String>) {
        self.errors.push(FieldError::new(field, message));
    }

    /// Something is wrong with this field already.
    pub(super) fn has_fault(&self, field: &str) -> bool {
        self.errors.iter().any(|error| error.field == field)
    }

    /// Whether the field was sent as `null`: an edit that takes something away.
    pub(super) fn is_null(&self, field: &str) -> bool {
        self.left.get(field).is_some_and(Value::is_null)
    }

    /// The value; `null` counts as not given.
    pub(super) fn take(&mut self, field: &'static str) -> Option<Value> {
        self.known.push(field);
        self.left.remove(field).filter(|value| !value.is_null())
    }

    /// What was read of a field, or why not.
    pub(super) fn noting<T>(&mut self, field: &str, read: Result<T, String>) -> Option<T> {
        read.map_err(|message| self.fault(field, message)).ok()
    }

    /// Everything was taken and nothing is wrong.
    pub(super) fn finish(mut self) -> Result<(), ApiError> {
        for field in self.left.keys() {
            let message = match self.known.as_slice() {
                [] => "unknown: this takes no parameters".to_owned(),
                known => format!("unknown field; known are {}", known.join(", ")),
            };
            self.errors.push(FieldError::new(field, message));
        }
        match self.errors.as_slice() {
            [] => Ok(()),
            [only] => Err(ApiError::field(&only.field, only.message.clone())),
            many => Err(ApiError::Invalid { detail: format!("{} fields are wrong", many.len()), errors: self.errors }),
        }
    }
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
