//! The desk of a watchdog whose checks are told of: its clock, what its looks meet, and what scripted peers say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::check::{
    Answer, CheckName, Definition, Failure, Heard, Input, Look, Machine, Members, Outcome, Output, Policy, Quorum,
    Reason, State, Transition,
};
use komainu_watchdogs::facts::IncidentRow;
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::time::{Mono, Wall};
use komainu_watchdogs::watchdog::Identity;

pub(super) const REFUSED: Outcome = Outcome::Failed(Failure::Refused);
pub(super) const HANGS: Outcome = Outcome::Failed(Failure::ConnectTimeout);

pub(super) fn check(name: &str) -> Definition {
    Definition {
        name: name.into(),
        version: 1,
        interval: Duration::from_secs(20),
        timeout: Duration::from_secs(5),
        quorum: Quorum::Majority,
        zones: BTreeSet::new(),
        severity: Severity::Critical,
        paused: false,
        upside_down: false,
    }
}

/// Watchdog w1 and its clock; whatever it looks at does what the story says, at once.
pub(super) struct Desk {
    pub(super) machine: Machine,
    pub(super) now: Mono,
    /// What looks see; missing: it answers.
    pub(super) targets: BTreeMap<String, Outcome>,
    /// Looks at these never end by themselves.
    pub(super) hanging: BTreeSet<String>,
    pub(super) looks: Vec<(Mono, String)>,
    pub(super) running: BTreeMap<String, u64>,
    pub(super) asks: Vec<(Mono, Vec<String>, Vec<String>)>,
    pub(super) answers: Vec<(Mono, u64, Vec<Look>, Vec<CheckName>)>,
    pub(super) changed: Vec<(Mono, Transition)>,
    pub(super) raised: Vec<Alarm>,
    pub(super) resolved: Vec<String>,
    pub(super) canaries: usize,
    /// When canaries were asked for the last time.
    pub(super) canary_asked_at: Mono,
    /// What became of looks, for statistics.
    pub(super) counted: Vec<Outcome>,
}

pub(super) fn identity(canaries: &[&str]) -> Identity {
    let canaries = canaries.iter().map(|&canary| canary.to_owned()).collect();
    Identity { watchdog: "w1".into(), incarnation: Incarnation(1), zone: "a".into(), canaries }
}

pub(super) fn living(voting: &[(&str, &str, bool)]) -> Members {
    Members {
        is_isolated: false,
        living: voting.iter().map(|&(name, zone, votes)| (name.into(), zone.into(), votes)).collect(),
        registered: voting.len(),
    }
}

pub(super) fn three() -> Members {
    living(&[("w1", "a", true), ("w2", "b", true), ("w3", "c", true)])
}

impl Desk {
    pub(super) fn with(policy: Policy, canaries: &[&str]) -> Self {
        let now = Mono::secs(1_000);
        let mut desk = Self {
            machine: Machine::new(identity(canaries), policy, now),
            now,
            targets: BTreeMap::new(),
            hanging: BTreeSet::new(),
            looks: Vec::new(),
            running: BTreeMap::new(),
            asks: Vec::new(),
            answers: Vec::new(),
            changed: Vec::new(),
            raised: Vec::new(),
            resolved: Vec::new(),
            canaries: 0,
            canary_asked_at: now,
            counted: Vec::new(),
        };
        desk.tell(Input::Members(three()));
        desk
    }

    pub(super) fn new() -> Self {
        let mut desk = Self::with(Policy::default(), &[]);
        desk.tell(Input::Defined(vec![check("api")]));
        desk
    }

    /// Its peers reach api, all have looked twice, and it is up.
    pub(super) fn settled() -> Self {
        let mut desk = Self::new();
        desk.run(3);
        desk.hear("w2", Outcome::Up, 5);
        desk.hear("w3", Outcome::Up, 5);
        assert_eq!(desk.state(), State::Up);
        desk.run(20);
        desk.hear("w2", Outcome::Up, 6);
        desk.hear("w3", Outcome::Up, 6);
        desk.forget();
        desk
    }

    pub(super) fn forget(&mut self) {
        self.looks.clear();
        self.asks.clear();
        self.answers.clear();
        self.changed.clear();
        self.counted.clear();
    }

