//! Whether people can be told, as this process sees it: those who do the work say how it goes, `/status`, `/metrics` and
//! the dead-man ask. What follows from it is [`komainu_watchdogs::telling`]'s to say.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use komainu_watchdogs::policy::Policy;
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::telling::{Ability, Facts, Part, Telling};

use crate::clock;
use crate::config::ChannelConfig;

/// Cheap to clone; all clones know the same.
#[derive(Clone, Debug)]
pub struct Voice(Arc<Mutex<Telling>>);

/// Nobody is to be told anything.
impl Default for Voice {
    fn default() -> Self {
        Self::new(&Routing::default(), &[], &Policy::default())
    }
}

impl From<Telling> for Voice {
    fn from(telling: Telling) -> Self {
        Self(Arc::new(Mutex::new(telling)))
    }
}

impl Voice {
    /// Of a process that has seen nothing yet.
    pub fn new(routing: &Routing, channels: &[ChannelConfig], policy: &Policy) -> Self {
        let fallback = |channel: &ChannelConfig| Some((channel.name.clone(), channel.fallback.clone()?));
        let fallbacks: BTreeMap<_, _> = channels.iter().filter_map(fallback).collect();
        Telling::new(clock::now(), routing, &fallbacks, policy.mute_limit).into()
    }

    /// How a part fared just now.
    pub fn note<T, E>(&self, part: Part, outcome: &Result<T, E>) {
        self.telling().note(clock::now(), part, outcome.is_ok());
    }

    /// What the outbox shows.
    pub fn see(&self, facts: Facts) {
        self.telling().see(clock::now(), facts);
    }

    /// Whether people can be told now.
    pub fn ability(&self) -> Ability {
        self.telling().ability(clock::now())
    }

    /// All parts, and whether each works.
    pub fn parts(&self) -> Vec<(Part, bool)> {
        let telling = self.telling();
        let failing: Vec<_> = telling.failing_parts(clock::now()).map(|(part, _)| part).collect();
        Part::ALL.into_iter().map(|part| (part, !failing.contains(&part))).collect()
    }

    /// The channels that a critical may be told by, and whether each took what it was given last.
    pub fn channels(&self) -> Vec<(String, bool)> {
        self.telling().channels().map(|(name, works)| (name.to_owned(), works)).collect()
    }

    fn telling(&self) -> MutexGuard<'_, Telling> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;

    /// Of a watchdog whose only channel, `ops`, has refused for 20 s, with this limit.
    pub(crate) fn lost(limit: Duration) -> Voice {
        let since = clock::now() - Duration::from_secs(20);
        let routing = Routing { channels: vec!["ops".to_owned()], routes: vec![] };
        let mut telling = Telling::new(since, &routing, &BTreeMap::new(), limit);
        telling.see(since, Facts { failing: ["ops".to_owned()].into(), ..Facts::default() });
        telling.into()
    }
}
