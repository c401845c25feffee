//! One watchdog of the world: the real machine, a clock of its own, canaries, and what it heard.

use std::collections::BTreeMap;

use komainu_watchdogs::check::{Definition, Known, Machine, Members, Policy, State};
use komainu_watchdogs::facts::Vote;
use komainu_watchdogs::health::Health;
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::time::{Mono, Wall};
use komainu_watchdogs::watchdog::Identity;

use super::plan::{SECOND, Us};

/// One process at most for each name.
#[derive(Debug)]
pub(super) struct Dog {
    pub(super) machine: Machine,
    pub(super) process: u64,
    pub(super) canary: Health,
    /// Its own clock is ahead by this, and gains so many in a million.
    ahead: Us,
    gains: i64,
    /// When rows were read last, on its clock and the world's; none since it began.
    pub(super) read_at: Option<(Mono, Us)>,
    /// The newest of each peer's looks that it has fetched, by process.
    pub(super) cursors: BTreeMap<usize, (u64, u64)>,
    /// What it last wrote of its own looks.
    pub(super) written: u64,
    pub(super) states: Vec<State>,
    pub(super) members: Members,
}

pub(super) fn name(dog: usize) -> String {
    format!("w{dog}")
}

impl Dog {
    pub(super) fn new(number: usize, zone: usize, clock: (Us, i64), checks: usize) -> Self {
        let mut dog = Self {
            machine: Machine::new(identity(number, zone, 0, true), Policy::default(), Mono::micros(0)),
            process: 0,
            canary: Health::new(Mono::micros(0)),
            ahead: clock.0,
            gains: clock.1,
            read_at: None,
            cursors: BTreeMap::new(),
            written: 0,
            states: vec![State::Unknown; checks],
            members: Members::default(),
        };
        dog.canary = Health::new(dog.mono(0));
        dog
    }

    /// A new process begins.
    pub(super) fn begin(&mut self, at: Us, identity: Identity, policy: Policy) {
        let now = self.mono(at);
        self.process = identity.incarnation.0;
        self.machine = Machine::new(identity, policy, now);
        self.canary = Health::new(now);
        (self.read_at, self.written) = (None, 0);
        self.cursors.clear();
        self.states.fill(State::Unknown);
        self.members = Members::default();
    }

    pub(super) fn mono(&self, at: Us) -> Mono {
        let gained = i64::try_from(at).unwrap() / 1_000_000 * self.gains;
        Mono::micros(self.ahead + at.saturating_add_signed(gained))
    }

    /// The world's time of a moment on this clock, not before `at`.
    pub(super) fn world(&self, at: Us, when: Mono) -> Us {
        at + Us::try_from(when.since(self.mono(at)).as_micros()).unwrap().min(3_600 * SECOND)
    }

    pub(super) fn is_cut_off(&self) -> bool {
        self.canary.vote() == Vote::Down
    }
}

pub(super) fn identity(number: usize, zone: usize, process: u64, has_canaries: bool) -> Identity {
    Identity {
        watchdog: name(number).into(),
        incarnation: Incarnation(process),
        zone: format!("z{zone}").into(),
        canaries: if has_canaries { vec!["tcp://1.1.1.1:443".to_owned()] } else { Vec::new() },
    }
}

/// The wall clock of the world, which nobody has.
pub(super) fn wall(at: Us, off_ms: i64) -> Wall {
    Wall(1_700_000_000_000 + i64::try_from(at / 1_000).unwrap() + off_ms)
}

/// What stands in the store.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) verdicts: BTreeMap<String, (State, Wall)>,
    /// Rows of watchdogs: when last written, and whether isolated.
    pub(super) rows: BTreeMap<usize, (Us, bool)>,
}

impl Store {
    pub(super) fn known(&self) -> Vec<Known> {
        let known = |(check, (state, since)): (&String, &(State, Wall))| Known {
            check: check.as_str().into(),
            state: *state,
            since: *since,
        };
        self.verdicts.iter().map(known).collect()
    }
}

pub(super) fn definition(number: usize, interval: Us, timeout: Us) -> Definition {
    Definition {
        name: format!("c{number}").into(),
        version: 1,
        interval: std::time::Duration::from_micros(interval),
        timeout: std::time::Duration::from_micros(timeout),
        quorum: komainu_watchdogs::check::Quorum::Majority,
        zones: std::collections::BTreeSet::new(),
        severity: komainu_watchdogs::io::Severity::Critical,
        paused: false,
        upside_down: false,
    }
}
