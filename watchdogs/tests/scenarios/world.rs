//! The scripted world around one real watchdog core: nodes that renew (or do not), peers that vote (as told), an
//! in-memory database, and a virtual clock. A story moves the clock with [`World::run_to`], changes something, moves
//! it on, and asks what was done when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::decision::{Commit, Decision, Refusal};
use komainu_watchdogs::facts::{LeaderRow, MonitorRow, NodeRow, NodeStatus, Target};
use komainu_watchdogs::ids::{Epoch, Incarnation, MonitorId, NodeId, WatchdogId};
use komainu_watchdogs::io::{
    Alarm, Announcement, Errand, Found, Input, LeadershipAct, LeadershipAnswer, Output, ProbeOutcome,
};
use komainu_watchdogs::policy::Policy;
use komainu_watchdogs::tail::LostTail;
use komainu_watchdogs::time::Mono;
use komainu_watchdogs::watchdog::{Identity, Watchdog};

use super::cast::{Node, Peer};
use super::database::{Database, wall};

/// How long the database takes to answer.
const DATABASE: Duration = Duration::from_millis(4);
/// How long an answered or refused probe takes.
const PROBE: Duration = Duration::from_millis(7);
/// How long an errand may take.
const ERRAND_LIMIT: Duration = Duration::from_millis(3_500);

/// What the world is made of at the start.
pub(crate) struct Setup {
    /// `w1` is the real one, the others are played.
    pub(crate) watchdogs: u32,
    pub(crate) nodes: u32,
    pub(crate) monitors_per_node: i64,
    pub(crate) capacity: u32,
    pub(crate) canaries: Vec<String>,
    pub(crate) policy: Policy,
    /// One zone for each watchdog, in order; the last one goes on.
    pub(crate) zones: Vec<&'static str>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            watchdogs: 3,
            nodes: 3,
            monitors_per_node: 12,
            capacity: 20_000,
            canaries: Vec::new(),
            policy: Policy::default(),
            zones: vec!["a", "b", "c"],
        }
    }
}

/// What the core did.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Deed {
    Committed(Decision, Commit),
    Announced(Announcement),
    Raised(Alarm),
    Resolved(String),
    ResolveRefused(String),
    Led(LeadershipAct),
    ReadShard,
    Hinted(Vec<NodeId>),
    LostTail(LostTail),
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fault of its own")]
pub(crate) struct World {
    pub(crate) now: Mono,
    pub(crate) database: Database,
    pub(crate) core: Watchdog,
    pub(crate) identity: Identity,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) peers: BTreeMap<WatchdogId, Peer>,
    /// What `w1` itself cannot reach, though it is there.
    pub(crate) blind_to: BTreeSet<Target>,
    pub(crate) canaries_answer: bool,
    /// The next transaction is refused, whatever it says.
    pub(crate) refuse_next: Option<Refusal>,
    /// An operator is quicker than the leader.
    pub(crate) freeze_at_next_commit_of_moves: bool,
    /// An operator binds a monitor to where it runs, between plan and commit.
    pub(crate) bind_at_next_commit_of_moves: Option<MonitorId>,
    /// Another watchdog sees it bad at the last moment.
    pub(crate) raise_before_each_resolve: bool,
    /// Somebody else is always faster.
    pub(crate) refuse_claims: bool,
    /// The leadership's own connection breaks at each use.
    pub(crate) fail_leadership: bool,
    /// Errands that get no answer in time, each time.
    pub(crate) failing: BTreeSet<Errand>,
    /// Incidents can be neither opened nor resolved.
    pub(crate) refuse_telling: bool,
    /// How long the database takes to answer what is read.
    pub(crate) database_takes: Duration,
    /// How long the leadership's own connection takes to answer.
    pub(crate) leadership_takes: Duration,
    pub(crate) deeds: Vec<(Mono, Deed)>,
    policy: Policy,
    answers: BTreeMap<(Mono, u64), Input>,
    orders: u64,
    next_beat: Mono,
    beats: u64,
}

