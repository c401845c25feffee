//! `komainu routing`: one node for all traffic of people.

use reqwest::Method;
use serde_json::{Value, json};

use super::output::OutputArgs;

const PATH: &str = "/api/v1/routing/pin";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Send all traffic of people to this node, whatever becomes of it.
    Pin {
        /// The node's name.
        node: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Let the gateway choose again.
    Unpin(OutputArgs),
    /// Show where people's traffic goes.
    Show(OutputArgs),
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    let (answer, output) = match command {
        Command::Pin { node, output } => {
            (output.client()?.call(Method::PUT, PATH, Some(json!({"node_id": node}))).await?, output)
        }
        Command::Unpin(output) => (output.client()?.call(Method::DELETE, PATH, None).await?, output),
        Command::Show(output) => (output.client()?.call(Method::GET, PATH, None).await?, output),
    };
    output.say(&answer, || match answer.get("node_id").and_then(Value::as_str) {
        Some(node) => format!("all traffic of people goes to {node} until `komainu routing unpin`"),
        None => "the gateway chooses among the nodes that accept sessions".to_owned(),
    });
    Ok(())
}
