//! `komainu cluster freeze|thaw`.

use reqwest::Method;
use serde_json::Value;

use super::client::ClientArgs;
use super::print;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Stop all automatic moves; alerts go on.
    Freeze(ClientArgs),
    /// Let automation move monitors again.
    Thaw(ClientArgs),
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    let (client, act, done) = match &command {
        Command::Freeze(client) => (client, "freeze", "frozen: nothing moves by itself until `komainu cluster thaw`"),
        Command::Thaw(client) => (client, "thaw", "thawed: automation moves monitors again"),
    };
    let answer = client.client()?.call(Method::POST, &format!("/api/v1/cluster/{act}"), None).await?;
    let changed = answer.get("changed").and_then(Value::as_bool).unwrap_or(true);
    print::line(if changed { done.to_owned() } else { format!("{done} (it was so before)") });
    Ok(())
}
