//! How fares what is done beside the rounds: in the log when it begins to fail, and to the core each time.
//!
//! What becomes of it (`/status`, an incident) is [`komainu_watchdogs::upkeep`]'s to say.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use komainu_watchdogs::upkeep::Chore;

/// Cheap to clone; all clones say it to the same.
#[derive(Clone)]
pub struct Chores(Arc<State>);

struct State {
    failing: Mutex<BTreeSet<Chore>>,
    hears: Box<dyn Fn(Chore, Result<(), String>) + Send + Sync>,
}

impl Chores {
    /// Said to whoever `hears`.
    pub fn new(hears: impl Fn(Chore, Result<(), String>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(State { failing: Mutex::default(), hears: Box::new(hears) }))
    }

    /// How it went just now.
    pub fn note<T, E: fmt::Display>(&self, chore: Chore, outcome: &Result<T, E>) {
        let mut failing = self.0.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let name = chore.as_str();
        match outcome {
            Ok(_) if failing.remove(&chore) => {
                tracing::info!(chore = name, "what had failed beside the rounds works again");
            }
            Ok(_) => {}
            Err(error) if failing.insert(chore) => {
                tracing::warn!(%error, chore = name, "something beside the rounds fails");
            }
            Err(error) => tracing::debug!(%error, chore = name, "something beside the rounds fails"),
        }
        (self.0.hears)(chore, outcome.as_ref().map(drop).map_err(ToString::to_string));
    }
}

impl fmt::Debug for Chores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chores").finish_non_exhaustive()
    }
}
