//! Liveness while things go wrong: with a majority of watchdogs spared and a database that works, what a lost node ran
//! beats elsewhere within the bounds of the design, whatever else fails meanwhile.
//!
//! Each loss of a node is watched by itself. What makes a longer bound right (the node comes back half-way, the leader is
//! lost too, most nodes are lost together) is added to it; a monitor that is lost a second time belongs to the later loss.

use komainu_watchdogs::facts::{NodeStatus, Overlay};
use komainu_watchdogs::view::Health;

use super::events::{SEC, Time, Who};
use super::world::{Life, World};

/// What befell a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Blow {
    /// Its process was killed or stopped: whoever asks is refused at once.
    Killed,
    /// Nothing of it answers any more.
    Vanished,
    /// It answers, but reaches no database.
    Mute,
    /// It renews, but its run loop hangs.
    Hung,
    /// A process of it is back.
    Back,
}

impl Blow {
    /// The design's failover bound, from the event to the first beats elsewhere.
    fn bound(self) -> Time {
        match self {
            Self::Killed => 20 * SEC,
            Self::Vanished => 25 * SEC,
            Self::Mute | Self::Back => 60 * SEC,
            // Twice the longest interval, the time limit of a run, and 90 s.
            Self::Hung => 2 * 5 * SEC + 2 * SEC + 90 * SEC,
        }
    }
}

/// Most nodes are lost together: the grace of a stalled node is waited for.
const MASS_LOSS: Time = 30 * SEC;

/// The leader is lost too: until another one decides.
const LEADER_LOSS: Time = 15 * SEC;

/// A release was under way: its acknowledgement is waited for, then one watched lease.
const RELEASE: Time = 22 * SEC;

/// A lease must be seen to move, and progress is read every five seconds.
const LAG: Time = 12 * SEC;

/// Checks happen once a second, and a first run starts within five seconds of the interval.
const GRAIN: Time = 2 * SEC;

/// A lost node, and what it ran then.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    node: usize,
    blow: Blow,
    at: Time,
    bound: Time,
    monitors: Vec<usize>,
}

/// What the judge knows of blows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blows {
    losses: Vec<Loss>,
    /// The last blow of each node.
    last: Vec<(usize, Time)>,
    pub(crate) leader_at: Time,
    /// The last moment at which `/status` had reason to be 503.
    doubt_at: Time,
}

impl World {
    /// A node was hit, and what it runs must beat elsewhere in time.
    pub(crate) fn hit(&mut self, node: usize, blow: Blow) {
        if !self.setup.realm.spares_majority() {
            return;
        }
        self.trace(&("hit", node, blow));
        self.blows.last.push((node, self.now));
        if blow == Blow::Back {
            for loss in self.blows.losses.iter_mut().filter(|loss| loss.node == node) {
                loss.bound = loss.bound.max(Blow::Back.bound());
            }
            return;
        }
        for loss in self.blows.losses.iter_mut().filter(|loss| loss.node == node) {
            // A second blow to the same node: the slower of the two counts.
            loss.bound = loss.bound.max(blow.bound() + self.now - loss.at);
        }
        let runs = |monitor: &usize| {
            let row = &self.database.monitors[*monitor];
            row.runs() && row.effective() == Some(node)
        };
        let monitors = (0..self.database.monitors.len()).filter(runs).collect();
        self.blows.losses.push(Loss { node, blow, at: self.now, bound: blow.bound(), monitors });
    }

    /// Once a second.
    pub(crate) fn check_bounds(&mut self) {
        if !self.setup.realm.spares_majority() {
            return;
        }
        self.note_doubts();
        let now = self.now;
        let losses = std::mem::take(&mut self.blows.losses);
        let (over, open): (Vec<_>, Vec<_>) = losses
            .into_iter()
            .partition(|loss| now > loss.at + self.at_most(loss.bound + self.extension(loss)) + GRAIN);
        for loss in over {
            let found = self.invariant_no_orphan_during_faults(&loss);
            self.judge(found);
        }
        self.blows.losses.extend(open);
        let found = self.invariant_no_false_alarm_in_status();
        self.judge(found);
    }

