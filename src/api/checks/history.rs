//! `GET /api/v1/checks/{name}/transitions`: how a check's verdict came to change, the latest first.

use axum::Json;
use axum::extract::Path;
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::find;
use crate::api::Ctx;
use crate::api::auth::Reader;
use crate::api::openapi::Millis;
use crate::api::page::{Items, PageAsked};
use crate::api::problem::ApiError;
use crate::api::request::Asked;
use crate::store::checks::{self, ShownTransition};

/// One change of a verdict.
#[derive(Serialize, ToSchema)]
#[schema(as = CheckTransition)]
pub(in crate::api) struct TransitionView {
    #[schema(value_type = Millis)]
    at: Wall,
    /// What stood before: `unknown`, `up`, `partial`, `down`.
    from: String,
    /// What it became.
    to: String,
    /// Why, in words for people.
    reason: String,
    /// What each watchdog had seen.
    #[schema(value_type = Vec<Object>)]
    votes: Value,
    /// Who saw it fail first; `null`: it does not fail.
    #[schema(required)]
    first_failing: Option<String>,
}

impl From<ShownTransition> for TransitionView {
    fn from(ShownTransition { at, from, to, reason, votes, first_failing, .. }: ShownTransition) -> Self {
        Self { at, from, to, reason, votes, first_failing }
    }
}

/// How the verdict came to change, the latest first; the last thousand changes of 400 days are kept.
#[utoipa::path(get, path = "/checks/{name}/transitions", tag = "checks", security(("key" = ["read"])),
    params(PageAsked, ("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "A page of them", body = Items<TransitionView>)))]
pub(in crate::api) async fn transitions(
    _: Reader,
    context: Ctx,
    Path(name): Path<String>,
    Asked(page): Asked<PageAsked>,
) -> Result<Json<Items<TransitionView>>, ApiError> {
    find(&context.reads, &name).await?;
    let before = page.cursor.as_deref().and_then(|cursor| cursor.parse().ok());
    Ok(Json(Items::of(checks::transitions(&context.reads, &name, before, page.limit()).await?)))
}
