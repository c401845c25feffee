//! `komainu import uptimerobot`: UptimeRobot's monitors as checks, and its heartbeats as heartbeats.
//!
//! Says line by line what becomes of what. What is there under its name already is left as it is, unless `--update` says
//! otherwise; checks are written in one request that is taken as a whole or refused as a whole.

mod became;
mod fetching;
mod robot;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use self::became::{Became, Line};
use crate::cli::client::Client;
use crate::cli::monitors::bulk::{self, Act, BulkOutcome, Fields};
use crate::cli::output::OutputArgs;
use crate::cli::{checks, files, print};

/// Where heartbeats are.
const HEARTBEATS: &str = "/api/v1/heartbeats";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A file that holds what UptimeRobot answered: `GET /v3/monitors`, or `getMonitors` of version 2. Pages may stand one after another.
    #[arg(required_unless_present = "api_key_file", conflicts_with = "api_key_file")]
    file: Option<PathBuf>,
    /// A file with an API key of UptimeRobot, which may be a read-only one: the list is fetched with it.
    #[arg(long = "uptimerobot-key-file", value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Where UptimeRobot's API is.
    #[arg(long, value_name = "URL", default_value = "https://api.uptimerobot.com/")]
    api: Url,
    /// Say what would become of what, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Import the others when some cannot be imported.
    #[arg(long)]
    skip_invalid: bool,
    /// Write over checks and heartbeats that are there under these names.
    #[arg(long)]
    update: bool,
    /// Write the secret of each new heartbeat into a file of its name in this folder, for its owner only.
    #[arg(long, value_name = "FOLDER")]
    secrets_to: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// What has no counterpart, of whatever monitor.
const LEFT_BEHIND: &str =
    "alert contacts, maintenance windows, status pages, groups, regions, reminders of certificates and domains";

pub(in crate::cli) async fn run(args: Args) -> anyhow::Result<()> {
    let robots = match (&args.file, &args.api_key_file) {
        (Some(file), _) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            robot::read(&text).with_context(|| file.display().to_string())?
        }
        (None, Some(key)) => fetching::all(&args.api, key).await?,
        (None, None) => bail!("name a file, or --uptimerobot-key-file"),
    };
    let lines = became::all(&robots);
    let client = args.output.client()?;
    let there = There::read(&client).await?;
    let mut import =
        Import { args: &args, client: &client, there, refused: BTreeMap::new(), unchanged: BTreeSet::new() };
    import.judge(&lines).await?;
    import.tell(&lines);
    let is_refused = !import.refused.is_empty();
    if args.dry_run {
        return Ok(());
    }
    if is_refused && !args.skip_invalid {
        bail!("nothing was imported; --skip-invalid imports the others");
    }
    import.write(&lines).await
}

/// For [`crate::hostile`]: a file that calls itself a list of monitors. Each becomes something under a name that needs no escaping.
#[cfg(any(test, fuzzing))]
pub(crate) fn hostile(bytes: &[u8]) {
    let Ok(robots) = robot::read(&String::from_utf8_lossy(bytes)) else { return };
    let lines = became::all(&robots);
    assert_eq!(lines.len(), robots.len(), "each becomes something, or nothing for a reason");
    for line in lines {
        if let Became::Check(fields) = line.what {
            let _ = crate::check::Draft::read_what_can_be(&fields);
        }
    }
}

/// What bears a name already.
struct There {
    checks: BTreeSet<String>,
    /// As they are.
    heartbeats: BTreeMap<String, Value>,
}

impl There {
    async fn read(client: &Client) -> anyhow::Result<Self> {
        let named = |one: Value| Some((one.get("name")?.as_str()?.to_owned(), one));
        let checks = client.list(&format!("{}?limit=1000", checks::PATH)).await?.into_iter().filter_map(named);
        let heartbeats = client.list(&format!("{HEARTBEATS}?limit=1000")).await?.into_iter().filter_map(named);
        Ok(Self { checks: checks.map(|(name, _)| name).collect(), heartbeats: heartbeats.collect() })
    }

    fn has(&self, line: &Line) -> bool {
        match line.what {
            Became::Check(_) => self.checks.contains(&line.name),
            Became::Heartbeat(_) => self.heartbeats.contains_key(&line.name),
            Became::Nothing(_) => false,
        }
    }

    /// Whether a heartbeat is as it would become.
    fn has_all_of(&self, line: &Line) -> bool {
        let (Became::Heartbeat(fields), Some(there)) = (&line.what, self.heartbeats.get(&line.name)) else {
            return false;
        };
        fields.iter().all(|(field, value)| there.get(field) == Some(value))
    }
}

struct Import<'a> {
    args: &'a Args,
    client: &'a Client,
    there: There,
    /// Why, by the name here.
    refused: BTreeMap<String, String>,
    /// What is there already as it would become.
    unchanged: BTreeSet<String>,
}

