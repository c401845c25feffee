//! What is worth a line: losses, votes, moves, first beats, leaders, returns.
//!
//! A pure machine: told what was seen, it says lines. A failover is told in at most five of them: the loss, the verdict
//! (twice when it changes its mind), the moves, the beats.

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Wall;

use super::observer::{Leader, NodeStatus, Owners, Status, WatchdogStatus};

/// A first beat elsewhere cannot be older than the move, seen at most so long after it was made.
const SEEN_LATE_MS: i64 = 1_500;

/// Verdicts told of one loss.
const MOST_VERDICTS: u32 = 2;

/// A node that was lost, until it runs its monitors again.
#[derive(Debug)]
struct Loss {
    at: Wall,
    /// What it ran then.
    monitors: BTreeSet<MonitorId>,
    verdicts: u32,
    /// When its monitors had all been moved.
    moved_at: Option<Wall>,
    /// Moved, and not seen beating yet.
    waiting: BTreeSet<MonitorId>,
    last_first_beat: Wall,
    is_back: bool,
}

/// What is known so far.
#[derive(Debug)]
pub(super) struct Narrator {
    leader: Option<Leader>,
    nodes: BTreeMap<String, String>,
    watchdogs: BTreeMap<String, String>,
    /// Watchdogs that are lost, and since when.
    silent: BTreeMap<String, Wall>,
    owners: Owners,
    losses: BTreeMap<String, Loss>,
}

impl Narrator {
    pub(super) fn new(status: &Status, owners: Owners) -> Self {
        let nodes = status.nodes.iter().map(|node| (node.node_id.clone(), node.status.clone()));
        let watchdogs = status.watchdogs.iter().map(|watchdog| (watchdog.watchdog_id.clone(), watchdog.status.clone()));
        Self {
            leader: status.leader.clone(),
            nodes: nodes.collect(),
            watchdogs: watchdogs.collect(),
            silent: BTreeMap::new(),
            owners,
            losses: BTreeMap::new(),
        }
    }

    /// A process ended.
    pub(super) fn died(&mut self, name: &str, how: &str, at: Wall) -> Vec<String> {
        if self.nodes.contains_key(name) {
            let loss = self.lose(name, at);
            return vec![format!("{name} lost: {how}; it ran {} monitors", loss.monitors.len())];
        }
        self.silent.insert(name.to_owned(), at);
        let left = self.watchdogs.len().saturating_sub(self.silent.len());
        vec![format!("{name} lost: {how}; {left} of {} watchdogs left", self.watchdogs.len())]
    }

    /// What the watchdogs say now.
    pub(super) fn seen(&mut self, status: &Status, at: Wall) -> Vec<String> {
        let mut lines = self.see_leader(status, at);
        for watchdog in &status.watchdogs {
            lines.extend(self.see_watchdog(watchdog, at));
        }
        let epoch = status.leader.as_ref().map_or(0, |leader| leader.epoch);
        for node in &status.nodes {
            lines.extend(self.see_node(node, epoch, at));
        }
        lines
    }

    fn see_leader(&mut self, status: &Status, at: Wall) -> Vec<String> {
        let Some(leader) = status.leader.clone() else { return Vec::new() };
        if self.leader.as_ref().is_some_and(|known| known.epoch >= leader.epoch) {
            return Vec::new();
        }
        let before = self.leader.replace(leader.clone());
        let lost = before.and_then(|before| Some((self.silent.get(&before.watchdog_id).copied()?, before.watchdog_id)));
        let since = lost.map(|(since, name)| format!(", {} after {name} was lost", seconds(at, since)));
        vec![format!("{} leads now, epoch {}{}", leader.watchdog_id, leader.epoch, since.unwrap_or_default())]
    }

    fn see_watchdog(&mut self, watchdog: &WatchdogStatus, at: Wall) -> Option<String> {
        let name = &watchdog.watchdog_id;
        let before = self.watchdogs.insert(name.clone(), watchdog.status.clone()).unwrap_or_default();
        match (before.as_str(), watchdog.status.as_str()) {
            // Its end was told already when it died.
            ("up", "down") if !self.silent.contains_key(name) => {
                self.silent.insert(name.clone(), at);
                Some(format!("{name} is silent: its row stands still"))
            }
            (before, "up") if before != "up" => {
                self.silent.remove(name);
                Some(format!("{name} watches"))
            }
            _ => None,
        }
    }

    fn see_node(&mut self, node: &NodeStatus, epoch: u64, at: Wall) -> Option<String> {
        let name = &node.node_id;
        let before = self.nodes.insert(name.clone(), node.status.clone());
        if before.as_deref() == Some(node.status.as_str()) {
            return self.see_home(node);
        }
        match node.status.as_str() {
            "online" => self.see_return(node),
            "offline" | "stalled" | "unreachable" => {
                let last_seen = node.last_seen_ms.map_or(at, Wall);
                let loss = self.lose(name, last_seen);
                loss.verdicts += 1;
                let (down, of) = node.votes_down;
                let reach = if node.reach == "down" { "unreachable" } else { "reachable" };
                let is_news = loss.verdicts <= MOST_VERDICTS;
                let (status, lease) = (&node.status, lease_words(&node.lease));
                is_news.then(|| format!("{name} is {status}: {lease}, {reach} ({down} of {of} votes), epoch {epoch}"))
            }
            _ => None,
        }
    }

