//! Waiting for the first beat since a change.
//!
//! A beat counts when its run began at or after the change, or when nothing was changed and there is one at all. The
//! database keeps whole seconds of a run's beginning; a run that began in the second of the change counts.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use komainu_watchdogs::facts::{Mode, NodeStatus};
use komainu_watchdogs::view::View;
use serde_json::json;

use super::shown::BeatShown;
use super::{answer_with, find_view};
use crate::api::auth::Caller;
use crate::api::problem::ApiError;
use crate::api::{Context, Ctx};
use crate::clock;
use crate::store::LastBeat;
use crate::store::monitors::{Change, MonitorView};

/// Between two looks: a handful of waiting pipelines costs the database nothing.
const LOOK: Duration = Duration::from_millis(500);

/// Answers with `first_beat`, or after the time with `null` and `waiting_for`.
pub(super) async fn answer(
    context: &Ctx,
    caller: &Caller,
    code: StatusCode,
    (mut view, change): (MonitorView, Change),
    limit: Duration,
) -> Result<Response, ApiError> {
    let began = clock::now();
    loop {
        let last = context.state.store.last_beats(&[view.spec.id]).await?.into_iter().next();
        if let Some(beat) = last.filter(|beat| is_since(beat, &view, change)) {
            let more = json!({"first_beat": BeatShown::from(beat)});
            return answer_with(context, caller, code, &view, more).await;
        }
        // A paused one has none, however long one waits.
        if !view.spec.active || clock::now().since(began) >= limit {
            let more = json!({"first_beat": null, "waiting_for": reason(context, &view)});
            return answer_with(context, caller, code, &view, more).await;
        }
        tokio::time::sleep(LOOK).await;
        view = find_view(&context.state.store, view.spec.id).await?;
    }
}

fn is_since(beat: &LastBeat, view: &MonitorView, change: Change) -> bool {
    let changed_at = view.updated_at.map_or(0, |at| at.0 - at.0.rem_euclid(1_000));
    change == Change::Unchanged || beat.time.0 >= changed_at
}

/// What keeps it, in words.
fn reason(context: &Context, view: &MonitorView) -> String {
    let cluster = context.state.view.borrow().clone();
    if !view.spec.active {
        return "it is paused: no node runs it".to_owned();
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
