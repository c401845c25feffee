//! `/api/v1/monitors/{id}/beats`: what its runs found, the latest first.

use axum::Json;
use axum::extract::Path;

use super::shown::BeatShown;
use crate::api::Ctx;
use crate::api::auth::Reader;
use crate::api::page::{Items, PageAsked};
use crate::api::problem::ApiError;
use crate::api::request::Asked;
use crate::store::monitors;

/// What its runs found, the latest first.
#[utoipa::path(get, path = "/monitors/{id}/beats", tag = "monitors", security(("key" = ["read"])),
    params(PageAsked, ("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "One page", body = Items<BeatShown>)))]
pub(in crate::api) async fn beats(
    _: Reader,
    context: Ctx,
    Path(id): Path<String>,
    Asked(page): Asked<PageAsked>,
) -> Result<Json<Items<BeatShown>>, ApiError> {
    let store = &context.reads;
    let id = super::parse_id(&id)?;
    if monitors::get(store, id).await?.is_none() {
        return Err(ApiError::not_found("monitor", &id.to_string()));
    }
    let page = monitors::beats(store, id, page.cursor.as_deref(), page.limit()).await?;
    Ok(Json(Items::of(page)))
}
