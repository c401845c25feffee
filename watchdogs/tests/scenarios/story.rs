//! What a story says: things that happen to the world, and questions about what the core did and when.

use std::collections::BTreeSet;

use komainu_watchdogs::decision::{Commit, Decision, Move, Step};
use komainu_watchdogs::facts::{MonitorRow, NodeStatus, Overlay, Target, Vote};
use komainu_watchdogs::ids::{Generation, Incarnation, MonitorId, NodeId, WatchdogId};
use komainu_watchdogs::io::{Alarm, Announcement};
use komainu_watchdogs::time::Mono;
use komainu_watchdogs::view::View;

use super::cast::{Node, Peer};
use super::world::{Deed, World};

/// What happens.
impl World {
    pub(crate) fn node(&mut self, node: &str) -> &mut Node {
        self.nodes.get_mut(&NodeId::from(node)).unwrap()
    }

    pub(crate) fn peer(&mut self, watchdog: &str) -> &mut Peer {
        self.peers.get_mut(&WatchdogId::from(watchdog)).unwrap()
    }

    /// kill -9: it neither renews nor answers.
    pub(crate) fn kill(&mut self, node: &str) {
        self.node(node).renews = false;
        self.node(node).answers = false;
    }

    /// A new process of that name registers; the row must be vacant or its lease watched to the end.
    pub(crate) fn start(&mut self, node: &str) {
        let process = self.node(node);
        process.incarnation = Incarnation(process.incarnation.0 + 1_000);
        (process.renews, process.answers, process.acknowledges) = (true, true, true);
        let row = self.database.nodes.get_mut(&NodeId::from(node)).unwrap();
        let process = self.nodes.get_mut(&NodeId::from(node)).unwrap();
        process.register(row);
    }

    /// It stops on purpose and says so.
    pub(crate) fn stop_node(&mut self, node: &str) {
        self.kill(node);
        let row = self.database.node(node);
        row.incarnation = None;
        row.is_released = true;
    }

    /// Its lease stops, it still answers.
    pub(crate) fn stop_renewing(&mut self, node: &str) {
        self.node(node).renews = false;
    }

    /// Its own way to the database is gone, and it says so where it is asked.
    pub(crate) fn lose_database_of(&mut self, node: &str) {
        self.stop_renewing(node);
        self.node(node).is_blind = true;
    }

    /// Its lease goes on, nobody reaches it.
    pub(crate) fn cut_off(&mut self, node: &str) {
        self.node(node).answers = false;
    }

    /// Its loop hangs: all of its monitors are overdue.
    pub(crate) fn hang(&mut self, node: &str) {
        self.database.overdue.insert(node.into(), u32::MAX);
    }

    pub(crate) fn unhang(&mut self, node: &str) {
        self.database.overdue.remove(&NodeId::from(node));
    }

    /// This watchdog alone does not see it.
    pub(crate) fn blind(&mut self, node: &str) {
        self.blind_to.insert(Target::Node(node.into()));
    }

    pub(crate) fn says(&mut self, watchdog: &str, node: &str, vote: Vote) {
        self.peer(watchdog).says.insert(node.into(), vote);
    }

    /// The leader's process dies, and the server notices: its connections are closed.
    pub(crate) fn end_leader(&mut self, watchdog: &str) {
        self.peer(watchdog).lives = false;
        self.database.lock = None;
    }

    /// An operator binds it to the node it is on.
    pub(crate) fn pin(&mut self, monitor: i64) {
        self.database.monitors.get_mut(&MonitorId(monitor)).unwrap().pinned = true;
    }

    /// An operator, or a pipeline, writes a monitor's row.
    pub(crate) fn change(&mut self, monitor: i64, act: impl FnOnce(&mut MonitorRow)) {
        act(self.database.monitors.get_mut(&MonitorId(monitor)).unwrap());
    }

    pub(crate) fn drain(&mut self, node: &str) {
        self.database.node(node).overlay = Overlay::Draining;
    }
}

/// What is asked.
impl World {
    pub(crate) fn generation(&self) -> Generation {
        self.database.cluster.stamp.generation
    }

    pub(crate) fn status(&self, node: &str) -> NodeStatus {
        self.database.nodes.get(&NodeId::from(node)).unwrap().status
    }

    pub(crate) fn overlay(&self, node: &str) -> Overlay {
        self.database.nodes.get(&NodeId::from(node)).unwrap().overlay
    }

