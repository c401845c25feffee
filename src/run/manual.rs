//! Monitors of type `manual`: what somebody set in Kuma's UI.

use super::{RunResult, RunStatus};
use crate::store::monitors::MonitorSpec;

/// Kuma's codes of the column: 0 down, 1 up, 2 pending, 3 maintenance.
pub(super) fn run(monitor: &MonitorSpec) -> RunResult {
    let (status, msg) = match monitor.manual_status {
        None => (RunStatus::Pending, "Manual monitoring - No status set"),
        Some(0) => (RunStatus::Down, "Down"),
        Some(1) => (RunStatus::Up, "Up"),
        Some(3) => (RunStatus::Maintenance, "Pending"),
        Some(_) => (RunStatus::Pending, "Pending"),
    };
    // Nothing was asked that another try would answer differently.
    RunResult { ping_ms: Some(0), is_final: true, ..RunResult::new(status, msg) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_monitor_says_what_was_set() {
        let told = [None, Some(0), Some(1), Some(2)].map(|manual_status| {
            let result = run(&MonitorSpec { manual_status, ..MonitorSpec::default() });
            (result.status, result.msg)
        });
        let expected = [
            (RunStatus::Pending, "Manual monitoring - No status set"),
            (RunStatus::Down, "Down"),
            (RunStatus::Up, "Up"),
            (RunStatus::Pending, "Pending"),
        ];
        assert_eq!(told, expected.map(|(status, msg)| (status, msg.to_owned())));
    }
}
