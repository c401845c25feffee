//! `POST /api/v1/checks/bulk`: thousands of checks in one request, all or none of them.
//!
//! A JSON array, or one JSON object a line (NDJSON). `?upsert=true` changes those whose name exists; `?dry_run=true` judges
//! all of it and writes nothing.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::Request;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::document::NewCheck;
use super::{THING, read_what_can_be};
use crate::api::Ctx;
use crate::api::auth::Writer;
use crate::api::monitors::bulk::items::{self, RawItem};
use crate::api::monitors::bulk::{BulkAsked, LIMIT};
use crate::api::monitors::refusal;
use crate::api::problem::{ApiError, Problem};
use crate::api::request::Asked;
use crate::monitor::FieldFault;
use crate::store::checks::{self, Change, Refusal, Target, Wish, Written};

/// What became of each, in the order of the request.
#[derive(Serialize, ToSchema)]
#[schema(as = ChecksWritten)]
pub(in crate::api) struct BulkWritten {
    items: Vec<Item>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CheckWritten)]
struct Item {
    name: String,
    /// `created`, `updated`, `unchanged`.
    #[schema(value_type = String)]
    change: &'static str,
}

impl From<Written> for Item {
    fn from(written: Written) -> Self {
        Self { name: written.name, change: written.change.as_str() }
    }
}

/// Makes up to 10,000 checks, all or none. `errors` names the item: `items[17].url`.
#[utoipa::path(post, path = "/checks/bulk", tag = "checks", security(("key" = ["write"])),
    params(BulkAsked),
    request_body(content((Vec<NewCheck> = "application/json"), (String = "application/x-ndjson")),
        description = "A JSON array, or one JSON object a line; at most 16 MiB"),
    responses((status = 200, description = "Nothing was new, or it is a dry run", body = BulkWritten),
        (status = 201, description = "At least one is new", body = BulkWritten),
        (status = 409, description = "Names are taken, or there would be more than 10,000", body = Problem)))]
pub(in crate::api) async fn bulk(
    Writer(caller): Writer,
    context: Ctx,
    Asked(BulkAsked { upsert, dry_run }): Asked<BulkAsked>,
    request: Request,
) -> Result<(StatusCode, Json<BulkWritten>), ApiError> {
    let (upsert, dry_run) = (upsert.unwrap_or_default(), dry_run.unwrap_or_default());
    let bytes = context.budgets.keyed.read(request.into_body(), LIMIT).await?;
    let (store, guard) = (&context.state.store, &context.state.guard);
    let (wishes, misread) = read_wishes(&items::read(&bytes)?, &context.state.telling.routing.channels, upsert)?;
    if !misread.is_empty() {
        // What can be judged of the others is told in the same answer.
        let (places, clean) = clean(wishes, &misread);
        let judged = checks::rehearse(store, &clean, guard).await?;
        return Err(refusal::many(Refusal::Faults(all_faults(misread, judged.err(), &places)), THING));
    }
    let written = if dry_run {
        checks::rehearse(store, &wishes, guard).await?
    } else {
        checks::write(store, &caller.who(), &wishes, guard).await?
    };
    let written = written.map_err(|refused| refusal::many(refused, THING))?;
    context.state.looks.refresh();
    let is_new = !dry_run && written.iter().any(|written| written.change == Change::Created);
    let code = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((code, Json(BulkWritten { items: written.into_iter().map(Item::from).collect() })))
}

/// What could be read, and what is wrong with the rest by its place.
type Read = (Vec<Wish>, Vec<(usize, FieldFault)>);

/// One after the other: parsed, a thousand checks take many times the room of their text.
fn read_wishes(items: &[RawItem<'_>], channels: &[String], upsert: bool) -> Result<Read, ApiError> {
    let (mut wishes, mut faults) = (Vec::with_capacity(items.len()), vec![]);
    let target = if upsert { Target::Named } else { Target::New };
    for (at, item) in items.iter().enumerate() {
        let (draft, found) = read_what_can_be(&item.parse(at)?, channels);
        wishes.push(Wish { target, draft, if_match: vec![] });
        faults.extend(found.into_iter().map(|fault| (at, fault)));
    }
    Ok((wishes, faults))
}

/// Those of which nothing was misread, with their places.
fn clean(wishes: Vec<Wish>, misread: &[(usize, FieldFault)]) -> (Vec<usize>, Vec<Wish>) {
    let bad: BTreeSet<usize> = misread.iter().map(|(at, _)| *at).collect();
    wishes.into_iter().enumerate().filter(|(at, _)| !bad.contains(at)).unzip()
}

fn all_faults(
    misread: Vec<(usize, FieldFault)>,
    judged: Option<Refusal>,
    places: &[usize],
) -> Vec<(usize, FieldFault)> {
    let mut all = misread;
    if let Some(Refusal::Faults(judged)) = judged {
        all.extend(judged.into_iter().filter_map(|(at, fault)| Some((*places.get(at)?, fault))));
    }
    all.sort_by_key(|(at, _)| *at);
    all
}
