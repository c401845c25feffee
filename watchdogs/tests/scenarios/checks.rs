//! One watchdog's checks amid scripted peers: when it looks, whom it asks, what it believes, what it tells.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::check::{
    Answer, CheckName, Definition, Failure, Heard, Input, Known, Look, Machine, Members, Outcome, Output, Policy,
    Quorum, Reason, State, Transition, Trouble,
};
use komainu_watchdogs::facts::IncidentRow;
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::time::{Mono, Wall};
use komainu_watchdogs::watchdog::Identity;

const REFUSED: Outcome = Outcome::Failed(Failure::Refused);
const HANGS: Outcome = Outcome::Failed(Failure::ConnectTimeout);

fn check(name: &str) -> Definition {
    Definition {
        name: name.into(),
        version: 1,
        interval: Duration::from_secs(20),
        timeout: Duration::from_secs(5),
        quorum: Quorum::Majority,
        zones: BTreeSet::new(),
        severity: Severity::Critical,
        paused: false,
    }
}

/// Watchdog w1 and its clock; whatever it looks at does what the story says, at once.
struct Desk {
    machine: Machine,
    now: Mono,
    /// What looks see; missing: it answers.
    targets: BTreeMap<String, Outcome>,
    /// Looks at these never end by themselves.
    hanging: BTreeSet<String>,
    looks: Vec<(Mono, String)>,
    running: BTreeMap<String, u64>,
    asks: Vec<(Mono, Vec<String>, Vec<String>)>,
    answers: Vec<(Mono, u64, Vec<Look>, Vec<CheckName>)>,
    changed: Vec<(Mono, Transition)>,
    raised: Vec<Alarm>,
    resolved: Vec<String>,
    canaries: usize,
}

fn identity(canaries: &[&str]) -> Identity {
    let canaries = canaries.iter().map(|&canary| canary.to_owned()).collect();
    Identity { watchdog: "w1".into(), incarnation: Incarnation(1), zone: "a".into(), canaries }
}

fn living(voting: &[(&str, &str, bool)]) -> Members {
    Members {
        is_isolated: false,
        living: voting.iter().map(|&(name, zone, votes)| (name.into(), zone.into(), votes)).collect(),
        registered: voting.len(),
    }
}

fn three() -> Members {
    living(&[("w1", "a", true), ("w2", "b", true), ("w3", "c", true)])
}

impl Desk {
    fn with(policy: Policy, canaries: &[&str]) -> Self {
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
        };
        desk.tell(Input::Members(three()));
        desk
    }

    fn new() -> Self {
        let mut desk = Self::with(Policy::default(), &[]);
        desk.tell(Input::Defined(vec![check("api")]));
        desk
    }

    /// Its peers reach api, all have looked twice, and it is up.
    fn settled() -> Self {
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

    fn forget(&mut self) {
        self.looks.clear();
        self.asks.clear();
        self.answers.clear();
        self.changed.clear();
    }

    fn tell(&mut self, input: Input) {
        let wall = Wall(i64::try_from(self.now.as_micros() / 1_000).unwrap());
        self.machine.handle(self.now, wall, input);
        while let Some(output) = self.machine.poll_output() {
            self.perform(output);
        }
    }

    fn perform(&mut self, output: Output) {
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
            Output::ProbeCanaries => self.canaries += 1,
            Output::Changed(transition) => self.changed.push((self.now, *transition)),
            Output::Raise(alarm) => {
                self.tell(Input::Told { key: alarm.key.clone(), is_done: true });
                self.raised.push(alarm);
            }
            Output::Resolve { key, .. } => self.resolved.push(key),
        }
    }

    /// A look that hung ends.
    fn end(&mut self, name: &str, outcome: Outcome) {
        let number = self.running.remove(name).unwrap();
        self.tell(Input::Looked { check: name.into(), number, outcome, answer: Answer::default() });
    }

    /// Lets so many milliseconds pass, each deadline in its turn.
    fn pass(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        while self.machine.poll_timeout() <= until {
            self.now = self.now.max(self.machine.poll_timeout());
            self.tell(Input::Tick);
        }
        self.now = until;
        self.tell(Input::Tick);
    }

    fn run(&mut self, seconds: u64) {
        self.pass(1_000 * seconds);
    }

    /// A peer says what it sees of api, so many looks running.
    fn hear(&mut self, peer: &str, outcome: Outcome, run: u32) {
        self.hear_aged(peer, outcome, run, 0);
    }

    fn hear_aged(&mut self, peer: &str, outcome: Outcome, run: u32, age_ms: u64) {
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

    fn state(&self) -> State {
        self.machine.standing(&"api".into()).unwrap().state
    }

    fn reason(&self) -> Reason {
        self.machine.verdict(self.now, &"api".into()).unwrap().reason
    }

    fn looked_at(&self) -> Vec<u64> {
        self.looks.iter().map(|(at, _)| at.since(Mono::secs(1_000)).as_millis().try_into().unwrap()).collect()
    }
}

