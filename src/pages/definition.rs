//! What people chose for a page: its words and looks, and which things stand on it under which public names.
//!
//! This is the private side: a component knows what it is about. What is shown of it is in [`super::public`]. How a client's JSON
//! becomes one of these is in [`super::draft`].

use std::collections::BTreeMap;

use komainu_watchdogs::ids::MonitorId;
use serde::{Deserialize, Serialize};

/// Pages of one cluster: all of them are in the memory of every watchdog.
pub const MOST_PAGES: usize = 200;
/// Components of one page.
pub const MOST_COMPONENTS: usize = 500;
/// Components of all pages: the bars of each are in the memory of every watchdog.
pub const MOST_OF_ALL: usize = 10_000;
/// Components of all pages that show how long answers took.
pub const MOST_GRAPHS: usize = 500;
/// Groups of one page.
pub const MOST_GROUPS: usize = 100;

/// A page, as it is stored.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Definition {
    /// Its place: `/pages/{slug}`.
    #[serde(default)]
    pub slug: String,
    /// Made once, and unguessable: ids that clients are shown follow from it.
    pub id: String,
    /// Above everything.
    pub title: String,
    /// Below the title; may be empty.
    #[serde(default)]
    pub description: String,
    /// Of whoever asks for no other.
    #[serde(default)]
    pub language: Language,
    /// Below everything; may be empty.
    #[serde(default)]
    pub footer: String,
    /// `#rrggbb`; `None`: the usual.
    #[serde(default)]
    pub accent: Option<String>,
    /// A picture, as an address of data; `None`: none. Stored beside the rest.
    #[serde(skip)]
    pub logo: Option<String>,
    /// The hash of the password that opens it; `None`: it is open to everybody.
    #[serde(default)]
    pub password: Option<String>,
    /// Search engines are asked to leave it out.
    #[serde(default)]
    pub noindex: bool,
    /// Origins whose pages may show it in a frame.
    #[serde(default)]
    pub embed_from: Vec<String>,
    /// In order.
    #[serde(default)]
    pub groups: Vec<Group>,
    /// How people may subscribe to it.
    #[serde(default)]
    pub subscribe: Vec<Way>,
    /// The set that it belongs to.
    #[serde(default)]
    pub managed_by: Option<String>,
}

/// Components that stand together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Group {
    /// Public; empty: they stand by themselves.
    pub name: String,
    /// In order.
    pub components: Vec<Component>,
}

/// One thing under a public name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Component {
    /// Public and unguessable; stays as long as the page names the same thing.
    pub id: String,
    /// Public.
    pub name: String,
    /// Public; may be empty.
    #[serde(default)]
    pub description: String,
    /// Private: what it is about.
    pub source: Source,
    /// Whether it is shown how long answers took.
    #[serde(default)]
    pub graph: bool,
}

/// What a component is about. None of this is ever shown to the public.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A monitor, by its key.
    Monitor(MonitorId),
    /// A monitor, by its ref; it may be made later.
    MonitorRef(String),
    /// A check, by its name.
    Check(String),
    /// A heartbeat, by its name.
    Heartbeat(String),
}

/// Languages there are words in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub enum Language {
    /// English.
    #[default]
    #[serde(rename = "en")]
    English,
    /// Traditional Chinese.
    #[serde(rename = "zh-TW")]
    TraditionalChinese,
}

/// How somebody is told who subscribed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// By mail.
    Mail,
    /// By a POST to a program of theirs.
    Webhook,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Mail, Self::Webhook];

    /// As it is stored and said.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
        }
    }

    /// The way of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.as_str() == text)
    }
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::English, Self::TraditionalChinese];

    /// As it stands in `lang` of HTML, and in `?lang=`.
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::TraditionalChinese => "zh-TW",
        }
    }

    /// The language of that code.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code().eq_ignore_ascii_case(text))
    }
}

impl Definition {
    /// All components, in order.
    pub fn components(&self) -> impl Iterator<Item = &Component> {
        self.groups.iter().flat_map(|group| &group.components)
    }

    /// Which id each thing bears.
    pub(super) fn ids(&self) -> BTreeMap<&Source, &str> {
        self.components().map(|component| (&component.source, component.id.as_str())).collect()
    }

    /// For [`crate::store::pages`].
    pub(crate) fn stored(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
