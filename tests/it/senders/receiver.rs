//! A stand-in for a watchdog that takes pushes as the design says: signature over the raw bytes, then the body, then the
//! window, then the replay.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use komainu::clock;
use serde_json::{Value, json};

/// Of every name here: the one that docs/heartbeats.md writes.
pub(super) const SECRET: &str = "PASTE-THE-SECRET-THAT-WAS-SHOWN-HERE";

/// How far a push's time may be off.
const WINDOW_S: f64 = 300.0;

/// The server; ends with the test's runtime.
#[derive(Clone)]
pub(super) struct Receiver {
    port: u16,
    pushes: Arc<Mutex<Vec<Taken>>>,
}

/// One accepted push.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    /// Whose.
    pub(super) name: String,
    /// Its body.
    pub(super) body: Value,
    /// Which header its signature came in.
    pub(super) signed_by: &'static str,
}

impl Receiver {
    /// Listens on a free loopback port.
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self { port: listener.local_addr().unwrap().port(), pushes: Arc::default() };
        let app = Router::new()
            .route("/heartbeats/{name}", post(take))
            .route("/api/v1/heartbeats", post(add))
            .with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        receiver
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Everything accepted so far.
    pub(super) fn pushes(&self) -> Vec<Taken> {
        self.pushes.lock().unwrap().clone()
    }

    /// The bodies' statuses, in the order of arrival.
    pub(super) fn statuses(&self) -> Vec<String> {
        self.pushes().iter().map(|taken| taken.body["status"].as_str().unwrap_or("ok").to_owned()).collect()
    }
}

/// As the API answers: what was asked for, and the secret.
async fn add(axum::Json(mut heartbeat): axum::Json<Value>) -> Response {
    heartbeat["secret"] = SECRET.into();
    (StatusCode::CREATED, axum::Json(heartbeat)).into_response()
}

async fn take(State(receiver): State<Receiver>, Path(name): Path<String>, headers: HeaderMap, raw: Bytes) -> Response {
    let Some(signed_by) = signed_by(&headers, &raw) else {
        return problem(StatusCode::FORBIDDEN, &json!({"detail": "no heartbeat of that name takes this signature"}));
    };
    let Ok(body) = serde_json::from_slice::<Value>(&raw) else {
        return problem(StatusCode::BAD_REQUEST, &json!({"detail": "the body is not JSON"}));
    };
    if let Some(fault) = fault(&body) {
        return problem(StatusCode::BAD_REQUEST, &json!({"detail": fault}));
    }
    let mut pushes = receiver.pushes.lock().unwrap();
    let last = pushes.iter().rfind(|taken| taken.name == name);
    if let Some(last) = last.filter(|last| last.body["time"].as_f64() >= body["time"].as_f64()) {
        let answer = json!({"detail": "a later push counts already", "last_time": last.body["time"]});
        return problem(StatusCode::CONFLICT, &answer);
    }
    pushes.push(Taken { name, body, signed_by });
    (StatusCode::OK, axum::Json(json!({"accepted": true}))).into_response()
}

fn signed_by(headers: &HeaderMap, raw: &[u8]) -> Option<&'static str> {
    let claimed = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(claimed) = claimed("x-hub-signature-256") {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(raw);
        let claimed = hex::decode(claimed.strip_prefix("sha256=")?).ok()?;
        return mac.verify_slice(&claimed).is_ok().then_some("sha256");
    }
    let claimed = claimed("x-hub-signature")?;
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(raw);
    let claimed = hex::decode(claimed.strip_prefix("sha1=").unwrap_or(claimed)).ok()?;
    mac.verify_slice(&claimed).is_ok().then_some("sha1")
}

/// What is wrong with a body, if anything is.
fn fault(body: &Value) -> Option<String> {
    let known = ["time", "status", "message", "duration_ms", "exit_code", "run_id"];
    let unknown = body.as_object()?.keys().find(|key| !known.contains(&key.as_str()));
    if let Some(unknown) = unknown {
        return Some(format!("{unknown}: is unknown"));
    }
    let Some(time) = body["time"].as_f64() else { return Some("time: is missing".to_owned()) };
    let now = std::time::Duration::from_micros(u64::try_from(clock::wall_micros()).unwrap()).as_secs_f64();
    if (time - now).abs() > WINDOW_S {
        return Some(format!("time: is more than 300 s off; it is {now}"));
    }
    let has_kinds = (body["status"].is_null()
        || ["ok", "start", "fail"].iter().any(|status| body["status"] == *status))
        && (body["message"].is_null() || body["message"].is_string())
        && (body["duration_ms"].is_null() || body["duration_ms"].is_u64())
        && (body["exit_code"].is_null() || body["exit_code"].is_i64())
        && (body["run_id"].is_null() || body["run_id"].is_string());
    (!has_kinds).then(|| format!("a field is of the wrong kind: {body}"))
}

fn problem(status: StatusCode, body: &Value) -> Response {
    (status, [("content-type", "application/problem+json")], body.to_string()).into_response()
}
