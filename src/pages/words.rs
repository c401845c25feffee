//! What pages say, in each language: a file for each, which is all that another language needs beside its entry here.

use jiff::Timestamp;
use komainu_watchdogs::time::Wall;

use super::day::{Bar, Day};
use super::definition::Language;
use super::notice::{Impact, Kind, Stage};
use super::standing::Standing;
use crate::dashboard::chart::percent;

mod en;
mod zh_tw;

/// All that a page says by itself. In texts with `{}` one value is put there.
pub struct Words {
    /// As the language calls itself.
    pub name: &'static str,
    /// Of all standings, in the order of [`Standing::ALL`]: of one component.
    pub standings: [&'static str; 6],
    /// The same, of all components together.
    pub overall: [&'static str; 6],
    /// In the order of the life of an incident, then of a maintenance.
    pub stages: [&'static str; 8],
    /// In the order of [`Impact::ALL`].
    pub impacts: [&'static str; 4],
    /// Headings and short texts.
    pub incidents: &'static str,
    /// Heading of maintenances.
    pub maintenances: &'static str,
    /// Of one that was announced and is no more.
    pub not_taking_place: &'static str,
    /// Heading of what is over.
    pub past: &'static str,
    /// Link to what is older.
    pub history: &'static str,
    /// Back to the page.
    pub back: &'static str,
    /// No notices in a month.
    pub nothing_told: &'static str,
    /// No components.
    pub nothing_here: &'static str,
    /// Heading of components without a group.
    pub services: &'static str,
    /// `{}`: a percentage.
    pub reached: &'static str,
    /// Nothing was counted.
    pub uncounted: &'static str,
    /// Below the bars, at their left.
    pub ninety_days: &'static str,
    /// Below the bars, at their right.
    pub today: &'static str,
    /// `{}`: a time.
    pub as_of: &'static str,
    /// `{}`: minutes.
    pub old: &'static str,
    /// `{}`: names.
    pub about: &'static str,
    /// Between two times.
    pub until: &'static str,
    /// Of the graph.
    pub took: &'static str,
    /// `{}`: milliseconds, on average and at most.
    pub took_summary: &'static str,
    /// Of the graph.
    pub took_nothing: &'static str,
    /// Columns of the graph's table.
    pub hour: &'static str,
    /// The same.
    pub how_long: &'static str,
    /// Of the feeds.
    pub feeds: &'static str,
    /// Before everything.
    pub skip: &'static str,
    /// Of the form.
    pub password: &'static str,
    /// Its button.
    pub open: &'static str,
    /// A password that is not it.
    pub wrong: &'static str,
    /// Too many of them.
    pub slow_down: &'static str,
    /// No such page.
    pub no_page: &'static str,
    /// Pages were not read yet.
    pub unread: &'static str,
    /// Other languages.
    pub languages: &'static str,
    /// Of subscriptions.
    pub subscribing: Subscribing,
}

/// What is said to those who subscribe. In texts with `{}` the page's title, or what is named, is put there.
pub struct Subscribing {
    /// Heading, and the link to it.
    pub subscribe: &'static str,
    /// What becomes of an address.
    pub promise: &'static str,
    /// One way.
    pub by_mail: &'static str,
    /// Its field.
    pub address: &'static str,
    /// The other way.
    pub by_webhook: &'static str,
    /// Its field.
    pub url: &'static str,
    /// Of the components.
    pub which: &'static str,
    /// If none is chosen.
    pub all: &'static str,
    /// The button.
    pub send: &'static str,
    /// A page of no ways.
    pub no_way: &'static str,
    /// Whatever became of it.
    pub mail_asked: &'static str,
    /// The same of a webhook.
    pub webhook_asked: &'static str,
    /// No address.
    pub bad_address: &'static str,
    /// No webhook.
    pub bad_url: &'static str,
    /// The database is away.
    pub not_now: &'static str,
    /// No room.
    pub crowded: &'static str,
    /// Heading.
    pub confirm: &'static str,
    /// `{}`: the page.
    pub confirm_words: &'static str,
    /// It is.
    pub confirmed: &'static str,
    /// Before the secret.
    pub secret: &'static str,
    /// A link that leads nowhere, or not any more.
    pub over: &'static str,
    /// Heading, and the button.
    pub leave: &'static str,
    /// `{}`: the page.
    pub leave_words: &'static str,
    /// It is done.
    pub left: &'static str,
    /// `{}`: the page, in the mail that asks.
    pub asks: &'static str,
    /// Below the link.
    pub asks_end: &'static str,
    /// Before the link to what is told.
    pub more: &'static str,
    /// Before the link that ends it.
    pub no_more: &'static str,
    /// A message that may have arrived before.
    pub again: &'static str,
}

/// Those of a language.
pub fn words(language: Language) -> &'static Words {
    match language {
        Language::English => &en::WORDS,
        Language::TraditionalChinese => &zh_tw::WORDS,
    }
}

impl Words {
    /// Of one component.
    pub fn standing(&self, standing: Standing) -> &'static str {
        pick(standing, self.standings)
    }

    /// Of all together.
    pub fn overall(&self, standing: Standing) -> &'static str {
        pick(standing, self.overall)
    }

    /// How far something has come.
    pub fn stage(&self, stage: Stage) -> &'static str {
        let [investigating, identified, monitoring, resolved, scheduled, in_progress, verifying, completed] =
            self.stages;
        match stage {
            Stage::Investigating => investigating,
            Stage::Identified => identified,
            Stage::Monitoring => monitoring,
            Stage::Resolved => resolved,
            Stage::Scheduled => scheduled,
            Stage::InProgress => in_progress,
            Stage::Verifying => verifying,
            Stage::Completed => completed,
        }
    }

