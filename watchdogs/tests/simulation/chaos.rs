//! What goes wrong: weighted random actions on processes, network and database.
//!
//! Each run has its own weather: how often something happens, and what is likely. What operators do is in `operator`.

use super::bounds::Blow;
use super::events::{Event, MS, SEC, Time, Who};
use super::prng::Prng;
use super::realm::Realm;
use super::world::{Life, World};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    CrashDog,
    CrashLeader,
    CrashNode,
    RestartDog,
    RestartNode,
    TwinDog,
    TwinNode,
    StopDog,
    StopNode,
    PauseDog,
    PauseLeader,
    PauseNode,
    Stall,
    SlowRuns,
    Cut,
    CutFromDatabase,
    CutOff,
    Worldless,
    HealNetwork,
    LoseLock,
    Outage,
    SlowDatabase,
    ClockJump,
    TailLoss,
    Operator,
    Trouble,
    FarDatabase,
    NodeClockJump,
    AddNode,
    RetireNode,
    Relabel,
    VanishNode,
    MuteNode,
    CutDog,
}

const ALL: [(Action, u64); 25] = [
    (Action::CrashDog, 2),
    (Action::CrashLeader, 2),
    (Action::CrashNode, 4),
    (Action::RestartDog, 4),
    (Action::RestartNode, 5),
    (Action::TwinDog, 1),
    (Action::TwinNode, 2),
    (Action::StopDog, 1),
    (Action::StopNode, 1),
    (Action::PauseDog, 2),
    (Action::PauseLeader, 4),
    (Action::PauseNode, 5),
    (Action::Stall, 4),
    (Action::SlowRuns, 3),
    (Action::Cut, 4),
    (Action::CutFromDatabase, 4),
    (Action::CutOff, 2),
    (Action::Worldless, 1),
    (Action::HealNetwork, 3),
    (Action::LoseLock, 2),
    (Action::Outage, 2),
    (Action::SlowDatabase, 3),
    (Action::ClockJump, 1),
    (Action::TailLoss, 2),
    (Action::Operator, 12),
];

/// What goes wrong besides, in realms where single parts do.
const PARTS: [(Action, u64); 7] = [
    (Action::Trouble, 20),
    (Action::FarDatabase, 2),
    (Action::ClockJump, 2),
    (Action::NodeClockJump, 3),
    (Action::AddNode, 4),
    (Action::RetireNode, 4),
    (Action::Relabel, 3),
];

/// What goes wrong where a majority of the watchdogs and the database are spared.
const SPARING: [(Action, u64); 17] = [
    (Action::CrashDog, 2),
    (Action::CrashLeader, 2),
    (Action::CrashNode, 6),
    (Action::RestartDog, 4),
    (Action::RestartNode, 6),
    (Action::StopDog, 1),
    (Action::StopNode, 2),
    (Action::PauseDog, 2),
    (Action::PauseLeader, 3),
    (Action::PauseNode, 4),
    (Action::Stall, 4),
    (Action::LoseLock, 1),
    (Action::VanishNode, 4),
    (Action::MuteNode, 4),
    (Action::CutDog, 3),
    (Action::ClockJump, 1),
    (Action::NodeClockJump, 2),
];

/// How one run goes wrong.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    pub(crate) quiet: Time,
    pub(crate) chaos: Time,
    pause: Time,
    weights: Vec<(Action, u64)>,
}

impl Weather {
    pub(crate) fn new(rng: &mut Prng, realm: Realm) -> Self {
        let moods = [0, 0, 1, 1, 2, 5];
        let mut weights: Vec<_> =
            realm.actions().iter().map(|&(action, weight)| (action, weight * rng.pick(&moods).unwrap())).collect();
        weights.push(if realm.spares_majority() { (Action::CrashNode, 1) } else { (Action::Operator, 1) });
        if realm.has_parts() {
            weights.extend(PARTS.map(|(action, weight)| (action, weight * rng.pick(&moods).unwrap())));
        }
        let spans: &[Time] = if realm.is_long() { &[200, 300, 400, 600] } else { &[40, 50, 60, 80, 110] };
        Self {
            quiet: rng.between(8, 25) * SEC,
            chaos: rng.pick(spans).unwrap() * SEC,
            pause: rng.pick(realm.pauses()).unwrap() * MS,
            weights,
        }
    }

