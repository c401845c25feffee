//! `[[ladder]]`, `[[person]]`, `[[rotation]]`: who is called when nobody takes care of something. What a step's time means is
//! [`komainu_watchdogs::ladder`]'s, whose turn it is [`crate::oncall`]'s.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use komainu_watchdogs::ladder::{LONGEST, Ladder, MOST_STEPS};
use serde::Deserialize;

use super::ChannelConfig;
use super::entry::{self, Entry};
use super::fault::{Faults, FieldPlace};
use crate::oncall::{NamedLadder, OnCall, Override, Rotation, Targets};

/// Shorter, and whoever is called has no time to answer.
const LEAST: Duration = Duration::from_secs(60);

/// A turn of a year is no rotation.
const MOST_DAYS: i32 = 366;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonSection {
    name: String,
    channels: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RotationSection {
    name: String,
    people: Vec<String>,
    begins_on: String,
    #[serde(default)]
    handover: Option<String>,
    #[serde(default)]
    every_days: Option<i32>,
    #[serde(default)]
    time_zone: Option<String>,
    #[serde(default)]
    overrides: Vec<OverrideSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OverrideSection {
    from: String,
    until: String,
    person: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LadderSection {
    name: String,
    steps: Vec<StepSection>,
    #[serde(default, deserialize_with = "super::duration::deserialize")]
    repeat: Option<Duration>,
    #[serde(default, deserialize_with = "super::duration::deserialize")]
    ack_timeout: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepSection {
    #[serde(default, deserialize_with = "super::duration::deserialize")]
    after: Option<Duration>,
    #[serde(default)]
    channels: Vec<String>,
    #[serde(default)]
    people: Vec<String>,
    #[serde(default)]
    rotation: Option<String>,
}

/// The entries of the three sections.
pub(super) struct Entries {
    pub(super) people: Vec<Entry>,
    pub(super) rotations: Vec<Entry>,
    pub(super) ladders: Vec<Entry>,
}

impl Entries {
    pub(super) fn read(figment: &figment::Figment, faults: &mut Faults) -> Self {
        Self {
            people: entry::read(figment, "person", faults),
            rotations: entry::read(figment, "rotation", faults),
            ladders: entry::read(figment, "ladder", faults),
        }
    }

    /// `of_routes`: of each route its ladder, with the name that faults have for the route.
    pub(super) fn resolve(
        self,
        channels: &[ChannelConfig],
        of_routes: Vec<(String, Option<String>)>,
        faults: &mut Faults,
    ) -> OnCall {
        let channels: Vec<&str> = channels.iter().map(|channel| channel.name.as_str()).collect();
        let mut on_call = OnCall::default();
        for entry in self.people {
            person(entry, &channels, (&mut on_call, faults));
        }
        for entry in self.rotations {
            rotation(entry, (&mut on_call, faults));
        }
        for entry in self.ladders {
            ladder(entry, &channels, (&mut on_call, faults));
        }
        for (label, named) in &of_routes {
            let place = FieldPlace { section: "route", entry: Some(label) };
            let known: Vec<&str> = on_call.ladders.keys().map(String::as_str).collect();
            ensure_known((place, "ladder"), named.iter(), ("ladder", &known), faults);
        }
        on_call.of_routes = of_routes.into_iter().map(|(_, ladder)| ladder).collect();
        on_call
    }
}

/// A name that is given twice, or to nobody.
fn ensure_new<T>(place: FieldPlace<'_>, name: &str, known: &BTreeMap<String, T>, faults: &mut Faults) {
    if name.trim().is_empty() || name.len() > 100 {
        faults.add(place, "name", "must have 1 to 100 characters");
    } else if known.contains_key(name) {
        faults.add(place, "name", "is given twice");
    }
}

/// Names of one of these sections.
fn ensure_known<'a>(
    (place, key): (FieldPlace<'_>, &str),
    names: impl Iterator<Item = &'a String>,
    (section, known): (&str, &[&str]),
    faults: &mut Faults,
) {
    let there = if known.is_empty() { "there is none".to_owned() } else { format!("there are {}", known.join(", ")) };
    for name in names.filter(|name| !known.contains(&name.as_str())) {
        faults.add(place, key, format!("no [[{section}]] has the name \"{name}\"; {there}"));
    }
}

fn person(entry: Entry, known: &[&str], (on_call, faults): (&mut OnCall, &mut Faults)) {
    let label = entry.label();
    let place = FieldPlace { section: "person", entry: Some(&label) };
    let Some(PersonSection { name, channels }) = entry.read(&[], faults) else { return };
    ensure_new(place, &name, &on_call.people, faults);
    if channels.is_empty() {
        faults.add(place, "channels", "names no channel");
    }
    if !faults.concern("channel") {
        ensure_known((place, "channels"), channels.iter(), ("channel", known), faults);
    }
    on_call.people.insert(name, channels);
}

fn rotation(entry: Entry, (on_call, faults): (&mut OnCall, &mut Faults)) {
    let label = entry.label();
    let place = FieldPlace { section: "rotation", entry: Some(&label) };
    let Some(section) = entry.read::<RotationSection>(&[], faults) else { return };
    ensure_new(place, &section.name, &on_call.rotations, faults);
    if section.people.is_empty() {
        faults.add(place, "people", "names nobody");
    }
    let known: Vec<&str> = on_call.people.keys().map(String::as_str).collect();
    ensure_known((place, "people"), section.people.iter(), ("person", &known), faults);
    ensure_known(
        (place, "overrides.person"),
        section.overrides.iter().map(|one| &one.person),
        ("person", &known),
        faults,
    );
    let every_days = section.every_days.unwrap_or(7);
    if !(1..=MOST_DAYS).contains(&every_days) {
        faults.add(place, "every_days", format!("must be 1 to {MOST_DAYS}"));
    }
    let begins_on = section.begins_on.parse::<Date>();
    let handover = section.handover.as_deref().unwrap_or("09:00").parse::<Time>();
    let time_zone = TimeZone::get(section.time_zone.as_deref().unwrap_or("UTC"));
    let read = [
        ("begins_on", begins_on.is_ok(), "write a date as 2026-01-05"),
        ("handover", handover.is_ok(), "write a time as 09:00"),
        ("time_zone", time_zone.is_ok(), "write it as Europe/Berlin"),
    ];
    for (key, _, problem) in read.into_iter().filter(|(_, is_read, _)| !is_read) {
        faults.add(place, key, problem);
    }
    let overrides = section.overrides.into_iter().filter_map(|one| stands_in(one, place, faults)).collect();
    if let (Ok(begins_on), Ok(handover), Ok(time_zone)) = (begins_on, handover, time_zone) {
        let people = section.people;
        let rotation = Rotation { people, begins_on, handover, every_days, time_zone, overrides };
        on_call.rotations.insert(section.name, rotation);
    }
}

fn stands_in(section: OverrideSection, place: FieldPlace<'_>, faults: &mut Faults) -> Option<Override> {
    let OverrideSection { from, until, person } = section;
    let times = from.parse::<Timestamp>().ok().zip(until.parse::<Timestamp>().ok());
    let Some((from, until)) = times.filter(|(from, until)| from < until) else {
        faults.add(place, "overrides", "write from and until as 2026-03-01T09:00:00+01:00, until after from");
        return None;
    };
    Some(Override { from, until, person })
}

fn ladder(entry: Entry, channels: &[&str], (on_call, faults): (&mut OnCall, &mut Faults)) {
    let label = entry.label();
    let place = FieldPlace { section: "ladder", entry: Some(&label) };
    let Some(section) = entry.read::<LadderSection>(&[], faults) else { return };
    ensure_new(place, &section.name, &on_call.ladders, faults);
    if section.steps.is_empty() || section.steps.len() > MOST_STEPS {
        faults.add(place, "steps", format!("must have 1 to {MOST_STEPS} entries"));
    }
    let afters: Vec<Duration> = section.steps.iter().map(|step| step.after.unwrap_or_default()).collect();
    if !afters.is_sorted() {
        faults.add(place, "steps.after", "counts from the opening: no step comes before the one above it");
    }
    if afters.iter().any(|after| *after > LONGEST) {
        faults.add(place, "steps.after", "must be at most 7d");
    }
    for (key, span) in [("repeat", section.repeat), ("ack_timeout", section.ack_timeout)] {
        if span.is_some_and(|span| !(LEAST..=LONGEST).contains(&span)) {
            faults.add(place, key, "must be 1m to 7d");
        }
    }
    for step in &section.steps {
        let StepSection { channels: named, people, rotation, .. } = step;
        if named.is_empty() && people.is_empty() && rotation.is_none() {
            faults.add(place, "steps", "each must name channels, people or a rotation");
        }
        if !faults.concern("channel") {
            ensure_known((place, "steps.channels"), named.iter(), ("channel", channels), faults);
        }
        let known: Vec<&str> = on_call.people.keys().map(String::as_str).collect();
        ensure_known((place, "steps.people"), people.iter(), ("person", &known), faults);
        let known: Vec<&str> = on_call.rotations.keys().map(String::as_str).collect();
        ensure_known((place, "steps.rotation"), rotation.iter(), ("rotation", &known), faults);
    }
    let times = Ladder { afters, repeat: section.repeat, ack_timeout: section.ack_timeout };
    let targets = |StepSection { channels, people, rotation, .. }| Targets { channels, people, rotation };
    let steps = section.steps.into_iter().map(targets).collect();
    on_call.ladders.insert(section.name, NamedLadder { times, steps });
}
