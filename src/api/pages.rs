//! `/api/v1/pages`: public pages, and what people write on them.
//!
//! A page is known by its place, `/pages/{slug}`, and any instance takes any write; the watchdogs show it within two seconds. These answers
//! are for those with a key and name what components are about; what everybody sees is [`crate::pages`]' business.

use axum::Json;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use self::document::{NewPage, PageFields, PageShown};
use super::auth::{Caller, Reader, Writer};
use super::body::Object;
use super::edit::Edit;
use super::monitors::refusal;
use super::page::{DryRun, Items, PageAsked};
use super::precondition;
use super::problem::{ApiError, Problem};
use super::request::{Asked, Text, request};
use super::{Context, Ctx};
use crate::pages::{Component, Definition, Source, password};
use crate::store::Store;
use crate::store::pages::{self, Change, Page, Refusal, Target, Wish};

mod document;
pub(super) mod notices;
pub(super) mod subscribers;
#[cfg(test)]
mod tests;

/// As refusals name it.
const THING: &str = "page";

request! {
    pub(super) struct PagesAsked {
        /// Of this set
        managed_by: Option<Text<0, 190>>,
        ..page: PageAsked,
    }
}

/// Pages by their places.
#[utoipa::path(get, path = "/pages", tag = "pages", security(("key" = ["read"])),
    params(PagesAsked),
    responses((status = 200, description = "A page of them", body = Items<PageShown>)))]
pub(super) async fn list(
    _: Reader,
    context: Ctx,
    Asked(PagesAsked { managed_by, page }): Asked<PagesAsked>,
) -> Result<Json<Items<Value>>, ApiError> {
    let found = pages::list(&context.reads, managed_by.as_deref(), page.cursor.as_deref(), page.limit()).await?;
    Ok(Json(Items { items: found.items.iter().map(shown).collect(), next: found.next }))
}

/// One page.
#[utoipa::path(get, path = "/pages/{slug}", tag = "pages", security(("key" = ["read"])),
    params(("slug" = String, Path, description = "Its place")),
    responses((status = 200, description = "The page, with its ETag", body = PageShown)))]
pub(super) async fn show(_: Reader, context: Ctx, Path(slug): Path<String>) -> Result<Response, ApiError> {
    let page = find(&context.reads, &slug).await?;
    Ok(precondition::tagged(StatusCode::OK, &page.etag(), shown(&page)))
}

/// Makes a page.
#[utoipa::path(post, path = "/pages", tag = "pages", security(("key" = ["write"])),
    params(DryRun),
    request_body = NewPage,
    responses((status = 201, description = "Made", body = PageShown),
        (status = 204, description = "It would be made"),
        (status = 409, description = "There is a page at this place already, or no room for one more", body = Problem)))]
pub(super) async fn create(
    Writer(caller): Writer,
    context: Ctx,
    Asked(DryRun { dry_run }): Asked<DryRun>,
    Object(fields): Object,
) -> Result<Response, ApiError> {
    let fields = fields.into_object();
    let slug = fields.get("slug").and_then(Value::as_str).unwrap_or_default().to_owned();
    let wish = wish(&context, Target::New, &slug, fields)?;
    let change = write(&context, &caller, &wish, dry_run.unwrap_or_default()).await?;
    answer(&context, &wish.slug, change).await
}

/// Makes the page at this place, or replaces what is there: what is not named is as in a new one, but for the password, which stays.
#[utoipa::path(put, path = "/pages/{slug}", tag = "pages", security(("key" = ["write"])),
    params(("slug" = String, Path, description = "Its place"),
        DryRun,
        ("If-Match" = Option<String>, Header, description = "Only if it is still one of these ETags"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only make it")),
    request_body = PageFields,
    responses((status = 200, description = "As it is now", body = PageShown),
        (status = 201, description = "Made", body = PageShown),
        (status = 204, description = "It would be made, or replaced"),
        (status = 409, description = "There is no room for one more", body = Problem),
        (status = 412, description = "It was changed since, or is there already", body = Problem)))]
pub(super) async fn put(
    Writer(caller): Writer,
    context: Ctx,
    edit: Edit,
    Object(fields): Object,
) -> Result<Response, ApiError> {
    let Edit { name: slug, is_rehearsal, if_match, wants_new } = edit;
    if wants_new && pages::get(&context.state.store, &slug).await?.is_some() {
        return Err(refusal::stale(THING));
    }
    let target = if wants_new { Target::New } else { Target::Whole };
    let wish = Wish { if_match, ..wish(&context, target, &slug, fields.into_object())? };
    let change = write(&context, &caller, &wish, is_rehearsal).await?;
    answer(&context, &slug, change).await
}

/// Changes the fields that are named; `null` takes one back to what it starts with.
#[utoipa::path(patch, path = "/pages/{slug}", tag = "pages", security(("key" = ["write"])),
    params(("slug" = String, Path, description = "Its place"),
        DryRun,
        ("If-Match" = Option<String>, Header, description = "Only if it is still one of these ETags")),
    request_body = PageFields,
    responses((status = 200, description = "As it is now", body = PageShown),
        (status = 204, description = "It would be changed"),
        (status = 409, description = "There is no room for more components", body = Problem),
        (status = 412, description = "It was changed since", body = Problem)))]
