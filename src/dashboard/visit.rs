//! Who looks at a page, and whether they may.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use komainu_watchdogs::time::Wall;

use super::frame::refusal;
use super::session::{self, Session};
use super::{Desk, ROOT, origin};
use crate::api::{Caller, Holding};
use crate::clock;
use crate::store::apikeys::Scope;

/// Whoever looks at a page, and has signed in.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    /// As the API knows them.
    pub(super) caller: Caller,
    /// From where.
    pub(super) address: Option<SocketAddr>,
    /// The page and its query: where a hand leads back to.
    pub(super) place: String,
}

impl Visitor {
    /// Who sees no more than everybody with a key: what all see alike is read once for all of them.
    pub(super) fn as_reader(&self) -> Self {
        Self { caller: Caller { scope: Scope::Read, ..self.caller.clone() }, ..self.clone() }
    }

    /// Whether their key allows that much.
    pub(super) fn may(&self, scope: Scope) -> bool {
        self.caller.scope >= scope
    }
}

/// The script fetches a page anew with this header: it is not led to another page.
const PART: &str = "x-komainu-part";

/// A browser that came by another site's link kept the cookie back (`SameSite=Strict`); from this page it sends it along.
const BOUNCE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>komainu</title>\
                      <meta http-equiv=\"refresh\" content=\"0\"><p>One moment. <a href=\"\">Go on</a></p></html>\n";

/// Lets those in who signed in; the others may sign in.
pub(super) async fn admit(State(desk): State<Arc<Desk>>, mut request: Request, next: Next) -> Response {
    match caller(&desk, request.headers()).await {
        Some(caller) => {
            if let Err(seconds) = desk.inside.count(&caller) {
                return asked_too_often(seconds);
            }
            let place = request.uri().path_and_query().map_or(ROOT, |place| place.as_str()).to_owned();
            let address = address(request.extensions());
            request.extensions_mut().insert(Visitor { caller, address, place });
            next.run(request).await
        }
        None => turned_away(request.method(), request.uri(), request.headers()),
    }
}

/// Who that is; `None`: nobody who has signed in with a key that there still is.
pub(super) async fn caller(desk: &Desk, headers: &HeaderMap) -> Option<Caller> {
    let session = Session::sent(headers, &desk.seals, clock::wall())?;
    let by_its_signature = || Some(Caller::on_page(session.key_id, session.name.clone(), session.scope()?));
    match desk.inside.holding(session.key_id).await {
        // What a wall goes on with allows less than its key.
        Holding::Holds(caller) => Some(Caller { scope: caller.scope.min(session.scope()?), ..caller }),
        Holding::Gone => None,
        // The key may have been made after the keys were read last, and the database is away since.
        Holding::NotAmong { read_at } if session.is_older_than(read_at) => None,
        Holding::NotAmong { .. } | Holding::NeverRead => by_its_signature(),
    }
}

/// A page is a request of its key, as one of the API is.
fn asked_too_often(seconds: u64) -> Response {
    let words = format!("Too many pages were asked for with your key. Try again in {seconds} s.");
    let mut response = refusal(StatusCode::TOO_MANY_REQUESTS, &words);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn turned_away(method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
    if headers.contains_key(PART) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let has_sent_ours = Session::is_sent(headers);
    if origin::is_by_a_strangers_link(headers) && !has_sent_ours {
        return Html(BOUNCE).into_response();
    }
    let wanted = if *method == Method::GET { uri.path_and_query().map_or(ROOT, |place| place.as_str()) } else { ROOT };
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", wanted).finish();
    let mut response = Redirect::to(&format!("{ROOT}/sign-in?{query}")).into_response();
    // One that was kept back is good still.
    if has_sent_ours {
        response.headers_mut().insert(header::SET_COOKIE, session::no_cookie(is_private(headers, false)));
    }
    response
}

/// Whether the browser's connection is encrypted, here or by a proxy before.
pub(crate) fn is_private(headers: &HeaderMap, has_own_certificate: bool) -> bool {
    // Whoever invents the header only keeps the cookie from themselves.
    has_own_certificate || headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https")
}

/// From where a request came, as the surface found out.
pub(super) fn address(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0)
}

/// A place within the dashboard, and nowhere else.
pub(super) fn own_place(wanted: Option<&str>) -> &str {
    let is_ours = |place: &&str| {
        let rest = place.strip_prefix(ROOT);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?'])) && !place.contains(['\\', '\n', '\r'])
    };
    wanted.filter(is_ours).unwrap_or(ROOT)
}

/// The time that pages go by.
pub(super) fn now() -> Wall {
    clock::wall()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_to_a_page_of_the_dashboard_and_nowhere_else() {
        for place in ["/watch", "/watch/nodes?x=1", "/watch?x"] {
            assert_eq!(own_place(Some(place)), place);
        }
        for place in
            ["//evil.example", "https://evil.example/watch", "/watchful", "/watch\\evil", "/watch/\r\nx: y", ""]
        {
            assert_eq!(own_place(Some(place)), ROOT, "{place}");
        }
        assert_eq!(own_place(None), ROOT);
    }
}
