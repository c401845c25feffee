//! `komainu monitors`: what nodes run, who runs it, and what came of it.
//!
//! A monitor is named by its id, its ref, or its name where only one has it.

pub(super) mod bulk;
pub(super) mod edited;
mod found;
mod hands;
pub(super) mod shown;
mod told;
mod waiting;

use std::time::Duration;

use clap::ValueEnum;
use reqwest::Method;
use serde_json::{Value, json};

use self::edited::Edits;
use self::found::{find, of};
use super::client::{Client, with_query};
use super::output::OutputArgs;
use super::{duration, import, print};

/// The API's path.
pub(super) const PATH: &str = "/api/v1/monitors";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show monitors.
    List {
        #[command(flatten)]
        filter: Box<Filter>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show all of one monitor.
    Show {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Make a monitor. The leader finds a node for it, unless --node names one.
    Add {
        #[command(flatten)]
        edits: Box<Edits>,
        #[command(flatten)]
        wait: WaitArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Change what is named, and nothing else.
    Edit {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        edits: Box<Edits>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Run them no more until they are resumed.
    Pause {
        #[command(flatten)]
        many: Many,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Run them again.
    Resume {
        #[command(flatten)]
        many: Many,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Delete them with their beats and statistics.
    Delete {
        #[command(flatten)]
        many: Many,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Give them another home, and bring them there.
    Move(hands::MoveArgs),
    /// Keep them on a node, whatever automation thinks, as long as it lives.
    Pin(hands::PinArgs),
    /// Let automation move them again.
    Unpin(hands::UnpinArgs),
    /// Show the last beats of one, the latest first.
    Beats {
        #[command(flatten)]
        one: One,
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show how much of the last day, week and month one was up.
    Uptime {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Make the monitors of a backup of Uptime Kuma 1.x.
    Import(import::Args),
}

/// Which one.
#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// Its id, its ref, or its name.
    monitor: String,
}

/// Which ones.
#[derive(Debug, clap::Args)]
pub(super) struct Many {
    /// Their ids, refs or names.
    #[arg(required_unless_present = "tag", value_name = "MONITOR")]
    monitors: Vec<String>,
    /// All that bear this tag.
    #[arg(long, conflicts_with = "monitors")]
    tag: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Filter {
    /// That this node runs.
    #[arg(long)]
    node: Option<String>,
    /// Whose home this node is.
    #[arg(long)]
    home: Option<String>,
    /// Of this type: `http`.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// By their last beat.
    #[arg(long)]
    status: Option<StatusArg>,
    /// Paused or not: `--active=false`.
    #[arg(long, value_name = "BOOL")]
    active: Option<bool>,
    /// With this tag.
    #[arg(long)]
    tag: Option<String>,
    /// With this in their name.
    #[arg(long)]
    text: Option<String>,
    /// Of this set: `apply/shop`.
    #[arg(long, value_name = "SET")]
    managed_by: Option<String>,
}

/// Whether to wait until something is so, and how long.
#[derive(Debug, clap::Args)]
pub(super) struct WaitArgs {
    /// Wait until it is so; exit code 1 when it does not become so in time.
    #[arg(long)]
    wait: bool,
    /// How long to wait.
    #[arg(long, requires = "wait", default_value = "60s", value_parser = duration::parse)]
    timeout: Duration,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StatusArg {
    /// All is well.
    Up,
    /// It failed.
    Down,
    /// It failed, and is being tried again.
    Pending,
    /// Nobody is told.
    Maintenance,
    /// It is not run.
    Paused,
    /// It had no beat yet.
    Unknown,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { filter, output } => list(&filter, &output).await,
        Command::Show { one, output } => show(&one, &output).await,
        Command::Add { edits, wait, output } => add(&edits, &wait, &output).await,
        Command::Edit { one, edits, output } => edit(&one, &edits, &output).await,
        Command::Pause { many, output } => switch(&many, &output, false).await,
        Command::Resume { many, output } => switch(&many, &output, true).await,
        Command::Delete { many, output } => delete(&many, &output).await,
        Command::Move(args) => hands::relocate(args).await,
        Command::Pin(args) => hands::pin(args).await,
        Command::Unpin(args) => hands::unpin(args).await,
        Command::Beats { one, limit, output } => beats(&one, limit, &output).await,
        Command::Uptime { one, output } => uptime(&one, &output).await,
        Command::Import(args) => import::run(args).await,
    }
}

async fn list(filter: &Filter, output: &OutputArgs) -> anyhow::Result<()> {
    let items = output.client()?.list(&filter.path()).await?;
    if output.json {
        print::line(Value::from(items).to_string());
    } else {
        print::table(shown::HEADINGS, items.iter().map(shown::row));
    }
    Ok(())
}

async fn show(one: &One, output: &OutputArgs) -> anyhow::Result<()> {
    let client = output.client()?;
    let monitor = client.call(Method::GET, &of(find(&client, &one.monitor).await?.id), None).await?;
    output.say(&monitor, || shown::one(&monitor));
    Ok(())
}

async fn add(edits: &Edits, wait: &WaitArgs, output: &OutputArgs) -> anyhow::Result<()> {
    let client = output.client()?;
    let body = edits.body()?;
    let added = client.call(Method::POST, PATH, Some(body.into())).await?;
    let id = added.get("id").and_then(Value::as_i64).unwrap_or_default();
    let added = if wait.wait { waiting::first_beat(&client, id, wait.timeout).await? } else { added };
    if output.json {
        print::line(added.to_string());
    } else {
        print::line(format!("made {id}: {}", print::cell(added.get("name"))));
        if wait.wait {
            print::line(shown::last_beat(&added));
        }
        if let Some(token) = added.get("push_token").and_then(Value::as_str) {
            print::line(format!("push to /api/push/{token} of its node"));
        }
    }
    Ok(())
}

async fn edit(one: &One, edits: &Edits, output: &OutputArgs) -> anyhow::Result<()> {
    let body = edits.body()?;
    anyhow::ensure!(!body.is_empty(), "nothing to change was named; see `komainu monitors edit --help`");
    let client = output.client()?;
    let path = of(find(&client, &one.monitor).await?.id);
    let edited = client.call(Method::PATCH, &path, Some(body.into())).await?;
    output.say(&edited, || shown::one(&edited));
    Ok(())
}

/// One by one: what was done before something failed stays done, and was said.
async fn switch(many: &Many, output: &OutputArgs, active: bool) -> anyhow::Result<()> {
    let client = output.client()?;
    for found in many.find(&client).await? {
        let edited = client.call(Method::PATCH, &of(found.id), Some(json!({"active": active}))).await?;
        let done = if active { "resumed" } else { "paused" };
        output.say(&edited, || format!("{done} {}: {}", found.id, found.name));
    }
    Ok(())
}

async fn delete(many: &Many, output: &OutputArgs) -> anyhow::Result<()> {
    let client = output.client()?;
    for found in many.find(&client).await? {
        client.call(Method::DELETE, &of(found.id), None).await?;
        let gone = json!({"id": found.id, "name": found.name, "deleted": true});
        output.say(&gone, || format!("deleted {}: {}", found.id, found.name));
    }
    Ok(())
}

async fn beats(one: &One, limit: u16, output: &OutputArgs) -> anyhow::Result<()> {
    let client = output.client()?;
    let path = format!("{}/beats?limit={limit}", of(find(&client, &one.monitor).await?.id));
    let page = client.call(Method::GET, &path, None).await?;
    if output.json {
        print::line(page.to_string());
        return Ok(());
    }
    let items = page.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    print::table(["TIME", "STATUS", "PING", "MESSAGE"], items.iter().map(told::beat));
    Ok(())
}

async fn uptime(one: &One, output: &OutputArgs) -> anyhow::Result<()> {
    let client = output.client()?;
    let uptime =
        client.call(Method::GET, &format!("{}/uptime", of(find(&client, &one.monitor).await?.id)), None).await?;
    if output.json {
        print::line(uptime.to_string());
    } else {
        print::table(["OF THE LAST", "UPTIME", "UP", "DOWN", "AVERAGE PING"], told::spans(&uptime));
    }
    Ok(())
}

impl Filter {
    fn path(&self) -> String {
        let status = self.status.and_then(|status| status.to_possible_value());
        let active = self.active.map(|active| active.to_string());
        let pairs = [
            ("node", self.node.as_deref()),
            ("home", self.home.as_deref()),
            ("type", self.kind.as_deref()),
            ("status", status.as_ref().map(clap::builder::PossibleValue::get_name)),
            ("active", active.as_deref()),
            ("tag", self.tag.as_deref()),
            ("text", self.text.as_deref()),
            ("managed_by", self.managed_by.as_deref()),
            // Fewer round trips: a list is read to its end.
            ("limit", Some("1000")),
        ];
        with_query(PATH, &pairs)
    }
}

impl Many {
    /// Each of them, before anything is done to one.
    async fn find(&self, client: &Client) -> anyhow::Result<Vec<found::Found>> {
        match &self.tag {
            Some(tag) => found::tagged(client, tag).await,
            None => found::all(client, &self.monitors).await,
        }
    }
}

#[cfg(test)]
mod tests;
