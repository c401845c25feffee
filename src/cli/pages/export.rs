//! `komainu pages export`: a page as plain files, for another host.
//!
//! The folder is what that host serves at its root: `pages/SLUG/index.html` and everything that it leads to, under the paths that it has here.
//! The files say when they were written; whoever wants them fresh exports again.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use reqwest::StatusCode;
use serde_json::Value;

use super::of;
use crate::cli::client::Client;
use crate::cli::output::OutputArgs;

/// Below a page, whatever stands on it.
const FIXED: [&str; 12] = [
    "feed.atom",
    "feed.rss",
    "feed.json",
    "colours.css",
    "api/v2/summary.json",
    "api/v2/status.json",
    "api/v2/components.json",
    "api/v2/incidents.json",
    "api/v2/incidents/unresolved.json",
    "api/v2/scheduled-maintenances.json",
    "api/v2/scheduled-maintenances/upcoming.json",
    "api/v2/scheduled-maintenances/active.json",
];

/// Months of a page; more were not told.
const MOST_MONTHS: usize = 240;

pub(super) async fn run(slug: &str, folder: &Path, output: &OutputArgs) -> anyhow::Result<()> {
    let client = output.client()?;
    let page = client.call(reqwest::Method::GET, &of(slug), None).await?;
    let is_closed = page.get("has_password").and_then(Value::as_bool).unwrap_or_default();
    ensure!(!is_closed, "{slug} asks for a password, which files do not");
    let export = Export { client: &client, folder };
    let root = format!("/pages/{slug}");
    let html = export.page(&root).await?;
    let mut count = 1;
    for path in named(&html, "/pages/assets/") {
        count += export.file(&path, &path).await?;
    }
    for name in FIXED {
        let path = format!("{root}/{name}");
        count += export.file(&path, &path).await?;
    }
    if page.get("logo").is_some_and(|logo| !logo.is_null()) {
        count += export.file(&format!("{root}/logo"), &format!("{root}/logo")).await?;
    }
    for id in ids(&page) {
        for extension in ["svg", "json"] {
            let path = format!("{root}/badge/{id}.{extension}");
            count += export.file(&path, &path).await?;
        }
    }
    count += export.months(&root).await?;
    output.say(&serde_json::json!({"slug": slug, "files": count}), || {
        format!("wrote {count} files; serve {} at the root of a host: /pages/{slug} leads there", folder.display())
    });
    Ok(())
}

struct Export<'a> {
    client: &'a Client,
    folder: &'a Path,
}

impl Export<'_> {
    /// A page as the index of its path; returns it.
    async fn page(&self, path: &str) -> anyhow::Result<String> {
        let (status, bytes) = self.client.bytes(path).await?;
        ensure!(status.is_success(), "{path} answered {status}");
        let html = String::from_utf8(bytes).with_context(|| format!("{path} is no text"))?;
        let html = without_subscribing(&html);
        self.write(&format!("{path}/index.html"), html.as_bytes())?;
        Ok(html)
    }

    /// What is not there is left out; says how many were written.
    async fn file(&self, path: &str, name: &str) -> anyhow::Result<usize> {
        let (status, bytes) = self.client.bytes(path).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(0);
        }
        ensure!(status.is_success(), "{path} answered {status}");
        self.write(name, &bytes)?;
        Ok(1)
    }

    /// This month, and all that it leads to.
    async fn months(&self, root: &str) -> anyhow::Result<usize> {
        let now = jiff::Timestamp::from_millisecond(crate::clock::wall().0).context("this host has no time")?;
        let first = format!("{root}/history/{}", now.strftime("%Y-%m"));
        let html = self.page(&first).await?;
        self.write(&format!("{root}/history/index.html"), html.as_bytes())?;
        let others: BTreeSet<String> =
            named(&html, &format!("{root}/history/")).into_iter().filter(|path| *path != first).collect();
        for path in others.iter().take(MOST_MONTHS) {
            self.page(path).await?;
        }
        Ok(2 + others.len().min(MOST_MONTHS))
    }

    /// Nothing that a watchdog says leads out of the folder.
    fn write(&self, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        if parts.iter().any(|part| *part == ".." || *part == "." || part.contains('\\')) {
            bail!("the watchdog names {path}, which is no place within a folder");
        }
        let file = parts.iter().fold(self.folder.to_path_buf(), |folder, part| folder.join(part));
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        std::fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// Files take no subscriptions.
fn without_subscribing(html: &str) -> String {
    let parts = html.split_once("<p class=\"subscribe\">");
    let rest = parts.and_then(|(before, rest)| Some((before, rest.split_once("</p>")?.1)));
    rest.map_or_else(|| html.to_owned(), |(before, after)| format!("{before}{after}"))
}

/// Paths in a page that begin so, without their query.
fn named(html: &str, beginning: &str) -> BTreeSet<String> {
    let parts = html.split('"').filter(|part| part.starts_with(beginning));
    parts.filter_map(|part| part.split(['?', '#']).next()).map(str::to_owned).collect()
}

fn ids(page: &Value) -> Vec<String> {
    let list = |of: &Value, name: &str| of.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let components = list(page, "groups").into_iter().flat_map(|group| list(&group, "components"));
    components.filter_map(|component| Some(component.get("id")?.as_str()?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_in_files_offers_no_subscription() {
        let html = "<footer>\n<p class=\"subscribe\"><a href=\"/pages/shop/subscribe\">Subscribe</a></p>\n<p>As of</p>";
        assert_eq!(without_subscribing(html), "<footer>\n\n<p>As of</p>");
        assert_eq!(without_subscribing("<p>As of</p>"), "<p>As of</p>");
    }

    #[test]
    fn paths_are_found_in_a_page_without_their_queries() {
        let html = r#"<a href="/pages/shop/history/2026-11?lang=en">x</a><a href="/pages/shop/history/2026-10"><link href="/pages/assets/p.css">"#;
        let found = named(html, "/pages/shop/history/");
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            ["/pages/shop/history/2026-10", "/pages/shop/history/2026-11"]
        );
        assert_eq!(named(html, "/pages/assets/").len(), 1);
    }
}
