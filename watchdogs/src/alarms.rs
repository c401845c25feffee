//! What is wrong right now, in one sentence each.
//!
//! A pure function of what one watchdog knows. Each kind has its anchor in the runbook; when an incident opens and ends
//! is [`crate::incident`]'s business.

use std::collections::{BTreeMap, BTreeSet};

use crate::assess::Assessment;
use crate::clocks::CLOCK_OFF;
use crate::decision::StatusReason;
use crate::facts::{NodeStatus, WatchdogRow};
use crate::failover::{Misfit, Situation};
use crate::ids::{NodeId, WatchdogId};
use crate::io::{Alarm, Severity};
use crate::outbox::SO_FAR;
use crate::refill::registering;
use crate::roster::Voters;

/// The kinds of incident that are raised, and called over, by what is found here. All others belong to somebody else.
pub const KINDS: [&str; 12] = [
    "nodes",
    "node",
    "progress",
    "disagreement",
    "watchdog",
    "leader",
    "isolation",
    "capacity",
    "foreign-runner",
    "upkeep",
    "clock",
    // Entered when it is over: whoever reads it open sees that the database is back.
    "database",
];

/// Of the kind `disagreement`, those about monitors: who asked the watchdogs for a second opinion raises them, and calls them over.
pub const NOT_OF_ROUNDS: &str = "disagreement/monitor/";

/// Whether this incident is raised, and called over, by what is found here.
pub fn is_of_rounds(key: &str) -> bool {
    let kind = key.split_once('/').map_or(key, |(kind, _)| kind);
    KINDS.contains(&kind) && !key.starts_with(NOT_OF_ROUNDS)
}

/// A renewal may have been on its way when the node was found unreachable.
const RENEWALS_SEEN: u64 = 2;

/// What the alarms are made of, beyond the situation of the nodes.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The watchdogs whose votes count.
    pub voters: &'a Voters,
    /// Watchdogs that are registered and whose rows stand still.
    pub silent: &'a [WatchdogRow],
    /// Nobody has led for longer than the grace.
    pub is_leaderless: bool,
    /// Nodes that run more than their capacity, because there is no room for it anywhere.
    pub overloaded: &'a BTreeSet<NodeId>,
    /// Active monitors that no node fits.
    pub misfits: &'a BTreeMap<Misfit, u32>,
    /// Nodes whose monitors or status somebody else writes.
    pub foreign: &'a BTreeSet<NodeId>,
    /// Nodes whose clocks are off the database's, each by how many milliseconds it is ahead.
    pub clocks: &'a BTreeMap<NodeId, i64>,
    /// This watchdog, for marking a lone voice.
    pub me: &'a WatchdogId,
}

/// Everything that is wrong now.
pub fn alarms(situation: &Situation<'_>, around: &Surroundings<'_>) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    alarms.extend(nodes(situation));
    alarms.extend(watchdogs(around));
    alarms.extend(cluster(around));
    alarms.extend(clocks(situation, around.clocks));
    if around.voters.is_sole_witness() {
        for alarm in &mut alarms {
            alarm.summary = format!("{} (sole witness: {})", alarm.summary, around.me);
        }
    }
    alarms
}

fn critical(key: String, summary: String, votes: (u32, u32)) -> Alarm {
    Alarm { key, severity: Severity::Critical, summary, votes }
}

fn warning(key: String, summary: String, votes: (u32, u32)) -> Alarm {
    Alarm { key, severity: Severity::Warning, summary, votes }
}

fn nodes(situation: &Situation<'_>) -> Vec<Alarm> {
    let known: Vec<_> = situation
        .round
        .nodes
        .iter()
        .filter_map(|row| Some((&row.node, situation.assessor.of(&row.node)?)))
        .filter(|(_, node)| node.status != NodeStatus::New)
        .collect();
    // What stands written of a node of which nothing can be said now may be long over.
    let may_run =
        |node: &Assessment| !node.is_decided || matches!(node.status, NodeStatus::Online | NodeStatus::Unreachable);
    let are_all_down = !known.is_empty() && !known.iter().any(|(_, node)| may_run(node));
    if are_all_down {
        let summary = format!("none of the {} nodes is running monitors; nothing can be moved", known.len());
        return vec![critical("nodes".to_owned(), summary, (0, 0))];
    }
    let both = |(id, node): &(&NodeId, &Assessment)| [node_alarm(situation, id, node), disagreement(id, node)];
    known.iter().flat_map(both).flatten().collect()
}

