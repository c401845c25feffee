//! Answers from a message: links that do one thing about one incident, for whoever was told of it and has no key at hand.
//!
//! A link is opened by scanners and previews too, so reading it shows one button, and only pressing that does anything. It is signed
//! for its incident, its answer and its channel, ends after a day or with the incident, and allows nothing else. Who pressed it stands in the
//! audit trail as `link/CHANNEL`.

mod deeds;
mod late;
mod page;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use komainu_watchdogs::time::Wall;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::keys::ClusterKey;
use crate::sealed::{Purpose, Seals};

pub(crate) use self::late::LateAnswer;
pub use self::late::{LateAnswers, Settings as LateSettings, start as keep_late};
pub(crate) use self::page::routes;

/// Whoever finds a message later than that had better look at how things are now.
const LASTS: Duration = Duration::from_secs(24 * 60 * 60);

/// What can be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// Somebody takes care of it.
    #[serde(rename = "ack")]
    Acknowledge,
    /// Nobody wants to hear of it for an hour.
    #[serde(rename = "silence-1h")]
    SilenceForAnHour,
    /// Or for a working day.
    #[serde(rename = "silence-8h")]
    SilenceForEightHours,
    /// Or until it is over.
    #[serde(rename = "silence-until-resolved")]
    SilenceUntilResolved,
    /// Somebody else takes care of it than the one who said so.
    #[serde(rename = "take-over")]
    TakeOver,
}

impl Answer {
    /// What a message offers, the usual first.
    const OFFERED: [Self; 4] =
        [Self::Acknowledge, Self::SilenceForAnHour, Self::SilenceForEightHours, Self::SilenceUntilResolved];

    /// What it offers of something that somebody takes care of already.
    const OFFERED_OF_TAKEN: [Self; 4] =
        [Self::TakeOver, Self::SilenceForAnHour, Self::SilenceForEightHours, Self::SilenceUntilResolved];

    fn name(self) -> &'static str {
        match self {
            Self::Acknowledge => "ack",
            Self::SilenceForAnHour => "silence-1h",
            Self::SilenceForEightHours => "silence-8h",
            Self::SilenceUntilResolved => "silence-until-resolved",
            Self::TakeOver => "take-over",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Acknowledge => "Acknowledge",
            Self::SilenceForAnHour => "Silence for 1 h",
            Self::SilenceForEightHours => "Silence for 8 h",
            Self::SilenceUntilResolved => "Silence until it is over",
            Self::TakeOver => "Take over",
        }
    }
}

/// What a link is signed for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Link {
    #[serde(rename = "i")]
    incident: i64,
    /// Its key, for people and for silences.
    #[serde(rename = "k")]
    key: String,
    #[serde(rename = "a")]
    answer: Answer,
    /// Through which channel it was told.
    #[serde(rename = "c")]
    channel: String,
    /// By the clock of the watchdog that signed it, in seconds.
    #[serde(rename = "e")]
    expires_at_s: i64,
}

impl Link {
    /// Who it is that answers, as far as anybody knows.
    fn who(&self, name: Option<&str>) -> String {
        match name {
            Some(name) => format!("link/{} ({name})", self.channel),
            None => format!("link/{}", self.channel),
        }
    }

    /// The same incident, another answer.
    fn instead(&self, answer: Answer) -> Self {
        Self { answer, ..self.clone() }
    }
}

/// Makes the links of messages.
pub struct AnswerLinks {
    seals: Seals,
    /// Where watchdogs are found, without a slash at its end.
    base: String,
    channels: BTreeSet<String>,
}

impl AnswerLinks {
    /// For messages through these channels; `base`: `https://w1.example.com:8900`.
    #[must_use]
    pub fn of(key: &ClusterKey, base: String, channels: BTreeSet<String>) -> Self {
        Self { seals: Seals::of(key), base, channels }
    }

    /// What can be answered to that incident, of which somebody may take care already, through that channel.
    pub(crate) fn offered(
        &self,
        channel: &str,
        (incident, key): (i64, &str),
        is_taken: bool,
    ) -> Vec<komainu_notifiers::Answer> {
        if !self.channels.contains(channel) {
            return vec![];
        }
        let link = |answer| {
            let expires_at_s = (clock::wall() + LASTS).0.div_euclid(1_000);
            let link = Link { incident, key: key.to_owned(), answer, channel: channel.to_owned(), expires_at_s };
            komainu_notifiers::Answer {
                answer: answer.name().to_owned(),
                words: answer.words().to_owned(),
                url: format!("{}{}", self.base, path(&self.seals, &link)),
            }
        };
        let offered = if is_taken { Answer::OFFERED_OF_TAKEN } else { Answer::OFFERED };
        offered.into_iter().map(link).collect()
    }
}

/// Where a link leads at any watchdog.
fn path(seals: &Seals, link: &Link) -> String {
    format!("/act/{}", seals.seal(Purpose::Answer, link))
}

/// Why a link does nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Void {
    /// It was signed for nothing, or cut.
    Forged,
    /// It is older than a day.
    Old,
}

fn opened(seals: &Seals, token: &str, now: Wall) -> Result<Link, Void> {
    let link: Link = seals.open(Purpose::Answer, token).ok_or(Void::Forged)?;
    if link.expires_at_s.saturating_mul(1_000) > now.0 { Ok(link) } else { Err(Void::Old) }
}

/// Who takes care of it, as people call them: the trail says `link/ops (anna)`, `key/anna (page)` or `key/anna`.
pub(crate) fn person(who: &str) -> String {
    let (way, name) = who.split_once('/').unwrap_or(("", who));
    match (way, name.split_once(" (").and_then(|(_, typed)| typed.strip_suffix(')'))) {
        ("link", Some(typed)) => typed.to_owned(),
        ("link", None) => format!("somebody who reads {name}"),
        (_, Some("page")) => name.trim_end_matches(" (page)").to_owned(),
        _ => name.to_owned(),
    }
}
