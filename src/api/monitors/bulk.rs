//! `POST /api/v1/monitors/bulk`: thousands of monitors in one request, all or none of them.
//!
//! A JSON array, or one JSON object a line (NDJSON). `?upsert=true` changes those whose ref exists; `?dry_run=true` judges
//! all of it and writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::Request;
use axum::http::StatusCode;
use komainu_watchdogs::ids::MonitorId;
use serde::Serialize;
use utoipa::ToSchema;

use self::items::RawItem;
use super::document::MonitorFields;
use super::{THING, read_what_can_be, refusal};
use crate::api::Ctx;
use crate::api::auth::Writer;
use crate::api::problem::{ApiError, Problem};
use crate::api::request::{Asked, Flag, request};
use crate::monitor::{FieldFault, Table};
use crate::store::monitors::{self, Change, Refusal, Target, Wish, Written};

pub(crate) mod items;

/// Bytes of a body.
pub(in crate::api) const LIMIT: usize = 16 * 1024 * 1024;
/// Fields by which others of the same monitor are judged.
const DECIDING: [&str; 11] = [
    "auth_method",
    "http_body_encoding",
    "interval",
    "mqtt_check_type",
    "parent",
    "ping_per_request_timeout",
    "run_on",
    "snmp_version",
    "subtype",
    "timeout",
    "type",
];

/// What became of each, in the order of the request.
#[derive(Serialize, ToSchema)]
#[schema(as = MonitorsWritten)]
pub(in crate::api) struct BulkWritten {
    items: Vec<Item>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = MonitorWritten)]
struct Item {
    /// `null`: it would be new, in a dry run.
    #[schema(value_type = Option<i64>, required)]
    id: Option<MonitorId>,
    #[serde(rename = "ref")]
    #[schema(required)]
    reference: Option<String>,
    /// `created`, `updated`, `unchanged`.
    #[schema(value_type = String)]
    change: &'static str,
}

impl From<Written> for Item {
    fn from(written: Written) -> Self {
        let change = written.change.as_str();
        Self { id: Some(written.id).filter(|id| id.0 != 0), reference: written.reference, change }
    }
}

request! {
    pub(in crate::api) struct BulkAsked {
        /// Change those that exist, in what is named
        pub(in crate::api) upsert: Option<Flag>,
        /// Only say what would become of each
        pub(in crate::api) dry_run: Option<Flag>,
    }
}

/// Makes up to 10,000 monitors, all or none. `errors` names the item: `items[17].url`.
#[utoipa::path(post, path = "/monitors/bulk", tag = "monitors", security(("key" = ["write"])),
    params(BulkAsked),
    request_body(content((Vec<MonitorFields> = "application/json"), (String = "application/x-ndjson")),
        description = "A JSON array, or one JSON object a line; at most 16 MiB"),
    responses((status = 200, description = "Nothing was new, or it is a dry run", body = BulkWritten),
        (status = 201, description = "At least one is new", body = BulkWritten),
        (status = 409, description = "Refs or push tokens are taken", body = Problem),
        (status = 412, description = "Others write the same monitors; send it again", body = Problem)))]
pub(in crate::api) async fn bulk(
    Writer(caller): Writer,
    context: Ctx,
    Asked(BulkAsked { upsert, dry_run }): Asked<BulkAsked>,
    request: Request,
) -> Result<(StatusCode, Json<BulkWritten>), ApiError> {
    let (upsert, dry_run) = (upsert.unwrap_or_default(), dry_run.unwrap_or_default());
    let bytes = context.budgets.keyed.read(request.into_body(), LIMIT).await?;
    let store = &context.state.store;
    let (table, channels) = (monitors::table(store).await?, &context.state.telling.routing.channels);
    let (wishes, misread) = read_wishes(&items::read(&bytes)?, (&table, channels), upsert)?;
    if !misread.is_empty() {
        // What can be judged of the rest is told in the same answer.
        let judged = monitors::rehearse(store, &wishes).await?;
        return Err(refusal::many(Refusal::Faults(all_faults(misread, judged.err(), upsert)), THING));
    }
    let written = if dry_run {
        monitors::rehearse(store, &wishes).await?
    } else {
        monitors::write(store, &caller.who(), &wishes).await?
    };
    let written = written.map_err(|refused| refusal::many(refused, THING))?;
    let is_new = !dry_run && written.iter().any(|written| written.change == Change::Created);
    let code = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((code, Json(BulkWritten { items: written.into_iter().map(Item::from).collect() })))
}

/// What could be read, and what is wrong with the rest by its place.
type Read = (Vec<Wish>, Vec<(usize, FieldFault)>);

/// What can be read of each, and what cannot. One after the other: parsed, a thousand monitors take many times the room
/// of their text.
fn read_wishes(items: &[RawItem<'_>], (table, channels): (&Table, &[String]), upsert: bool) -> Result<Read, ApiError> {
    let mut faults: Vec<(usize, FieldFault)> = vec![];
    let mut wishes = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let (draft, found) = read_what_can_be(&item.parse(at)?, table, channels);
        let target = if upsert && draft.reference.is_some() { Target::Named } else { Target::New };
        wishes.push(Wish { target, draft, if_match: vec![] });
        faults.extend(found.into_iter().map(|fault| (at, fault)));
    }
    Ok((wishes, faults))
}

/// What was misread, and what is wrong with the rest, but for what only follows from a field that was misread.
fn all_faults(misread: Vec<(usize, FieldFault)>, refusal: Option<Refusal>, upsert: bool) -> Vec<(usize, FieldFault)> {
    let Some(Refusal::Faults(judged)) = refusal else { return misread };
    let mut fields: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    for (at, fault) in &misread {
        fields.entry(*at).or_default().insert(&fault.field);
    }
    let is_group_in_doubt = fields.values().any(|fields| fields.contains("type") || fields.contains("ref"));
    let is_sure = |at: usize, fault: &FieldFault| {
        if is_group_in_doubt && fault.field == "parent_ref" {
            return false;
        }
        let Some(misread) = fields.get(&at) else { return true };
        // Without its ref nobody knows which monitor it means.
        let is_vague = misread.contains(fault.field.as_str()) || (upsert && misread.contains("ref"));
        !is_vague && (fault.is_conflict || DECIDING.iter().all(|field| !misread.contains(field)))
    };
    let judged: Vec<_> = judged.into_iter().filter(|(at, fault)| is_sure(*at, fault)).collect();
    let mut all = [misread, judged].concat();
    all.sort_by_key(|(at, _)| *at);
    all
}
