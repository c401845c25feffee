//! The public paths of pages: from memory, the same with the database dead.
//!
//! Every answer goes through [`Asked::admit`], which knows what a closed page asks for, and bears the same headers: nothing from another
//! host, framed only by whom the page names, kept for ten seconds.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use super::definition::Language;
use super::html;
use super::library::{Drawn, Face, Library, Volume, drawn};
use super::public::PublicPage;
use super::statuspage::Document;
use super::words::{self, Words, month};
use super::{assets, badge, door, subscribe};
use crate::dashboard::form::Form;
use crate::dashboard::visit::is_private;
use crate::keys::ClusterKey;
use crate::rate_limit::RateLimit;
use crate::store::Store;
use crate::subscriptions::Subscriptions;

/// Passwords that one address may try at once; later, one in a second.
const TRIES_AT_ONCE: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");

/// Subscriptions that one address may ask for at once; later, one in [`ASK_EACH`].
const ASKS_AT_ONCE: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");
const ASK_EACH: Duration = Duration::from_secs(30);

/// The same for a page, from all addresses: the database has other things to do.
const CROWD_AT_ONCE: NonZeroU32 = NonZeroU32::new(50).expect("fifty is not zero");
const CROWD_EACH: Duration = Duration::from_millis(200);

/// Whoever has a link presses its button seldom.
const DEEDS_AT_ONCE: NonZeroU32 = NonZeroU32::new(5).expect("five is not zero");
const DEED_EACH: Duration = Duration::from_secs(10);

/// What all public paths share.
pub(crate) struct Counter {
    pub(crate) library: Library,
    pub(crate) key: ClusterKey,
    /// Whether this process shows a certificate of its own.
    pub(crate) has_certificate: bool,
    /// Where subscriptions are written.
    pub(crate) store: Store,
    pub(crate) subscriptions: Subscriptions,
    tries: RateLimit<IpAddr>,
    pub(super) asks: RateLimit<IpAddr>,
    pub(super) crowd: RateLimit<String>,
    /// By the ticket of a link, which must be one of ours.
    pub(super) deeds: RateLimit<String>,
}

impl Counter {
    pub(crate) fn new(
        library: Library,
        (key, has_certificate): (ClusterKey, bool),
        (store, subscriptions): (Store, Subscriptions),
    ) -> Self {
        Self {
            library,
            key,
            has_certificate,
            store,
            subscriptions,
            tries: RateLimit::new(NonZeroU32::MIN, TRIES_AT_ONCE),
            asks: RateLimit::one_each(ASK_EACH, ASKS_AT_ONCE),
            crowd: RateLimit::one_each(CROWD_EACH, CROWD_AT_ONCE),
            deeds: RateLimit::one_each(DEED_EACH, DEEDS_AT_ONCE),
        }
    }
}

pub(super) type Desk = State<Arc<Counter>>;

/// Paths below `/pages`.
pub(crate) fn routes(counter: Arc<Counter>) -> Router {
    let mut routes = subscribe::routes()
        .route("/pages/{slug}", get(page))
        .route("/pages/{slug}/history", get(this_month))
        .route("/pages/{slug}/history/{month}", get(one_month))
        .route("/pages/{slug}/incidents/{id}", get(one_notice))
        .route("/pages/{slug}/feed.atom", get(async |desk: Desk, asked: Asked| asked.face(&desk, Face::Atom)))
        .route("/pages/{slug}/feed.rss", get(async |desk: Desk, asked: Asked| asked.face(&desk, Face::Rss)))
        .route("/pages/{slug}/feed.json", get(async |desk: Desk, asked: Asked| asked.face(&desk, Face::JsonFeed)))
        .route("/pages/{slug}/badge/{file}", get(badge_of))
        .route("/pages/{slug}/logo", get(logo))
        .route("/pages/{slug}/colours.css", get(colours))
        .route("/pages/{slug}/password", post(enter))
        .route("/pages/assets/{name}", get(assets::show));
    for document in Document::ALL {
        let answer = async move |desk: Desk, asked: Asked| asked.face(&desk, Face::Statuspage(document));
        routes = routes.route(&format!("/pages/{{slug}}/api/v2/{}", document.path()), get(answer));
    }
    routes.layer(map_response(completed)).with_state(counter)
}

