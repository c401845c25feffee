//! `/api/v1/cluster/freeze`, `thaw` and `rebalance`: automatic moves stop and start again, alerts never do; and the load is
//! evened out when an operator says so.

use std::collections::BTreeMap;

use axum::Json;
use komainu_watchdogs::decision::MoveReason;
use komainu_watchdogs::ids::{MonitorId, NodeId};
use komainu_watchdogs::shard::{self, Load};
use serde::Serialize;
use utoipa::ToSchema;

use super::Ctx;
use super::auth::Admin;
use super::nodes::refusal::refused;
use super::problem::{ApiError, Problem};
use super::request::{Asked, Flag, request};
use super::status;
use crate::store::Store;
use crate::store::hands::{self, HandOutcome, Refusal};

/// Plans made anew because something moved meanwhile; after that the caller is told.
const ATTEMPTS: u32 = 3;

#[derive(Serialize, ToSchema)]
pub(super) struct Freeze {
    frozen: bool,
    /// It was otherwise before.
    changed: bool,
}

/// What evening out moves, and what that makes of the nodes.
#[derive(Serialize, ToSchema)]
pub(super) struct Rebalance {
    /// Nothing was written.
    dry_run: bool,
    moves: Vec<Shift>,
    /// What each node carries.
    #[schema(value_type = BTreeMap<String, Carried>)]
    before: BTreeMap<NodeId, Carried>,
    /// What each node carries once everything has arrived.
    #[schema(value_type = BTreeMap<String, Carried>)]
    after: BTreeMap<NodeId, Carried>,
}

/// One monitor that gets another home.
#[derive(Serialize, ToSchema)]
#[schema(as = RebalanceMove)]
struct Shift {
    #[schema(value_type = i64)]
    monitor_id: MonitorId,
    name: String,
    #[schema(value_type = Option<String>, required)]
    from: Option<NodeId>,
    #[schema(value_type = Option<String>, required)]
    to: Option<NodeId>,
    #[schema(value_type = String)]
    reason: MoveReason,
}

/// What a node carries.
#[derive(Serialize, ToSchema)]
struct Carried {
    /// Monitors, paused ones too.
    monitors: u32,
    /// Runs per second.
    rate: f64,
}

impl From<Load> for Carried {
    fn from(load: Load) -> Self {
        // A load counts runs in 1,000,000 seconds; no cluster comes near what a u32 holds of runs in 1,000.
        let rate = u32::try_from(load.rate / 1_000).unwrap_or(u32::MAX);
        Self { monitors: load.monitors, rate: f64::from(rate) / 1_000.0 }
    }
}

/// Stops all automatic moves.
///
/// Alerts go on, and what an operator moves to a node that was named still moves.
#[utoipa::path(post, path = "/cluster/freeze", tag = "cluster", security(("key" = ["admin"])),
    responses((status = 200, description = "Nothing moves by itself", body = Freeze)))]
pub(super) async fn freeze(Admin(caller): Admin, context: Ctx) -> Result<Json<Freeze>, ApiError> {
    let changed = hands::freeze(&context.state.store, &caller.who()).await?;
    Ok(Json(Freeze { frozen: true, changed }))
}

/// Lets automation move monitors again.
#[utoipa::path(post, path = "/cluster/thaw", tag = "cluster", security(("key" = ["admin"])),
    responses((status = 200, description = "Automation acts", body = Freeze)))]
pub(super) async fn thaw(Admin(caller): Admin, context: Ctx) -> Result<Json<Freeze>, ApiError> {
    let changed = hands::thaw(&context.state.store, &caller.who()).await?;
    Ok(Json(Freeze { frozen: false, changed }))
}

request! {
    pub(super) struct OnlyShown {
        /// Only show it
        dry_run: Option<Flag>,
    }
}

/// Evens out the load with the fewest moves, or shows what that would move.
#[utoipa::path(post, path = "/cluster/rebalance", tag = "cluster", security(("key" = ["admin"])),
    params(OnlyShown),
    responses((status = 200, description = "These monitors move", body = Rebalance),
        (status = 409, description = "Frozen, only observing, or too much moves just now", body = Problem)))]