fn look(outcome: Outcome, run: u32, age_ms: u64, number: u64) -> Look {
    let (failures, successes) = if outcome == Outcome::Up { (0, run) } else { (run, 0) };
    Look { check: "api".into(), version: 1, number, outcome, failures, successes, age_ms, answer: Answer::default() }
}

fn open(key: &str, last_bad_at: Wall) -> IncidentRow {
    let severity = "critical".to_owned();
    IncidentRow { key: key.to_owned(), severity, opened_at: Wall(1), first_opened_at: None, last_bad_at }
}

#[test]
fn whoever_sees_the_first_failure_asks_the_others_at_once() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    desk.run(20);
    let first = desk.looks[0].0;
    let (asked_at, peers, checks) = desk.asks[0].clone();
    assert!(asked_at.since(first) <= Duration::from_millis(50));
    assert_eq!((peers, checks), (vec!["w2".to_owned(), "w3".to_owned()], vec!["api".to_owned()]));
}

#[test]
fn a_first_failure_is_looked_at_again_after_a_second_and_two_of_three_make_it_down() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    while desk.looks.is_empty() {
        desk.pass(100);
    }
    desk.hear("w2", REFUSED, 1);
    assert_eq!(desk.state(), State::Up);
    desk.pass(1_200);
    assert_eq!(desk.looks.len(), 2);
    assert_eq!(desk.looks[1].0.since(desk.looks[0].0), Duration::from_secs(1));
    assert_eq!(desk.state(), State::Up, "its own two looks are one vote");
    desk.hear("w2", REFUSED, 2);
    assert_eq!(desk.state(), State::Down);
    let (_, transition) = desk.changed[0].clone();
    assert_eq!((transition.from, transition.to), (State::Up, State::Down));
    assert_eq!(transition.reason, Reason::Failed { failed: 2, voters: 3 });
    assert_eq!(transition.first_failing, Some("w1".into()));
    assert_eq!(transition.votes.len(), 3);
}

#[test]
fn while_it_is_down_the_first_success_asks_the_others() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    desk.run(26);
    desk.hear("w2", REFUSED, 2);
    assert_eq!(desk.state(), State::Down);
    desk.forget();
    desk.run(12);
    desk.hear("w2", REFUSED, 3);
    assert_eq!(desk.asks, Vec::new(), "what is known is not asked");
    desk.targets.clear();
    desk.run(20);
    assert_eq!(desk.asks[0].1, ["w2", "w3"]);
    assert_eq!(desk.state(), State::Down);
    desk.hear("w2", Outcome::Up, 2);
    assert_eq!(desk.state(), State::Up);
}

#[test]
fn peers_that_have_looked_twice_since_are_not_asked_again() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    while desk.looks.is_empty() {
        desk.pass(100);
    }
    desk.pass(100);
    desk.hear("w2", Outcome::Up, 9);
    desk.hear("w3", Outcome::Up, 9);
    desk.run(5);
    assert_eq!(desk.asks.len(), 1);
    desk.run(15);
    assert_eq!(desk.asks.len(), 1, "a lone dissenter does not make the others look for ever");
}