    fn see_return(&mut self, node: &NodeStatus) -> Option<String> {
        let loss = self.losses.get_mut(&node.node_id)?;
        loss.is_back = true;
        if node.home_monitors == 0 {
            self.losses.remove(&node.node_id);
            return Some(format!("{} is back", node.node_id));
        }
        Some(format!("{} is back; its {} monitors come home after a cool-off", node.node_id, node.home_monitors))
    }

    fn see_home(&mut self, node: &NodeStatus) -> Option<String> {
        let is_home = node.status == "online" && node.home_monitors > 0 && node.monitors >= node.home_monitors;
        let is_awaited = self.losses.get(&node.node_id).is_some_and(|loss| loss.is_back);
        if !is_home || !is_awaited {
            return None;
        }
        self.losses.remove(&node.node_id);
        Some(format!("{} runs its {} monitors again", node.node_id, node.monitors))
    }

    /// Who runs what, after a change of the assignment.
    pub(super) fn placed(&mut self, owners: Owners, at: Wall) -> Vec<String> {
        self.owners = owners;
        let owners = &self.owners;
        let open = self.losses.iter_mut().filter(|(_, loss)| loss.moved_at.is_none() && !loss.monitors.is_empty());
        open.filter_map(|(name, loss)| {
            let mut moved: BTreeMap<&str, u32> = BTreeMap::new();
            for monitor in &loss.monitors {
                // Deleted meanwhile: nobody has to run it.
                let Some(owner) = owners.get(monitor) else { continue };
                let owner = owner.as_ref().filter(|owner| owner.as_str() != name)?;
                *moved.entry(owner.as_str()).or_default() += 1;
            }
            loss.moved_at = Some(at);
            loss.waiting = loss.monitors.iter().filter(|monitor| owners.contains_key(monitor)).copied().collect();
            let shares: Vec<String> = moved.iter().map(|(node, count)| format!("{node} +{count}")).collect();
            Some(format!("{} monitors of {name} moved: {}", loss.waiting.len(), shares.join(", ")))
        })
        .collect()
    }

    /// Monitors whose first beat elsewhere is awaited.
    pub(super) fn awaited(&self) -> Vec<MonitorId> {
        self.losses.values().flat_map(|loss| loss.waiting.iter().copied()).collect()
    }

    /// When each monitor last beat.
    pub(super) fn beaten(&mut self, beats: &BTreeMap<MonitorId, Wall>) -> Vec<String> {
        let waiting = self.losses.iter_mut().filter(|(_, loss)| !loss.waiting.is_empty());
        waiting
            .filter_map(|(name, loss)| {
                let not_before = loss.at.max(Wall(loss.moved_at?.0 - SEEN_LATE_MS));
                loss.waiting.retain(|monitor| {
                    let beat = beats.get(monitor).copied().filter(|beat| *beat > not_before);
                    loss.last_first_beat = loss.last_first_beat.max(beat.unwrap_or_default());
                    beat.is_none()
                });
                let is_done = loss.waiting.is_empty();
                let span = seconds(loss.last_first_beat, loss.at);
                is_done.then(|| {
                    format!("all {} beat again, the last of them {span} after {name} was lost", loss.monitors.len())
                })
            })
            .collect()
    }

    /// The loss of a node, as it stands or as it begins.
    fn lose(&mut self, name: &str, at: Wall) -> &mut Loss {
        let owned = self.owners.iter().filter(|(_, owner)| owner.as_ref().is_some_and(|owner| owner.as_str() == name));
        let monitors: BTreeSet<MonitorId> = owned.map(|(monitor, _)| *monitor).collect();
        // One that came back and is lost again begins anew.
        self.losses.retain(|lost, loss| lost != name || !loss.is_back);
        self.losses.entry(name.to_owned()).or_insert(Loss {
            at,
            monitors,
            verdicts: 0,
            moved_at: None,
            waiting: BTreeSet::new(),
            last_first_beat: Wall::default(),
            is_back: false,
        })
    }
}

/// A lease that was taken away is nobody's, and watched no more.
fn lease_words(lease: &str) -> String {
    if lease == "unknown" { "lease revoked".to_owned() } else { format!("lease {lease}") }
}

fn seconds(later: Wall, earlier: Wall) -> String {
    let millis = later.since(earlier).as_millis();
    format!("{}.{} s", millis / 1_000, millis % 1_000 / 100)
}

#[cfg(test)]
mod tests {
    use komainu_watchdogs::ids::NodeId;
    use serde_json::json;

    use super::*;

