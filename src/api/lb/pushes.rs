//! `GET /lb/pushes`: which node owns which push monitor, for gateways.
//!
//! Tokens are secrets that a monitor's address holds, so none leaves the database: each stands for itself as its HMAC-SHA1
//! with the gateway's key, which nginx's Lua can make everywhere. What is told is what was read last: the database is
//! asked at most once a second, seldom when the answer takes long, and not at all while no gateway asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use komainu_watchdogs::ids::{Generation, NodeId};
use komainu_watchdogs::time::Mono;
use serde::Serialize;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::api::problem::{ApiError, Problem};
use crate::api::{Ctx, State, auth};
use crate::clock;
use crate::keys::GatewayKey;
use crate::store::StoreError;
use crate::store::push_owners::{self, PushOwner};

/// Between two readings, at least: a token that was changed is passed on after so long.
const PAUSE: Duration = Duration::from_secs(1);

/// A reading that takes long comes seldom: it costs the database no more than a twentieth of one connection.
const SPARING: u32 = 20;

/// A gateway waits no longer than that for the database: what was known is better.
const PATIENCE: Duration = Duration::from_millis(700);

/// No reading succeeded since this watchdog began.
const NOTHING_YET: StoreError =
    StoreError::TimedOut { act: "read the owners of push monitors", millis: PATIENCE.as_millis() };

/// Which node takes which push.
#[derive(Serialize, ToSchema)]
struct PushTable {
    /// They are at least as new as that.
    #[schema(value_type = u64)]
    generation: Generation,
    /// By HMAC-SHA1 of the token with the gateway's key, in hex: the node, or nothing while the monitor moves.
    #[schema(value_type = BTreeMap<String, String>)]
    owners: BTreeMap<String, NodeId>,
}

/// What was read last.
#[derive(Default)]
pub(in crate::api) struct Owners(Mutex<Reading>);

#[derive(Default)]
struct Reading {
    tried_at: Option<Mono>,
    took: Duration,
    generation: Generation,
    told: Option<Arc<PushOwnersAnswer>>,
}

/// As it is sent.
struct PushOwnersAnswer {
    body: Bytes,
    tag: String,
}

impl Reading {
    /// Whether the database is to be asked: soon when owners changed, otherwise for tokens that somebody edited.
    fn is_due(&self, generation: Generation, now: Mono) -> bool {
        let pause = if generation == self.generation { PAUSE.max(self.took * SPARING) } else { PAUSE };
        self.tried_at.is_none_or(|tried_at| now.since(tried_at) >= pause)
    }
}

impl Owners {
    /// The last known, read anew if that is due; `None`: nothing could be read yet.
    async fn told(&self, state: &State) -> Option<Arc<PushOwnersAnswer>> {
        // Whoever asks meanwhile waits for this reading, no longer than it may take.
        let mut reading = self.0.lock().await;
        let (generation, began_at) = (state.view.borrow().generation, clock::now());
        if reading.is_due(generation, began_at) {
            reading.tried_at = Some(began_at);
            match tokio::time::timeout(PATIENCE, push_owners::list(&state.store)).await {
                Ok(Ok(owners)) => {
                    reading.told = Some(Arc::new(told(&state.key.gateway_key(), generation, owners)));
                    reading.generation = generation;
                }
                Ok(Err(error)) => tracing::debug!(%error, "the owners of push monitors stay as they were"),
                Err(_) => tracing::debug!("the owners of push monitors stay as they were: the database is slow"),
            }
            reading.took = clock::now().since(began_at);
        }
        reading.told.clone()
    }
}

fn told(key: &GatewayKey, generation: Generation, owners: Vec<PushOwner>) -> PushOwnersAnswer {
    let named = |one: PushOwner| (digest(key, &one.token), one.owner.unwrap_or_default());
    let table = PushTable { generation, owners: owners.into_iter().map(named).collect() };
    let body = serde_json::to_vec(&table).expect("a map of texts is JSON");
    let tag = format!("\"{}\"", hex::encode(Sha256::digest(&body)));
    PushOwnersAnswer { body: body.into(), tag }
}

