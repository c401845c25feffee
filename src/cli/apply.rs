//! `komainu apply`: monitors, heartbeats, checks, public pages, dependencies, maintenances and nodes' settings as a file says them.
//!
//! Reads the file, reads what is there, says what differs, lets the watchdog judge all of it, and makes it so. What a file does not name is left alone, but
//! for what an earlier run of the same set made, with `--prune`. All monitors are written in one request, and all checks; a run that broke
//! off is finished by the next.

mod dependencies;
mod diff;
pub(crate) mod document;
mod fields;
mod performing;
mod plan;
mod told;
pub(super) mod yaml;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use serde_json::Value;

use self::document::Document;
use self::plan::{Act, Step, There};
use super::client::Client;
use super::output::OutputArgs;
use super::{checks, monitors, pages, print};

/// With `--dry-run --exit-code`: there are changes.
const CHANGES: u8 = 3;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What is wanted: a komainu.yaml.
    #[arg(short, long)]
    file: PathBuf,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Delete what an earlier run of the same set made and the file names no more.
    #[arg(long)]
    prune: bool,
    /// End with 3 when there are changes.
    #[arg(long, requires = "dry_run")]
    exit_code: bool,
    /// Write the secret of each new heartbeat into a file of its name in this folder, for its owner only.
    #[arg(long, value_name = "FOLDER")]
    secrets_to: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Something that is wrong with the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FileFault {
    line: usize,
    /// Empty: the file as a whole.
    field: String,
    message: String,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let file = args.file.display();
    let text = std::fs::read_to_string(&args.file).with_context(|| format!("cannot read {file}"))?;
    let document = document::read(&text).map_err(|faults| complain(&args.file, &faults))?;
    if args.prune && document.set.is_none() {
        let words = "--prune needs to know which are this file's: begin it with `set: NAME`".to_owned();
        return Err(complain(&args.file, &[FileFault::new(1, "set", words)]));
    }
    let client = args.output.client()?;
    let there = read_there(&client, &document).await?;
    let steps = plan::plan(&document, &there, args.prune).map_err(|faults| complain(&args.file, &faults))?;
    match performing::rehearse(&client, &steps).await {
        Ok(()) => {}
        Err(performing::Stopped::Faults(faults)) => return Err(complain(&args.file, &faults)),
        Err(performing::Stopped::Error(error)) => return Err(error),
    }
    if args.dry_run {
        told::say(&steps, args.output.json, true);
        let has_changes = steps.iter().any(|step| step.act != Act::Compare);
        return Ok(if args.exit_code && has_changes { ExitCode::from(CHANGES) } else { ExitCode::SUCCESS });
    }
    let done = performing::perform(&client, steps, args.secrets_to.as_deref()).await;
    // A run that was stopped before it did anything has its complaint to say, not that there was nothing to do.
    if done.stopped_by.is_none() || !done.steps.is_empty() {
        told::say(&done.steps, args.output.json, false);
    }
    match done.stopped_by {
        None => Ok(ExitCode::SUCCESS),
        Some(performing::Stopped::Faults(faults)) => Err(complain(&args.file, &faults)),
        Some(performing::Stopped::Error(error)) => Err(error),
    }
}

/// Only what the file speaks of.
async fn read_there(client: &Client, document: &Document) -> anyhow::Result<There> {
    let mut there = There::default();
    // Dependencies and maintenances may name monitors by their refs.
    if document.monitors.is_some() || document.dependencies.is_some() || document.maintenances.is_some() {
        there.monitors = list(client, monitors::PATH).await?;
    }
    if document.heartbeats.is_some() {
        there.heartbeats = list(client, "/api/v1/heartbeats").await?;
    }
    if document.checks.is_some() {
        there.checks = list(client, checks::PATH).await?;
    }
    if document.pages.is_some() {
        there.pages = list(client, pages::PATH).await?;
        for page in there.pages.iter_mut().filter_map(Value::as_object_mut) {
            if let Some(groups) = page.remove("groups") {
                page.insert("groups".to_owned(), document::bare_groups(groups));
            }
        }
    }
    if document.dependencies.is_some() {
        there.dependencies = list(client, super::dependencies::PATH).await?;
    }
    if document.maintenances.is_some() {
        there.maintenances = list(client, super::maintenances::PATH).await?;
    }
    if document.nodes.is_some() {
        there.nodes = client.list("/api/v1/nodes").await?;
    }
    Ok(there)
}

async fn list(client: &Client, path: &str) -> anyhow::Result<Vec<Value>> {
    client.list(&format!("{path}?limit=1000")).await
}

impl std::fmt::Display for FileFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// Each with its line, as compilers say it, so that editors find it.
fn complain(file: &Path, faults: &[FileFault]) -> anyhow::Error {
    for fault in faults {
        let field = if fault.field.is_empty() { String::new() } else { format!("{}: ", fault.field) };
        print::complaint(format!("{}:{}: {field}{}", file.display(), fault.line, fault.message));
    }
    let count = faults.len();
    let things = if count == 1 { "one thing is".to_owned() } else { format!("{count} things are") };
    anyhow!("{things} wrong with {}", file.display())
}

impl FileFault {
    fn new(line: usize, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { line, field: field.into(), message: message.into() }
    }
}
