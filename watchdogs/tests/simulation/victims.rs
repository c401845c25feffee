//! Whom it befalls: processes that are killed, stopped, doubled, paused or hang, and come back.

use super::bounds::Blow;
use super::events::{Event, SEC, Who};
use super::world::{Life, World};

impl World {
    pub(crate) fn pick_dog(&mut self) -> Option<Who> {
        let spared = self.setup.spared();
        let is_fair = |dog: &usize| self.dogs[*dog].id >= spared;
        let living: Vec<_> =
            (0..self.dogs.len()).filter(is_fair).map(Who::Dog).filter(|who| self.is_alive(*who)).collect();
        self.rng.pick(&living)
    }

    pub(crate) fn pick_node(&mut self) -> Option<Who> {
        let living: Vec<_> = (0..self.nodes.len()).map(Who::Node).filter(|who| self.is_alive(*who)).collect();
        self.rng.pick(&living)
    }

    /// The living process that leads by the database's word.
    pub(crate) fn leader(&self) -> Option<Who> {
        let holder = self.database.leader.holder?;
        let at = self.dogs.iter().position(|dog| dog.incarnation == holder && dog.life != Life::Dead)?;
        Some(Who::Dog(at))
    }

    pub(crate) fn crash(&mut self, who: Option<Who>) {
        let Some(who) = who.filter(|who| self.is_fair_game(*who)) else { return };
        self.note_blow(who, Blow::Killed);
        self.counts.crashes += 1;
        let is_noticed = self.rng.per_mille(600);
        self.end_process(who, is_noticed);
    }

    pub(crate) fn restart_dog(&mut self) {
        let missing: Vec<_> = (0..self.setup.dogs).filter(|id| !self.has_dog(*id)).collect();
        if let Some(id) = self.rng.pick(&missing) {
            self.counts.restarts += 1;
            self.start_dog(id);
        }
    }

    pub(crate) fn restart_node(&mut self) {
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

    pub(crate) fn twin_dog(&mut self) {
        if self.dogs.iter().filter(|dog| dog.life != Life::Dead).count() <= self.setup.dogs {
            let id = self.rng.index(self.setup.dogs);
            self.start_dog(id);
        }
    }

    pub(crate) fn twin_node(&mut self) {
        if self.nodes.iter().filter(|node| node.life != Life::Dead).count() <= self.setup.nodes {
            let id = self.rng.index(self.setup.nodes);
            self.start_node(id);
        }
    }

    pub(crate) fn stop(&mut self, who: Option<Who>) {
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

    pub(crate) fn pause_leader(&mut self) {
        self.counts.leader_pauses += u64::from(self.leader().is_some());
        self.pause(self.leader(), 25);
    }

    pub(crate) fn pause(&mut self, who: Option<Who>, most_secs: u64) {
        let Some(who) = who.filter(|who| self.is_running(*who) && self.is_fair_game(*who)) else { return };
        self.counts.pauses += 1;
        self.note_blow(who, Blow::Vanished);
        match who {
            Who::Dog(dog) => {
                self.dogs[dog].life = Life::Paused;
                let connection = self.dogs[dog].leader_lock.connection;
                self.schedule(self.now + 10 * SEC, Event::CloseIdle { dog, connection });
            }
            Who::Node(node) => {
                self.nodes[node].life = Life::Paused;
                // A host goes on to accept for a paused process. That something else refuses in its place, and somebody ended its
                // connection before it was paused, and it had not yet been told, is more than the design is proof against: it may
                // begin runs for a second after it goes on, and stores nothing.
                self.open_port(self.nodes[node].id);
            }
        }
        let span = self.rng.between(SEC, most_secs * SEC);
        self.trace(&("pause", who, span / SEC));
        self.schedule(self.now + span, Event::Resume(who));
    }

    pub(crate) fn stall(&mut self) {
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

    pub(crate) fn slow_runs(&mut self) {
        if let Some(Who::Node(node)) = self.pick_node() {
            self.nodes[node].slow_until = self.now + self.rng.between(2, 20) * SEC;
        }
    }
}
