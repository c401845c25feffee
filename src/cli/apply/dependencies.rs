//! What a file says of dependencies: one section for all kinds of things, compared by ids and written in the words of the file.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::FileFault;
use super::performing::{Stopped, fault};
use super::plan::{Act, Kind, Step};
use crate::cli::client::Client;
use crate::cli::dependencies::PATH;
use crate::cli::monitors::bulk;

/// As many as the API takes in one request.
const TOGETHER: usize = 1_000;

/// Monitors by their refs, as a file names them; the API shows them by their ids.
pub(super) fn ids(monitors: &[Value]) -> BTreeMap<String, String> {
    let pair = |monitor: &Value| {
        let reference = monitor.get("ref")?.as_str()?;
        Some((format!("monitor/{reference}"), format!("monitor/{}", monitor.get("id")?.as_i64()?)))
    };
    monitors.iter().filter_map(pair).collect()
}

/// A name as the API shows it. One that is made by the same run has no id yet.
pub(super) fn shown(name: &str, ids: &BTreeMap<String, String>) -> String {
    ids.get(name).map_or_else(|| name.to_owned(), Clone::clone)
}

/// The same of a list of names.
pub(super) fn all_shown(names: &Value, ids: &BTreeMap<String, String>) -> Value {
    let Some(names) = names.as_array() else { return names.clone() };
    names.iter().map(|name| name.as_str().map_or_else(|| name.clone(), |name| shown(name, ids).into())).collect()
}

/// Lets the watchdog judge them. What names something that the same run makes is judged when it is written.
pub(super) async fn rehearse(client: &Client, steps: &[Step]) -> Result<Vec<FileFault>, Stopped> {
    let makes_something = steps.iter().any(|step| step.act == Act::Create && step.kind != Kind::Dependency);
    let own: Vec<Step> = steps.iter().filter(|step| step.kind == Kind::Dependency).cloned().collect();
    if makes_something { Ok(vec![]) } else { send(client, &own, "?dry_run=true").await }
}

/// Writes them: each request all or nothing.
pub(super) async fn write(client: &Client, steps: &[Step]) -> Result<Vec<FileFault>, Stopped> {
    send(client, steps, "").await
}

async fn send(client: &Client, steps: &[Step], query: &str) -> Result<Vec<FileFault>, Stopped> {
    for part in steps.chunks(TOGETHER) {
        let item = |step: &Step| json!({"subject": step.name, "depends_on": step.fields.get("depends_on")});
        let items: Vec<Value> = part.iter().map(item).collect();
        let path = format!("{PATH}/bulk{query}");
        let (status, answer) = client.ask(Method::POST, &path, Some(json!({ "items": items }))).await?;
        if !status.is_success() {
            let found = bulk::faults(&answer).into_iter();
            let placed: Vec<FileFault> = found
                .filter_map(|one| {
                    // A subject is the key of its line.
                    let field = if one.field == "subject" { "" } else { &one.field };
                    Some(fault(part.get(one.item)?, field, one.message))
                })
                .collect();
            let error = || Stopped::Error(client.explain(status, &answer).context("dependencies"));
            return if placed.is_empty() { Err(error()) } else { Ok(placed) };
        }
    }
    Ok(vec![])
}
