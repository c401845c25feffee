//! `komainu incidents`.

use reqwest::Method;
use serde_json::{Value, json};

use super::client::with_query;
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
    /// Show who was told of one, when, how long that took, and what the vendors answered.
    Deliveries {
        /// Its number in the list.
        id: i64,
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
        Command::Deliveries { id, output } => deliveries(id, &output).await,
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

async fn deliveries(id: i64, output: &OutputArgs) -> anyhow::Result<()> {
    let story = output.client()?.call(Method::GET, &format!("/api/v1/incidents/{id}"), None).await?;
    let events = story.get("events").and_then(Value::as_array).cloned().unwrap_or_default();
    if output.json {
        print::line(Value::from(events).to_string());
        return Ok(());
    }
    let rows = events.iter().flat_map(|event| {
        let of = event.get("deliveries").and_then(Value::as_array).cloned().unwrap_or_default();
        let what = print::cell(event.get("event"));
        of.into_iter().map(move |delivery| {
            let [channel, state, message] =
                ["channel", "state", "message_id"].map(|field| print::cell(delivery.get(field)));
            let took =
                delivery.get("took_ms").and_then(Value::as_u64).map_or_else(String::new, |ms| format!("{ms} ms"));
            let said = ["answer", "last_error"].map(|field| delivery.get(field).filter(|text| !text.is_null()));
            let said = print::cell(said.into_iter().flatten().next());
            [what.clone(), channel, state, print::time(delivery.get("sent_at")), took, message, said]
        })
    });
    print::table(["EVENT", "CHANNEL", "STATE", "TAKEN", "AFTER", "MESSAGE", "ANSWER"], rows);
    Ok(())
}

async fn list(all: bool, key: Option<&String>, output: &OutputArgs) -> anyhow::Result<()> {
    // Drills and weekly lines are listed only where somebody asks for them.
    let path = with_query("/api/v1/incidents", &[("key", key.map(String::as_str))]);
    let items = output.client()?.list(&path).await?;
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
