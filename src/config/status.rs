//! `[status]`: who sees what of the status page.

use serde::Deserialize;

/// Of the status page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StatusConfig {
    /// What a caller without a key sees.
    pub details: Details,
}

/// What a caller without a key sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Details {
    /// Everything: ids, loads, incidents.
    #[default]
    Public,
    /// Ok, degraded or down, and when that was looked at.
    Key,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Section {
    pub(super) details: Details,
}
