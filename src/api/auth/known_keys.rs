//! The keys that there are, as they were read last.
//!
//! All of them, so that a good key is known whoever else tries keys from its address, and what a stranger tries costs
//! the database no more than a few readings a second. Read anew after [`BELIEVED`], so that a deleted key stops working
//! soon, and for each key that is not among them: it may have been made a moment ago, at another watchdog.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use komainu_watchdogs::time::{Mono, Wall};
use tokio::task::{AbortHandle, JoinHandle};

use super::{Caller, Origin};
use crate::clock;
use crate::store::{Store, StoreError, apikeys};

/// How long a reading is believed.
const BELIEVED: Duration = Duration::from_secs(5);

/// Between the beginnings of two readings, whoever asks.
const PAUSE: Duration = Duration::from_millis(200);

/// Whether a key that somebody signed in with still holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Holding {
    /// It does, and allows this now.
    Holds(Caller),
    /// It was deleted.
    Gone,
    /// It was not there when the keys were read last; they cannot be read now.
    NotAmong {
        /// When they were read, by this host's clock.
        read_at: Wall,
    },
    /// The keys cannot be read, and were not read since this process started.
    NeverRead,
}

/// Keys, and how far they can be believed.
#[derive(Default)]
pub(in crate::api) struct KnownKeys {
    held: Mutex<HeldKeys>,
    /// One reads; who comes meanwhile waits, and reads only if that reading began before.
    reading: tokio::sync::Mutex<Tried>,
    under_way: Mutex<Option<(AbortHandle, Reading)>>,
}

/// A reading that several wait for.
pub(in crate::api) type Reading = Shared<BoxFuture<'static, ()>>;

#[derive(Default)]
struct HeldKeys {
    by_hash: HashMap<String, Caller>,
    /// When the reading began.
    read_at: Option<Mono>,
}

/// The readings so far. One whose request went away meanwhile came to no end, and says nothing to those who wait.
#[derive(Clone, Copy, Default)]
struct Tried {
    /// When the last one began.
    began_at: Option<Mono>,
    /// When the last one that came to an end began, and whether it failed.
    ended: Option<(Mono, bool)>,
}

impl KnownKeys {
    /// Whose key this is, by its hash.
    pub(super) async fn find(&self, store: &Store, hash: &str) -> Result<Option<Caller>, StoreError> {
        let now = clock::now();
        if let Some(caller) = self.held().believed(hash, now) {
            return Ok(Some(caller));
        }
        self.read_after(store, now).await?;
        Ok(self.held().by_hash.get(hash).cloned())
    }

    /// Whether what is held need not be read anew.
    pub(in crate::api) fn is_fresh(&self) -> bool {
        self.held().is_believed(clock::now())
    }

