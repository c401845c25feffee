//! `komainu import kuma-pages`: the public status pages of an Uptime Kuma whose monitors are this cluster's.
//!
//! Reads what Kuma itself shows to everybody of a page, and makes a page of komainu's of it, with the same title, words, groups and names.
//! What komainu's pages have no place for is named. Kuma keeps its own.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::cli::client::{Client, segment};
use crate::cli::output::OutputArgs;
use crate::cli::{client, pages, print};

/// A page of Kuma's is small, and made at once.
const TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The slugs of Kuma's pages, as they stand in `/status/SLUG`.
    #[arg(required = true, value_name = "SLUG")]
    slugs: Vec<String>,
    /// Where that Kuma is: one of this cluster's nodes, `http://kuma1:3001`.
    #[arg(long, value_name = "URL")]
    from: Url,
    /// Say what would be made, and make nothing.
    #[arg(long)]
    dry_run: bool,
    /// Write over a page that is there already.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// A page of Kuma's as one of komainu's, and what is left behind.
#[derive(Debug, PartialEq)]
pub(super) struct Taken {
    pub(super) page: Value,
    pub(super) components: usize,
    pub(super) left_behind: Vec<String>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let (http, client) = (client::http(TIMEOUT, None)?, args.output.client()?);
    for slug in &args.slugs {
        let url = args.from.join(&format!("/api/status-page/{}", segment(slug))).context("--from makes no address")?;
        let answer = http.get(url.clone()).send().await.with_context(|| format!("{} does not answer", args.from))?;
        let status = answer.status();
        ensure!(status.is_success(), "{url} answered {status}; is there a status page {slug}, and is it published?");
        let text = answer.text().await.with_context(|| format!("{} broke off", args.from))?;
        let shown: Value = serde_json::from_str(&text).with_context(|| format!("{url} is no page of Uptime Kuma"))?;
        let taken = taken(&shown).with_context(|| format!("{url} is no page of Uptime Kuma"))?;
        let done = write(&client, slug, &taken, &args).await?;
        tell(slug, &taken, done, &args.output);
    }
    Ok(())
}

async fn write(client: &Client, slug: &str, taken: &Taken, args: &Args) -> anyhow::Result<&'static str> {
    let path = pages::of(slug);
    let (status, answer) = client.ask(Method::GET, &path, None).await?;
    let is_there = match status {
        StatusCode::NOT_FOUND => false,
        status if status.is_success() => true,
        status => return Err(client.explain(status, &answer)),
    };
    if is_there && !args.replace {
        return Ok("is there already and left as it is; --replace writes over it");
    }
    let query = if args.dry_run { "?dry_run=true" } else { "" };
    client.call(Method::PUT, &format!("{path}{query}"), Some(taken.page.clone())).await?;
    let done = if is_there { "was written over" } else { "was made" };
    Ok(if args.dry_run { "would be written" } else { done })
}

fn tell(slug: &str, taken: &Taken, done: &'static str, output: &OutputArgs) {
    let said = json!({"slug": slug, "done": done, "components": taken.components, "left_behind": taken.left_behind});
    output.say(&said, || format!("{slug} with {} components {done}", taken.components));
    if !output.json {
        for words in &taken.left_behind {
            print::line(format!("{slug}: left behind: {words}"));
        }
    }
}

/// Pure. `None` where there is no page in it.
pub(super) fn taken(shown: &Value) -> Option<Taken> {
    let config = shown.get("config")?;
    let text = |name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default().trim();
    let mut left_behind = vec![];
    if !text("customCSS").is_empty() {
        left_behind.push("its own style sheet".to_owned());
    }
    for (field, words) in [("googleAnalyticsId", "analytics"), ("analyticsId", "analytics")] {
        if !text(field).is_empty() {
            left_behind.push(words.to_owned());
        }
    }
    if config.get("showTags").and_then(Value::as_bool).unwrap_or_default() {
        left_behind.push("tags, which are not public here".to_owned());
    }
    if shown.get("incident").is_some_and(|incident| !incident.is_null()) {
        left_behind.push("its pinned incident; `komainu pages tell` writes one".to_owned());
    }
    let (mut names, mut seen, mut groups) = (BTreeSet::new(), BTreeSet::new(), vec![]);
    for group in shown.get("publicGroupList")?.as_array()? {
        let name = group.get("name").and_then(Value::as_str).unwrap_or_default().trim();
        let mut components = vec![];
        for monitor in group.get("monitorList").and_then(Value::as_array).into_iter().flatten() {
            let (Some(id), Some(name)) = (monitor.get("id").and_then(Value::as_i64), monitor.get("name")) else {
                continue;
            };
            if seen.insert(id) {
                components.push(json!({"name": name, "monitor": id}));
            } else {
                left_behind.push(format!("{} a second time", name.as_str().unwrap_or_default()));
            }
        }
        groups.push(json!({"name": unused(name, &mut names), "components": components}));
    }
    let page = json!({
        "title": text("title"),
        "description": text("description"),
        "footer": text("footerText"),
        "groups": groups,
    });
    Some(Taken { page, components: seen.len(), left_behind })
}

/// Kuma lets two groups be called alike.
fn unused(name: &str, names: &mut BTreeSet<String>) -> String {
    let wanted = (1..).map(|at| if at == 1 { name.to_owned() } else { format!("{name} ({at})") });
    let free = wanted.into_iter().find(|wanted| !names.contains(wanted)).unwrap_or_default();
    names.insert(free.clone());
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_kuma_becomes_one_of_ours_and_says_what_it_lost() {
        let shown = json!({"config": {"slug": "shop", "title": "Shop", "description": null, "footerText": "Bye", "customCSS": "body{}",
            "showTags": true}, "incident": null, "publicGroupList": [
            {"id": 1, "name": "Web", "monitorList": [{"id": 7, "name": "Front", "type": "http"}, {"id": 8, "name": "Mail"}]},
            {"id": 2, "name": "Web", "monitorList": [{"id": 7, "name": "Front"}]}]});
        let taken = taken(&shown).unwrap();
        let groups = json!([{"name": "Web", "components": [{"name": "Front", "monitor": 7}, {"name": "Mail", "monitor": 8}]},
            {"name": "Web (2)", "components": []}]);
        assert_eq!(taken.page, json!({"title": "Shop", "description": "", "footer": "Bye", "groups": groups}));
        let left = ["its own style sheet", "tags, which are not public here", "Front a second time"];
        assert_eq!((taken.components, taken.left_behind.as_slice()), (2, left.map(str::to_owned).as_slice()));
        assert_eq!(super::taken(&json!({"ok": false})), None);
    }
}
