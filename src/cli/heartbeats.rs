//! `komainu heartbeats`: which programs are expected to report, and how they are.
//!
//! [`snippet`] is what `--print` prints, [`shown`] what people read.

mod shown;

use clap::ValueEnum;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::client::{Client, segment};
use super::output::OutputArgs;
use super::{duration, print};
use crate::heartbeat::snippet::{self, Kind, Schedule, Values};

/// The API's path.
const PATH: &str = "/api/v1/heartbeats";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Expect a program to report, and print the secret it signs with, this once.
    Add {
        /// 1 to 100 of A-Z a-z 0-9 . _ -, the first a letter or a digit.
        name: String,
        #[command(flatten)]
        schedule: ScheduleArgs,
        #[command(flatten)]
        settings: Settings,
        /// Print a program that sends, with the secret in it.
        #[arg(long, value_name = "LANGUAGE")]
        print: Option<Kind>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show all heartbeats.
    List {
        /// Only those in this state.
        #[arg(long)]
        state: Option<StateArg>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show one heartbeat with its last pushes.
    Show {
        /// Its name.
        name: String,
        /// How many pushes.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
        pushes: u16,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Change what is named, and nothing else.
    Edit {
        /// Its name.
        name: String,
        #[command(flatten)]
        schedule: EditedScheduleArgs,
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Call them late no more until they are resumed; pushes are taken all the same.
    Pause {
        #[command(flatten)]
        many: Many,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Wait for them again: each is due by its schedule from now.
    Resume {
        #[command(flatten)]
        many: Many,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Make a new secret and print it, this once.
    Rotate {
        /// Its name.
        name: String,
        /// How long the old secret stays good.
        #[arg(long, default_value = "24h", value_parser = duration::parse_seconds)]
        overlap: u64,
        /// Print a program that sends, with the new secret in it.
        #[arg(long, value_name = "LANGUAGE")]
        print: Option<Kind>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Expect it no more, and forget its history.
    Delete {
        /// Its name.
        name: String,
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// Which ones.
#[derive(Debug, clap::Args)]
pub(super) struct Many {
    /// Their names.
    #[arg(required = true)]
    names: Vec<String>,
}

/// When it has to report: a new heartbeat needs one of the two.
#[derive(Debug, clap::Args)]
pub(super) struct ScheduleArgs {
    /// At least this often: `24h`, `90s`.
    #[arg(long, value_parser = duration::parse_seconds, required_unless_present = "cron", conflicts_with = "cron")]
    period: Option<u64>,
    /// At these times: `"0 3 * * *"`.
    #[arg(long)]
    cron: Option<String>,
    /// Of the cron times: `Europe/Berlin`.
    #[arg(long, requires = "cron", conflicts_with = "period")]
    time_zone: Option<String>,
}

/// When it has to report from now on, where that changes.
#[derive(Debug, clap::Args)]
pub(super) struct EditedScheduleArgs {
    /// At least this often: `24h`, `90s`.
    #[arg(long, value_parser = duration::parse_seconds, conflicts_with = "cron")]
    period: Option<u64>,
    /// At these times: `"0 3 * * *"`.
    #[arg(long)]
    cron: Option<String>,
    /// Of the cron times: `Europe/Berlin`.
    #[arg(long)]
    time_zone: Option<String>,
}

/// The rest of a heartbeat.
#[derive(Debug, clap::Args)]
pub(super) struct Settings {
    /// How long after it was due it counts as late.
    #[arg(long, value_parser = duration::parse_seconds)]
    grace: Option<u64>,
    /// How long a run may take from its start; `none`: for ever.
    #[arg(long, value_parser = parse_limit)]
    max_runtime: Option<Value>,
    /// When the first push is due: `2026-03-01T03:00:00+01:00`. Without it nothing is late before the first push.
    #[arg(long, value_name = "TIME")]
    first_due: Option<Timestamp>,
    /// How much it matters.
    #[arg(long)]
    severity: Option<SeverityArg>,
    /// Channels to tell instead of those of the routes, with commas between them.
    #[arg(long, value_delimiter = ',')]
    channels: Option<Vec<String>>,
    /// Words for routes to match, with commas between them.
    #[arg(long, value_delimiter = ',')]
    tags: Option<Vec<String>>,
    /// For people.
    #[arg(long)]
    description: Option<String>,
    /// Take the old `X-Hub-Signature` with SHA-1 too (`--allow-sha1=false`: no more).
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    allow_sha1: Option<bool>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum SeverityArg {
    /// Look at it in the morning.
    Warning,
    /// Get up.
    Critical,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum StateArg {
    /// Never seen.
    New,
    /// In time.
    Up,
    /// Overdue.
    Late,
    /// Its last run failed.
    Failed,
}

impl SeverityArg {
    /// As the API says it.
    pub(super) fn word(self) -> String {
        word(&self)
    }
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Add { name, schedule, settings, print, output } => {
            let mut body = settings.body();
            body.insert("name".to_owned(), name.into());
            schedule.fill(&mut body);
            let client = output.client()?;
            let added = client.call(Method::POST, PATH, Some(body.into())).await?;
            secret(&client, &added, print, output.json);
            Ok(())
        }
        Command::List { state, output } => list(state, &output).await,
        Command::Show { name, pushes, output } => show(&name, pushes, &output).await,
        Command::Edit { name, schedule, settings, output } => {
            let mut body = settings.body();
            let EditedScheduleArgs { period, cron, time_zone } = schedule;
            ScheduleArgs { period, cron, time_zone }.fill(&mut body);
            anyhow::ensure!(!body.is_empty(), "nothing to change was named; see `komainu heartbeats edit --help`");
            let edited = output.client()?.call(Method::PATCH, &of(&name), Some(body.into())).await?;
            output.say(&edited, || shown::one(&edited));
            Ok(())
        }
        Command::Pause { many, output } => switch(&many, &output, true).await,
        Command::Resume { many, output } => switch(&many, &output, false).await,
        Command::Rotate { name, overlap, print, output } => {
            let client = output.client()?;
            let body = json!({"overlap_s": overlap});
            let rotated = client.call(Method::POST, &format!("{}/rotate", of(&name)), Some(body)).await?;
            secret(&client, &rotated, print, output.json);
            if !output.json {
                print::complaint(format!("the old secret stays good for {}", duration::friendly(overlap)));
            }
            Ok(())
        }
        Command::Delete { name, output } => {
            output.client()?.call(Method::DELETE, &of(&name), None).await?;
            output.say(&json!({"name": name, "deleted": true}), || format!("deleted {name}"));
            Ok(())
        }
    }
}

/// One by one: what was done before something failed stays done, and was said.
async fn switch(many: &Many, output: &OutputArgs, paused: bool) -> anyhow::Result<()> {
    let client = output.client()?;
    for name in &many.names {
        let edited = client.call(Method::PATCH, &of(name), Some(json!({"paused": paused}))).await?;
        output.say(&edited, || format!("{} {name}", if paused { "paused" } else { "resumed" }));
    }
    Ok(())
}

/// Says the secret, in a program if one was asked for.
fn secret(client: &Client, heartbeat: &Value, kind: Option<Kind>, as_json: bool) {
    let name = print::cell(heartbeat.get("name"));
    let secret = print::cell(heartbeat.get("secret"));
    match kind {
        Some(kind) => {
            let schedule = Schedule::of(heartbeat);
            print::line(snippet::text(kind, &Values { name, url: client.whom(), secret, schedule }));
        }
        None if as_json => print::line(heartbeat.to_string()),
        None => {
            print::line(&secret);
            print::complaint(format!(
                "that is the secret of {name}, shown this once; `komainu send {name}` finds it in the file that \
                 KOMAINU_HEARTBEAT_SECRET_FILE names; --print curl|python|node|systemd prints programs that send"
            ));
        }
    }
}

async fn list(state: Option<StateArg>, output: &OutputArgs) -> anyhow::Result<()> {
    let path = state.map_or_else(|| PATH.to_owned(), |state| format!("{PATH}?state={}", word(&state)));
    let items = output.client()?.list(&path).await?;
    if output.json {
        print::line(Value::from(items).to_string());
    } else {
        print::table(["NAME", "STATE", "SCHEDULE", "LAST", "DEADLINE"], items.iter().map(shown::row));
    }
    Ok(())
}

async fn show(name: &str, pushes: u16, output: &OutputArgs) -> anyhow::Result<()> {
    let client = output.client()?;
    let mut heartbeat = client.call(Method::GET, &of(name), None).await?;
    let history = client.call(Method::GET, &format!("{}/pushes?limit={pushes}", of(name)), None).await?;
    let items = history.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    if output.json {
        if let Some(object) = heartbeat.as_object_mut() {
            object.insert("pushes".to_owned(), items.into());
        }
        print::line(heartbeat.to_string());
        return Ok(());
    }
    print::line(shown::one(&heartbeat));
    print::line("");
    print::table(["AT", "STATUS", "DURATION", "EXIT", "BY", "MESSAGE"], items.iter().map(shown::push));
    Ok(())
}

/// The path of one. A name with other characters than the API takes is asked for as it is, and refused there.
fn of(name: &str) -> String {
    format!("{PATH}/{}", segment(name))
}

/// As the command line and the API both write it.
fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

impl ScheduleArgs {
    fn fill(self, body: &mut Map<String, Value>) {
        let mut fill = |name: &str, value: Option<Value>| value.and_then(|value| body.insert(name.to_owned(), value));
        fill("period_s", self.period.map(Value::from));
        fill("cron", self.cron.map(Value::from));
        fill("time_zone", self.time_zone.map(Value::from));
    }
}

impl Settings {
    /// What was named.
    fn body(self) -> Map<String, Value> {
        let fields = [
            ("grace_s", self.grace.map(Value::from)),
            ("max_runtime_s", self.max_runtime),
            ("first_due", self.first_due.map(|at| at.as_millisecond().into())),
            ("severity", self.severity.map(|severity| word(&severity).into())),
            ("channels", self.channels.map(words)),
            ("tags", self.tags.map(words)),
            ("description", self.description.map(Value::from)),
            ("allow_sha1", self.allow_sha1.map(Value::from)),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

fn parse_limit(text: &str) -> Result<Value, String> {
    if text == "none" { Ok(Value::Null) } else { duration::parse_seconds(text).map(Value::from) }
}

/// `--tags ""` says that there are none.
fn words(list: Vec<String>) -> Value {
    list.into_iter().map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect::<Vec<_>>().into()
}

#[cfg(test)]
mod tests;
