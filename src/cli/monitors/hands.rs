//! Moving, pinning and unpinning: the operator's word against automation's.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::found::{find, of};
use super::{Many, PATH, WaitArgs, waiting};
use crate::cli::client::Client;
use crate::cli::output::OutputArgs;
use crate::cli::print;
use crate::clock;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct MoveArgs {
    /// Their ids, refs or names.
    #[arg(value_name = "MONITOR", required_unless_present_any = ["tag", "from"], conflicts_with_all = ["tag", "from"])]
    monitors: Vec<String>,
    /// All that bear this tag.
    #[arg(long, conflicts_with = "from")]
    tag: Option<String>,
    /// All that this node runs.
    #[arg(long, value_name = "NODE")]
    from: Option<String>,
    /// Where they are to be.
    #[arg(long, value_name = "NODE")]
    to: String,
    /// Keep them there (`--pin=false`: pin them no more). Without it a pinned one is pinned to its new node.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pin: Option<bool>,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PinArgs {
    #[command(flatten)]
    many: Many,
    /// To this node instead of the one that runs them now.
    #[arg(long, value_name = "NODE")]
    to: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct UnpinArgs {
    #[command(flatten)]
    many: Many,
    #[command(flatten)]
    output: OutputArgs,
}

/// All or none: the watchdog refuses the whole when one cannot be moved, and says which.
pub(super) async fn relocate(args: MoveArgs) -> anyhow::Result<()> {
    let client = args.output.client()?;
    let mut body = args.selector(&client).await?;
    body.insert("node_id".to_owned(), args.to.clone().into());
    if let Some(pin) = args.pin {
        body.insert("pin".to_owned(), pin.into());
    }
    let moved = client.call(Method::POST, &format!("{PATH}/move"), Some(body.into())).await?;
    if args.wait.wait {
        wait(&client, &moved, &args).await?;
    }
    let of = |name: &str| print::cell(moved.get(name));
    let (done, to) = (if args.wait.wait { "moved" } else { "on their way" }, &args.to);
    args.output.say(&moved, || format!("{done} to {to}: {}; already there: {}", of("moved"), of("already_there")));
    Ok(())
}

pub(super) async fn pin(args: PinArgs) -> anyhow::Result<()> {
    let client = args.output.client()?;
    let body = args.to.as_ref().map_or_else(|| json!({}), |node| json!({"node_id": node}));
    for found in args.many.find(&client).await? {
        let monitor = client.call(Method::PUT, &pin_of(found.id), Some(body.clone())).await?;
        let node = print::cell(monitor.get("node_id"));
        args.output.say(&monitor, || format!("pinned {} to {node}: {}", found.id, found.name));
    }
    Ok(())
}

pub(super) async fn unpin(args: UnpinArgs) -> anyhow::Result<()> {
    let client = args.output.client()?;
    for found in args.many.find(&client).await? {
        let monitor = client.call(Method::DELETE, &pin_of(found.id), None).await?;
        args.output.say(&monitor, || format!("unpinned {}: {}", found.id, found.name));
    }
    Ok(())
}

fn pin_of(id: i64) -> String {
    format!("{}/pin", of(id))
}

/// One deadline for all of them.
async fn wait(client: &Client, moved: &Value, args: &MoveArgs) -> anyhow::Result<()> {
    let began = clock::now();
    let items = moved.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    for id in items.iter().filter_map(|item| item.get("id").and_then(Value::as_i64)) {
        let left: Duration = args.wait.timeout.saturating_sub(clock::now().since(began));
        waiting::arrival(client, id, &args.to, left).await?;
    }
    Ok(())
}

impl MoveArgs {
    /// Exactly one of the three.
    async fn selector(&self, client: &Client) -> anyhow::Result<Map<String, Value>> {
        let (name, value) = match (&self.tag, &self.from) {
            (Some(tag), _) => ("tag", json!(tag)),
            (None, Some(node)) => ("from_node", json!(node)),
            (None, None) => {
                let mut ids = Vec::new();
                for text in &self.monitors {
                    ids.push(find(client, text).await?.id);
                }
                ("ids", json!(ids))
            }
        };
        Ok(Map::from_iter([(name.to_owned(), value)]))
    }
}
