//! `/api/v1/maintenances`: windows in which somebody works on monitors, checks, heartbeats, nodes or whatever bears a tag, once or again and
//! again. Telling about them is held meanwhile, as by a silence; checking and statistics go on.

use std::time::Duration;

use axum::Json;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use komainu_watchdogs::time::Wall;
use serde_json::{Map, Value};

use self::document::{MaintenanceView, MaintenanceWindowFields, NewMaintenanceWindow, WindowTimes};
use super::auth::{Caller, Reader, Writer};
use super::body::Object;
use super::fields::Fields;
use super::page::{DryRun, Items, PageAsked};
use super::problem::{ApiError, Problem};
use super::request::{Asked, Request, request};
use super::silences::PhaseName;
use super::{Context, Ctx};
use crate::silence::window::{MOST_WINDOWS, NEVER, PublicWords, Window};
use crate::silence::{NewSilence, Recurrence, Silence, fault_of_end};
use crate::store::Store;
use crate::store::maintenances::{self, Refusal, Target, announcing};
use crate::store::silences;

mod document;

const THING: &str = "maintenance";

request! {
    pub(super) struct MaintenancesAsked {
        /// Only those that are so far
        state: Option<PhaseName>,
        ..page: PageAsked,
    }
}

/// Maintenance windows, the latest first.
#[utoipa::path(get, path = "/maintenances", tag = "maintenances", security(("key" = ["read"])),
    params(MaintenancesAsked),
    responses((status = 200, description = "A page of them", body = Items<MaintenanceView>)))]
pub(super) async fn list(
    _: Reader,
    context: Ctx,
    Asked(MaintenancesAsked { state, page }): Asked<MaintenancesAsked>,
) -> Result<Json<Items<MaintenanceView>>, ApiError> {
    let store = &context.reads;
    let now = silences::now(store).await?;
    let found = maintenances::list(store, state, page.cursor.as_deref(), page.limit()).await?;
    let mut held = silences::held_by(store, &found.items).await?;
    let items = found.items.into_iter().filter_map(|silence| {
        let holds = held.remove(&silence.id).unwrap_or_default();
        MaintenanceView::of(silence, holds, now)
    });
    Ok(Json(Items { items: items.collect(), next: found.next }))
}

/// One window, with what it holds.
#[utoipa::path(get, path = "/maintenances/{name}", tag = "maintenances", security(("key" = ["read"])),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "The window", body = MaintenanceView)))]
pub(super) async fn show(_: Reader, context: Ctx, Path(name): Path<String>) -> Result<Json<MaintenanceView>, ApiError> {
    let found = find(&context.reads, &name).await?;
    view(&context.reads, found).await.map(Json)
}

/// Makes a window: while it is on, what its subjects have to do with is not told. What is still bad at its end is told then.
#[utoipa::path(post, path = "/maintenances", tag = "maintenances", security(("key" = ["write"])),
    params(DryRun),
    request_body = NewMaintenanceWindow,
    responses((status = 201, description = "It stands", body = MaintenanceView),
        (status = 204, description = "It would be made"),
        (status = 409, description = "There is one of this name already, or there are too many", body = Problem)))]
pub(super) async fn create(
    Writer(caller): Writer,
    context: Ctx,
    Asked(DryRun { dry_run }): Asked<DryRun>,
    Object(mut fields): Object,
) -> Result<Response, ApiError> {
    let store = &context.state.store;
    let now = silences::now(store).await?;
    let asked = NewMaintenanceWindow::take(&mut fields);
    let new = asked.map(|asked| judged(asked, &mut fields, (now, &caller)));
    fields.finish()?;
    let new = new.ok_or_else(|| ApiError::Internal("a field is missing, and nobody said so".to_owned()))?;
    let Some(made) = write(store, &caller, &new, (Target::New, dry_run.unwrap_or_default())).await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    announce(&context).await;
    let location = new.window.map(|window| format!("/api/v1/maintenances/{}", window.name)).unwrap_or_default();
    let mut answer = (StatusCode::CREATED, Json(view(store, made).await?)).into_response();
    if let Ok(location) = HeaderValue::from_str(&location) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    Ok(answer)
}

