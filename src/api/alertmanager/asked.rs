//! What a client of Alertmanager sends: silences, and filters of lists.

use jiff::Timestamp;
use komainu_watchdogs::time::Wall;
use serde::Deserialize;

use crate::silence::{Label, Labels, MOST_MATCHERS, Matcher, NewSilence, Silence, fault_of_end, fault_of_matchers};

/// Alertmanager's name for what an alert is called.
const ALERTNAME: &str = "alertname";

/// `postableSilence`.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
pub(super) struct Posted {
    #[serde(default)]
    id: Option<String>,
    matchers: Vec<PostedMatcher>,
    starts_at: Timestamp,
    ends_at: Timestamp,
    created_by: String,
    comment: String,
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
struct PostedMatcher {
    name: String,
    value: String,
    is_regex: bool,
    #[serde(default = "yes")]
    is_equal: bool,
}

fn yes() -> bool {
    true
}

impl PostedMatcher {
    fn read(self) -> Result<Matcher, String> {
        let Self { name, value, is_regex, is_equal } = self;
        let label = if name == ALERTNAME { Some(Label::Key) } else { Label::parse(&name) };
        let known = || Label::ALL.map(Label::as_str).join(", ");
        let name =
            label.ok_or_else(|| format!("matchers: there is no label {name}; there are alertname, {}", known()))?;
        let matcher = Matcher { name, value, is_regex, is_equal };
        matcher.check().map(|()| matcher).map_err(|why| format!("matchers: {why}"))
    }
}

impl Posted {
    /// The one whose place it takes, and what it is; or what is wrong, with the field.
    pub(super) fn read(self, now: Wall) -> Result<(Option<String>, NewSilence), String> {
        let matchers = self.matchers.into_iter().take(MOST_MATCHERS + 1).map(PostedMatcher::read);
        let matchers = matchers.collect::<Result<Vec<_>, _>>()?;
        if let Some(fault) = fault_of_matchers(&matchers) {
            return Err(format!("matchers: {fault}"));
        }
        // One that begins in the past begins now.
        let starts_at = Wall(self.starts_at.as_millisecond()).max(now);
        let ends_at = Wall(self.ends_at.as_millisecond());
        if let Some(fault) = fault_of_end(starts_at, ends_at, now) {
            return Err(format!("endsAt: {fault}"));
        }
        let author = said("createdBy", &self.created_by, 100)?;
        let comment = said("comment", &self.comment, 1_000)?;
        let (until_resolved, recurrence, window) = (false, None, None);
        let new = NewSilence { matchers, starts_at, ends_at, until_resolved, recurrence, author, comment, window };
        Ok((self.id.filter(|id| !id.is_empty()), new))
    }
}

fn said(field: &str, text: &str, most: usize) -> Result<String, String> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err(format!("{field}: is missing")),
        count if count > most => Err(format!("{field}: must have at most {most} characters")),
        _ => Ok(text.to_owned()),
    }
}

/// The parameters `filter` of a query.
pub(super) fn filters(query: Option<&str>) -> Result<Vec<Matcher>, String> {
    let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let texts = pairs.filter(|(name, _)| name == "filter").map(|(_, value)| value.into_owned());
    let read = |text: String| {
        let text = text.trim();
        let renamed = text.strip_prefix(ALERTNAME).map(|rest| format!("{}{rest}", Label::Key.as_str()));
        Matcher::parse(renamed.as_deref().unwrap_or(text)).map_err(|why| format!("filter: {why}"))
    };
    texts.take(MOST_MATCHERS).map(read).collect()
}

/// Whether a silence's own conditions are such: a name that it does not have is empty.
pub(super) fn fits(silence: &Silence, filters: &[Matcher]) -> bool {
    let of = |name: Label| silence.made.matchers.iter().find(|matcher| matcher.name == name);
    filters.iter().all(|filter| filter.fits(of(filter.name).map_or("", |matcher| &matcher.value)))
}

/// Which alerts are wanted.
#[derive(Debug)]
pub(super) struct AlertFilter {
    filters: Vec<Matcher>,
    has_active: bool,
    has_silenced: bool,
    has_inhibited: bool,
}

impl AlertFilter {
    pub(super) fn read(query: Option<&str>) -> Result<Self, String> {
        let mut filters = filters(query)?;
        let pairs = || url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let of = |wanted: &str| pairs().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned());
        if let Some(value) = of("receiver").filter(|value| !value.is_empty()) {
            let receiver = Matcher { name: Label::Channel, value, is_regex: true, is_equal: true };
            receiver.check().map_err(|why| format!("receiver: {why}"))?;
            filters.push(receiver);
        }
        let flag = |name: &str| match of(name).as_deref() {
            None | Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(format!("{name}: must be true or false")),
        };
        let (has_active, has_silenced, has_inhibited) = (flag("active")?, flag("silenced")?, flag("inhibited")?);
        Ok(Self { filters, has_active, has_silenced, has_inhibited })
    }

    /// What is suppressed by both is wanted only where both are.
    pub(super) fn wants(&self, is_silenced: bool, is_inhibited: bool) -> bool {
        let is_active = !is_silenced && !is_inhibited;
        (self.has_active || !is_active) && (self.has_silenced || !is_silenced) && (self.has_inhibited || !is_inhibited)
    }

    pub(super) fn takes(&self, labels: &Labels<'_>) -> bool {
        self.filters.iter().all(|filter| filter.takes(labels))
    }
}