/// A host that vanished counts as one that answers until it failed to often enough. One that was started anew answers at
/// once, and has its row when it has watched the former lease to its end: of that nobody is woken a second time.
fn certainly_answers(situation: &Situation<'_>, node: &Assessment) -> bool {
    let Situation { now, policy, .. } = situation;
    let asking = policy.probe_timeout + policy.retry_interval;
    let until_down = policy.probe_interval + asking * policy.failure_threshold + policy.round_interval;
    // The last renewal that was seen is older by as long as the lease was watched.
    let silent_for = node.ended_since.map(|since| now.since(since) + policy.lease_watch).unwrap_or_default();
    let reached_for = node.reached_since.map(|since| now.since(since)).unwrap_or_default();
    let registering = registering(policy);
    silent_for >= until_down + registering && reached_for >= registering
}

fn node_alarm(situation: &Situation<'_>, id: &NodeId, node: &Assessment) -> Option<Alarm> {
    if !node.is_decided {
        return None;
    }
    let (down, voters) = node.votes_down;
    let (is_progress, summary) = match (node.status, node.reason) {
        (NodeStatus::New | NodeStatus::Online, _) => return None,
        // One that was killed renews no more: nobody is told first that it runs.
        (NodeStatus::Unreachable, _) if node.renewals_unreached < RENEWALS_SEEN => return None,
        (NodeStatus::Unreachable, _) => {
            let text = format!(
                "node {id} runs its monitors, but {down} of {voters} watchdogs cannot reach it; people are routed away"
            );
            return Some(warning(format!("node/{id}"), text, node.votes_down));
        }
        (NodeStatus::Stalled, StatusReason::NoProgress) if node.overdue == 0 => {
            (true, format!("node {id} made no progress and was emptied: start it anew, or recover it"))
        }
        (NodeStatus::Stalled, StatusReason::NoProgress) => {
            (true, format!("node {id} renews its lease, but {} of its monitors are overdue", node.overdue))
        }
        (_, StatusReason::Released) => (false, format!("node {id} stopped")),
        (_, StatusReason::ProcessGone) => {
            let text = format!(
                "node {id} is offline: its process is gone, its port refuses {down} of {voters} watchdogs and its database session ended"
            );
            (false, text)
        }
        (NodeStatus::Stalled, _) if certainly_answers(situation, node) => {
            (false, format!("node {id} answers, but its lease ended"))
        }
        (NodeStatus::Stalled, _) => {
            let text = format!("the lease of node {id} ended; {down} of {voters} watchdogs cannot reach it {SO_FAR}");
            (false, text)
        }
        (NodeStatus::Offline, _) => {
            (false, format!("node {id} is offline: lease ended, {down} of {voters} watchdogs cannot reach it"))
        }
    };
    let kind = if is_progress { "progress" } else { "node" };
    Some(critical(format!("{kind}/{id}"), summary, node.votes_down))
}

fn disagreement(id: &NodeId, node: &Assessment) -> Option<Alarm> {
    let (down, voters) = node.votes_down;
    node.is_disputed.then(|| {
        let text = format!("{down} of {voters} watchdogs cannot reach node {id}, the others can");
        warning(format!("disagreement/{id}"), text, node.votes_down)
    })
}

fn watchdogs(around: &Surroundings<'_>) -> Vec<Alarm> {
    let living =
        (u32::try_from(around.voters.living).unwrap_or(0), u32::try_from(around.voters.registered).unwrap_or(0));
    let severity = if around.voters.is_majority() { Severity::Warning } else { Severity::Critical };
    let silent = around.silent.iter().map(|row| Alarm {
        key: format!("watchdog/{}", row.watchdog),
        severity,
        summary: format!("watchdog {} is silent; {} of {} are watching", row.watchdog, living.0, living.1),
        votes: living,
    });
    silent.collect()
}