impl Import<'_> {
    /// Lets the watchdog judge all that would be written.
    async fn judge(&mut self, lines: &[Line]) -> anyhow::Result<()> {
        for line in lines {
            if let Became::Nothing(why) = &line.what {
                self.refused.insert(line.name.clone(), why.clone());
            }
        }
        self.unchanged =
            lines.iter().filter(|line| self.there.has_all_of(line)).map(|line| line.name.clone()).collect();
        // What cannot be written stands in the way of knowing what would become of the others.
        if !self.rehearse(lines).await? {
            self.rehearse(lines).await?;
        }
        Ok(())
    }

    /// Says whether all that is wanted could be written.
    async fn rehearse(&mut self, lines: &[Line]) -> anyhow::Result<bool> {
        let wanted = self.checks(lines).into_iter();
        let (names, items): (Vec<String>, Vec<Fields>) =
            wanted.map(|(name, fields)| (name.to_owned(), fields.clone())).unzip();
        let faults = match bulk::rehearse(self.client, checks::PATH, &items).await? {
            BulkOutcome::Done(done) => {
                let same = names.into_iter().zip(done).filter(|(_, done)| done.act == Act::Unchanged);
                self.unchanged.extend(same.map(|(name, _)| name));
                return Ok(true);
            }
            BulkOutcome::Refused(faults) => faults,
        };
        for fault in faults {
            let Some(name) = names.get(fault.item) else { continue };
            let why = self.refused.entry(name.clone()).or_default();
            let words = format!("{}: {}", fault.field, fault.message);
            *why = if why.is_empty() { words } else { format!("{why}; {words}") };
        }
        Ok(false)
    }

    fn is_wanted(&self, line: &Line) -> bool {
        let is_new = !self.there.has(line);
        let is_changed = self.args.update && !self.unchanged.contains(&line.name);
        !self.refused.contains_key(&line.name) && (is_new || is_changed)
    }

    fn checks<'l>(&self, lines: &'l [Line]) -> Vec<(&'l str, &'l Fields)> {
        let wanted = lines.iter().filter(|line| self.is_wanted(line));
        let checks = wanted.filter_map(|line| match &line.what {
            Became::Check(fields) => Some((line.name.as_str(), fields)),
            Became::Heartbeat(_) | Became::Nothing(_) => None,
        });
        checks.collect()
    }

    async fn write(&self, lines: &[Line]) -> anyhow::Result<()> {
        let items: Vec<Fields> = self.checks(lines).into_iter().map(|(_, fields)| fields.clone()).collect();
        if !items.is_empty()
            && let BulkOutcome::Refused(faults) = bulk::upsert(self.client, checks::PATH, &items).await?
        {
            let first = faults.first().map(|fault| format!("{}: {}", fault.field, fault.message)).unwrap_or_default();
            bail!("somebody changed something meanwhile, and no check was imported ({first}); run it again");
        }
        for line in lines.iter().filter(|line| self.is_wanted(line)) {
            if let Became::Heartbeat(fields) = &line.what {
                self.heartbeat(&line.name, fields).await.with_context(|| line.name.clone())?;
            }
        }
        Ok(())
    }

    async fn heartbeat(&self, name: &str, fields: &Fields) -> anyhow::Result<()> {
        if self.there.heartbeats.contains_key(name) {
            let mut changes = fields.clone();
            changes.remove("name");
            self.client.call(Method::PATCH, &format!("{HEARTBEATS}/{name}"), Some(changes.into())).await?;
            return Ok(());
        }
        let made = self.client.call(Method::POST, HEARTBEATS, Some(fields.clone().into())).await?;
        let secret = made.get("secret").and_then(Value::as_str).unwrap_or_default();
        if let Some(folder) = &self.args.secrets_to {
            return keep(folder, name, secret);
        }
        print::complaint(format!(
            "the secret of {name} is not printed here: `komainu heartbeats rotate {name} --overlap 0s` prints a new one"
        ));
        Ok(())
    }

    fn tell(&self, lines: &[Line]) {
        if self.args.output.json {
            let items: Vec<Value> = lines.iter().map(|line| self.json(line)).collect();
            print::line(json!({"dry_run": self.args.dry_run, "items": items, "left_behind": LEFT_BEHIND}).to_string());
            return;
        }
        for line in lines {
            print::line(self.words(line));
            for words in line.without.iter().filter(|_| !self.refused.contains_key(&line.name)) {
                print::line(format!("    without {words}"));
            }
        }
        let new = lines.iter().filter(|line| self.is_wanted(line)).count();
        let would = if self.args.dry_run { "would be imported" } else { "to import" };
        let there = lines.iter().filter(|line| self.there.has(line) && !self.is_wanted(line)).count();
        print::line(format!("{new} {would}, {there} there already, {} cannot be imported", self.refused.len()));
        print::line(format!("left behind of all: {LEFT_BEHIND}"));
    }

    fn fate(&self, line: &Line) -> (&'static str, &'static str) {
        let kind = match line.what {
            Became::Check(_) => "check",
            Became::Heartbeat(_) => "heartbeat",
            Became::Nothing(_) => "nothing",
        };
        if self.refused.contains_key(&line.name) {
            return (kind, "refused");
        }
        if !self.there.has(line) {
            return (kind, "new");
        }
        (kind, if self.is_wanted(line) { "changed" } else { "kept" })
    }

    fn words(&self, line: &Line) -> String {
        let theirs = if line.theirs.is_empty() { "(without a name)" } else { &line.theirs };
        match (self.refused.get(&line.name), self.fate(line)) {
            (Some(why), _) => format!("cannot import {theirs}: {why}"),
            (None, (kind, act)) => format!("{theirs} -> {kind} {} ({act})", line.name),
        }
    }

    fn json(&self, line: &Line) -> Value {
        let (kind, act) = self.fate(line);
        json!({
            "theirs": line.theirs, "kind": kind, "name": line.name, "act": act, "without": line.without,
            "reason": self.refused.get(&line.name),
        })
    }
}

fn keep(folder: &Path, name: &str, secret: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    files::write_secret(&folder.join(name), secret)
        .with_context(|| format!("{name} was made; `komainu heartbeats rotate {name}` makes another secret"))
}
