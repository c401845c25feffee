//! `type = "webhook"`: any program of one's own, signed for as Standard Webhooks says.

use std::path::{Path, PathBuf};

use komainu_notifiers::Secret;
use komainu_notifiers::webhook::{Config, SigningKey};
use serde::Deserialize;

use crate::config::fault::{Faults, FieldPlace};
use crate::config::{secret, shape};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Section {
    url: Option<String>,
    url_file: Option<PathBuf>,
    secret: Option<String>,
    secret_file: Option<PathBuf>,
}

impl Section {
    pub(super) fn resolve(self, place: FieldPlace<'_>, folder: &Path, faults: &mut Faults) -> Option<Config> {
        let url = secret::Secret { place, name: "url", inline: self.url, file: self.url_file };
        if !url.is_given() {
            faults.add(place, "url_file", "is missing: a file with the address that takes the POST; or say it as url");
        }
        let url = url.read(folder, faults, shape::parse_secret_url);
        let signing = secret::Secret { place, name: "secret", inline: self.secret, file: self.secret_file };
        let key = if signing.is_given() { Some(signing.read(folder, faults, SigningKey::parse)?) } else { None };
        Some(Config { url: Secret::new(url?), key })
    }
}
