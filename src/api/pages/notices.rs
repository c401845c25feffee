//! What people write on pages: incidents with updates, and planned maintenances.

use axum::Json;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Wall;

use self::document::{NewIncident, NewMaintenance, NewUpdate, NoticeChanges, NoticeShown};
use super::find as find_page;
use crate::api::auth::{Caller, Reader, Writer};
use crate::api::monitors::refusal;
use crate::api::page::{Items, PageAsked};
use crate::api::precondition;
use crate::api::problem::{ApiError, Problem};
use crate::api::request::{Asked, Sent};
use crate::api::{Context, Ctx};
use crate::pages::notice::{Draft, Impact, Kind, Stage};
use crate::pages::{Component, Definition, Source};
use crate::store::Store;
use crate::store::incidents::{self, Story};
use crate::store::pages::{self, Which};

mod document;

fn stage(kind: Kind, status: Option<String>) -> Result<Option<Stage>, ApiError> {
    let Some(status) = status else { return Ok(None) };
    let words = || kind.stages().map(Stage::as_str).join(", ");
    kind.stage(&status).map(Some).ok_or_else(|| ApiError::field("status", format!("must be one of {}", words())))
}

/// As refusals name it.
fn thing(kind: Kind) -> &'static str {
    match kind {
        Kind::Incident => "incident of this page",
        Kind::Maintenance => "maintenance of this page",
    }
}

/// Incidents that people wrote on a page, the latest first.
#[utoipa::path(get, path = "/pages/{slug}/incidents", tag = "pages",
    security(("key" = ["read"])),
    params(("slug" = String, Path, description = "The page"), PageAsked),
    responses((status = 200, description = "A page of them", body = Items<NoticeShown>)))]
pub(in crate::api) async fn incidents(
    _: Reader,
    context: Ctx,
    Path(slug): Path<String>,
    Asked(asked): Asked<PageAsked>,
) -> Result<Json<Items<NoticeShown>>, ApiError> {
    listed(&context, (&slug, Kind::Incident), &asked).await
}

/// Maintenances of a page, the latest first.
#[utoipa::path(get, path = "/pages/{slug}/maintenances", tag = "pages",
    security(("key" = ["read"])),
    params(("slug" = String, Path, description = "The page"), PageAsked),
    responses((status = 200, description = "A page of them", body = Items<NoticeShown>)))]
pub(in crate::api) async fn maintenances(
    _: Reader,
    context: Ctx,
    Path(slug): Path<String>,
    Asked(asked): Asked<PageAsked>,
) -> Result<Json<Items<NoticeShown>>, ApiError> {
    listed(&context, (&slug, Kind::Maintenance), &asked).await
}

async fn listed(
    context: &Context,
    (slug, kind): (&str, Kind),
    asked: &PageAsked,
) -> Result<Json<Items<NoticeShown>>, ApiError> {
    find_page(&context.reads, slug).await?;
    let found = pages::notices(&context.reads, (slug, kind), asked.cursor.as_deref(), asked.limit()).await?;
    Ok(Json(Items::of(found)))
}

/// Writes an incident on a page, also from one of komainu's.
#[utoipa::path(post, path = "/pages/{slug}/incidents", tag = "pages",
    security(("key" = ["write"])),
    params(("slug" = String, Path, description = "The page")),
    request_body = NewIncident,
    responses((status = 201, description = "Written", body = NoticeShown),
        (status = 409, description = "The page bears as many as it can", body = Problem)))]
pub(in crate::api) async fn post_incident(
    Writer(caller): Writer,
    context: Ctx,
    Path(slug): Path<String>,
    Sent(sent): Sent<NewIncident>,
) -> Result<Response, ApiError> {
    let NewIncident { title, impact, status, components, text, from_incident } = sent;
    let reached = stage(Kind::Incident, status)?;
    let base = match from_incident {
        Some(id) => from(&context.state.store, &slug, id).await?,
        None => Draft::default(),
    };
    let title = title.or(base.title);
    if title.is_none() {
        return Err(ApiError::field("title", "is missing"));
    }
    let draft = Draft {
        title,
        impact: impact.or(base.impact),
        stage: reached,
        components: components.or(base.components),
        words: text,
        incident_id: base.incident_id,
        ..Draft::default()
    };
    posted(&context, &caller, (&slug, Kind::Incident), &draft).await
}

