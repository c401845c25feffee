//! `komainu monitors import`: the monitors of an Uptime Kuma 1.x backup. Below, `komainu import`: of other services.
//!
//! Each gets the ref `kuma-backup/<its id there>`, so that a second run finds what the first one made. Everything is
//! written in one request that is taken as a whole or refused as a whole; parents are named by their refs.

pub(crate) mod backup;
mod kuma_pages;
pub(crate) mod uptimerobot;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use self::backup::{Backup, Imported};
use super::client::Client;
use super::monitors::bulk::{self, Act, BulkOutcome, Fields, ItemFault};
use super::output::OutputArgs;
use super::{monitors, print};

/// What others watch, as komainu's own.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make checks of UptimeRobot's monitors, and heartbeats of its heartbeats.
    Uptimerobot(Box<uptimerobot::Args>),
    /// Make public pages of those of an Uptime Kuma whose monitors are this cluster's.
    KumaPages(Box<kuma_pages::Args>),
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file that Kuma exported.
    file: PathBuf,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Import the others when some cannot be imported.
    #[arg(long)]
    skip_invalid: bool,
    /// Write the backup's fields over those of monitors that an earlier import made.
    #[arg(long)]
    update: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// What happened, or would.
#[derive(Debug, Default)]
struct Report {
    created: usize,
    updated: usize,
    /// There already.
    kept: usize,
    /// By name, and why.
    refused: Vec<(String, String)>,
    left_behind: BTreeSet<&'static str>,
}

/// `komainu import`.
pub(super) async fn take_over(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Uptimerobot(args) => uptimerobot::run(*args).await,
        Command::KumaPages(args) => kuma_pages::run(*args).await,
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let file = args.file.display();
    let text = std::fs::read_to_string(&args.file).with_context(|| format!("cannot read {file}"))?;
    let backup = backup::read(&text).with_context(|| format!("{file} is no backup of Uptime Kuma"))?;
    let client = args.output.client()?;
    let known = known(&client).await?;
    let Backup { version, monitors, refused, left_behind } = backup;
    if !args.output.json {
        print::line(format!("{file}: {} monitors of Uptime Kuma {version}", monitors.len() + refused.len()));
    }
    let (there, new): (Vec<_>, Vec<_>) = monitors.into_iter().partition(|one| known.contains(&one.reference));
    let mut report =
        Report { refused, left_behind, kept: if args.update { 0 } else { there.len() }, ..Report::default() };
    let mut wanted = new;
    let new_count = wanted.len();
    wanted.extend(there.into_iter().filter(|_| args.update));
    if args.dry_run {
        rehearse(&client, wanted, (&known, new_count), &mut report).await?;
    } else {
        if !report.refused.is_empty() && !args.skip_invalid {
            report.tell(&args);
            bail!("nothing was imported; --skip-invalid imports the others");
        }
        write(&client, wanted, known, &args, &mut report).await?;
    }
    report.tell(&args);
    Ok(())
}

/// Counts what would be written; the watchdog judges all of it. `new_count`: so many of the first are not there yet.
async fn rehearse(
    client: &Client,
    wanted: Vec<Imported>,
    (known, new_count): (&BTreeSet<String>, usize),
    report: &mut Report,
) -> anyhow::Result<()> {
    let reasons = match bulk::rehearse(client, monitors::PATH, &items(&wanted, known)).await? {
        BulkOutcome::Done(_) => BTreeMap::new(),
        BulkOutcome::Refused(faults) => reasons(faults),
    };
    for (at, one) in wanted.iter().enumerate() {
        match reasons.get(&at) {
            Some(reason) => report.refused.push((one.name.clone(), reason.clone())),
            None if at < new_count => report.created += 1,
            None => report.updated += 1,
        }
    }
    Ok(())
}

/// The refs of what earlier imports made.
async fn known(client: &Client) -> anyhow::Result<BTreeSet<String>> {
    let monitors = client.list(&format!("{}?limit=1000", monitors::PATH)).await?;
    let known = monitors.iter().filter_map(|monitor| monitor.get("ref")?.as_str());
    Ok(known.filter(|name| name.starts_with(backup::REF)).map(str::to_owned).collect())
}