pub(super) async fn rebalance(
    Admin(caller): Admin,
    context: Ctx,
    Asked(OnlyShown { dry_run }): Asked<OnlyShown>,
) -> Result<Json<Rebalance>, ApiError> {
    let dry_run = dry_run.unwrap_or_default();
    let (store, by) = (&context.state.store, caller.who());
    let mut attempt = 0;
    loop {
        attempt += 1;
        let seen = hands::read_shard(store).await?;
        let plan = shard::rebalance(&seen, &status::current(&context).field);
        if dry_run {
            return shown(store, plan, true).await;
        }
        match hands::rebalance(store, seen.stamp.generation, &plan.moves, &by).await? {
            HandOutcome::Done(()) => return shown(store, plan, false).await,
            HandOutcome::Refused(Refusal::Outdated) if attempt < ATTEMPTS => {}
            HandOutcome::Refused(refusal) => return Err(refused(refusal)),
        }
    }
}

async fn shown(store: &Store, plan: shard::Rebalance, dry_run: bool) -> Result<Json<Rebalance>, ApiError> {
    let ids: Vec<MonitorId> = plan.moves.iter().map(|step| step.monitor).collect();
    let mut names: BTreeMap<MonitorId, String> = hands::names(store, &ids).await?.into_iter().collect();
    let moves = plan.moves.into_iter().map(|step| Shift {
        monitor_id: step.monitor,
        name: names.remove(&step.monitor).unwrap_or_default(),
        from: step.from,
        to: step.to,
        reason: step.reason,
    });
    let carried = |loads: BTreeMap<NodeId, Load>| loads.into_iter().map(|(node, load)| (node, load.into())).collect();
    Ok(Json(Rebalance { dry_run, moves: moves.collect(), before: carried(plan.before), after: carried(plan.after) }))
}

#[cfg(test)]
mod tests {
    use komainu_watchdogs::shard::{Field, Slot};
    use komainu_watchdogs::view::View;
    use serde_json::json;

    use super::*;
    use crate::api::support::{Surface, view};

    #[tokio::test]
    async fn freezing_twice_changes_once() {
        let surface = Surface::plain().await;
        let admin = surface.key("admin").await;
        for (act, frozen, changed) in [("freeze", true, true), ("freeze", true, false), ("thaw", false, true)] {
            let answer = surface.send("POST", &format!("/api/v1/cluster/{act}"), Some(&admin), "").await;
            assert_eq!(answer.json(), json!({"frozen": frozen, "changed": changed}));
        }
    }

    #[tokio::test]
    async fn a_writer_may_not_freeze() {
        let surface = Surface::plain().await;
        let writer = surface.key("write").await;
        assert_eq!(surface.send("POST", "/api/v1/cluster/freeze", Some(&writer), "").await.code, 403);
    }

    fn two_nodes() -> View {
        let slots = ["node1", "node2"].map(|node| (NodeId::from(node), Slot::default()));
        let field = Field { nodes: slots.into(), ..Field::default() };
        View { field, ..view() }
    }

    #[tokio::test]
    async fn a_dry_run_shows_what_a_rebalance_then_asks_for() {
        let surface = Surface::showing(two_nodes()).await;
        let admin = surface.key("admin").await;
        surface.add_node("node1").await;
        surface.add_node("node2").await;
        for name in ["a", "b", "c", "d"] {
            let body = json!({"name": name, "type": "http", "url": "http://t/", "node_id": "node1"}).to_string();
            assert_eq!(surface.send("POST", "/api/v1/monitors", Some(&admin), &body).await.code, 201);
        }
        let path = "/api/v1/cluster/rebalance";
        let dry = surface.send("POST", &format!("{path}?dry_run=true"), Some(&admin), "").await.json();
        assert_eq!((dry["moves"].as_array().unwrap().len(), &dry["dry_run"]), (2, &json!(true)));
        let moved = &dry["moves"][0];
        assert_eq!((&moved["from"], &moved["to"]), (&json!("node1"), &json!("node2")));
        assert_eq!((&dry["before"]["node1"]["monitors"], &dry["after"]["node1"]["monitors"]), (&json!(4), &json!(2)));
        surface.send("POST", "/api/v1/cluster/freeze", Some(&admin), "").await;
        assert_eq!(surface.send("POST", path, Some(&admin), "").await.code, 409);
        surface.send("POST", "/api/v1/cluster/thaw", Some(&admin), "").await;
        let done = surface.send("POST", path, Some(&admin), "").await.json();
        assert_eq!((&done["moves"], &done["dry_run"]), (&dry["moves"], &json!(false)));
        let again = surface.send("POST", path, Some(&admin), "").await.json();
        assert_eq!(again["moves"], json!([]), "they are on their way");
        let trail = surface.send("GET", "/api/v1/audit?what=cluster.rebalance", Some(&admin), "").await.json();
        assert_eq!(trail["items"].as_array().unwrap().len(), 1);
    }
}
