//! `komainu watchdogs`.

use reqwest::Method;
use serde_json::{Value, json};

use super::client::segment;
use super::output::OutputArgs;
use super::print;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show all watchdogs that registered.
    List(OutputArgs),
    /// Forget one that is gone for good: it no longer counts as a voter.
    Remove {
        /// Its name.
        id: String,
        #[command(flatten)]
        output: OutputArgs,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(output) => list(&output).await,
        Command::Remove { id, output } => {
            let path = format!("/api/v1/watchdogs/{}", segment(&id));
            output.client()?.call(Method::DELETE, &path, None).await?;
            output.say(&json!({"watchdog_id": id, "deleted": true}), || format!("removed {id}"));
            Ok(())
        }
    }
}

/// Whether one is up is a verdict, and stands in `/status`.
async fn list(output: &OutputArgs) -> anyhow::Result<()> {
    let client = output.client()?;
    let items = client.list("/api/v1/watchdogs").await?;
    if output.json {
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