/// Kuma's own public paths: only where no Kuma stands beside.
pub(crate) fn kuma_routes(counter: Arc<Counter>) -> Router {
    Router::new()
        .route("/api/status-page/{slug}", get(async |desk: Desk, asked: Asked| asked.face(&desk, Face::Kuma)))
        .route(
            "/api/status-page/heartbeat/{slug}",
            get(async |desk: Desk, asked: Asked| asked.face(&desk, Face::KumaHeartbeats)),
        )
        .layer(map_response(completed))
        .with_state(counter)
}

/// Whoever has one address of IPv6 has a network of them, 64 bits long.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// What somebody asks for.
pub(super) struct Asked {
    pub(super) slug: String,
    pub(super) language: Option<Language>,
    headers: HeaderMap,
    pub(super) address: IpAddr,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let Path(places) = Path::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|_| StatusCode::NOT_FOUND.into_response())?;
        let slug = places.into_iter().find(|(name, _)| name == "slug").map(|(_, slug)| slug).unwrap_or_default();
        let language = Form::of_query(parts.uri.query()).field("lang").and_then(Language::parse);
        let connection = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let address = connection.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |info| household(info.0.ip()));
        Ok(Self { slug, language, headers: parts.headers.clone(), address })
    }
}

impl Asked {
    /// The page, if whoever asks may see it; otherwise what is answered instead. `is_page`: a person looks.
    #[expect(clippy::result_large_err, reason = "a refusal is the answer itself, and is sent at once")]
    pub(super) fn admit(&self, counter: &Counter, is_page: bool) -> Result<Arc<Volume>, Response> {
        let there = counter.library.shelf();
        let Some(volume) = there.volumes.get(&self.slug) else {
            let language = self.language.unwrap_or_default();
            let (code, text): (_, fn(&Words) -> &'static str) = match there.read_at {
                Some(_) => (StatusCode::NOT_FOUND, |words| words.no_page),
                None => (StatusCode::SERVICE_UNAVAILABLE, |words| words.unread),
            };
            return Err(plain_page(code, html::refusal(language, text)));
        };
        let Some(password) = &volume.password else { return Ok(Arc::clone(volume)) };
        if door::has_cookie(&self.headers, (&counter.key, &self.slug, password)) {
            return Ok(Arc::clone(volume));
        }
        let language = self.language.unwrap_or(volume.page.language);
        let Some(said) = door::basic(&self.headers) else {
            return Err(self.shut(is_page, language));
        };
        match self.try_password(counter, password, &said) {
            Ok(true) => Ok(Arc::clone(volume)),
            Ok(false) => Err(self.shut(is_page, language)),
            Err(refusal) => Err(refusal),
        }
    }

    /// Programs are asked for a password as HTTP knows it, people by a form.
    fn shut(&self, is_page: bool, language: Language) -> Response {
        if is_page {
            return plain_page(StatusCode::FORBIDDEN, html::door(&self.slug, language, None));
        }
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"status page\", charset=\"UTF-8\"")])
            .into_response()
    }

    /// Whether it is the password. Tries are counted by address, good ones too: those that are too many are not looked at.
    #[expect(clippy::result_large_err, reason = "a refusal is the answer itself, and is sent at once")]
    fn try_password(&self, counter: &Counter, known: &str, said: &str) -> Result<bool, Response> {
        if counter.tries.count(&self.address).is_err() {
            let page = html::door(&self.slug, self.language.unwrap_or_default(), Some(|words| words.slow_down));
            return Err(plain_page(StatusCode::TOO_MANY_REQUESTS, page));
        }
        Ok(super::password::hash(&counter.key, &self.slug, said) == known)
    }

    /// The place of a month, in the language that was asked for.
    fn history(&self, page: &PublicPage, month: &str) -> String {
        let language = self.language.filter(|language| *language != page.language);
        let query = language.map_or_else(String::new, |language| format!("?lang={}", language.code()));
        format!("/pages/{}/history/{month}{query}", page.slug)
    }

    fn face(&self, counter: &Counter, face: Face) -> Response {
        match self.admit(counter, false) {
            Ok(volume) => answer(&volume.page, &volume.face(face), (face.kind(), &self.headers)),
            Err(refusal) => refusal,
        }
    }
}