    fn extension(&self, loss: &Loss) -> Time {
        let hit_lately = |node: usize| {
            let is_near = |at: Time| at + 60 * SEC >= loss.at && at <= loss.at + 60 * SEC;
            self.blows.last.iter().any(|(other, at)| *other == node && is_near(*at))
        };
        let is_online = |node: usize| self.database.nodes[node].status == NodeStatus::Online;
        // Those that were lost long ago do not count.
        let all = (0..self.setup.nodes).filter(|node| is_online(*node) || hit_lately(*node)).count();
        let hit = (0..self.setup.nodes).filter(|node| hit_lately(*node)).count();
        let mass = if 2 * hit >= all { MASS_LOSS } else { 0 };
        let is_leader_lost = self.blows.leader_at + 20 * SEC >= loss.at && self.blows.leader_at > 0;
        let leader = if is_leader_lost { LEADER_LOSS } else { 0 };
        let has_release = self
            .ledger
            .holdings
            .iter()
            .any(|holding| matches!(holding, super::ledger::Holding::Released { node, .. } if *node == loss.node));
        mass + leader + if has_release { RELEASE } else { 0 }
    }

    /// What a lost node ran beats elsewhere, or there again.
    fn invariant_no_orphan_during_faults(&mut self, loss: &Loss) -> Result<(), String> {
        // Nobody could take it: everybody else was hit too.
        let is_hit =
            |node: usize| self.blows.last.iter().any(|(other, at)| *other == node && *at + 100 * SEC > loss.at);
        let others = (0..self.setup.nodes).filter(|node| *node != loss.node);
        let takers: Vec<_> = others
            .filter(|node| {
                let row = &self.database.nodes[*node];
                !is_hit(*node) && row.overlay == Overlay::None && row.status == NodeStatus::Online
            })
            .collect();
        if takers.is_empty() || self.ledger.is_frozen {
            return Ok(());
        }
        for &monitor in &loss.monitors {
            let row = &self.database.monitors[monitor];
            let was_hit_again = row.effective().is_some_and(|node| node != loss.node && is_hit(node));
            let is_slow = row.due_since > loss.at && self.now < row.due_since + row.interval + GRAIN;
            if row.runs() && !was_hit_again && row.last_beat_at <= loss.at && !is_slow {
                let (after, assignment) = ((self.now - loss.at) / SEC, &row.assignment);
                return Err(format!(
                    "no_orphan_during_faults: monitor {monitor} of node {} ({:?}) did not beat for {after} s: \
                     {assignment:?}",
                    loss.node, loss.blow
                ));
            }
        }
        self.counts.timely_failovers += u64::from(!loss.monitors.is_empty());
        Ok(())
    }

    /// `/status` may be 503 while a monitor is not watched, and while no node is online.
    fn note_doubts(&mut self) {
        let is_unwatched = |monitor: usize| self.database.monitors[monitor].runs() && !self.is_watched(monitor);
        let runs = |node: usize| {
            let is_held = self.ledger.nodes[node].holder.is_some();
            is_held && self.database.nodes[node].status == NodeStatus::Online
        };
        let are_ill = !(0..self.setup.nodes).any(runs);
        if are_ill || (0..self.database.monitors.len()).any(is_unwatched) {
            self.blows.doubt_at = self.now;
        }
    }

    /// Its owner renews, does not hang, and runs it.
    fn is_watched(&self, monitor: usize) -> bool {
        let row = &self.database.monitors[monitor];
        let Some(node) = row.effective() else { return false };
        let hangs = self.nodes.iter().any(|process| process.id == node && process.stalled_until > self.now);
        let is_late = self.now.saturating_sub(row.last_beat_at.max(row.due_since)) > 2 * row.interval;
        let is_renewed = self.now - self.ledger.nodes[node].renewed_at < 3 * SEC;
        is_renewed && !hangs && (row.is_push() || !is_late)
    }

    /// `/status` of a spared watchdog is not 503 while every monitor is owned and some node is online.
    fn invariant_no_false_alarm_in_status(&mut self) -> Result<(), String> {
        if self.now < self.blows.doubt_at + LAG {
            return Ok(());
        }
        for (index, dog) in self.dogs.iter().enumerate() {
            let is_settled = self.now - dog.born_at > 30 * SEC && dog.life == Life::Running && !dog.is_stopping;
            if dog.id >= self.setup.spared() || !is_settled {
                continue;
            }
            let view = dog.core.view(self.local(Who::Dog(index)));
            self.counts.calm_views += 1;
            if view.status == Health::Down {
                return Err(format!(
                    "no_false_alarm: watchdog {index} says 503 while all is owned: {:?}",
                    view.reasons
                ));
            }
        }
        Ok(())
    }
}
