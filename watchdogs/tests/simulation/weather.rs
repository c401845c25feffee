//! The weather of one run: what can go wrong, how often something does, and what is likely.

use super::events::{MS, SEC, Time};
use super::prng::Prng;
use super::realm::Realm;

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
    AsideTrouble,
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
const SPARING: [(Action, u64); 18] = [
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
    (Action::AsideTrouble, 6),
    (Action::ClockJump, 1),
    (Action::NodeClockJump, 2),
];

/// How one run goes wrong.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    pub(crate) quiet: Time,
    pub(crate) chaos: Time,
    pub(crate) pause: Time,
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

    pub(crate) fn next(&self, rng: &mut Prng) -> Action {
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
