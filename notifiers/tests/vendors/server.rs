//! A vendor on the loopback address: answers what it is told to, one answer after another, and keeps what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use komainu_notifiers::{Channel, Settings};
use serde_json::Value;
use url::Url;

use super::notices::NOW_MS;

/// What a vendor was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What a vendor says.
#[derive(Clone)]
pub(crate) enum Says {
    Text(u16, &'static str),
    /// What a vendor of that kind says to what it was asked.
    Judged(fn(&Asked) -> (u16, Value)),
    With(u16, &'static str, &'static str, &'static str),
    Nothing,
}

#[derive(Clone, Default)]
struct Script {
    says: Arc<Mutex<VecDeque<Says>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

pub(crate) struct Vendor {
    pub(crate) url: Url,
    script: Script,
}

impl Vendor {
    /// Answers in this order, and the last answer ever after.
    pub(crate) async fn saying(says: impl IntoIterator<Item = Says>) -> Self {
        let script = Script { says: Arc::new(Mutex::new(says.into_iter().collect())), asked: Arc::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let app = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, script }
    }

    pub(crate) fn at(&self, path: &str) -> Url {
        self.url.join(path).unwrap()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.script.asked.lock().unwrap().clone()
    }
}

async fn answer(State(script): State<Script>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let body = String::from_utf8(body.to_vec()).unwrap();
    let asked = Asked { method, path: uri.to_string(), headers, body };
    script.asked.lock().unwrap().push(asked.clone());
    let says = {
        let mut says = script.says.lock().unwrap();
        let next = says.pop_front().unwrap();
        if says.is_empty() {
            says.push_back(next.clone());
        }
        next
    };
    match says {
        Says::Text(status, text) => (StatusCode::from_u16(status).unwrap(), text).into_response(),
        Says::Judged(judge) => {
            let (status, said) = judge(&asked);
            let said = if said.is_null() { String::new() } else { said.to_string() };
            (StatusCode::from_u16(status).unwrap(), said).into_response()
        }
        Says::With(status, header, value, text) => {
            (StatusCode::from_u16(status).unwrap(), [(header, value)], text).into_response()
        }
        Says::Nothing => std::future::pending().await,
    }
}

/// The channel `ops`, with a client like the one that watchdogs use but less patient.
pub(crate) fn channel(settings: Settings) -> Channel {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .timeout(Duration::from_millis(500))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap();
    Channel::new("ops", settings, http, || NOW_MS).unwrap()
}

/// An address where nobody listens.
pub(crate) async fn nobody() -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap()).parse().unwrap()
}