fn digest(key: &GatewayKey, token: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of every length");
    mac.update(token.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// Which node owns which push monitor, for gateways.
///
/// Needs the gateway's key, as `komainu keygen --gateway` prints it. Tokens are told as HMAC-SHA1 with that key.
#[utoipa::path(get, path = "/lb/pushes", tag = "gateways", security(("gateway" = [])),
    params(("if-none-match" = Option<String>, Header, description = "The `ETag` of an answer before")),
    responses((status = 200, description = "As last known", body = PushTable),
        (status = 304, description = "Nothing changed since that answer"),
        (status = 401, description = "The gateway's key is missing or wrong", body = Problem),
        (status = 503, description = "Nothing is known yet", body = Problem)))]
pub(in crate::api) async fn show(context: Ctx, headers: HeaderMap) -> Result<Response, ApiError> {
    if !auth::is_gateway(&headers, &context) {
        return Err(ApiError::Unauthorized);
    }
    let told = context.owners.told(&context.state).await.ok_or(NOTHING_YET)?;
    let about = [(header::ETAG, told.tag.clone()), (header::CACHE_CONTROL, "no-cache".to_owned())];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == told.tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    let kind = [(header::CONTENT_TYPE, "application/json")];
    Ok((about, kind, told.body.clone()).into_response())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::support::{KEY, Surface, view};
    use crate::keys::ClusterKey;

    async fn ask(surface: &Surface, more: &[(&str, &str)]) -> crate::api::support::TestAnswer {
        let key = format!("Bearer {}", ClusterKey::parse(KEY).unwrap().gateway_key().reveal());
        let headers = [&[("authorization", key.as_str())], more].concat();
        surface.send_with("GET", "/lb/pushes", &headers, "").await
    }

    #[tokio::test]
    async fn a_gateway_finds_the_owner_by_the_digest_of_the_token() {
        let surface = Surface::showing(view()).await.lasting();
        surface.add_node("node1").await;
        surface.add_push_monitor("abcdefgh", "node1").await;
        let answer = ask(&surface, &[]).await;
        let (key, body) = (ClusterKey::parse(KEY).unwrap().gateway_key(), answer.json());
        assert_eq!((answer.code, &body["generation"]), (200, &json!(42)));
        assert_eq!(body["owners"], json!({ digest(&key, "abcdefgh"): "node1" }));
        assert!(!String::from_utf8_lossy(&answer.body).contains("abcdefgh"), "the token itself is not told");
        let again = ask(&surface, &[("if-none-match", &answer.header("etag"))]).await;
        assert_eq!((again.code, again.body.len()), (304, 0));
    }

    #[tokio::test]
    async fn whoever_has_another_key_learns_nothing() {
        let surface = Surface::plain().await;
        let admin = surface.key("admin").await;
        for key in [None, Some(admin.as_str()), Some(KEY), Some("")] {
            assert_eq!(surface.send("GET", "/lb/pushes", key, "").await.code, 401, "{key:?}");
        }
    }

    #[test]
    fn the_database_is_asked_once_a_second_and_seldom_when_it_is_slow() {
        let read = |took| Reading { tried_at: Some(Mono::secs(100)), took, generation: Generation(7), told: None };
        let quick = read(Duration::from_millis(5));
        assert!(Reading::default().is_due(Generation(7), Mono::secs(100)));
        assert!(!quick.is_due(Generation(7), Mono::millis(100_900)));
        assert!(quick.is_due(Generation(7), Mono::secs(101)));
        let slow = read(Duration::from_millis(500));
        assert!(!slow.is_due(Generation(7), Mono::secs(109)));
        assert!(slow.is_due(Generation(7), Mono::secs(110)));
        assert!(slow.is_due(Generation(8), Mono::secs(101)), "somebody else owns something");
    }

    #[test]
    fn the_digest_is_what_openssl_makes_of_the_token() {
        // printf abcdefgh | openssl dgst -sha1 -hmac <the gateway's key>
        let key = ClusterKey::parse(KEY).unwrap().gateway_key();
        assert_eq!(digest(&key, "abcdefgh"), "e887f5c0edfbe963638f3b4cdfe4d3fcb07676b6");
    }
}