/// What follows from an incident of komainu's: nothing of its own words, which name what is not public.
async fn from(store: &Store, slug: &str, id: i64) -> Result<Draft, ApiError> {
    let page = find_page(store, slug).await?;
    let found = incidents::get(store, id).await?;
    let Some(Story { incident, .. }) = found else {
        return Err(ApiError::field("from_incident", "there is no such incident"));
    };
    let found = about(&page.definition, &meant(store, &incident.key).await?);
    let names: Vec<&str> = found.iter().map(|component| component.name.as_str()).collect();
    let impact = if incident.severity == "critical" { Impact::Major } else { Impact::Minor };
    Ok(Draft {
        title: (!names.is_empty()).then(|| names.join(", ")).map(|names| names.chars().take(200).collect()),
        impact: Some(impact),
        components: Some(found.iter().map(|component| component.id.clone()).collect()),
        incident_id: Some(id),
        ..Draft::default()
    })
}

/// What an incident of this key is about, by each name that a page may have for it.
async fn meant(store: &Store, key: &str) -> Result<Vec<Source>, ApiError> {
    let (kind, subject) = key.split_once('/').unwrap_or((key, ""));
    Ok(match kind {
        "monitor" => {
            let Ok(id) = subject.parse().map(MonitorId) else { return Ok(vec![]) };
            let reference = pages::ref_of(store, id).await?.map(Source::MonitorRef);
            [Source::Monitor(id)].into_iter().chain(reference).collect()
        }
        "check" | "partial" => vec![Source::Check(subject.to_owned())],
        "heartbeat" => vec![Source::Heartbeat(subject.to_owned())],
        _ => vec![],
    })
}

fn about<'a>(page: &'a Definition, meant: &[Source]) -> Vec<&'a Component> {
    page.components().filter(|component| meant.contains(&component.source)).collect()
}

/// Plans a maintenance on a page.
#[utoipa::path(post, path = "/pages/{slug}/maintenances", tag = "pages",
    security(("key" = ["write"])),
    params(("slug" = String, Path, description = "The page")),
    request_body = NewMaintenance,
    responses((status = 201, description = "Written", body = NoticeShown),
        (status = 409, description = "The page bears as many as it can", body = Problem)))]
pub(in crate::api) async fn post_maintenance(
    Writer(caller): Writer,
    context: Ctx,
    Path(slug): Path<String>,
    Sent(sent): Sent<NewMaintenance>,
) -> Result<Response, ApiError> {
    let NewMaintenance { title, components, text, starts_at, ends_at } = sent;
    let draft = Draft {
        title: Some(title),
        components,
        words: text,
        starts_at: Some(Wall(starts_at)),
        ends_at: Some(Wall(ends_at)),
        ..Draft::default()
    };
    posted(&context, &caller, (&slug, Kind::Maintenance), &draft).await
}

async fn posted(
    context: &Context,
    caller: &Caller,
    (slug, kind): (&str, Kind),
    draft: &Draft,
) -> Result<Response, ApiError> {
    let done = pages::post(&context.state.store, &caller.who(), (slug, kind), draft).await?;
    let id = done.map_err(|refused| refusal::one(refused, super::THING, slug))?;
    context.pages.refresh();
    context.state.subscriptions.wake();
    answer(context, StatusCode::CREATED, Which { slug, kind, id: &id, if_match: &[] }).await
}

async fn answer(context: &Context, code: StatusCode, which: Which<'_>) -> Result<Response, ApiError> {
    let found = pages::notice(&context.state.store, which).await?;
    let notice = found.ok_or_else(|| ApiError::not_found(thing(which.kind), which.id))?;
    Ok(precondition::tagged(code, &notice.etag(), NoticeShown::from(notice)))
}