#[test]
fn a_look_that_takes_unusually_long_makes_the_others_look_before_it_has_ended() {
    let mut desk = Desk::settled();
    desk.hanging.insert("api".into());
    while desk.looks.is_empty() {
        desk.pass(100);
    }
    desk.run(3);
    let (asked_at, peers, _) = desk.asks[0].clone();
    assert_eq!(asked_at.since(desk.looks[0].0), Duration::from_millis(2_020));
    assert_eq!(peers, ["w2", "w3"]);
    assert_eq!(desk.state(), State::Up, "a slow look is no failure");
}

#[test]
fn being_asked_makes_a_look_now_that_counts_as_the_second_if_it_took_a_while() {
    let mut desk = Desk::settled();
    desk.hanging.insert("api".into());
    desk.tell(Input::Asked { ticket: 1, checks: vec!["api".into()] });
    assert_eq!(desk.looks.len(), 1);
    desk.pass(1_500);
    desk.end("api", HANGS);
    assert_eq!(desk.answers[0].2[0].failures, 2);
    assert_eq!(desk.asks, Vec::new(), "who asks, asks all");
}

#[test]
fn being_asked_about_what_fails_at_once_makes_a_second_look_a_second_later() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    desk.tell(Input::Asked { ticket: 1, checks: vec!["api".into()] });
    assert_eq!(desk.answers[0].2[0].failures, 1);
    desk.pass(900);
    desk.tell(Input::Asked { ticket: 2, checks: vec!["api".into()] });
    assert_eq!((desk.looks.len(), desk.answers.len()), (1, 1), "it waits for the look that is on its way");
    desk.pass(150);
    assert_eq!(desk.looks.len(), 2);
    assert_eq!((desk.answers[1].1, desk.answers[1].2[0].failures), (2, 2));
}

#[test]
fn a_look_asked_for_twice_within_a_second_is_one_look() {
    let mut desk = Desk::settled();
    desk.tell(Input::Asked { ticket: 1, checks: vec!["api".into()] });
    desk.pass(500);
    desk.tell(Input::Asked { ticket: 2, checks: vec!["api".into()] });
    desk.pass(200);
    assert_eq!((desk.looks.len(), desk.answers.len()), (1, 2));
    desk.pass(400);
    desk.tell(Input::Asked { ticket: 3, checks: vec!["api".into()] });
    assert_eq!(desk.looks.len(), 2);
}

#[test]
fn who_asks_is_answered_within_two_seconds_with_what_is_still_looked_at() {
    let mut desk = Desk::settled();
    desk.hanging.insert("api".into());
    desk.tell(Input::Asked { ticket: 1, checks: vec!["api".into(), "unheard-of".into()] });
    desk.run(2);
    let (_, ticket, looks, pending) = desk.answers[0].clone();
    assert_eq!((ticket, looks, pending), (1, Vec::new(), vec![CheckName::from("api")]));
}

#[test]
fn what_a_peer_still_looks_at_is_asked_for_again() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    while desk.asks.is_empty() {
        desk.pass(100);
    }
    let pending = vec!["api".into()];
    let heard =
        Heard { watchdog: "w2".into(), incarnation: Incarnation(7), said_after: desk.now, looks: Vec::new(), pending };
    desk.forget();
    desk.tell(Input::Heard(heard));
    desk.pass(50);
    assert_eq!(desk.asks[0].1, ["w2"]);
}

#[test]
fn own_trouble_is_no_vote_and_looked_at_again_within_a_minute() {
    let mut desk = Desk::with(Policy::default(), &[]);
    desk.tell(Input::Defined(vec![Definition { interval: Duration::from_secs(86_400), ..check("api") }]));
    desk.targets.insert("api".into(), Outcome::Unable(Trouble::Descriptors));
    desk.hear("w2", Outcome::Up, 2);
    desk.hear("w3", Outcome::Up, 2);
    desk.run(100);
    assert_eq!((desk.state(), desk.looks.len()), (State::Up, 2));
    assert_eq!(desk.asks, Vec::new());
}

