//! `/api/v1/monitors/…/move`, `pin` and `unpin`: who runs what, by hand.
//!
//! Each call writes a wish and answers 202: the leader takes the monitor off its node, and gives it to the other once
//! that one stopped. Many monitors move together or not at all.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use komainu_watchdogs::ids::{MonitorId, NodeId};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use super::Ctx;
use super::auth::Writer;
use super::body::{Object, Optional};
use super::fields::Fields;
use super::nodes::refusal::refused;
use super::problem::{ApiError, Problem};
use crate::store::hands::{self, Asked, Goal, HandMove, MovedByHand, Outcome, Place, Refusal, Selection, WhyNot};
use crate::store::{Store, monitors};

/// Monitors that one request names.
const MOST_IDS: usize = 10_000;

/// A monitor and who runs it.
#[derive(Serialize, ToSchema)]
#[schema(as = MonitorPlace)]
pub(super) struct Standing {
    #[schema(value_type = i64)]
    id: MonitorId,
    name: String,
    /// Its home.
    #[schema(value_type = Option<String>, required)]
    node_id: Option<NodeId>,
    /// Who runs it while it is not at home; empty: nobody for a moment.
    #[schema(value_type = Option<String>, required)]
    assigned_node: Option<NodeId>,
    /// Who runs it; `null`: nobody.
    #[schema(value_type = Option<String>, required)]
    effective_node: Option<NodeId>,
    pinned: bool,
}

/// What became of many.
#[derive(Serialize, ToSchema)]
#[schema(as = MonitorsMoved)]
pub(super) struct Moves {
    /// Monitors that change, or are on their way already.
    moved: usize,
    /// Monitors for which nothing was left to do.
    already_there: u32,
    items: Vec<Item>,
}

/// One that changes.
#[derive(Serialize, ToSchema)]
#[schema(as = MonitorMoved)]
struct Item {
    #[schema(value_type = i64)]
    id: MonitorId,
    /// Who runs it; `null`: nobody yet.
    #[schema(value_type = Option<String>, required)]
    from: Option<NodeId>,
    /// Where it is asked to be; `null`: its place stays.
    #[schema(value_type = Option<String>, required)]
    to: Option<NodeId>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "read field by field; this is what the document says of it")]
struct MoveMonitor {
    /// Its new home.
    #[schema(min_length = 1, max_length = 190)]
    node_id: String,
    /// Bound to it or not; left out: as before.
    pin: Option<bool>,
}

/// Exactly one of `ids`, `tag` and `from_node`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read field by field; this is what the document says of it")]
struct MoveMonitors {
    #[schema(min_items = 1, max_items = 10_000)]
    ids: Option<Vec<i64>>,
    /// Those with this tag.
    #[schema(max_length = 255)]
    tag: Option<String>,
    /// Those that this node runs, or that are on their way to it.
    #[schema(max_length = 190)]
    from_node: Option<String>,
    /// Their new home.
    #[schema(min_length = 1, max_length = 190)]
    node_id: String,
    /// Bound to it or not; left out: each as before.
    pin: Option<bool>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "read field by field; this is what the document says of it")]
struct PinMonitor {
    /// Left out: where it runs.
    #[schema(max_length = 190)]
    node_id: Option<String>,
}

/// Exactly one of `ids`, `tag` and `from_node`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read field by field; this is what the document says of it")]
struct PinMonitors {
    #[schema(min_items = 1, max_items = 10_000)]
    ids: Option<Vec<i64>>,
    /// Those with this tag.
    #[schema(max_length = 255)]
    tag: Option<String>,
    /// Those that this node runs, or that are on their way to it.
    #[schema(max_length = 190)]
    from_node: Option<String>,
    /// Left out: each where it runs.
    #[schema(max_length = 190)]
    node_id: Option<String>,
}

/// Exactly one of `ids`, `tag` and `from_node`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read field by field; this is what the document says of it")]
struct UnpinMonitors {
    #[schema(min_items = 1, max_items = 10_000)]
    ids: Option<Vec<i64>>,
    /// Those with this tag.
    #[schema(max_length = 255)]
    tag: Option<String>,
    /// Those that this node runs, or that are on their way to it.
    #[schema(max_length = 190)]
    from_node: Option<String>,
}