/// One incident of a page.
#[utoipa::path(get, path = "/pages/{slug}/incidents/{id}", tag = "pages",
    security(("key" = ["read"])),
    params(("slug" = String, Path, description = "The page"), ("id" = String, Path, description = "Its public id")),
    responses((status = 200, description = "It, with its ETag", body = NoticeShown)))]
pub(in crate::api) async fn show_incident(
    _: Reader,
    context: Ctx,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    answer(&context, StatusCode::OK, Which { slug: &slug, kind: Kind::Incident, id: &id, if_match: &[] }).await
}

/// One maintenance of a page.
#[utoipa::path(get, path = "/pages/{slug}/maintenances/{id}", tag = "pages",
    security(("key" = ["read"])),
    params(("slug" = String, Path, description = "The page"), ("id" = String, Path, description = "Its public id")),
    responses((status = 200, description = "It, with its ETag", body = NoticeShown)))]
pub(in crate::api) async fn show_maintenance(
    _: Reader,
    context: Ctx,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    answer(&context, StatusCode::OK, Which { slug: &slug, kind: Kind::Maintenance, id: &id, if_match: &[] }).await
}

/// Changes an incident as a whole, without saying anything of it.
#[utoipa::path(patch, path = "/pages/{slug}/incidents/{id}", tag = "pages",
    security(("key" = ["write"])),
    params(("slug" = String, Path, description = "The page"), ("id" = String, Path, description = "Its public id"),
        ("If-Match" = Option<String>, Header, description = "Only if it is still one of these ETags")),
    request_body = NoticeChanges,
    responses((status = 200, description = "As it is now", body = NoticeShown),
        (status = 412, description = "It was changed since", body = Problem)))]
pub(in crate::api) async fn change_incident(
    Writer(caller): Writer,
    context: Ctx,
    Path((slug, id)): Path<(String, String)>,
    headers: HeaderMap,
    Sent(sent): Sent<NoticeChanges>,
) -> Result<Response, ApiError> {
    let if_match = refusal::if_match(&headers)?;
    let which = Which { slug: &slug, kind: Kind::Incident, id: &id, if_match: &if_match };
    updated(&context, &caller, which, &sent.draft(Kind::Incident)?).await
}

/// Changes a maintenance as a whole: its time, too.
#[utoipa::path(patch, path = "/pages/{slug}/maintenances/{id}", tag = "pages",
    security(("key" = ["write"])),
    params(("slug" = String, Path, description = "The page"), ("id" = String, Path, description = "Its public id"),
        ("If-Match" = Option<String>, Header, description = "Only if it is still one of these ETags")),
    request_body = NoticeChanges,
    responses((status = 200, description = "As it is now", body = NoticeShown),
        (status = 412, description = "It was changed since", body = Problem)))]
pub(in crate::api) async fn change_maintenance(
    Writer(caller): Writer,
    context: Ctx,
    Path((slug, id)): Path<(String, String)>,
    headers: HeaderMap,
    Sent(sent): Sent<NoticeChanges>,
) -> Result<Response, ApiError> {
    let if_match = refusal::if_match(&headers)?;
    let which = Which { slug: &slug, kind: Kind::Maintenance, id: &id, if_match: &if_match };
    updated(&context, &caller, which, &sent.draft(Kind::Maintenance)?).await
}

impl NoticeChanges {
    fn draft(self, kind: Kind) -> Result<Draft, ApiError> {
        let Self { title, impact, status, components, starts_at, ends_at } = self;
        if kind == Kind::Incident && (starts_at.is_some() || ends_at.is_some()) {
            return Err(ApiError::field("starts_at", "an incident has no planned time"));
        }
        let (starts_at, ends_at) = (starts_at.map(Wall), ends_at.map(Wall));
        Ok(Draft { title, impact, stage: stage(kind, status)?, components, starts_at, ends_at, ..Draft::default() })
    }
}

