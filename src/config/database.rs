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
}

impl Section {
    pub(super) fn resolve(self, folder: &Path, faults: &mut Faults) -> Option<DatabaseConfig> {
        if self.url.is_none() && self.url_file.is_none() {
            faults.add(
                "database",
                "url_file",
                "is missing: a file that holds mysql://user:password@host/database or sqlite:///path; or say it as url",
            );
        }
        let secret = Secret { place: "database".into(), name: "url", inline: self.url, file: self.url_file };
        let url = secret.read(folder, faults, |text| DatabaseUrl::parse(text.trim()))?;
        Some(DatabaseConfig { url })
    }
}
