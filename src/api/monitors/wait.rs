//! Waiting for the first beat since a change.
//!
//! Of a new monitor, any beat counts. After an edit, one whose run began when its node had read the row: the node is
//! asked to read it at once and says when that was, on its own clock. Where it cannot be asked, a slice of rows later. The
//! database keeps whole seconds of a run's beginning: in the second in which the row was read, either may count.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use komainu_watchdogs::facts::{Mode, NodeStatus};
use komainu_watchdogs::ids::NodeId;
use komainu_watchdogs::time::Wall;
use komainu_watchdogs::view::View;
use serde_json::json;

use super::shown::{BeatShown, Sight};
use super::{answer_with, find_view};
use crate::api::auth::Caller;
use crate::api::problem::ApiError;
use crate::api::{Context, Ctx};
use crate::clock;
use crate::store::monitors::{Change, MonitorView};

/// Between two looks: a handful of waiting pipelines costs the database nothing.
const LOOK: Duration = Duration::from_millis(500);

/// A node reads each row within 5 s by itself; clocks of hosts with NTP differ by less than the rest.
const UNASKED: Duration = Duration::from_secs(6);

/// A node that cannot be reached, or does not say, is not asked for as long as somebody waits.
const ASKED_MOST: u32 = 3;

/// Answers with `first_beat`, or after the time with `null` and `waiting_for`.
pub(super) async fn answer(
    context: &Ctx,
    caller: &Caller,
    code: StatusCode,
    (mut view, change): (MonitorView, Change),
    limit: Duration,
) -> Result<Response, ApiError> {
    let began = clock::now();
    let mut since = Since::of(&view, change);
    loop {
        // Whoever waits for a second is answered after a second.
        let left = limit.saturating_sub(clock::now().since(began));
        let _ = tokio::time::timeout(left, since.ask(context, &view)).await;
        let last = context.state.store.last_beats(&[view.spec.id]).await?.into_iter().next();
        if let Some(beat) = last.filter(|beat| beat.time.0 >= since.at()) {
            let more = json!({"first_beat": BeatShown::from(beat)});
            return answer_with(
                (&context.state.store, &context.state.second_opinion),
                Sight::of(caller),
                code,
                &view,
                more,
            )
            .await;
        }
        let is_stopping = context.state.stopping.is_cancelled();
        // A paused one has none, however long one waits.
        if !view.spec.active || is_stopping || clock::now().since(began) >= limit {
            let more = json!({"first_beat": null, "waiting_for": reason(context, &view)});
            return answer_with(
                (&context.state.store, &context.state.second_opinion),
                Sight::of(caller),
                code,
                &view,
                more,
            )
            .await;
        }
        let _ = tokio::time::timeout(LOOK, context.state.stopping.cancelled()).await;
        view = find_view(&context.state.store, view.spec.id).await?;
    }
}

/// From when on a beat counts.
enum Since {
    /// It never said anything else.
    Ever,
    /// It was edited then; nobody said yet that the row was read. Its node may be asked so many times more.
    Edited(Wall, u32),
    /// Its node read the row then.
    Read(NodeId, Wall),
}

impl Since {
    fn of(view: &MonitorView, change: Change) -> Self {
        match (change, view.updated_at) {
            (Change::Created, _) | (_, None) => Self::Ever,
            (Change::Unchanged, made_at) if made_at == view.created_at && view.is_api_made() => Self::Ever,
            (Change::Updated | Change::Unchanged, Some(at)) => Self::Edited(at, ASKED_MOST),
        }
    }

    /// Asks the node that runs it, once, and another one after a move.
    async fn ask(&mut self, context: &Context, view: &MonitorView) {
        let asked = match self {
            Self::Ever | Self::Edited(_, 0) => return,
            Self::Edited(_, left) => {
                *left -= 1;
                None
            }
            Self::Read(node, _) => Some(&*node),
        };
        let Some(node) = view.effective_node.as_ref().filter(|node| asked != Some(node)) else { return };
        let cluster = context.state.view.borrow().clone();
        let Some(address) = cluster.nodes.iter().find(|known| known.node_id == *node).map(|known| &known.address)
        else {
            return;
        };
        if let Some(at) = context.state.prober.reread(node, address, view.spec.id).await {
            *self = Self::Read(node.clone(), at);
        }
    }

    /// Milliseconds, at the beginning of a second.
    fn at(&self) -> i64 {
        let at = match self {
            Self::Ever => return 0,
            Self::Edited(at, _) => *at + UNASKED,
            Self::Read(_, at) => *at,
        };
        at.0 - at.0.rem_euclid(1_000)
    }
}

/// What keeps it, in words.
fn reason(context: &Context, view: &MonitorView) -> String {
    let cluster = context.state.view.borrow().clone();
    if !view.spec.active {
        return "it is paused: no node runs it".to_owned();
    }
    if context.state.stopping.is_cancelled() {
        return "this watchdog stops: ask another one, or again".to_owned();
    }
    let Some(node) = &view.effective_node else { return unplaced(&cluster, view) };
    match cluster.nodes.iter().find(|known| known.node_id == *node) {
        Some(known) if known.status != NodeStatus::Online => {
            format!("its node {node} is {}", known.status.as_str())
        }
        None => format!("its node {node} is not known to this watchdog yet"),
        Some(_) if view.spec.kind == "push" => format!("nobody has pushed to it yet; {node} waits for a push"),
        Some(_) => format!("{node} has it and has not finished a run; it runs every {} s", view.spec.interval),
    }
}

fn unplaced(cluster: &View, view: &MonitorView) -> String {
    if view.assigned_node.is_some() {
        return "it is being moved: the node that ran it has not acknowledged yet".to_owned();
    }
    if cluster.mode == Mode::Observe {
        return "the cluster only observes and places nothing; `komainu adopt` starts automation".to_owned();
    }
    if cluster.frozen {
        return "the cluster is frozen and places nothing; `komainu cluster thaw` ends that".to_owned();
    }
    if cluster.leader.is_none() {
        return "no watchdog leads, so nobody places it".to_owned();
    }
    let labels = if view.run_on.is_empty() { String::new() } else { format!(" and bears {}", view.run_on.join(", ")) };
    format!("the leader has not placed it: it needs an online node with room that runs {}{labels}", view.spec.kind)
}
