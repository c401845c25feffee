//! Certificates on their way into the database: what a run saw of a chain is kept when it is news, and once an hour.
//!
//! Kuma writes it at each beat. Losing one is no loss, the next run sees it again: nothing here waits for anything, and
//! nothing is repeated. Tells nobody: incidents of certificates are the watchdogs' business.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use komainu_watchdogs::ids::{Incarnation, MonitorId, NodeId};
use komainu_watchdogs::time::Mono;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::run::certificate::Certificate;
use crate::store::Store;
use crate::store::certificates::SeenChain;

/// The days that are left are counted anew.
const AGAIN: Duration = Duration::from_secs(3_600);

/// Chains in one transaction: some milliseconds.
const TOGETHER: usize = 100;

/// Chains that wait; what comes while so many do is left out.
const WAITING_MOST: usize = 1_000;

/// Pause after an error.
const PAUSE: Duration = Duration::from_secs(5);

/// Where runs put in what they saw; cheap to clone.
#[derive(Clone, Debug)]
pub struct Certificates {
    seen: mpsc::Sender<(MonitorId, Certificate)>,
}

/// What comes out at the other end.
pub type SeenCertificates = mpsc::Receiver<(MonitorId, Certificate)>;

/// Where runs say which certificates they saw, and where the keeper hears it.
pub fn channel() -> (Certificates, SeenCertificates) {
    let (seen, coming) = mpsc::channel(WAITING_MOST);
    (Certificates { seen }, coming)
}

impl Certificates {
    /// A run of this monitor saw this.
    pub fn note(&self, monitor: MonitorId, certificate: Certificate) {
        let _ = self.seen.try_send((monitor, certificate));
    }
}

/// The one who keeps them.
pub struct CertificateKeeper {
    /// Where they are kept.
    pub store: Store,
    /// Who keeps them.
    pub node: NodeId,
    /// Which process of that name.
    pub incarnation: Incarnation,
    /// Whether something of a monitor may be stored now.
    pub may_store: Box<dyn Fn(MonitorId) -> bool + Send + Sync>,
    /// Certificates as runs see them.
    pub seen: SeenCertificates,
}

/// What was kept of a monitor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Kept {
    look: ChainLook,
    at: Mono,
}

/// What makes a chain another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct ChainLook {
    fingerprint: [u8; 32],
    is_valid: bool,
    fits_host: bool,
}

impl ChainLook {
    fn of(certificate: &Certificate) -> Self {
        let Certificate { is_valid, fits_host, .. } = *certificate;
        Self { fingerprint: certificate.fingerprint(), is_valid, fits_host }
    }
}

impl CertificateKeeper {
    /// Keeps until `ended`.
    pub async fn run(self, ended: CancellationToken) {
        ended.run_until_cancelled(self.keep()).await;
    }

    async fn keep(mut self) {
        let mut kept: HashMap<MonitorId, Kept> = HashMap::new();
        let mut swept_at = clock::now();
        let mut coming = Vec::new();
        while self.seen.recv_many(&mut coming, TOGETHER).await > 0 {
            let now = clock::now();
            if now.since(swept_at) > AGAIN {
                kept.retain(|_, kept| now.since(kept.at) < AGAIN);
                swept_at = now;
            }
            let news: BTreeMap<MonitorId, Certificate> = coming
                .drain(..)
                .filter(|(monitor, certificate)| {
                    is_news(kept.get(monitor), ChainLook::of(certificate), now) && (self.may_store)(*monitor)
                })
                .collect();
            let wall = clock::wall();
            let chain = |(monitor, certificate): (&MonitorId, &Certificate)| SeenChain {
                monitor: *monitor,
                info: certificate.info_json(wall),
            };
            let chains: Vec<SeenChain> = news.iter().map(chain).collect();
            match self.store.keep_certificates(&self.node, self.incarnation, &chains).await {
                Ok(()) => kept.extend(
                    news.iter()
                        .map(|(monitor, certificate)| (*monitor, Kept { look: ChainLook::of(certificate), at: now })),
                ),
                Err(error) => {
                    tracing::debug!(%error, "certificates could not be kept; the next runs bring them again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

fn is_news(kept: Option<&Kept>, look: ChainLook, now: Mono) -> bool {
    kept.is_none_or(|kept| kept.look != look || now.since(kept.at) >= AGAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: ChainLook = ChainLook { fingerprint: [7; 32], is_valid: true, fits_host: true };

    #[test]
    fn a_chain_is_kept_when_it_is_new_or_changed_and_once_an_hour() {
        let kept = Kept { look: LOOK, at: Mono::secs(100) };
        assert!(is_news(None, LOOK, Mono::secs(100)));
        assert!(!is_news(Some(&kept), LOOK, Mono::secs(3_699)));
        assert!(is_news(Some(&kept), LOOK, Mono::secs(3_700)));
        assert!(is_news(Some(&kept), ChainLook { fingerprint: [8; 32], ..LOOK }, Mono::secs(101)));
        assert!(is_news(Some(&kept), ChainLook { is_valid: false, ..LOOK }, Mono::secs(101)));
    }
}