    /// The reading that is under way, which is begun if there is none. It goes on when nobody waits for it any more, or a slow database
    /// would keep it from ever coming to an end; whoever comes meanwhile waits for the same.
    pub(in crate::api) fn under_way(&self, begin: impl FnOnce() -> JoinHandle<()>) -> Reading {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, reading)) = under_way.as_ref().filter(|(task, _)| !task.is_finished()) {
            return reading.clone();
        }
        let task = begin();
        let (handle, reading) = (task.abort_handle(), task.map(drop).boxed().shared());
        *under_way = Some((handle, reading.clone()));
        reading
    }

    /// Makes sure that what is held was read after now.
    pub(in crate::api) async fn read(&self, store: &Store) -> Result<(), StoreError> {
        self.read_after(store, clock::now()).await
    }

    /// Whether the key of that row still holds, as far as is known.
    pub(in crate::api) fn holding(&self, key_id: i64) -> Holding {
        self.held().holding(key_id, clock::now())
    }

    /// A key was deleted: this watchdog stops taking it at once. The others are known as before.
    pub(in crate::api) async fn forget(&self, store: &Store, name: &str) {
        self.held().by_hash.retain(|_, caller| caller.name != name);
        // A reading that was under way may still have seen it.
        if let Err(error) = self.read_after(store, clock::now()).await {
            tracing::debug!(%error, "the API keys are read again later");
        }
    }

    /// Makes sure that what is held was read after this moment.
    async fn read_after(&self, store: &Store, moment: Mono) -> Result<(), StoreError> {
        let mut tried = self.reading.lock().await;
        if let Some((_, has_failed)) = tried.ended.filter(|(began_at, _)| *began_at > moment) {
            return if has_failed { Err(failed_for_all()) } else { Ok(()) };
        }
        if let Some(before) = tried.began_at {
            clock::sleep_until(before + PAUSE).await;
        }
        let began_at = clock::now();
        tried.began_at = Some(began_at);
        let keys = apikeys::hashes(store).await;
        tried.ended = Some((began_at, keys.is_err()));
        let caller = |(hash, info): (String, apikeys::ApiKeyInfo)| {
            (hash, Caller { name: info.name, scope: info.scope, key_id: info.id, from: Origin::Program })
        };
        *self.held() = HeldKeys { by_hash: keys?.into_iter().map(caller).collect(), read_at: Some(began_at) };
        Ok(())
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HeldKeys> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HeldKeys {
    fn believed(&self, hash: &str, now: Mono) -> Option<Caller> {
        self.is_believed(now).then(|| self.by_hash.get(hash).cloned()).flatten()
    }

    fn is_believed(&self, now: Mono) -> bool {
        self.read_at.is_some_and(|read_at| now.since(read_at) <= BELIEVED)
    }

    fn holding(&self, key_id: i64, now: Mono) -> Holding {
        let found = self.by_hash.values().find(|caller| caller.key_id == key_id).cloned();
        match (found, self.read_at) {
            (Some(caller), _) => Holding::Holds(caller),
            (None, Some(_)) if self.is_believed(now) => Holding::Gone,
            (None, Some(read_at)) => {
                let age = i64::try_from(now.since(read_at).as_millis()).unwrap_or(i64::MAX);
                Holding::NotAmong { read_at: Wall(clock::wall().0.saturating_sub(age)) }
            }
            (None, None) => Holding::NeverRead,
        }
    }
}

/// Another request's reading failed; this one would have had no other answer.
fn failed_for_all() -> StoreError {
    StoreError::TimedOut { act: "look up an API key", millis: PAUSE.as_millis() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::apikeys::Scope;

    #[tokio::test]
    async fn a_reading_whose_request_went_away_fails_nobody_who_waits() {
        let surface = crate::api::support::Surface::plain().await;
        let (store, known) = (&surface.state.store, KnownKeys::default());
        let key = surface.key("read").await;
        let hash = crate::keys::hash_api_key(&key);
        let asked_at = clock::now();
        for _ in 0..5 {
            // Polled once and dropped: the reading is under way then, unless the database was quicker than this task.
            let _gone = futures_util::poll!(Box::pin(known.find(store, "unknown")));
        }
        known.read_after(store, asked_at).await.unwrap();
        assert!(known.find(store, &hash).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn who_comes_while_keys_are_read_waits_for_that_reading_and_who_comes_later_begins_another() {
        let (known, readings) = (KnownKeys::default(), std::cell::Cell::new(0));
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let begin = || {
            readings.set(readings.get() + 1);
            tokio::spawn(async { drop(ended.await) })
        };
        // Nobody waits for this one.
        drop(known.under_way(begin));
        let second = known.under_way(|| unreachable!("one is under way"));
        end.send(()).unwrap();
        second.await;
        drop(known.under_way(|| {
            readings.set(readings.get() + 1);
            tokio::spawn(async {})
        }));
        assert_eq!(readings.get(), 2);
    }

    #[test]
    fn a_session_outlives_its_key_only_while_keys_cannot_be_read_and_it_is_younger_than_the_last_reading() {
        let caller = Caller { name: "ci".to_owned(), scope: Scope::Read, key_id: 1, from: Origin::Program };
        let held = HeldKeys { by_hash: [("h".to_owned(), caller.clone())].into(), read_at: Some(Mono::secs(10)) };
        assert_eq!(held.holding(1, Mono::secs(1_000)), Holding::Holds(caller));
        assert_eq!(held.holding(2, Mono::secs(15)), Holding::Gone);
        assert!(matches!(held.holding(2, Mono::secs(16)), Holding::NotAmong { .. }));
        assert_eq!(HeldKeys::default().holding(1, Mono::secs(16)), Holding::NeverRead);
    }

    #[test]
    fn a_key_is_believed_for_five_seconds() {
        let caller = Caller { name: "ci".to_owned(), scope: Scope::Read, key_id: 1, from: Origin::Program };
        let held = HeldKeys { by_hash: [("h".to_owned(), caller.clone())].into(), read_at: Some(Mono::secs(10)) };
        assert_eq!(held.believed("h", Mono::secs(15)), Some(caller));
        assert_eq!(held.believed("h", Mono::millis(15_001)), None);
        assert_eq!(held.believed("other", Mono::secs(10)), None);
    }
}