impl From<Asked> for Item {
    fn from(Asked { id, from, to }: Asked) -> Self {
        Self { id, from, to }
    }
}

impl From<MovedByHand> for Moves {
    fn from(done: MovedByHand) -> Self {
        let items: Vec<Item> = done.items.into_iter().map(Item::from).collect();
        Self { moved: items.len(), already_there: done.already_there, items }
    }
}

type Accepted<T> = Result<(StatusCode, Json<T>), ApiError>;

/// What every hand on monitors may be told.
#[derive(IntoResponses)]
#[response(status = 409, description = "It cannot be there, the node is being drained, or komainu only observes")]
#[expect(dead_code, reason = "this is what the document says; the answer is made where the hand is refused")]
struct Impossible(Problem);

/// Gives one monitor a new home, and brings it there.
#[utoipa::path(post, path = "/monitors/{id}/move", tag = "monitors", security(("key" = ["write"])),params(("id" = i64, Path, description = "The monitor's id")),
    request_body = MoveMonitor, responses((status = 202, description = "Asked; the leader does it", body = Standing),
        Impossible))]
pub(super) async fn move_one(
    Writer(caller): Writer,
    context: Ctx,
    Path(id): Path<String>,
    Object(mut fields): Object,
) -> Accepted<Standing> {
    let id = monitor_id(&id)?;
    let goal = take_move(&mut fields);
    fields.finish()?;
    one(&context, id, goal, &caller.who()).await
}

/// Moves those that `ids`, `tag` or `from_node` names.
#[utoipa::path(post, path = "/monitors/move", tag = "monitors", security(("key" = ["write"])),
    request_body = MoveMonitors, responses((status = 202, description = "Asked, for all of them", body = Moves),
        Impossible))]
pub(super) async fn move_many(Writer(caller): Writer, context: Ctx, Object(mut fields): Object) -> Accepted<Moves> {
    let which = take_selection(&mut fields);
    let goal = take_move(&mut fields);
    fields.finish()?;
    many(&context, which, goal, &caller.who()).await
}

/// Binds one to `node_id`, or to the node that runs it.
#[utoipa::path(put, path = "/monitors/{id}/pin", tag = "monitors", security(("key" = ["write"])),params(("id" = i64, Path, description = "The monitor's id")),
    request_body = Option<PinMonitor>, responses((status = 202, description = "Pinned", body = Standing),
        Impossible))]
pub(super) async fn pin_one(
    Writer(caller): Writer,
    context: Ctx,
    Path(id): Path<String>,
    Optional(mut fields): Optional,
) -> Accepted<Standing> {
    let id = monitor_id(&id)?;
    let goal = Goal::Pin(take_place(&mut fields));
    fields.finish()?;
    one(&context, id, goal, &caller.who()).await
}

/// Binds one no longer; its home stays where it is.
#[utoipa::path(delete, path = "/monitors/{id}/pin", tag = "monitors", security(("key" = ["write"])),params(("id" = i64, Path, description = "The monitor's id")),
    responses((status = 202, description = "Not pinned any more", body = Standing),
        Impossible))]
pub(super) async fn unpin_one(Writer(caller): Writer, context: Ctx, Path(id): Path<String>) -> Accepted<Standing> {
    one(&context, monitor_id(&id)?, Goal::Unpin, &caller.who()).await
}

/// Binds those that `ids`, `tag` or `from_node` names.
#[utoipa::path(post, path = "/monitors/pin", tag = "monitors", security(("key" = ["write"])),
    request_body = PinMonitors, responses((status = 202, description = "Pinned", body = Moves),
        Impossible))]
pub(super) async fn pin_many(Writer(caller): Writer, context: Ctx, Object(mut fields): Object) -> Accepted<Moves> {
    let which = take_selection(&mut fields);
    let goal = Goal::Pin(take_place(&mut fields));
    fields.finish()?;
    many(&context, which, goal, &caller.who()).await
}

