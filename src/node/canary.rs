//! The node's own canaries: addresses of the outside world that tell whether this node can reach anything.
//!
//! They are probed every 5 s, when a run takes long, and once more at once when a run failed: a failure counts against its target
//! only if a round of probes that began after it found a canary alive, and none failed since the run began. Without
//! canaries every failure counts. An outage of the node's own that ends within a second after a round began is not
//! seen: that round is answered at its second try. It may fail a run whose timeout is below 3 s, and retries are for that.

use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::time::Mono;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::clock;
use crate::run::failure::peer_of;
use crate::run::http::Clients;

/// How often canaries are probed while nothing fails.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long one probe may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Rounds that failed runs ask for are at least so far apart: a canary belongs to somebody else.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(1);

/// How long a failed run waits for a round that began after it, at the most: one under way, the pause, its own.
const PATIENCE: Duration = Duration::from_secs(8);

/// A canary that cannot be probed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("canary {text:?} is neither tcp://host:port nor an http(s) URL")]
pub struct CanaryError {
    /// The address as the configuration writes it.
    pub text: String,
}

/// An address that is probed.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Canary {
    /// Alive when it accepts a connection: `host:port`.
    Tcp(String),
    /// Alive when it answers anything.
    Http(Url),
}

impl Canary {
    fn parse(text: &str) -> Result<Self, CanaryError> {
        let invalid = || CanaryError { text: text.to_owned() };
        let url = Url::parse(text).map_err(|_| invalid())?;
        match url.scheme() {
            "tcp" => peer_of(&url).map(Self::Tcp).ok_or_else(invalid),
            "http" | "https" => Ok(Self::Http(url)),
            _ => Err(invalid()),
        }
    }

    async fn answers(self, clients: Arc<Clients>) -> bool {
        match self {
            Self::Tcp(peer) => TcpStream::connect(peer).await.is_ok(),
            Self::Http(url) => match clients.plain() {
                Ok(client) => client.get(url).headers(clients.usual_headers()).send().await.is_ok(),
                Err(_) => false,
            },
        }
    }
}

/// What the last rounds of probes found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Rounds {
    /// When the last complete round began.
    began_at: Option<Mono>,
    /// When the last round ended in which every canary failed.
    all_failed_at: Option<Mono>,
}

impl Rounds {
    /// Whether no canary answered at some time since `since`.
    fn failed_since(self, since: Mono) -> bool {
        self.all_failed_at.is_some_and(|failed_at| failed_at >= since)
    }
}

/// The canaries of one node.
#[derive(Clone)]
pub struct Canaries {
    /// Empty: nothing is probed.
    canaries: Arc<[Canary]>,
    rounds: Arc<watch::Sender<Rounds>>,
    wanted: Arc<Notify>,
}

impl Canaries {
    /// Reads the configured addresses.
    pub fn new(addresses: &[String]) -> Result<Self, CanaryError> {
        let canaries: Vec<_> = addresses.iter().map(|text| Canary::parse(text)).collect::<Result<_, _>>()?;
        Ok(Self {
            canaries: canaries.into(),
            rounds: Arc::new(watch::Sender::new(Rounds::default())),
            wanted: Arc::new(Notify::new()),
        })
    }

    /// Whether a run that began at `run_began_at` and just failed says nothing of its target, because this node reached
    /// no canary meanwhile. Asks the canaries anew, so that a network lost a moment ago is noticed.
    pub async fn are_all_lost_since(&self, run_began_at: Mono) -> bool {
        if self.canaries.is_empty() {
            return false;
        }
        let failed_at = clock::now();
        let mut rounds = self.rounds.subscribe();
        self.wanted.notify_one();
        let later_round = rounds.wait_for(|rounds| rounds.began_at.is_some_and(|began_at| began_at >= failed_at));
        match tokio::time::timeout(PATIENCE, later_round).await {
            Ok(Ok(rounds)) => rounds.failed_since(run_began_at),
            // Nobody probes any more: the node is stopping, and this result goes nowhere.
            Ok(Err(_)) => false,
            // Probes that do not even time out are this node's trouble.
            Err(_) => true,
        }
    }

