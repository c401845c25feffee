//! Which monitor is meant: by id, ref or name.

use anyhow::{anyhow, bail};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::PATH;
use crate::cli::client::{Client, with_query};
use crate::cli::print;

/// A monitor that is there.
pub(super) struct Found {
    pub(super) id: i64,
    pub(super) name: String,
}

/// The path of one.
pub(super) fn of(id: i64) -> String {
    format!("{PATH}/{id}")
}

/// Digits are an id, unless no monitor has it; then, like any other text, a ref or else a name.
pub(super) async fn find(client: &Client, text: &str) -> anyhow::Result<Found> {
    if let Ok(id) = text.parse::<i64>() {
        let (status, answer) = client.ask(Method::GET, &of(id), None).await?;
        if status.is_success() {
            return found(&answer);
        }
        if status != StatusCode::NOT_FOUND {
            return Err(client.explain(status, &answer));
        }
    }
    let by_ref = client.list(&with_query(PATH, &[("ref", Some(text))])).await?;
    if let Some(monitor) = by_ref.first() {
        return found(monitor);
    }
    let alike = client.list(&with_query(PATH, &[("text", Some(text)), ("limit", Some("1000"))])).await?;
    let named: Vec<_> = alike.iter().filter(|monitor| print::cell(monitor.get("name")) == text).collect();
    match named.as_slice() {
        [] => bail!("there is no monitor with the id, ref or name {text}; `komainu monitors list` shows them"),
        [monitor] => found(monitor),
        several => {
            let ids: Vec<_> = several.iter().map(|monitor| print::cell(monitor.get("id"))).collect();
            bail!("{} monitors have the name {text}; name one by its id: {}", several.len(), ids.join(", "))
        }
    }
}

pub(super) async fn all(client: &Client, texts: &[String]) -> anyhow::Result<Vec<Found>> {
    let mut all = Vec::new();
    for text in texts {
        all.push(find(client, text).await?);
    }
    Ok(all)
}

pub(super) async fn tagged(client: &Client, tag: &str) -> anyhow::Result<Vec<Found>> {
    let monitors = client.list(&with_query(PATH, &[("tag", Some(tag)), ("limit", Some("1000"))])).await?;
    anyhow::ensure!(!monitors.is_empty(), "no monitor bears the tag {tag}");
    monitors.iter().map(found).collect()
}

fn found(monitor: &Value) -> anyhow::Result<Found> {
    let id = monitor
        .get("id")
        .and_then(Value::as_i64)
        .ok_or_else(|| anyhow!("the watchdog told of a monitor without id"))?;
    Ok(Found { id, name: print::cell(monitor.get("name")) })
}
