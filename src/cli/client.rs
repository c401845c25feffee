//! A client of the HTTP API: `KOMAINU_URL` and `KOMAINU_KEY_FILE`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use reqwest::header::{CONTENT_TYPE, ETAG, IF_MATCH, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use url::Url;

use crate::byte_order_mark;
use crate::tls;

/// A healthy instance answers in milliseconds; this is for one whose database is slow.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Ten thousand monitors in one request, on a slow disk.
pub(super) const BULK_TIMEOUT: Duration = Duration::from_secs(120);

/// How often a busy watchdog is asked in all: it says that nothing was changed, and that a moment later it may do it.
const BUSY_TRIES: u32 = 5;

/// What an answer calls that state, RFC 9457's `type`.
const BUSY: &str = "/problems/busy";

/// The longest time between two of these tries, whatever the watchdog would like.
const BUSY_PAUSE: Duration = Duration::from_secs(5);

/// Where the API is, and the key to it.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ClientArgs {
    /// Watchdogs, the next asked where nobody listens: addresses with commas between them.
    #[arg(
        long,
        env = "KOMAINU_URL",
        default_value = "http://127.0.0.1:8900",
        value_name = "URL,…",
        value_delimiter = ','
    )]
    url: Vec<Url>,
    /// A file with the CA that certified the watchdogs, where the host does not trust it: the cluster's `ca.crt`.
    #[arg(long, env = "KOMAINU_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A file that holds an API key, as `komainu apikeys create` prints it.
    #[arg(long, env = "KOMAINU_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// Ready to ask.
pub(super) struct Client {
    http: reqwest::Client,
    urls: Vec<Url>,
    key: Option<String>,
}

/// A request that needs more than a method, a path and a body.
#[derive(Debug, Default)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) body: Option<Value>,
    /// Only if what is there still bears this tag.
    pub(super) if_match: Option<&'a str>,
    /// Other than the usual.
    pub(super) timeout: Option<Duration>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct ApiAnswer {
    pub(super) status: StatusCode,
    pub(super) etag: Option<String>,
    pub(super) body: Value,
}

impl ClientArgs {
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let key = match &self.key_file {
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read the key file {}", file.display()))?;
                Some(only_key(&text).with_context(|| format!("the key file {}", file.display()))?)
            }
            None => None,
        };
        Ok(Client { http: http(TIMEOUT, self.ca.as_deref())?, urls: self.url.clone(), key })
    }
}

impl Client {
    /// Asks; any answer that is not a success is an error in the server's words.
    pub(super) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let (status, answer) = self.ask(method, path, body).await?;
        if status.is_success() {
            return Ok(answer);
        }
        Err(self.explain(status, &answer))
    }

    /// Asks; the caller looks at the status.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let answer = self.send(Request { method, path, body, ..Request::default() }).await?;
        Ok((answer.status, answer.body))
    }

    /// Asks as told, and again while the watchdog is busy; the caller looks at the status.
    pub(super) async fn send(&self, request: Request<'_>) -> anyhow::Result<ApiAnswer> {
        for _ in 1..BUSY_TRIES {
            let (answer, pause) = self.send_once(&request).await?;
            if answer.status != StatusCode::SERVICE_UNAVAILABLE || answer.body.get("type") != Some(&BUSY.into()) {
                return Ok(answer);
            }
            tokio::time::sleep(pause.min(BUSY_PAUSE)).await;
        }
        Ok(self.send_once(&request).await?.0)
    }

    /// What comes back, and for how long it had rather not be asked again.
    async fn send_once(&self, request: &Request<'_>) -> anyhow::Result<(ApiAnswer, Duration)> {
        let response = self.reach(request).await?;
        let status = response.status();
        let seconds = response.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok());
        let etag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let text = response.text().await.map_err(|error| self.unreachable(&error))?;
        let answer = if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text) };
        if let Ok(body) = answer {
            return Ok((ApiAnswer { status, etag, body }, Duration::from_secs(seconds.unwrap_or(1))));
        }
        let whom = self.whom();
        bail!("{whom} does not answer as a komainu watchdog does (HTTP {status}); is KOMAINU_URL right?")
    }

    /// What stands at a path, whatever it is.
    pub(super) async fn bytes(&self, path: &str) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        let response = self.reach(&Request { path, ..Request::default() }).await?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        Ok((status, bytes.to_vec()))
    }

    /// The first watchdog that takes the connection gets the request, and no other: it may have been acted on.
    async fn reach(&self, asked: &Request<'_>) -> anyhow::Result<reqwest::Response> {
        let body = asked.body.as_ref().map(Value::to_string);
        let mut unreached = anyhow!("KOMAINU_URL names no watchdog");
        for url in &self.urls {
            let path = asked.path;
            let url = url.join(path).with_context(|| format!("{url} and {path} make no address"))?;
            let mut request = self.http.request(asked.method.clone(), url);
            if let Some(key) = &self.key {
                request = request.bearer_auth(key);
            }
            if let Some(tag) = asked.if_match {
                request = request.header(IF_MATCH, tag);
            }
            if let Some(timeout) = asked.timeout {
                request = request.timeout(timeout);
            }
            if let Some(body) = &body {
                request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
            }
            match request.send().await {
                Ok(response) => return Ok(response),
                Err(error) if error.is_connect() => unreached = self.unreachable(&error),
                Err(error) => return Err(self.unreachable(&error)),
            }
        }
        Err(unreached)
    }

    /// Every watchdog it may ask, with commas between them, as `KOMAINU_URL` reads.
    pub(super) fn whom(&self) -> String {
        self.urls.iter().map(|url| url.as_str().trim_end_matches('/')).collect::<Vec<_>>().join(",")
    }

    /// All pages of a list.
    pub(super) async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        let more = if path.contains('?') { '&' } else { '?' };
        loop {
            let page = match &cursor {
                Some(cursor) => self.call(Method::GET, &format!("{path}{more}cursor={cursor}"), None).await?,
                None => self.call(Method::GET, path, None).await?,
            };
            items.extend(page.get("items").and_then(Value::as_array).cloned().unwrap_or_default());
            cursor = page.get("next").and_then(Value::as_str).map(str::to_owned);
            if cursor.is_none() {
                return Ok(items);
            }
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> anyhow::Error {
        if let Some(problem) = tls::misgiving(error) {
            let remedy = "--ca FILE or KOMAINU_CA names the CA to trust, the cluster's ca.crt";
            return anyhow!("{} shows a certificate that is not trusted here ({problem}); {remedy}", self.whom());
        }
        let reason = if error.is_timeout() { "no answer in time" } else { "nobody listens there, or it broke off" };
        anyhow!("cannot reach {}: {reason}; set KOMAINU_URL to a watchdog that runs", self.whom())
    }

    /// An answer that is no success, in the server's words.
    pub(super) fn explain(&self, status: StatusCode, answer: &Value) -> anyhow::Error {
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        let detail = text("detail").unwrap_or("it said no more");
        if status == StatusCode::UNAUTHORIZED {
            let remedy =
                "set KOMAINU_KEY_FILE to a file with a key (`komainu apikeys create NAME --scope …` makes one)";
            return anyhow!("{} wants an API key that it knows: {remedy}", self.whom());
        }
        let errors = answer.get("errors").and_then(Value::as_array).cloned().unwrap_or_default();
        let lines = errors.iter().filter(|_| errors.len() > 1).map(|error| {
            let part = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            format!("\n  {}: {}", part("field"), part("message"))
        });
        let request =
            if status.is_server_error() { text("request_id").map(|id| format!(" (request {id})")) } else { None };
        anyhow!("{detail}{}{}", request.unwrap_or_default(), lines.collect::<String>())
    }
}

