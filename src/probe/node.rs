//! A node's `/api/v1/health`, and the hint that its assignment changed.

use komainu_watchdogs::ids::{MonitorId, NodeId};
use komainu_watchdogs::time::Wall;
use serde::Deserialize;

use super::{ProbeError, answer, reason};
use crate::keys::ClusterKey;
use crate::node::server::REREAD;
use crate::{clock, signature};

/// Where a node listens for hints.
const RECONCILE: &str = "/api/v1/reconcile-monitors";

/// The part of the answer that says who answers.
#[derive(Deserialize)]
struct Health {
    node_id: String,
    /// Whether the database answers it.
    database: Option<bool>,
}

/// Any well-formed answer of this very node, a 503 too, counts: whether it is well is told by its lease and its beats, and
/// whether the database answers it by itself.
pub(super) async fn probe(http: &reqwest::Client, id: &NodeId, address: Option<&str>) -> Result<(), ProbeError> {
    let address = address.filter(|address| !address.is_empty()).ok_or(ProbeError::NoAddress)?;
    let url = format!("{}/api/v1/health", address.trim_end_matches('/'));
    let answer = http.get(url).send().await.map_err(|error| reason(&error))?;
    let status = answer.status();
    let body = answer::read(answer).await?;
    let malformed = |found| ProbeError::Malformed { expected: "node", found };
    let health: Health =
        serde_json::from_slice(&body).map_err(|_| malformed(format!("HTTP {} without node_id", status.as_u16())))?;
    if health.node_id != id.as_str() {
        return Err(malformed(format!("node {} answers", health.node_id)));
    }
    if health.database == Some(false) { Err(ProbeError::Blind) } else { Ok(()) }
}

/// Signed with the node's own key.
pub(super) async fn hint(
    http: &reqwest::Client,
    key: &ClusterKey,
    node: &NodeId,
    address: &str,
) -> Result<(), ProbeError> {
    send(http, key, node, &format!("{}{RECONCILE}", address.trim_end_matches('/'))).await.map(drop)
}

/// Asks a node to read a monitor's row now; when it did, on its own clock. `None`: it cannot say.
pub(super) async fn reread(
    http: &reqwest::Client,
    key: &ClusterKey,
    (node, address): (&NodeId, &str),
    monitor: MonitorId,
) -> Result<Option<Wall>, ProbeError> {
    let url = format!("{}{RECONCILE}?{REREAD}={monitor}", address.trim_end_matches('/'));
    let body = answer::read(send(http, key, node, &url).await?).await?;
    Ok(serde_json::from_slice::<Reread>(&body).ok().and_then(|answer| answer.reread_ms).map(Wall))
}

#[derive(Deserialize)]
struct Reread {
    reread_ms: Option<i64>,
}

/// For [`crate::hostile`]: whoever answers where a node is looked for.
#[cfg(any(test, fuzzing))]
pub(crate) fn hostile(bytes: &[u8]) {
    let _ = serde_json::from_slice::<Health>(bytes);
    let _ = serde_json::from_slice::<Reread>(bytes);
}

async fn send(
    http: &reqwest::Client,
    key: &ClusterKey,
    node: &NodeId,
    url: &str,
) -> Result<reqwest::Response, ProbeError> {
    let node_key = key.node_key(node);
    let signed = signature::sign(node_key.as_bytes(), clock::wall(), "POST", RECONCILE, b"");
    http.post(url).header(signature::HEADER, signed).send().await.map_err(|error| reason(&error))
}
