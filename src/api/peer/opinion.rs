//! `POST /peer/v1/opinion`: a peer asks that this watchdog look once at what a monitor looks at.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;

use super::{Certified, SignedParams, SignedReport, claimed, ensure_signed, signed_answer};
use crate::api::Ctx;
use crate::api::checks::trial::STOPS;
use crate::api::problem::{ApiError, Problem};
use crate::looks::opinion::{OpinionRequest, PATH};
use crate::store::opinions;

/// A name and a number.
const LIMIT: usize = 4 * 1024;

/// What this watchdog sees of a monitor's target now, by the settings that stand in the database. Answered within the timeout of the look and a
/// few seconds.
#[utoipa::path(post, path = "/peer/v1/opinion", tag = "peers", params(SignedParams),
    request_body(content = Object, description = "Of one version of komainu to the same version"),
    responses((status = 200, description = "What it saw, signed", body = SignedReport),
        (status = 400, description = "It is no question", body = Problem),
        (status = 403, description = "The signature is missing or does not fit", body = Problem),
        (status = 404, description = "There is no such monitor", body = Problem),
        (status = 503, description = "As many looks as may be are under way, the database cannot be reached, or this watchdog stops", body = Problem)))]
pub(in crate::api) async fn answer(
    _: Certified,
    context: Ctx,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, ApiError> {
    claimed(&headers)?;
    let body = context.budgets.strangers.read(request.into_body(), LIMIT).await?.to_vec();
    ensure_signed(&context, &headers, ("POST", PATH), &body)?;
    let OpinionRequest { monitor, .. } =
        serde_json::from_slice(&body).map_err(|error| ApiError::field("body", error.to_string()))?;
    let looks = &context.state.looks;
    let room = looks.room_for_peer().ok_or(ApiError::Crowded)?;
    let target = opinions::target(&context.reads, monitor)
        .await?
        .ok_or_else(|| ApiError::not_found("monitor", &monitor.to_string()))?;
    let seen = tokio::select! {
        seen = Box::pin(looks.look_beside_node(&room, &target)) => seen,
        () = context.state.stopping.cancelled() => return Err(STOPS),
    };
    signed_answer(&context, ("POST", PATH), &seen)
}
