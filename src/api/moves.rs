//! `/api/v1/monitors/…/move`, `pin` and `unpin`: who runs what, by hand.
//!
//! Each call writes a wish and answers 202: the leader takes the monitor off its node, and gives it to the other once
//! that one stopped. Many monitors move together or not at all.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use komainu_watchdogs::ids::{MonitorId, NodeId};
use serde::Serialize;

use super::Ctx;
use super::auth::Writer;
use super::body::{Object, Optional};
use super::fields::Fields;
use super::monitors::{find, parse_id, shown::Shown};
use super::nodes::refusal::refused;
use super::problem::ApiError;
use crate::store::hands::{self, Asked, Goal, HandMove, MovedByHand, Outcome, Place, Refusal, Selection, WhyNot};

/// Monitors that one request names.
const MOST_IDS: usize = 10_000;

/// What became of many.
#[derive(Serialize)]
pub(super) struct Moves {
    /// Monitors that change, or are on their way already.
    moved: usize,
    /// Monitors for which nothing was left to do.
    already_there: u32,
    items: Vec<Item>,
}

/// One that changes.
#[derive(Serialize)]
struct Item {
    id: MonitorId,
    /// Who runs it; `null`: nobody yet.
    from: Option<NodeId>,
    /// Where it is asked to be; `null`: its place stays.
    to: Option<NodeId>,
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

/// Gives one monitor a new home, and brings it there.
pub(super) async fn move_one(
    Writer(caller): Writer,
    context: Ctx,
    Path(id): Path<String>,
    Object(mut fields): Object,
) -> Accepted<Shown> {
    let id = parse_id(&id)?;
    let goal = take_move(&mut fields);
    fields.finish()?;
    one(&context, id, goal, &caller.who()).await
}

/// Moves those that `ids`, `tag` or `from_node` names.
pub(super) async fn move_many(Writer(caller): Writer, context: Ctx, Object(mut fields): Object) -> Accepted<Moves> {
    let which = take_selection(&mut fields);
    let goal = take_move(&mut fields);
    fields.finish()?;
    many(&context, which, goal, &caller.who()).await
}

/// Binds one to `node_id`, or to the node that runs it.
pub(super) async fn pin_one(
    Writer(caller): Writer,
    context: Ctx,
    Path(id): Path<String>,
    Optional(mut fields): Optional,
) -> Accepted<Shown> {
    let id = parse_id(&id)?;
    let goal = Goal::Pin(take_place(&mut fields));
    fields.finish()?;
    one(&context, id, goal, &caller.who()).await
}

/// Binds one no longer; its home stays where it is.
pub(super) async fn unpin_one(Writer(caller): Writer, context: Ctx, Path(id): Path<String>) -> Accepted<Shown> {
    one(&context, parse_id(&id)?, Goal::Unpin, &caller.who()).await
}

/// Binds those that `ids`, `tag` or `from_node` names.
pub(super) async fn pin_many(Writer(caller): Writer, context: Ctx, Object(mut fields): Object) -> Accepted<Moves> {
    let which = take_selection(&mut fields);
    let goal = Goal::Pin(take_place(&mut fields));
    fields.finish()?;
    many(&context, which, goal, &caller.who()).await
}

/// Binds those that `ids`, `tag` or `from_node` names no longer.
pub(super) async fn unpin_many(Writer(caller): Writer, context: Ctx, Object(mut fields): Object) -> Accepted<Moves> {
    let which = take_selection(&mut fields);
    fields.finish()?;
    many(&context, which, Goal::Unpin, &caller.who()).await
}

async fn one(context: &Ctx, id: MonitorId, goal: Goal, by: &str) -> Accepted<Shown> {
    let store = &context.state.store;
    let wish = HandMove { which: Selection::Ids(vec![id]), goal };
    match hands::move_by_hand(store, &wish, by).await? {
        Outcome::Done(_) => Ok((StatusCode::ACCEPTED, Json(find(store, &id.to_string()).await?))),
        Outcome::Refused(Refusal::Impossible(faults)) if faults.iter().any(|fault| fault.why == WhyNot::Unknown) => {
            Err(ApiError::not_found("monitor", &id.to_string()))
        }
        Outcome::Refused(refusal) => Err(refused(refusal)),
    }
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
