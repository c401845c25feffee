//! `[[heartbeat]]`: fixed secrets, for senders that cannot change. All other heartbeats have derived ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use komainu_notifiers::Secret;
use serde::Deserialize;

use super::entry::Entry;
use super::fault::{Faults, FieldPlace};
use super::{secret, shape};

/// Longest name of a heartbeat.
const NAME_CHARS: usize = 100;

/// Fewer can be guessed; a sender that cannot change may have no more.
const MIN_SECRET_CHARS: usize = 8;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    name: String,
    secret: Option<String>,
    secret_file: Option<PathBuf>,
}

pub(super) fn resolve(entries: Vec<Entry>, folder: &Path, faults: &mut Faults) -> BTreeMap<String, Secret<String>> {
    let mut secrets = BTreeMap::new();
    for entry in entries {
        let label = entry.label();
        let place = FieldPlace { section: "heartbeat", entry: Some(&label) };
        let Some(section) = entry.read::<Section>(&[], faults) else { continue };
        faults.note(place, "name", ensure_name(&section.name));
        let fixed = secret::Secret { place, name: "secret", inline: section.secret, file: section.secret_file };
        if !fixed.is_given() {
            faults.add(place, "secret_file", "is missing: a file with the sender's secret; or say it as secret");
        }
        let Some(fixed) = fixed.read(folder, faults, parse_secret) else { continue };
        if secrets.insert(section.name, Secret::new(fixed)).is_some() {
            faults.add(place, "name", "two heartbeats have this name");
        }
    }
    secrets
}

fn ensure_name(name: &str) -> Result<(), String> {
    let is_plain = name.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter));
    if !is_plain || name.len() > NAME_CHARS || !name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return Err(format!(
            "must be 1 to {NAME_CHARS} letters, digits, dots, dashes or underscores, a letter or digit first"
        ));
    }
    Ok(())
}

fn parse_secret(text: &str) -> Result<String, String> {
    let word = shape::parse_word(text)?;
    if word.len() < MIN_SECRET_CHARS {
        return Err(format!("has {} characters, it needs at least {MIN_SECRET_CHARS}", word.len()));
    }
    Ok(word)
}
