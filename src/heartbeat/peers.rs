//! Asking the peers whether a heartbeat is alive, while this watchdog cannot vouch for anything itself.
//!
//! Question and answer are signed with the cluster key. A peer answers from its own memory and never asks on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use komainu_watchdogs::heartbeat::State;
use komainu_watchdogs::view::View;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{Alive, Vouched};
use crate::keys::ClusterKey;
use crate::tls::Credentials;
use crate::{clock, probe, signature};

/// Whoever asks for a heartbeat waits for this.
const LIMIT: Duration = Duration::from_secs(1);

/// What a peer says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PeerAnswer {
    /// Of which heartbeat.
    pub name: String,
    /// `up`, `new`, `late`, `failed`, `paused`, `none`: there is no such; `unknown`: it cannot say.
    pub state: String,
}

impl PeerAnswer {
    /// Of what a watchdog can vouch for.
    #[must_use]
    pub fn of(name: &str, vouched: Option<Vouched>) -> Self {
        let state = match vouched {
            Some(Vouched::Alive) => State::Up.as_str(),
            Some(Vouched::Not(state)) => state.as_str(),
            Some(Vouched::Paused) => "paused",
            Some(Vouched::NoSuch) => "none",
            None => "unknown",
        };
        Self { name: name.to_owned(), state: state.to_owned() }
    }

    fn vouched(&self) -> Option<Vouched> {
        match (State::parse(&self.state), self.state.as_str()) {
            (Some(State::Up), _) => Some(Vouched::Alive),
            (Some(state), _) => Some(Vouched::Not(state)),
            (None, "paused") => Some(Vouched::Paused),
            (None, "none") => Some(Vouched::NoSuch),
            (None, _) => None,
        }
    }
}

impl From<Vouched> for Alive {
    fn from(vouched: Vouched) -> Self {
        match vouched {
            Vouched::Alive => Self::Yes,
            Vouched::Not(state) => Self::No(Some(state)),
            Vouched::Paused => Self::Paused,
            Vouched::NoSuch => Self::No(None),
        }
    }
}

/// The path of the question.
#[must_use]
pub fn path(name: &str) -> String {
    format!("/peer/v1/heartbeats/{name}")
}

pub(super) struct Peers {
    http: reqwest::Client,
    key: ClusterKey,
    configured: Vec<String>,
    view: watch::Receiver<Arc<View>>,
}

impl Peers {
    pub(super) fn new(
        key: ClusterKey,
        configured: Vec<String>,
        view: watch::Receiver<Arc<View>>,
        credentials: &Arc<Credentials>,
    ) -> Result<Self, reqwest::Error> {
        let http = probe::client(LIMIT, credentials.client())?;
        Ok(Self { http, key, configured, view })
    }

    /// The first peer that can vouch for something decides.
    pub(super) async fn ask(&self, name: &str) -> Option<Vouched> {
        let rows = self.view.borrow().watchdogs.iter().map(|row| row.advertise.clone()).collect::<Vec<_>>();
        let addresses: BTreeSet<String> = self
            .configured
            .iter()
            .chain(&rows)
            .map(|address| address.trim_end_matches('/').to_owned())
            .filter(|address| !address.is_empty())
            .collect();
        let mut answers: FuturesUnordered<_> = addresses.iter().map(|address| self.ask_one(address, name)).collect();
        let first = async {
            while let Some(answer) = answers.next().await {
                if let Some(vouched) = answer {
                    return Some(vouched);
                }
            }
            None
        };
        tokio::time::timeout(LIMIT, first).await.ok().flatten()
    }

    async fn ask_one(&self, address: &str, name: &str) -> Option<Vouched> {
        let path = path(name);
        let signed = signature::sign(self.key.as_bytes(), clock::wall(), "GET", &path, b"");
        let answer = self.http.get(format!("{address}{path}")).header(signature::HEADER, signed).send().await.ok()?;
        let header = answer.headers().get(signature::HEADER)?.to_str().ok()?.to_owned();
        let body = probe::answer::read(answer).await.ok()?;
        signature::verify(self.key.as_bytes(), &header, clock::wall(), "GET", &path, &body).ok()?;
        let answer: PeerAnswer = serde_json::from_slice(&body).ok()?;
        if answer.name == name { answer.vouched() } else { None }
    }
}
