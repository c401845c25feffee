//! What every page has around it: where one is, who one is, how the cluster is, and how old that knowledge is.

use std::time::Duration;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use komainu_watchdogs::io::Severity;
use komainu_watchdogs::time::Wall;
use komainu_watchdogs::view::{Health, View};
use serde::{Deserialize, Serialize};

use super::Desk;
use super::form::Form;
use super::visit::{self, Visitor};
use super::words::{Ago, At, Moment, span};
use crate::sealed::Purpose;
use crate::store::apikeys::Scope;

/// The parts of the dashboard, in the order in which they are offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Section {
    /// What is wrong now.
    Overview,
    /// Nodes.
    Nodes,
    /// Incidents.
    Incidents,
    /// Monitors.
    Monitors,
    /// Checks.
    Checks,
    /// Heartbeats.
    Heartbeats,
    /// What moves, and what moved.
    Moves,
    /// What people want to hear nothing of for a while.
    Silences,
    /// When somebody works on something.
    Maintenances,
    /// What the public sees.
    Pages,
    /// By what people are told.
    Channels,
    /// The audit trail.
    Audit,
    /// Nothing that is offered: a wall, a refusal.
    Elsewhere,
    /// A question: what somebody types there is not read anew.
    Question,
}

impl Section {
    pub(super) const OFFERED: [Self; 12] = [
        Self::Overview,
        Self::Incidents,
        Self::Monitors,
        Self::Checks,
        Self::Heartbeats,
        Self::Nodes,
        Self::Moves,
        Self::Silences,
        Self::Maintenances,
        Self::Pages,
        Self::Channels,
        Self::Audit,
    ];

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Overview | Self::Elsewhere | Self::Question => "/watch",
            Self::Silences => "/watch/silences",
            Self::Maintenances => "/watch/maintenances",
            Self::Pages => "/watch/pages",
            Self::Nodes => "/watch/nodes",
            Self::Incidents => "/watch/incidents",
            Self::Monitors => "/watch/monitors",
            Self::Moves => "/watch/moves",
            Self::Channels => "/watch/channels",
            Self::Audit => "/watch/audit",
            Self::Heartbeats => "/watch/heartbeats",
            Self::Checks => "/watch/checks",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Nodes => "Nodes",
            Self::Incidents => "Incidents",
            Self::Monitors => "Monitors",
            Self::Moves => "Moves",
            Self::Channels => "Channels",
            Self::Audit => "Audit",
            Self::Heartbeats => "Heartbeats",
            Self::Checks => "Checks",
            Self::Silences => "Silences",
            Self::Maintenances => "Maintenance",
            Self::Pages => "Pages",
            Self::Elsewhere | Self::Question => "",
        }
    }
}

/// What was done by the deed that led here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Notice {
    /// One sentence.
    pub(super) text: String,
    /// By the key of that row: for nobody else's eyes.
    pub(super) key_id: i64,
    /// When.
    pub(super) at: i64,
}

/// A page that is opened again later says nothing of what was done then.
const NOTICE_LASTS_MS: i64 = 60_000;

impl Notice {
    fn is_for(&self, visitor: &Visitor, now: Wall) -> bool {
        self.key_id == visitor.caller.key_id && (0..NOTICE_LASTS_MS).contains(&now.0.saturating_sub(self.at))
    }
}

/// Around a page.
pub(super) struct Frame {
    pub(super) cluster: String,
    pub(super) watchdog: String,
    pub(super) health: Health,
    /// Incidents that are open, and whether one of them is critical.
    wrong: (usize, bool),
    pub(super) here: Section,
    pub(super) visitor: Visitor,
    /// When the database was read for what stands here; `None`: never.
    pub(super) checked_at: Option<At>,
    pub(super) now: Wall,
    /// It cannot be read now; how old the last verdict is, in words.
    pub(super) database_away: Option<String>,
    pub(super) notice: Option<Notice>,
}

impl Frame {
    /// Of a page that rests on this view.
    pub(super) fn of(desk: &Desk, visitor: &Visitor, here: Section, view: &View) -> Self {
        let now = visit::now();
        let age = view.verdict_age_ms.map(|age| span(Duration::from_millis(age)));
        let verdict =
            age.map_or_else(|| "there was no verdict yet".to_owned(), |age| format!("the last verdict is {age} old"));
        let is_away = view.database == komainu_watchdogs::view::DatabaseView::Down;
        let query = visitor.place.split_once('?').map(|(_, query)| query);
        let said = Form::of_query(query).field("said").and_then(|said| desk.seals.open(Purpose::Notice, said));
        let said = said.filter(|said: &Notice| said.is_for(visitor, now));
        Self {
            cluster: desk.inside.state().cluster.clone(),
            watchdog: desk.inside.state().watchdog.to_string(),
            health: view.status,
            wrong: (
                view.incidents.len(),
                view.incidents.iter().any(|incident| incident.severity == Severity::Critical),
            ),
            here,
            visitor: visitor.clone(),
            checked_at: view.checked_at.map(At),
            now,
            database_away: is_away.then_some(verdict),
            notice: said,
        }
    }

    /// Whether whoever looks may change monitors and acknowledge.
    pub(super) fn may_write(&self) -> bool {
        self.visitor.caller.scope >= Scope::Write
    }

    /// Whether whoever looks may do everything.
    pub(super) fn is_admin(&self) -> bool {
        self.visitor.caller.scope >= Scope::Admin
    }

    /// Whether the page keeps itself fresh.
    pub(super) fn is_live(&self) -> bool {
        self.here != Section::Question
    }

    /// The sign and the words for the whole: for people it is not well while anything is wrong that komainu watches.
    pub(super) fn colour(&self) -> (&'static str, String) {
        match (self.health, self.wrong) {
            (Health::Ok, (0, _)) => ("ok", "all is well".to_owned()),
            (Health::Ok, (count, true)) => ("critical", format!("{count} wrong")),
            (Health::Ok, (count, false)) => ("warning", format!("{count} wrong")),
            (Health::Degraded, _) => ("degraded", "degraded".to_owned()),
            (Health::Down, _) => ("down", "down".to_owned()),
        }
    }

    /// How long ago that was.
    pub(super) fn ago(&self, at: impl Moment) -> Ago {
        at.at().ago(self.now)
    }

    /// When this page was drawn.
    pub(super) fn drawn(&self) -> Ago {
        At(self.now).ago(self.now)
    }
}

/// What a page says whose content was never read, and cannot be read now.
pub(super) const AWAY: (StatusCode, &str) = (
    StatusCode::SERVICE_UNAVAILABLE,
    "This has not been read since this watchdog started, and the database does not answer now. The overview shows what is known.",
);

#[derive(Template)]
#[template(path = "unread.html")]
struct Unread<'a> {
    frame: Frame,
    words: &'a str,
}

/// A page of which only its frame can be shown, and why.
pub(super) fn unread(desk: &Desk, visitor: &Visitor, here: Section, (status, words): (StatusCode, &str)) -> Response {
    page_with(status, &Unread { frame: Frame::of(desk, visitor, here, &desk.inside.view()), words })
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct Refusal<'a> {
    words: &'a str,
}

/// A page that says only why there is none.
pub(super) fn refusal(status: StatusCode, words: &str) -> Response {
    page_with(status, &Refusal { words })
}

/// A page as an answer.
pub(super) fn page(template: &impl Template) -> Response {
    page_with(StatusCode::OK, template)
}

/// The same, of a refusal.
pub(crate) fn page_with(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be drawn");
            (StatusCode::INTERNAL_SERVER_ERROR, Html("This page could not be drawn; the log says why.")).into_response()
        }
    }
}
