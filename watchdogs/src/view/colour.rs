//! The colour of the whole, and why.
//!
//! Down, which is 503, exactly when watching does not really happen; degraded while something is missing. Each reason is
//! one sentence, and each thing is said once.

use std::time::Duration;

use super::{DatabaseView, Health, MonitorsView, NodeView, View};
use crate::assess::Beats;
use crate::doubt;
use crate::facts::{Mode, NodeStatus};
use crate::ids::NodeId;
use crate::status::Lease;
use crate::time::Mono;
use crate::watchdog::Watchdog;

impl Watchdog {
    /// Nodes that hold their leases, are said to run monitors, and of which none beats.
    fn silent_nodes(&self, view: &View) -> Vec<NodeId> {
        let is_silent = |node: &&NodeView| {
            let seen = self.assessor.of(&node.node_id);
            runs(node) && seen.is_some_and(|seen| seen.lease == Lease::Fresh && seen.beats == Beats::None)
        };
        view.nodes.iter().filter(is_silent).map(|node| node.node_id.clone()).collect()
    }

    /// 503 exactly when watching does not really happen.
    pub(super) fn colour(&self, now: Mono, view: &mut View) {
        let voters = self.voters();
        let mut down = Vec::new();
        if view.database == DatabaseView::Down {
            down.push("the database took no write for three intervals".to_owned());
        }
        let verdict_age = self.verdict_at().map_or(Duration::MAX, |at| now.since(at));
        if verdict_age >= self.policy.verdict_limit() {
            down.push("there was no verdict for three intervals".to_owned());
        } else if !self.has_watched {
            down.push("the leases of the nodes have not been watched long enough yet".to_owned());
        }
        if !voters.is_majority() {
            down.push(format!("{} of {} watchdogs live: no majority", voters.living, voters.registered));
        }
        // A cluster without any node, and without anything that one would run, watches with its own eyes and hears heartbeats.
        let has_work = !view.nodes.is_empty() || view.monitors.active > 0;
        if has_work && !view.nodes.iter().any(runs) {
            down.push("no node is online".to_owned());
        }
        if view.monitors.orphaned > 0 {
            down.push(orphaned_text(view));
        }
        let silent = self.silent_nodes(view);
        let mut degraded = Vec::new();
        if !silent.is_empty() {
            let is_all = silent.len() == view.nodes.iter().filter(|node| node.monitors > 0).count();
            degraded.push(silence_text(&silent, is_all));
        }
        if view.frozen {
            degraded.push("frozen: nothing moves by itself".to_owned());
        }
        if self.is_leaderless(now) {
            degraded.push("no watchdog leads".to_owned());
        }
        let sees_foreign = self.round.as_ref().is_some_and(|round| !self.foreign.nodes(now, round).is_empty());
        if sees_foreign || view.incidents.iter().any(|incident| incident.key == "foreign-runner") {
            degraded.push("another program runs monitors or writes statuses: nothing moves by itself".to_owned());
        }
        if view.database == DatabaseView::Failing {
            degraded.push("the database is failing".to_owned());
        }
        degraded.extend(self.slowness.reason());
        degraded.extend(self.errands.upkeep.reasons());
        let ill = view.nodes.iter().filter(|node| !matches!(node.status, NodeStatus::Online | NodeStatus::New));
        degraded.extend(ill.map(|node| format!("node {} is {}", node.node_id, node.status.as_str())));
        degraded.extend(doubt::texts(&view.waiting));
        let silent = view.watchdogs.iter().filter(|one| matches!(one.status, "down" | "isolated"));
        degraded.extend(silent.map(|one| format!("watchdog {} is {}", one.watchdog_id, one.status)));
        view.status = match (down.is_empty(), degraded.is_empty()) {
            (false, _) => Health::Down,
            (true, false) => Health::Degraded,
            (true, true) => Health::Ok,
        };
        view.reasons = down.into_iter().chain(degraded).collect();
    }
}

/// Not down yet: they may all wait for targets that hang. What is overdue makes their nodes stalled.
fn silence_text(silent: &[NodeId], is_all: bool) -> String {
    let names: Vec<_> = silent.iter().map(NodeId::as_str).collect();
    let what = if is_all { "nothing beats at all" } else { "nothing beats there" };
    format!("{what}: no monitor of {} has a beat that is as new as its interval and 10 s", names.join(", "))
}

fn runs(node: &NodeView) -> bool {
    node.status == NodeStatus::Online && node.lease != Lease::Ended.as_str()
}

fn orphaned_text(view: &View) -> String {
    let MonitorsView { orphaned, unplaceable, .. } = view.monitors;
    let why = match (view.mode, unplaceable) {
        (Mode::Observe, _) => "; komainu only observes until `komainu adopt`".to_owned(),
        (Mode::Active, 0) => String::new(),
        (Mode::Active, some) => format!("; {some} of them are of a type that no node can run"),
    };
    format!("{orphaned} active monitors have had no living owner for too long{why}")
}
