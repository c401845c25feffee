//! Moves: what would move and why, what waits and for what, and what moved lately.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use komainu_watchdogs::time::Wall;
use komainu_watchdogs::view::View;
use serde::Deserialize;

use super::frame::{Frame, Section, page};
use super::overview::Automation;
use super::recall::{Items, Reading};
use super::visit::Visitor;
use super::words::{At, counted, span};

/// What moved lately: read now and then, so that it is known when the database goes.
pub(super) const LATELY: &str = "/api/v1/moves?limit=100";

#[derive(Template)]
#[template(path = "moves.html")]
struct Moves {
    frame: Frame,
    automation: Automation,
    would_move: Vec<WouldMoveRow>,
    waiting: Vec<WaitingRow>,
    /// `None`: it cannot be read now, and was not before.
    lately: Option<Vec<Arrival>>,
    remembered: Option<String>,
}

/// What automation would do if it might.
struct WouldMoveRow {
    monitors: String,
    from: String,
    why: &'static str,
}

/// What waits until something is certain.
struct WaitingRow {
    monitors: String,
    node: String,
    until: At,
    why: String,
}

/// Monitors that one decision gave to one node, as the API shows it.
#[derive(Deserialize)]
pub(super) struct Arrival {
    generation: u64,
    pub(super) node_id: String,
    monitors: u64,
    pub(super) why: String,
    at: i64,
}

impl Arrival {
    /// Whether they came within this span, in milliseconds UTC, both ends included.
    pub(super) fn is_within(&self, from: i64, until: i64) -> bool {
        (from..=until).contains(&self.at)
    }

    pub(super) fn at(&self) -> At {
        At(Wall(self.at))
    }

    pub(super) fn count(&self) -> String {
        counted(self.monitors, "monitor")
    }
}

pub(super) async fn list(State(desk): super::Counter, Extension(visitor): Extension<Visitor>) -> Response {
    let view = desk.inside.view();
    let (lately, age) = match desk.read::<Items<Arrival>>(&visitor.as_reader(), LATELY).await {
        Reading::Known(lately, age) => (Some(lately.items), age),
        Reading::Refused(..) | Reading::Away => (None, None),
    };
    page(&Moves {
        automation: Automation::of(&view),
        would_move: would_move(&view),
        waiting: waiting(&view),
        lately,
        remembered: age.map(span),
        frame: Frame::of(&desk, &visitor, Section::Moves, &view),
    })
}

fn would_move(view: &View) -> Vec<WouldMoveRow> {
    let row = |would: &komainu_watchdogs::view::WouldMove| WouldMoveRow {
        monitors: counted(would.monitors.into(), "monitor"),
        from: would.from.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string),
        why: would.reason.because(),
    };
    view.would_move.iter().map(row).collect()
}

fn waiting(view: &View) -> Vec<WaitingRow> {
    let row = |waiting: &komainu_watchdogs::doubt::Waiting| WaitingRow {
        monitors: counted(waiting.monitors.into(), "monitor"),
        node: waiting.node_id.to_string(),
        until: At(waiting.until),
        why: waiting.because.clone(),
    };
    view.waiting.iter().map(row).collect()
}
