//! `[database]`: where the truth is kept.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::fault::Faults;
use super::secret::Secret;
use crate::store::DatabaseUrl;

/// Of the database.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// Where, and as whom.
    pub url: DatabaseUrl,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Section {
    url: Option<String>,
    url_file: Option<PathBuf>,
    urls: Option<Vec<String>>,
}

impl Section {
    pub(super) fn resolve(self, folder: &Path, faults: &mut Faults) -> Option<DatabaseConfig> {
        let secret = Secret { place: "database".into(), name: "url", inline: self.url, file: self.url_file };
        let url = match self.urls {
            Some(_) if secret.is_given() => {
                faults.add(
                    "database",
                    "urls",
                    "another url is given too; keep one: a url may name several servers itself",
                );
                None
            }
            Some(urls) => faults.note("database", "urls", DatabaseUrl::parse_all(&urls)),
            None if secret.is_given() => secret.read(folder, faults, |text| DatabaseUrl::parse(text.trim())),
            None => {
                faults.add(
                    "database",
                    "url_file",
                    "is missing: a file that holds mysql://user:password@host/database or sqlite:///path; or say it as url",
                );
                None
            }
        };
        Some(DatabaseConfig { url: url? })
    }
}
