//! `[policy]`: the thresholds that are a matter of taste. The others follow from the protocol and are not configured.

use std::time::Duration;

use komainu_watchdogs::policy::{Policy, Recovery};
use serde::Deserialize;

use super::fault::Faults;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Section {
    #[serde(deserialize_with = "super::duration::deserialize")]
    probe_interval: Option<Duration>,
    #[serde(deserialize_with = "super::duration::deserialize")]
    probe_timeout: Option<Duration>,
    failure_threshold: Option<u32>,
    recovery_threshold: Option<u32>,
    #[serde(deserialize_with = "super::duration::deserialize")]
    stall_grace: Option<Duration>,
    recovery: Option<RecoverySetting>,
    monitor_limit_per_node: Option<u32>,
    #[serde(deserialize_with = "super::duration::deserialize")]
    mute_limit: Option<Duration>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum RecoverySetting {
    Auto,
    Manual,
}

impl Section {
    pub(super) fn resolve(self, faults: &mut Faults) -> Option<Policy> {
        let default = Policy::default();
        let policy = Policy {
            probe_interval: self.probe_interval.unwrap_or(default.probe_interval),
            probe_timeout: self.probe_timeout.unwrap_or(default.probe_timeout),
            failure_threshold: self.failure_threshold.unwrap_or(default.failure_threshold),
            recovery_threshold: self.recovery_threshold.unwrap_or(default.recovery_threshold),
            stall_grace: self.stall_grace.unwrap_or(default.stall_grace),
            recovery: match self.recovery {
                Some(RecoverySetting::Auto) => Recovery::Auto,
                Some(RecoverySetting::Manual) => Recovery::Manual,
                None => default.recovery,
            },
            monitor_limit_per_node: self.monitor_limit_per_node.unwrap_or(default.monitor_limit_per_node),
            mute_limit: self.mute_limit.unwrap_or(default.mute_limit),
            ..default
        };
        match policy.validate() {
            Ok(()) => Some(policy),
            Err(fault) => {
                faults.add("policy", fault.field, fault.rule);
                None
            }
        }
    }
}
