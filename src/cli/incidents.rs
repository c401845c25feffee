//! `komainu incidents`.

use reqwest::Method;
use serde_json::{Value, json};

use super::output::OutputArgs;
use super::print;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show what is wrong.
    List {
        /// What is over, too.
        #[arg(long)]
        all: bool,
        /// A kind (node), or kind and subject (node/node1).
        #[arg(long)]
        key: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Say that you take care of it: nobody is reminded of it any more.
    Ack {
        /// Its number in the list.
        id: i64,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Say that it is over; what is wrong still opens anew.
    Resolve {
        /// Its number in the list.
        id: i64,
        /// Why, for whoever is told and for the audit trail.
        #[arg(long)]
        why: String,
        #[command(flatten)]
        output: OutputArgs,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { all, key, output } => list(all, key.as_ref(), &output).await,
        Command::Ack { id, output } => {
            let incident = output.client()?.call(Method::POST, &format!("/api/v1/incidents/{id}/ack"), None).await?;
            output.say(&incident, || format!("acknowledged: {}", print::cell(incident.get("key"))));
            Ok(())
        }
        Command::Resolve { id, why, output } => {
            let (path, body) = (format!("/api/v1/incidents/{id}/resolve"), json!({"why": why}));
            let incident = output.client()?.call(Method::POST, &path, Some(body)).await?;
            output.say(&incident, || format!("resolved: {}", print::cell(incident.get("key"))));
            Ok(())
        }
    }
}

async fn list(all: bool, key: Option<&String>, output: &OutputArgs) -> anyhow::Result<()> {
    let items = output.client()?.list("/api/v1/incidents").await?;
    let is_wanted = |item: &&Value| {
        let is_open = item.get("resolved_at").is_none_or(Value::is_null);
        let has_key = |key: &String| {
            let found = item.get("key").and_then(Value::as_str).unwrap_or_default();
            found == key || found.split_once('/').is_some_and(|(kind, _)| kind == key)
        };
        (all || is_open) && key.is_none_or(has_key)
    };
    let items: Vec<_> = items.iter().filter(is_wanted).cloned().collect();
    if output.json {
        print::line(Value::from(items).to_string());
        return Ok(());
    }
    let rows = items.iter().map(|item| {
        let [id, key, severity, by, summary] =
            ["id", "key", "severity", "acknowledged_by", "summary"].map(|name| print::cell(item.get(name)));
        let opened = print::opened(item.get("opened_at"), item.get("first_opened_at"));
        [id, key, severity, opened, print::time(item.get("resolved_at")), by, summary]
    });
    print::table(["ID", "KEY", "SEVERITY", "OPENED", "RESOLVED", "ACKNOWLEDGED BY", "SUMMARY"], rows);
    Ok(())
}
