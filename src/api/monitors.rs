//! `/api/v1/monitors`: Kuma's own column names, plus who runs it.
//!
//! A monitor that is made here is a wish: the leader finds a node for it within its next round.

use axum::Json;
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use komainu_watchdogs::ids::{MonitorId, NodeId};
use serde_json::json;

use self::shown::Shown;
use super::Ctx;
use super::audit::{self, Done};
use super::auth::{Reader, Writer};
use super::body::Object;
use super::fields::Fields;
use super::page::{Cut, Items};
use super::problem::ApiError;
use crate::store::monitors::{self, MonitorFilter, NewMonitor};
use crate::store::{Store, nodes};

mod draft;
mod shown;
#[cfg(test)]
mod tests;
pub(super) mod uptime;

/// Filters: `node` (runs it), `home`, `type`, `active`, `tag`, `text` (in its name), `ref`.
pub(super) async fn list(_: Reader, context: Ctx, RawQuery(query): RawQuery) -> Result<Json<Items<Shown>>, ApiError> {
    let mut fields = Fields::of_query(query.as_deref());
    let cut = Cut::take(&mut fields);
    let reference = fields.text("ref", draft::REF_CHARS);
    let filter = MonitorFilter {
        effective_node: fields.text("node", 50).map(NodeId::from),
        home: fields.text("home", 50).map(NodeId::from),
        active: fields.flag("active"),
        kind: fields.text("type", 20),
        tag: fields.text("tag", 255),
        search: fields.text("text", 150),
    };
    fields.finish()?;
    let store = &context.state.store;
    match reference {
        Some(reference) => {
            Ok(Json(Items::whole(monitors::find_by_ref(store, &reference).await?.into_iter().collect())))
        }
        None => Ok(Json(Items::of(monitors::list(store, &filter, cut.cursor.as_deref(), cut.limit).await?))),
    }
}

pub(super) async fn show(_: Reader, context: Ctx, Path(id): Path<String>) -> Result<Json<Shown>, ApiError> {
    find(&context.state.store, &id).await.map(Json)
}

pub(super) async fn create(
    Writer(caller): Writer,
    context: Ctx,
    Object(fields): Object,
) -> Result<(StatusCode, HeaderMap, Json<Shown>), ApiError> {
    let new = draft::read(fields)?;
    let store = &context.state.store;
    ensure_node(store, &new).await?;
    let id = match monitors::create(store, &new).await {
        Err(error) if error.is_duplicate() => return Err(ref_taken(&new)),
        made => made?,
    };
    let after = json!({"name": new.spec.name, "type": new.spec.kind, "ref": new.reference, "node_id": new.node_id});
    let subject = format!("monitor/{id}");
    audit::note(store, &caller, Done { what: "monitor.create", subject: &subject, before: None, after: Some(after) })
        .await;
    let shown = find(store, &id.to_string()).await?;
    let mut headers = HeaderMap::new();
    if let Ok(location) = HeaderValue::from_str(&format!("/api/v1/monitors/{id}")) {
        headers.insert(header::LOCATION, location);
    }
    Ok((StatusCode::CREATED, headers, Json(shown)))
}

pub(super) async fn remove(
    Writer(caller): Writer,
    context: Ctx,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let store = &context.state.store;
    let id = parse_id(&id)?;
    let found = monitors::get(store, id).await?.ok_or_else(|| ApiError::not_found("monitor", &id.to_string()))?;
    if !monitors::delete(store, id).await? {
        return Err(ApiError::not_found("monitor", &id.to_string()));
    }
    let before = json!({"name": found.spec.name, "type": found.spec.kind, "ref": found.reference});
    let subject = format!("monitor/{id}");
    audit::note(store, &caller, Done { what: "monitor.delete", subject: &subject, before: Some(before), after: None })
        .await;
    Ok(StatusCode::NO_CONTENT)
}

async fn find(store: &Store, id: &str) -> Result<Shown, ApiError> {
    let found = monitors::get(store, parse_id(id)?).await?;
    found.map(Shown::from).ok_or_else(|| ApiError::not_found("monitor", id))
}

/// What is no number is no monitor's id, so there is no such monitor.
fn parse_id(text: &str) -> Result<MonitorId, ApiError> {
    text.parse().map(MonitorId).map_err(|_| ApiError::not_found("monitor", text))
}

async fn ensure_node(store: &Store, new: &NewMonitor) -> Result<(), ApiError> {
    let Some(node) = &new.node_id else { return Ok(()) };
    if nodes::get(store, node).await?.is_some() {
        return Ok(());
    }
    Err(ApiError::field(
        "node_id",
        format!("there is no node {node}; `komainu nodes list` shows them, without node_id the leader chooses"),
    ))
}

fn ref_taken(new: &NewMonitor) -> ApiError {
    let reference = new.reference.as_deref().unwrap_or_default();
    ApiError::conflict("ref", format!("there is a monitor with ref {reference} already"))
}
