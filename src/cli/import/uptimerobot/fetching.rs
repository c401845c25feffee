//! Fetches the list of monitors with a key, page after page.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use url::Url;

use super::robot::{self, Robot};
use crate::tls;

/// A page of their list.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Of 50 monitors each: more than any account has.
const MOST_PAGES: usize = 400;

/// All of them. The key goes to that host and no other, whatever the list says of its next page.
pub(super) async fn all(api: &Url, key_file: &Path) -> anyhow::Result<Vec<Robot>> {
    let key = std::fs::read_to_string(key_file).with_context(|| format!("cannot read {}", key_file.display()))?;
    let key = key.trim();
    ensure!(!key.is_empty(), "{} is empty", key_file.display());
    let trust = tls::trusting(None).context("cannot trust what this host trusts")?;
    let http = reqwest::Client::builder().timeout(TIMEOUT).tls_backend_preconfigured(trust);
    let http = http.redirect(reqwest::redirect::Policy::none()).build().context("cannot set up an HTTP client")?;
    let mut next = Some(api.join("v3/monitors?limit=50")?);
    let mut found = vec![];
    for _ in 0..MOST_PAGES {
        let Some(url) = next.take() else { return Ok(found) };
        let answer = http.get(url.clone()).bearer_auth(key).send().await;
        let answer = answer.with_context(|| format!("{} does not answer", host(api)))?;
        let status = answer.status();
        ensure!(status.is_success(), "{} answered {status}; is the key of {} right?", host(api), key_file.display());
        let text = answer.text().await.with_context(|| format!("{} broke off", host(api)))?;
        let page: Value = serde_json::from_str(&text).with_context(|| format!("{} answers no JSON", host(api)))?;
        found.extend(robot::answer_of(&page)?);
        next = match page.get("nextLink").and_then(Value::as_str).filter(|link| !link.is_empty()) {
            Some(link) => Some(url.join(link).context("its next page has no address")?),
            None => None,
        };
        if next.as_ref().is_some_and(|next| next.origin() != api.origin()) {
            bail!("{} says that its next page is on another host, which does not get the key", host(api));
        }
    }
    bail!("{} has more than {MOST_PAGES} pages", host(api))
}

fn host(api: &Url) -> &str {
    api.host_str().unwrap_or("UptimeRobot")
}
