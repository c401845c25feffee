//! `[[route]]`: who is told what. What a match means is [`komainu_watchdogs::routing`]'s.

use std::time::Duration;

use komainu_notifiers::Kind;
use komainu_watchdogs::io::Severity;
use komainu_watchdogs::routing::{GROUP_WAIT, Matcher, Route, Routing};
use serde::Deserialize;

use super::ChannelConfig;
use super::active::Active;
use super::channel::unknown;
use super::entry::Entry;
use super::fault::{Faults, FieldPlace};

/// Longer, and people would read old news: what waits is not told yet.
const MAX_GROUP_WAIT: Duration = Duration::from_secs(300);

/// Shorter, and reminders would be a flood.
const MIN_REPEAT: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    #[serde(default, rename = "match")]
    matcher: Match,
    channels: Vec<String>,
    #[serde(default, deserialize_with = "super::duration::deserialize")]
    group_wait: Option<Duration>,
    #[serde(default, deserialize_with = "super::duration::deserialize")]
    repeat: Option<Duration>,
    #[serde(default)]
    ladder: Option<String>,
    #[serde(default)]
    active: Option<Active>,
    #[serde(default, rename = "continue")]
    goes_on: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Match {
    kind: Option<String>,
    severity: Option<SeveritySetting>,
    tag: Option<String>,
    key: Option<String>,
    node: Option<String>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum SeveritySetting {
    Critical,
    Warning,
}

/// What a route climbs, with the name that faults have for it.
pub(super) type OfRoute = (String, Option<String>);

/// The routes, and of each, in their order, its ladder.
pub(super) fn resolve(entries: Vec<Entry>, channels: &[ChannelConfig], faults: &mut Faults) -> (Routing, Vec<OfRoute>) {
    let channels: Vec<String> = channels.iter().map(|channel| channel.name.clone()).collect();
    let (routes, of_routes) = entries.into_iter().filter_map(|entry| resolve_one(entry, &channels, faults)).unzip();
    (Routing { channels, routes }, of_routes)
}

fn resolve_one(entry: Entry, known: &[String], faults: &mut Faults) -> Option<(Route, OfRoute)> {
    let label = entry.label();
    let place = FieldPlace { section: "route", entry: Some(&label) };
    let section: Section = entry.read(&[], faults)?;
    if section.channels.is_empty() {
        faults.add(place, "channels", "names no channel");
    }
    // A faulty channel is told by itself, and not once more by each route that names it.
    if !faults.concern("channel") {
        for name in section.channels.iter().filter(|name| !known.contains(name)) {
            faults.add(place, "channels", unknown(name, known.iter().map(String::as_str)));
        }
    }
    // Drills and weekly lines go where a calendar says, whatever the routes say.
    let known: Vec<&str> = Kind::ALL.into_iter().filter(|kind| !kind.is_note()).map(Kind::as_str).collect();
    if let Some(kind) = section.matcher.kind.as_ref().filter(|kind| known.iter().all(|known| known != *kind)) {
        let known = known.join(", ");
        faults.add(place, "match.kind", format!("\"{kind}\" is not one of {known}"));
    }
    let group_wait = section.group_wait.unwrap_or(GROUP_WAIT);
    if group_wait > MAX_GROUP_WAIT {
        faults.add(place, "group_wait", "must be at most 5m: what waits is not told yet");
    }
    if section.repeat.is_some_and(|repeat| repeat < MIN_REPEAT) {
        faults.add(place, "repeat", "must be at least 1m");
    }
    let hours = section.active.map_or(Ok(vec![]), |active| active.hours()).unwrap_or_else(|problem| {
        faults.add(place, "active", problem);
        vec![]
    });
    let matcher = Matcher {
        kind: section.matcher.kind,
        severity: section.matcher.severity.map(|severity| match severity {
            SeveritySetting::Critical => Severity::Critical,
            SeveritySetting::Warning => Severity::Warning,
        }),
        tag: section.matcher.tag,
        key: section.matcher.key,
        node: section.matcher.node,
    };
    let is_last = section.goes_on == Some(false);
    let Section { channels, repeat, .. } = section;
    let route = Route { matcher, hours, is_last, channels, group_wait, repeat };
    Some((route, (label, section.ladder)))
}
