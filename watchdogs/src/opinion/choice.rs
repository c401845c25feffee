//! Who wants a second opinion on a monitor, and who is asked.
//!
//! The first of these that says something decides: the monitor's own field; its tag [`TAG`] in Kuma, by its value; the first rule of the
//! configuration that names one of its tags; the default. Where a monitor bears several such tags the strictest value holds, and a value that
//! is none says nothing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::Zone;

/// The tag that says it in Kuma's own pages: `second_opinion` with the value `require`.
pub const TAG: &str = "second_opinion";

/// What a second opinion is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// Nobody asks for one.
    #[default]
    Off,
    /// The message says what the watchdogs see.
    Note,
    /// Nobody is paged unless a majority of them sees it too.
    Require,
}

impl Wish {
    /// All of them, in the order of strictness.
    pub const ALL: [Self; 3] = [Self::Off, Self::Note, Self::Require];

    /// As it stands in rows, JSON and tags.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Note => "note",
            Self::Require => "require",
        }
    }

    /// The one of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|wish| wish.as_str() == text)
    }
}

/// What the configuration says of monitors with one tag.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rule {
    /// The tag's name, or `name:value`.
    pub tag: String,
    /// What it asks for.
    pub wish: Wish,
    /// Only watchdogs of these zones are asked; empty: all are.
    pub zones: BTreeSet<Zone>,
}

/// What the configuration says of all monitors.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Choice {
    /// Where nothing else says anything.
    pub default: Wish,
    /// In the order of the configuration.
    pub rules: Vec<Rule>,
}

/// Where a wish stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The monitor's own field.
    Monitor,
    /// Its tag in Kuma.
    Tag,
    /// A rule of the configuration.
    Rule,
    /// What holds for all.
    Default,
}

/// What holds for one monitor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chosen {
    /// What is asked for.
    pub wish: Wish,
    /// Who said so.
    pub source: Source,
    /// Only watchdogs of these zones are asked; empty: all are.
    pub zones: BTreeSet<Zone>,
}

impl Choice {
    /// For a monitor with this own field and these tags, each as `name`, and as `name:value` where it has a value.
    pub fn of(&self, own: Option<Wish>, tags: &[String]) -> Chosen {
        let rule = self.rules.iter().find(|rule| tags.contains(&rule.tag));
        let values = tags.iter().filter_map(|tag| tag.strip_prefix(TAG)?.strip_prefix(':'));
        let tagged = values.filter_map(|value| Wish::parse(value.trim())).max();
        let said = [(own, Source::Monitor), (tagged, Source::Tag), (rule.map(|rule| rule.wish), Source::Rule)];
        let first = said.into_iter().find_map(|(wish, source)| Some((wish?, source)));
        let (wish, source) = first.unwrap_or((self.default, Source::Default));
        Chosen { wish, source, zones: rule.map(|rule| rule.zones.clone()).unwrap_or_default() }
    }

    /// Names of tags that may say something.
    pub fn tags(&self) -> BTreeSet<&str> {
        let named = self.rules.iter().flat_map(|rule| [Some(rule.tag.as_str()), rule.tag.split(':').next()]);
        named.flatten().chain([TAG]).collect()
    }
}