impl World {
    pub(crate) fn new(setup: &Setup) -> Self {
        let zone = |index: u32| {
            let index = usize::try_from(index).unwrap();
            setup.zones.get(index).or(setup.zones.last()).copied().unwrap()
        };
        let identity = Identity {
            watchdog: "w1".into(),
            incarnation: Incarnation(1),
            zone: zone(0).into(),
            canaries: setup.canaries.clone(),
        };
        let mut world = Self {
            now: Mono::secs(0),
            database: Database::default(),
            core: Watchdog::new(identity.clone(), setup.policy.clone(), Mono::secs(0), 7),
            identity,
            nodes: BTreeMap::new(),
            peers: BTreeMap::new(),
            blind_to: BTreeSet::new(),
            canaries_answer: true,
            refuse_next: None,
            freeze_at_next_commit_of_moves: false,
            bind_at_next_commit_of_moves: None,
            raise_before_each_resolve: false,
            refuse_claims: false,
            fail_leadership: false,
            failing: BTreeSet::new(),
            refuse_telling: false,
            database_takes: DATABASE,
            leadership_takes: DATABASE,
            deeds: Vec::new(),
            policy: setup.policy.clone(),
            answers: BTreeMap::new(),
            orders: 0,
            next_beat: Mono::millis(500),
            beats: 0,
        };
        world.database.raise_generation();
        for index in 1..setup.watchdogs {
            let peer = Peer {
                incarnation: Incarnation(u64::from(index) + 1),
                zone: zone(index),
                lives: true,
                isolated: false,
                leads: false,
                says: BTreeMap::new(),
                silent: BTreeSet::new(),
                seq: 0,
            };
            world.peers.insert(format!("w{}", index + 1).into(), peer);
        }
        for index in 1..=setup.nodes {
            world.add_node(index, setup.capacity);
            world.add_monitors(&format!("node{index}"), setup.monitors_per_node);
        }
        world
    }

    /// Three watchdogs of which `w1` leads, three nodes online with 12 monitors each, at 30 s.
    pub(crate) fn settled() -> Self {
        Self::settled_with(&Setup::default())
    }

    pub(crate) fn settled_with(setup: &Setup) -> Self {
        let mut world = Self::new(setup);
        world.run_to(30);
        world.deeds.clear();
        world
    }

    /// The same, but `w2` leads, and `w1` is the one that is looked at.
    pub(crate) fn following() -> Self {
        let mut world = Self::new(&Setup::default());
        let second = Incarnation(2);
        world.database.lock = Some(second);
        let (epoch, holder, watchdog) = (Epoch(1), Some(second), Some("w2".into()));
        world.database.leader = LeaderRow { epoch, holder, watchdog, renewals: 1 };
        for row in world.database.nodes.values_mut() {
            row.status = NodeStatus::Online;
        }
        world.peer("w2").leads = true;
        world.run_to(30);
        world.deeds.clear();
        world
    }

    fn add_node(&mut self, index: u32, capacity: u32) {
        let node = NodeId::from(format!("node{index}"));
        let incarnation = Incarnation(100 + u64::from(index));
        let row = NodeRow {
            node: node.clone(),
            incarnation: Some(incarnation),
            lease_seq: 1,
            weight: 100,
            capacity: Some(capacity),
            applied_is_known: true,
            is_native: true,
            ..NodeRow::default()
        };
        let process = Node {
            incarnation,
            renews: true,
            answers: true,
            refuses: false,
            is_blind: false,
            acknowledges: true,
            answer_takes_ms: 7,
            registers: true,
            vacant: None,
        };
        self.database.nodes.insert(node.clone(), row);
        self.nodes.insert(node, process);
    }

    /// More monitors with that home.
    pub(crate) fn add_monitors(&mut self, home: &str, count: i64) {
        for _ in 0..count {
            self.add_monitor(home, "http");
        }
    }

    pub(crate) fn add_monitor(&mut self, home: &str, kind: &str) -> MonitorId {
        let last = self.database.monitors.keys().next_back().map_or(0, |monitor| monitor.0);
        let monitor = MonitorId(last + 1);
        let home = Some(NodeId::from(home));
        let row = MonitorRow {
            only_kuma: false,
            kuma_tells: false,
            monitor,
            kind: kind.to_owned(),
            interval_s: 60,
            active: true,
            is_placed: true,
            home: home.clone(),
            effective: home,
            pinned: false,
            asked: false,
            run_on: Vec::new(),
            source: None,
        };
        self.database.monitors.insert(monitor, row);
        monitor
    }

    /// Lets everything happen until so many seconds after the start.
    pub(crate) fn run_to(&mut self, secs: u64) {
        self.run_to_point(Mono::secs(secs));
    }