async fn write(
    client: &Client,
    mut wanted: Vec<Imported>,
    known: BTreeSet<String>,
    args: &Args,
    report: &mut Report,
) -> anyhow::Result<()> {
    // What is refused is left out and the rest tried again; each round is shorter, so this ends.
    while !wanted.is_empty() {
        match bulk::upsert(client, monitors::PATH, &items(&wanted, &known)).await? {
            BulkOutcome::Done(done) => {
                for done in &done {
                    match done.act {
                        Act::Created => report.created += 1,
                        Act::Updated => report.updated += 1,
                        Act::Unchanged => report.kept += 1,
                    }
                }
                break;
            }
            BulkOutcome::Refused(faults) => {
                let reasons = reasons(faults);
                let name = |at: &usize| wanted.get(*at).map(|one| one.name.clone()).unwrap_or_default();
                report.refused.extend(reasons.iter().map(|(at, reason)| (name(at), reason.clone())));
                if !args.skip_invalid {
                    report.tell(args);
                    bail!("nothing was imported; --skip-invalid imports the others");
                }
                let mut at = 0..;
                wanted.retain(|_| at.next().is_none_or(|at| !reasons.contains_key(&at)));
            }
        }
    }
    Ok(())
}

/// In words, by item; fields at fault for the same reason are named together.
fn reasons(faults: Vec<ItemFault>) -> BTreeMap<usize, String> {
    let mut items: BTreeMap<usize, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for fault in faults {
        items.entry(fault.item).or_default().entry(fault.message).or_default().push(fault.field);
    }
    let words = |reasons: BTreeMap<String, Vec<String>>| {
        let parts: Vec<_> =
            reasons.iter().map(|(message, fields)| format!("{}: {message}", fields.join(", "))).collect();
        parts.join("; ")
    };
    items.into_iter().map(|(item, reasons)| (item, words(reasons))).collect()
}

/// As they are sent: a group that is neither there nor sent along is nobody's parent.
fn items(wanted: &[Imported], known: &BTreeSet<String>) -> Vec<Fields> {
    let sent: BTreeSet<&str> = wanted.iter().map(|one| one.reference.as_str()).collect();
    let item = |one: &Imported| {
        let mut fields = one.fields.clone();
        let parent = one.parent.as_ref().filter(|parent| known.contains(*parent) || sent.contains(parent.as_str()));
        fields.extend(parent.map(|parent| ("parent_ref".to_owned(), Value::from(parent.clone()))));
        fields
    };
    wanted.iter().map(item).collect()
}

impl Report {
    fn tell(&self, args: &Args) {
        if args.output.json {
            let refused: Vec<_> = self.refused.iter().map(|(name, why)| json!({"name": name, "reason": why})).collect();
            let left_behind: Vec<_> = self.left_behind.iter().map(|words| Value::from(*words)).collect();
            let report = json!({
                "dry_run": args.dry_run, "created": self.created, "updated": self.updated, "kept": self.kept,
                "refused": refused, "left_behind": left_behind,
            });
            print::line(report.to_string());
            return;
        }
        for (name, reason) in &self.refused {
            print::line(format!("cannot import {name}: {reason}"));
        }
        for words in &self.left_behind {
            print::line(format!("left behind: {words}"));
        }
        let (would, kept) = (if args.dry_run { "would be " } else { "" }, self.kept);
        let there = if kept == 0 { String::new() } else { format!(", {kept} there already and left as they are") };
        let (created, updated, refused) = (self.created, self.updated, self.refused.len());
        let updated = if updated == 0 { String::new() } else { format!(", {updated} {would}changed") };
        let refused = if refused == 0 { String::new() } else { format!(", {refused} cannot be imported") };
        print::line(format!("{created} {would}imported{updated}{there}{refused}"));
    }
}
