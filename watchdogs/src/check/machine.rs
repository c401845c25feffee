//! One watchdog's checks put together: looks when it is time, asks and answers peers, judges, says what changed.

use std::collections::{BTreeMap, VecDeque};

use super::{CheckName, Definition, Input, Look, Output, Policy, State, Verdict};
use crate::facts::IncidentRow;
use crate::ids::{WatchdogId, Zone};
use crate::io::Alarm;
use crate::time::{Mono, Wall};

/// One watchdog's checks. Contract as of every machine here: after each `handle` drain `poll_output`, then sleep until
/// `poll_timeout`.
#[derive(Debug)]
pub struct Machine {
    me: WatchdogId,
    zone: Zone,
    policy: Policy,
    checks: BTreeMap<CheckName, Definition>,
    outputs: VecDeque<Output>,
    timeout: Mono,
}

impl Machine {
    /// A process that has just started.
    pub fn new(me: WatchdogId, zone: Zone, policy: Policy, now: Mono) -> Self {
        Self { me, zone, policy, checks: BTreeMap::new(), outputs: VecDeque::new(), timeout: now }
    }

    /// Takes in what happened. `wall`: the database's time as far as it is known, else this host's: watchdogs share an
    /// interval by it, and nothing else is decided by it.
    pub fn handle(&mut self, now: Mono, wall: Wall, input: Input) {
        let _ = (now, wall, input, &self.me, &self.zone, &self.policy);
    }

    /// The next thing to do, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle`] with [`Input::Tick`] at the latest.
    pub fn poll_timeout(&self) -> Mono {
        self.timeout
    }

    /// What is to be said of a check, with each voter's word; `None`: no such check.
    pub fn verdict(&self, _now: Mono, name: &CheckName) -> Option<Verdict> {
        self.checks.get(name).map(|_| Verdict {
            state: State::Unknown,
            reason: super::Reason::NoVoters,
            views: Vec::new(),
        })
    }

    /// What this watchdog saw, of every check whose last look bears a higher number: for peers that fetch it, and for the rows
    /// of observations. An isolated watchdog says nothing.
    pub fn report(&self, _now: Mono, _after: u64) -> Vec<Look> {
        Vec::new()
    }

    /// What is wrong now, for whoever tells it while the database is away.
    pub fn alarms(&self, _now: Mono) -> Vec<Alarm> {
        Vec::new()
    }

    /// Whether an open incident is of a check, and can be judged now.
    pub fn may_judge(&self, _now: Mono, _row: &IncidentRow) -> bool {
        false
    }
}
