//! Canaries beside looks that are made once: tries and second opinions.
//!
//! All looks that run share one round every half a second at the most, since a canary belongs to somebody else. What the rounds
//! prove is decided by [`komainu_watchdogs::check::outside`], as for checks.

use std::sync::{Arc, Mutex, PoisonError};

use komainu_watchdogs::check::{Outside, Policy, Proof, Unanswered};
use komainu_watchdogs::facts::Target;
use komainu_watchdogs::io::ProbeOutcome;
use komainu_watchdogs::time::Mono;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::clock;
use crate::probe::Prober;

/// The canaries of one watchdog.
pub(super) struct Canaries {
    prober: Prober,
    addresses: Vec<String>,
    policy: Policy,
    rounds: Mutex<Rounds>,
    /// Something answered.
    news: watch::Sender<()>,
}

#[derive(Default)]
struct Rounds {
    outside: Outside,
    asked_at: Option<Mono>,
}

impl Canaries {
    pub(super) fn new(prober: Prober, addresses: Vec<String>) -> Arc<Self> {
        let (policy, rounds, news) = (Policy::default(), Mutex::default(), watch::Sender::new(()));
        Arc::new(Self { prober, addresses, policy, rounds, news })
    }

    /// Asks them again and again, from now until this is dropped.
    pub(super) fn ask_on(self: &Arc<Self>) -> AbortOnDropHandle<()> {
        let canaries = Arc::clone(self);
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                canaries.ask(clock::now()).await;
                clock::sleep_until(clock::now() + canaries.policy.doubt_again).await;
            }
        }))
    }

    /// Whether a look failed by its target, and not by this watchdog's own network. Where there are no canaries everything is believed.
    pub(super) async fn is_targets(self: &Arc<Self>, look: Unanswered) -> bool {
        if self.addresses.is_empty() {
            return true;
        }
        let mut news = self.news.subscribe();
        self.ask(look.ended_at).await;
        loop {
            let proof = self.rounds().outside.proof(clock::now(), look, &self.policy);
            match proof {
                Proof::Target => return true,
                Proof::Own => return false,
                Proof::Open(until) => {
                    let wait = until.since(clock::now()) + std::time::Duration::from_millis(1);
                    // Whether there was an answer or the time is up shows above.
                    let _ = tokio::time::timeout(wait, news.changed()).await;
                }
            }
        }
    }

    /// One round, unless one was asked since.
    async fn ask(self: &Arc<Self>, since: Mono) {
        while let Some(due_at) = self.due_at(since) {
            if let Some(asked_at) = self.try_ask(due_at) {
                self.probe(asked_at);
                return;
            }
            clock::sleep_until(due_at).await;
        }
    }

    /// When a round may be asked; `None`: none is needed.
    fn due_at(&self, since: Mono) -> Option<Mono> {
        let asked_at = self.rounds().asked_at;
        if self.addresses.is_empty() || asked_at.is_some_and(|asked_at| asked_at >= since) {
            return None;
        }
        Some(asked_at.map_or(since, |asked_at| asked_at + self.policy.canary_pause))
    }

    fn try_ask(&self, due_at: Mono) -> Option<Mono> {
        let (mut rounds, now) = (self.rounds(), clock::now());
        let is_taken = rounds.asked_at.is_some_and(|asked_at| asked_at + self.policy.canary_pause > now);
        if now < due_at || is_taken {
            return None;
        }
        rounds.asked_at = Some(now);
        rounds.outside.ask(now);
        Some(now)
    }

    fn probe(self: &Arc<Self>, asked_at: Mono) {
        for address in self.addresses.clone() {
            let canaries = Arc::clone(self);
            tokio::spawn(async move {
                let seen = canaries.prober.probe(&Target::Canary(address), None).await;
                if matches!(seen.outcome, ProbeOutcome::Answered) {
                    canaries.rounds().outside.answered(clock::now(), asked_at);
                    canaries.news.send_replace(());
                }
            });
        }
    }

    fn rounds(&self) -> std::sync::MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use komainu_watchdogs::check::Failure;
    use tokio::net::TcpListener;

    use super::*;
    use crate::keys::ClusterKey;
    use crate::tls::Credentials;

    fn canaries(addresses: &[String]) -> Arc<Canaries> {
        let key = ClusterKey::generate();
        let prober = Prober::new(key, Duration::from_secs(3), &Credentials::none()).unwrap();
        Canaries::new(prober, addresses.to_vec())
    }

    fn given_up_now(after: Duration) -> Unanswered {
        let ended_at = clock::now();
        Unanswered { began_at: ended_at - after, ended_at, usually: Duration::ZERO }
    }

    #[tokio::test]
    async fn what_may_be_ones_own_network_is_believed_only_beside_a_canary_that_answers() {
        assert!(Failure::ConnectTimeout.is_doubtful() && !Failure::Refused.is_doubtful());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = format!("tcp://{}", listener.local_addr().unwrap());
        let dead = format!("tcp://127.0.0.1:{}", crate::ports::free_port());
        for (addresses, expected) in
            [(vec![], true), (vec![alive.clone()], true), (vec![dead.clone(), alive], true), (vec![dead], false)]
        {
            assert_eq!(canaries(&addresses).is_targets(given_up_now(Duration::ZERO)).await, expected, "{addresses:?}");
        }
    }

    #[tokio::test]
    async fn looks_at_once_share_their_canaries() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let canaries = canaries(&[format!("tcp://{}", listener.local_addr().unwrap())]);
        let asking: Vec<_> = (0..100).map(|_| canaries.ask_on()).collect();
        let since = clock::now();
        let mut asked = 0;
        while let Ok(accepted) = tokio::time::timeout(Duration::from_secs(2), listener.accept()).await {
            accepted.unwrap();
            asked += 1;
            if clock::now().since(since) > Duration::from_millis(1_600) {
                break;
            }
        }
        drop(asking);
        assert!((2..=5).contains(&asked), "{asked} in two seconds");
    }
}
