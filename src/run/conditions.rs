//! Conditions that a record must fulfil: what Kuma's UI makes (`monitor.conditions`), by the rules of Uptime Kuma 2.5.3,
//! `server/monitor-conditions`. Joined from left to right; neither *and* nor *or* binds stronger.

use serde::Deserialize;
use serde_json::Value as Json;

/// A tree of conditions; empty: all is well.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Conditions(Vec<Condition>);

#[derive(Clone, PartialEq, Debug, Deserialize)]
struct Condition {
    #[serde(rename = "andOr", default)]
    join: Option<String>,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Kind {
    Group {
        children: Vec<Condition>,
    },
    Expression {
        variable: String,
        operator: String,
        #[serde(default)]
        value: Json,
    },
}

impl Conditions {
    /// Reads the column.
    pub(super) fn read(column: &str) -> Result<Self, String> {
        let column = if column.trim().is_empty() { "[]" } else { column };
        serde_json::from_str(column).map(Self).map_err(|error| format!("the monitor's conditions are invalid: {error}"))
    }

    /// Whether `record` fulfils them. The error is Kuma's, for conditions that make no sense.
    pub(super) fn take(&self, record: &str) -> Result<bool, String> {
        if self.0.is_empty() { Ok(true) } else { holds(&self.0, record) }
    }
}

fn holds(conditions: &[Condition], record: &str) -> Result<bool, String> {
    let mut result = None;
    for condition in conditions {
        let own = match &condition.kind {
            Kind::Group { children } => holds(children, record)?,
            Kind::Expression { variable, .. } if variable != "record" => {
                return Err(format!("Variable missing in context: {variable}"));
            }
            Kind::Expression { operator, value, .. } => compare(operator, record, value)?,
        };
        let is_or = condition.join.as_deref() == Some("or");
        result = Some(match result {
            None => own,
            Some(before) if is_or => before || own,
            Some(before) => before && own,
        });
    }
    result.ok_or_else(|| "ConditionExpressionGroup must contain at least one child.".to_owned())
}

fn compare(operator: &str, record: &str, value: &Json) -> Result<bool, String> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let text = text.as_str();
    let numbers = || Some((record.trim().parse::<f64>().ok()?, text.trim().parse::<f64>().ok()?));
    let ordered = |is_so: fn(f64, f64) -> bool| numbers().is_some_and(|(left, right)| is_so(left, right));
    Ok(match operator {
        "equals" => record == text,
        "not_equals" => record != text,
        "contains" => record.contains(text),
        "not_contains" => !record.contains(text),
        "starts_with" => record.starts_with(text),
        "not_starts_with" => !record.starts_with(text),
        "ends_with" => record.ends_with(text),
        "not_ends_with" => !record.ends_with(text),
        // A record is a text, and a text never equals a number.
        "num_equals" => false,
        "num_not_equals" => true,
        "lt" => ordered(|left, right| left < right),
        "gt" => ordered(|left, right| left > right),
        "lte" => ordered(|left, right| left <= right),
        "gte" => ordered(|left, right| left >= right),
        other => return Err(format!("Unexpected expression operator ID '{other}'.")),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_condition_takes_any_record() {
        assert_eq!(Conditions::read("[]").unwrap().take("192.0.2.1"), Ok(true));
        assert_eq!(Conditions::read("").unwrap().take("192.0.2.1"), Ok(true));
    }

    #[test]
    fn conditions_are_joined_from_left_to_right() {
        let made = json!([
            { "type": "expression", "andOr": "and", "variable": "record", "operator": "equals", "value": "a" },
            { "type": "expression", "andOr": "or", "variable": "record", "operator": "starts_with", "value": "b" },
            { "type": "group", "andOr": "and", "children": [
                { "type": "expression", "andOr": "and", "variable": "record", "operator": "not_contains", "value": "x" },
            ] },
        ]);
        let conditions = Conditions::read(&made.to_string()).unwrap();
        let taken = ["a", "bc", "bx", "c"].map(|record| conditions.take(record).unwrap());
        assert_eq!(taken, [true, true, false, false]);
    }

    #[test]
    fn conditions_that_make_no_sense_are_told() {
        let one = |operator: &str, variable: &str| {
            let made = json!([{ "type": "expression", "variable": variable, "operator": operator, "value": "a" }]);
            Conditions::read(&made.to_string()).unwrap().take("a").unwrap_err()
        };
        assert_eq!(one("is_nice", "record"), "Unexpected expression operator ID 'is_nice'.");
        assert_eq!(one("equals", "weather"), "Variable missing in context: weather");
        assert!(Conditions::read("{}").is_err());
    }
}
