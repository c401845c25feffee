//! Liveness while things go wrong: with a majority of watchdogs spared and a database that works, what a lost node ran
//! beats elsewhere within the bounds of the design, whatever else fails meanwhile.
//!
//! Each loss of a node is watched by itself. What makes a longer bound right (the node comes back half-way, the leader is
//! lost too, most nodes are lost together and some of them answer or come back, progress cannot be read where only progress tells) is added to it; a monitor that is lost a second time belongs to the later loss.

use komainu_watchdogs::facts::{NodeStatus, Overlay};

use super::events::{SEC, Time};
use super::troubles::Query;
use super::world::World;

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

/// Most nodes are lost together, and it is not plain that they are gone: the grace of a stalled node is waited for.
const MASS_LOSS: Time = 30 * SEC;

/// The leader is lost too: until another one decides.
const LEADER_LOSS: Time = 15 * SEC;

/// A release was under way: its acknowledgement is waited for, then one watched lease.
const RELEASE: Time = 22 * SEC;

/// What failed is tried again, each call of it takes up to four seconds, and two readings in a row must say so.
const AFTER_TROUBLE: Time = 30 * SEC;

/// Milliseconds; what a slow renewal may look like.
const CLOCK_OFF: u64 = 5_000;

/// A clock must be off for ten seconds, and an incident calm for as long.
const CLOCK_TOLD: Time = 45 * SEC;

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
    /// Only its progress tells.
    is_hung: bool,
}

/// What the judge knows of blows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blows {
    losses: Vec<Loss>,
    /// Every blow to a node.
    last: Vec<(usize, Time, Blow)>,
    pub(crate) leader_at: Time,
    /// The last moment at which `/status` had reason to be 503.
    pub(crate) doubt_at: Time,
    /// The last moment at which a monitor had no owner that watched it.
    pub(crate) unowned_at: Time,
    /// Progress cannot be read until then, and incidents cannot be entered.
    progress_ails_until: Time,
    telling_ails_until: Time,
    /// Since when the clock of each host is plainly wrong, or plainly right, and could be told so.
    clocks: Vec<Option<(bool, Time)>>,
}

impl Blows {
    /// Incidents cannot be read or entered, or could not just now.
    pub(crate) fn cannot_tell(&self, now: Time) -> bool {
        now <= self.telling_ails_until + AFTER_TROUBLE
    }

    /// Progress cannot be read, or could not just now.
    pub(crate) fn cannot_see(&self, now: Time) -> bool {
        now <= self.progress_ails_until + AFTER_TROUBLE
    }

    /// A kind of statement fails until then.
    pub(crate) fn note_trouble(&mut self, query: Query, until: Time) {
        let ails_until = match query {
            Query::Progress => &mut self.progress_ails_until,
            // What is open cannot be called over unless it is known, and all three go one after the other.
            Query::Raise | Query::Resolve | Query::Incidents => &mut self.telling_ails_until,
            Query::Round
            | Query::Counts
            | Query::OwnRow
            | Query::Leadership
            | Query::Decision
            | Query::Shard
            | Query::Registration
            | Query::Renewal
            | Query::Stamp
            | Query::Assignments
            | Query::Acknowledgement
            | Query::Beat => return,
        };
        *ails_until = until.max(*ails_until);
    }
}

impl World {
    /// A node was hit, and what it runs must beat elsewhere in time.
    pub(crate) fn hit(&mut self, node: usize, blow: Blow) {
        if !self.setup.realm.spares_majority() {
            return;
        }
        self.trace(&("hit", node, blow));
        self.blows.last.push((node, self.now, blow));
        if blow == Blow::Back {
            for loss in self.blows.losses.iter_mut().filter(|loss| loss.node == node) {
                loss.bound = loss.bound.max(Blow::Back.bound());
            }
            return;
        }
        for loss in self.blows.losses.iter_mut().filter(|loss| loss.node == node) {
            // A second blow to the same node: the slower of the two counts.
            loss.bound = loss.bound.max(blow.bound() + self.now - loss.at);
            loss.is_hung |= blow == Blow::Hung;
        }
        let runs = |monitor: &usize| {
            let row = &self.database.monitors[*monitor];
            row.runs() && row.effective() == Some(node)
        };
        let monitors = (0..self.database.monitors.len()).filter(runs).collect();
        self.blows.losses.push(Loss {
            node,
            blow,
            at: self.now,
            bound: blow.bound(),
            monitors,
            is_hung: blow == Blow::Hung,
        });
    }

    /// Once a second.
    pub(crate) fn check_bounds(&mut self) {
        if !self.setup.realm.spares_majority() {
            return;
        }
        let now = self.now;
        let losses = std::mem::take(&mut self.blows.losses);
        let (over, open): (Vec<_>, Vec<_>) = losses
            .into_iter()
            .partition(|loss| now > loss.at + self.at_most(loss.bound + self.extension(loss)) + GRAIN);
        for loss in over {
            let found = self.invariant_no_orphan_during_faults(&loss).and_then(|()| self.invariant_loss_is_told(&loss));
            self.judge(found);
        }
        self.blows.losses.extend(open);
        let found = self.invariant_no_false_alarm_in_status().and_then(|()| self.invariant_clocks_are_told());
        self.judge(found);
    }

