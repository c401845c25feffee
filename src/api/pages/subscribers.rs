//! Who is told of what stands on a page. Addresses are personal: a key that may only read sees them masked.

use axum::Json;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::find as find_page;
use crate::api::auth::{Caller, Reader, Writer};
use crate::api::monitors::refusal;
use crate::api::openapi::Millis;
use crate::api::page::{DryRun, Items, PageAsked};
use crate::api::precondition;
use crate::api::problem::{ApiError, Problem};
use crate::api::request::{Asked, Field, Flag, Sent, Shape, Text, Texts, request};
use crate::api::{Context, Ctx};
use crate::monitor::FieldFault;
use crate::pages::notice::components_fault;
use crate::pages::subscribe::{Address, Bounds, masked, secret};
use crate::pages::{Language, Way};
use crate::store::subscriptions::Wish;
use crate::store::subscriptions::asking::Asking;
use crate::store::subscriptions::operators::{self, Adding, Subscriber};

/// As refusals name it.
const THING: &str = "subscriber of this page";

/// Somebody who is told.
#[derive(Serialize, ToSchema)]
#[schema(as = PageSubscriber)]
pub(in crate::api) struct SubscriberShown {
    id: String,
    /// `mail` or `webhook`
    #[schema(value_type = String)]
    kind: &'static str,
    /// Masked for keys that may only read.
    address: String,
    /// `asked`: not confirmed yet; `confirmed`: is told; `ended`: could not be told anything for long.
    status: String,
    /// Ids of components of the page; none: all.
    components: Vec<String>,
    #[schema(value_type = String)]
    language: &'static str,
    /// Why the last message did not arrive.
    #[schema(required)]
    trouble: Option<String>,
    #[schema(value_type = Millis)]
    created_at: Wall,
    /// `null`: a visitor of the page.
    #[schema(required)]
    created_by: Option<String>,
    #[schema(value_type = Option<Millis>, required)]
    confirmed_at: Option<Wall>,
    #[schema(value_type = Option<Millis>, required)]
    ended_at: Option<Wall>,
    /// Of a webhook, when it is added as confirmed: what messages are signed with, this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl SubscriberShown {
    fn of(subscriber: Subscriber, caller: &Caller) -> Self {
        let Subscriber { way, address, state, components, language, trouble, .. } = subscriber;
        Self {
            id: subscriber.public_id,
            kind: way.as_str(),
            address: if caller.may_write() { address } else { masked(way, &address) },
            status: state,
            components,
            language: language.code(),
            trouble,
            created_at: subscriber.created_at,
            created_by: subscriber.created_by,
            confirmed_at: subscriber.confirmed_at,
            ended_at: subscriber.ended_at,
            secret: None,
        }
    }
}

struct WayName;

impl Field for WayName {
    type Value = Way;

    fn read(sent: &Value) -> Result<Way, String> {
        sent.as_str().and_then(Way::parse).ok_or_else(|| "must be mail or webhook".to_owned())
    }

    fn shape() -> Shape {
        Shape::words(&Way::ALL.map(Way::as_str))
    }
}

struct LanguageCode;

impl Field for LanguageCode {
    type Value = Language;

    fn read(sent: &Value) -> Result<Language, String> {
        let known = || Language::ALL.map(Language::code).join(", ");
        sent.as_str().and_then(Language::parse).ok_or_else(|| format!("must be one of {}", known()))
    }

    fn shape() -> Shape {
        Shape::words(&Language::ALL.map(Language::code))
    }
}

request! {
    pub(in crate::api) struct NewSubscriber {
        /// `mail` or `webhook`
        kind: WayName,
        /// A mail address, or where a POST is taken.
        address: Text<1, 2_000>,
        /// Ids of components of the page; none: all.
        components: Option<Texts<500>>,
        /// What they are told in; left out: the page's.
        language: Option<LanguageCode>,
        /// You answer for it that they want it: they are told from now on, without being asked.
        confirmed: Option<Flag> = false,
    }
}

/// Subscribers of a page in the order in which they came.
#[utoipa::path(get, path = "/pages/{slug}/subscribers", tag = "pages",
    security(("key" = ["read"])),
    params(("slug" = String, Path, description = "The page"), PageAsked),
    responses((status = 200, description = "A page of them", body = Items<SubscriberShown>)))]
pub(in crate::api) async fn list(
    Reader(caller): Reader,
    context: Ctx,
    Path(slug): Path<String>,
    Asked(asked): Asked<PageAsked>,
) -> Result<Json<Items<SubscriberShown>>, ApiError> {
    find_page(&context.reads, &slug).await?;
    let found = operators::list(&context.reads, &slug, asked.cursor.as_deref(), asked.limit()).await?;
    let items = found.items.into_iter().map(|one| SubscriberShown::of(one, &caller)).collect();
    Ok(Json(Items { items, next: found.next }))
}