    fn status(epoch: u64, leader: &str, nodes: &[(&str, &str, u32)]) -> Status {
        let nodes: Vec<_> = nodes
            .iter()
            .map(|(id, status, monitors)| {
                let lost = *status != "online";
                json!({
                    "node_id": id, "status": status, "monitors": monitors, "home_monitors": 2, "last_seen_ms": 9_000,
                    "reach": if lost { "down" } else { "up" }, "lease": if lost { "ended" } else { "fresh" },
                    "votes_down": if lost { (3, 3) } else { (0, 3) }
                })
            })
            .collect();
        let watchdogs = ["w1", "w2", "w3"].map(|id| json!({"watchdog_id": id, "status": "up"}));
        let leader = json!({"watchdog_id": leader, "epoch": epoch});
        serde_json::from_value(json!({"leader": leader, "nodes": nodes, "watchdogs": watchdogs, "checked_at": 1}))
            .unwrap()
    }

    fn owners(nodes: [&str; 4]) -> Owners {
        (1..).zip(nodes).map(|(id, node)| (MonitorId(id), Some(NodeId::from(node)))).collect()
    }

    fn calm() -> Status {
        status(7, "w1", &[("node1", "online", 2), ("node2", "online", 1), ("node3", "online", 1)])
    }

    fn beats(times: [i64; 4]) -> BTreeMap<MonitorId, Wall> {
        (1..).zip(times).map(|(id, time)| (MonitorId(id), Wall(time))).collect()
    }

    #[test]
    fn a_failover_is_told_in_four_lines() {
        let mut narrator = Narrator::new(&calm(), owners(["node1", "node1", "node2", "node3"]));
        let mut told = narrator.died("node1", "killed (signal 9)", Wall(10_000));
        let lost = status(7, "w1", &[("node1", "offline", 0), ("node2", "online", 2), ("node3", "online", 2)]);
        told.extend(narrator.seen(&lost, Wall(21_000)));
        told.extend(narrator.placed(owners(["node2", "node3", "node2", "node3"]), Wall(21_100)));
        assert_eq!(narrator.awaited(), [MonitorId(1), MonitorId(2)]);
        told.extend(narrator.beaten(&beats([22_000, 9_900, 22_000, 22_000])));
        told.extend(narrator.beaten(&beats([32_000, 24_500, 22_000, 22_000])));
        told.extend(narrator.seen(&lost, Wall(30_000)));
        assert_eq!(
            told,
            [
                "node1 lost: killed (signal 9); it ran 2 monitors",
                "node1 is offline: lease ended, unreachable (3 of 3 votes), epoch 7",
                "2 monitors of node1 moved: node2 +1, node3 +1",
                "all 2 beat again, the last of them 14.5 s after node1 was lost",
            ]
        );
        assert_eq!(narrator.awaited(), []);
    }

    #[test]
    fn a_node_that_comes_back_gets_two_lines() {
        let mut narrator = Narrator::new(&calm(), owners(["node1", "node1", "node2", "node3"]));
        narrator.died("node1", "killed (signal 9)", Wall(10_000));
        narrator.seen(&status(7, "w1", &[("node1", "offline", 0)]), Wall(21_000));
        let mut told = narrator.seen(&status(7, "w1", &[("node1", "online", 0)]), Wall(40_000));
        told.extend(narrator.seen(&status(7, "w1", &[("node1", "online", 1)]), Wall(70_000)));
        told.extend(narrator.seen(&status(7, "w1", &[("node1", "online", 2)]), Wall(71_000)));
        told.extend(narrator.seen(&status(7, "w1", &[("node1", "online", 2)]), Wall(72_000)));
        assert_eq!(
            told,
            ["node1 is back; its 2 monitors come home after a cool-off", "node1 runs its 2 monitors again"]
        );
    }

    #[test]
    fn a_new_leader_is_told_with_the_time_it_took() {
        let mut narrator = Narrator::new(&calm(), Owners::new());
        let mut told = narrator.died("w1", "killed (signal 9)", Wall(10_000));
        told.extend(narrator.seen(&status(8, "w3", &[]), Wall(11_900)));
        told.extend(narrator.seen(&calm(), Wall(12_000)));
        assert_eq!(
            told,
            ["w1 lost: killed (signal 9); 2 of 3 watchdogs left", "w3 leads now, epoch 8, 1.9 s after w1 was lost"]
        );
    }

    #[test]
    fn a_frozen_node_is_lost_when_it_last_renewed() {
        let mut narrator = Narrator::new(&calm(), owners(["node1", "node2", "node2", "node3"]));
        narrator.seen(&status(7, "w1", &[("node1", "stalled", 1)]), Wall(21_000));
        narrator.placed(owners(["node2", "node2", "node2", "node3"]), Wall(51_000));
        let told = narrator.beaten(&beats([52_000, 1, 1, 1]));
        assert_eq!(told, ["all 1 beat again, the last of them 43.0 s after node1 was lost"]);
    }
}
