//! `[[channel]]`: where people are told. Each type's own keys are in a file of its own below.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::tz::TimeZone;
use komainu_notifiers::Settings;
use komainu_notifiers::template::Draft;
use serde::Deserialize;

use super::entry::Entry;
use super::fault::{Faults, FieldPlace};
use super::shape;
use crate::outbox::Calendar;

mod mail;
mod pushbullet;
mod slack;
mod template;
mod times;
mod webhook;

/// The keys that channels of all types have.
const SHARED: [&str; 7] = ["name", "type", "fallback", "answers", "time_zone", "drill", "weekly"];

/// One channel.
#[derive(Clone, Debug)]
pub struct ChannelConfig {
    /// As routes, monitors and heartbeats call it.
    pub name: String,
    /// What its type needs.
    pub settings: Settings,
    /// The channel that gets what this one refuses for good.
    pub fallback: Option<String>,
    /// Its messages bear links by which they are answered.
    pub answers: bool,
    /// Where its readers are; UTC unless said.
    pub time_zone: Option<TimeZone>,
    /// What it is told although nothing is wrong.
    pub calendar: Calendar,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    name: String,
    #[serde(rename = "type")]
    kind: Type,
    fallback: Option<String>,
    answers: Option<bool>,
    time_zone: Option<String>,
    drill: Option<String>,
    weekly: Option<String>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Type {
    Slack,
    Mail,
    Pushbullet,
    Webhook,
    Template,
}

pub(super) fn resolve(entries: Vec<Entry>, folder: &Path, faults: &mut Faults) -> Vec<ChannelConfig> {
    let mut names = BTreeSet::new();
    let mut fallbacks = Vec::new();
    let mut channels = Vec::new();
    for mut entry in entries {
        let label = entry.label();
        let place = FieldPlace { section: "channel", entry: Some(&label) };
        let Some(head) = entry.take::<Head>(&SHARED, faults) else { continue };
        faults.note(place, "name", shape::ensure_id(&head.name));
        if !names.insert(head.name.clone()) {
            faults.add(place, "name", "two channels have this name");
        }
        if let Some(fallback) = &head.fallback {
            fallbacks.push((head.name.clone(), fallback.clone()));
        }
        let time_zone = head.time_zone.and_then(|name| faults.note(place, "time_zone", zone(&name)));
        let drill = head.drill.and_then(|text| faults.note(place, "drill", times::cron(&text)));
        let weekly = head.weekly.and_then(|text| faults.note(place, "weekly", times::weekly(&text)));
        if let Some(settings) = settings(head.kind, entry, place, folder, faults) {
            let answers = head.answers.unwrap_or(true);
            let calendar = Calendar { drill, weekly };
            let (name, fallback) = (head.name, head.fallback);
            channels.push(ChannelConfig { name, settings, fallback, answers, time_zone, calendar });
        }
    }
    for (name, fallback) in &fallbacks {
        let place = FieldPlace { section: "channel", entry: Some(name) };
        if name == fallback {
            faults.add(place, "fallback", "must be another channel than the one that fails");
        } else if !names.contains(fallback) {
            faults.add(place, "fallback", unknown(fallback, names.iter().map(String::as_str)));
        }
    }
    channels
}

fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|error| format!("{error}; write Europe/Berlin"))
}

/// What is said of a channel's name that nobody has.
pub(super) fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    let known = if known.is_empty() { "there is none".to_owned() } else { format!("there are {}", known.join(", ")) };
    format!("no [[channel]] has the name \"{name}\"; {known}")
}

fn settings(kind: Type, entry: Entry, place: FieldPlace<'_>, folder: &Path, faults: &mut Faults) -> Option<Settings> {
    match kind {
        Type::Slack => {
            entry.read::<slack::Section>(&SHARED, faults)?.resolve(place, folder, faults).map(Settings::Slack)
        }
        Type::Mail => entry.read::<mail::Section>(&SHARED, faults)?.resolve(place, folder, faults).map(Settings::Mail),
        Type::Pushbullet => {
            entry.read::<pushbullet::Section>(&SHARED, faults)?.resolve(place, folder, faults).map(Settings::Pushbullet)
        }
        Type::Webhook => {
            entry.read::<webhook::Section>(&SHARED, faults)?.resolve(place, folder, faults).map(Settings::Webhook)
        }
        Type::Template => {
            template::resolve(entry.read::<Draft>(&SHARED, faults)?, place, folder, faults).map(Settings::Template)
        }
    }
}
