//! What the leader does, one transaction at a time.
//!
//! Order of each turn: the rest of a plan that was cut into several transactions; statuses that changed; leases to be
//! taken away from nodes that renew; then, if anything is to be moved, read the monitors, plan, and commit. Any refusal
//! throws the rest of a plan away: a later round decides anew, after a pause that grows with each. Whether this watchdog leads is [`crate::leadership`]'s
//! business; what is to be decided is [`crate::failover`]'s.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::decision::{Commit, Decision, Refusal};
use crate::facts::{Mode, NodeStatus, Shard, Source};
use crate::failover::{
    Situation, decide_moves, decide_revokes, decide_statuses, empty_decision, field, needs_plan, would_move,
};
use crate::ids::{Epoch, Incarnation, NodeId};
use crate::io::{Announcement, Output};
use crate::pace::Pace;
use crate::policy::Policy;
use crate::shard::plan;
use crate::time::Mono;
use crate::view::WouldMove;

/// After the first refusal: the next read shows what it was refused for.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The leader's own state; idle while another watchdog leads.
#[derive(Debug)]
pub struct Leader {
    holder: Incarnation,
    epoch: Option<Epoch>,
    /// Ordered and not answered yet.
    is_reading_shard: bool,
    shard: Option<Box<Shard>>,
    /// The rest of a plan.
    queue: VecDeque<Decision>,
    committing: Option<Decision>,
    /// Statuses before the decision under way, for its announcement.
    statuses_before: BTreeMap<NodeId, (NodeStatus, (u32, u32))>,
    /// Sources that released monitors and have not acknowledged, and since when that is watched.
    waiting: BTreeMap<Source, Mono>,
    /// What is held back and was announced.
    announced: Vec<WouldMove>,
    overloaded: BTreeSet<NodeId>,
    pace: Pace,
    /// Decisions refused in a row.
    refusals: u32,
}

/// What a committed or refused decision leads to.
#[derive(Debug, Default)]
pub struct Reaction {
    /// To be performed.
    pub outputs: Vec<Output>,
    /// Leases that were watched to their end and are taken away now.
    pub vacated: Vec<(NodeId, u64)>,
    /// This watchdog leads no more, and why.
    pub deposed: Option<String>,
}

impl Leader {
    /// A leader that does not lead yet, for this process of its watchdog.
    pub fn new(holder: Incarnation) -> Self {
        Self {
            holder,
            epoch: None,
            is_reading_shard: false,
            shard: None,
            queue: VecDeque::new(),
            committing: None,
            statuses_before: BTreeMap::new(),
            waiting: BTreeMap::new(),
            announced: Vec::new(),
            overloaded: BTreeSet::new(),
            pace: Pace::default(),
            refusals: 0,
        }
    }

    /// The leadership begins.
    pub fn begin(&mut self, epoch: Epoch) {
        *self = Self { epoch: Some(epoch), is_reading_shard: self.is_reading_shard, ..Self::new(self.holder) };
    }

    /// The leadership ended.
    pub fn end(&mut self) {
        *self = Self { is_reading_shard: self.is_reading_shard, ..Self::new(self.holder) };
    }

    /// Whether this watchdog leads, as far as it knows.
    pub fn is_leading(&self) -> bool {
        self.epoch.is_some()
    }

    /// Nodes the last plan had to load beyond their capacity.
    pub fn overloaded(&self) -> &BTreeSet<NodeId> {
        &self.overloaded
    }

