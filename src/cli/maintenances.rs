//! `komainu maintenances`: windows in which somebody works on something.

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::client::segment;
use super::output::OutputArgs;
use super::silences::StateArg;
use super::{duration, print};

/// The API's path.
pub(super) const PATH: &str = "/api/v1/maintenances";

/// What a file may say of one.
pub(super) const FIELDS: [&str; 10] = [
    "title",
    "subjects",
    "starts_at",
    "ends_at",
    "duration_s",
    "cron",
    "lasts_s",
    "time_zone",
    "public_title",
    "public_text",
];

/// The place of one.
pub(super) fn of(name: &str) -> String {
    format!("{PATH}/{}", segment(name))
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a window: what its subjects have to do with is not told while it is on; what is still bad then is told at its end.
    Add {
        /// 1 to 60 of A-Z a-z 0-9 . _ -, the first a letter or a digit.
        name: String,
        #[command(flatten)]
        edits: Box<Edits>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show the windows that are not over.
    List {
        /// Only those that are so far.
        #[arg(long)]
        state: Option<StateArg>,
        /// What is over, too.
        #[arg(long, conflicts_with = "state")]
        all: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show all of one window.
    Show {
        /// Its name.
        name: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Change what is named, and nothing else.
    Edit {
        /// Its name.
        name: String,
        #[command(flatten)]
        edits: Box<Edits>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// End the time that is on now; one that comes again does so.
    End {
        /// Their names.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Delete windows.
    Delete {
        /// Their names.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Edits {
    /// What is done, for people; public pages do not show it.
    #[arg(long)]
    title: Option<String>,
    /// monitor/7, monitor/REF, check/shop, heartbeat/backup, node/node1 or tag/shop; any of them is enough.
    #[arg(long = "on", value_name = "SUBJECT", num_args = 1..)]
    subjects: Vec<String>,
    /// From then on, instead of now: `2027-03-01T03:00:00+01:00`.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Until then.
    #[arg(long, value_name = "TIME", conflicts_with = "duration")]
    until: Option<Timestamp>,
    /// For so long from its start: `2h`.
    #[arg(long, short, value_parser = duration::parse_seconds)]
    duration: Option<u64>,
    /// It begins again at these times: `"0 2 * * 0"`.
    #[arg(long)]
    cron: Option<String>,
    /// So long each time: `2h`.
    #[arg(long, value_parser = duration::parse_seconds)]
    lasts: Option<u64>,
    /// Of the cron times: `Europe/Berlin`.
    #[arg(long)]
    time_zone: Option<String>,
    /// Public pages that show one of its monitors, checks, heartbeats or tags say this, a week before it begins. Empty: nothing any more.
    #[arg(long)]
    public_title: Option<String>,
    /// And this, with more words.
    #[arg(long)]
    public_text: Option<String>,
}

impl Edits {
    fn body(self) -> Map<String, Value> {
        let ms = |at: Timestamp| Value::from(at.as_millisecond());
        // An empty text takes one away.
        let text = |text: String| if text.is_empty() { Value::Null } else { text.into() };
        let is_silent = self.public_title.as_deref() == Some("");
        let all = [
            ("title", self.title.map(Value::from)),
            ("subjects", Some(self.subjects).filter(|all| !all.is_empty()).map(|all| json!(all))),
            ("starts_at", self.from.map(ms)),
            ("ends_at", self.until.map(ms)),
            ("duration_s", self.duration.map(Value::from)),
            ("cron", self.cron.map(text)),
            ("lasts_s", self.lasts.map(Value::from)),
            ("time_zone", self.time_zone.map(Value::from)),
            ("public_title", self.public_title.map(text)),
            ("public_text", self.public_text.map(text).or(is_silent.then_some(Value::Null))),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Add { name, edits, output } => {
            let mut body = edits.body();
            body.insert("name".to_owned(), name.into());
            let made = output.client()?.call(Method::POST, PATH, Some(Value::Object(body))).await?;
            output.say(&made, || told(&made));
            Ok(())
        }
        Command::List { state, all, output } => list((state, all), &output).await,
        Command::Show { name, output } => {
            let shown = output.client()?.call(Method::GET, &of(&name), None).await?;
            output.say(&shown, || whole(&shown));
            Ok(())
        }
        Command::Edit { name, edits, output } => {
            let edits = Value::Object(edits.body());
            let shown = output.client()?.call(Method::PATCH, &of(&name), Some(edits)).await?;
            output.say(&shown, || told(&shown));
            Ok(())
        }
        Command::End { names, output } => {
            let client = output.client()?;
            for name in names {
                let ended = client.call(Method::POST, &format!("{}/end", of(&name)), None).await?;
                output.say(&ended, || told(&ended));
            }
            Ok(())
        }
        Command::Delete { names, output } => {
            let client = output.client()?;
            for name in names {
                let gone = client.call(Method::DELETE, &of(&name), None).await?;
                output.say(&gone, || format!("{name} is deleted"));
            }
            Ok(())
        }
    }
}

async fn list((state, all): (Option<StateArg>, bool), output: &OutputArgs) -> anyhow::Result<()> {
    let path = state.map_or_else(|| PATH.to_owned(), |state| format!("{PATH}?state={}", state.as_str()));
    let mut items = output.client()?.list(&path).await?;
    items.retain(|item| all || state.is_some() || item.get("state").is_none_or(|state| state != "expired"));
    if output.json {
        print::line(Value::from(items).to_string());
        return Ok(());
    }
    let rows = items.iter().map(|item| {
        let [name, title, state, held] =
            ["name", "title", "state", "held_incidents"].map(|name| print::cell(item.get(name)));
        [name, title, state, subjects(item), times(item), held]
    });
    print::table(["NAME", "TITLE", "STATE", "ON", "WHEN", "HOLDS"], rows);
    Ok(())
}

/// In one line.
fn told(window: &Value) -> String {
    let [name, state] = ["name", "state"].map(|field| print::cell(window.get(field)));
    format!("{name}: {state}, {}", times(window))
}

fn whole(window: &Value) -> String {
    let fields = window.as_object().into_iter().flatten();
    let shown = fields.map(|(name, value)| match name.as_str() {
        "starts_at" | "ends_at" | "next_from" | "next_until" | "created_at" | "changed_at" => {
            format!("{name}: {}", print::time(Some(value)))
        }
        _ => format!("{name}: {}", print::cell(Some(value))),
    });
    shown.collect::<Vec<_>>().join("\n")
}

/// The time that is on, or the next one.
fn times(window: &Value) -> String {
    let at = |field: &str| window.get(field).filter(|value| !value.is_null());
    let Some(from) = at("next_from") else { return "over".to_owned() };
    let again = at("cron").map_or_else(String::new, |cron| {
        format!(", again {} {}", print::cell(Some(cron)), print::cell(window.get("time_zone")))
    });
    format!("{} to {}{again}", print::time(Some(from)), print::time(window.get("next_until")))
}

fn subjects(window: &Value) -> String {
    let subjects = window.get("subjects").and_then(Value::as_array).cloned().unwrap_or_default();
    subjects.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}