/// Says something of an incident.
#[utoipa::path(post, path = "/pages/{slug}/incidents/{id}/updates", tag = "pages",
    security(("key" = ["write"])),
    params(("slug" = String, Path, description = "The page"), ("id" = String, Path, description = "Its public id")),
    request_body = NewUpdate,
    responses((status = 201, description = "Said", body = NoticeShown),
        (status = 409, description = "It bears as many updates as it can", body = Problem)))]
pub(in crate::api) async fn update_incident(
    Writer(caller): Writer,
    context: Ctx,
    Path((slug, id)): Path<(String, String)>,
    Sent(sent): Sent<NewUpdate>,
) -> Result<Response, ApiError> {
    let which = Which { slug: &slug, kind: Kind::Incident, id: &id, if_match: &[] };
    said(&context, &caller, which, sent).await
}

/// Says something of a maintenance.
#[utoipa::path(post, path = "/pages/{slug}/maintenances/{id}/updates", tag = "pages",
    security(("key" = ["write"])),
    params(("slug" = String, Path, description = "The page"), ("id" = String, Path, description = "Its public id")),
    request_body = NewUpdate,
    responses((status = 201, description = "Said", body = NoticeShown),
        (status = 409, description = "It bears as many updates as it can", body = Problem)))]
pub(in crate::api) async fn update_maintenance(
    Writer(caller): Writer,
    context: Ctx,
    Path((slug, id)): Path<(String, String)>,
    Sent(sent): Sent<NewUpdate>,
) -> Result<Response, ApiError> {
    let which = Which { slug: &slug, kind: Kind::Maintenance, id: &id, if_match: &[] };
    said(&context, &caller, which, sent).await
}

async fn said(context: &Context, caller: &Caller, which: Which<'_>, sent: NewUpdate) -> Result<Response, ApiError> {
    let NewUpdate { text, status, impact } = sent;
    let draft = Draft { words: Some(text), stage: stage(which.kind, status)?, impact, ..Draft::default() };
    let mut response = updated(context, caller, which, &draft).await?;
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

async fn updated(context: &Context, caller: &Caller, which: Which<'_>, draft: &Draft) -> Result<Response, ApiError> {
    let done = pages::update(&context.state.store, &caller.who(), which, draft).await?;
    done.map_err(|refused| refusal::one(refused, thing(which.kind), which.id))?;
    context.pages.refresh();
    context.state.subscriptions.wake();
    answer(context, StatusCode::OK, which).await
}

/// Takes an incident away with all that was said of it.
#[utoipa::path(delete, path = "/pages/{slug}/incidents/{id}", tag = "pages",
    security(("key" = ["write"])),
    params(("slug" = String, Path, description = "The page"), ("id" = String, Path, description = "Its public id")),
    responses((status = 204, description = "It is gone")))]
pub(in crate::api) async fn remove_incident(
    Writer(caller): Writer,
    context: Ctx,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    removed(&context, &caller, Which { slug: &slug, kind: Kind::Incident, id: &id, if_match: &[] }).await
}

/// Takes a maintenance away with all that was said of it.
#[utoipa::path(delete, path = "/pages/{slug}/maintenances/{id}", tag = "pages",
    security(("key" = ["write"])),
    params(("slug" = String, Path, description = "The page"), ("id" = String, Path, description = "Its public id")),
    responses((status = 204, description = "It is gone")))]
pub(in crate::api) async fn remove_maintenance(
    Writer(caller): Writer,
    context: Ctx,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    removed(&context, &caller, Which { slug: &slug, kind: Kind::Maintenance, id: &id, if_match: &[] }).await
}

async fn removed(context: &Context, caller: &Caller, which: Which<'_>) -> Result<Response, ApiError> {
    let done = pages::delete_notice(&context.state.store, &caller.who(), which).await?;
    done.map_err(|refused| refusal::one(refused, thing(which.kind), which.id))?;
    context.pages.refresh();
    Ok(StatusCode::NO_CONTENT.into_response())
}