/// Changes the fields that are named; `null` takes one away.
#[utoipa::path(patch, path = "/maintenances/{name}", tag = "maintenances", security(("key" = ["write"])),
    params(("name" = String, Path, description = "Its name"), DryRun),
    request_body = MaintenanceWindowFields,
    responses((status = 200, description = "As it is now", body = MaintenanceView),
        (status = 204, description = "It would be changed"),
        (status = 412, description = "Somebody else changed it in the same moment", body = Problem)))]
pub(super) async fn change(
    Writer(caller): Writer,
    context: Ctx,
    Path(name): Path<String>,
    Asked(DryRun { dry_run }): Asked<DryRun>,
    Object(fields): Object,
) -> Result<Response, ApiError> {
    let store = &context.state.store;
    let sent = fields.into_object();
    // What is sent is judged by itself first: nobody learns of one fault after the other, nor of a window that is not there before them.
    let edits = Fields::new(sent.clone()).read::<MaintenanceWindowFields>()?;
    let now = silences::now(store).await?;
    let before = find(store, &name).await?;
    let mut fields = Fields::new(merged(&before.made, &edits.times, sent));
    let known = before.made.window.map(|window| window.subjects).unwrap_or_default();
    let (title, subjects) = (edits.title.unwrap_or(before.made.comment), edits.subjects.unwrap_or(known));
    let times = WindowTimes::take(&mut fields);
    let asked = times.map(|times| NewMaintenanceWindow { name, title, subjects, times });
    let new = asked.map(|asked| judged(asked, &mut fields, (now, &caller)));
    fields.finish()?;
    let new = new.ok_or_else(|| ApiError::Internal("a field is missing, and nobody said so".to_owned()))?;
    let target = Target::Seen(before.changed_at);
    match write(store, &caller, &new, (target, dry_run.unwrap_or_default())).await? {
        None => Ok(StatusCode::NO_CONTENT.into_response()),
        Some(made) => {
            announce(&context).await;
            Ok(Json(view(store, made).await?).into_response())
        }
    }
}

/// Ends the time that is on. What it held and is still bad is told. A window that comes again does so at its next time; `PATCH` with `ends_at`
/// ends it for good.
#[utoipa::path(post, path = "/maintenances/{name}/end", tag = "maintenances", security(("key" = ["write"])),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "It is over", body = MaintenanceView),
        (status = 409, description = "It is not on", body = Problem)))]
pub(super) async fn end(
    Writer(caller): Writer,
    context: Ctx,
    Path(name): Path<String>,
) -> Result<Json<MaintenanceView>, ApiError> {
    let store = &context.state.store;
    let ended = maintenances::end(store, &caller.who(), &name).await?.map_err(|refused| refusal(refused, &name))?;
    announce(&context).await;
    view(store, ended).await.map(Json)
}

/// Takes a window away. What it held and is still bad is told.
#[utoipa::path(delete, path = "/maintenances/{name}", tag = "maintenances", security(("key" = ["write"])),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn remove(
    Writer(caller): Writer,
    context: Ctx,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let done = maintenances::delete(&context.state.store, &caller.who(), &name).await?;
    done.map_err(|refused| refusal(refused, &name))?;
    announce(&context).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Pages say it at once; what fails here is done by any watchdog within seconds.
async fn announce(context: &Context) {
    match announcing::announce(&context.state.store).await {
        Ok(0) => {}
        Ok(_) => {
            context.pages.refresh();
            context.state.subscriptions.wake();
        }
        Err(error) => tracing::debug!(%error, "pages say later what a maintenance wants said"),
    }
}

async fn find(store: &Store, name: &str) -> Result<Silence, ApiError> {
    maintenances::get(store, name).await?.ok_or_else(|| ApiError::not_found(THING, name))
}

async fn write(
    store: &Store,
    caller: &Caller,
    new: &NewSilence,
    target: (Target, bool),
) -> Result<Option<Silence>, ApiError> {
    let name = new.window.as_ref().map(|window| window.name.clone()).unwrap_or_default();
    maintenances::write(store, &caller.who(), new, target).await?.map_err(|refused| refusal(refused, &name))
}

