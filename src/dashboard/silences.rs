//! Silences: what people want to hear nothing of for a while, who said so and why, until when, and what is held because of it.

use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use komainu_watchdogs::time::Wall;
use serde::Deserialize;

use super::form::Form;
use super::frame::{Frame, Section, page};
use super::recall::Items;
use super::visit::Visitor;
use super::words::{At, counted, span};

/// What is in force: read now and then, so that it is known when the database goes.
pub(super) const ACTIVE: &str = "/api/v1/silences?state=active&limit=100";

/// How far those are that are shown.
const STATES: [&str; 3] = ["active", "pending", "expired"];

/// Keys that are shown of what one holds.
const MOST_KEYS: usize = 10;

#[derive(Template)]
#[template(path = "silences.html")]
struct Silences {
    frame: Frame,
    state: String,
    items: Vec<Silence>,
    next: Option<String>,
    remembered: Option<String>,
}

/// A silence, as the API shows it.
#[derive(Deserialize)]
pub(super) struct Silence {
    id: String,
    pub(super) matchers: Vec<String>,
    state: String,
    starts_at: i64,
    ends_at: i64,
    until_resolved: bool,
    recurrence: Option<Recurrence>,
    pub(super) author: String,
    pub(super) comment: String,
    held_incidents: u64,
    held_keys: Vec<String>,
}

#[derive(Deserialize)]
struct Recurrence {
    cron: String,
    lasts_s: u64,
    time_zone: String,
}

impl Silence {
    /// It is not over.
    fn stands(&self) -> bool {
        self.state != "expired"
    }

    fn is_to_come(&self, frame: &Frame) -> bool {
        self.starts_at > frame.now.0
    }

    fn starts(&self) -> At {
        At(Wall(self.starts_at))
    }

    pub(super) fn ends(&self) -> At {
        At(Wall(self.ends_at))
    }

    /// Until when, in words; of one that stands with how long that is.
    pub(super) fn until(&self, frame: &Frame) -> String {
        let left = u64::try_from(self.ends_at.saturating_sub(frame.now.0)).unwrap_or(0);
        match (self.stands(), self.until_resolved) {
            (true, true) => format!("until it is over, at most until {}", self.ends()),
            (true, false) => format!("until {}, {} from now", self.ends(), span(Duration::from_millis(left))),
            (false, _) => format!("ended {}", self.ends()),
        }
    }

    /// At which times it comes again.
    fn again(&self) -> Option<String> {
        let Recurrence { cron, lasts_s, time_zone } = self.recurrence.as_ref()?;
        Some(format!("each time {cron} ({time_zone}) for {}", span(Duration::from_secs(*lasts_s))))
    }

    pub(super) fn holds(&self) -> String {
        if self.held_incidents == 0 { "nothing".to_owned() } else { counted(self.held_incidents, "incident") }
    }

    fn keys(&self) -> impl Iterator<Item = &String> {
        self.held_keys.iter().take(MOST_KEYS)
    }

    /// Those of which the key is not shown.
    fn more(&self) -> u64 {
        let shown = u64::try_from(self.held_keys.len().min(MOST_KEYS)).unwrap_or(0);
        self.held_incidents.saturating_sub(shown)
    }
}

/// Lists those that are so far.
pub(super) async fn list(
    State(desk): super::Counter,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
) -> Response {
    let form = Form::of_query(query.as_deref());
    let state = form.field("state").filter(|state| STATES.contains(state)).unwrap_or("active").to_owned();
    let asked = form.turned(&format!("/api/v1/silences?state={state}&limit=100"));
    let (read, age) = match desk.need_list::<Items<Silence>>(&visitor, (Section::Silences, &asked)).await {
        Ok(read) => read,
        Err(refusal) => return *refusal,
    };
    page(&Silences {
        state,
        items: read.items,
        next: read.next,
        remembered: age.map(span),
        frame: Frame::of(&desk, &visitor, Section::Silences, &desk.inside.view()),
    })
}