    pub(crate) fn run_to_point(&mut self, until: Mono) {
        let mut idle_turns = 0;
        loop {
            while let Some(output) = self.core.poll_output() {
                idle_turns = 0;
                self.perform(output);
            }
            let answer_at = self.answers.keys().next().map(|(at, _)| *at);
            let next = [Some(self.core.poll_timeout()), answer_at, Some(self.next_beat)];
            let next = next.into_iter().flatten().min().unwrap_or(until);
            if next > until {
                self.now = until;
                return;
            }
            idle_turns = if next > self.now { 0 } else { idle_turns + 1 };
            assert!(idle_turns < 100, "at {:?} the core asks to be woken again and again, and does nothing", self.now);
            self.now = self.now.max(next);
            self.happen();
        }
    }

    /// The core's process is not scheduled for so long; everything else goes on.
    pub(crate) fn freeze_for(&mut self, secs: u64) {
        let until = self.now + Duration::from_secs(secs);
        while self.next_beat <= until {
            self.now = self.next_beat;
            self.beat();
        }
        self.now = until;
    }

    fn happen(&mut self) {
        if self.next_beat <= self.now {
            self.beat();
        } else if self.answers.keys().next().is_some_and(|(at, _)| *at <= self.now) {
            let (_, input) = self.answers.pop_first().unwrap();
            self.core.handle(self.now, input);
        } else {
            self.core.handle(self.now, Input::Tick);
        }
    }

    /// Once a second the others do what they do.
    fn beat(&mut self) {
        self.next_beat += Duration::from_secs(1);
        self.beats += 1;
        if self.database.is_down || self.database.is_read_only {
            return;
        }
        let (now, beats) = (self.now, self.beats);
        for (index, (node, process)) in (0_u64..).zip(&mut self.nodes) {
            if process.renews && (beats + index).is_multiple_of(2) {
                process.renew(now, self.database.nodes.get_mut(node).unwrap(), self.database.cluster.stamp);
            }
        }
        for (watchdog, peer) in &mut self.peers {
            if peer.lives {
                peer.write(now, watchdog, &self.nodes, &mut self.database);
            }
            if peer.lives && peer.leads {
                self.database.leader.renewals += 1;
            }
        }
    }

    fn lead(&mut self, act: LeadershipAct, is_shut: bool) {
        let now = self.now;
        self.deeds.push((now, Deed::Led(act)));
        let me = (&self.identity.watchdog, self.identity.incarnation);
        let is_claim = matches!(act, LeadershipAct::Claim { .. });
        let answer = if is_shut || self.fail_leadership {
            LeadershipAnswer::Failed("no connection".to_owned())
        } else if is_claim && self.refuse_claims {
            LeadershipAnswer::ClaimLost
        } else {
            self.database.lead(me, act)
        };
        self.answer(self.leadership_takes, Input::Leadership { began_at: now, answer });
    }

    fn perform(&mut self, output: Output) {
        let now = self.now;
        let is_down = self.database.is_down;
        let is_shut = is_down || self.database.is_read_only;
        let down = || "no connection".to_owned();
        match output {
            Output::ReadRound => {
                let takes = self.database_takes;
                let round = self.database.read_round(now, now + takes);
                let answer = if is_down { Input::RoundFailed(down()) } else { Input::Round(Box::new(round)) };
                self.answer(takes, answer);
            }
            Output::Errand(errand) => {
                let found = self.database.find(now, errand);
                self.run_errand(errand, found);
            }
            Output::ReadProgress(looks) => {
                let progress = self.database.progress(&looks);
                self.run_errand(Errand::Progress, Found::Progress(progress));
            }
            Output::Write(write) => {
                if !is_shut {
                    self.database.write(now, &write);
                }
                self.answer(DATABASE, Input::Written(if is_shut { Err(down()) } else { Ok(()) }));
            }
            Output::Probe(target) => self.probe(target),
            Output::Leadership(act) => self.lead(act, is_shut),
            Output::ReadShard => {
                self.deeds.push((now, Deed::ReadShard));
                let shard = Box::new(self.database.read_shard());
                self.answer(DATABASE, Input::Shard(if is_down { Err(down()) } else { Ok(shard) }));
            }
            Output::Commit(decision) => self.commit(*decision),
            Output::Raise(alarm) if is_shut || self.refuse_telling => self.told(&alarm.key, Err(down())),
            Output::Raise(alarm) => {
                self.database.raise(now, &alarm);
                self.told(&alarm.key, Ok(()));
                self.deeds.push((now, Deed::Raised(alarm)));
            }
            Output::Resolve { key, .. } if is_shut || self.refuse_telling => self.told(&key, Err(down())),
            Output::Resolve { key, last_bad_at } => {
                let row = self.database.incidents.get_mut(&key).filter(|_| self.raise_before_each_resolve);
                if let Some(row) = row {
                    row.last_bad_at = wall(now);
                }
                let is_done = self.database.resolve(&key, last_bad_at);
                self.told(&key, Ok(()));
                self.deeds.push((now, if is_done { Deed::Resolved(key) } else { Deed::ResolveRefused(key) }));
            }
            Output::LostTail(loss) => {
                self.deeds.push((now, Deed::LostTail(loss)));
                let entered = if is_shut || self.refuse_telling { Err(down()) } else { Ok(()) };
                self.answer(DATABASE, Input::TailEntered(loss.answered, entered));
            }
            Output::Announce(announcement) => self.deeds.push((now, Deed::Announced(announcement))),
            Output::Hint(nodes) => self.deeds.push((now, Deed::Hinted(nodes))),
        }
    }