#[test]
fn a_failure_that_may_be_ones_own_networks_waits_for_a_canary() {
    let mut desk = Desk::with(Policy::default(), &["tcp://1.1.1.1:443"]);
    desk.tell(Input::Defined(vec![check("api")]));
    desk.targets.insert("api".into(), HANGS);
    desk.run(1);
    assert_eq!((desk.canaries, desk.asks.len()), (1, 0), "the others are not asked for what may be one's own");
    let began_at = desk.now;
    desk.tell(Input::Canary { began_at, is_answered: true });
    assert_eq!(desk.machine.report(desk.now, 0, 9)[0].outcome, HANGS);
}

#[test]
fn a_failure_beside_canaries_that_do_not_answer_is_own_trouble() {
    let mut desk = Desk::with(Policy::default(), &["tcp://1.1.1.1:443"]);
    desk.tell(Input::Defined(vec![check("api")]));
    desk.targets.insert("api".into(), HANGS);
    desk.run(1);
    let before = Mono::secs(999);
    desk.tell(Input::Canary { began_at: before, is_answered: true });
    assert_eq!(desk.machine.report(desk.now, 0, 9), Vec::new(), "an answer from before the look proves nothing");
    desk.tell(Input::Canary { began_at: desk.now, is_answered: false });
    desk.run(5);
    assert_eq!(desk.machine.report(desk.now, 0, 9)[0].outcome, Outcome::Unable(Trouble::CutOff));
    assert_eq!(desk.asks, Vec::new());
}

#[test]
fn a_target_that_refuses_needs_no_canary() {
    let mut desk = Desk::with(Policy::default(), &["tcp://1.1.1.1:443"]);
    desk.tell(Input::Defined(vec![check("api")]));
    desk.targets.insert("api".into(), REFUSED);
    desk.run(1);
    assert_eq!(desk.machine.report(desk.now, 0, 9)[0].outcome, REFUSED);
}

#[test]
fn an_isolated_watchdog_abstains_and_judges_by_the_others_words() {
    let mut desk = Desk::settled();
    desk.tell(Input::Members(Members { is_isolated: true, ..three() }));
    desk.targets.insert("api".into(), REFUSED);
    desk.run(22);
    desk.hear("w2", Outcome::Up, 9);
    desk.hear("w3", Outcome::Up, 9);
    assert_eq!(desk.reason(), Reason::Reached { reached: 2, voters: 2 });
    assert_eq!(desk.machine.report(desk.now, 0, 9)[0].outcome, Outcome::Unable(Trouble::CutOff));
}

#[test]
fn where_two_of_three_are_isolated_there_is_no_verdict() {
    let mut desk = Desk::settled();
    desk.tell(Input::Members(living(&[("w1", "a", true), ("w2", "b", false), ("w3", "c", false)])));
    assert_eq!((desk.state(), desk.reason()), (State::Unknown, Reason::Isolated { voters: 1, living: 3 }));
    desk.targets.insert("api".into(), REFUSED);
    desk.run(60);
    assert_eq!(desk.state(), State::Unknown);
    desk.tell(Input::Incidents(Vec::new()));
    assert_eq!(desk.raised, Vec::new(), "isolation is told by itself");
}

#[test]
fn a_peers_vote_is_as_old_as_it_says_and_as_its_answer_took() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    desk.run(22);
    desk.hear_aged("w2", REFUSED, 2, 29_000);
    assert_eq!(desk.state(), State::Down);
    desk.run(2);
    assert_ne!(desk.state(), State::Down, "fresh for 30 s, of which 29 had passed");
}