async fn page(State(counter): Desk, asked: Asked) -> Response {
    match asked.admit(&counter, true) {
        Ok(volume) => {
            let face = Face::Html(asked.language.unwrap_or(volume.page.language));
            answer(&volume.page, &volume.face(face), (face.kind(), &asked.headers))
        }
        Err(refusal) => refusal,
    }
}

async fn this_month(State(counter): Desk, asked: Asked) -> Response {
    match asked.admit(&counter, true) {
        Ok(volume) => Redirect::temporary(&asked.history(&volume.page, &month(volume.age.now))).into_response(),
        Err(refusal) => refusal,
    }
}

/// Where clients of Statuspage expect an incident or a maintenance.
async fn one_notice(State(counter): Desk, asked: Asked, Path((_, id)): Path<(String, String)>) -> Response {
    let volume = match asked.admit(&counter, true) {
        Ok(volume) => volume,
        Err(refusal) => return refusal,
    };
    let page = &volume.page;
    let Some(notice) = page.notices.iter().find(|notice| notice.id == id) else {
        let language = asked.language.unwrap_or(page.language);
        return plain_page(StatusCode::NOT_FOUND, html::refusal(language, |words| words.no_page));
    };
    Redirect::temporary(&format!("{}#n{}", asked.history(page, &month(notice.at())), notice.id)).into_response()
}

async fn one_month(State(counter): Desk, asked: Asked, Path((_, month)): Path<(String, String)>) -> Response {
    let volume = match asked.admit(&counter, true) {
        Ok(volume) => volume,
        Err(refusal) => return refusal,
    };
    let language = asked.language.unwrap_or(volume.page.language);
    if !is_month(&month) {
        return plain_page(StatusCode::NOT_FOUND, html::refusal(language, |words| words.no_page));
    }
    answer(&volume.page, &volume.month(language, &month), ("text/html; charset=utf-8", &asked.headers))
}

/// `2026-11`
fn is_month(text: &str) -> bool {
    let parts = text.split_once('-').filter(|(year, month)| year.len() == 4 && month.len() == 2);
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    parts.is_some_and(|(year, month)| is_digits(year) && (1..=12).contains(&month.parse().unwrap_or(0)))
}

async fn badge_of(State(counter): Desk, asked: Asked, Path((_, file)): Path<(String, String)>) -> Response {
    let volume = match asked.admit(&counter, false) {
        Ok(volume) => volume,
        Err(refusal) => return refusal,
    };
    let words = words::words(asked.language.unwrap_or(volume.page.language));
    let (id, extension) = file.rsplit_once('.').unwrap_or((&file, ""));
    let Some(component) = volume.component(id) else { return StatusCode::NOT_FOUND.into_response() };
    let (kind, text) = match extension {
        "svg" => ("image/svg+xml", badge::svg(component, words)),
        "json" => ("application/json", badge::shields(component, words).to_string()),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    answer(&volume.page, &drawn(text), (kind, &asked.headers))
}

async fn logo(State(counter): Desk, asked: Asked) -> Response {
    let volume = match asked.admit(&counter, false) {
        Ok(volume) => volume,
        Err(refusal) => return refusal,
    };
    let Some((kind, bytes)) = &volume.logo else { return StatusCode::NOT_FOUND.into_response() };
    let mut response = ([(header::CONTENT_TYPE, *kind)], bytes.clone()).into_response();
    protect(&mut response, &volume.page);
    // A picture that is opened by itself runs and loads nothing.
    let shut = HeaderValue::from_static("default-src 'none'; sandbox");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, shut);
    response
}