fn refusal(refused: Refusal, name: &str) -> ApiError {
    match refused {
        Refusal::Unknown => ApiError::not_found(THING, name),
        Refusal::Taken => {
            ApiError::conflict("name", format!("there is a maintenance {name} already; edit it, or delete it"))
        }
        Refusal::TooMany => {
            ApiError::conflict("name", format!("there are {MOST_WINDOWS} maintenances already that are not over"))
        }
        Refusal::Stale => {
            ApiError::Stale("somebody else changed the maintenance in the same moment; read it again".to_owned())
        }
        Refusal::NotOn => {
            ApiError::conflict("name", format!("the maintenance {name} is not on: there is nothing to end"))
        }
        Refusal::NoSuch(subjects) => {
            let first: Vec<&str> = subjects.iter().take(10).map(String::as_str).collect();
            ApiError::field("subjects", format!("there is no {}", first.join(", ")))
        }
    }
}

async fn view(store: &Store, silence: Silence) -> Result<MaintenanceView, ApiError> {
    let now = silences::now(store).await?;
    let mut held = silences::held_by(store, std::slice::from_ref(&silence)).await?;
    let holds = held.remove(&silence.id).unwrap_or_default();
    let shown = MaintenanceView::of(silence, holds, now);
    shown.ok_or_else(|| ApiError::Internal("a maintenance without a window".to_owned()))
}

/// What an edit leaves stands as it was; what one field says of its end or its times takes the place of the other.
fn merged(before: &NewSilence, edits: &WindowTimes, sent: Map<String, Value>) -> Map<String, Value> {
    let known = maintenances::shown(before).into_iter().map(|(name, value)| (name.to_owned(), value));
    let mut all: Map<String, Value> = known.collect();
    if edits.duration_s.is_some() {
        all.remove("ends_at");
    }
    if sent.get("cron").is_some_and(Value::is_null) {
        all.remove("lasts_s");
        all.remove("time_zone");
    }
    all.extend(sent);
    all.retain(|field, _| !["title", "subjects"].contains(&field.as_str()));
    all
}

/// All faults at once: those between fields, too.
fn judged(asked: NewMaintenanceWindow, fields: &mut Fields, (now, caller): (Wall, &Caller)) -> NewSilence {
    let NewMaintenanceWindow { name, title, subjects, times: asked } = asked;
    let starts_at = asked.starts_at.unwrap_or(now);
    let times = (asked.cron, asked.lasts_s, asked.time_zone);
    let recurrence = recurrence(times, fields, now);
    let after = |seconds: i64| starts_at + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    if asked.ends_at.is_some() && asked.duration_s.is_some() {
        fields.fault("duration_s", "say until when by ends_at or by duration_s, not by both");
    }
    let ends_at = asked.ends_at.or_else(|| asked.duration_s.map(after));
    let fault = match (ends_at, &recurrence) {
        (None, None) => {
            Some(("duration_s", "is missing: say until when by duration_s or ends_at, or when it comes again by cron"))
        }
        (Some(at), None) => fault_of_end(starts_at, at, now).map(|words| ("ends_at", words)),
        (Some(at), Some(_)) if at <= starts_at.max(now) => {
            Some(("ends_at", "must be after its start, and not over already"))
        }
        (_, Some(_)) => None,
    };
    if let Some((field, words)) = fault {
        fields.fault(field, words);
    }
    if asked.public_text.is_some() && asked.public_title.is_none() {
        fields.fault("public_title", "is missing: what public pages say has a title");
    }
    let text = asked.public_text.unwrap_or_default();
    let public = asked.public_title.map(|title| PublicWords { title, text });
    NewSilence {
        matchers: vec![],
        starts_at,
        ends_at: ends_at.unwrap_or(NEVER),
        until_resolved: false,
        recurrence,
        author: caller.who(),
        comment: title,
        window: Some(Window { name, subjects, public, managed_by: asked.managed_by }),
    }
}

type Times = (Option<String>, Option<i64>, Option<String>);

fn recurrence((cron, lasts_s, time_zone): Times, fields: &mut Fields, now: Wall) -> Option<Recurrence> {
    let times = super::silences::recurrence(cron, lasts_s, time_zone, (fields, now))?;
    let is_known = times.check(now).is_ok();
    if is_known && times.overlaps(now) {
        fields.fault("lasts_s", "each time must be over before the next one begins");
    }
    Some(times)
}

#[cfg(test)]
mod tests;
