//! The same cases on stock Uptime Kuma: one process of Node, which runs all of them with Kuma's own `Monitor` class.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::case::Case;
use crate::row::row;
use crate::target::Target;
use crate::verdict::{Status, Verdict};

/// The checkout, with its dependencies, if there is one.
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("KUMA_DIR")?);
    folder.join("node_modules").is_dir().then_some(folder)
}

/// What Kuma says of each, by the cases' ids.
pub(crate) async fn run(folder: &Path, monitors: &[(&Case, &Target)]) -> BTreeMap<String, Verdict> {
    let rows: Vec<Value> = monitors
        .iter()
        .zip(1..)
        .map(|((case, target), id)| {
            let before = case
                .before
                .as_ref()
                .map(|before| json!({"status": number(before.status), "ago": before.ago, "retries": before.retries}));
            json!({ "id": id, "columns": row(case, target), "children": case.children, "before": before })
        })
        .collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/kuma.js");
    let mut node = Command::new("node");
    // A node is on the network that it monitors, not behind a proxy of this machine.
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
        node.env_remove(name);
    }
    let node = node.arg(script).arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
    let mut node = node.expect("node can be started");
    node.stdin.take().unwrap().write_all(json!(rows).to_string().as_bytes()).await.unwrap();
    let output = node.wait_with_output().await.unwrap();
    let told: BTreeMap<i64, Value> = serde_json::from_slice(&output.stdout).unwrap();
    monitors.iter().zip(1..).map(|((case, _), id)| (case.id(), verdict(&told[&id]))).collect()
}

fn number(status: Status) -> i64 {
    match status {
        Status::Down => 0,
        Status::Up => 1,
        Status::Pending => 2,
    }
}

fn verdict(told: &Value) -> Verdict {
    let status = match told["status"].as_i64() {
        Some(0) => Some(Status::Down),
        Some(1) => Some(Status::Up),
        Some(2) => Some(Status::Pending),
        _ => None,
    };
    Verdict { status, says: told["msg"].as_str().map(str::to_owned) }
}