#[test]
fn an_answer_that_took_long_is_no_younger_than_its_request() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    desk.run(22);
    let said_after = desk.now - Duration::from_secs(31);
    let looks = vec![look(REFUSED, 2, 0, u64::MAX)];
    let heard = Heard { watchdog: "w2".into(), incarnation: Incarnation(8), said_after, looks, pending: Vec::new() };
    desk.tell(Input::Heard(heard));
    assert_ne!(desk.state(), State::Down);
}

#[test]
fn a_look_that_is_heard_again_gets_no_younger() {
    let mut desk = Desk::settled();
    let frozen = look(Outcome::Up, 2, 0, u64::MAX);
    for _ in 0..4 {
        let looks = vec![frozen.clone()];
        let said_after = desk.now;
        let heard =
            Heard { watchdog: "w2".into(), incarnation: Incarnation(7), said_after, looks, pending: Vec::new() };
        desk.tell(Input::Heard(heard));
        desk.run(10);
    }
    desk.hear("w3", Outcome::Up, 2);
    let fresh = desk.machine.verdict(desk.now, &"api".into()).unwrap().views;
    assert_eq!(fresh[1].stand, komainu_watchdogs::check::Stand::Stale);
}

#[test]
fn what_a_process_said_that_is_no_more_does_not_replace_what_its_successor_said() {
    let mut desk = Desk::settled();
    let heard = |incarnation, said_after, outcome| {
        let looks = vec![look(outcome, 2, 0, 1)];
        Input::Heard(Heard {
            watchdog: "w2".into(),
            incarnation: Incarnation(incarnation),
            said_after,
            looks,
            pending: Vec::new(),
        })
    };
    let before = desk.now;
    desk.run(5);
    desk.tell(heard(9, desk.now, Outcome::Up));
    desk.tell(heard(7, before, REFUSED));
    let views = desk.machine.verdict(desk.now, &"api".into()).unwrap().views;
    assert_eq!(views[1].look.as_ref().unwrap().outcome, Outcome::Up);
}

#[test]
fn looks_come_once_an_interval_and_share_it_with_the_others() {
    let mut desk = Desk::settled();
    desk.run(60);
    let millis = desk.looked_at();
    assert_eq!(millis.len(), 3);
    assert!(millis.windows(2).all(|pair| pair[1] - pair[0] == 20_000), "{millis:?}");
    desk.forget();
    desk.tell(Input::Members(living(&[("w1", "a", true), ("w0", "b", true)])));
    desk.run(60);
    let millis = desk.looked_at();
    assert!(millis.windows(2).all(|pair| pair[1] - pair[0] <= 20_500), "none skipped: {millis:?}");
    assert!((3..=4).contains(&millis.len()), "{millis:?}");
}

#[test]
fn a_check_once_a_day_is_looked_at_soon_after_a_start_and_confirmed() {
    let mut desk = Desk::with(Policy::default(), &[]);
    let daily = |number: u32| Definition { interval: Duration::from_secs(86_400), ..check(&format!("daily{number}")) };
    desk.tell(Input::Defined((0..2_000).map(daily).collect()));
    desk.run(1);
    assert!((30..130).contains(&desk.looks.len()), "spread: {}", desk.looks.len());
    desk.run(31);
    assert_eq!(desk.looks.len(), 4_000, "each twice");
}

#[test]
fn at_most_so_many_looks_run_at_once_and_none_starves() {
    let policy = Policy { budget: 2, ..Policy::default() };
    let mut desk = Desk::with(policy, &[]);
    let names = ["a", "b", "c", "d", "e"];
    desk.hanging = names.iter().map(|&name| name.to_owned()).collect();
    desk.tell(Input::Defined(names.iter().map(|name| check(name)).collect()));
    desk.run(1);
    assert_eq!((desk.running.len(), desk.machine.load()), (2, (2, 3)));
    for _ in 0..10 {
        let name = desk.running.keys().next().unwrap().clone();
        desk.pass(300);
        desk.end(&name, Outcome::Up);
    }
    let seen: BTreeSet<_> = desk.looks.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(seen.len(), 5);
}

