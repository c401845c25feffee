//! What one watchdog's checks keep, and what they forget.

use std::collections::BTreeSet;

use super::*;
use crate::check::{Answer, Heard, Outcome, Quorum};
use crate::ids::Zone;
use crate::io::Severity;

fn definition(name: &str, version: u64) -> Definition {
    Definition {
        name: name.into(),
        version,
        interval: Duration::from_secs(20),
        timeout: Duration::from_secs(5),
        quorum: Quorum::Majority,
        zones: BTreeSet::new(),
        severity: Severity::Critical,
        paused: false,
        upside_down: false,
    }
}

/// Watchdog w1, whose looks reach everything.
struct Desk {
    machine: Machine,
    now: Mono,
}

impl Desk {
    fn new() -> Self {
        let (zone, canaries) = ("a".into(), Vec::new());
        let identity = Identity { watchdog: "w1".into(), incarnation: Incarnation(1), zone, canaries };
        let now = Mono::secs(1_000);
        Self { machine: Machine::new(identity, Policy::default(), now), now }
    }

    fn tell(&mut self, input: Input) {
        self.machine.handle(self.now, Wall(0), input);
        while let Some(output) = self.machine.poll_output() {
            if let Output::Look { check, number } = output {
                self.tell(Input::Looked { check, number, outcome: Outcome::Up, answer: Answer::default() });
            }
        }
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            self.tell(Input::Tick);
        }
    }

    fn members(&mut self, names: &[&str]) {
        let living = names.iter().map(|name| (WatchdogId::from(*name), Zone::from("a"), true)).collect();
        self.tell(Input::Members(Members { is_isolated: false, living, registered: names.len() }));
    }

    fn hear(&mut self, peer: &str) {
        let look = Look {
            check: "api".into(),
            version: 1,
            number: 1,
            outcome: Outcome::Up,
            failures: 0,
            successes: 2,
            age_ms: 0,
            answer: Answer::default(),
        };
        let (said_after, looks) = (self.now, vec![look]);
        let incarnation = Incarnation(7);
        self.tell(Input::Heard(Heard { watchdog: peer.into(), incarnation, said_after, looks, pending: Vec::new() }));
    }

    fn voters(&self) -> Vec<&str> {
        self.machine.slots[&"api".into()].votes.keys().map(WatchdogId::as_str).collect()
    }
}

#[test]
fn a_watchdog_that_is_no_more_is_forgotten_once_its_words_are_old_and_not_while_it_may_come_back() {
    let mut desk = Desk::new();
    desk.members(&["w1", "w2", "w3"]);
    desk.tell(Input::Defined(vec![definition("api", 1)]));
    desk.hear("w2");
    desk.hear("w3");
    desk.run(10);
    desk.members(&["w1", "w2"]);
    assert_eq!(desk.voters(), ["w1", "w2", "w3"], "what it said is fresh for as long as ever");
    desk.run(30);
    assert_eq!(desk.voters(), ["w1", "w2"]);
    assert_eq!(desk.machine.peers.len(), 2, "its answers may still be on their way");
    desk.run(300);
    desk.members(&["w1"]);
    assert_eq!((desk.voters(), desk.machine.peers.len()), (vec!["w1"], 0));
}

#[test]
fn each_check_that_was_looked_at_has_one_number_whatever_becomes_of_it() {
    let all = |version| Input::Defined(["api", "web"].map(|name| definition(name, version)).into());
    let mut desk = Desk::new();
    desk.tell(all(1));
    desk.run(60);
    assert_eq!(desk.machine.numbers.len(), 2);
    desk.tell(Input::Defined(vec![definition("api", 2), Definition { paused: true, ..definition("web", 2) }]));
    assert_eq!(desk.machine.numbers.len(), 1, "of what is looked at anew");
    desk.tell(Input::Defined(Vec::new()));
    assert_eq!(desk.machine.numbers.len(), 0);
}

#[test]
fn it_says_when_something_came_in_last() {
    let mut desk = Desk::new();
    desk.run(3);
    assert_eq!(desk.machine.handled_at(), Mono::secs(1_003));
}
