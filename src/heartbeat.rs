//! Heartbeats: taking signed pushes, knowing who is alive, marking who is late.
//!
//! Three tasks, each with a connection of its own: [`intake`] commits pushes in groups, [`refresher`] keeps the cache in
//! memory fresh, [`settler`] marks what is late and opens and resolves incidents. Any watchdog does all of it, and none
//! needs a leader. What counts and who is late is decided by `komainu_watchdogs::heartbeat`; the HTTP surface is
//! `api::heartbeats`.

pub mod body;
mod cache;
mod calendar;
mod intake;
pub(crate) mod name;
mod peers;
mod push;
mod refresher;
pub mod reschedule;
pub mod schedule;
pub mod secret;
mod settler;
pub(crate) mod snippet;
mod teller;
mod words;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use komainu_watchdogs::heartbeat::State;
use komainu_watchdogs::ids::WatchdogId;
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::time::Wall;
use komainu_watchdogs::view::View;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use self::cache::HeartbeatCache;
use self::intake::Intake;
use self::peers::Peers;
use self::refresher::WakeSignal;
use self::secret::Secrets;
use crate::clock;
use crate::keys::ClusterKey;
use crate::lost_tail::memory::Answered;
use crate::rate_limit::RateLimit;
use crate::store::Store;
use crate::store::heartbeats::{Arrival, CachedHeartbeat, Definition, Judged};
use crate::tls::Credentials;
use crate::voice::Voice;

pub use self::cache::Vouched;
pub use self::name::{NAME_CHARS, is_name};
pub use self::peers::{PeerAnswer, path as peer_path};
pub use self::push::{Accepted, Counts, PushError};

/// How long an old secret may hold beside the new one, in seconds. Ninety days: longer is no rotation.
pub const MOST_OVERLAP_S: i64 = 90 * 86_400;

/// Pushes a second of one name at one watchdog.
const PUSHES_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).expect("fifty is not zero");

/// Pushes that are entered again at once: a batch.
const AT_ONCE: usize = 256;

/// What heartbeats need to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The way to the database.
    pub store: Store,
    /// What secrets are derived from; also signs calls to peers.
    pub key: ClusterKey,
    /// Secrets from the configuration, by name, for senders that cannot change.
    pub fixed_secrets: BTreeMap<String, String>,
    /// Who is told about incidents.
    pub routing: Routing,
    /// Which watchdog this is.
    pub watchdog: WatchdogId,
    /// Where the peers are, by the configuration.
    pub peers: Vec<String>,
    /// Hears how the marking of what is late goes.
    pub voice: Voice,
    /// Where the peers are, by their rows.
    pub view: watch::Receiver<Arc<View>>,
    /// Whom peers' calls trust, and what they show.
    pub credentials: Arc<Credentials>,
}

/// The service; cheap to clone. Its tasks end with the last clone.
#[derive(Clone)]
pub struct Heartbeats {
    shared: Arc<Shared>,
    _tasks: Arc<[AbortOnDropHandle<()>; 3]>,
}

struct Shared {
    key: ClusterKey,
    fixed_secrets: BTreeMap<String, String>,
    cache: HeartbeatCache,
    wake: WakeSignal,
    intake: Intake,
    /// Only names that exist, and only pushes that were signed, get an entry: strangers cannot use up somebody's rate.
    rates: RateLimit<String>,
    peers: Peers,
    counts: push::Counters,
    answered: Answered,
}

/// Whether a heartbeat is alive, as far as this watchdog may say so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Alive {
    /// Yes.
    Yes,
    /// No: how it is; `None`: nobody knows the name.
    No(Option<State>),
    /// People paused it: nobody says.
    Paused,
    /// Neither the database nor a peer can be asked.
    Unknown,
}

