//! Who may do what: `Authorization: Bearer kmn_…`.
//!
//! A key is looked up by its hash and remembered for a few seconds, so that a revoked key stops working soon and a
//! busy client does not double the load on the database.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
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
        authenticate(&parts.headers, context).await?.ensure(Scope::Read).map(Self)
    }
}

impl FromRequestParts<Arc<Context>> for Writer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, context: &Arc<Context>) -> Result<Self, ApiError> {
        authenticate(&parts.headers, context).await?.ensure(Scope::Write).map(Self)
    }
}

impl FromRequestParts<Arc<Context>> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, context: &Arc<Context>) -> Result<Self, ApiError> {
        authenticate(&parts.headers, context).await?.ensure(Scope::Admin).map(Self)
    }
}

/// Whether a request carries a key that may read; where a key is optional.
pub(super) async fn may_read(headers: &HeaderMap, context: &Context) -> bool {
    authenticate(headers, context).await.is_ok()
}

async fn authenticate(headers: &HeaderMap, context: &Context) -> Result<Caller, ApiError> {
    let hash = hash_api_key(bearer(headers).ok_or(ApiError::Unauthorized)?);
    if let Some(caller) = context.known_keys.recall(&hash, clock::now()) {
        return Ok(caller);
    }
    let row = apikeys::find_by_hash(&context.state.store, &hash).await?.ok_or(ApiError::Unauthorized)?;
    let caller = Caller { name: row.name, scope: row.scope };
    context.known_keys.remember(hash, caller.clone(), clock::now());
    Ok(caller)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// Keys found lately, by hash.
#[derive(Default)]
pub(super) struct KnownKeys(Mutex<HashMap<String, (Caller, Mono)>>);

impl KnownKeys {
    fn recall(&self, hash: &str, now: Mono) -> Option<Caller> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(hash).filter(|(_, found_at)| now.since(*found_at) <= REMEMBERED).map(|(caller, _)| caller.clone())
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
    use super::*;

    fn caller(scope: Scope) -> Caller {
        Caller { name: "ci".to_owned(), scope }
    }

    #[test]
    fn a_key_is_believed_for_five_seconds() {
        let known = KnownKeys::default();
        known.remember("h".to_owned(), caller(Scope::Read), Mono::secs(10));
        assert_eq!(known.recall("h", Mono::secs(15)), Some(caller(Scope::Read)));
        assert_eq!(known.recall("h", Mono::millis(15_001)), None);
        assert_eq!(known.recall("other", Mono::secs(10)), None);
    }

    #[test]
    fn each_scope_includes_the_smaller_ones() {
        assert!(caller(Scope::Admin).ensure(Scope::Read).is_ok());
        assert!(caller(Scope::Write).ensure(Scope::Write).is_ok());
        let refused = caller(Scope::Read).ensure(Scope::Write).unwrap_err();
        assert_eq!(refused.to_string(), "this key has scope read, this needs write");
    }
}
