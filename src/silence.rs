//! Silences: what people want to hear nothing of for a while, who said so, and until when.
//!
//! A silence holds telling, never looking, statistics or incidents. What it held and is still bad when it ends is told then. It takes
//! what all of its [`Matcher`]s take; it never holds a word about silences themselves. Rows are [`crate::store::silences`]'s, holding
//! is [`komainu_watchdogs::outbox::queue`]'s.

mod matcher;
mod recurrence;
pub mod window;

use std::time::Duration;

use komainu_notifiers::Kind;
use komainu_watchdogs::time::Wall;
use serde::{Deserialize, Serialize};

pub use self::matcher::{Label, Labels, Matcher};
pub use self::recurrence::Recurrence;
pub use self::window::Window;

/// Silences that are in force, or to come, at one time.
pub const MOST_SILENCES: u32 = 500;

/// Matchers of one silence.
pub const MOST_MATCHERS: usize = 20;

/// No silence is longer; what should never be heard of is a matter of routes.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(30 * 86_400);

/// So long before the end of a silence that holds something bad people are told of that end.
pub const WARN_BEFORE: Duration = Duration::from_secs(900);

/// The kind of incidents about silences, which none of them holds.
pub const KIND: &str = Kind::Silence.as_str();

/// What makes a silence.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NewSilence {
    /// All of them must hold.
    pub matchers: Vec<Matcher>,
    /// From when.
    pub starts_at: Wall,
    /// Until when at the latest.
    pub ends_at: Wall,
    /// It ends as soon as nothing that it takes is wrong any more.
    pub until_resolved: bool,
    /// Only at these times between the two.
    pub recurrence: Option<Recurrence>,
    /// Who wants it, for people.
    pub author: String,
    /// Why, for people.
    pub comment: String,
    /// It is a maintenance window: then it has subjects and no matchers.
    #[serde(default)]
    pub window: Option<Window>,
}

/// One silence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Silence {
    /// The row's key.
    pub id: i64,
    /// What others call it: a UUID.
    pub uid: String,
    /// What it was made of.
    pub made: NewSilence,
    /// When it was made.
    pub created_at: Wall,
    /// When it was changed or ended last.
    pub changed_at: Wall,
}

/// How far a silence is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// It holds nothing yet; or nothing now, but will again.
    Pending,
    /// It is in force.
    Active,
    /// It is over.
    Expired,
}

impl Phase {
    /// As it stands in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }

    /// The reverse of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Active, Self::Expired].into_iter().find(|phase| phase.as_str() == text)
    }
}

impl NewSilence {
    /// How far it is at this time of the database's clock.
    pub fn phase(&self, now: Wall) -> Phase {
        if now >= self.ends_at {
            return Phase::Expired;
        }
        let is_on = self.starts_at <= now && self.recurrence.as_ref().is_none_or(|times| times.is_on(now));
        if is_on { Phase::Active } else { Phase::Pending }
    }

    /// Whether it would hold what bears these labels.
    pub fn takes(&self, labels: &Labels<'_>) -> bool {
        labels.kind() != KIND
            && self.matchers.iter().all(|matcher| matcher.takes(labels))
            && self.window.as_ref().is_none_or(|window| window.takes(labels))
    }

    /// The time that is on, or comes next: from when, until when; `None`: there is none any more.
    pub fn next_time(&self, now: Wall) -> Option<(Wall, Wall)> {
        let from = now.max(self.starts_at);
        let (began, ends_at) = match &self.recurrence {
            None => (self.starts_at, self.ends_at),
            Some(times) => times.time_from(from)?,
        };
        let time = (began.max(self.starts_at), ends_at.min(self.ends_at));
        (now < time.1 && time.0 < time.1).then_some(time)
    }

    /// The one incident that it is about, if its matchers name one.
    pub fn only_key(&self) -> Option<&str> {
        self.matchers.iter().find_map(Matcher::only_key)
    }
}

/// Why these take nothing that a silence could be about.
pub fn fault_of_matchers(matchers: &[Matcher]) -> Option<String> {
    if matchers.is_empty() || matchers.len() > MOST_MATCHERS {
        return Some(format!("must have 1 to {MOST_MATCHERS} entries"));
    }
    let is_about_nothing = matchers.iter().all(Matcher::takes_nothing_in_particular);
    is_about_nothing.then(|| "must name something: all of these hold where there is nothing".to_owned())
}

/// Why a silence cannot end then.
pub fn fault_of_end(starts_at: Wall, ends_at: Wall, now: Wall) -> Option<&'static str> {
    if ends_at > starts_at + LONGEST_SILENCE {
        return Some("must be at most 30 days after its start; what nobody ever wants to hear is a matter of routes");
    }
    (ends_at <= starts_at.max(now)).then_some("must be after its start, and not over already")
}

/// Whether one of these, as they were known last, holds at this time what bears these labels.
pub fn is_silenced(known: &[NewSilence], now: Wall, labels: &Labels<'_>) -> bool {
    known.iter().any(|silence| silence.phase(now) == Phase::Active && silence.takes(labels))
}

/// The first of these that holds what bears these labels. All of them are in force.
pub fn holder(in_force: &[Silence], labels: &Labels<'_>) -> Option<i64> {
    in_force.iter().find(|silence| silence.made.takes(labels)).map(|silence| silence.id)
}

#[cfg(test)]
mod tests;
