//! A client of the HTTP API: `KOMAINU_URL` and `KOMAINU_KEY_FILE`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use url::Url;

/// A healthy instance answers in milliseconds; this is for one whose database is slow.
const TIMEOUT: Duration = Duration::from_secs(10);

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

impl ClientArgs {
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let key = match &self.key_file {
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read the key file {}", file.display()))?;
                Some(text.trim().to_owned())
            }
            None => None,
        };
        Ok(Client { http: http(TIMEOUT)?, urls: self.url.clone(), key })
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
        let body = body.map(|body| body.to_string());
        let response = self.reach(&method, path, body.as_deref()).await?;
        let status = response.status();
        let text = response.text().await.map_err(|error| self.unreachable(&error))?;
        let answer = if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text) };
        if let Ok(answer) = answer {
            return Ok((status, answer));
        }
        let whom = self.whom();
        bail!("{whom} does not answer as a komainu watchdog does (HTTP {status}); is KOMAINU_URL right?")
    }

    /// The first watchdog that takes the connection gets the request, and no other: it may have been acted on.
    async fn reach(&self, method: &Method, path: &str, body: Option<&str>) -> anyhow::Result<reqwest::Response> {
        let mut unreached = anyhow!("KOMAINU_URL names no watchdog");
        for url in &self.urls {
            let url = url.join(path).with_context(|| format!("{url} and {path} make no address"))?;
            let mut request = self.http.request(method.clone(), url);
            if let Some(key) = &self.key {
                request = request.bearer_auth(key);
            }
            if let Some(body) = body {
                request = request.header("content-type", "application/json").body(body.to_owned());
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
        let reason = if error.is_timeout() { "no answer in time" } else { "nobody listens there, or it broke off" };
        anyhow!("cannot reach {}: {reason}; set KOMAINU_URL to a watchdog that runs", self.whom())
    }

    fn explain(&self, status: StatusCode, answer: &Value) -> anyhow::Error {
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

/// An HTTP client that trusts what the host trusts.
pub(super) fn http(timeout: Duration) -> anyhow::Result<reqwest::Client> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("cannot set up TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = reqwest::Client::builder().timeout(timeout).tls_backend_preconfigured(tls).no_proxy().build();
    client.context("cannot set up an HTTP client")
}
