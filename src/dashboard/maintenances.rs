//! Maintenance windows: on what somebody works, when, and what is held because of it.

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

/// How far those are that are shown; empty: all of them.
const STATES: [&str; 4] = ["", "active", "pending", "expired"];

/// Subjects that are shown of one.
const MOST_SUBJECTS: usize = 10;

#[derive(Template)]
#[template(path = "maintenances.html")]
struct Maintenances {
    frame: Frame,
    state: String,
    items: Vec<Maintenance>,
    next: Option<String>,
    remembered: Option<String>,
}

/// A window, as the API shows it.
#[derive(Deserialize)]
struct Maintenance {
    name: String,
    title: String,
    state: String,
    subjects: Vec<String>,
    cron: Option<String>,
    time_zone: Option<String>,
    next_from: Option<i64>,
    next_until: Option<i64>,
    public_title: Option<String>,
    author: String,
    held_incidents: u64,
}

impl Maintenance {
    fn is_on(&self) -> bool {
        self.state == "active"
    }

    /// The time that is on, or the next one.
    fn time(&self) -> String {
        let at = |at: i64| At(Wall(at));
        match self.next_from.zip(self.next_until) {
            Some((from, until)) => format!("{} to {}", at(from), at(until)),
            None => "over".to_owned(),
        }
    }

    fn again(&self) -> Option<String> {
        let zone = self.time_zone.as_deref().unwrap_or("UTC");
        self.cron.as_ref().map(|cron| format!("again {cron} ({zone})"))
    }

    fn shown(&self) -> impl Iterator<Item = &String> {
        self.subjects.iter().take(MOST_SUBJECTS)
    }

    fn more(&self) -> usize {
        self.subjects.len().saturating_sub(MOST_SUBJECTS)
    }

    fn holds(&self) -> String {
        if self.held_incidents == 0 { "nothing".to_owned() } else { counted(self.held_incidents, "incident") }
    }
}

/// Lists those that are so far.
pub(super) async fn list(
    State(desk): super::Counter,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
) -> Response {
    let form = Form::of_query(query.as_deref());
    let state = form.field("state").filter(|state| STATES.contains(state)).unwrap_or_default().to_owned();
    let which = if state.is_empty() { String::new() } else { format!("state={state}&") };
    let asked = form.turned(&format!("/api/v1/maintenances?{which}limit=100"));
    let (read, age) = match desk.need_list::<Items<Maintenance>>(&visitor, (Section::Maintenances, &asked)).await {
        Ok(read) => read,
        Err(refusal) => return *refusal,
    };
    page(&Maintenances {
        state,
        items: read.items,
        next: read.next,
        remembered: age.map(span),
        frame: Frame::of(&desk, &visitor, Section::Maintenances, &desk.inside.view()),
    })
}
