//! Fetches the list of monitors with a key, page after page.
//!
//! A free account may ask ten times a minute: whoever is told to wait does so, as long as it is told to, within bounds.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use url::Url;

use super::robot::{self, Robot};
use crate::cli::print;
use crate::{clock, tls};

/// A page of their list.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Of 50 monitors each: more than any account has.
const MOST_PAGES: usize = 400;

/// Fifty monitors with all that they have are a tenth of it.
const PAGE_BYTES: usize = 4 * 1_024 * 1_024;

/// What is waited where nobody says how long: their limits are by the minute.
const USUAL_WAIT_S: u64 = 60;

/// Whoever is to wait longer is not in front of the screen any more.
const LONGEST_WAIT_S: u64 = 120;

/// For one page.
const MOST_WAITS: u32 = 5;

/// All of them. The key goes to that host and no other, whatever the list says of its next page.
pub(super) async fn all(api: &Url, key_file: &Path) -> anyhow::Result<Vec<Robot>> {
    let key = std::fs::read_to_string(key_file).with_context(|| format!("cannot read {}", key_file.display()))?;
    let key = key.trim();
    ensure!(!key.is_empty(), "{} is empty", key_file.display());
    let trust = tls::trusting(None).context("cannot trust what this host trusts")?;
    let http = Client::builder().timeout(TIMEOUT).tls_backend_preconfigured(trust);
    let http = http.redirect(reqwest::redirect::Policy::none()).build().context("cannot set up an HTTP client")?;
    let caller = Caller { http, host: host(api), key, key_file };
    let mut next = Some(api.join("v3/monitors?limit=50")?);
    let (mut found, mut seen) = (vec![], BTreeSet::new());
    while let Some(url) = next.take() {
        ensure!(seen.len() < MOST_PAGES, "{} has more than {MOST_PAGES} pages", caller.host);
        if url.origin() != api.origin() {
            bail!("{} says that its next page is on another host, which does not get the key", caller.host);
        }
        ensure!(seen.insert(url.clone()), "a page of {} comes again and again", caller.host);
        let page = caller.page(&url).await?;
        found.extend(robot::answer_of(&page)?);
        let link = page.get("nextLink").and_then(Value::as_str).filter(|link| !link.is_empty());
        next = link.map(|link| url.join(link)).transpose().context("its next page has no address")?;
    }
    Ok(found)
}

struct Caller<'a> {
    http: Client,
    host: &'a str,
    key: &'a str,
    key_file: &'a Path,
}

impl Caller<'_> {
    async fn page(&self, url: &Url) -> anyhow::Result<Value> {
        let (host, key_file) = (self.host, self.key_file.display());
        let answer = self.answer(url).await?;
        let status = answer.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            bail!("{host} answered {status}; is the key of {key_file} right?");
        }
        ensure!(status.is_success(), "{host} answered {status}");
        let text = self.body(answer).await?;
        serde_json::from_slice(&text).with_context(|| format!("{host} answers no JSON"))
    }

    /// What is answered once it takes the request.
    async fn answer(&self, url: &Url) -> anyhow::Result<Response> {
        let host = self.host;
        for _ in 0..=MOST_WAITS {
            let answer = self.http.get(url.clone()).bearer_auth(self.key).send().await;
            let answer = answer.with_context(|| format!("{host} does not answer"))?;
            if answer.status() != StatusCode::TOO_MANY_REQUESTS {
                return Ok(answer);
            }
            let said = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            let wait_s: u64 = said.unwrap_or(USUAL_WAIT_S);
            ensure!(wait_s <= LONGEST_WAIT_S, "{host} takes no request for {wait_s} s: try again then");
            print::complaint(format!("{host} takes no request for {wait_s} s: waiting"));
            // One that says 0 is asked again all the same, and not at once.
            clock::sleep_until(clock::now() + Duration::from_secs(wait_s.max(1))).await;
        }
        bail!("{host} takes no request, however long one waits: try again later")
    }

    async fn body(&self, mut answer: Response) -> anyhow::Result<Vec<u8>> {
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.with_context(|| format!("{} broke off", self.host))? {
            text.extend_from_slice(&chunk);
            ensure!(text.len() <= PAGE_BYTES, "a page of {} is larger than {PAGE_BYTES} bytes", self.host);
        }
        Ok(text)
    }
}

fn host(api: &Url) -> &str {
    api.host_str().unwrap_or("UptimeRobot")
}
