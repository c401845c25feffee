//! `komainu dependencies`: what depends on what, so that trouble of many is told as trouble of the one that causes it.

use reqwest::Method;
use serde_json::{Value, json};

use super::client::{segment, with_query};
use super::output::OutputArgs;
use super::print;

/// The API's path.
pub(super) const PATH: &str = "/api/v1/dependencies";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show what depends on what.
    List {
        /// Only of this: check/shop.
        #[arg(long)]
        of: Option<String>,
        /// Only what depends on this.
        #[arg(long)]
        on: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Say what something depends on, and on nothing else.
    Set {
        /// monitor/7 (or monitor/ and its ref), check/shop, heartbeat/backup, node/node1.
        subject: String,
        /// As the subject is named.
        #[arg(required = true)]
        causes: Vec<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Let things depend on nothing any more.
    Clear {
        /// As they are listed.
        #[arg(required = true)]
        subjects: Vec<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { of, on, output } => {
            let pairs = [("subject", of.as_deref()), ("cause", on.as_deref())];
            list(&with_query(PATH, &pairs), &output).await
        }
        Command::Set { subject, causes, output } => {
            let body = json!({ "depends_on": causes });
            let set = output.client()?.call(Method::PUT, &path(&subject)?, Some(body)).await?;
            output
                .say(&set, || format!("{} depends on {}", print::cell(set.get("subject")), names(&set, "depends_on")));
            Ok(())
        }
        Command::Clear { subjects, output } => {
            let client = output.client()?;
            for subject in subjects {
                let cleared = client.call(Method::DELETE, &path(&subject)?, None).await?;
                output.say(&cleared, || format!("{subject} depends on nothing"));
            }
            Ok(())
        }
    }
}

/// A ref may hold a slash itself.
fn path(subject: &str) -> anyhow::Result<String> {
    let (kind, name) = subject
        .split_once('/')
        .ok_or_else(|| anyhow::anyhow!("\"{subject}\" must be monitor/ID, check/NAME, heartbeat/NAME or node/ID"))?;
    Ok(format!("{PATH}/{}/{}", segment(kind), segment(name)))
}

async fn list(path: &str, output: &OutputArgs) -> anyhow::Result<()> {
    let items = output.client()?.list(path).await?;
    if output.json {
        print::line(Value::from(items).to_string());
        return Ok(());
    }
    let rows = items.iter().map(|item| {
        let missing = names(item, "missing");
        let missing = if missing.is_empty() { missing } else { format!("there is no {missing}") };
        [print::cell(item.get("subject")), names(item, "depends_on"), missing]
    });
    print::table(["SUBJECT", "DEPENDS ON", ""], rows);
    Ok(())
}

fn names(item: &Value, field: &str) -> String {
    let names = item.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}
