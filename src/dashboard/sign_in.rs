//! Signing in with an API key, once, and signing out.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{Extensions, HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::form::Form;
use super::frame::page_with;
use super::session::{self, Session};
use super::ticket::Ticket;
use super::visit::{self, own_place};
use super::{Counter, Desk, ROOT};
use crate::api::ApiError;
use crate::sealed::Purpose;

/// A link that signs in was used, is old, or leads elsewhere.
const USED_UP: &str = "This link signed in once, or is more than five minutes old. Sign in with a key.";

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    cluster: &'a str,
    next: &'a str,
    refusal: Option<String>,
}

/// The page that asks for a key; a link that signs in needs none.
pub(super) async fn show(
    State(desk): Counter,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    extensions: Extensions,
) -> Response {
    let query = Form::of_query(query.as_deref());
    let next = own_place(query.field("next"));
    if let Some(ticket) = query.field("ticket") {
        return with_ticket(&desk, ticket, &headers, &extensions);
    }
    if visit::caller(&desk, &headers).await.is_some() {
        return Redirect::to(next).into_response();
    }
    asking(&desk.inside.state().cluster, next, None)
}

fn with_ticket(desk: &Desk, ticket: &str, headers: &HeaderMap, extensions: &Extensions) -> Response {
    let state = desk.inside.state();
    let opened = desk.seals.open::<Ticket>(Purpose::Ticket, ticket);
    let (watchdog, from) = (state.watchdog.to_string(), visit::address(extensions));
    let caller = opened.and_then(|ticket| desk.tickets.redeem(&ticket, &watchdog, from, visit::now()));
    match caller {
        Some(caller) => signed_in(desk, &Session::of(&caller, visit::now()), headers, ROOT),
        None => asking(&state.cluster, ROOT, Some((StatusCode::FORBIDDEN, USED_UP.to_owned()))),
    }
}

/// A wall whose watchdog is gone goes on here.
fn with_walls_ticket(desk: &Desk, ticket: &str, headers: &HeaderMap, next: &str) -> Response {
    let state = desk.inside.state();
    let now = visit::now();
    let session = desk.seals.open::<Ticket>(Purpose::Wall, ticket).and_then(|ticket| {
        let caller = desk.tickets.redeem_walls(&ticket, state.watchdog.as_str(), now)?;
        let expires_at = ticket.expires().filter(|expires_at| *expires_at > now.0)?;
        Some(Session::of(&caller, now).until(expires_at))
    });
    match session {
        Some(session) => signed_in(desk, &session, headers, next),
        None => asking(&state.cluster, next, Some((StatusCode::FORBIDDEN, USED_UP.to_owned()))),
    }
}

fn signed_in(desk: &Desk, session: &Session, headers: &HeaderMap, next: &str) -> Response {
    let is_private = visit::is_private(headers, desk.inside.state().credentials.serving().is_some());
    tracing::info!(key = session.name, "signed in to the dashboard");
    ([(header::SET_COOKIE, session.cookie(&desk.seals, is_private))], Redirect::to(next)).into_response()
}

fn asking(cluster: &str, next: &str, refusal: Option<(StatusCode, String)>) -> Response {
    let (status, refusal) = refusal.map_or((StatusCode::OK, None), |(status, words)| (status, Some(words)));
    page_with(status, &SignIn { cluster, next, refusal })
}

/// Takes the key; the browser gets a cookie for it.
pub(super) async fn sign_in(State(desk): Counter, headers: HeaderMap, extensions: Extensions, form: Form) -> Response {
    let state = desk.inside.state();
    let next = own_place(form.field("next"));
    if let Some(ticket) = form.field("ticket") {
        return with_walls_ticket(&desk, ticket, &headers, next);
    }
    let key = form.field("key").unwrap_or_default();
    let caller = match desk.inside.of_key(key, &extensions).await {
        Ok(caller) => caller,
        Err(error) => return asking(&state.cluster, next, Some(refused(&error))),
    };
    signed_in(&desk, &Session::of(&caller, visit::now()), &headers, next)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what else the API may say says nothing here but that it failed")]
fn refused(error: &ApiError) -> (StatusCode, String) {
    match error {
        ApiError::Unauthorized => {
            (StatusCode::FORBIDDEN, "This cluster knows no such key. `komainu apikeys create NAME` makes one.".to_owned())
        }
        ApiError::TooMany { retry_after_s } => {
            (StatusCode::TOO_MANY_REQUESTS, format!("Too many unknown keys were tried from your address. Try again in {retry_after_s} s."))
        }
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The keys cannot be read just now: the database does not answer. Whoever has signed in before stays signed in.".to_owned(),
        ),
    }
}

/// Takes the cookie away.
pub(super) async fn sign_out(State(desk): Counter, headers: HeaderMap) -> Response {
    let is_private = visit::is_private(&headers, desk.inside.state().credentials.serving().is_some());
    ([(header::SET_COOKIE, session::no_cookie(is_private))], Redirect::to(&format!("{ROOT}/sign-in"))).into_response()
}
