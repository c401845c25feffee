//! The forms of subscriptions, and the links in what subscribers are told.
//!
//! A link is opened by scanners too: reading it shows one button, and only pressing that does anything. Mail programs press it with one POST
//! (RFC 8058), from wherever they are and without a cookie: the ticket in the path is all that it takes.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use super::forms::{self, Deed};
use super::{Address, ticket};
use crate::dashboard::form::Form;
use crate::pages::definition::{Language, Way};
use crate::pages::html;
use crate::pages::library::Volume;
use crate::pages::public::PublicPage;
use crate::pages::routes::{Asked as Visit, Counter, Desk, plain_page};
use crate::pages::words::{Subscribing, words};
use crate::store::subscriptions::Wish;
use crate::store::subscriptions::asking::{self, Asked, Asking, Confirmed};

/// Paths below `/pages`.
pub(in crate::pages) fn routes() -> Router<Arc<Counter>> {
    Router::new()
        .route("/pages/{slug}/subscribe", get(show).post(subscribe))
        .route("/pages/{slug}/confirm/{ticket}", get(before_confirming).post(confirm))
        .route("/pages/{slug}/unsubscribe/{ticket}", get(before_leaving).post(leave))
}

/// What a page offers here and now.
fn offered(counter: &Counter, page: &PublicPage) -> Vec<Way> {
    let is_possible = |way: &&Way| **way != Way::Mail || counter.subscriptions.has_mail();
    page.ways.iter().filter(is_possible).copied().collect()
}

async fn show(State(counter): Desk, visit: Visit) -> Response {
    let volume = match visit.admit(&counter, true) {
        Ok(volume) => volume,
        Err(refusal) => return refusal,
    };
    let (page, ways) = (&volume.page, offered(&counter, &volume.page));
    let code = if ways.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    plain_page(code, forms::form(page, language(&visit, page), &ways, None))
}

async fn subscribe(State(counter): Desk, visit: Visit, form: Form) -> Response {
    let volume = match visit.admit(&counter, true) {
        Ok(volume) => volume,
        Err(refusal) => return refusal,
    };
    let page = &volume.page;
    let ways = offered(&counter, page);
    let language = language(&visit, page);
    let texts = &words(language).subscribing;
    let Some(way) = form.field("way").and_then(Way::parse).filter(|way| ways.contains(way)) else {
        return plain_page(StatusCode::NOT_FOUND, forms::form(page, language, &ways, None));
    };
    let said = form.field("address").unwrap_or_default();
    let refused = |code, trouble| plain_page(code, forms::form(page, language, &ways, Some((trouble, way, said))));
    if counter.asks.count(&visit.address).is_err() {
        return refused(StatusCode::TOO_MANY_REQUESTS, words(language).slow_down);
    }
    if counter.crowd.count(&page.slug).is_err() {
        return refused(StatusCode::TOO_MANY_REQUESTS, texts.crowded);
    }
    let Some(address) = Address::parse(way, said, counter.subscriptions.bounds()) else {
        let trouble = if way == Way::Mail { texts.bad_address } else { texts.bad_url };
        return refused(StatusCode::BAD_REQUEST, trouble);
    };
    let chosen = page.components().filter(|component| form.field(&format!("c.{}", component.id)).is_some());
    let wish = Wish::new(chosen.map(|component| component.id.clone()).collect(), language);
    match ask(&counter, page, &address, &wish).await {
        Some(Asked::Noted | Asked::Quiet) => {
            let text = if way == Way::Mail { texts.mail_asked } else { texts.webhook_asked };
            let deed = Deed { heading: texts.subscribe, text, secret: None, asks: false };
            plain_page(StatusCode::OK, forms::deed(page, language, deed))
        }
        Some(Asked::Full) => refused(StatusCode::SERVICE_UNAVAILABLE, texts.crowded),
        Some(Asked::NoPage) => no_page(language),
        None => refused(StatusCode::SERVICE_UNAVAILABLE, texts.not_now),
    }
}

/// `None`: the database does not take it.
async fn ask(counter: &Counter, page: &PublicPage, address: &Address, wish: &Wish) -> Option<Asked> {
    let hashes = address.hashes(&counter.key, &page.slug);
    let asking = Asking {
        slug: &page.slug,
        way: address.way,
        address: &address.text,
        address_hash: &hashes.address,
        person_hash: &hashes.person,
        wish,
    };
    let asked = asking::ask(&counter.store, asking).await;
    counter.subscriptions.wake();
    asked.inspect_err(|error| tracing::debug!(%error, "a subscription could not be noted")).ok()
}

type Place = Path<(String, String)>;

async fn before_confirming(State(counter): Desk, visit: Visit, Path((_, said)): Place) -> Response {
    let volume = match page(&counter, &visit) {
        Ok(volume) => volume,
        Err(refusal) => return refusal,
    };
    let (page, language) = (&volume.page, language(&visit, &volume.page));
    let texts = &words(language).subscribing;
    if ticket::confirming(&counter.key, &page.slug, &said).is_none() {
        return over(page, language, texts.confirm);
    }
    let deed = Deed { heading: texts.confirm, text: texts.confirm_words, secret: None, asks: true };
    plain_page(StatusCode::OK, forms::deed(page, language, deed))
}

