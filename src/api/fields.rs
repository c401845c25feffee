//! Reads a JSON object, or a query string, field by field, and collects every fault instead of stopping at the first.
//!
//! What is left over when a handler has taken its fields is unknown, and refused by name.

use std::ops::RangeInclusive;

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

    /// Text of at most so many characters.
    pub(super) fn text(&mut self, field: &'static str, most: usize) -> Option<String> {
        let value = self.take(field)?;
        match value.as_str() {
            Some(text) if text.chars().count() <= most => Some(text.to_owned()),
            Some(_) => self.refuse(field, format!("must have at most {most} characters")),
            None => self.refuse(field, format!("must be text, not {}", kind(&value))),
        }
    }

    /// Text that must be there and say something.
    pub(super) fn required_text(&mut self, field: &'static str, most: usize) -> Option<String> {
        let had_faults = self.errors.len();
        let text = self.text(field, most).filter(|text| !text.trim().is_empty());
        if text.is_none() && self.errors.len() == had_faults {
            self.fault(field, "is missing");
        }
        text
    }

    /// A whole number; of a query, its digits.
    pub(super) fn integer(&mut self, field: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.take(field)?;
        let number = value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
        match number {
            Some(number) if range.contains(&number) => Some(number),
            _ => self.refuse(field, format!("must be a whole number from {} to {}", range.start(), range.end())),
        }
    }

    /// `true` or `false`; Kuma's own 1 and 0 too.
    pub(super) fn flag(&mut self, field: &'static str) -> Option<bool> {
        let value = self.take(field)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match text.as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => self.refuse(field, "must be true or false"),
        }
    }

    /// Whether a request's query asks only to be judged (`?dry_run=true`); other names in it are refused.
    pub(super) fn wants_dry_run(query: Option<&str>) -> Result<bool, ApiError> {
        let mut fields = Self::of_query(query);
        let dry_run = fields.flag("dry_run").unwrap_or_default();
        fields.finish().map(|()| dry_run)
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, field: &'static str, most: usize) -> Option<Vec<String>> {
        let Value::Array(items) = self.take(field)? else {
            return self.refuse(field, "must be a list of texts");
        };
        let texts: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
        match texts {
            Some(texts) if texts.len() <= most => Some(texts),
            Some(_) => self.refuse(field, format!("must have at most {most} entries")),
            None => self.refuse(field, "must be a list of texts"),
        }
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

    fn refuse<T>(&mut self, field: &str, message: impl Into<String>) -> Option<T> {
        self.fault(field, message);
        None
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
