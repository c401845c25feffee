//! Who may do what: `Authorization: Bearer kmn_…`.
//!
//! Which keys there are is read in [`known_keys`]; how often one may ask is counted in [`super::rates`].

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, header};

use super::Context;
use super::problem::ApiError;
use super::traffic::Asker;
use crate::config::Details;
use crate::keys::hash_api_key;
use crate::store::apikeys::Scope;

pub(crate) use self::known_keys::Holding;
pub(super) use self::known_keys::KnownKeys;

mod known_keys;

/// Whoever holds the key that came with a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Caller {
    /// The key's name, for the audit log.
    pub(crate) name: String,
    /// What it allows.
    pub(crate) scope: Scope,
    /// The key's row: one that is made anew under the same name is another key.
    pub(crate) key_id: i64,
    /// Where the request was made.
    pub(crate) from: Origin,
}

/// Where a request was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// By a program that sent the key along.
    Program,
    /// On a page of the dashboard, by whoever signed in with the key.
    Page,
}

impl Caller {
    /// Somebody who signed in to the dashboard with that key.
    pub(crate) fn on_page(key_id: i64, name: String, scope: Scope) -> Self {
        Self { name, scope, key_id, from: Origin::Page }
    }

    /// As the audit log names it.
    pub(super) fn who(&self) -> String {
        match self.from {
            Origin::Program => format!("key/{}", self.name),
            Origin::Page => format!("key/{} (page)", self.name),
        }
    }

    /// Whether it may change monitors.
    pub(super) fn may_write(&self) -> bool {
        self.scope >= Scope::Write
    }

    /// Refuses whoever may not do everything.
    pub(super) fn ensure_admin(&self) -> Result<(), ApiError> {
        self.clone().ensure(Scope::Admin).map(drop)
    }

    fn ensure(self, needed: Scope) -> Result<Self, ApiError> {
        if self.scope >= needed {
            return Ok(self);
        }
        let message = format!("this key has scope {}, this needs {}", self.scope.as_str(), needed.as_str());
        Err(ApiError::Forbidden(message))
    }
}

/// A caller who may read.
#[derive(Debug)]
pub(super) struct Reader(pub(super) Caller);
/// A caller who may change monitors and heartbeats, and acknowledge.
#[derive(Debug)]
pub(super) struct Writer(pub(super) Caller);
/// A caller who may do everything.
#[derive(Debug)]
pub(super) struct Admin(pub(super) Caller);

impl FromRequestParts<Arc<Context>> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, context: &Arc<Context>) -> Result<Self, ApiError> {
        authenticate(&parts.headers, &parts.extensions, context).await?.ensure(Scope::Read).map(Self)
    }
}

impl FromRequestParts<Arc<Context>> for Writer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, context: &Arc<Context>) -> Result<Self, ApiError> {
        authenticate(&parts.headers, &parts.extensions, context).await?.ensure(Scope::Write).map(Self)
    }
}

impl FromRequestParts<Arc<Context>> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, context: &Arc<Context>) -> Result<Self, ApiError> {
        authenticate(&parts.headers, &parts.extensions, context).await?.ensure(Scope::Admin).map(Self)
    }
}

/// Whether a request may see more than a colour: everybody may, unless `[status] details = "key"`.
pub(super) async fn may_see(parts: &Parts, context: &Context) -> bool {
    ensure_sees(parts, context).await.is_ok()
}

/// Whether a request bears a key that holds.
pub(super) async fn has_key(parts: &Parts, context: &Context) -> bool {
    bearer(&parts.headers).is_some() && authenticate(&parts.headers, &parts.extensions, context).await.is_ok()
}

/// The same, with why not: that keys cannot be read just now does not make a good one unknown.
async fn ensure_sees(parts: &Parts, context: &Context) -> Result<(), ApiError> {
    match context.state.details {
        Details::Public if parts.extensions.get::<OnPublicPort>().is_none() => Ok(()),
        Details::Public | Details::Key => authenticate(&parts.headers, &parts.extensions, context).await.map(drop),
    }
}

/// Whether it comes from a gateway, whose key `komainu keygen --gateway` prints.
pub(super) fn is_gateway(headers: &HeaderMap, context: &Context) -> bool {
    let expected = context.state.key.gateway_key();
    // Hashes, so that how long it takes to compare them says nothing about the key.
    bearer(headers).is_some_and(|key| hash_api_key(key) == hash_api_key(expected.reveal()))
}

/// A caller who may see what is hidden from strangers where `[status] details = "key"`.
#[derive(Debug)]
pub(super) struct Spectator;

impl FromRequestParts<Arc<Context>> for Spectator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, context: &Arc<Context>) -> Result<Self, ApiError> {
        ensure_sees(parts, context).await.map(|()| Self)
    }
}

/// The same, or a gateway.
#[derive(Debug)]
pub(super) struct GatewayOrSpectator;

impl FromRequestParts<Arc<Context>> for GatewayOrSpectator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, context: &Arc<Context>) -> Result<Self, ApiError> {
        if is_gateway(&parts.headers, context) {
            return Ok(Self);
        }
        ensure_sees(parts, context).await.map(|()| Self)
    }
}

async fn authenticate(headers: &HeaderMap, extensions: &Extensions, context: &Context) -> Result<Caller, ApiError> {
    let caller = match extensions.get::<SignedIn>() {
        Some(SignedIn(caller)) => caller.clone(),
        None => of_key(bearer(headers).ok_or(ApiError::Unauthorized)?, extensions, context).await?,
    };
    if let Some(asker) = extensions.get::<Asker>() {
        asker.is(&caller.name);
    }
    context.rates.count(&caller.name)?;
    Ok(caller)
}

