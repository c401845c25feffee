//! What differs between what is wanted and what is there, field by field. Pure.

use serde_json::{Map, Value};

use super::fields::{is_secret, is_set};

/// One field that is not as it should be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) field: String,
    pub(super) before: Value,
    pub(super) after: Value,
}

/// What differs of the fields that are named, and whether secrets are among them, which only the watchdog can compare.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Diff {
    pub(super) changes: Vec<Change>,
    pub(super) secrets: Vec<String>,
}

pub(super) fn diff(wanted: &Map<String, Value>, there: &Value) -> Diff {
    let mut found = Diff::default();
    for (field, after) in wanted {
        if is_secret(field, after, there) {
            found.secrets.push(field.clone());
            continue;
        }
        let before = there.get(field).unwrap_or(&Value::Null);
        if !is_same(field, before, after) {
            found.changes.push(Change { field: field.clone(), before: before.clone(), after: after.clone() });
        }
    }
    found
}

/// What the API would store alike.
fn is_same(field: &str, there: &Value, wanted: &Value) -> bool {
    if there == wanted || (is_nothing(there) && is_nothing(wanted)) {
        return true;
    }
    match (there, wanted) {
        (Value::Array(there), Value::Array(wanted)) if is_set(field) => sorted(there) == sorted(wanted),
        (Value::Bool(flag), Value::Number(number)) | (Value::Number(number), Value::Bool(flag)) => {
            number.as_i64() == Some(i64::from(*flag))
        }
        // 48 and 48.0.
        (Value::Number(there), Value::Number(wanted)) => there.as_f64() == wanted.as_f64(),
        // A column of JSON may be written as its text.
        (Value::Object(_) | Value::Array(_), Value::String(text)) => {
            serde_json::from_str::<Value>(text).is_ok_and(|wanted| *there == wanted)
        }
        (
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_),
            _,
        ) => false,
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

fn sorted(items: &[Value]) -> Vec<String> {
    let mut texts: Vec<_> = items.iter().map(Value::to_string).collect();
    texts.sort();
    texts.dedup();
    texts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(wanted: &Value, there: &Value) -> Vec<String> {
        let mut fields: Vec<_> =
            diff(wanted.as_object().unwrap(), there).changes.into_iter().map(|change| change.field).collect();
        fields.sort();
        fields
    }

    #[test]
    fn what_the_watchdog_would_store_alike_is_no_change() {
        let there = json!({
            "interval": 60, "timeout": 48.0, "active": true, "tags": ["b", "a"], "url": null, "run_on": [],
            "conditions": [{"a": 1}], "accepted_statuscodes": ["200-299", "404"], "retries_on": 1,
        });
        let same = json!({
            "interval": 60, "timeout": 48, "active": 1, "tags": ["a", "b"], "url": "", "run_on": null,
            "conditions": "[{\"a\": 1}]", "accepted_statuscodes": ["404", "200-299"], "retries_on": true,
        });
        assert_eq!(fields(&same, &there), [""; 0]);
        let other =
            json!({"interval": 61, "active": false, "tags": ["a"], "conditions": [], "keyword": "x", "url": null});
        assert_eq!(fields(&other, &there), ["active", "conditions", "interval", "keyword", "tags"]);
    }

    #[test]
    fn secrets_are_not_shown_and_so_not_compared_here() {
        let found = diff(json!({"basic_auth_pass": "x", "name": "a"}).as_object().unwrap(), &json!({"name": "a"}));
        assert_eq!((found.changes.len(), found.secrets), (0, vec!["basic_auth_pass".to_owned()]));
        let there = json!({"url": "http://not-shown@host/", "hidden": ["headers", "url"]});
        let wanted = json!({"url": "http://joe:s3@host/", "headers": {"Authorization": "x"}});
        let mut found = diff(wanted.as_object().unwrap(), &there);
        found.secrets.sort();
        assert_eq!((found.changes.len(), found.secrets), (0, vec!["headers".to_owned(), "url".to_owned()]));
    }
}
