//! Incidents: those that are open and those that are over, and the story of each: who noticed, what was told to whom, who took care.

use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use komainu_watchdogs::time::Wall;
use serde::Deserialize;

use super::deeds::encoded;
use super::form::Form;
use super::frame::{Frame, Section, page};
use super::recall::Items;
use super::visit::Visitor;
use super::words::{At, span};

/// The first page of the list: read now and then, so that it is known when the database goes.
pub(super) const FIRST: &str = "/api/v1/incidents?limit=100";

/// As many as a page holds.
const A_PAGE: &str = "100";

#[derive(Template)]
#[template(path = "incidents.html")]
struct Incidents {
    frame: Frame,
    which: Which,
    /// A kind, or kind and subject; empty: all.
    key: String,
    items: Vec<Incident>,
    next: Option<String>,
    remembered: Option<String>,
}

/// Which of them are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Which {
    Open,
    Over,
    All,
}

impl Which {
    const ALL: [Self; 3] = [Self::All, Self::Open, Self::Over];

    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Open => "open",
            Self::Over => "over",
        }
    }
}

/// An incident, as the API shows it.
#[derive(Deserialize)]
pub(super) struct Incident {
    pub(super) id: i64,
    key: String,
    severity: String,
    pub(super) summary: String,
    votes: (u32, u32),
    opened_at: i64,
    first_opened_at: i64,
    resolved_at: Option<i64>,
    resolved_by: Option<String>,
    acknowledged_at: Option<i64>,
    acknowledged_by: Option<String>,
    flaps: u32,
}

impl Incident {
    pub(super) fn is_open(&self) -> bool {
        self.resolved_at.is_none()
    }

    pub(super) fn opened(&self) -> At {
        At(Wall(self.opened_at))
    }

    fn first_opened(&self) -> Option<At> {
        (self.first_opened_at != self.opened_at).then_some(At(Wall(self.first_opened_at)))
    }

    fn resolved(&self) -> Option<At> {
        self.resolved_at.map(Wall).map(At)
    }

    fn acknowledged(&self) -> Option<At> {
        self.acknowledged_at.map(Wall).map(At)
    }

    /// How long it lasted; of one that is open, until now.
    pub(super) fn lasted(&self, frame: &Frame) -> String {
        let ended = self.resolved_at.unwrap_or(frame.now.0);
        span(Duration::from_millis(u64::try_from(ended.saturating_sub(self.first_opened_at)).unwrap_or(0)))
    }

    fn kind(&self) -> &str {
        self.key.split('/').next().unwrap_or_default()
    }
}

/// Lists them, the latest first.
pub(super) async fn list(
    State(desk): super::Counter,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
) -> Response {
    let form = Form::of_query(query.as_deref());
    let which = Which::ALL.into_iter().find(|which| Some(which.name()) == form.field("show")).unwrap_or(Which::All);
    let asked = asked(which, &form);
    let read = desk.need_list::<Items<Incident>>(&visitor, (Section::Incidents, &asked)).await;
    let (Items { items, next }, age) = match read {
        Ok(read) => read,
        Err(refusal) => return *refusal,
    };
    let view = desk.inside.view();
    page(&Incidents {
        frame: Frame::of(&desk, &visitor, Section::Incidents, &view),
        which,
        key: form.field("key").unwrap_or_default().to_owned(),
        items,
        next,
        remembered: age.map(span),
    })
}

/// What the API is asked for.
fn asked(which: Which, form: &Form) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("limit", A_PAGE);
    match which {
        Which::All => &mut query,
        Which::Open => query.append_pair("open", "true"),
        Which::Over => query.append_pair("open", "false"),
    };
    for name in ["key", "cursor"] {
        if let Some(value) = form.field(name) {
            query.append_pair(name, value);
        }
    }
    format!("/api/v1/incidents?{}", query.finish())
}

#[derive(Template)]
#[template(path = "incident.html")]
struct Story {
    frame: Frame,
    incident: Incident,
    events: Vec<Event>,
    remembered: Option<String>,
}

/// Something that happened to it.
#[derive(Deserialize)]
struct Event {
    event: String,
    summary: String,
    at: i64,
    deliveries: Vec<Delivery>,
}

impl Event {
    fn at(&self) -> At {
        At(Wall(self.at))
    }
}

/// One event for one channel.
#[derive(Deserialize)]
struct Delivery {
    channel: String,
    state: String,
    held_by: Option<i64>,
    silenced_by: Option<String>,
    maintained_by: Option<String>,
    due_at: i64,
    attempts: u32,
    may_be_repeated: bool,
    last_error: Option<String>,
    sent_at: Option<i64>,
    took_ms: Option<u64>,
    answer: Option<String>,
    message_id: Option<String>,
}

impl Delivery {
    fn due(&self) -> At {
        At(Wall(self.due_at))
    }

    fn sent(&self) -> Option<At> {
        self.sent_at.map(Wall).map(At)
    }
}

#[derive(Deserialize)]
struct StoryRead {
    #[serde(flatten)]
    incident: Incident,
    events: Vec<Event>,
}

/// One, with all that was told of it.
pub(super) async fn show(
    State(desk): super::Counter,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Response {
    let path = format!("/api/v1/incidents/{}", encoded(&id));
    let (read, age) = match desk.need::<StoryRead>(&visitor, (Section::Incidents, &path)).await {
        Ok(read) => read,
        Err(refusal) => return *refusal,
    };
    let view = desk.inside.view();
    page(&Story {
        frame: Frame::of(&desk, &visitor, Section::Incidents, &view),
        incident: read.incident,
        events: read.events,
        remembered: age.map(span),
    })
}
