//! `/api/v1/monitors/…/move`, `pin` and `unpin`: who runs what, by hand.
//!
//! Each call writes a wish and answers 202: the leader takes the monitor off its node, and gives it to the other once
//! that one stopped. Many monitors move together or not at all.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use komainu_watchdogs::ids::{MonitorId, NodeId};
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::ObjectBuilder;
use utoipa::openapi::schema::{KnownFormat, SchemaFormat, Type};
use utoipa::{IntoResponses, ToSchema};

use super::Ctx;
use super::auth::Writer;
use super::fields::Fields;
use super::nodes::refusal::refused;
use super::problem::{ApiError, Problem};
use super::request::{Field, Flag, Property, Request, Sent, SentOrNot, Shape, Text, request};
use crate::store::hands::{
    self, Asked, Goal, HandMove, HandOutcome, MovedByHand, PinPlace, Refusal, Selection, WhyNot,
};
use crate::store::{Store, monitors};

pub(super) mod lately;

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

request! {
    pub(super) struct MoveMonitor {
        /// Its new home.
        node_id: Text<1, 190>,
        /// Bound to it or not; left out: as before.
        pin: Option<Flag>,
    }
}

request! {
    /// Exactly one of `ids`, `tag` and `from_node`.
    pub(super) struct MoveMonitors {
        /// Their new home.
        node_id: Text<1, 190>,
        /// Bound to it or not; left out: each as before.
        pin: Option<Flag>,
        ..which: Which,
    }
}

request! {
    pub(super) struct PinMonitor {
        /// Left out: where it runs.
        node_id: Option<Text<0, 190>>,
    }
}

request! {
    /// Exactly one of `ids`, `tag` and `from_node`.
    pub(super) struct PinMonitors {
        /// Left out: each where it runs.
        node_id: Option<Text<0, 190>>,
        ..which: Which,
    }
}

request! {
    /// Exactly one of `ids`, `tag` and `from_node`.
    pub(super) struct UnpinMonitors {
        ..which: Which,
    }
}

request! {
    struct Selectors {
        ids: Option<Ids>,
        /// Those with this tag.
        tag: Option<Text<0, 255>>,
        /// Those that this node runs, or that are on their way to it.
        from_node: Option<Text<0, 190>>,
    }
}

/// The monitors that exactly one of three fields names.
struct Which(Selection);

impl Request for Which {
    fn take(fields: &mut Fields) -> Option<Self> {
        let Selectors { ids, tag, from_node } = Selectors::take(fields)?;
        let from_node = from_node.map(|node| Selection::FromNode(NodeId::from(node)));
        let mut given = [ids.map(Selection::Ids), tag.map(Selection::Tag), from_node].into_iter().flatten();
        if let (Some(which), None) = (given.next(), given.next()) {
            return Some(Self(which));
        }
        if !["ids", "tag", "from_node"].iter().any(|field| fields.has_fault(field)) {
            fields.fault("ids", "name the monitors by exactly one of ids, tag and from_node");
        }
        None
    }

    fn properties() -> Vec<Property> {
        Selectors::properties()
    }
}

struct Ids;

impl Field for Ids {
    type Value = Vec<MonitorId>;

    fn read(sent: &Value) -> Result<Vec<MonitorId>, String> {
        let items = sent.as_array().map(Vec::as_slice).unwrap_or_default();
        let ids: Option<Vec<_>> = items.iter().map(|item| item.as_i64().map(MonitorId)).collect();
        let ids = ids.filter(|ids| (1..=MOST_IDS).contains(&ids.len()));
        let mut ids = ids.ok_or_else(|| format!("must be a list of 1 to {MOST_IDS} monitors' ids"))?;
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    fn shape() -> Shape {
        let format = Some(SchemaFormat::KnownFormat(KnownFormat::Int64));
        let id = ObjectBuilder::new().schema_type(Type::Integer).format(format);
        Shape::list(id, |list| list.min_items(Some(1)).max_items(Some(MOST_IDS)))
    }
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
    Sent(MoveMonitor { node_id, pin }): Sent<MoveMonitor>,
) -> Accepted<Standing> {
    one(&context, monitor_id(&id)?, move_to(node_id, pin), &caller.who()).await
}

/// Moves those that `ids`, `tag` or `from_node` names.
#[utoipa::path(post, path = "/monitors/move", tag = "monitors", security(("key" = ["write"])),
    request_body = MoveMonitors, responses((status = 202, description = "Asked, for all of them", body = Moves),
        Impossible))]
pub(super) async fn move_many(
    Writer(caller): Writer,
    context: Ctx,
    Sent(MoveMonitors { node_id, pin, which: Which(which) }): Sent<MoveMonitors>,
) -> Accepted<Moves> {
    many(&context, which, move_to(node_id, pin), &caller.who()).await
}

/// Binds one to `node_id`, or to the node that runs it.
#[utoipa::path(put, path = "/monitors/{id}/pin", tag = "monitors", security(("key" = ["write"])),params(("id" = i64, Path, description = "The monitor's id")),
    request_body = Option<PinMonitor>, responses((status = 202, description = "Pinned", body = Standing),
        Impossible))]
pub(super) async fn pin_one(
    Writer(caller): Writer,
    context: Ctx,
    Path(id): Path<String>,
    SentOrNot(PinMonitor { node_id }): SentOrNot<PinMonitor>,
) -> Accepted<Standing> {
    one(&context, monitor_id(&id)?, pin_to(node_id), &caller.who()).await
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
pub(super) async fn pin_many(
    Writer(caller): Writer,
    context: Ctx,
    Sent(PinMonitors { node_id, which: Which(which) }): Sent<PinMonitors>,
) -> Accepted<Moves> {
    many(&context, which, pin_to(node_id), &caller.who()).await
}

/// Binds those that `ids`, `tag` or `from_node` names no longer.
#[utoipa::path(post, path = "/monitors/unpin", tag = "monitors", security(("key" = ["write"])),
    request_body = UnpinMonitors, responses((status = 202, description = "Not pinned any more", body = Moves),
        Impossible))]
pub(super) async fn unpin_many(
    Writer(caller): Writer,
    context: Ctx,
    Sent(UnpinMonitors { which: Which(which) }): Sent<UnpinMonitors>,
) -> Accepted<Moves> {
    many(&context, which, Goal::Unpin, &caller.who()).await
}

async fn one(context: &Ctx, id: MonitorId, goal: Goal, by: &str) -> Accepted<Standing> {
    let store = &context.state.store;
    let wish = HandMove { which: Selection::Ids(vec![id]), goal };
    match hands::move_by_hand(store, &wish, by).await? {
        HandOutcome::Done(_) => Ok((StatusCode::ACCEPTED, Json(standing(store, id).await?))),
        HandOutcome::Refused(Refusal::Impossible(faults))
            if faults.iter().any(|fault| fault.why == WhyNot::Unknown) =>
        {
            Err(ApiError::not_found("monitor", &id.to_string()))
        }
        HandOutcome::Refused(refusal) => Err(refused(refusal)),
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
        HandOutcome::Done(done) => Ok((StatusCode::ACCEPTED, Json(done.into()))),
        HandOutcome::Refused(refusal) => Err(refused(refusal)),
    }
}

fn move_to(node_id: String, pin: Option<bool>) -> Goal {
    Goal::Move { to: NodeId::from(node_id), pin }
}

fn pin_to(node_id: Option<String>) -> Goal {
    Goal::Pin(node_id.map_or(PinPlace::WhereItRuns, |node| PinPlace::Node(NodeId::from(node))))
}

#[cfg(test)]
mod tests;
