//! Heartbeats: which jobs reported, which are late, and what each said.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use komainu_watchdogs::time::Wall;
use serde::Deserialize;

use super::chart::Bar;
use super::deeds::encoded;
use super::form::Form;
use super::frame::{Frame, Section, page};
use super::recall::Items;
use super::visit::Visitor;
use super::words::{At, span};

/// The first page of the list: read now and then, so that it is known when the database goes.
pub(super) const FIRST: &str = "/api/v1/heartbeats?limit=100";

/// States by which the list can be narrowed.
const STATES: [&str; 4] = ["late", "failed", "new", "up"];

/// Whatever their state.
const PAUSED: &str = "paused";

#[derive(Template)]
#[template(path = "heartbeats.html")]
struct Heartbeats {
    frame: Frame,
    state: String,
    items: Vec<Heartbeat>,
    next: Option<String>,
    remembered: Option<String>,
}

/// A heartbeat, as the API shows it.
#[derive(Clone, Deserialize)]
struct Heartbeat {
    name: String,
    description: String,
    period_s: Option<u64>,
    cron: Option<String>,
    time_zone: Option<String>,
    grace_s: u64,
    severity: String,
    #[serde(default)]
    tags: Vec<String>,
    state: String,
    #[serde(default)]
    paused: bool,
    is_running: bool,
    deadline: Option<i64>,
    last_at: Option<i64>,
    last_status: Option<String>,
    last_duration_ms: Option<i64>,
    last_exit_code: Option<i64>,
    last_message: Option<String>,
}

impl Heartbeat {
    fn path(&self) -> String {
        format!("/watch/heartbeats/{}", encoded(&self.name))
    }

    fn took(&self) -> Option<String> {
        self.last_duration_ms.map(took)
    }

    fn deadline(&self) -> Option<At> {
        self.deadline.filter(|_| !self.paused).map(Wall).map(At)
    }

    fn last(&self) -> Option<At> {
        self.last_at.map(Wall).map(At)
    }

    /// Where there is no deadline.
    fn never_due(&self) -> &'static str {
        match (self.paused, self.last_at) {
            (true, _) => "not while it is paused",
            (false, None) => "not before its first push",
            (false, Some(_)) => "not before its next ok",
        }
    }

    /// When it is due, in words.
    fn schedule(&self) -> String {
        let seconds = std::time::Duration::from_secs;
        let due = match (&self.cron, self.period_s) {
            (Some(cron), _) => format!("{cron} ({})", self.time_zone.as_deref().unwrap_or("UTC")),
            (None, Some(period)) => format!("every {}", span(seconds(period))),
            (None, None) => "no schedule".to_owned(),
        };
        format!("{due}, grace {}", span(seconds(self.grace_s)))
    }
}

/// How a span of milliseconds is written.
fn took(ms: i64) -> String {
    let ms = u64::try_from(ms).unwrap_or(0);
    if ms < 1_000 { format!("{ms} ms") } else { span(std::time::Duration::from_millis(ms)) }
}

pub(super) async fn list(
    State(desk): super::Counter,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
) -> Response {
    let form = Form::of_query(query.as_deref());
    let state =
        form.field("state").filter(|state| STATES.contains(state) || *state == PAUSED).unwrap_or_default().to_owned();
    let of_state = match state.as_str() {
        "" => FIRST.to_owned(),
        PAUSED => format!("{FIRST}&paused=true"),
        state => format!("{FIRST}&state={state}&paused=false"),
    };
    let asked = form.turned(&of_state);
    let (read, age) = match desk.need_list::<Items<Heartbeat>>(&visitor, (Section::Heartbeats, &asked)).await {
        Ok(read) => read,
        Err(refusal) => return *refusal,
    };
    page(&Heartbeats {
        state,
        items: read.items,
        next: read.next,
        remembered: age.map(span),
        frame: Frame::of(&desk, &visitor, Section::Heartbeats, &desk.inside.view()),
    })
}

#[derive(Template)]
#[template(path = "heartbeat.html")]
struct Shown {
    frame: Frame,
    heartbeat: Heartbeat,
    bars: Vec<Bar>,
    pushes: Vec<Push>,
    remembered: Option<String>,
}

#[derive(Clone, Deserialize)]
struct Push {
    at: i64,
    status: String,
    duration_ms: Option<i64>,
    exit_code: Option<i64>,
    message: Option<String>,
}

impl Push {
    fn at(&self) -> At {
        At(Wall(self.at))
    }

    fn took(&self) -> Option<String> {
        self.duration_ms.map(took)
    }

    /// Its colour.
    fn state(&self) -> &'static str {
        match self.status.as_str() {
            "ok" => "up",
            "fail" => "down",
            _ => "pending",
        }
    }
}

pub(super) async fn show(
    State(desk): super::Counter,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Response {
    let base = format!("/api/v1/heartbeats/{}", encoded(&name));
    let (heartbeat, age) = match desk.need::<Heartbeat>(&visitor, (Section::Heartbeats, &base)).await {
        Ok(read) => read,
        Err(refusal) => return *refusal,
    };
    let pushes = desk.read::<Items<Push>>(&visitor, &format!("{base}/pushes?limit=60")).await.known();
    let pushes = pushes.map_or(vec![], |pushes| pushes.items);
    let bar = |push: &Push| Bar { state: push.state(), label: format!("{}: {}", push.at(), push.status) };
    page(&Shown {
        bars: pushes.iter().rev().map(bar).collect(),
        pushes,
        remembered: age.map(span),
        frame: Frame::of(&desk, &visitor, Section::Heartbeats, &desk.inside.view()),
        heartbeat,
    })
}
