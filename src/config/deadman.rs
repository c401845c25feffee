//! `[deadman]`: somebody outside who expects to hear from every watchdog, and speaks up when none is heard.

use std::path::{Path, PathBuf};
use std::time::Duration;

use komainu_notifiers::Secret;
use serde::Deserialize;
use url::Url;

use super::fault::Faults;
use super::{secret, shape};

/// Outside services count in minutes; their free plans take no more than this.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

/// More often, and the outside service would rather block us.
const MIN_INTERVAL: Duration = Duration::from_secs(5);

/// Who expects to hear from us.
#[derive(Clone, Debug)]
pub struct DeadmanConfig {
    /// Pinged with GET; its path is the secret.
    pub url: Secret<Url>,
    /// How often.
    pub interval: Duration,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Section {
    url: Option<String>,
    url_file: Option<PathBuf>,
    #[serde(deserialize_with = "super::duration::deserialize")]
    interval: Option<Duration>,
}

impl Section {
    pub(super) fn resolve(self, folder: &Path, faults: &mut Faults) -> Option<DeadmanConfig> {
        let url = secret::Secret { place: "deadman".into(), name: "url", inline: self.url, file: self.url_file };
        if !url.is_given() {
            faults.add("deadman", "url_file", "is missing: a file with the address to ping; or say it as url");
        }
        let url = url.read(folder, faults, shape::parse_secret_url);
        let interval = self.interval.unwrap_or(DEFAULT_INTERVAL);
        if interval < MIN_INTERVAL {
            faults.add("deadman", "interval", "must be at least 5s");
        }
        Some(DeadmanConfig { url: Secret::new(url?), interval })
    }
}
