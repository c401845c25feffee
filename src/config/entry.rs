//! Sections of which there may be several: `[[channel]]`, `[[route]]`, `[[heartbeat]]`.
//!
//! Each entry is read for itself, so that a fault names the entry and all entries' faults are told at once. They are not
//! overridden from the environment: entries have no place that a variable could name.

use figment::Figment;
use figment::value::{Dict, Value};
use serde::de::DeserializeOwned;

use super::fault::{Faults, FieldPlace, describe};

/// One entry, as it stands in the file.
pub(super) struct Entry {
    section: &'static str,
    label: String,
    keys: Dict,
}

/// All entries of a section, in the order of the file.
pub(super) fn read(figment: &Figment, section: &'static str, faults: &mut Faults) -> Vec<Entry> {
    if !figment.contains(section) {
        return Vec::new();
    }
    let entries: Option<Vec<Dict>> = figment.find_value(section).ok().and_then(|value| {
        let entries = value.into_array()?;
        entries.into_iter().map(Value::into_dict).collect()
    });
    let Some(entries) = entries else {
        faults.push(super::ConfigFault {
            section: section.to_owned(),
            entry: None,
            key: None,
            origin: None,
            problem: format!("there may be several of them, so each begins with double brackets: [[{section}]]"),
        });
        return Vec::new();
    };
    entries.into_iter().zip(1_usize..).map(|(keys, number)| Entry::new(section, number, keys)).collect()
}

impl Entry {
    fn new(section: &'static str, number: usize, keys: Dict) -> Self {
        let name = keys.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        Self { section, label: name.map_or_else(|| format!("#{number}"), str::to_owned), keys }
    }

    /// What faults call it: its name, or its number.
    pub(super) fn label(&self) -> String {
        self.label.clone()
    }

    /// Takes the keys named in `shared` out and reads them as one thing; the rest stays.
    pub(super) fn take<T: DeserializeOwned>(&mut self, shared: &[&str], faults: &mut Faults) -> Option<T> {
        let taken = shared.iter().filter_map(|&key| self.keys.remove_entry(key)).collect();
        self.convert(taken, &[], faults)
    }

    /// Reads what is left; `shared` are the keys that were taken out before.
    pub(super) fn read<T: DeserializeOwned>(self, shared: &[&str], faults: &mut Faults) -> Option<T> {
        self.convert(self.keys.clone(), shared, faults)
    }

    fn convert<T: DeserializeOwned>(&self, keys: Dict, shared: &[&str], faults: &mut Faults) -> Option<T> {
        let place = FieldPlace { section: self.section, entry: Some(&self.label) };
        match Value::from(keys).deserialize() {
            Ok(section) => Some(section),
            Err(error) => {
                faults.extend(error.into_iter().map(|error| describe(place, shared, &error)));
                None
            }
        }
    }
}
