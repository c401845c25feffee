//! Whether people can be told: part of `/status`, and of what the dead-man goes by.
//!
//! Three things say that they cannot. A [`Part`] of the work fails: nothing is read, or nothing can be written. No channel
//! that hears of criticals has taken what it was given last. A critical waits that nobody was told. The first is
//! *degraded*, and the dead-man hears nothing, after [`FAILING_AFTER`]; the others are degraded, the second after the same
//! time, the third after [`UNTOLD_AFTER`]. Whatever lasts for the limit (15 minutes by default) is *down*: then it is as if
//! nobody watched. Where criticals find another channel that works, it stays degraded.
//!
//! How long something lasts is watched on this watchdog's own clock, from when it first saw it: no clock of the database
//! that jumps begins or ends it, and a process that was just started has seen nothing yet. Without channels nobody expects
//! to be told, and nobody is missed; the parts count all the same, for `/status` and pages show what they find.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::io::Severity;
use crate::routing::Routing;
use crate::time::Mono;
use crate::view::Health;

/// Three intervals, as for the database: a lock that is waited for, a connection that is made anew, a vendor that asks for
/// a moment's patience are over by then.
pub const FAILING_AFTER: Duration = Duration::from_secs(15);

/// A critical that nobody was told for so long is late, not slow: its channel, its fallback and all others had their time.
pub const UNTOLD_AFTER: Duration = Duration::from_secs(300);

/// A part that works round after round and says nothing for so long stands still. Fifty thousand monitors that go down at
/// once keep one busy for a minute.
const SILENT_AFTER: Duration = Duration::from_secs(120);

/// An incident that is back among the untold so soon was never told: it came and went, or the database's clock jumped and
/// nothing seemed to be due.
const GONE_AFTER: Duration = Duration::from_secs(60);

/// Whoever is only heard while there is something to do, and was not heard for so long, has nothing to do any more.
const IDLE_AFTER: Duration = Duration::from_secs(60);

/// What telling people is made of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Part {
    /// The look at what waits.
    Outbox,
    /// The look at criticals that their channel has not taken in time.
    Overdue,
    /// Claiming and noting single messages.
    Couriers,
    /// The tail of the beats: monitors that go down.
    Beats,
    /// Marking heartbeats as late.
    Deadlines,
}

impl Part {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Outbox, Self::Overdue, Self::Couriers, Self::Beats, Self::Deadlines];

    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outbox => "outbox",
            Self::Overdue => "overdue",
            Self::Couriers => "couriers",
            Self::Beats => "beats",
            Self::Deadlines => "deadlines",
        }
    }

    /// What is missing meanwhile, for people.
    fn loss(self) -> &'static str {
        match self {
            Self::Outbox => "what people are to be told cannot be read or written",
            Self::Overdue => "criticals that their channel does not take cannot be told elsewhere",
            Self::Couriers => "messages cannot be claimed or noted",
            Self::Beats => "monitors that go down cannot be noticed",
            Self::Deadlines => "heartbeats cannot be marked as late",
        }
    }

    /// Heard only while there is something to do.
    fn is_at_leisure(self) -> bool {
        match self {
            Self::Overdue | Self::Couriers | Self::Deadlines => true,
            Self::Outbox | Self::Beats => false,
        }
    }
}

/// What the outbox shows at one look.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Channels whose last attempt failed.
    pub failing: BTreeSet<String>,
    /// Incidents of which a critical event is due and nobody was told: some of the oldest.
    pub untold: BTreeSet<i64>,
}

/// What follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ability {
    /// Ok, degraded or down.
    pub health: Health,
    /// Why, one sentence each.
    pub reasons: Vec<String>,
    /// The dead-man is to hear nothing.
    pub is_mute: bool,
}

/// Watches it.
#[derive(Clone, Debug)]
pub struct Telling {
    limit: Duration,
    /// Who hears of criticals, with whoever the configuration names instead.
    listeners: BTreeSet<String>,
    /// Who gets what those do not take: the last ones that a critical could be told by.
    others: BTreeSet<String>,
    failing: BTreeSet<String>,
    parts: BTreeMap<Part, PartHealth>,
    unheard_since: Option<Mono>,
    unhelped_since: Option<Mono>,
    untold: BTreeMap<i64, Untold>,
}

#[derive(Clone, Copy, Debug)]
struct Untold {
    since: Mono,
    /// The first look that did not show it any more.
    gone_at: Option<Mono>,
}

#[derive(Clone, Copy, Debug)]
struct PartHealth {
    heard_at: Mono,
    failing_since: Option<Mono>,
}

impl Telling {
    /// `fallbacks`: by channel, who gets what it refuses. `limit`: what lasts for so long is down.
    pub fn new(now: Mono, routing: &Routing, fallbacks: &BTreeMap<String, String>, limit: Duration) -> Self {
        let listeners = with_fallbacks(routing.hear_of(Severity::Critical), fallbacks);
        // Whoever has no fallback leaves what it refuses to all others.
        let is_open = listeners.iter().any(|channel| !fallbacks.contains_key(channel));
        let others = if is_open { routing.channels.iter().cloned().collect() } else { listeners.clone() };
        let begins = Part::ALL.into_iter().filter(|part| !part.is_at_leisure());
        Self {
            limit,
            listeners,
            others,
            failing: BTreeSet::new(),
            parts: begins.map(|part| (part, PartHealth { heard_at: now, failing_since: None })).collect(),
            unheard_since: None,
            unhelped_since: None,
            untold: BTreeMap::new(),
        }
    }