    fn next(&self, rng: &mut Prng) -> Action {
        let total = self.weights.iter().map(|(_, weight)| weight).sum();
        let mut at = rng.below(total);
        for &(action, weight) in &self.weights {
            if at < weight {
                return action;
            }
            at -= weight;
        }
        Action::Operator
    }
}

impl Realm {
    fn actions(self) -> &'static [(Action, u64)] {
        if self.spares_majority() { &SPARING } else { &ALL }
    }

    /// Milliseconds between two things that go wrong.
    fn pauses(self) -> &'static [Time] {
        if self.spares_majority() { &[12_000, 25_000, 50_000] } else { &[1_500, 3_000, 6_000, 12_000] }
    }
}

impl World {
    /// Something goes wrong, and the next thing is scheduled.
    pub(crate) fn act(&mut self) {
        if self.phase != super::healing::Phase::Chaos {
            return;
        }
        let action = self.weather.next(&mut self.rng);
        self.trace(&action);
        self.perform_action(action);
        let pause = self.rng.between(self.weather.pause / 10, 2 * self.weather.pause);
        self.schedule(self.now + pause, Event::Chaos);
    }

    fn perform_action(&mut self, action: Action) {
        match action {
            Action::CrashDog => {
                let dog = self.pick_dog();
                self.crash(dog);
            }
            Action::CrashLeader => self.crash(self.leader()),
            Action::CrashNode => {
                let node = self.pick_node();
                self.crash(node);
            }
            Action::RestartDog => self.restart_dog(),
            Action::RestartNode => self.restart_node(),
            Action::TwinDog => self.twin_dog(),
            Action::TwinNode => self.twin_node(),
            Action::StopDog => {
                let dog = self.pick_dog();
                self.stop(dog);
            }
            Action::StopNode => {
                let node = self.pick_node();
                self.stop(node);
            }
            Action::PauseDog => {
                let dog = self.pick_dog();
                self.pause(dog, 25);
            }
            Action::PauseLeader => self.pause_leader(),
            Action::PauseNode => {
                let node = self.pick_node();
                self.pause(node, 30);
            }
            Action::Stall => self.stall(),
            Action::SlowRuns => self.slow_runs(),
            Action::Cut => self.cut_two(),
            Action::CutFromDatabase => self.cut_from_database(),
            Action::CutOff => self.cut_off(),
            Action::Worldless => self.lose_world(),
            Action::HealNetwork => self.network.heal(),
            Action::LoseLock => self.lose_lock(),
            Action::Outage => self.break_database(),
            Action::SlowDatabase => self.server.slow_until = self.now + self.rng.between(1, 8) * SEC,
            Action::ClockJump => self.jump_clock(),
            Action::TailLoss => self.plan_tail_loss(),
            Action::Operator => self.operate(),
            Action::Trouble => self.begin_trouble(),
            Action::FarDatabase => self.move_database_away(),
            Action::AddNode => self.add_node(),
            Action::NodeClockJump | Action::RetireNode | Action::Relabel => self.change_node(action),
            Action::VanishNode | Action::MuteNode => self.cut_node(action == Action::MuteNode),
            Action::CutDog => self.cut_dog(),
        }
    }

    fn change_node(&mut self, action: Action) {
        let node = self.rng.index(self.setup.nodes);
        if action == Action::NodeClockJump {
            self.jump_node_clock(node);
        } else if action == Action::RetireNode {
            self.retire_node(node);
        } else {
            self.relabel(node, false);
        }
    }

    fn pick_dog(&mut self) -> Option<Who> {
        let spared = self.setup.spared();
        let is_fair = |dog: &usize| self.dogs[*dog].id >= spared;
        let living: Vec<_> =
            (0..self.dogs.len()).filter(is_fair).map(Who::Dog).filter(|who| self.is_alive(*who)).collect();
        self.rng.pick(&living)
    }

    fn pick_node(&mut self) -> Option<Who> {
        let living: Vec<_> = (0..self.nodes.len()).map(Who::Node).filter(|who| self.is_alive(*who)).collect();
        self.rng.pick(&living)
    }

    /// The living process that leads by the database's word.
    pub(crate) fn leader(&self) -> Option<Who> {
        let holder = self.database.leader.holder?;
        let at = self.dogs.iter().position(|dog| dog.incarnation == holder && dog.life != Life::Dead)?;
        Some(Who::Dog(at))
    }

    fn crash(&mut self, who: Option<Who>) {
        let Some(who) = who.filter(|who| self.is_fair_game(*who)) else { return };
        self.note_blow(who, Blow::Killed);
        self.counts.crashes += 1;
        let is_noticed = self.rng.per_mille(600);
        self.end_process(who, is_noticed);
    }

