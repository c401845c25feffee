//! UptimeRobot's API as its documents say (<https://uptimerobot.com/api/v3/>, <https://uptimerobot.com/api/legacy/>): pages, keys, and how it
//! slows callers down.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) const KEY: &str = "ur1234-read-only";

/// What a page holds at most, of either version.
const PAGE: usize = 50;

/// What the next request meets instead of its answer.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// Too many requests: again after so many seconds.
    Slow(u64),
    /// A page that names this as the next one.
    Next(String),
    /// An answer that never ends.
    Endless,
}

#[derive(Clone)]
pub(super) struct Robot {
    port: u16,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    monitors: Vec<Value>,
    troubles: VecDeque<Trouble>,
    asked: Vec<String>,
}

#[derive(Deserialize)]
struct Three {
    limit: Option<usize>,
    cursor: Option<usize>,
}

impl Robot {
    /// Has these monitors, as version 3 shows them.
    pub(super) async fn start(monitors: Vec<Value>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Mutex::new(Shared { monitors, ..Shared::default() }));
        let robot = Self { port: listener.local_addr().unwrap().port(), shared };
        let app = Router::new().route("/v3/monitors", get(three)).route("/v2/getMonitors", post(two));
        let app = app.with_state(robot.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        robot
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// The next requests meet these, one each.
    pub(super) fn trouble(&self, troubles: impl IntoIterator<Item = Trouble>) {
        self.shared.lock().unwrap().troubles = troubles.into_iter().collect();
    }

    /// Queries so far, those that were refused among them.
    pub(super) fn asked(&self) -> Vec<String> {
        self.shared.lock().unwrap().asked.clone()
    }

    fn page(&self, from: usize, limit: usize) -> (Vec<Value>, usize) {
        let all = &self.shared.lock().unwrap().monitors;
        (all.iter().skip(from).take(limit).cloned().collect(), all.len())
    }
}

async fn three(State(robot): State<Robot>, headers: HeaderMap, Query(asked): Query<Three>) -> Response {
    let (limit, from) = (asked.limit.unwrap_or(PAGE), asked.cursor.unwrap_or(0));
    let trouble = {
        let mut shared = robot.shared.lock().unwrap();
        shared.asked.push(format!("{from}+{limit}"));
        shared.troubles.pop_front()
    };
    if headers.get(header::AUTHORIZATION).is_none_or(|sent| sent != &format!("Bearer {KEY}")) {
        return (StatusCode::UNAUTHORIZED, Json(json!({"message": "Unauthorized", "statusCode": 401}))).into_response();
    }
    let (data, all) = robot.page(from, limit);
    let end = from + data.len();
    let next = (end < all).then(|| format!("{}v3/monitors?limit={limit}&cursor={end}", robot.url()));
    match trouble {
        None => Json(json!({"nextLink": next, "data": data})).into_response(),
        Some(Trouble::Next(next)) => Json(json!({"nextLink": next, "data": data})).into_response(),
        Some(Trouble::Slow(seconds)) => {
            let headers = [("Retry-After", seconds.to_string()), ("X-RateLimit-Remaining", "0".to_owned())];
            (StatusCode::TOO_MANY_REQUESTS, headers, "Too Many Requests").into_response()
        }
        Some(Trouble::Endless) => {
            let blanks = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 65_536]));
            axum::body::Body::from_stream(blanks).into_response()
        }
    }
}

/// The monitors as version 2 shows them, which has other names for everything.
async fn two(State(robot): State<Robot>, form: String) -> Json<Value> {
    let asked: BTreeMap<_, _> = url::form_urlencoded::parse(form.as_bytes()).collect();
    if asked.get("api_key").is_none_or(|key| key != KEY) {
        let error = json!({"type": "invalid_parameter", "parameter_name": "api_key", "message": "api_key is invalid."});
        return Json(json!({"stat": "fail", "error": error}));
    }
    let number = |name: &str, unless: usize| asked.get(name).map_or(unless, |sent| sent.parse().unwrap());
    let (offset, limit) = (number("offset", 0), number("limit", PAGE).min(PAGE));
    let (page, total) = robot.page(offset, limit);
    let old = |one: &Value| {
        json!({
            "id": one["id"], "friendly_name": one["friendlyName"], "url": one["url"], "type": 1, "sub_type": "", "port": "",
            "interval": one["interval"], "timeout": one["timeout"], "http_method": 2, "status": 2,
        })
    };
    let monitors: Vec<_> = page.iter().map(old).collect();
    Json(json!({"stat": "ok", "pagination": {"offset": offset, "limit": limit, "total": total}, "monitors": monitors}))
}
