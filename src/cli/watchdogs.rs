//! `komainu watchdogs`.

use reqwest::Method;
use serde_json::Value;

use super::client::ClientArgs;
use super::print;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show all watchdogs that registered.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Forget one that is gone for good: it no longer counts as a voter.
    Remove {
        /// Its name.
        id: String,
        #[command(flatten)]
        client: ClientArgs,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { json, client } => list(&client, json).await,
        Command::Remove { id, client } => {
            client.client()?.call(Method::DELETE, &format!("/api/v1/watchdogs/{id}"), None).await?;
            print::line(format!("removed {id}"));
            Ok(())
        }
    }
}

/// Whether one is up is a verdict, and stands in `/status`.
async fn list(args: &ClientArgs, as_json: bool) -> anyhow::Result<()> {
    let client = args.client()?;
    let items = client.list("/api/v1/watchdogs").await?;
    if as_json {
        print::line(Value::from(items).to_string());
        return Ok(());
    }
    let (_, status) = client.ask(Method::GET, "/status", None).await?;
    let verdicts = status.get("watchdogs").and_then(Value::as_array).cloned().unwrap_or_default();
    let rows = items.iter().map(|item| {
        let verdict = verdicts.iter().find(|one| one.get("watchdog_id") == item.get("watchdog_id"));
        let [id, zone, host, version, advertise] =
            ["watchdog_id", "zone", "hostname", "version", "advertise"].map(|name| print::cell(item.get(name)));
        [id, print::cell(verdict.and_then(|one| one.get("status"))), zone, host, version, advertise]
    });
    print::table(["WATCHDOG", "STATUS", "ZONE", "HOST", "VERSION", "ADDRESS"], rows);
    Ok(())
}
