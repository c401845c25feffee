//! `GET /api/v1/moves`: what changed its place last.

use axum::Json;
use komainu_watchdogs::decision::MoveReason;
use komainu_watchdogs::ids::{Generation, NodeId};
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Ctx;
use crate::api::auth::Reader;
use crate::api::openapi::Millis;
use crate::api::page::Items;
use crate::api::problem::ApiError;
use crate::api::request::{Asked, Count, request};
use crate::store::monitors::{self, Arrival};

const MOST: u32 = 500;

/// Monitors that one decision gave to one node, and that are there since.
#[derive(Serialize, ToSchema)]
#[schema(as = Arrival)]
pub(in crate::api) struct ArrivalView {
    /// The number of the decision.
    #[schema(value_type = u64)]
    generation: Generation,
    /// Who runs them.
    #[schema(value_type = String)]
    node_id: NodeId,
    monitors: u64,
    /// Why: `new_monitor`, `node_offline`, `drain`, `operator` …
    reason: String,
    /// The same as a sentence for people.
    why: &'static str,
    #[schema(value_type = Millis)]
    at: Wall,
}

impl From<Arrival> for ArrivalView {
    fn from(Arrival { generation, node, monitors, reason, at }: Arrival) -> Self {
        let why = MoveReason::parse(&reason).map_or("", MoveReason::sentence);
        Self { generation, node_id: node, monitors, reason, why, at }
    }
}

request! {
    pub(in crate::api) struct ArrivalsAsked {
        /// At most so many.
        limit: Option<Count<1, MOST>> = 100,
    }
}

/// What changed its place last, the latest decision first. Monitors that moved again since stand where they are now.
#[utoipa::path(get, path = "/moves", tag = "monitors", security(("key" = ["read"])),
    params(ArrivalsAsked),
    responses((status = 200, description = "The latest ones", body = Items<ArrivalView>)))]
pub(in crate::api) async fn list(
    _: Reader,
    context: Ctx,
    Asked(ArrivalsAsked { limit }): Asked<ArrivalsAsked>,
) -> Result<Json<Items<ArrivalView>>, ApiError> {
    let arrivals = monitors::arrivals(&context.reads, limit.unwrap_or(100)).await?;
    Ok(Json(Items::whole(arrivals)))
}
