//! What watchdogs say to each other. `GET /peer/v1/report`: what this watchdog sees, told to its peers without the database in between.
//!
//! Both directions are signed with the cluster key: the request over an empty body, the answer over the report, so that
//! nobody can speak for a watchdog.

use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use komainu_watchdogs::blackout::DatabaseReport;
use komainu_watchdogs::facts::{Report, Seen};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::problem::{ApiError, Problem};
use super::{Context, Ctx};
use crate::clock;
use crate::signature;
use crate::surface::{UNCERTIFIED, Uncertified};

pub(super) mod look;
pub(super) mod opinion;
pub(super) mod trial;

/// Where it answers.
pub(super) const PATH: &str = "/peer/v1/report";

/// What proves that a peer asks.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by the part that verifies it; this is what the document says of it")]
pub(super) struct SignedParams {
    /// `t=<unix ms>,v1=<hex HMAC-SHA256 with the cluster key of "t.METHOD.path.body">`
    #[param(rename = "x-komainu-signature")]
    signature: Option<String>,
}

/// What a watchdog tells its peers: of one version of komainu to the same version.
#[derive(ToSchema)]
#[schema(as = Told, value_type = Object)]
#[expect(dead_code, reason = "a type of the decision core; the document says no more of it than that it is an object")]
pub(super) struct SignedReport(Report);

/// A caller that showed a certificate, where peers must (`[tls] client_ca`). The signature is looked at besides.
#[derive(Debug)]
pub(super) struct Certified;

impl<S: Sync> FromRequestParts<S> for Certified {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match parts.extensions.get::<Uncertified>() {
            None => Ok(Self),
            Some(Uncertified) => Err(ApiError::Forbidden(UNCERTIFIED.to_owned())),
        }
    }
}

/// What this watchdog sees, told to its peers without the database in between.
#[utoipa::path(get, path = "/peer/v1/report", tag = "peers", params(SignedParams),
    responses((status = 200, description = "The report, signed", body = SignedReport),
        (status = 403, description = "The signature is missing or does not fit", body = Problem)))]
pub(super) async fn report(_: Certified, context: Ctx, headers: HeaderMap) -> Result<Response, ApiError> {
    let mut report = Report::clone(&context.state.report.borrow());
    let (status, reasons) = {
        let view = context.state.view.borrow();
        (view.status, view.reasons.clone())
    };
    report.seen = Some(Seen { status, reasons });
    report.database_report = Some(DatabaseReport::clone(&context.state.database_report.borrow()));
    answer(&context, &headers, PATH, &report)
}

/// Answers a peer that signed its question.
pub(super) fn answer(
    context: &Context,
    headers: &HeaderMap,
    path: &str,
    told: &impl Serialize,
) -> Result<Response, ApiError> {
    ensure_signed(context, headers, ("GET", path), b"")?;
    signed_answer(context, ("GET", path), told)
}

/// A peer's question. Who it is shows only when its body is there; whoever claims nothing is not read at all.
async fn question<T: DeserializeOwned>(
    context: &Context,
    request: Request,
    (path, limit): (&str, usize),
) -> Result<T, ApiError> {
    let (parts, body) = request.into_parts();
    claimed(&parts.headers)?;
    let body = context.budgets.strangers.read(body, limit).await?;
    ensure_signed(context, &parts.headers, ("POST", path), &body)?;
    serde_json::from_slice(&body).map_err(|error| ApiError::field("body", error.to_string()))
}

/// Refuses whoever does not hold the cluster's key.
fn ensure_signed(
    context: &Context,
    headers: &HeaderMap,
    (method, path): (&str, &str),
    body: &[u8],
) -> Result<(), ApiError> {
    signature::verify(context.state.key.as_bytes(), claimed(headers)?, clock::wall(), method, path, body)
        .map_err(|error| ApiError::Forbidden(error.to_string()))
}

/// The signature, as it is claimed to be.
fn claimed(headers: &HeaderMap) -> Result<&str, ApiError> {
    let claimed = headers.get(signature::HEADER).and_then(|value| value.to_str().ok());
    claimed.ok_or_else(|| ApiError::Forbidden(format!("{} is missing", signature::HEADER)))
}

fn signed_answer(context: &Context, (method, path): (&str, &str), told: &impl Serialize) -> Result<Response, ApiError> {
    let body = serde_json::to_vec(told).map_err(|error| ApiError::Internal(error.to_string()))?;
    let signed = signature::sign(context.state.key.as_bytes(), clock::wall(), method, path, &body);
    let signed = HeaderValue::from_str(&signed).map_err(|error| ApiError::Internal(error.to_string()))?;
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(signature::HEADER, signed);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::support::{KEY, Surface, view};

    #[tokio::test]
    async fn a_peer_gets_a_report_that_it_can_verify() {
        let surface = Surface::showing(view()).await;
        let signed = signature::sign(KEY.as_bytes(), clock::wall(), "GET", PATH, b"");
        let answer = surface.send_with("GET", PATH, &[(signature::HEADER, &signed)], "").await;
        assert_eq!(answer.code, 200);
        let back = answer.header(signature::HEADER);
        signature::verify(KEY.as_bytes(), &back, clock::wall(), "GET", PATH, &answer.body).unwrap();
        let report: Report = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(report.watchdog.as_str(), "w1");
        assert_eq!(report.database_report, Some(DatabaseReport::default()), "how its database fares");
        assert!(report.seen.is_some(), "how it finds the cluster");
    }

    #[tokio::test]
    async fn a_stranger_gets_nothing() {
        let surface = Surface::showing(view()).await;
        let forged = signature::sign(b"another key", clock::wall(), "GET", PATH, b"");
        assert_eq!(surface.get(PATH).await.code, 403);
        assert_eq!(surface.send_with("GET", PATH, &[(signature::HEADER, &forged)], "").await.code, 403);
    }
}