    /// A run takes long: a round is to say how the network is meanwhile.
    pub fn want(&self) {
        self.wanted.notify_one();
    }

    /// What is known without asking: for failures that change nothing.
    pub fn were_all_lost_since(&self, run_began_at: Mono) -> bool {
        self.rounds.borrow().failed_since(run_began_at)
    }

    /// Probes until `ended`.
    pub async fn probe(self, clients: Arc<Clients>, ended: CancellationToken) {
        if self.canaries.is_empty() {
            return;
        }
        let rounds = async {
            loop {
                let began_at = clock::now();
                let is_any_alive = self.round(&clients).await;
                self.note(began_at, is_any_alive);
                clock::sleep_until(began_at + BETWEEN_ROUNDS).await;
                let _ = tokio::time::timeout((began_at + INTERVAL).since(clock::now()), self.wanted.notified()).await;
            }
        };
        ended.run_until_cancelled(rounds).await;
    }

    /// Whether one canary at least answers.
    async fn round(&self, clients: &Arc<Clients>) -> bool {
        let mut probes = JoinSet::new();
        for canary in self.canaries.iter() {
            probes.spawn(canary.clone().answers(Arc::clone(clients)));
        }
        let first_answer = async {
            while let Some(probe) = probes.join_next().await {
                if probe.unwrap_or(false) {
                    return true;
                }
            }
            false
        };
        tokio::time::timeout(TIMEOUT, first_answer).await.unwrap_or(false)
    }

    fn note(&self, began_at: Mono, is_any_alive: bool) {
        self.rounds.send_modify(|rounds| {
            let were_lost = rounds.all_failed_at.is_some() && rounds.all_failed_at >= rounds.began_at;
            if were_lost && is_any_alive {
                tracing::info!("a canary answers again");
            } else if !were_lost && !is_any_alive {
                tracing::warn!("no canary answers: failed runs are PENDING until one does");
            }
            rounds.began_at = Some(began_at);
            if !is_any_alive {
                rounds.all_failed_at = Some(clock::now());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use komainu_watchdogs::ids::NodeId;
    use tokio::net::TcpListener;

    use super::*;
    use crate::run::http::Caller;

    #[tokio::test]
    async fn without_canaries_every_failure_counts() {
        let canaries = Canaries::new(&[]).unwrap();
        assert!(!canaries.are_all_lost_since(clock::now()).await);
    }

    #[tokio::test]
    async fn one_canary_that_answers_is_enough() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = format!("tcp://{}", listener.local_addr().unwrap());
        assert!(!are_lost(&[closed(), alive]).await);
    }

    #[tokio::test]
    async fn a_failure_does_not_count_while_no_canary_answers() {
        assert!(are_lost(&[closed(), closed()]).await);
    }

    #[test]
    fn a_canary_that_cannot_be_probed_is_named() {
        let error = Canaries::new(&["ftp://example.com".to_owned()]).err().unwrap();
        assert!(error.to_string().contains("ftp://example.com"));
        assert!(Canaries::new(&["tcp://1.1.1.1".to_owned()]).is_err());
    }

    async fn are_lost(addresses: &[String]) -> bool {
        let canaries = Canaries::new(addresses).unwrap();
        let clients =
            Arc::new(Clients::new(Caller::new(&NodeId::from("node1"), None), crate::run::names::Names::of_system()));
        let ended = CancellationToken::new();
        let _end = ended.clone().drop_guard();
        tokio::spawn(canaries.clone().probe(clients, ended));
        canaries.are_all_lost_since(clock::now()).await
    }

    fn closed() -> String {
        format!("tcp://127.0.0.1:{}", crate::ports::free_port())
    }
}