pub(super) async fn change(
    Writer(caller): Writer,
    context: Ctx,
    edit: Edit,
    Object(fields): Object,
) -> Result<Response, ApiError> {
    let Edit { name: slug, is_rehearsal, if_match, .. } = edit;
    let wish = Wish { if_match, ..wish(&context, Target::Existing, &slug, fields.into_object())? };
    let change = write(&context, &caller, &wish, is_rehearsal).await?;
    answer(&context, &slug, change).await
}

/// Deletes a page with all that was written on it.
#[utoipa::path(delete, path = "/pages/{slug}", tag = "pages", security(("key" = ["write"])),
    params(("slug" = String, Path, description = "Its place"),
        ("If-Match" = Option<String>, Header, description = "Only if it is still one of these ETags")),
    responses((status = 204, description = "It is gone"),
        (status = 412, description = "It was changed since", body = Problem)))]
pub(super) async fn remove(
    Writer(caller): Writer,
    context: Ctx,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let if_match = refusal::if_match(&headers)?;
    let done = pages::delete(&context.state.store, &caller.who(), &slug, &if_match).await?;
    done.map_err(|refused| refusal::one(refused, THING, &slug))?;
    context.pages.refresh();
    Ok(StatusCode::NO_CONTENT)
}

/// What is wished; a password as its hash from here on.
fn wish(context: &Context, target: Target, slug: &str, mut fields: Map<String, Value>) -> Result<Wish, ApiError> {
    let said = fields.remove("slug").filter(|said| !said.is_null());
    if said.is_some_and(|said| said != slug) {
        return Err(ApiError::field("slug", "is another one than in the path; a page keeps its place"));
    }
    if let Some(text) = fields.get("password").and_then(Value::as_str) {
        if !(8..=200).contains(&text.chars().count()) {
            return Err(ApiError::field("password", "must have 8 to 200 characters"));
        }
        let hash = password::hash(&context.state.key, slug, text);
        fields.insert("password".to_owned(), hash.into());
    }
    let wants_mail =
        fields.get("subscribe").and_then(Value::as_array).is_some_and(|ways| ways.contains(&json!("mail")));
    if wants_mail && !context.state.subscriptions.has_mail() {
        let words = "mail needs a channel that it is sent through: [pages] mail in the configuration of the watchdogs";
        return Err(ApiError::field("subscribe", words));
    }
    Ok(Wish { target, slug: slug.to_owned(), fields, if_match: vec![] })
}

/// What became of it; `None`: it was only judged.
async fn write(
    context: &Context,
    caller: &Caller,
    wish: &Wish,
    is_rehearsal: bool,
) -> Result<Option<Change>, ApiError> {
    let refused = |refused: Refusal| refusal::one(refused, THING, &wish.slug);
    if is_rehearsal {
        pages::rehearse(&context.state.store, wish).await?.map_err(refused)?;
        return Ok(None);
    }
    let change = pages::write(&context.state.store, &caller.who(), wish).await?.map_err(refused)?;
    context.pages.refresh();
    Ok(Some(change))
}

/// The page as it is now.
async fn answer(context: &Context, slug: &str, change: Option<Change>) -> Result<Response, ApiError> {
    let Some(change) = change else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    let page = find(&context.state.store, slug).await?;
    let is_new = change == Change::Created;
    let code = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = precondition::tagged(code, &page.etag(), shown(&page));
    if is_new && let Ok(location) = HeaderValue::from_str(&format!("/api/v1/pages/{slug}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn find(store: &Store, slug: &str) -> Result<Page, ApiError> {
    pages::get(store, slug).await?.ok_or_else(|| ApiError::not_found(THING, slug))
}

/// For those with a key.
fn shown(page: &Page) -> Value {
    let Definition { slug, title, description, footer, accent, logo, noindex, embed_from, managed_by, .. } =
        &page.definition;
    let groups = page.definition.groups.iter().map(
        |group| json!({"name": group.name, "components": group.components.iter().map(component).collect::<Vec<_>>()}),
    );
    json!({
        "slug": slug,
        "title": title,
        "description": description,
        "language": page.definition.language.code(),
        "footer": footer,
        "accent": accent,
        "logo": logo,
        "has_password": page.definition.password.is_some(),
        "noindex": noindex,
        "embed_from": embed_from,
        "subscribe": page.definition.subscribe,
        "groups": groups.collect::<Vec<_>>(),
        "managed_by": managed_by,
        "revision": page.revision,
        "created_at": page.created_at,
        "created_by": page.created_by,
        "changed_at": page.changed_at,
        "changed_by": page.changed_by,
    })
}

fn component(component: &Component) -> Value {
    let mut shown = json!({
        "id": component.id,
        "name": component.name,
        "description": component.description,
        "graph": component.graph,
    });
    let (field, about) = match &component.source {
        Source::Monitor(id) => ("monitor", json!(id)),
        Source::MonitorRef(name) => ("monitor_ref", json!(name)),
        Source::Check(name) => ("check", json!(name)),
        Source::Heartbeat(name) => ("heartbeat", json!(name)),
    };
    if let Some(shown) = shown.as_object_mut() {
        shown.insert(field.to_owned(), about);
    }
    shown
}
