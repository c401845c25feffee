//! The first page: what is wrong now, in the order in which it wants somebody, then who watches and what is watched.

use std::collections::BTreeMap;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::{Redirect, Response};
use komainu_watchdogs::check::State as CheckState;
use komainu_watchdogs::facts::{Mode, Vote};
use komainu_watchdogs::heartbeat::State as HeartbeatState;
use komainu_watchdogs::io::Severity;
use komainu_watchdogs::view::{DatabaseView, IncidentView, MonitorsView, View, WatchdogView};
use serde::Deserialize;

use super::frame::{Frame, Section, page};
use super::nodes::NodeRow;
use super::recall::Items;
use super::silences::{self, Silence};
use super::visit::Visitor;
use super::words::{At, counted, grouped};
use super::{Desk, ROOT};
use crate::store::MOST_OTHERS;

/// More silences are not shown; their list has them all.
const MOST_SILENCES: usize = 10;

/// More are not read; the list of incidents has them all.
const MOST_PROBLEMS: usize = 50;

/// The API's page of incidents that are open.
pub(super) const OPEN_INCIDENTS: &str = "/api/v1/incidents?open=true&limit=1000";

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    reasons: Vec<String>,
    problems: Vec<Problem>,
    more_problems: usize,
    /// How many there are, in words: the view does not carry all of many.
    wrong: String,
    /// Monitors whose last run failed.
    down: usize,
    nodes: Vec<NodeRow>,
    watchdogs: Vec<WatchdogRow>,
    leader: Option<String>,
    database: &'static str,
    server: Option<String>,
    automation: Automation,
    pinned_node: Option<String>,
    monitors: MonitorsView,
    checks: Vec<Tally>,
    heartbeats: Vec<Tally>,
    plans: Vec<String>,
    silences: Silences,
}

/// What is in force of what people want to hear nothing of.
enum Silences {
    /// The first of them, and whether there are more.
    Known(Vec<Silence>, bool),
    /// They could not be read yet.
    Unknown,
}

/// Whether anything moves by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Automation {
    /// It says what it would do.
    Observes,
    /// An operator stopped it.
    Frozen,
    /// It acts.
    Active,
}

impl Automation {
    pub(super) fn of(view: &View) -> Self {
        match view.mode {
            Mode::Observe => Self::Observes,
            Mode::Active if view.frozen => Self::Frozen,
            Mode::Active => Self::Active,
        }
    }
}

/// Something that is wrong.
pub(super) struct Problem {
    pub(super) key: String,
    /// Where the runbook speaks of its kind.
    kind: String,
    pub(super) is_critical: bool,
    pub(super) since: At,
    first_since: Option<At>,
    /// What the incident says; `None`: it could not be read.
    pub(super) told: Option<Told>,
}

/// An open incident, as the API shows it.
#[derive(Deserialize)]
pub(super) struct Told {
    id: i64,
    key: String,
    pub(super) summary: String,
    pub(super) acknowledged_by: Option<String>,
}

/// How many there are in a state.
struct Tally {
    state: &'static str,
    count: String,
}

fn tallies(counts: impl IntoIterator<Item = (&'static str, u64)>) -> Vec<Tally> {
    let there = counts.into_iter().filter(|(_, count)| *count > 0);
    there.map(|(state, count)| Tally { state, count: grouped(count) }).collect()
}

/// A watchdog and whether it leads.
struct WatchdogRow {
    id: String,
    status: &'static str,
    leads: bool,
    is_this: bool,
    last_seen: At,
    /// What it says of each of them, in their order.
    sees: Vec<(String, Sight)>,
}

/// What one watchdog says of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sight {
    /// It is the same one.
    Itself,
    /// It says nothing, of nobody.
    Silent,
    /// Its word.
    Says(Vote),
}

impl Sight {
    /// The sign and the word for it.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Itself => ("", "itself"),
            Self::Silent => ("", "says nothing"),
            Self::Says(Vote::Up) => ("up", "reached"),
            Self::Says(Vote::Down) => ("down", "not reached"),
            Self::Says(Vote::Unknown) => ("plain", "not known yet"),
        }
    }
}

/// `/` of a watchdog's own port.
pub(super) async fn lead_there() -> Redirect {
    Redirect::to(ROOT)
}

pub(super) async fn show(State(desk): super::Counter, Extension(visitor): Extension<Visitor>) -> Response {
    let view = desk.inside.view();
    let mut problems = problems(&desk, &visitor, &view).await;
    let wrong =
        if problems.len() >= MOST_OTHERS { format!("{} or more", problems.len()) } else { problems.len().to_string() };
    let more_problems = problems.len().saturating_sub(MOST_PROBLEMS);
    problems.truncate(MOST_PROBLEMS);
    let server = desk.inside.server_name();
    page(&Overview {
        reasons: reasons(&view),
        problems,
        more_problems,
        wrong,
        down: desk.atlas.down(),
        nodes: view.nodes.iter().map(NodeRow::of).collect(),
        watchdogs: watchdogs(&desk, &view),
        leader: view.leader.as_ref().map(|leader| format!("{}, epoch {}", leader.watchdog_id, leader.epoch)),
        database: database(view.database),
        server,
        automation: Automation::of(&view),
        pinned_node: view.pinned_node.as_ref().map(ToString::to_string),
        monitors: view.monitors,
        checks: checks(&desk),
        heartbeats: heartbeats(&desk),
        plans: plans(&view),
        silences: silences(&desk, &visitor).await,
        frame: Frame::of(&desk, &visitor, Section::Overview, &view),
    })
}