#[test]
fn a_look_that_never_ends_is_own_trouble_and_gives_its_place_back() {
    let mut desk = Desk::settled();
    desk.hanging.insert("api".into());
    desk.run(36);
    assert_eq!(desk.machine.report(desk.now, 0, 9)[0].outcome, Outcome::Unable(Trouble::Lost));
}

#[test]
fn a_look_during_which_this_process_stood_still_is_own_trouble() {
    let mut desk = Desk::settled();
    desk.hanging.insert("api".into());
    while desk.looks.is_empty() {
        desk.pass(100);
    }
    desk.now += Duration::from_secs(60);
    desk.end("api", REFUSED);
    assert_eq!(desk.machine.report(desk.now, 0, 9)[0].outcome, Outcome::Unable(Trouble::Stalled));
    assert_eq!(desk.state(), State::Unknown, "what it knew is old");
    assert_eq!(desk.changed, Vec::new());
}

#[test]
fn an_edit_of_the_target_begins_anew() {
    let mut desk = Desk::settled();
    desk.hanging.insert("api".into());
    while desk.looks.is_empty() {
        desk.pass(100);
    }
    let number = desk.running["api"];
    desk.tell(Input::Defined(vec![Definition { version: 2, ..check("api") }]));
    desk.pass(10);
    desk.tell(Input::Looked { check: "api".into(), number, outcome: REFUSED, answer: Answer::default() });
    assert_eq!(desk.machine.report(desk.now, 0, 9), Vec::new(), "a look at what was before says nothing");
    assert_eq!(desk.looks.len(), 2, "and what is now is looked at at once");
}

#[test]
fn a_paused_check_is_looked_at_by_nobody() {
    let mut desk = Desk::settled();
    desk.tell(Input::Defined(vec![Definition { paused: true, ..check("api") }]));
    desk.tell(Input::Asked { ticket: 1, checks: vec!["api".into()] });
    desk.run(60);
    assert_eq!((desk.looks.len(), desk.reason()), (0, Reason::Paused));
}

#[test]
fn watchdogs_outside_a_checks_zones_do_not_look() {
    let mut desk = Desk::with(Policy::default(), &[]);
    let elsewhere = Definition { zones: BTreeSet::from(["b".into(), "c".into()]), ..check("api") };
    desk.tell(Input::Defined(vec![elsewhere]));
    desk.run(60);
    assert_eq!(desk.looks.len(), 0);
    desk.hear("w2", REFUSED, 2);
    desk.hear("w3", REFUSED, 2);
    assert_eq!(desk.state(), State::Down, "and judge by those inside");
}

#[test]
fn a_down_that_stood_in_the_store_is_not_told_again_after_a_restart() {
    let mut desk = Desk::new();
    desk.tell(Input::Stored(vec![Known { check: "api".into(), state: State::Down, since: Wall(5) }]));
    assert_eq!(desk.state(), State::Unknown, "nothing is known yet");
    desk.targets.insert("api".into(), REFUSED);
    desk.run(3);
    desk.hear("w2", REFUSED, 2);
    assert_eq!((desk.state(), desk.changed.len()), (State::Down, 0));
    desk.tell(Input::Stored(vec![Known { check: "api".into(), state: State::Down, since: Wall(5) }]));
    assert_eq!(desk.machine.standing(&"api".into()).unwrap().since, Some(Wall(5)));
}

#[test]
fn a_verdict_that_somebody_else_entered_first_is_no_news_and_not_taken_back() {
    let mut desk = Desk::settled();
    let down = Known { check: "api".into(), state: State::Down, since: Wall(5) };
    desk.tell(Input::Stored(vec![down.clone()]));
    assert_eq!(desk.changed, Vec::new(), "it has not heard what the other has");
    desk.pass(10);
    desk.hear("w2", REFUSED, 2);
    desk.hear("w3", REFUSED, 2);
    assert_eq!((desk.state(), desk.changed.len()), (State::Down, 0));
}

