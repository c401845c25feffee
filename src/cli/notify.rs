//! `komainu notify`: tries the channels of the configuration, from this host, without the outbox; what works, watchdogs
//! that had given up on it are told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use futures_util::future::join_all;
use komainu_notifiers::template::preset;
use komainu_notifiers::{Channel, DeliveryError, EventKind, Item, Kind, Notice, Receipt, Severity};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::segment;
use super::output::OutputArgs;
use super::print;
use crate::channels::Channels;
use crate::clock;
use crate::config::Config;
use crate::store::{Store, outbox};

/// Between two looks at what became of a drill.
const DRILL_LOOK: Duration = Duration::from_millis(300);

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Send a test message and print what the vendor answers.
    Test {
        /// As the configuration calls it.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        channel: Option<String>,
        /// Through every channel.
        #[arg(long)]
        all: bool,
        /// The configuration.
        #[arg(long, default_value = "komainu.toml")]
        config: PathBuf,
    },
    /// Send a test the whole way that an alarm goes, by whichever watchdog takes it, and say how long that took and what the vendor
    /// answered. Where the vendor allows, it is taken back at once. That it fails opens `channel/NAME`.
    Drill {
        /// As the configuration calls it.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        channel: Option<String>,
        /// Through every channel.
        #[arg(long)]
        all: bool,
        /// Wait so long for the vendors.
        #[arg(long, value_parser = super::duration::parse_seconds, default_value = "60s")]
        wait: u64,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// The vendors that channels of the type `template` know, what each needs, and how its messages are written.
    Presets {
        /// Print this one, to be read or copied.
        name: Option<String>,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Test { channel, config, .. } => Box::pin(test(channel, config)).await,
        Command::Drill { channel, wait, output, .. } => Box::pin(drill(channel, wait, &output)).await,
        Command::Presets { name: Some(name) } => {
            let Some(text) = preset::text(&name) else {
                bail!("there is no preset called \"{name}\"; there are {}", preset::NAMES.join(", "));
            };
            print::line(text.trim_end());
            Ok(())
        }
        Command::Presets { name: None } => {
            print::table(["PRESET", "NEEDS"], preset::NAMES.into_iter().filter_map(needs));
            Ok(())
        }
    }
}

fn needs(name: &str) -> Option<[String; 2]> {
    let needs = preset::named(name)?.needs;
    let needs: Vec<_> = needs.into_iter().map(|(key, what)| format!("{key}: {what}")).collect();
    Some([name.to_owned(), needs.join("\n")])
}

async fn drill(channel: Option<String>, wait_s: u64, output: &OutputArgs) -> anyhow::Result<()> {
    let client = output.client()?;
    let names = if let Some(name) = channel {
        vec![name]
    } else {
        let known = client.list("/api/v1/channels").await?;
        let is_here = |channel: &&Value| channel.get("is_configured").is_some_and(|here| here == true);
        known.iter().filter(is_here).map(|channel| print::cell(channel.get("name"))).collect()
    };
    ensure!(!names.is_empty(), "the watchdog has no channel");
    let mut entered = vec![];
    for name in names {
        let path = format!("/api/v1/channels/{}/drill", segment(&name));
        let answer = client.call(Method::POST, &path, None).await?;
        entered.push((name, print::cell(answer.get("incident_id"))));
    }
    let until = clock::now() + Duration::from_secs(wait_s);
    let mut ended = vec![];
    for (name, id) in entered {
        let delivery = loop {
            let story = client.call(Method::GET, &format!("/api/v1/incidents/{id}"), None).await?;
            let delivery = story.pointer("/events/0/deliveries/0").cloned().unwrap_or_default();
            let is_over = delivery.get("state").is_some_and(|state| state != "waiting");
            if is_over || clock::now() >= until {
                break delivery;
            }
            tokio::time::sleep(DRILL_LOOK).await;
        };
        ended.push((name, id, delivery));
    }
    if output.json {
        let shown =
            ended.iter().map(|(name, id, delivery)| json!({"channel": name, "incident_id": id, "delivery": delivery}));
        print::line(shown.collect::<Value>().to_string());
    } else {
        print::table(["CHANNEL", "INCIDENT", "RESULT", "TOOK", "ANSWER"], ended.iter().map(drilled));
    }
    let failed =
        ended.iter().filter(|(.., delivery)| delivery.get("state").is_none_or(|state| state != "sent")).count();
    ensure!(
        failed == 0,
        "{failed} of {} drills did not arrive; docs/channels.md tells what the answers mean",
        ended.len()
    );
    Ok(())
}