    fn restart_dog(&mut self) {
        let missing: Vec<_> = (0..self.setup.dogs).filter(|id| !self.has_dog(*id)).collect();
        if let Some(id) = self.rng.pick(&missing) {
            self.counts.restarts += 1;
            self.start_dog(id);
        }
    }

    fn restart_node(&mut self) {
        let missing: Vec<_> = (0..self.setup.nodes).filter(|id| !self.has_node(*id)).collect();
        if let Some(id) = self.rng.pick(&missing) {
            self.counts.restarts += 1;
            self.start_node(id);
            self.hit(id, Blow::Back);
            // Two supervisors may both notice that it is gone.
            if !self.setup.realm.spares_majority() && self.rng.per_mille(200) {
                self.start_node(id);
            }
        }
    }

    pub(crate) fn has_dog(&self, id: usize) -> bool {
        self.dogs.iter().any(|dog| dog.id == id && dog.life != Life::Dead)
    }

    pub(crate) fn has_node(&self, id: usize) -> bool {
        self.nodes.iter().any(|node| node.id == id && node.life != Life::Dead)
    }

    fn twin_dog(&mut self) {
        if self.dogs.iter().filter(|dog| dog.life != Life::Dead).count() <= self.setup.dogs {
            let id = self.rng.index(self.setup.dogs);
            self.start_dog(id);
        }
    }

    fn twin_node(&mut self) {
        if self.nodes.iter().filter(|node| node.life != Life::Dead).count() <= self.setup.nodes {
            let id = self.rng.index(self.setup.nodes);
            self.start_node(id);
        }
    }

    fn stop(&mut self, who: Option<Who>) {
        if let Some(who) = who {
            // One that hangs may never come to say its last word.
            let hangs = matches!(who, Who::Node(node) if self.nodes[node].stalled_until > self.now);
            self.note_blow(who, if hangs { Blow::Mute } else { Blow::Killed });
        }
        match who {
            Some(Who::Dog(dog)) if self.is_running(Who::Dog(dog)) && !self.dogs[dog].is_stopping => {
                self.wake_dog(dog, komainu_watchdogs::io::Input::Stop);
                self.dogs[dog].is_stopping = true;
                self.schedule(self.now + 3 * SEC, Event::Farewell(dog));
            }
            Some(Who::Node(node)) if self.is_running(Who::Node(node)) => {
                self.wake_node(node, komainu_watchdogs::tenure::Input::Stop);
            }
            _ => {}
        }
    }

    fn pause_leader(&mut self) {
        self.counts.leader_pauses += u64::from(self.leader().is_some());
        self.pause(self.leader(), 25);
    }

    fn pause(&mut self, who: Option<Who>, most_secs: u64) {
        let Some(who) = who.filter(|who| self.is_running(*who) && self.is_fair_game(*who)) else { return };
        self.counts.pauses += 1;
        self.note_blow(who, Blow::Vanished);
        match who {
            Who::Dog(dog) => {
                self.dogs[dog].life = Life::Paused;
                let connection = self.dogs[dog].chair.connection;
                self.schedule(self.now + 10 * SEC, Event::CloseIdle { dog, connection });
            }
            Who::Node(node) => self.nodes[node].life = Life::Paused,
        }
        let span = self.rng.between(SEC, most_secs * SEC);
        self.trace(&("pause", who, span / SEC));
        self.schedule(self.now + span, Event::Resume(who));
    }

    fn stall(&mut self) {
        if let Some(Who::Node(node)) = self.pick_node() {
            self.counts.stalls += 1;
            self.nodes[node].stalled_until = self.now + self.rng.between(5, 90) * SEC;
            self.nodes[node].is_deaf = self.rng.per_mille(400);
            self.note_blow(Who::Node(node), Blow::Hung);
            self.trace(&("stall", node, self.nodes[node].stalled_until / SEC, self.nodes[node].is_deaf));
        }
    }

    /// Not one of a majority that is spared.
    fn is_fair_game(&self, who: Who) -> bool {
        match who {
            Who::Dog(dog) => self.dogs[dog].id >= self.setup.spared(),
            Who::Node(_) => true,
        }
    }

    fn note_blow(&mut self, who: Who, blow: Blow) {
        match who {
            Who::Dog(_) => {
                if self.leader() == Some(who) {
                    self.blows.leader_at = self.now;
                }
            }
            Who::Node(node) => self.hit(self.nodes[node].id, blow),
        }
    }

