//! `POST /peer/v1/look`: asking peers to look now, and hearing what they saw.
//!
//! One call does both: it names checks to be looked at at once, possibly none, and says up to which look the caller knows the peer's.
//! Request and answer are signed with the cluster key. The connections are kept: these calls are no probes, and come every two seconds. What
//! is asked once, and may take a minute, goes over a connection of its own: one that is kept may have been dead for long, and whoever
//! reaches no peer is to know it in seconds.

use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::check::{CheckName, Heard, Look};
use komainu_watchdogs::ids::{Incarnation, WatchdogId, Zone};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::keys::ClusterKey;
use crate::signature;
use crate::tls::Credentials;

/// Where watchdogs answer.
pub const PATH: &str = "/peer/v1/look";

/// A peer answers within its two seconds; some are a second away.
const LIMIT: Duration = Duration::from_secs(5);

/// Looks of one answer: the rest is fetched by the next call, which comes at once.
pub const MOST_LOOKS: usize = 200;

/// Characters of a zone, as its column has them: whatever a peer says it is shown to everybody.
const ZONE_MOST: usize = 190;

/// Bytes of an answer: so many looks with everything that they may say.
const MOST_BYTES: usize = 512 * 1024;

/// What one watchdog asks another.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookRequest {
    /// Who asks.
    pub watchdog: WatchdogId,
    /// To be looked at now.
    #[serde(default)]
    pub checks: Vec<CheckName>,
    /// Which process's looks the caller knows; none: it knows nothing.
    #[serde(default)]
    pub of: Option<Incarnation>,
    /// Up to which number.
    #[serde(default)]
    pub after: u64,
}

/// What it answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LookAnswer {
    /// Who answers.
    pub watchdog: WatchdogId,
    /// Which process of it.
    pub incarnation: Incarnation,
    /// Where it stands.
    pub zone: Zone,
    /// It is cut off from the world, and its looks are no votes.
    pub is_isolated: bool,
    /// What was asked for, and what the caller does not know yet.
    pub looks: Vec<Look>,
    /// What is still being looked at.
    pub pending: Vec<CheckName>,
    /// There is more that the caller does not know yet.
    pub is_more: bool,
}

/// Calls peers; cheap to clone.
#[derive(Clone)]
pub(super) struct Peers {
    http: reqwest::Client,
    anew: reqwest::Client,
    key: ClusterKey,
}

/// Why a peer was not heard.
#[derive(Debug, thiserror::Error)]
pub(super) enum PeerError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("HTTP {0} without a signature")]
    Unsigned(u16),
    #[error(transparent)]
    Signature(#[from] signature::SignatureError),
    #[error(transparent)]
    Malformed(#[from] serde_json::Error),
    #[error("the answer is longer than {} KiB", MOST_BYTES / 1024)]
    TooLong,
    #[error("its zone has more than {ZONE_MOST} characters")]
    Zone,
    #[error("watchdog {0} answers there")]
    Another(WatchdogId),
}

impl Peers {
    pub(super) fn new(key: ClusterKey, credentials: &Arc<Credentials>) -> Result<Self, reqwest::Error> {
        let client = |kept| {
            reqwest::Client::builder()
                .tls_backend_preconfigured(credentials.client())
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(LIMIT)
                .pool_max_idle_per_host(kept)
                .pool_idle_timeout(Duration::from_secs(10))
                .no_proxy()
                .no_gzip()
                .no_deflate()
                .no_brotli()
                .user_agent(concat!("komainu/", env!("CARGO_PKG_VERSION")))
                .build()
        };
        Ok(Self { http: client(1)?, anew: client(0)?, key })
    }

    /// Asks one peer, and hears it only if it signs.
    pub(super) async fn ask(
        &self,
        (peer, address): (&WatchdogId, &str),
        question: &LookRequest,
    ) -> Result<(LookAnswer, Heard), PeerError> {
        let said_after = clock::now();
        let body = self.call(&self.http, (address, PATH), (serde_json::to_vec(question)?, LIMIT)).await?;
        let told: LookAnswer = serde_json::from_slice(&body)?;
        ensure_is(peer, (&told.watchdog, &told.zone))?;
        let heard = Heard {
            watchdog: told.watchdog.clone(),
            incarnation: told.incarnation,
            said_after,
            looks: told.looks.clone(),
            pending: told.pending.clone(),
        };
        Ok((told, heard))
    }

    /// One signed call over a new connection, which is there within five seconds or not at all.
    pub(super) async fn call_anew(
        &self,
        to: (&str, &str),
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<Vec<u8>, PeerError> {
        self.call(&self.anew, to, (body, limit)).await
    }

    /// One signed call: the body of an answer that is signed as well.
    async fn call(
        &self,
        http: &reqwest::Client,
        (address, path): (&str, &str),
        (body, limit): (Vec<u8>, Duration),
    ) -> Result<Vec<u8>, PeerError> {
        let signed = signature::sign(self.key.as_bytes(), clock::wall(), "POST", path, &body);
        let url = format!("{}{path}", address.trim_end_matches('/'));
        let request = http.post(url).header(signature::HEADER, signed).timeout(limit);
        let mut answer = request.header(http::header::CONTENT_TYPE, "application/json").body(body).send().await?;
        let unsigned = PeerError::Unsigned(answer.status().as_u16());
        let header = answer.headers().get(signature::HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let header = header.ok_or(unsigned)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(PeerError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        signature::verify(self.key.as_bytes(), &header, clock::wall(), "POST", path, &body)?;
        Ok(body)
    }
}

/// Whether it is the peer that was asked, and says no more of where it stands than one can.
pub(super) fn ensure_is(peer: &WatchdogId, (told, zone): (&WatchdogId, &Zone)) -> Result<(), PeerError> {
    if told != peer {
        return Err(PeerError::Another(told.clone()));
    }
    if zone.as_str().chars().nth(ZONE_MOST).is_some() { Err(PeerError::Zone) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_who_was_asked_and_its_zone_is_short_enough_to_be_shown() {
        let told = |name: &str, zone: &str| ensure_is(&"w2".into(), (&name.into(), &zone.into())).is_ok();
        assert!(told("w2", &"\u{e4}".repeat(ZONE_MOST)));
        assert!(!told("w3", "a") && !told("w2", &"z".repeat(ZONE_MOST + 1)));
    }
}
