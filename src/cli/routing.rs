//! `komainu routing`: one node for all traffic of people.

use reqwest::Method;
use serde_json::{Value, json};

use super::client::ClientArgs;
use super::print;

const PATH: &str = "/api/v1/routing/pin";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Send all traffic of people to this node, whatever becomes of it.
    Pin {
        /// The node's name.
        node: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Let the gateway choose again.
    Unpin(ClientArgs),
    /// Show where people's traffic goes.
    Show {
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    let (answer, as_json) = match command {
        Command::Pin { node, client } => {
            (client.client()?.call(Method::PUT, PATH, Some(json!({"node_id": node}))).await?, false)
        }
        Command::Unpin(client) => (client.client()?.call(Method::DELETE, PATH, None).await?, false),
        Command::Show { json, client } => (client.client()?.call(Method::GET, PATH, None).await?, json),
    };
    if as_json {
        print::line(answer.to_string());
        return Ok(());
    }
    print::line(match answer.get("node_id").and_then(Value::as_str) {
        Some(node) => format!("all traffic of people goes to {node} until `komainu routing unpin`"),
        None => "the gateway chooses among the nodes that accept sessions".to_owned(),
    });
    Ok(())
}