    /// Most nodes were lost together, and whether it is plain to everybody that they are gone.
    fn most_are_gone(&self, loss: &Loss) -> Option<bool> {
        let hit_lately = |node: usize| {
            let is_near = |at: Time| at + 60 * SEC >= loss.at && at <= loss.at + 60 * SEC;
            self.blows.last.iter().any(|(other, at, _)| *other == node && is_near(*at))
        };
        let is_online = |node: usize| self.database.nodes[node].status == NodeStatus::Online;
        // Those that were lost long ago do not count.
        let all = (0..self.setup.nodes).filter(|node| is_online(*node) || hit_lately(*node)).count();
        let hit = (0..self.setup.nodes).filter(|node| hit_lately(*node)).count();
        let is_doubtful = |at: Time, blow: Blow| {
            at + 120 * SEC >= loss.at && at <= loss.at + 60 * SEC && !matches!(blow, Blow::Killed | Blow::Vanished)
        };
        let is_plain = hit < all && !self.blows.last.iter().any(|(_, at, blow)| is_doubtful(*at, *blow));
        (2 * hit >= all).then_some(is_plain)
    }

    fn extension(&self, loss: &Loss) -> Time {
        let mass = if self.most_are_gone(loss) == Some(false) { MASS_LOSS } else { 0 };
        let is_leader_lost = self.blows.leader_at + 20 * SEC >= loss.at && self.blows.leader_at > 0;
        let leader = if is_leader_lost { LEADER_LOSS } else { 0 };
        let has_release = self
            .ledger
            .holdings
            .iter()
            .any(|holding| matches!(holding, super::ledger::Holding::Released { node, .. } if *node == loss.node));
        // Both readings of a stale progress must come after the trouble.
        let ails_until = self.blows.progress_ails_until;
        let blind = if loss.is_hung { (ails_until + AFTER_TROUBLE).saturating_sub(loss.at + loss.bound) } else { 0 };
        mass + leader + blind + if has_release { RELEASE } else { 0 }
    }

    /// What a lost node ran beats elsewhere, or there again.
    fn invariant_no_orphan_during_faults(&mut self, loss: &Loss) -> Result<(), String> {
        // Nobody could take it: everybody else was hit too.
        let is_hit =
            |node: usize| self.blows.last.iter().any(|(other, at, _)| *other == node && *at + 100 * SEC > loss.at);
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
        let is_prompt = self.most_are_gone(loss) == Some(true) && !loss.monitors.is_empty();
        self.counts.prompt_mass_failovers += u64::from(is_prompt);
        Ok(())
    }

    /// A node that is lost for good is told of, whatever else fails: nodes are lost by day and by night.
    fn invariant_loss_is_told(&mut self, loss: &Loss) -> Result<(), String> {
        let (log, row) = (&self.ledger.nodes[loss.node], &self.database.nodes[loss.node]);
        let is_gone = log.renewed_at <= loss.at + 5 * SEC && row.overlay == Overlay::None;
        let could_tell = !self.blows.cannot_tell(self.now);
        if !is_gone || !could_tell {
            return Ok(());
        }
        let keys = [format!("node/{}", row.node), format!("progress/{}", row.node), "nodes".to_owned()];
        let open: Vec<_> = self.database.incidents.iter().map(|open| &open.key).collect();
        if open.iter().any(|open| keys.contains(open)) {
            self.counts.told_losses += 1;
            return Ok(());
        }
        let ago = (self.now - loss.at) / SEC;
        Err(format!("no_silence: of node {}, {:?} and lost {ago} s ago, only {open:?} tells", row.node, row.status))
    }

    /// The clock of a node's host that is wrong is told of, and no clock that is right.
    fn invariant_clocks_are_told(&mut self) -> Result<(), String> {
        let could_tell = !self.blows.cannot_tell(self.now);
        self.blows.clocks.resize(self.setup.nodes, None);
        for node in 0..self.setup.nodes {
            let off = self.clock_off(node).unsigned_abs();
            let renews = self.now - self.ledger.nodes[node].renewed_at < 3 * SEC;
            let is_living = matches!(self.database.nodes[node].status, NodeStatus::Online | NodeStatus::Unreachable);
            let is_wrong = off > CLOCK_OFF + 1_000;
            let is_plain = could_tell && renews && is_living && (is_wrong || off + 1_000 < CLOCK_OFF);
            let clock = &mut self.blows.clocks[node];
            *clock = is_plain.then(|| clock.filter(|(before, _)| *before == is_wrong).unwrap_or((is_wrong, self.now)));
            let Some((_, since)) = *clock else { continue };
            let name = format!("clock/{}", self.database.nodes[node].node);
            let mut open = self.database.incidents.iter();
            let is_told = open.any(|row| row.key == name || (is_wrong && row.key == "clock/database"));
            if self.now - since > CLOCK_TOLD && is_told != is_wrong {
                return Err(format!("clock: {name} is off by {off} ms, told: {is_told}"));
            }
            self.counts.told_clocks += u64::from(is_told && is_wrong);
        }
        Ok(())
    }
}
