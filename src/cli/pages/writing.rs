//! What is written on pages: incidents, maintenances, and what is said of them.

use anyhow::anyhow;
use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{of, shown};
use crate::cli::client::{Client, segment};
use crate::cli::output::OutputArgs;
use crate::cli::print;

/// What is written, below the path of a page.
const KINDS: [(&str, &str); 2] = [("incident", "incidents"), ("maintenance", "maintenances")];

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Tell {
    /// The page's place: `/pages/SLUG`.
    slug: String,
    /// In one line. May be left out with `--from`: then it names the components.
    #[arg(long, required_unless_present = "from")]
    title: Option<String>,
    /// none, minor, major or critical: its components are shown at least that bad.
    #[arg(long)]
    impact: Option<String>,
    /// investigating, identified, monitoring or resolved.
    #[arg(long)]
    status: Option<String>,
    /// What it is about: public names or ids, with commas between them. None: the whole.
    #[arg(long, value_delimiter = ',', value_name = "COMPONENT,…")]
    components: Vec<String>,
    /// What is said of it.
    #[arg(long)]
    text: Option<String>,
    /// An incident of komainu's, by its number: what it is about and how much it matters follow from it.
    #[arg(long, value_name = "INCIDENT")]
    from: Option<i64>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Say {
    /// The page's place: `/pages/SLUG`.
    slug: String,
    /// Of which: its id, as `told` shows it.
    id: String,
    /// What is said.
    text: String,
    /// How far it has come; left out: as before.
    #[arg(long)]
    status: Option<String>,
    /// none, minor, major or critical; left out: as before.
    #[arg(long)]
    impact: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Plan {
    /// The page's place: `/pages/SLUG`.
    slug: String,
    /// In one line.
    #[arg(long)]
    title: String,
    /// When it begins: `2026-03-01T03:00:00+01:00`.
    #[arg(long, value_name = "TIME")]
    from: Timestamp,
    /// When it ends.
    #[arg(long, value_name = "TIME")]
    until: Timestamp,
    /// What it is about: public names or ids, with commas between them.
    #[arg(long, value_delimiter = ',', value_name = "COMPONENT,…")]
    components: Vec<String>,
    /// What is said of it.
    #[arg(long)]
    text: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// What is named; what is not is left to the watchdog.
fn body<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    fields.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?))).collect()
}

impl Tell {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let client = self.output.client()?;
        let components = ids(&client, &self.slug, &self.components).await?;
        let fields = [
            ("title", self.title.map(Value::from)),
            ("impact", self.impact.map(Value::from)),
            ("status", self.status.map(Value::from)),
            ("components", components),
            ("text", self.text.map(Value::from)),
            ("from_incident", self.from.map(Value::from)),
        ];
        let path = format!("{}/incidents", of(&self.slug));
        let told = client.call(Method::POST, &path, Some(body(fields).into())).await?;
        self.output.say(&told, || shown::notice(&told));
        Ok(())
    }
}

impl Plan {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let client = self.output.client()?;
        let components = ids(&client, &self.slug, &self.components).await?;
        let fields = [
            ("title", Some(self.title.into())),
            ("components", components),
            ("text", self.text.map(Value::from)),
            ("starts_at", Some(self.from.as_millisecond().into())),
            ("ends_at", Some(self.until.as_millisecond().into())),
        ];
        let path = format!("{}/maintenances", of(&self.slug));
        let told = client.call(Method::POST, &path, Some(body(fields).into())).await?;
        self.output.say(&told, || shown::notice(&told));
        Ok(())
    }
}

impl Say {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let client = self.output.client()?;
        let path = format!("{}/updates", found(&client, &self.slug, &self.id).await?);
        let fields = [
            ("text", Some(self.text.into())),
            ("status", self.status.map(Value::from)),
            ("impact", self.impact.map(Value::from)),
        ];
        let told = client.call(Method::POST, &path, Some(body(fields).into())).await?;
        self.output.say(&told, || shown::notice(&told));
        Ok(())
    }
}

/// Ids of components that are named by their ids or public names; `None`: none was named.
pub(super) async fn ids(client: &Client, slug: &str, named: &[String]) -> anyhow::Result<Option<Value>> {
    if named.is_empty() {
        return Ok(None);
    }
    let page = client.call(Method::GET, &of(slug), None).await?;
    let groups = page.get("groups").and_then(Value::as_array).cloned().unwrap_or_default();
    let components = groups.iter().filter_map(|group| group.get("components")?.as_array()).flatten();
    let known: Vec<(&str, &str)> =
        components.filter_map(|one| Some((one.get("id")?.as_str()?, one.get("name")?.as_str()?))).collect();
    let id = |wanted: &String| {
        let found = known.iter().find(|(id, name)| id == wanted || name == wanted);
        found.map(|(id, _)| Value::from(*id)).ok_or_else(|| anyhow!("there is no component {wanted} on {slug}"))
    };
    named.iter().map(id).collect::<anyhow::Result<Vec<Value>>>().map(|ids| Some(ids.into()))
}

/// The path of an incident or a maintenance, whichever bears that id.
async fn found(client: &Client, slug: &str, id: &str) -> anyhow::Result<String> {
    for (_, below) in KINDS {
        let path = format!("{}/{below}/{}", of(slug), segment(id));
        let (status, answer) = client.ask(Method::GET, &path, None).await?;
        if status.is_success() {
            return Ok(path);
        }
        if status != StatusCode::NOT_FOUND {
            return Err(client.explain(status, &answer));
        }
    }
    Err(anyhow!("neither an incident nor a maintenance of {slug} bears the id {id}"))
}

pub(super) async fn told(slug: &str, output: &OutputArgs) -> anyhow::Result<()> {
    let client = output.client()?;
    let mut all: Vec<(&'static str, Value)> = vec![];
    for (what, below) in KINDS {
        let items = client.list(&format!("{}/{below}?limit=1000", of(slug))).await?;
        all.extend(items.into_iter().map(|notice| (what, notice)));
    }
    if output.json {
        let all: Vec<Value> = all.into_iter().map(|(what, notice)| json!({"kind": what, "notice": notice})).collect();
        print::line(Value::from(all).to_string());
    } else {
        print::table(shown::TOLD, all.iter().map(shown::told));
    }
    Ok(())
}

pub(super) async fn untell(slug: &str, id: &str, output: &OutputArgs) -> anyhow::Result<()> {
    let client = output.client()?;
    let path = found(&client, slug, id).await?;
    client.call(Method::DELETE, &path, None).await?;
    output.say(&json!({"id": id, "deleted": true}), || format!("took {id} away"));
    Ok(())
}
