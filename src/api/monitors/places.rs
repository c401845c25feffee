//! `/api/v1/monitors/{id}/moves`: where it is and was before, and why.

use axum::Json;
use axum::extract::Path;
use komainu_watchdogs::decision::MoveReason;
use komainu_watchdogs::ids::{Generation, NodeId};
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use utoipa::ToSchema;

use super::parse_id;
use crate::api::Ctx;
use crate::api::auth::Reader;
use crate::api::openapi::Millis;
use crate::api::page::{Items, Nothing};
use crate::api::problem::ApiError;
use crate::api::request::Asked;
use crate::store::monitors::{self, Place};

/// A node that runs a monitor, or ran it.
#[derive(Serialize, ToSchema)]
#[schema(as = MonitorPlaced)]
pub(in crate::api) struct PlaceView {
    #[schema(value_type = String)]
    node_id: NodeId,
    /// `new_monitor`, `node_offline`, `drain`, `operator` …
    reason: String,
    /// The same as a sentence for people; empty: nothing is known.
    why: &'static str,
    /// The number of the decision or hand that gave it to that node.
    #[schema(value_type = u64)]
    generation: Generation,
    /// Since when.
    #[schema(value_type = Millis)]
    since: Wall,
}

impl From<Place> for PlaceView {
    fn from(Place { node, reason, generation, since }: Place) -> Self {
        let why = MoveReason::parse(&reason).map_or("", MoveReason::sentence);
        Self { node_id: node, reason, why, generation, since }
    }
}

/// Where a monitor runs and ran before, the latest first; of long ago nothing is kept.
#[utoipa::path(get, path = "/monitors/{id}/moves", tag = "monitors", security(("key" = ["read"])),
    params(("id" = String, Path, description = "Number of the monitor")),
    responses((status = 200, description = "The places, the latest first", body = Items<PlaceView>)))]
pub(in crate::api) async fn show(
    _: Reader,
    context: Ctx,
    Path(id): Path<String>,
    _: Asked<Nothing>,
) -> Result<Json<Items<PlaceView>>, ApiError> {
    let places = monitors::places(&context.reads, parse_id(&id)?).await?;
    places.map(Items::whole).map(Json).ok_or_else(|| ApiError::not_found("monitor", &id))
}
