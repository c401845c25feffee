//! `komainu nodes drain`: empties a node and, with `--wait`, ends when it is empty.
//!
//! Empty is what the cluster says of it, `drained`: the node's process acknowledged an assignment in which it owns
//! nothing. Until then it may still be running something.

use std::time::Duration;

use anyhow::bail;
use reqwest::Method;
use serde_json::{Value, json};

use super::{find, of};
use crate::cli::client::Client;
use crate::cli::output::OutputArgs;
use crate::cli::{duration, print};
use crate::clock;

/// Between two looks at the node.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The node's name.
    id: String,
    /// Pinned monitors go along, and return with the others.
    #[arg(long)]
    move_pinned: bool,
    /// Do not end before the node runs nothing any more.
    #[arg(long)]
    wait: bool,
    /// How long to wait; the drain goes on afterwards.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration::parse, requires = "wait")]
    timeout: Duration,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let (id, client) = (&args.id, args.output.client()?);
    let body = json!({"move_pinned": args.move_pinned});
    let mut node = client.call(Method::POST, &format!("{}/drain", of(id)), Some(body)).await?;
    if !args.wait {
        args.output
            .say(&node, || format!("asked: {id} is being emptied, and stays empty until `komainu nodes resume {id}`"));
        if is_frozen(&client).await {
            print::complaint("the cluster is frozen: nothing leaves it until `komainu cluster thaw`");
        }
        return Ok(());
    }
    let begin = clock::now();
    loop {
        match text(&node, "overlay") {
            "drained" => {
                args.output.say(&node, || format!("{id} is drained: it runs nothing"));
                return Ok(());
            }
            "none" => bail!("somebody resumed {id} meanwhile"),
            _ => {}
        }
        if clock::now().since(begin) >= args.timeout {
            let left = match node.get("monitors").and_then(Value::as_u64) {
                Some(1) => "1 monitor".to_owned(),
                _ => format!("{} monitors", print::cell(node.get("monitors"))),
            };
            if is_frozen(&client).await {
                bail!("{id} is not drained: the cluster is frozen, nothing leaves it until `komainu cluster thaw`");
            }
            bail!("{id} is not drained yet: it still runs {left}; the drain goes on, `komainu nodes show {id}`");
        }
        tokio::time::sleep(LOOK).await;
        node = find(&client, id).await?;
    }
}

/// Frozen, a drain waits for the thaw; without an answer nothing is said of it.
async fn is_frozen(client: &Client) -> bool {
    // 503 tells of the cluster just as well.
    let status = client.ask(Method::GET, "/status", None).await;
    status.is_ok_and(|(_, status)| status.get("frozen").and_then(Value::as_bool).unwrap_or_default())
}

fn text<'a>(node: &'a Value, name: &str) -> &'a str {
    node.get(name).and_then(Value::as_str).unwrap_or_default()
}