fn drilled((name, id, delivery): &(String, String, Value)) -> [String; 5] {
    let took = delivery.get("took_ms").and_then(Value::as_u64);
    let took = took.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
    let answer = ["answer", "last_error"].map(|field| delivery.get(field).filter(|text| !text.is_null()));
    let answer = answer.into_iter().flatten().next();
    [name.clone(), id.clone(), print::cell(delivery.get("state")), took, print::cell(answer)]
}

async fn test(channel: Option<String>, file: PathBuf) -> anyhow::Result<()> {
    let config = Config::load(&file)?;
    let Some(watchdog) = &config.watchdog else {
        bail!("{}: there is no section [watchdog], and only watchdogs send messages", file.display());
    };
    let channels = Channels::prepare(&config.channels)?;
    let names: Vec<&str> = channels
        .iter()
        .map(|(name, _)| name)
        .filter(|name| channel.as_deref().is_none_or(|one| one == *name))
        .collect();
    if names.is_empty() {
        let known: Vec<&str> = channels.iter().map(|(name, _)| name).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        bail!("{}: no [[channel]] has that name; it has {known}", file.display());
    }
    let runbook = watchdog.runbook_url();
    let outcomes = join_all(names.iter().filter_map(|name| {
        let channel = Arc::clone(&channels.named(name)?.channel);
        let notice = test_notice(name, &config.cluster.name, &runbook);
        Some(async move { tried(&channel, notice).await })
    }))
    .await;
    print::table(
        ["CHANNEL", "RESULT", "ANSWER"],
        names.iter().zip(&outcomes).map(|(name, outcome)| row(name, outcome)),
    );
    let is_taken = |outcome: &Result<Receipt, _>| outcome.as_ref().is_ok_and(|receipt| receipt.missed.is_empty());
    let working = names.iter().zip(&outcomes).filter(|(_, outcome)| is_taken(outcome)).map(|(name, _)| *name);
    if let Err(error) = note_tried(&config, working).await {
        print::complaint(format!("The watchdogs learn it from their own messages: {error:#}"));
    }
    let failed = outcomes.iter().filter(|outcome| !is_taken(outcome)).count();
    if failed > 0 {
        bail!(
            "{failed} of {} channels took no message, or not for every reader; docs/channels.md tells what the answers mean",
            outcomes.len()
        );
    }
    Ok(())
}

/// Where the vendor keeps what it was told, the end of the test is told, too.
async fn tried(channel: &Channel, notice: Notice) -> Result<Receipt, DeliveryError> {
    let receipt = channel.send(&notice).await?;
    if !channel.remembers() {
        return Ok(receipt);
    }
    channel.send(&notice.over(clock::wall().0)).await
}

/// What the watchdogs gave up on for the time being they try at once.
async fn note_tried(config: &Config, channels: impl Iterator<Item = &str>) -> anyhow::Result<()> {
    let url = &config.database.url;
    // Looking at a file would make it.
    ensure!(url.exists(), "there is no database {url} yet");
    let store = Store::connect(url).await?;
    store.check_schema().await?;
    for channel in channels {
        outbox::note_tried(&store, channel).await?;
    }
    Ok(())
}

fn row(name: &str, outcome: &Result<Receipt, DeliveryError>) -> [String; 3] {
    let (result, answer) = match outcome {
        Ok(receipt) if receipt.missed.is_empty() => ("taken", receipt.answer.clone()),
        Ok(receipt) => ("taken by some", receipt.answer.clone()),
        Err(DeliveryError::Permanent { reason }) => ("refused", reason.clone()),
        Err(DeliveryError::Retryable { reason, .. }) => ("not now", reason.clone()),
        Err(DeliveryError::Unanswered { reason }) => ("no answer", reason.clone()),
        Err(DeliveryError::Unreached { reason }) => ("not reached", reason.clone()),
    };
    [name.to_owned(), result.to_owned(), answer]
}

/// Never the same twice: a vendor that drops repetitions shall not drop the second test.
fn test_notice(name: &str, cluster: &str, runbook: &str) -> Notice {
    let now_ms = clock::wall().0;
    let id = format!("test-{:016x}", rand::random::<u64>());
    let item = Item {
        incident_id: id.clone(),
        event: EventKind::Opened,
        key: format!("channel/{name}"),
        name: None,
        severity: Severity::Warning,
        summary: format!("this is only a test, sent by hand: messages through channel {name} arrive"),
        opened_at_ms: now_ms,
        first_opened_at_ms: None,
        at_ms: now_ms,
        votes: (0, 0),
        done: Vec::new(),
        runbook_url: format!("{runbook}#{}", Kind::Channel.as_str()),
        instead_of: None,
        acknowledged_by: None,
        answers: vec![],
    };
    Notice {
        id,
        cluster: cluster.to_owned(),
        items: vec![item],
        is_digest: false,
        doubt: None,
        lateness: None,
        threads: BTreeMap::new(),
        told_to: Vec::new(),
        time_zone: None,
    }
}
