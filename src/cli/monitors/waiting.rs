//! Waiting until a monitor is where it should be, or has beaten.

use std::time::Duration;

use anyhow::bail;
use reqwest::Method;
use serde_json::Value;

use super::found::of;
use crate::cli::client::Client;
use crate::cli::print::cell;
use crate::clock;

/// Runs and moves take seconds: asking more often tells nothing sooner that people would notice.
const PAUSE: Duration = Duration::from_millis(500);

/// The monitor, once it had a beat.
pub(super) async fn first_beat(client: &Client, id: i64, timeout: Duration) -> anyhow::Result<Value> {
    until(client, id, timeout, |monitor| monitor.get("last_beat").is_some_and(|beat| !beat.is_null())).await.map_err(
        |monitor| match monitor {
            Late::Failed(error) => error,
            Late::Still(monitor) => {
                anyhow::anyhow!("{id} was made, and had no beat within {timeout:?}: {}", whereabouts(&monitor))
            }
        },
    )
}

/// The monitor, once this node runs it.
pub(super) async fn arrival(client: &Client, id: i64, node: &str, timeout: Duration) -> anyhow::Result<Value> {
    let arrived = until(client, id, timeout, |monitor| runs_on(monitor) == node).await;
    match arrived {
        Ok(monitor) => Ok(monitor),
        Err(Late::Failed(error)) => Err(error),
        Err(Late::Still(monitor)) => {
            bail!(
                "{id} is not on {node} within {timeout:?}: {}; it goes there as soon as it can",
                whereabouts(&monitor)
            )
        }
    }
}

enum Late {
    Failed(anyhow::Error),
    /// As it was at the end.
    Still(Value),
}

async fn until(client: &Client, id: i64, timeout: Duration, is_so: impl Fn(&Value) -> bool) -> Result<Value, Late> {
    let began = clock::now();
    loop {
        let monitor = client.call(Method::GET, &of(id), None).await.map_err(Late::Failed)?;
        if is_so(&monitor) {
            return Ok(monitor);
        }
        if clock::now().since(began) >= timeout {
            return Err(Late::Still(monitor));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// '' is nobody.
fn runs_on(monitor: &Value) -> &str {
    monitor.get("effective_node").and_then(Value::as_str).unwrap_or_default()
}

fn whereabouts(monitor: &Value) -> String {
    match runs_on(monitor) {
        "" => "no node has it; `komainu status` tells which nodes there are".to_owned(),
        node => format!("{node} has it ({}); `komainu nodes list` tells how that node is", cell(monitor.get("reason"))),
    }
}