#[test]
fn a_verdict_that_could_not_be_entered_is_entered_ten_seconds_later() {
    let mut desk = Desk::settled();
    let stands = || vec![Known { check: "api".into(), state: State::Down, since: Wall(5) }];
    desk.tell(Input::Stored(stands()));
    desk.run(5);
    desk.tell(Input::Stored(stands()));
    assert_eq!(desk.changed, Vec::new());
    desk.run(5);
    desk.tell(Input::Stored(stands()));
    assert_eq!((desk.changed[0].1.from, desk.changed[0].1.to), (State::Down, State::Up));
}

#[test]
fn a_check_that_is_down_is_an_incident_that_says_who_sees_it_and_who_does_not() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    desk.run(21);
    desk.hear("w2", REFUSED, 2);
    desk.hear("w3", Outcome::Up, 9);
    desk.tell(Input::Incidents(Vec::new()));
    let Alarm { key, severity, summary, votes } = desk.raised[0].clone();
    assert_eq!((key.as_str(), severity, votes), ("check/api", Severity::Critical, (2, 3)));
    assert_eq!(
        summary,
        "2 of 3 watchdogs see it fail (w1 in a: connection refused; w2 in b: connection refused); reached from w3 in c"
    );
}

#[test]
fn an_incident_of_a_check_is_over_when_it_is_up_and_not_when_it_is_unknown() {
    let mut desk = Desk::settled();
    let rows = || vec![open("check/api", Wall(9))];
    desk.tell(Input::Members(living(&[("w1", "a", true), ("w2", "b", false), ("w3", "c", false)])));
    for _ in 0..10 {
        desk.tell(Input::Incidents(rows()));
        desk.run(1);
    }
    assert_eq!(desk.resolved, Vec::<String>::new());
    desk.tell(Input::Members(three()));
    desk.hear("w2", Outcome::Up, 9);
    for _ in 0..10 {
        desk.tell(Input::Incidents(rows()));
        desk.run(1);
    }
    assert_eq!(desk.resolved, ["check/api"]);
}

#[test]
fn a_minority_is_a_warning_with_a_key_of_its_own() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    desk.run(45);
    desk.hear("w2", Outcome::Up, 9);
    desk.hear("w3", Outcome::Up, 9);
    assert_eq!(desk.state(), State::Partial);
    desk.tell(Input::Incidents(Vec::new()));
    let keys: Vec<_> = desk.raised.iter().map(|alarm| (alarm.key.as_str(), alarm.severity)).collect();
    assert_eq!(keys, [("partial/api", Severity::Warning)]);
}

#[test]
fn checks_without_a_fresh_majority_for_three_intervals_are_told_as_one() {
    let mut desk = Desk::settled();
    desk.run(40);
    desk.tell(Input::Incidents(Vec::new()));
    assert_eq!(desk.raised, Vec::new());
    desk.run(60);
    desk.tell(Input::Incidents(Vec::new()));
    assert_eq!(desk.raised[0].key, "checks");
    assert_eq!(desk.raised[0].summary, "1 cannot be judged, too few watchdogs look at them: api");
}

#[test]
fn a_sole_witness_says_so() {
    let mut desk = Desk::settled();
    desk.tell(Input::Members(Members { registered: 3, ..living(&[("w1", "a", true)]) }));
    desk.targets.insert("api".into(), REFUSED);
    desk.run(22);
    assert!(desk.machine.alarms(desk.now)[0].summary.ends_with("(sole witness: w1)"));
}

#[test]
fn a_report_says_what_is_new_since_a_number() {
    let mut desk = Desk::settled();
    let all = desk.machine.report(desk.now, 0, 9);
    assert_eq!(all.len(), 1);
    assert_eq!(desk.machine.report(desk.now, all[0].number, 9), Vec::new());
    desk.run(20);
    assert_eq!(desk.machine.report(desk.now, all[0].number, 9).len(), 1);
}
