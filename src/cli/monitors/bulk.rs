//! Many monitors, or checks, in one request: all of them or none.

use anyhow::ensure;
use reqwest::Method;
use serde_json::{Map, Value};

use crate::cli::client::{BULK_TIMEOUT, Client, Request};

/// What the API takes in one request.
pub(in crate::cli) const MOST: usize = 10_000;

/// One of them as it is sent.
pub(in crate::cli) type Fields = Map<String, Value>;

/// What became of a request.
pub(in crate::cli) enum BulkOutcome {
    /// Of each item, in their order.
    Done(Vec<BulkDone>),
    /// Nothing was written, because of these.
    Refused(Vec<ItemFault>),
}

/// What became of one item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli) struct BulkDone {
    /// Of a monitor; none: it would be new, in a rehearsal.
    pub(in crate::cli) id: Option<i64>,
    pub(in crate::cli) act: Act,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cli) enum Act {
    Created,
    Updated,
    Unchanged,
}

/// Something that is wrong with one item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli) struct ItemFault {
    pub(in crate::cli) item: usize,
    /// Empty: the whole item.
    pub(in crate::cli) field: String,
    pub(in crate::cli) message: String,
}

/// Makes those whose ref, or name, is new, and changes the named fields of the others. `path`: of the API's list of them.
pub(in crate::cli) async fn upsert(client: &Client, path: &str, items: &[Fields]) -> anyhow::Result<BulkOutcome> {
    send(client, items, &format!("{path}/bulk?upsert=true")).await
}

/// What [`upsert`] would do.
pub(in crate::cli) async fn rehearse(client: &Client, path: &str, items: &[Fields]) -> anyhow::Result<BulkOutcome> {
    if items.is_empty() {
        return Ok(BulkOutcome::Done(vec![]));
    }
    send(client, items, &format!("{path}/bulk?upsert=true&dry_run=true")).await
}

async fn send(client: &Client, items: &[Fields], path: &str) -> anyhow::Result<BulkOutcome> {
    ensure!(items.len() <= MOST, "{} at once are too many; {MOST} can be written together", items.len());
    let body = Value::from(items.iter().cloned().map(Value::from).collect::<Vec<_>>());
    let request = Request { method: Method::POST, path, body: Some(body), timeout: Some(BULK_TIMEOUT), if_match: None };
    let answer = client.send(request).await?;
    if !answer.status.is_success() {
        let faults = faults(&answer.body);
        return if faults.is_empty() {
            Err(client.explain(answer.status, &answer.body))
        } else {
            Ok(BulkOutcome::Refused(faults))
        };
    }
    let done: Option<Vec<_>> =
        answer.body.get("items").and_then(Value::as_array).and_then(|items| items.iter().map(done).collect());
    let done = done.filter(|done| done.len() == items.len());
    done.map(BulkOutcome::Done).ok_or_else(|| anyhow::anyhow!("{} did not tell what it wrote", client.whom()))
}

fn done(item: &Value) -> Option<BulkDone> {
    let act = match item.get("change")?.as_str()? {
        "created" => Act::Created,
        "updated" => Act::Updated,
        "unchanged" => Act::Unchanged,
        _ => return None,
    };
    Some(BulkDone { id: item.get("id").and_then(Value::as_i64), act })
}

/// Those that name an item: `items[17].url`.
/// What is wrong with each, as the API says it.
pub(in crate::cli) fn faults(problem: &Value) -> Vec<ItemFault> {
    let errors = problem.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    errors
        .iter()
        .filter_map(|error| {
            let (item, field) = error.get("field")?.as_str()?.strip_prefix("items[")?.split_once(']')?;
            let field = field.strip_prefix('.').unwrap_or(field).to_owned();
            Some(ItemFault { item: item.parse().ok()?, field, message: error.get("message")?.as_str()?.to_owned() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn faults_are_found_by_item_and_field() {
        let errors = json!({"errors": [
            {"field": "items[17].url", "message": "is missing"},
            {"field": "items[3]", "message": "must be an object"},
            {"field": "upsert", "message": "must be true or false"},
        ]});
        let fault =
            |item, field: &str, message: &str| ItemFault { item, field: field.to_owned(), message: message.to_owned() };
        assert_eq!(faults(&errors), [fault(17, "url", "is missing"), fault(3, "", "must be an object")]);
    }
}
