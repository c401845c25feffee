//! `komainu pages subscribers`: who is told of what stands on a page.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{of, writing};
use crate::cli::client::segment;
use crate::cli::output::OutputArgs;
use crate::cli::print::{self, cell};

const HEADINGS: [&str; 6] = ["ID", "KIND", "ADDRESS", "STATUS", "SINCE", "TROUBLE"];

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// Show who is told. A key of scope read sees addresses masked.
    List {
        /// Its place: `/pages/SLUG`.
        slug: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Add somebody, who is asked to confirm it.
    Add(Add),
    /// Take somebody away, with the address.
    Remove {
        /// Its place: `/pages/SLUG`.
        slug: String,
        /// Its id, as `list` shows it.
        id: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Write all of them as lines of JSON into a file that only you can read.
    Export {
        /// Its place: `/pages/SLUG`.
        slug: String,
        /// The file; it must not be there yet.
        file: PathBuf,
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Add {
    /// Its place: `/pages/SLUG`.
    slug: String,
    /// A mail address, or the URL of a webhook.
    address: String,
    /// Components that they want to hear of, by name or id; none: all.
    #[arg(long, value_delimiter = ',')]
    components: Vec<String>,
    /// What they are told in; otherwise the page's.
    #[arg(long, value_name = "CODE")]
    language: Option<String>,
    /// You answer for it that they want it: they are told from now on.
    #[arg(long)]
    confirmed: bool,
    /// Only judge it.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { slug, output } => list(&slug, &output).await,
        Command::Add(add) => add.run().await,
        Command::Remove { slug, id, output } => {
            let path = format!("{}/subscribers/{}", of(&slug), segment(&id));
            output.client()?.call(Method::DELETE, &path, None).await?;
            output.say(&json!({"id": id, "deleted": true}), || format!("took {id} away"));
            Ok(())
        }
        Command::Export { slug, file, output } => export(&slug, &file, &output).await,
    }
}

async fn all(slug: &str, output: &OutputArgs) -> anyhow::Result<Vec<Value>> {
    output.client()?.list(&format!("{}/subscribers?limit=1000", of(slug))).await
}

async fn list(slug: &str, output: &OutputArgs) -> anyhow::Result<()> {
    let items = all(slug, output).await?;
    if output.json {
        print::line(Value::from(items).to_string());
    } else {
        print::table(HEADINGS, items.iter().map(row));
    }
    Ok(())
}

fn row(subscriber: &Value) -> [String; 6] {
    let of = |name: &str| cell(subscriber.get(name));
    let since =
        ["ended_at", "confirmed_at", "created_at"].iter().find_map(|at| subscriber.get(*at).filter(|at| !at.is_null()));
    [of("id"), of("kind"), of("address"), of("status"), print::time(since), of("trouble")]
}

impl Add {
    async fn run(self) -> anyhow::Result<()> {
        let Self { slug, address, components, language, confirmed, dry_run, output } = self;
        let client = output.client()?;
        let kind = if address.contains("://") { "webhook" } else { "mail" };
        let mut body = Map::from_iter([
            ("kind".to_owned(), kind.into()),
            ("address".to_owned(), address.into()),
            ("confirmed".to_owned(), confirmed.into()),
        ]);
        body.extend(writing::ids(&client, &slug, &components).await?.map(|ids| ("components".to_owned(), ids)));
        body.extend(language.map(|code| ("language".to_owned(), code.into())));
        let query = if dry_run { "?dry_run=true" } else { "" };
        let path = format!("{}/subscribers{query}", of(&slug));
        let added = client.call(Method::POST, &path, Some(body.into())).await?;
        output.say(&added, || words(&added, dry_run));
        Ok(())
    }
}

fn words(added: &Value, is_rehearsal: bool) -> String {
    if is_rehearsal {
        return "would be added".to_owned();
    }
    let of = |name: &str| cell(added.get(name));
    let secret = added.get("secret").and_then(Value::as_str);
    let secret =
        secret.map_or_else(String::new, |secret| format!("\nits messages are signed with {secret}, shown only now"));
    format!("{} {} is {}{secret}", of("id"), of("address"), of("status"))
}

async fn export(slug: &str, file: &Path, output: &OutputArgs) -> anyhow::Result<()> {
    let items = all(slug, output).await?;
    let is_masked =
        |item: &Value| item.get("address").and_then(Value::as_str).is_some_and(|address| address.contains('…'));
    ensure!(!items.iter().any(is_masked), "this key sees addresses masked: it needs scope write");
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let cannot = || format!("cannot write {}", file.display());
    let mut written = options.write(true).create_new(true).open(file).with_context(cannot)?;
    for item in &items {
        writeln!(written, "{item}").with_context(cannot)?;
    }
    output.say(&json!({"slug": slug, "subscribers": items.len()}), || {
        format!("wrote {} subscribers into {}", items.len(), file.display())
    });
    Ok(())
}
