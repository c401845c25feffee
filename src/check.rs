//! What a check may be: what every watchdog looks at itself, and of which the majority says how it is.
//!
//! Pure: reads what a client sent ([`Draft`]), judges it by the rules of Kuma's columns ([`crate::monitor`]) and by what
//! may be looked at at all ([`Guard`]), and says what is to be stored ([`Definition`]). Stores nothing, looks at nothing,
//! and decides nothing of how a check is.

mod columns;
mod draft;
mod guard;
mod plan;
mod quorum;
mod spec;
mod target;

use std::time::Duration;

use komainu_watchdogs::check::{self as core, CheckName, Quorum};
use komainu_watchdogs::ids::Zone;
use komainu_watchdogs::io::Severity;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

pub(crate) use columns::all_columns;
pub use columns::{KINDS, columns_of, shown_table, uses};
pub use draft::{Draft, FIELDS, MOST_ZONE_CHARS, WORDS_OF_PATHS};
pub use guard::{Denial, Guard};
pub use plan::{created, edited, replaced};
pub use quorum::{parse_quorum, quorum_json, quorum_text};
pub use target::denied;

use crate::monitor::Columns;

/// Seconds between the looks of one watchdog.
pub const INTERVAL_S: u32 = 60;
/// More often is a load test.
pub const LEAST_INTERVAL_S: u32 = 5;
/// A day.
pub const MOST_INTERVAL_S: u32 = 86_400;
/// Shorter than a round trip around the earth and a handshake.
pub const LEAST_TIMEOUT_S: f64 = 0.1;
/// What takes longer is no answer that people wait for.
pub const MOST_TIMEOUT_S: f64 = 120.0;
/// As many watchdogs can be asked for by number.
pub const MOST_VOTES: u32 = 99;

/// A look takes at most so large a part of the interval, as a monitor's run, unless somebody says otherwise.
const TIMEOUT_PART: f64 = 0.8;
/// And at most so long: whoever is asked for a second opinion answers within seconds.
const TIMEOUT_S: f64 = 10.0;

/// What people chose for a check.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Definition {
    /// Its name: the key.
    pub name: String,
    /// One of [`KINDS`].
    pub kind: String,
    /// Kuma's columns that its type uses, by name.
    pub settings: Columns,
    /// Between the looks of one watchdog.
    pub interval_s: u32,
    /// How long one look may take; `None`: as the interval says.
    pub timeout_s: Option<f64>,
    /// How many must agree.
    pub quorum: Quorum,
    /// Only watchdogs there look; empty: all.
    pub zones: Vec<String>,
    /// Of its incident.
    pub severity: Severity,
    /// Channels of its own; empty: the routes decide.
    pub channels: Vec<String>,
    /// Tags that routes may go by.
    pub tags: Vec<String>,
    /// Nobody looks.
    pub is_paused: bool,
    /// The set that made it.
    pub managed_by: Option<String>,
}

impl Definition {
    /// How long one look may take, in seconds.
    pub fn timeout_s(&self) -> f64 {
        let usual = || usual_timeout_s(self.interval_s, &self.settings);
        self.timeout_s.unwrap_or_else(usual)
    }

    /// Which version of what is looked at: every watchdog draws the same of the same definition, and an edit of tags is none.
    fn version(&self) -> u64 {
        let looked_at = json!([self.kind, self.settings, self.timeout_s()]).to_string();
        let hash = Sha256::digest(looked_at.as_bytes());
        hash.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
    }

    /// What decides about it.
    pub fn judged(&self) -> core::Definition {
        core::Definition {
            name: CheckName::from(self.name.as_str()),
            version: self.version(),
            interval: Duration::from_secs(self.interval_s.into()),
            timeout: Duration::try_from_secs_f64(self.timeout_s()).unwrap_or_default(),
            quorum: self.quorum,
            zones: self.zones.iter().map(|zone| Zone::from(zone.as_str())).collect(),
            severity: self.severity,
            paused: self.is_paused,
            upside_down: self.settings.get("upside_down").and_then(Json::as_bool).unwrap_or_default(),
        }
    }
}

/// How long a look may take where nobody says: a part of the interval, and never so short that one echo has no time.
fn usual_timeout_s(interval_s: u32, settings: &Columns) -> f64 {
    let usual = (f64::from(interval_s) * TIMEOUT_PART).min(TIMEOUT_S);
    let echo = settings.get("ping_per_request_timeout").and_then(Json::as_f64);
    echo.map_or(usual, |echo| usual.max(echo))
}

#[cfg(test)]
mod tests;