impl Heartbeats {
    /// Starts the tasks.
    pub fn start(settings: Settings) -> Result<Self, reqwest::Error> {
        let Settings { store, key, fixed_secrets, routing, watchdog, peers, voice, view, credentials } = settings;
        let (intake, jobs) = intake::channel();
        let (wake_settler, wake) = (WakeSignal::default(), WakeSignal::default());
        let (cache, answered) = (HeartbeatCache::new(wake_settler.clone()), Answered::default());
        let taking = intake::run((store.clone(), watchdog), jobs, (cache.clone(), answered.clone()), wake.clone());
        let refreshing = refresher::run(store.clone(), cache.clone(), wake.clone());
        let settling = settler::Settler { store, routing, cache: cache.clone(), wake: wake.clone(), voice };
        let tasks = [
            AbortOnDropHandle::new(tokio::spawn(taking)),
            AbortOnDropHandle::new(tokio::spawn(refreshing)),
            AbortOnDropHandle::new(tokio::spawn(settling.run(wake_settler))),
        ];
        let peers = Peers::new(key.clone(), peers, view, &credentials)?;
        let (rates, counts) = (RateLimit::new(PUSHES_PER_SECOND, PUSHES_PER_SECOND), push::Counters::default());
        let shared = Shared { key, fixed_secrets, cache, wake, intake, rates, peers, counts, answered };
        Ok(Self { shared: Arc::new(shared), _tasks: Arc::new(tasks) })
    }

    /// Whether a heartbeat is alive: from memory, or, when that is too old, from a peer's.
    pub async fn alive(&self, name: &str) -> Alive {
        match self.vouched(name) {
            Some(vouched) => vouched.into(),
            None => self.shared.peers.ask(name).await.map_or(Alive::Unknown, Alive::from),
        }
    }

    /// What this watchdog alone can vouch for.
    pub fn vouched(&self, name: &str) -> Option<Vouched> {
        self.shared.cache.vouched(name, clock::now())
    }

    /// How long no push could be taken until now, as far as this watchdog can see.
    pub fn outage(&self) -> Option<Duration> {
        self.shared.cache.outage(clock::now())
    }

    /// How many heartbeats are paused.
    pub fn paused(&self) -> u64 {
        self.shared.cache.paused()
    }

    /// How many heartbeats are in each state; those that are paused are in none.
    pub fn by_state(&self) -> BTreeMap<State, u64> {
        self.shared.cache.by_state()
    }

    /// What became of the pushes that this process was sent.
    pub fn counts(&self) -> Counts {
        self.shared.counts.read()
    }

    /// The secret that senders are shown.
    pub fn secret(&self, definition: &Definition) -> String {
        secret::derive(&self.shared.key, &definition.name, &definition.nonce)
    }

    /// What this process answered lately: pushes, and what else was done for whoever asked.
    pub fn answered(&self) -> &Answered {
        &self.shared.answered
    }

    /// Pushes that were answered once, and that the database forgot: whether each was entered again, or is overtaken by a later
    /// one; none: it could not be stored.
    pub async fn take_again(&self, pushes: Vec<Arrival>) -> Vec<(Arrival, Option<bool>)> {
        let mut taken = Vec::with_capacity(pushes.len());
        for part in pushes.chunks(AT_ONCE) {
            let outcomes = join_all(part.iter().map(|push| self.shared.intake.take(push.clone()))).await;
            let outcomes = outcomes.into_iter().map(|outcome| match outcome {
                Ok(Judged::Accepted(_)) => Some(true),
                Ok(Judged::Replayed(_) | Judged::Gone) => Some(false),
                Err(intake::Unstored) => None,
            });
            taken.extend(part.iter().cloned().zip(outcomes));
        }
        taken
    }

    /// Something was changed through this watchdog: it must know at once.
    pub async fn refresh(&self) {
        self.shared.wake.refreshed_after(clock::now()).await;
    }

    /// The server's time: the database's clock, microseconds UTC. `None`: it was never read.
    pub fn server_us(&self) -> Option<i64> {
        self.shared.cache.server_us(clock::now())
    }

    fn secrets(&self, known: &CachedHeartbeat) -> Secrets {
        let Definition { name, nonce, old_nonce, allow_sha1, .. } = &known.definition;
        let derive = |nonce: &str| secret::derive(&self.shared.key, name, nonce);
        let now_ms = self.server_us().map_or(i64::MAX, |us| us / 1_000);
        // A clock that was set back lets it hold no longer than the longest overlap.
        let holds = |until: Wall| now_ms < until.0 && until.0.saturating_sub(now_ms) <= MOST_OVERLAP_S * 1_000;
        let old = old_nonce.as_ref().filter(|(_, until)| holds(*until)).map(|(nonce, _)| derive(nonce));
        let fixed = self.shared.fixed_secrets.get(name).cloned();
        Secrets::new([Some(derive(nonce)), old, fixed].into_iter().flatten().collect(), *allow_sha1)
    }
}