/// One subscriber.
#[utoipa::path(get, path = "/pages/{slug}/subscribers/{id}", tag = "pages",
    security(("key" = ["read"])),
    params(("slug" = String, Path, description = "The page"), ("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "It, with its ETag", body = SubscriberShown)))]
pub(in crate::api) async fn show(
    Reader(caller): Reader,
    context: Ctx,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let found = operators::get(&context.reads, &slug, &id).await?;
    let found = found.ok_or_else(|| ApiError::not_found(THING, &id))?;
    Ok(precondition::tagged(StatusCode::OK, &found.etag(), SubscriberShown::of(found, &caller)))
}

/// Adds a subscriber, who is asked to confirm it unless you answer for it.
#[utoipa::path(post, path = "/pages/{slug}/subscribers", tag = "pages",
    security(("key" = ["write"])),
    params(("slug" = String, Path, description = "The page"), DryRun),
    request_body = NewSubscriber,
    responses((status = 201, description = "Added", body = SubscriberShown),
        (status = 204, description = "It would be added"),
        (status = 409, description = "There is one with this address, or no room for one more", body = Problem)))]
pub(in crate::api) async fn add(
    Writer(caller): Writer,
    context: Ctx,
    Path(slug): Path<String>,
    Asked(DryRun { dry_run }): Asked<DryRun>,
    Sent(sent): Sent<NewSubscriber>,
) -> Result<Response, ApiError> {
    let NewSubscriber { kind, address, components, language, confirmed } = sent;
    let page = find_page(&context.state.store, &slug).await?.definition;
    let components = components.unwrap_or_default();
    let address = usable(&context, kind, &address)?;
    if let Some(fault) = components_fault(&components, &page) {
        return Err(refusal::error_of(vec![fault]));
    }
    let (wish, hashes) =
        (Wish::new(components, language.unwrap_or(page.language)), address.hashes(&context.state.key, &slug));
    let asking = Asking {
        slug: &slug,
        way: kind,
        address: &address.text,
        address_hash: &hashes.address,
        person_hash: &hashes.person,
        wish: &wish,
    };
    let (is_confirmed, is_meant) = (confirmed.unwrap_or_default(), !dry_run.unwrap_or_default());
    let adding = Adding { asking, is_confirmed, is_meant };
    let added = operators::add(&context.state.store, &caller.who(), adding).await?;
    let id = added.map_err(|refused| refusal::one(refused, super::THING, &slug))?;
    if !is_meant {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    context.state.subscriptions.wake();
    answer(&context, &caller, (&slug, &id), (kind == Way::Webhook && is_confirmed).then_some(&wish)).await
}

async fn answer(
    context: &Context,
    caller: &Caller,
    (slug, id): (&str, &str),
    signed: Option<&Wish>,
) -> Result<Response, ApiError> {
    let added = operators::get(&context.state.store, slug, id).await?;
    let added = added.ok_or_else(|| ApiError::not_found(THING, id))?;
    let tag = added.etag();
    let secret = signed.map(|wish| secret(&context.state.key, (id, &wish.nonce)).text());
    let shown = SubscriberShown { secret, ..SubscriberShown::of(added, caller) };
    let mut response = precondition::tagged(StatusCode::CREATED, &tag, shown);
    if let Ok(location) = HeaderValue::from_str(&format!("/api/v1/pages/{slug}/subscribers/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// An address that can be written to or called, and a way there.
fn usable(context: &Context, way: Way, text: &str) -> Result<Address, ApiError> {
    let subscriptions = &context.state.subscriptions;
    if way == Way::Mail && !subscriptions.has_mail() {
        let words = "mail needs a channel that it is sent through: [pages] mail in the configuration of the watchdogs";
        return Err(ApiError::field("kind", words));
    }
    // Whoever holds a key may lead a watchdog into the network that it stands in, as checks do.
    let bounds = Bounds { may_be_private: true, ..subscriptions.bounds() };
    let words = match way {
        Way::Mail => "must be one mail address without a name: jane@example.com",
        Way::Webhook => {
            "must be https:// or http:// without a user, at most 2,000 characters, and nowhere that no watchdog calls"
        }
    };
    let fault = || refusal::error_of(vec![FieldFault::new("address", words)]);
    Address::parse(way, text, bounds).ok_or_else(fault)
}

/// Takes a subscriber away, with the address.
#[utoipa::path(delete, path = "/pages/{slug}/subscribers/{id}", tag = "pages",
    security(("key" = ["write"])),
    params(("slug" = String, Path, description = "The page"), ("id" = String, Path, description = "Its id"),
        ("If-Match" = Option<String>, Header, description = "Only if it is still one of these ETags")),
    responses((status = 204, description = "It is gone"),
        (status = 412, description = "It was changed since", body = Problem)))]
pub(in crate::api) async fn remove(
    Writer(caller): Writer,
    context: Ctx,
    Path((slug, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let if_match = refusal::if_match(&headers)?;
    let done = operators::remove(&context.state.store, &caller.who(), (&slug, &id), &if_match).await?;
    done.map_err(|refused| refusal::one(refused, THING, &id))?;
    Ok(StatusCode::NO_CONTENT)
}