async fn confirm(State(counter): Desk, visit: Visit, Path((_, said)): Place) -> Response {
    let volume = match page(&counter, &visit) {
        Ok(volume) => volume,
        Err(refusal) => return refusal,
    };
    let (page, language) = (&volume.page, language(&visit, &volume.page));
    let texts = &words(language).subscribing;
    let Some((id, nonce)) = ticket::confirming(&counter.key, &page.slug, &said) else {
        return over(page, language, texts.confirm);
    };
    if counter.deeds.count(&said).is_err() {
        return not_now(page, language, texts.confirm);
    }
    let done = asking::confirm(&counter.store, &page.slug, (id, nonce)).await;
    let shown = |code, text, secret| {
        let deed = Deed { heading: texts.confirm, text, secret, asks: false };
        plain_page(code, forms::deed(page, language, deed))
    };
    match done {
        Ok(Confirmed::Now(Way::Mail) | Confirmed::Already) => shown(StatusCode::OK, texts.confirmed, None),
        Ok(Confirmed::Now(Way::Webhook)) => {
            let secret = ticket::secret(&counter.key, (id, nonce)).text();
            shown(StatusCode::OK, texts.confirmed, Some(secret.as_str()))
        }
        Ok(Confirmed::Over) => over(page, language, texts.confirm),
        Ok(Confirmed::Full) => shown(StatusCode::SERVICE_UNAVAILABLE, texts.crowded, None),
        Err(error) => {
            tracing::debug!(%error, "a subscription could not be confirmed");
            not_now(page, language, texts.confirm)
        }
    }
}

async fn before_leaving(State(counter): Desk, visit: Visit, Path((_, said)): Place) -> Response {
    let volume = match page(&counter, &visit) {
        Ok(volume) => volume,
        Err(refusal) => return refusal,
    };
    let (page, language) = (&volume.page, language(&visit, &volume.page));
    let texts = &words(language).subscribing;
    if ticket::leaving(&counter.key, &page.slug, &said).is_none() {
        return over(page, language, texts.leave);
    }
    let deed = Deed { heading: texts.leave, text: texts.leave_words, secret: None, asks: true };
    plain_page(StatusCode::OK, forms::deed(page, language, deed))
}

async fn leave(State(counter): Desk, visit: Visit, Path((_, said)): Place) -> Response {
    let volume = match page(&counter, &visit) {
        Ok(volume) => volume,
        Err(refusal) => return refusal,
    };
    let (page, language) = (&volume.page, language(&visit, &volume.page));
    let texts = &words(language).subscribing;
    let Some(id) = ticket::leaving(&counter.key, &page.slug, &said) else {
        return over(page, language, texts.leave);
    };
    if counter.deeds.count(&said).is_err() {
        return not_now(page, language, texts.leave);
    }
    match asking::leave(&counter.store, &page.slug, id).await {
        // Who presses it twice has left all the same.
        Ok(_) => {
            let deed = Deed { heading: texts.leave, text: texts.left, secret: None, asks: false };
            plain_page(StatusCode::OK, forms::deed(page, language, deed))
        }
        Err(error) => {
            tracing::debug!(%error, "a subscription could not be ended");
            not_now(page, language, texts.leave)
        }
    }
}

fn language(visit: &Visit, page: &PublicPage) -> Language {
    visit.language.unwrap_or(page.language)
}

/// Whoever has a ticket needs no password.
#[expect(clippy::result_large_err, reason = "a refusal is the answer itself, and is sent at once")]
fn page(counter: &Counter, visit: &Visit) -> Result<Arc<Volume>, Response> {
    let shelf = counter.library.shelf();
    match (shelf.volumes.get(&visit.slug), shelf.read_at) {
        (Some(volume), _) => Ok(Arc::clone(volume)),
        (None, Some(_)) => Err(no_page(visit.language.unwrap_or_default())),
        (None, None) => {
            let html = html::refusal(visit.language.unwrap_or_default(), |words| words.unread);
            Err(plain_page(StatusCode::SERVICE_UNAVAILABLE, html))
        }
    }
}

fn no_page(language: Language) -> Response {
    plain_page(StatusCode::NOT_FOUND, html::refusal(language, |words| words.no_page))
}

fn over(page: &PublicPage, language: Language, heading: &'static str) -> Response {
    told(StatusCode::NOT_FOUND, (page, language, heading), |texts| texts.over)
}

fn not_now(page: &PublicPage, language: Language, heading: &'static str) -> Response {
    told(StatusCode::SERVICE_UNAVAILABLE, (page, language, heading), |texts| texts.not_now)
}

fn told(
    code: StatusCode,
    (page, language, heading): (&PublicPage, Language, &'static str),
    text: fn(&Subscribing) -> &'static str,
) -> Response {
    let text = text(&words(language).subscribing);
    plain_page(code, forms::deed(page, language, Deed { heading, text, secret: None, asks: false }))
}