fn cluster(around: &Surroundings<'_>) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    if around.is_leaderless {
        alarms.push(critical("leader".to_owned(), "no watchdog leads; no monitor can be moved".to_owned(), (0, 0)));
    }
    if around.voters.is_suspended() {
        let text = format!(
            "only {} of {} watchdogs reach the world; nothing is judged by reach",
            around.voters.voting.len(),
            around.voters.living
        );
        alarms.push(critical("isolation".to_owned(), text, (0, 0)));
    }
    if !around.misfits.is_empty() {
        alarms.push(misfits(around.misfits));
    } else if !around.overloaded.is_empty() {
        let names: Vec<_> = around.overloaded.iter().map(NodeId::as_str).collect();
        let text = format!("no room is left: {} run more monitors than their capacity", names.join(", "));
        alarms.push(warning("capacity".to_owned(), text, (0, 0)));
    }
    if !around.foreign.is_empty() {
        let names: Vec<_> = around.foreign.iter().map(NodeId::as_str).collect();
        let text = format!(
            "another program runs monitors of, or writes the status of, {}; automatic moves are stopped",
            names.join(", ")
        );
        alarms.push(critical("foreign-runner".to_owned(), text, (0, 0)));
    }
    alarms
}

/// One alarm for each node; where all are off alike, the clock that is wrong is the database's.
fn clocks(situation: &Situation<'_>, off: &BTreeMap<NodeId, i64>) -> Vec<Alarm> {
    let is_living = |node: &NodeId| situation.assessor.of(node).is_some_and(|node| runs(node.status));
    let off: Vec<_> = off.iter().filter(|(node, _)| is_living(node)).collect();
    let living = situation.round.nodes.iter().filter(|row| is_living(&row.node)).count();
    let bounds = off.iter().map(|(_, ahead)| **ahead).min().zip(off.iter().map(|(_, ahead)| **ahead).max());
    let are_alike = bounds.is_some_and(|(least, most)| u128::from(most.abs_diff(least)) <= CLOCK_OFF.as_millis());
    if off.len() == living && off.len() > 1 && are_alike {
        let by = off.first().map_or_else(String::new, |(_, ahead)| off_by(ahead.saturating_neg()));
        let text = format!("the database's clock is {by} all nodes' clocks; deadlines and pauses go by it");
        return vec![warning("clock/database".to_owned(), text, (0, 0))];
    }
    let one = |(node, ahead): (&NodeId, &i64)| {
        let text = format!("the clock of node {node} is {} the database's", off_by(*ahead));
        warning(format!("clock/{node}"), text, (0, 0))
    };
    off.into_iter().map(one).collect()
}

fn runs(status: NodeStatus) -> bool {
    matches!(status, NodeStatus::Online | NodeStatus::Unreachable)
}

/// Rounded to minutes where seconds say nothing: the text changes only when it matters.
fn off_by(ahead_ms: i64) -> String {
    let seconds = ahead_ms.unsigned_abs().div_ceil(1_000);
    let span = if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds / 60) };
    format!("{span} {}", if ahead_ms < 0 { "behind" } else { "ahead of" })
}

/// What nobody runs is urgent; what runs on a node without its labels is watched.
fn misfits(misfits: &BTreeMap<Misfit, u32>) -> Alarm {
    let list = |is_unwatched: bool| {
        let some = misfits.iter().filter(|(misfit, _)| misfit.is_unwatched == is_unwatched);
        let words = some.map(|(misfit, monitors)| match misfit.run_on.as_slice() {
            [] => format!("{monitors} {}", misfit.kind),
            labels => format!("{monitors} {} with run_on {}", misfit.kind, labels.join(" + ")),
        });
        words.collect::<Vec<_>>().join(", ")
    };
    let key = "capacity".to_owned();
    match (list(true), list(false)) {
        (unwatched, misplaced) if unwatched.is_empty() => {
            let text =
                format!("no node that takes monitors bears the labels of these; they stay where they run: {misplaced}");
            warning(key, text, (0, 0))
        }
        (unwatched, _) => critical(key, format!("no node can run these active monitors: {unwatched}"), (0, 0)),
    }
}