    /// How long to wait until a decision is made anew: nothing after one that was carried out, and longer with each that
    /// was refused, up to a round. `jitter`, below 1,000, spreads what would otherwise meet the same hands again.
    pub fn pause(&self, policy: &Policy, jitter: u32) -> Duration {
        let Some(doublings) = self.refusals.checked_sub(1) else {
            return Duration::ZERO;
        };
        let pause = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(doublings.min(8)).unwrap_or(u32::MAX));
        pause.min(policy.round_interval) * (500 + jitter.min(999) / 2) / 1_000
    }

    /// The monitors were read.
    pub fn take_shard(&mut self, shard: Box<Shard>) {
        self.is_reading_shard = false;
        self.shard = self.epoch.is_some().then_some(shard);
    }

    /// The monitors could not be read.
    pub fn lose_shard(&mut self) {
        self.is_reading_shard = false;
    }

    /// The rest of a plan, if there is one: it rests on the stamp its own last transaction made.
    pub fn poll_rest(&mut self, situation: &Situation<'_>, epoch: Epoch) -> Option<Output> {
        if self.committing.is_some() || self.epoch != Some(epoch) {
            return None;
        }
        let decision = self.queue.pop_front()?;
        Some(self.commit(situation, decision))
    }

    /// The next thing to order, if there is one. Rests on rows read after the last transaction was answered.
    pub fn poll(&mut self, situation: &Situation<'_>, epoch: Epoch, is_foreign: bool) -> Option<Output> {
        if self.committing.is_some() || self.epoch != Some(epoch) {
            return None;
        }
        if situation.is_counted {
            self.watch_sources(situation);
        }
        let is_observing = situation.round.cluster.mode == Mode::Observe;
        let frame = empty_decision(epoch, self.holder, situation.round.cluster.stamp);
        let statuses = if is_observing { Vec::new() } else { decide_statuses(situation) };
        if !statuses.is_empty() {
            return Some(self.commit(situation, Decision { statuses, ..frame }));
        }
        if !situation.is_counted {
            return None;
        }
        let is_held = is_observing || is_foreign;
        if !is_held && !situation.round.cluster.frozen {
            let revokes = decide_revokes(situation, &self.waiting);
            if !revokes.is_empty() {
                return Some(self.commit(situation, Decision { revokes, ..frame }));
            }
        }
        self.poll_moves(situation, frame, is_held)
    }

    fn poll_moves(&mut self, situation: &Situation<'_>, frame: Decision, is_held: bool) -> Option<Output> {
        let mut field = field(situation);
        self.pace.limit(situation.now, frame.epoch, &mut field, situation.policy);
        let is_frozen = field.is_frozen;
        let needs = if is_held { Vec::new() } else { needs_plan(situation, &field) };
        if !is_frozen && !is_held {
            self.announced.clear();
        }
        if needs.is_empty() && (is_held || is_frozen || situation.counts.leftover == 0) {
            self.shard = None;
            return if is_held || is_frozen { self.hold_back(would_move(situation, &field)) } else { None };
        }
        let Some(shard) = self.shard.take() else {
            let orders = !std::mem::replace(&mut self.is_reading_shard, true);
            return orders.then_some(Output::ReadShard);
        };
        let plan = plan(&shard, &field);
        self.overloaded.clone_from(&plan.overloaded);
        let sources =
            shard.monitors.iter().filter_map(|monitor| Some((monitor.monitor.0, monitor.source.clone()?))).collect();
        let frame = Decision { seen: shard.stamp, ..frame };
        self.queue = decide_moves(situation, &plan, &sources, &frame);
        if situation.counts.leftover > 0 && !is_frozen {
            match self.queue.front_mut() {
                Some(first) => first.forget_leftover = true,
                None => self.queue.push_back(Decision { forget_leftover: true, ..frame }),
            }
        }
        let first = self.queue.pop_front()?;
        Some(self.commit(situation, first))
    }

    /// Says once what would be done, whenever that changes; one thing a turn.
    fn hold_back(&mut self, would: Vec<WouldMove>) -> Option<Output> {
        self.announced.retain(|one| would.contains(one));
        let news = would.into_iter().find(|one| !self.announced.contains(one))?;
        self.announced.push(news.clone());
        let WouldMove { from, monitors, reason } = news;
        Some(Output::Announce(Announcement::WouldMove { from, monitors, reason }))
    }

    fn watch_sources(&mut self, situation: &Situation<'_>) {
        let sources: BTreeSet<_> = situation
            .counts
            .shards
            .iter()
            .filter(|group| group.effective.is_none() && group.monitors > 0)
            .filter_map(|group| group.source.clone())
            .collect();
        self.waiting.retain(|source, _| sources.contains(source));
        for source in sources {
            self.waiting.entry(source).or_insert(situation.now);
        }
    }

    fn commit(&mut self, situation: &Situation<'_>, decision: Decision) -> Output {
        self.statuses_before = decision
            .statuses
            .iter()
            .filter_map(|change| {
                let row = situation.round.nodes.iter().find(|row| row.node == change.node)?;
                let votes = situation.assessor.of(&change.node)?.votes_down;
                Some((change.node.clone(), (row.status, votes)))
            })
            .collect();
        self.committing = Some(decision.clone());
        Output::Commit(Box::new(decision))
    }

    /// The decision under way was answered.
    pub fn handle_committed(&mut self, now: Mono, commit: &Commit) -> Reaction {
        let Some(decision) = self.committing.take() else {
            return Reaction::default();
        };
        match commit {
            Commit::Done { .. } => {
                self.refusals = 0;
                self.pace.note(now, &decision);
                self.announce(&decision)
            }
            Commit::Refused(refusal) => {
                self.queue.clear();
                self.refusals = self.refusals.saturating_add(1);
                let reason = refusal_text(refusal);
                let deposed = (*refusal == Refusal::Deposed).then(|| reason.clone());
                let refused = Announcement::Refused { epoch: decision.epoch, reason };
                Reaction { outputs: vec![Output::Announce(refused)], vacated: Vec::new(), deposed }
            }
            Commit::Failed(reason) => {
                self.queue.clear();
                Reaction { deposed: Some(format!("a decision failed: {reason}")), ..Reaction::default() }
            }
        }
    }

    fn announce(&self, decision: &Decision) -> Reaction {
        let mut outputs = Vec::new();
        for change in &decision.statuses {
            let Some(&(from, votes)) = self.statuses_before.get(&change.node) else {
                continue;
            };
            if from == change.status {
                continue;
            }
            outputs.push(Output::Announce(Announcement::StatusChanged {
                node: change.node.clone(),
                from,
                to: change.status,
                reason: change.reason,
                votes,
                epoch: decision.epoch,
            }));
        }
        let mut counts: BTreeMap<_, u32> = BTreeMap::new();
        for step in &decision.moves {
            *counts.entry((step.from.clone(), step.to.clone(), step.reason)).or_default() += 1;
        }
        let touched: BTreeSet<_> =
            counts.keys().flat_map(|(from, to, _)| [from.clone(), to.clone()]).flatten().collect();
        for ((from, to, reason), monitors) in counts {
            let epoch = decision.epoch;
            outputs.push(Output::Announce(Announcement::Moved { from, to, monitors, reason, epoch }));
        }
        if !touched.is_empty() {
            outputs.push(Output::Hint(touched.into_iter().collect()));
        }
        let vacated = decision.revokes.iter().filter_map(|revoke| Some((revoke.node.clone(), revoke.lease_seq?)));
        Reaction { outputs, vacated: vacated.collect(), deposed: None }
    }
}

fn refusal_text(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Deposed => "another watchdog leads".to_owned(),
        Refusal::UnknownGeneration => "the database lost the assignment that was read".to_owned(),
        Refusal::Frozen => "an operator froze the cluster".to_owned(),
        Refusal::MetOthers => "others were changing the same rows at each of its tries".to_owned(),
        Refusal::NodeLives(node) => format!("node {node} renewed or registered anew"),
        Refusal::GuardFailed(guard) => format!("no longer true: {guard:?}"),
    }
}