/// Binds those that `ids`, `tag` or `from_node` names no longer.
#[utoipa::path(post, path = "/monitors/unpin", tag = "monitors", security(("key" = ["write"])),
    request_body = UnpinMonitors, responses((status = 202, description = "Not pinned any more", body = Moves),
        Impossible))]
pub(super) async fn unpin_many(Writer(caller): Writer, context: Ctx, Object(mut fields): Object) -> Accepted<Moves> {
    let which = take_selection(&mut fields);
    fields.finish()?;
    many(&context, which, Goal::Unpin, &caller.who()).await
}

async fn one(context: &Ctx, id: MonitorId, goal: Goal, by: &str) -> Accepted<Standing> {
    let store = &context.state.store;
    let wish = HandMove { which: Selection::Ids(vec![id]), goal };
    match hands::move_by_hand(store, &wish, by).await? {
        Outcome::Done(_) => Ok((StatusCode::ACCEPTED, Json(standing(store, id).await?))),
        Outcome::Refused(Refusal::Impossible(faults)) if faults.iter().any(|fault| fault.why == WhyNot::Unknown) => {
            Err(ApiError::not_found("monitor", &id.to_string()))
        }
        Outcome::Refused(refusal) => Err(refused(refusal)),
    }
}

async fn standing(store: &Store, id: MonitorId) -> Result<Standing, ApiError> {
    let view = monitors::get(store, id).await?.ok_or_else(|| ApiError::not_found("monitor", &id.to_string()))?;
    Ok(Standing {
        id,
        name: view.spec.name,
        node_id: view.node_id,
        assigned_node: view.assigned_node,
        effective_node: view.effective_node,
        pinned: view.pinned,
    })
}

/// What is no number is no monitor's id, so there is no such monitor.
fn monitor_id(text: &str) -> Result<MonitorId, ApiError> {
    text.parse().map(MonitorId).map_err(|_| ApiError::not_found("monitor", text))
}

async fn many(context: &Ctx, which: Selection, goal: Goal, by: &str) -> Accepted<Moves> {
    match hands::move_by_hand(&context.state.store, &HandMove { which, goal }, by).await? {
        Outcome::Done(done) => Ok((StatusCode::ACCEPTED, Json(done.into()))),
        Outcome::Refused(refusal) => Err(refused(refusal)),
    }
}

fn take_move(fields: &mut Fields) -> Goal {
    let to = NodeId::from(fields.required_text("node_id", 190).unwrap_or_default());
    Goal::Move { to, pin: fields.flag("pin") }
}

fn take_place(fields: &mut Fields) -> Place {
    fields.text("node_id", 190).map_or(Place::WhereItRuns, |node| Place::Node(NodeId::from(node)))
}

/// Exactly one of the three.
fn take_selection(fields: &mut Fields) -> Selection {
    let ids = take_ids(fields).map(Selection::Ids);
    let tag = fields.text("tag", 255).map(Selection::Tag);
    let from_node = fields.text("from_node", 190).map(|node| Selection::FromNode(NodeId::from(node)));
    let mut given = [ids, tag, from_node].into_iter().flatten();
    if let (Some(which), None) = (given.next(), given.next()) {
        return which;
    }
    if !["ids", "tag", "from_node"].iter().any(|field| fields.has_fault(field)) {
        fields.fault("ids", "name the monitors by exactly one of ids, tag and from_node");
    }
    Selection::Ids(vec![])
}

fn take_ids(fields: &mut Fields) -> Option<Vec<MonitorId>> {
    let value = fields.take("ids")?;
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let ids: Option<Vec<_>> = items.iter().map(|item| item.as_i64().map(MonitorId)).collect();
    match ids {
        Some(mut ids) if (1..=MOST_IDS).contains(&ids.len()) => {
            ids.sort_unstable();
            ids.dedup();
            Some(ids)
        }
        Some(_) | None => {
            fields.fault("ids", format!("must be a list of 1 to {MOST_IDS} monitors' ids"));
            None
        }
    }
}

#[cfg(test)]
mod tests;
