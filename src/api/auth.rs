//! Who may do what: `Authorization: Bearer kmn_…`.
//!
//! A key is looked up by its hash and remembered for a few seconds, so that a revoked key stops working soon and a
//! busy client does not double the load on the database. How often a key may ask is counted in [`super::rates`].

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, header};
use komainu_watchdogs::time::Mono;

use super::Context;
use super::problem::ApiError;
use crate::clock;
use crate::keys::hash_api_key;
use crate::store::apikeys::{self, Scope};

/// How long a key that was found is believed.
const REMEMBERED: Duration = Duration::from_secs(5);

/// More keys than this are in use at once nowhere; it bounds the memory.
const MOST_REMEMBERED: usize = 1_000;

/// Whoever holds the key that came with a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Caller {
    /// The key's name, for the audit log.
    pub(super) name: String,
    scope: Scope,
}

impl Caller {
    /// As the audit log names it.
    pub(super) fn who(&self) -> String {
        format!("key/{}", self.name)
    }

    /// Whether it may change monitors.
    pub(super) fn may_write(&self) -> bool {
        self.scope >= Scope::Write
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

/// Whether a request carries a key that may read; where a key is optional.
pub(super) async fn may_read(parts: &Parts, context: &Context) -> bool {
    authenticate(&parts.headers, &parts.extensions, context).await.is_ok()
}

async fn authenticate(headers: &HeaderMap, extensions: &Extensions, context: &Context) -> Result<Caller, ApiError> {
    let hash = hash_api_key(bearer(headers).ok_or(ApiError::Unauthorized)?);
    let caller = match context.known_keys.recall(&hash, clock::now()) {
        Recalled::Fresh(caller) => caller,
        Recalled::Stale => find(&hash, context).await?.ok_or(ApiError::Unauthorized)?,
        Recalled::Never => {
            let address = address(extensions);
            context.rates.ensure_welcome(address, clock::now())?;
            let found = find(&hash, context).await?;
            if found.is_none() {
                context.rates.count_unknown(address, clock::now());
            }
            found.ok_or(ApiError::Unauthorized)?
        }
    };
    context.rates.count(&caller.name)?;
    Ok(caller)
}

async fn find(hash: &str, context: &Context) -> Result<Option<Caller>, ApiError> {
    let Some(row) = apikeys::find_by_hash(&context.state.store, hash).await? else {
        context.known_keys.forget(hash);
        return Ok(None);
    };
    let caller = Caller { name: row.name, scope: row.scope };
    context.known_keys.remember(hash.to_owned(), caller.clone(), clock::now());
    Ok(Some(caller))
}

/// Whose connection it is. What a header says of it could be anybody's invention.
fn address(extensions: &Extensions) -> IpAddr {
    let connection = extensions.get::<ConnectInfo<SocketAddr>>();
    connection.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |info| info.0.ip().to_canonical())
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// Keys found lately, by hash.
#[derive(Default)]
pub(super) struct KnownKeys(Mutex<HashMap<String, (Caller, Mono)>>);

/// What is remembered of a key.
#[derive(PartialEq, Eq, Debug)]
enum Recalled {
    /// Found a moment ago.
    Fresh(Caller),
    /// It was good once.
    Stale,
    Never,
}

impl KnownKeys {
    fn recall(&self, hash: &str, now: Mono) -> Recalled {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(hash) {
            Some((caller, found_at)) if now.since(*found_at) <= REMEMBERED => Recalled::Fresh(caller.clone()),
            Some(_) => Recalled::Stale,
            None => Recalled::Never,
        }
    }

    fn forget(&self, hash: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(hash);
    }

    fn remember(&self, hash: String, caller: Caller, now: Mono) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        known.insert(hash, (caller, now));
    }

    /// A key was deleted: this instance stops taking it at once.
    pub(super) fn forget_all(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::api::support::Surface;

    fn caller(scope: Scope) -> Caller {
        Caller { name: "ci".to_owned(), scope }
    }

    #[test]
    fn a_key_is_believed_for_five_seconds() {
        let known = KnownKeys::default();
        known.remember("h".to_owned(), caller(Scope::Read), Mono::secs(10));
        assert_eq!(known.recall("h", Mono::secs(15)), Recalled::Fresh(caller(Scope::Read)));
        assert_eq!(known.recall("h", Mono::millis(15_001)), Recalled::Stale);
        assert_eq!(known.recall("other", Mono::secs(10)), Recalled::Never);
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
    async fn whoever_tries_keys_is_slowed_down_and_a_good_key_at_the_same_address_goes_on() {
        let surface = Surface::plain().await.lasting();
        let good = surface.key("read").await;
        assert_eq!(surface.send("GET", "/api/v1/watchdogs", Some(&good), "").await.code, 200);
        let mut codes = Vec::new();
        for n in 0..60 {
            codes.push(surface.send("GET", "/api/v1/watchdogs", Some(&format!("kmn_{n}")), "").await.code);
        }
        assert_eq!((codes[0], codes.last()), (401, Some(&429)), "{codes:?}");
        assert_eq!(surface.send("GET", "/api/v1/watchdogs", Some(&good), "").await.code, 200);
        assert_eq!(surface.get("/api/v1/watchdogs").await.code, 401, "no key is no try");
    }
}