async fn silences(desk: &Desk, visitor: &Visitor) -> Silences {
    match desk.read::<Items<Silence>>(&visitor.as_reader(), silences::ACTIVE).await.known() {
        Some(Items { mut items, next }) => {
            let has_more = items.len() > MOST_SILENCES || next.is_some();
            items.truncate(MOST_SILENCES);
            Silences::Known(items, has_more)
        }
        None => Silences::Unknown,
    }
}

/// What is wrong, in the order in which it wants somebody.
pub(super) async fn problems(desk: &Desk, visitor: &Visitor, view: &View) -> Vec<Problem> {
    let told = desk.read::<Items<Told>>(&visitor.as_reader(), OPEN_INCIDENTS).await.known();
    let told = told.into_iter().flat_map(|incidents| incidents.items);
    let mut told: BTreeMap<String, Told> = told.map(|told| (told.key.clone(), told)).collect();
    let mut problems: Vec<Problem> =
        view.incidents.iter().map(|incident| problem(incident, told.remove(&incident.key))).collect();
    problems.sort_by_key(|problem| (problem.is_acknowledged(), !problem.is_critical, problem.since.0.0));
    problems
}

impl Problem {
    pub(super) fn is_acknowledged(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.acknowledged_by.is_some())
    }
}

fn problem(incident: &IncidentView, told: Option<Told>) -> Problem {
    let kind = incident.key.split('/').next().unwrap_or_default().to_owned();
    Problem {
        kind,
        is_critical: incident.severity == Severity::Critical,
        since: At(incident.since),
        first_since: (incident.first_since != incident.since).then_some(At(incident.first_since)),
        told,
        key: incident.key.clone(),
    }
}

/// Why it is not well, without what the tables below say anyway.
pub(super) fn reasons(view: &View) -> Vec<String> {
    let nodes = view.nodes.iter().map(|node| format!("node {} is {}", node.node_id, node.status.as_str()));
    let watchdogs =
        view.watchdogs.iter().map(|watchdog| format!("watchdog {} is {}", watchdog.watchdog_id, watchdog.status));
    let below: Vec<String> = nodes.chain(watchdogs).collect();
    let mut reasons: Vec<String> = view.reasons.iter().filter(|reason| !below.contains(reason)).cloned().collect();
    reasons.dedup();
    reasons
}

fn watchdogs(desk: &Desk, view: &View) -> Vec<WatchdogRow> {
    let me = &desk.inside.state().watchdog;
    let leader = view.leader.as_ref().map(|leader| &leader.watchdog_id);
    let row = |watchdog: &WatchdogView| WatchdogRow {
        id: watchdog.watchdog_id.to_string(),
        status: watchdog.status,
        leads: leader == Some(&watchdog.watchdog_id),
        is_this: watchdog.watchdog_id == *me,
        last_seen: At(watchdog.last_seen_ms),
        sees: sees(view, watchdog),
    };
    view.watchdogs.iter().map(row).collect()
}

/// What one says of all.
fn sees(view: &View, watchdog: &WatchdogView) -> Vec<(String, Sight)> {
    let sight = |peer: &WatchdogView| {
        if peer.watchdog_id == watchdog.watchdog_id {
            Sight::Itself
        } else if watchdog.sees.is_empty() {
            Sight::Silent
        } else {
            Sight::Says(watchdog.sees.get(&peer.watchdog_id).copied().unwrap_or_default())
        }
    };
    view.watchdogs.iter().map(|peer| (peer.watchdog_id.to_string(), sight(peer))).collect()
}

fn database(database: DatabaseView) -> &'static str {
    match database {
        DatabaseView::Up => "up",
        DatabaseView::Failing => "failing",
        DatabaseView::Down => "down",
    }
}

fn checks(desk: &Desk) -> Vec<Tally> {
    let (counts, paused) = desk.inside.state().looks.counts();
    let named = |state: CheckState| match state {
        CheckState::Up => "up",
        CheckState::Down => "down",
        CheckState::Partial => "partial",
        CheckState::Unknown => "unknown",
    };
    let all = [CheckState::Down, CheckState::Partial, CheckState::Unknown, CheckState::Up];
    let counted = all.map(|state| (named(state), u64::from(counts.get(&state).copied().unwrap_or(0))));
    tallies(counted.into_iter().chain([("paused", u64::from(paused))]))
}

fn heartbeats(desk: &Desk) -> Vec<Tally> {
    let counts = desk.inside.state().heartbeats.by_state();
    let named = |state: HeartbeatState| match state {
        HeartbeatState::Up => "up",
        HeartbeatState::Late => "late",
        HeartbeatState::Failed => "failed",
        HeartbeatState::New => "new",
    };
    let all = [HeartbeatState::Failed, HeartbeatState::Late, HeartbeatState::New, HeartbeatState::Up];
    let paused = desk.inside.state().heartbeats.paused();
    let counted = all.map(|state| (named(state), counts.get(&state).copied().unwrap_or(0)));
    tallies(counted.into_iter().chain([("paused", paused)]))
}

/// What would be moved, and what waits to be moved.
fn plans(view: &View) -> Vec<String> {
    let would = view.would_move.iter().map(|would| {
        let from = would.from.as_ref().map_or_else(|| "placed".to_owned(), |from| format!("moved from {from}"));
        format!("{} would be {from}: {}", counted(would.monitors.into(), "monitor"), would.reason.as_str())
    });
    let waiting = view.waiting.iter().map(|waiting| {
        let monitors = counted(waiting.monitors.into(), "monitor");
        format!("{monitors} of {} wait until {}, because {}", waiting.node_id, At(waiting.until), waiting.because)
    });
    would.chain(waiting).collect()
}