/// The key of a file that holds it and nothing else.
fn only_key(text: &str) -> anyhow::Result<String> {
    let mut words = byte_order_mark::stripped(text).split_whitespace();
    match (words.next(), words.count()) {
        (Some(key), 0) => Ok(key.to_owned()),
        (None, _) => bail!("is empty; write the key into it that `komainu apikeys create` printed"),
        (Some(_), more) => {
            bail!(
                "holds {} words; it must hold one key and nothing else, as `komainu apikeys create` printed it",
                more + 1
            )
        }
    }
}

/// An HTTP client that trusts what the host trusts, and this CA.
pub(super) fn http(timeout: Duration, ca: Option<&Path>) -> anyhow::Result<reqwest::Client> {
    let tls = tls::trusting(ca).context("cannot trust --ca")?;
    let client = reqwest::Client::builder().timeout(timeout).tls_backend_preconfigured(tls).no_proxy().build();
    client.context("cannot set up an HTTP client")
}

/// A path with a query of what was given.
pub(super) fn with_query(path: &str, pairs: &[(&str, Option<&str>)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// A text as one segment of a path: a slash within it is no separator.
pub(super) fn segment(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_key_file_holds_one_key_and_nothing_else() {
        assert_eq!(only_key("  abc\r\n\n").unwrap(), "abc");
        let told = |text: &str| only_key(text).unwrap_err().to_string();
        assert!(told("abc\nnotes: mine\n").starts_with("holds 3 words"));
        assert!(told("\n").starts_with("is empty"));
    }

    /// A watchdog that gives these answers one after the other, the last for ever, and counts how often it was asked.
    async fn watchdog(answers: &'static [(u16, &'static str)]) -> (Client, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let answer = move || async move {
            let turn = count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
            let status = StatusCode::from_u16(answers[turn].0).unwrap();
            (status, [(RETRY_AFTER, "0")], axum::Json(serde_json::json!({"type": answers[turn].1})))
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let routes = axum::Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (Client { http: http(TIMEOUT, None).unwrap(), urls: vec![url], key: None }, asked)
    }

    #[tokio::test]
    async fn a_watchdog_that_is_busy_is_asked_again_and_not_for_ever() {
        let (client, asked) = watchdog(&[(503, BUSY), (503, BUSY), (201, "")]).await;
        let (status, _) = client.ask(Method::POST, "/api/v1/nodes", Some(Value::Null)).await.unwrap();
        assert_eq!((status.as_u16(), asked.load(Ordering::SeqCst)), (201, 3));
        let (client, asked) = watchdog(&[(503, BUSY)]).await;
        let (status, _) = client.ask(Method::POST, "/api/v1/nodes", None).await.unwrap();
        assert_eq!((status.as_u16(), asked.load(Ordering::SeqCst)), (503, 5));
    }

    #[tokio::test]
    async fn a_watchdog_that_may_have_acted_is_not_asked_again() {
        for answer in [(503, "/problems/database-unavailable"), (500, "/problems/internal"), (409, BUSY)] {
            let (client, asked) = watchdog(Vec::leak(vec![answer])).await;
            let (status, _) = client.ask(Method::POST, "/api/v1/nodes", None).await.unwrap();
            assert_eq!((status.as_u16(), asked.load(Ordering::SeqCst)), (answer.0, 1));
        }
    }

    #[test]
    fn paths_keep_what_is_in_a_name_apart_from_what_separates() {
        assert_eq!(segment("kuma-backup/12 ä"), "kuma-backup%2F12%20%C3%A4");
        let path = with_query("/m", &[("tag", Some("a&b=c")), ("node", None), ("limit", Some("5"))]);
        assert_eq!(path, "/m?tag=a%26b%3Dc&limit=5");
        assert_eq!(with_query("/m", &[("tag", None)]), "/m");
    }
}
