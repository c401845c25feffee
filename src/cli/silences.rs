//! `komainu silences`: what people want to hear nothing of for a while.

use clap::ValueEnum;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::client::segment;
use super::output::OutputArgs;
use super::{duration, print};

/// The API's path.
const PATH: &str = "/api/v1/silences";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Hold what all of these take; what is still bad at the end is told then.
    Add(Box<AddArgs>),
    /// Show the silences that are not over.
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
    /// Say which of the incidents that are open a silence of these would hold, and store nothing.
    Preview {
        /// kind=monitor, key=~node/eu-.*, tag!=shop …; all must hold.
        #[arg(required = true)]
        matchers: Vec<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// End silences now.
    Expire {
        /// Their UUIDs.
        #[arg(required = true)]
        ids: Vec<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct AddArgs {
    /// kind=monitor, key=~node/eu-.*, tag!=shop …, of kind, key, severity, tag, node and channel; all must hold.
    #[arg(required = true)]
    matchers: Vec<String>,
    /// Why, for people.
    #[arg(long, short)]
    comment: String,
    /// For so long: `2h`, `1d`.
    #[arg(long, short, value_parser = duration::parse_seconds, required_unless_present_any = ["until", "until_resolved"])]
    duration: Option<u64>,
    /// Until then: `2026-03-01T06:00:00+01:00`.
    #[arg(long, value_name = "TIME", conflicts_with = "duration")]
    until: Option<Timestamp>,
    /// Until what it is about is over; one matcher must name a key.
    #[arg(long, conflicts_with_all = ["duration", "until"])]
    until_resolved: bool,
    /// From then on, instead of now.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// In force only from these times on: `"0 2 * * *"`.
    #[arg(long, requires = "lasts")]
    cron: Option<String>,
    /// So long each time: `2h`.
    #[arg(long, requires = "cron", value_parser = duration::parse_seconds)]
    lasts: Option<u64>,
    /// Of the cron times: `Europe/Berlin`.
    #[arg(long, requires = "cron")]
    time_zone: Option<String>,
    /// Who wants it, instead of the key's name.
    #[arg(long)]
    author: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum StateArg {
    /// In force later, or again.
    Pending,
    /// In force now.
    Active,
    /// Over.
    Expired,
}

impl StateArg {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Add(args) => add(*args).await,
        Command::List { state, all, output } => list((state, all), &output).await,
        Command::Preview { matchers, output } => preview(&matchers, &output).await,
        Command::Expire { ids, output } => {
            let client = output.client()?;
            for id in ids {
                let ended = client.call(Method::DELETE, &format!("{PATH}/{}", segment(&id)), None).await?;
                output.say(&ended, || format!("over: {} ({})", print::cell(ended.get("id")), matchers(&ended)));
            }
            Ok(())
        }
    }
}

async fn add(args: AddArgs) -> anyhow::Result<()> {
    let mut body = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    set("matchers", Some(json!(args.matchers)));
    set("comment", Some(json!(args.comment)));
    set("author", args.author.map(Value::from));
    set("duration_s", args.duration.map(Value::from));
    set("ends_at", args.until.map(|at| at.as_millisecond().into()));
    set("starts_at", args.from.map(|at| at.as_millisecond().into()));
    set("until_resolved", args.until_resolved.then_some(Value::Bool(true)));
    set("cron", args.cron.map(Value::from));
    set("lasts_s", args.lasts.map(Value::from));
    set("time_zone", args.time_zone.map(Value::from));
    let made = args.output.client()?.call(Method::POST, PATH, Some(Value::Object(body))).await?;
    args.output.say(&made, || {
        let [id, state] = ["id", "state"].map(|name| print::cell(made.get(name)));
        format!("{id}: {}, {state}, until {}", matchers(&made), print::time(made.get("ends_at")))
    });
    Ok(())
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
        let [id, state, held, author, comment] =
            ["id", "state", "held_incidents", "author", "comment"].map(|name| print::cell(item.get(name)));
        [id, matchers(item), state, print::time(item.get("ends_at")), held, author, comment]
    });
    print::table(["ID", "MATCHERS", "STATE", "UNTIL", "HOLDS", "AUTHOR", "COMMENT"], rows);
    Ok(())
}

async fn preview(matchers: &[String], output: &OutputArgs) -> anyhow::Result<()> {
    let body = json!({"matchers": matchers});
    let would = output.client()?.call(Method::POST, &format!("{PATH}/preview"), Some(body)).await?;
    output.say(&would, || {
        let count = would.get("incidents").and_then(Value::as_u64).unwrap_or(0);
        let keys = would.get("keys").and_then(Value::as_array).cloned().unwrap_or_default();
        let keys: Vec<_> = keys.iter().filter_map(Value::as_str).collect();
        let more = if u64::try_from(keys.len()).is_ok_and(|shown| shown < count) { ", …" } else { "" };
        match count {
            0 => "it would hold nothing of what is wrong now".to_owned(),
            1 => format!("it would hold 1 incident: {}", keys.join(", ")),
            count => format!("it would hold {count} incidents: {}{more}", keys.join(", ")),
        }
    });
    Ok(())
}

fn matchers(silence: &Value) -> String {
    let matchers = silence.get("matchers").and_then(Value::as_array).cloned().unwrap_or_default();
    matchers.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}
