//! Kuma's conditions: a list of expressions and groups of them, kept as JSON.
//!
//! Which variables there are is the type's business; Kuma takes an unknown one for a condition that is not met.

use serde_json::{Value as Json, json};

const OPERATORS: [&str; 14] = [
    "equals",
    "not_equals",
    "contains",
    "not_contains",
    "starts_with",
    "not_starts_with",
    "ends_with",
    "not_ends_with",
    "num_equals",
    "num_not_equals",
    "lt",
    "gt",
    "lte",
    "gte",
];

/// Groups within groups; more than this no UI shows.
const DEEPEST: u32 = 10;

/// The column's text, or what is wrong.
pub(super) fn read(sent: &Json) -> Result<Json, String> {
    ensure_list(sent, 0)?;
    Ok(json!(sent.to_string()))
}

fn ensure_list(sent: &Json, depth: u32) -> Result<(), String> {
    let items = sent.as_array().filter(|items| items.len() <= 100);
    let items = items.ok_or("must be a list of at most 100 conditions, each an expression or a group")?;
    if depth > DEEPEST {
        return Err(format!("groups lie within one another more than {DEEPEST} deep"));
    }
    items.iter().try_for_each(|item| ensure_one(item, depth))
}

fn ensure_one(item: &Json, depth: u32) -> Result<(), String> {
    let word = |key: &str| item.get(key).and_then(Json::as_str);
    if item.get("andOr").is_some_and(|and_or| !matches!(and_or.as_str(), Some("and" | "or"))) {
        return Err("andOr must be \"and\" or \"or\"".to_owned());
    }
    match word("type") {
        Some("group") => ensure_list(item.get("children").unwrap_or(&Json::Null), depth + 1),
        Some("expression") => {
            if word("variable").is_none() || word("value").is_none() {
                return Err("an expression needs the texts variable and value".to_owned());
            }
            match word("operator") {
                Some(operator) if OPERATORS.contains(&operator) => Ok(()),
                _ => Err(format!("operator must be one of {}", OPERATORS.join(", "))),
            }
        }
        _ => Err("type must be \"expression\" or \"group\"".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_kept_as_kuma_keeps_them() {
        let sent = json!([{"type": "expression", "variable": "record", "operator": "equals", "value": "1.2.3.4",
            "andOr": "and"}, {"type": "group", "andOr": "or", "children": []}]);
        assert_eq!(read(&sent).unwrap(), json!(sent.to_string()));
    }

    #[test]
    fn what_kuma_would_choke_on_is_refused() {
        for sent in [
            json!({}),
            json!([{"type": "group"}]),
            json!([{"type": "expression", "variable": "record", "operator": "is", "value": "x"}]),
            json!([{"type": "expression", "variable": "record", "operator": "equals", "value": 5}]),
            json!(["x"]),
        ] {
            assert!(read(&sent).is_err(), "{sent}");
        }
    }
}