async fn colours(State(counter): Desk, asked: Asked) -> Response {
    let volume = match asked.admit(&counter, false) {
        Ok(volume) => volume,
        Err(refusal) => return refusal,
    };
    let accent = volume.page.accent.as_deref().unwrap_or("inherit");
    answer(&volume.page, &drawn(format!(":root{{--accent:{accent}}}\n")), ("text/css; charset=utf-8", &asked.headers))
}

/// The password, from the form.
async fn enter(State(counter): Desk, asked: Asked, form: Form) -> Response {
    let shelf = counter.library.shelf();
    let Some(volume) = shelf.volumes.get(&asked.slug) else { return StatusCode::NOT_FOUND.into_response() };
    let language = asked.language.unwrap_or(volume.page.language);
    let place = format!("/pages/{}?lang={}", volume.page.slug, language.code());
    let Some(password) = &volume.password else { return Redirect::to(&place).into_response() };
    match asked.try_password(&counter, password, form.field("password").unwrap_or_default()) {
        Ok(true) => {
            let is_private = is_private(&asked.headers, counter.has_certificate);
            let cookie = door::cookie((&counter.key, &asked.slug, password), is_private);
            ([(header::SET_COOKIE, cookie)], Redirect::to(&place)).into_response()
        }
        Ok(false) => plain_page(StatusCode::FORBIDDEN, html::door(&asked.slug, language, Some(|words| words.wrong))),
        Err(refusal) => refusal,
    }
}

/// What was drawn, packed if whoever asks can unpack it, and not at all if they have it.
fn answer(page: &PublicPage, drawn: &Drawn, (kind, asked): (&'static str, &HeaderMap)) -> Response {
    let text = |name: HeaderName| asked.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let has_it = text(header::IF_NONE_MATCH).split(',').any(|tag| tag.trim() == drawn.etag);
    let unpacks = text(header::ACCEPT_ENCODING).split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim() == "gzip" && weight.trim() != "q=0"
    });
    let mut response = if has_it {
        StatusCode::NOT_MODIFIED.into_response()
    } else if unpacks && !drawn.packed.is_empty() {
        ([(header::CONTENT_ENCODING, "gzip")], drawn.packed.clone()).into_response()
    } else {
        drawn.plain.clone().into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(etag) = HeaderValue::from_str(&drawn.etag) {
        headers.insert(header::ETAG, etag);
    }
    protect(&mut response, page);
    response
}

/// What every answer of a page says.
fn protect(response: &mut Response, page: &PublicPage) {
    let frames = if page.embed_from.is_empty() { "'none'".to_owned() } else { page.embed_from.join(" ") };
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy(&frames)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    plain_headers(headers);
    let kept = if page.is_closed { "private, max-age=10" } else { "public, max-age=10" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    let differs = if page.is_closed { "Accept-Encoding, Authorization, Cookie" } else { "Accept-Encoding" };
    headers.insert(header::VARY, HeaderValue::from_static(differs));
    if page.noindex || page.is_closed {
        headers.insert(HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex"));
    }
    if page.embed_from.is_empty() {
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    // Anybody's page may read what anybody may see.
    if !page.is_closed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
}

fn policy(frames: &str) -> String {
    format!(
        "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors {frames}; img-src 'self'; \
         style-src 'self'; script-src 'self'"
    )
}

fn plain_headers(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

/// What is no answer of a page has the headers of one that nobody may frame or keep: a refusal, a way to elsewhere.
async fn completed(response: Response) -> Response {
    if response.headers().contains_key(header::CONTENT_SECURITY_POLICY) { response } else { guarded(response) }
}

fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy("'none'")) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    plain_headers(headers);
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}

/// A page that says nothing of any page.
pub(super) fn plain_page(code: StatusCode, html: String) -> Response {
    guarded((code, axum::response::Html(html)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_a_year_and_a_month() {
        assert!(is_month("2026-11") && is_month("2026-01"));
        for bad in ["", "2026", "2026-13", "2026-00", "2026-1", "20a6-11", "2026-11-1", "../x"] {
            assert!(!is_month(bad), "{bad}");
        }
    }

    #[test]
    fn whoever_has_a_network_of_addresses_tries_no_more_passwords_with_it() {
        let of = |address: &str| household(address.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
    }
}
