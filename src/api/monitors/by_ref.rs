//! `/api/v1/monitors/by-ref/{ref}`: a monitor by the name that its client chose for it.
//!
//! PUT is for pipelines: it may be sent any number of times, changes only the fields that it names, and can wait until
//! the monitor has a beat.

use std::time::Duration;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::document::{Monitor, MonitorFields};
use super::{SecretsAsked, THING, answer, answer_with, find_view, read, refusal, sight, wait};
use crate::api::Ctx;
use crate::api::auth::{Caller, Reader, Writer};
use crate::api::body::Object;
use crate::api::problem::{ApiError, Problem};
use crate::api::request::{Asked, Field, Shape, Text, request};
use crate::store::Store;
use crate::store::monitors::{self, Change, MonitorView, Target, Wish, Written};

/// A pipeline's step takes no longer; neither does any proxy.
const LONGEST_WAIT_S: u64 = 300;

/// The monitor to which a client gave this name.
#[utoipa::path(get, path = "/monitors/by-ref/{ref}", tag = "monitors", security(("key" = ["read"])),
    params(("ref" = String, Path, description = "The name, percent-encoded"), SecretsAsked),
    responses((status = 200, description = "The monitor, with its ETag", body = Monitor)))]
pub(in crate::api) async fn show_by_ref(
    Reader(caller): Reader,
    context: Ctx,
    Path(reference): Path<String>,
    Asked(SecretsAsked { secrets }): Asked<SecretsAsked>,
) -> Result<Response, ApiError> {
    let view = find(&context.reads, &reference).await?;
    let sight = sight(&context, &caller, secrets, &[view.spec.id]).await?;
    answer_with((&context.reads, &context.state.second_opinion), sight, StatusCode::OK, &view, json!({})).await
}

request! {
    pub(in crate::api) struct WaitAsked {
        /// Answer after the first beat since, at most after this (`30s`)
        wait: Option<Wait>,
    }
}

struct Wait;

impl Field for Wait {
    type Value = Duration;

    fn read(sent: &Value) -> Result<Duration, String> {
        let text = <Text<0, 20>>::read(sent)?;
        let seconds = text.strip_suffix('s').unwrap_or(&text).parse::<u64>().ok();
        let limit = seconds.filter(|seconds| (1..=LONGEST_WAIT_S).contains(seconds)).map(Duration::from_secs);
        limit.ok_or_else(|| format!("must be from 1s to {LONGEST_WAIT_S}s"))
    }

    fn shape() -> Shape {
        <Text<0, 20>>::shape()
    }
}

/// Makes the monitor of this name, or changes the fields that are named: as often as a pipeline likes.
#[utoipa::path(put, path = "/monitors/by-ref/{ref}", tag = "monitors", security(("key" = ["write"])),
    params(("ref" = String, Path, description = "The name, percent-encoded"),
        WaitAsked,
        ("If-Match" = Option<String>, Header, description = "Only if the monitor is still one of these ETags"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only make it")),
    request_body = MonitorFields,
    responses((status = 200, description = "As it is now", body = Monitor),
        (status = 201, description = "Made", body = Monitor),
        (status = 409, description = "It contradicts what is there", body = Problem),
        (status = 412, description = "It was changed since, or is there already", body = Problem)))]
#[expect(clippy::too_many_arguments, reason = "each is a part of the request")]
pub(in crate::api) async fn put_by_ref(
    Writer(caller): Writer,
    context: Ctx,
    Path(reference): Path<String>,
    Asked(WaitAsked { wait: limit }): Asked<WaitAsked>,
    headers: HeaderMap,
    Object(fields): Object,
) -> Result<Response, ApiError> {
    let store = &context.state.store;
    let mut object = fields.into_object();
    let named = object.insert("ref".to_owned(), Value::String(reference.clone()));
    if named.is_some_and(|named| !named.is_null() && named != Value::String(reference.clone())) {
        return Err(ApiError::field("ref", "is another one than in the path; PATCH /api/v1/monitors/{id} renames"));
    }
    let draft = read(&context, &object).await?;
    let wants_new = refusal::wants_new(&headers);
    let target = if wants_new { Target::New } else { Target::Named };
    let wish = Wish { target, draft, if_match: refusal::if_match(&headers)? };
    let written = write(store, &caller, wish, &reference, wants_new).await?;
    let code = if written.change == Change::Created { StatusCode::CREATED } else { StatusCode::OK };
    let view = find_view(store, written.id).await?;
    match limit {
        None => answer(&context, &caller, code, &view).await,
        Some(limit) => wait::answer(&context, &caller, code, (view, written.change), limit).await,
    }
}

async fn write(
    store: &Store,
    caller: &Caller,
    wish: Wish,
    reference: &str,
    wants_new: bool,
) -> Result<Written, ApiError> {
    let refused = match monitors::write(store, &caller.who(), &[wish]).await? {
        Ok(written) => {
            return written.into_iter().next().ok_or_else(|| ApiError::Internal("nothing was written".to_owned()));
        }
        Err(refused) => refused,
    };
    let is_taken = |refused: &monitors::Refusal| matches!(refused, monitors::Refusal::Faults(faults) if faults.iter().any(|(_, fault)| fault.field == "ref"));
    if wants_new && is_taken(&refused) {
        Err(refusal::stale(THING))
    } else {
        Err(refusal::one(refused, THING, reference))
    }
}

/// Deletes the monitor of this name.
#[utoipa::path(delete, path = "/monitors/by-ref/{ref}", tag = "monitors", security(("key" = ["write"])),
    params(("ref" = String, Path, description = "The name, percent-encoded"),
        ("If-Match" = Option<String>, Header, description = "Only if the monitor is still one of these ETags")),
    responses((status = 204, description = "It is gone"),
        (status = 412, description = "It was changed since", body = Problem)))]
pub(in crate::api) async fn remove_by_ref(
    Writer(caller): Writer,
    context: Ctx,
    Path(reference): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let view = find(&context.state.store, &reference).await?;
    super::delete(&context, &caller, view.spec.id, &headers).await
}

async fn find(store: &Store, reference: &str) -> Result<MonitorView, ApiError> {
    let found = monitors::find_by_ref(store, reference).await?;
    found.ok_or_else(|| ApiError::not_found("monitor with ref", reference))
}