/// In the extensions of a request that came to the port for the public: without a key, nothing but a colour is seen there.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnPublicPort;

/// In the extensions of a request that a page of this process makes: the page has found out who that is. No header sets it.
#[derive(Clone, Debug)]
pub(super) struct SignedIn(pub(super) Caller);

/// Whose key this is; a stranger's try is counted.
pub(super) async fn of_key(key: &str, extensions: &Extensions, context: &Context) -> Result<Caller, ApiError> {
    let Some(caller) = context.known_keys.find(&context.state.store, &hash_api_key(key)).await? else {
        context.rates.count_unknown(address(extensions))?;
        return Err(ApiError::Unauthorized);
    };
    Ok(caller)
}

/// Who asks, as the surface found out: what a header says of it could be anybody's invention.
fn address(extensions: &Extensions) -> IpAddr {
    let connection = extensions.get::<ConnectInfo<SocketAddr>>();
    connection.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |info| info.0.ip().to_canonical())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::api::support::Surface;
    use crate::surface::{self, Entrance, Places, Proxies};
    use crate::tls::Credentials;

    fn caller(scope: Scope) -> Caller {
        Caller { name: "ci".to_owned(), scope, key_id: 1, from: Origin::Program }
    }

    #[test]
    fn each_scope_includes_the_smaller_ones() {
        assert!(caller(Scope::Admin).ensure(Scope::Read).is_ok());
        assert!(caller(Scope::Write).ensure(Scope::Write).is_ok());
        let refused = caller(Scope::Read).ensure(Scope::Write).unwrap_err();
        assert_eq!(refused.to_string(), "this key has scope read, this needs write");
    }

    #[tokio::test]
    async fn too_many_requests_of_a_key_are_429_and_say_when_to_go_on() {
        let surface = Surface::plain().await.lasting();
        let (busy, calm) = (surface.key("read").await, surface.key("admin").await);
        let mut codes = BTreeMap::new();
        for _ in 0..1_500 {
            let answer = surface.send("GET", "/api/v1/watchdogs", Some(&busy), "").await;
            *codes.entry(answer.code).or_insert(0) += 1;
            if answer.code == 429 {
                assert_eq!((answer.header("retry-after").as_str(), &answer.json()["status"]), ("1", &json!(429)));
                break;
            }
        }
        assert_eq!(codes.get(&429), Some(&1), "{codes:?}");
        assert!(codes[&200] >= 1_000, "{codes:?}");
        assert_eq!(surface.send("GET", "/api/v1/watchdogs", Some(&calm), "").await.code, 200);
    }

    #[tokio::test]
    async fn behind_a_trusted_proxy_only_the_address_that_tries_keys_is_slowed_down() {
        let state = Surface::plain().await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/v1/watchdogs", listener.local_addr().unwrap());
        let proxies = Proxies { trusted: vec!["127.0.0.1/32".parse().unwrap()], ..Proxies::default() };
        let places = Places { most: 100, most_of_one: 100 };
        let entrance = Entrance { places, credentials: Credentials::none(), proxies };
        let router = crate::api::router(state.state.clone());
        tokio::spawn(surface::serve(listener, router, entrance, CancellationToken::new()));
        let http = crate::channels::client().unwrap();
        let ask = async |client: String, key: String| {
            let request = http.get(&url).header("x-forwarded-for", client).bearer_auth(key);
            request.send().await.unwrap().status().as_u16()
        };
        // Whatever they say of themselves: what the proxy adds is what counts.
        let tries = (0..60).map(|n| ask(format!("198.51.100.{n}, 203.0.113.1"), format!("kmn_{n}")));
        let mut codes: BTreeMap<u16, usize> = BTreeMap::new();
        for code in futures_util::future::join_all(tries).await {
            *codes.entry(code).or_default() += 1;
        }
        assert!(codes[&401] >= 20 && codes[&429] >= 20 && codes.len() == 2, "{codes:?}");
        assert_eq!(ask("198.51.100.1, 203.0.113.2".to_owned(), "kmn_x".to_owned()).await, 401);
    }

    #[tokio::test]
    async fn whoever_tries_keys_is_slowed_down_and_no_good_key_at_the_same_address_is() {
        let surface = Surface::plain().await.lasting();
        let good = surface.key("read").await;
        assert_eq!(surface.send("GET", "/api/v1/watchdogs", Some(&good), "").await.code, 200);
        let keys: Vec<String> = (0..60).map(|n| format!("kmn_{n}")).collect();
        let tries = keys.iter().map(|key| surface.send("GET", "/api/v1/watchdogs", Some(key), ""));
        let mut codes: BTreeMap<u16, usize> = BTreeMap::new();
        for answer in futures_util::future::join_all(tries).await {
            *codes.entry(answer.code).or_default() += 1;
        }
        assert!(codes[&401] >= 20 && codes[&429] >= 20 && codes.len() == 2, "{codes:?}");
        assert_eq!(surface.send("GET", "/api/v1/watchdogs", Some(&good), "").await.code, 200);
        // One that this watchdog has never seen.
        let fresh = surface.key("admin").await;
        assert_eq!(surface.send("GET", "/api/v1/watchdogs", Some(&fresh), "").await.code, 200);
        assert_eq!(surface.get("/api/v1/watchdogs").await.code, 401, "no key is no try");
    }
}
