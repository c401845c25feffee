//! `[cluster]`: what all watchdogs of one cluster are told alike.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::fault::Faults;
use super::secret::Secret;
use super::shape;
use crate::keys::ClusterKey;

/// Of the cluster as a whole.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// Tells clusters on one database server apart, and people which one is speaking.
    pub name: String,
    /// Shared by the watchdogs; nodes have keys of their own.
    pub key: Option<ClusterKey>,
    /// Addresses of the outside world. Who reaches none of them is cut off, not surrounded by failures.
    pub canaries: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Section {
    name: Option<String>,
    key: Option<String>,
    key_file: Option<PathBuf>,
    canaries: Vec<String>,
}

impl Section {
    pub(super) fn resolve(self, folder: &Path, faults: &mut Faults) -> Option<ClusterConfig> {
        let name = self.name.unwrap_or_else(|| "komainu".to_owned());
        faults.note("cluster", "name", shape::ensure_id(&name))?;
        for canary in &self.canaries {
            faults.note("cluster", "canaries", shape::ensure_canary(canary));
        }
        let secret = Secret { place: "cluster".into(), name: "key", inline: self.key, file: self.key_file };
        let key = secret.read(folder, faults, ClusterKey::parse);
        Some(ClusterConfig { name, key, canaries: self.canaries })
    }
}