    fn told(&mut self, key: &str, result: Result<(), String>) {
        self.answer(DATABASE, Input::Told(key.to_owned(), result));
    }

    fn run_errand(&mut self, errand: Errand, found: Found) {
        let fails = self.database.is_down || self.failing.contains(&errand);
        let answer = if fails { Err("timed out".to_owned()) } else { Ok(found) };
        self.answer(if fails { ERRAND_LIMIT } else { DATABASE }, Input::Errand(errand, answer));
    }

    fn commit(&mut self, decision: Decision) {
        self.database.cluster.frozen |= self.freeze_at_next_commit_of_moves && !decision.moves.is_empty();
        if !decision.moves.is_empty()
            && let Some(monitor) = self.bind_at_next_commit_of_moves.take()
        {
            let row = self.database.monitors.get_mut(&monitor).unwrap();
            (row.home, row.pinned) = (row.effective.clone(), true);
        }
        let commit = if self.database.is_down || self.database.is_read_only {
            Commit::Failed("no connection".to_owned())
        } else if let Some(refusal) = self.refuse_next.take() {
            Commit::Refused(refusal)
        } else {
            self.database.commit(self.now, &decision)
        };
        self.deeds.push((self.now, Deed::Committed(decision, commit.clone())));
        self.answer(self.leadership_takes, Input::Committed { began_at: self.now, commit });
    }

    fn probe(&mut self, target: Target) {
        let is_there = match &target {
            Target::Node(node) => self.nodes.get(node).is_some_and(|node| node.answers),
            Target::Watchdog(watchdog) => self.peers.get(watchdog).is_some_and(|peer| peer.lives),
            Target::Canary(_) => self.canaries_answer,
        };
        let is_seen = is_there && !self.blind_to.contains(&target);
        let is_refused = matches!(&target, Target::Node(node) if self.nodes.get(node).is_some_and(|node| node.refuses));
        let is_blind = matches!(&target, Target::Node(node) if self.nodes.get(node).is_some_and(|node| node.is_blind));
        let outcome = if is_seen && is_blind {
            ProbeOutcome::Blind
        } else if is_seen {
            ProbeOutcome::Answered
        } else if is_refused && !self.blind_to.contains(&target) {
            ProbeOutcome::Refused("refused".to_owned())
        } else {
            ProbeOutcome::Failed("no answer".to_owned())
        };
        let takes = match &target {
            Target::Node(node) => {
                self.nodes.get(node).map_or(PROBE, |node| Duration::from_millis(node.answer_takes_ms))
            }
            Target::Watchdog(_) | Target::Canary(_) => PROBE,
        };
        self.answer(takes, Input::Probed(target, outcome));
    }

    fn answer(&mut self, after: Duration, input: Input) {
        self.orders += 1;
        self.answers.insert((self.now + after, self.orders), input);
    }

    /// The process asked to stop cleanly.
    pub(crate) fn stop(&mut self) {
        self.core.handle(self.now, Input::Stop);
    }

    /// The process of this core dies, and a played peer becomes the real one, just started.
    pub(crate) fn succeed_as(&mut self, watchdog: &str) {
        let peer = self.peers.remove(&WatchdogId::from(watchdog)).unwrap();
        let incarnation = Incarnation(peer.incarnation.0 + 50);
        let zone = peer.zone.into();
        self.identity = Identity { watchdog: watchdog.into(), incarnation, zone, canaries: Vec::new() };
        self.core = Watchdog::new(self.identity.clone(), self.policy.clone(), self.now, 11);
        self.answers.clear();
        self.database.lock = None;
    }
}
