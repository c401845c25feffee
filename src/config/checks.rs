//! `[checks]`: what watchdogs look at themselves: where they never look, and how much at once.

use serde::Deserialize;

use super::fault::Faults;
use super::shape;
use crate::check::Guard;

/// A thousand checks each 20 s are fifty looks a second, and of those that hang each takes its ten seconds: so that all may hang at once and be
/// known to.
const LOOKS_AT_ONCE: u32 = 1_000;

/// Each look takes a socket or two.
const MOST_LOOKS_AT_ONCE: u32 = 5_000;

/// Of the looks of one watchdog.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChecksConfig {
    /// Where it does not look.
    pub guard: Guard,
    /// How many looks it has under way at most.
    pub looks_at_once: u32,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Section {
    allow_link_local: bool,
    deny: Vec<String>,
    looks_at_once: Option<u32>,
}

impl Section {
    pub(super) fn resolve(self, faults: &mut Faults) -> Option<ChecksConfig> {
        let networks = self.deny.iter().map(|text| shape::parse_network(text));
        let deny = faults.note("checks", "deny", networks.collect::<Result<Vec<_>, _>>());
        let looks_at_once = self.looks_at_once.unwrap_or(LOOKS_AT_ONCE);
        if !(1..=MOST_LOOKS_AT_ONCE).contains(&looks_at_once) {
            faults.add("checks", "looks_at_once", format!("must be from 1 to {MOST_LOOKS_AT_ONCE}"));
        }
        let guard = Guard { allow_link_local: self.allow_link_local, deny: deny? };
        Some(ChecksConfig { guard, looks_at_once })
    }
}
