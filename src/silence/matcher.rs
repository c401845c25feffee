//! What a silence takes: labels of incidents, compared as Alertmanager compares them.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use komainu_watchdogs::io::Severity;
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

/// A pattern that compiles to more than this is refused.
const LARGEST_PATTERN: usize = 64 << 10;

/// Compiled patterns that are kept.
const MOST_KEPT: usize = 1_000;

/// What of an incident is compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// The key's first part: `monitor`.
    Kind,
    /// Kind and subject: `monitor/7`.
    Key,
    /// `critical` or `warning`.
    Severity,
    /// Any of the tags.
    Tag,
    /// The node that it is about, or that runs the monitor.
    Node,
    /// The channel that would be told.
    Channel,
}

impl Label {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Kind, Self::Key, Self::Severity, Self::Tag, Self::Node, Self::Channel];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Key => "key",
            Self::Severity => "severity",
            Self::Tag => "tag",
            Self::Node => "node",
            Self::Channel => "channel",
        }
    }

    /// The reverse of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|label| label.as_str() == text)
    }
}

/// The labels of one incident on its way to one channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Labels<'a> {
    /// Kind and subject.
    pub key: &'a str,
    /// How bad it is.
    pub severity: Severity,
    /// Of the monitor, check or heartbeat.
    pub tags: &'a [String],
    /// The node that runs the monitor.
    pub node: Option<&'a str>,
    /// Who would be told.
    pub channel: &'a str,
}

impl<'a> Labels<'a> {
    /// The key's first part.
    pub fn kind(&self) -> &'a str {
        self.key.split_once('/').map_or(self.key, |(kind, _)| kind)
    }

    /// What stands under a label; what is not there is empty, as with Alertmanager.
    fn values(&self, label: Label) -> Vec<&'a str> {
        match label {
            Label::Kind => vec![self.kind()],
            Label::Key => vec![self.key],
            Label::Severity => vec![self.severity.as_str()],
            Label::Tag if self.tags.is_empty() => vec![""],
            Label::Tag => self.tags.iter().map(String::as_str).collect(),
            Label::Node => vec![self.node.or_else(|| self.key.strip_prefix("node/")).unwrap_or_default()],
            Label::Channel => vec![self.channel],
        }
    }
}

/// One condition. Its shape is Alertmanager's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Matcher {
    /// What is compared.
    pub name: Label,
    /// With what; an empty one is like a label that is not there.
    pub value: String,
    /// The value is a regular expression for the whole of it.
    #[serde(default)]
    pub is_regex: bool,
    /// Whether they must be alike, or must not.
    #[serde(default = "yes")]
    pub is_equal: bool,
}

fn yes() -> bool {
    true
}

impl Matcher {
    /// That it is exactly this.
    pub(crate) fn is(name: Label, value: &str) -> Self {
        Self { name, value: value.to_owned(), is_regex: false, is_equal: true }
    }

    /// `kind=monitor`, `key=~"monitor/.*"`, `tag!=shop`, `node!~eu-.*`, as `amtool` takes them.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            let known = Label::ALL.map(Label::as_str).join(", ");
            format!("\"{text}\" must be like kind=monitor, key=~monitor/.*, tag!=shop or node!~eu-.*, of {known}")
        };
        let at = text.find(['=', '!']).ok_or_else(wrong)?;
        let (name, rest) = text.split_at(at);
        let operators = [("=~", true, true), ("!~", true, false), ("!=", false, false), ("=", false, true)];
        let found = operators.into_iter().find_map(|(sign, is_regex, is_equal)| {
            rest.strip_prefix(sign).map(|value| (value.trim(), is_regex, is_equal))
        });
        let (value, is_regex, is_equal) = found.ok_or_else(wrong)?;
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value).to_owned();
        let matcher = Self { name: Label::parse(name.trim()).ok_or_else(wrong)?, value, is_regex, is_equal };
        matcher.check().map(|()| matcher)
    }

    /// Why it could not be used.
    pub fn check(&self) -> Result<(), String> {
        if self.is_regex { compiled(&self.value).map(|_| ()) } else { Ok(()) }
    }

    /// Whether it holds for these.
    pub fn takes(&self, labels: &Labels<'_>) -> bool {
        self.holds_for(&labels.values(self.name))
    }

    /// Whether it holds where there is this one value.
    pub fn fits(&self, value: &str) -> bool {
        self.holds_for(&[value])
    }

    fn holds_for(&self, values: &[&str]) -> bool {
        let pattern = if self.is_regex { compiled(&self.value).ok() } else { None };
        let is_like = |value: &&str| match &pattern {
            Some(pattern) => pattern.is_match(value),
            // What cannot be read takes nothing, so that people are rather told.
            None => !self.is_regex && **value == self.value,
        };
        let is_readable = !self.is_regex || pattern.is_some();
        is_readable && values.iter().any(is_like) == self.is_equal
    }

    /// Whether it holds where there is nothing: a silence of such matchers alone would hold everything.
    pub fn takes_nothing_in_particular(&self) -> bool {
        let is_like_nothing = if self.is_regex {
            compiled(&self.value).is_ok_and(|pattern| pattern.is_match(""))
        } else {
            self.value.is_empty()
        };
        is_like_nothing == self.is_equal
    }

    pub(super) fn only_key(&self) -> Option<&str> {
        (self.name == Label::Key && self.is_equal && !self.is_regex).then_some(self.value.as_str())
    }
}

impl std::fmt::Display for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = match (self.is_equal, self.is_regex) {
            (true, false) => "=",
            (false, false) => "!=",
            (true, true) => "=~",
            (false, true) => "!~",
        };
        write!(f, "{}{sign}\"{}\"", self.name.as_str(), self.value)
    }
}

static COMPILED: LazyLock<Mutex<BTreeMap<String, Regex>>> = LazyLock::new(Mutex::default);

/// A pattern for the whole of a text.
fn compiled(pattern: &str) -> Result<Regex, String> {
    let mut kept = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = kept.get(pattern) {
        return Ok(known.clone());
    }
    let anchored = format!("^(?:{pattern})$");
    let built = RegexBuilder::new(&anchored).size_limit(LARGEST_PATTERN).dfa_size_limit(LARGEST_PATTERN).build();
    let built = built.map_err(|error| {
        if matches!(error, regex::Error::CompiledTooBig(_)) {
            format!("the pattern \"{pattern}\" is too large")
        } else {
            format!("\"{pattern}\" is no regular expression: {error}")
        }
    })?;
    if kept.len() >= MOST_KEPT {
        kept.clear();
    }
    kept.insert(pattern.to_owned(), built.clone());
    Ok(built)
}