    pub(crate) fn monitors_of(&self, node: &str) -> usize {
        let node = Some(NodeId::from(node));
        self.database.monitors.values().filter(|monitor| monitor.effective == node).count()
    }

    /// Monitors per node, in the order of their names.
    pub(crate) fn spread(&self) -> Vec<usize> {
        self.nodes.keys().map(|node| self.monitors_of(node.as_str())).collect()
    }

    pub(crate) fn nobodys(&self) -> usize {
        self.database.monitors.values().filter(|monitor| monitor.effective.is_none()).count()
    }

    pub(crate) fn view(&self) -> View {
        self.core.view(self.now)
    }

    /// Decisions that were carried out.
    pub(crate) fn done(&self) -> Vec<(Mono, &Decision)> {
        let mut done = Vec::new();
        for (at, deed) in &self.deeds {
            if let Deed::Committed(decision, Commit::Done { .. }) = deed {
                done.push((*at, decision));
            }
        }
        done
    }

    /// Steps that were carried out.
    pub(crate) fn steps(&self) -> Vec<(Mono, &Move)> {
        let steps =
            self.done().into_iter().flat_map(|(at, decision)| decision.moves.iter().map(move |step| (at, step)));
        steps.collect()
    }

    /// When the first monitor took that step away from that node.
    pub(crate) fn left_at(&self, node: &str, step: Step) -> Option<Mono> {
        let node = Some(NodeId::from(node));
        self.steps().into_iter().find(|(_, one)| one.from == node && one.step == step).map(|(at, _)| at)
    }

    pub(crate) fn has_moved_anything(&self) -> bool {
        !self.steps().is_empty()
    }

    /// When that node's lease was taken away.
    pub(crate) fn revoked_at(&self, node: &str) -> Option<Mono> {
        let node = NodeId::from(node);
        let is_it = |decision: &Decision| decision.revokes.iter().any(|revoke| revoke.node == node);
        self.done().into_iter().find(|(_, decision)| is_it(decision)).map(|(at, _)| at)
    }

    /// When the leader first gave that node that status.
    pub(crate) fn became_at(&self, node: &str, status: NodeStatus) -> Option<Mono> {
        let node = NodeId::from(node);
        let is_it =
            |decision: &Decision| decision.statuses.iter().any(|change| change.node == node && change.status == status);
        self.done().into_iter().find(|(_, decision)| is_it(decision)).map(|(at, _)| at)
    }

    pub(crate) fn raises(&self, key: &str) -> Vec<(Mono, &Alarm)> {
        self.all_raises().into_iter().filter(|(_, alarm)| alarm.key == key).collect()
    }

    pub(crate) fn raised_at(&self, key: &str) -> Option<Mono> {
        self.raises(key).first().map(|(at, _)| *at)
    }

    /// The keys of everything that was raised so far, once each.
    pub(crate) fn raised(&self) -> Vec<&str> {
        let keys: BTreeSet<_> = self.all_raises().into_iter().map(|(_, alarm)| alarm.key.as_str()).collect();
        keys.into_iter().collect()
    }

    fn all_raises(&self) -> Vec<(Mono, &Alarm)> {
        let mut raises = Vec::new();
        for (at, deed) in &self.deeds {
            if let Deed::Raised(alarm) = deed {
                raises.push((*at, alarm));
            }
        }
        raises
    }

    pub(crate) fn resolved_at(&self, key: &str) -> Option<Mono> {
        self.when(|deed| matches!(deed, Deed::Resolved(resolved) if resolved == key))
    }

    pub(crate) fn when(&self, is_it: impl Fn(&Deed) -> bool) -> Option<Mono> {
        self.deeds.iter().find(|(_, deed)| is_it(deed)).map(|(at, _)| *at)
    }

    pub(crate) fn said(&self) -> Vec<&Announcement> {
        let mut said = Vec::new();
        for (_, deed) in &self.deeds {
            if let Deed::Announced(announcement) = deed {
                said.push(announcement);
            }
        }
        said
    }
}

/// It happened, and between these two seconds.
#[track_caller]
pub(crate) fn assert_between(happened: Option<Mono>, from_secs: u64, to_secs: u64) {
    let within = happened.is_some_and(|at| at >= Mono::secs(from_secs) && at <= Mono::secs(to_secs));
    assert!(within, "{happened:?} is not between {from_secs} s and {to_secs} s");
}
