//! `komainu pages`: status pages that everybody may see, and what is written on them.

mod export;
mod shown;
mod subscribers;
mod writing;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use reqwest::Method;
use serde_json::{Map, Value, json};

use self::writing::{Plan, Say, Tell};
use super::apply::yaml;
use super::client::{segment, with_query};
use super::monitors::edited::{merged, parse_setting};
use super::output::OutputArgs;
use super::print;

/// The API's path.
pub(super) const PATH: &str = "/api/v1/pages";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show pages: where each is, and how much stands on it.
    List {
        /// Of this set: `apply/shop`.
        #[arg(long, value_name = "SET")]
        managed_by: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show one page, with what its components are about.
    Show {
        /// Its place: `/pages/SLUG`.
        slug: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Make a page, or replace what is there, by a file in YAML or JSON. A password that it does not name stays.
    Put {
        /// Its place: `/pages/SLUG`.
        slug: String,
        /// The page; `-`: from standard input.
        #[arg(short, long)]
        file: PathBuf,
        /// Only judge it.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Change what is named, and nothing else.
    Edit {
        /// Its place: `/pages/SLUG`.
        slug: String,
        /// Any field by its name: `--set title=Shop --set noindex=true --set language=zh-TW`.
        #[arg(long, value_name = "FIELD=VALUE", value_parser = parse_setting)]
        set: Vec<(String, Value)>,
        /// Its password is what this file holds. `--set password=null` opens it to everybody.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Its picture is this file: PNG, JPEG, GIF, WebP or SVG, at most 50 KiB.
        #[arg(long, value_name = "FILE")]
        logo: Option<PathBuf>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Delete a page with all that was written on it.
    Delete {
        /// Its place: `/pages/SLUG`.
        slug: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show incidents and maintenances that were written on a page, the latest first.
    Told {
        /// Its place: `/pages/SLUG`.
        slug: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Write an incident on a page.
    Tell(Tell),
    /// Say something of an incident or a maintenance.
    Say(Say),
    /// Plan a maintenance on a page.
    Plan(Plan),
    /// Write a page with all that it leads to as plain files, for another host.
    Export {
        /// Its place: `/pages/SLUG`.
        slug: String,
        /// Where they are written; that host serves this folder at its root.
        folder: PathBuf,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Who is told of what stands on a page.
    #[command(subcommand)]
    Subscribers(subscribers::Command),
    /// Take an incident or a maintenance away.
    Untell {
        /// Its place: `/pages/SLUG`.
        slug: String,
        /// Its id, as `told` shows it.
        id: String,
        #[command(flatten)]
        output: OutputArgs,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { managed_by, output } => list(managed_by.as_deref(), &output).await,
        Command::Show { slug, output } => {
            let page = output.client()?.call(Method::GET, &of(&slug), None).await?;
            output.say(&page, || shown::one(&page));
            Ok(())
        }
        Command::Put { slug, file, dry_run, output } => put(&slug, &file, dry_run, &output).await,
        Command::Edit { slug, set, password_file, logo, output } => {
            let body = edits(&set, password_file.as_deref(), logo.as_deref())?;
            let page = output.client()?.call(Method::PATCH, &of(&slug), Some(body.into())).await?;
            output.say(&page, || shown::one(&page));
            Ok(())
        }
        Command::Delete { slug, output } => {
            output.client()?.call(Method::DELETE, &of(&slug), None).await?;
            output.say(&json!({"slug": slug, "deleted": true}), || format!("deleted {slug}"));
            Ok(())
        }
        Command::Told { slug, output } => writing::told(&slug, &output).await,
        Command::Tell(tell) => tell.run().await,
        Command::Say(say) => say.run().await,
        Command::Plan(plan) => plan.run().await,
        Command::Export { slug, folder, output } => export::run(&slug, &folder, &output).await,
        Command::Subscribers(command) => subscribers::run(command).await,
        Command::Untell { slug, id, output } => writing::untell(&slug, &id, &output).await,
    }
}

async fn list(managed_by: Option<&str>, output: &OutputArgs) -> anyhow::Result<()> {
    let path = with_query(PATH, &[("managed_by", managed_by), ("limit", Some("1000"))]);
    let items = output.client()?.list(&path).await?;
    if output.json {
        print::line(Value::from(items).to_string());
    } else {
        print::table(shown::HEADINGS, items.iter().map(shown::row));
    }
    Ok(())
}

async fn put(slug: &str, file: &Path, dry_run: bool, output: &OutputArgs) -> anyhow::Result<()> {
    let node = yaml::read(&text(file)?).map_err(|fault| anyhow!("{}: {fault}", file.display()))?;
    let body = node.json();
    ensure!(body.is_object(), "{}: must be fields with values", file.display());
    let query = if dry_run { "?dry_run=true" } else { "" };
    let page = output.client()?.call(Method::PUT, &format!("{}{query}", of(slug)), Some(body)).await?;
    output.say(&page, || if dry_run { format!("{slug} would be written") } else { shown::one(&page) });
    Ok(())
}

fn text(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn edits(
    set: &[(String, Value)],
    password_file: Option<&Path>,
    logo: Option<&Path>,
) -> anyhow::Result<Map<String, Value>> {
    let password = password_file.map(text).transpose()?.map(|text| Value::from(text.trim_end_matches(['\r', '\n'])));
    let logo = logo.map(picture).transpose()?.map(Value::from);
    let body = merged([("password", password), ("logo", logo)], set)?;
    ensure!(!body.is_empty(), "nothing to change was named; see `komainu pages edit --help`");
    Ok(body)
}

/// A picture as an address of data; what it is is said by its first bytes.
fn picture(file: &Path) -> anyhow::Result<String> {
    use base64::Engine;
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let kind = match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        text if String::from_utf8_lossy(text).contains("<svg") => "image/svg+xml",
        _ => return Err(anyhow!("{} is no PNG, JPEG, GIF, WebP or SVG", file.display())),
    };
    Ok(format!("data:{kind};base64,{}", base64::engine::general_purpose::STANDARD.encode(bytes)))
}

/// The path of one.
pub(super) fn of(slug: &str) -> String {
    format!("{PATH}/{}", segment(slug))
}
