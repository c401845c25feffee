//! `/api/v1/monitors/{id}/beats`: what its runs found, the latest first.

use axum::Json;
use axum::extract::{Path, RawQuery};

use super::shown::BeatShown;
use crate::api::Ctx;
use crate::api::auth::Reader;
use crate::api::fields::Fields;
use crate::api::page::{Cut, Items, PageParams};
use crate::api::problem::ApiError;
use crate::store::monitors;

/// What its runs found, the latest first.
#[utoipa::path(get, path = "/monitors/{id}/beats", tag = "monitors", security(("key" = ["read"])),
    params(PageParams, ("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "One page", body = Items<BeatShown>)))]
pub(in crate::api) async fn beats(
    _: Reader,
    context: Ctx,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Items<BeatShown>>, ApiError> {
    let mut fields = Fields::of_query(query.as_deref());
    let cut = Cut::take(&mut fields);
    fields.finish()?;
    let store = &context.reads;
    let id = super::parse_id(&id)?;
    if monitors::get(store, id).await?.is_none() {
        return Err(ApiError::not_found("monitor", &id.to_string()));
    }
    let page = monitors::beats(store, id, cut.cursor.as_deref(), cut.limit).await?;
    Ok(Json(Items::of(page)))
}