    /// How much it matters.
    pub fn impact(&self, impact: Impact) -> &'static str {
        let [none, minor, major, critical] = self.impacts;
        match impact {
            Impact::None => none,
            Impact::Minor => minor,
            Impact::Major => major,
            Impact::Critical => critical,
        }
    }

    /// The heading of a kind.
    pub fn kind(&self, kind: Kind) -> &'static str {
        match kind {
            Kind::Incident => self.incidents,
            Kind::Maintenance => self.maintenances,
        }
    }

    /// A day of the bars, for whoever cannot see it.
    pub fn day(&self, (at, day): (i64, Day)) -> String {
        let counted = day.share().map_or_else(|| self.uncounted.to_owned(), |share| self.share(share));
        format!("{}: {counted}", date(Wall(at.saturating_mul(1_000))))
    }

    /// How much of the time something was reached.
    pub fn share(&self, share: f64) -> String {
        self.reached.replace("{}", &percent(share))
    }
}

fn pick(standing: Standing, of: [&'static str; 6]) -> &'static str {
    let [operational, maintenance, unknown, degraded, partial, major] = of;
    match standing {
        Standing::Operational => operational,
        Standing::Maintenance => maintenance,
        Standing::Unknown => unknown,
        Standing::Degraded => degraded,
        Standing::Partial => partial,
        Standing::Major => major,
    }
}

impl Bar {
    /// As styles name it.
    pub fn class(self) -> &'static str {
        match self {
            Self::Nothing => "n",
            Self::Up => "u",
            Self::Partial => "p",
            Self::Down => "d",
        }
    }
}

pub(super) fn formatted(at: Wall, format: &str) -> String {
    Timestamp::from_millisecond(at.0).map_or_else(|_| String::new(), |at| at.strftime(format).to_string())
}

/// `2026-11-30`
pub fn date(at: Wall) -> String {
    formatted(at, "%Y-%m-%d")
}

/// `2026-11`
pub fn month(at: Wall) -> String {
    formatted(at, "%Y-%m")
}

/// `2026-11-30 12:00 UTC`
pub fn minute(at: Wall) -> String {
    formatted(at, "%Y-%m-%d %H:%M UTC")
}

/// `2026-11-30T12:00:00Z`
pub fn iso(at: Wall) -> String {
    formatted(at, "%Y-%m-%dT%H:%M:%SZ")
}

/// `Mon, 30 Nov 2026 12:00:00 GMT`, as RSS wants it.
pub fn rfc822(at: Wall) -> String {
    formatted(at, "%a, %d %b %Y %H:%M:%S GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_language_leaves_anything_unsaid() {
        for language in Language::ALL {
            let words = words(language);
            let texts = [words.standings.as_slice(), &words.overall, &words.stages, &words.impacts].concat();
            assert!(texts.iter().all(|text| !text.is_empty()), "{}", words.name);
            for text in [words.reached, words.as_of, words.old, words.about] {
                assert_eq!(text.matches("{}").count(), 1, "{text}");
            }
            for text in [words.subscribing.confirm_words, words.subscribing.leave_words, words.subscribing.asks] {
                assert_eq!(text.matches("{}").count(), 1, "{text}");
            }
            assert_eq!(words.took_summary.matches("{}").count(), 2, "{}", words.took_summary);
        }
    }

    #[test]
    fn a_day_is_said_in_words() {
        let english = words(Language::English);
        assert_eq!(english.day((1_763_769_600, Day { good: 999, bad: 1 })), "2025-11-22: 99.9 % reached");
        assert_eq!(english.day((1_763_769_600, Day::default())), "2025-11-22: nothing was counted");
        assert_eq!(rfc822(Wall(1_763_800_000_000)), "Sat, 22 Nov 2025 08:26:40 GMT");
    }
}