    /// All of a node's network, or only its way to the database.
    fn cut_node(&mut self, is_only_database: bool) {
        self.counts.partitions += 1;
        let node = self.rng.index(self.setup.nodes);
        let (one, until) = (self.setup.dogs + node, self.now + self.rng.between(5, 120) * SEC);
        let first = if is_only_database { self.database_end() } else { 0 };
        for other in first..=self.database_end() {
            self.network.cut(one, other, until);
            self.network.cut(other, one, until);
        }
        self.hit(node, if is_only_database { Blow::Mute } else { Blow::Vanished });
        self.schedule(until, Event::Back(node));
    }

    /// A watchdog that is not spared loses everything.
    fn cut_dog(&mut self) {
        let (spared, dogs) = (self.setup.spared(), self.setup.dogs);
        let dog = spared + self.rng.index(dogs - spared);
        let until = self.now + self.rng.between(5, 60) * SEC;
        if let Some(Who::Dog(leader)) = self.leader()
            && self.dogs[leader].id == dog
        {
            self.blows.leader_at = self.now;
        }
        for other in 0..=self.database_end() {
            self.network.cut(dog, other, until);
            self.network.cut(other, dog, until);
        }
    }

    fn slow_runs(&mut self) {
        if let Some(Who::Node(node)) = self.pick_node() {
            self.nodes[node].slow_until = self.now + self.rng.between(2, 20) * SEC;
        }
    }

    fn cut_two(&mut self) {
        let ends = self.database_end();
        let (one, other) = (self.rng.index(ends), self.rng.index(ends));
        self.cut_between(one, other);
    }

    fn cut_from_database(&mut self) {
        let (one, database) = (self.rng.index(self.database_end()), self.database_end());
        self.cut_between(one, database);
    }

    /// One way, or both.
    fn cut_between(&mut self, one: usize, other: usize) {
        self.counts.partitions += 1;
        let until = self.now + self.rng.between(1, 45) * SEC;
        let ways = self.rng.below(4);
        if ways != 0 {
            self.network.cut(one, other, until);
        }
        if ways != 1 {
            self.network.cut(other, one, until);
        }
    }

    fn cut_off(&mut self) {
        self.counts.partitions += 1;
        let one = self.rng.index(self.database_end());
        let until = self.now + self.rng.between(1, 40) * SEC;
        let spares_database = self.rng.per_mille(500);
        for other in 0..=self.database_end() {
            if other < self.database_end() || !spares_database {
                self.network.cut(one, other, until);
                self.network.cut(other, one, until);
            }
        }
    }

    fn lose_world(&mut self) {
        let dog = self.rng.index(self.setup.dogs);
        self.network.worldless_until[dog] = self.now + self.rng.between(5, 40) * SEC;
    }

    /// The server closes the connection that holds the lock.
    fn lose_lock(&mut self) {
        self.blows.leader_at = self.now;
        if let Some((dog, _)) = self.server.lock.take() {
            self.dogs[dog].chair.is_closed_by_server = true;
        }
    }

    fn break_database(&mut self) {
        if self.server.is_down {
            return;
        }
        self.counts.outages += 1;
        self.server.is_down = true;
        self.server.life += 1;
        self.server.lock = None;
        let span = self.rng.between(SEC / 2, 25 * SEC);
        self.schedule(self.now + span, Event::DatabaseUp);
    }

    fn jump_clock(&mut self) {
        self.counts.clock_jumps += 1;
        let jump = if self.setup.realm.has_parts() {
            self.draw_jump()
        } else {
            let jump = i64::try_from(self.rng.between(1_000, 40_000_000)).unwrap();
            if self.rng.per_mille(500) { jump } else { -jump }
        };
        self.server.wall_offset += jump;
        self.server.skewed_until = self.now + 2 * SEC;
    }

    fn plan_tail_loss(&mut self) {
        if self.snapshot.is_none() {
            let tail = self.rng.between(5 * MS, 8 * SEC);
            self.schedule(self.now, Event::Snapshot);
            self.schedule(self.now + tail, Event::LoseTail);
        }
    }

    pub(crate) fn trace(&self, what: &impl std::fmt::Debug) {
        if self.is_tracing {
            println!("{:>9.3} {what:?}", std::time::Duration::from_micros(self.now).as_secs_f64());
        }
    }
}