    pub(super) fn tell(&mut self, input: Input) {
        let wall = Wall(i64::try_from(self.now.as_micros() / 1_000).unwrap());
        self.machine.handle(self.now, wall, input);
        while let Some(output) = self.machine.poll_output() {
            self.perform(output);
        }
    }

    pub(super) fn perform(&mut self, output: Output) {
        match output {
            Output::Look { check, number } => {
                self.looks.push((self.now, check.to_string()));
                if self.hanging.contains(check.as_str()) {
                    self.running.insert(check.to_string(), number);
                    return;
                }
                let outcome = self.targets.get(check.as_str()).copied().unwrap_or(Outcome::Up);
                let answer = Answer { ms: 3, ..Answer::default() };
                self.tell(Input::Looked { check, number, outcome, answer });
            }
            Output::AskPeers { peers, checks } => {
                let words = |names: Vec<String>| names;
                let peers = words(peers.iter().map(ToString::to_string).collect());
                let checks = words(checks.iter().map(ToString::to_string).collect());
                self.asks.push((self.now, peers, checks));
            }
            Output::Answer { ticket, looks, pending } => self.answers.push((self.now, ticket, looks, pending)),
            Output::Counted { outcome, .. } => self.counted.push(outcome),
            Output::ProbeCanaries { asked_at } => {
                self.canaries += 1;
                self.canary_asked_at = asked_at;
            }
            Output::Changed(transition) => self.changed.push((self.now, *transition)),
            Output::Raise(alarm) => {
                self.tell(Input::Told { key: alarm.key.clone(), is_done: true });
                self.raised.push(alarm);
            }
            Output::Resolve { key, .. } => self.resolved.push(key),
        }
    }

    /// A look that hung ends.
    pub(super) fn end(&mut self, name: &str, outcome: Outcome) {
        let number = self.running.remove(name).unwrap();
        self.tell(Input::Looked { check: name.into(), number, outcome, answer: Answer::default() });
    }

    /// A canary that was asked for last answers now.
    pub(super) fn answer_canary(&mut self) {
        self.tell(Input::Canary { asked_at: self.canary_asked_at, is_answered: true });
    }

    /// Lets so many milliseconds pass, each deadline in its turn.
    pub(super) fn pass(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        while self.machine.poll_timeout() <= until {
            self.now = self.now.max(self.machine.poll_timeout());
            self.tell(Input::Tick);
        }
        self.now = until;
        self.tell(Input::Tick);
    }

    pub(super) fn run(&mut self, seconds: u64) {
        self.pass(1_000 * seconds);
    }

    /// A peer says what it sees of api, so many looks running.
    pub(super) fn hear(&mut self, peer: &str, outcome: Outcome, run: u32) {
        self.hear_aged(peer, outcome, run, 0);
    }

    pub(super) fn hear_aged(&mut self, peer: &str, outcome: Outcome, run: u32, age_ms: u64) {
        let said_after = self.now;
        let look = look(outcome, run, age_ms, self.now.as_micros());
        self.tell(Input::Heard(Heard {
            watchdog: peer.into(),
            incarnation: Incarnation(7),
            said_after,
            looks: vec![look],
            pending: Vec::new(),
        }));
    }

    pub(super) fn state(&self) -> State {
        self.machine.standing(&"api".into()).unwrap().state
    }

    pub(super) fn reason(&self) -> Reason {
        self.machine.verdict(self.now, &"api".into()).unwrap().reason
    }

    pub(super) fn looked_at(&self) -> Vec<u64> {
        self.looks.iter().map(|(at, _)| at.since(Mono::secs(1_000)).as_millis().try_into().unwrap()).collect()
    }
}

pub(super) fn look(outcome: Outcome, run: u32, age_ms: u64, number: u64) -> Look {
    let (failures, successes) = if outcome == Outcome::Up { (0, run) } else { (run, 0) };
    Look { check: "api".into(), version: 1, number, outcome, failures, successes, age_ms, answer: Answer::default() }
}

pub(super) fn open(key: &str, last_bad_at: Wall) -> IncidentRow {
    let severity = "critical".to_owned();
    IncidentRow { key: key.to_owned(), severity, opened_at: Wall(1), first_opened_at: None, last_bad_at }
}
