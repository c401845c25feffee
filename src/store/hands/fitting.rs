//! Whether a node can be asked to run a monitor: it runs the type, and bears every label the monitor asks for.

use komainu_watchdogs::ids::MonitorId;

use super::{MonitorFault, Target, WhyNot};

/// Why this monitor cannot be there.
pub(super) fn fault(target: &Target, monitor: MonitorId, kind: &str, run_on: &[String]) -> Option<MonitorFault> {
    let node = || target.node.clone();
    if !target.kinds.is_empty() && !target.kinds.iter().any(|one| one == kind) {
        return Some(MonitorFault { monitor, why: WhyNot::Kind { kind: kind.to_owned(), node: node() } });
    }
    let missing: Vec<String> = run_on.iter().filter(|label| !target.labels.contains(label)).cloned().collect();
    if missing.is_empty() {
        None
    } else {
        Some(MonitorFault { monitor, why: WhyNot::Labels { missing, node: node() } })
    }
}