    /// Takes in how a part fared.
    pub fn note(&mut self, now: Mono, part: Part, is_well: bool) {
        let known = self.parts.get(&part).filter(|seen| !part.is_at_leisure() || now.since(seen.heard_at) < IDLE_AFTER);
        let since = known.and_then(|seen| seen.failing_since).unwrap_or(now);
        self.parts.insert(part, PartHealth { heard_at: now, failing_since: (!is_well).then_some(since) });
    }

    /// Takes in a look at the outbox.
    pub fn see(&mut self, now: Mono, facts: Facts) {
        let is_lost = |channels: &BTreeSet<String>| !channels.is_empty() && channels.is_subset(&facts.failing);
        self.unheard_since = is_lost(&self.listeners).then(|| self.unheard_since.unwrap_or(now));
        self.unhelped_since = is_lost(&self.others).then(|| self.unhelped_since.unwrap_or(now));
        self.untold.retain(|_, untold| untold.gone_at.is_none_or(|at| now.since(at) < GONE_AFTER));
        for (incident, untold) in &mut self.untold {
            let is_gone = !facts.untold.contains(incident);
            untold.gone_at = is_gone.then(|| untold.gone_at.unwrap_or(now));
        }
        if !self.listeners.is_empty() {
            for incident in &facts.untold {
                self.untold.entry(*incident).or_insert(Untold { since: now, gone_at: None });
            }
        }
        self.failing = facts.failing;
    }

    /// What follows now.
    pub fn ability(&self, now: Mono) -> Ability {
        let mut ability = Ability { health: Health::Ok, reasons: vec![], is_mute: false };
        for (part, lasts) in self.failing_parts(now) {
            ability.note(self.limit, lasts, &format!("{} since {} s", part.loss(), lasts.as_secs()));
            ability.is_mute = true;
        }
        self.note_unheard(now, &mut ability);
        let waiting = self.untold.values().filter(|untold| untold.gone_at.is_none());
        let oldest = waiting.map(|untold| now.since(untold.since)).max();
        if let Some(lasts) = oldest.filter(|lasts| *lasts >= UNTOLD_AFTER.min(self.limit)) {
            ability.note(self.limit, lasts, &format!("a critical is told to nobody since {} s", lasts.as_secs()));
        }
        ability.is_mute |= ability.health == Health::Down;
        ability
    }

    /// Parts that fail, and for how long they have.
    pub fn failing_parts(&self, now: Mono) -> impl Iterator<Item = (Part, Duration)> {
        self.parts.iter().filter_map(move |(part, seen)| {
            let silent = now.since(seen.heard_at);
            let failing = seen.failing_since.map(|since| now.since(since)).filter(|lasts| *lasts >= FAILING_AFTER);
            let lasts = match (part.is_at_leisure(), failing) {
                (true, _) if silent >= IDLE_AFTER => None,
                (true, failing) | (false, failing @ Some(_)) => failing,
                (false, None) => (silent >= SILENT_AFTER).then_some(silent),
            };
            lasts.map(|lasts| (*part, lasts))
        })
    }

    /// Channels of the configuration whose last attempt failed, and those whose did not.
    pub fn channels(&self) -> impl Iterator<Item = (&str, bool)> {
        self.others.union(&self.listeners).map(|name| (name.as_str(), !self.failing.contains(name)))
    }

    fn note_unheard(&self, now: Mono, ability: &mut Ability) {
        let lasting = |since: Option<Mono>| since.map(|since| now.since(since)).filter(|lasts| *lasts >= FAILING_AFTER);
        let names = |channels: &BTreeSet<String>| channels.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        if let Some(lasts) = lasting(self.unhelped_since) {
            let text = format!("no channel takes messages since {} s: {}", lasts.as_secs(), names(&self.others));
            ability.note(self.limit, lasts, &text);
        } else if let Some(lasts) = lasting(self.unheard_since) {
            let text = format!(
                "no channel that hears of criticals takes messages since {} s ({}); others get them",
                lasts.as_secs(),
                names(&self.listeners)
            );
            ability.note(self.limit, Duration::ZERO, &text);
        }
    }
}

impl Ability {
    fn note(&mut self, limit: Duration, lasts: Duration, reason: &str) {
        let health = if lasts >= limit { Health::Down } else { Health::Degraded };
        self.health = self.health.max(health);
        self.reasons.push(format!("telling: {reason}"));
    }
}

/// These, who gets what they do not take, who gets what those do not, and so on.
fn with_fallbacks(mut channels: BTreeSet<String>, fallbacks: &BTreeMap<String, String>) -> BTreeSet<String> {
    loop {
        let next: Vec<_> = channels.iter().filter_map(|channel| fallbacks.get(channel)).cloned().collect();
        let before = channels.len();
        channels.extend(next);
        if channels.len() == before {
            return channels;
        }
    }
}

#[cfg(test)]
mod tests;
