//! What the votes on one check amount to: up, down, partial or unknown, and why.
//!
//! A pure function of the definition, the voters and their latest looks; the state before has a part only while too few
//! have looked twice to say anything new. All watchdogs that know the same looks say the same.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Definition, Look, Outcome, Policy, State};
use crate::ids::{Incarnation, WatchdogId, Zone};
use crate::time::Mono;

/// One voter's latest look, as this process knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vote {
    /// What it said.
    pub look: Look,
    /// When that look ended at the earliest, on this process's own clock.
    pub looked_at: Mono,
    /// Which process of that watchdog said it.
    pub incarnation: Incarnation,
    /// It was found stale, and nobody waits for that any more.
    pub is_expired: bool,
}

/// A voter and its word on one check.
#[derive(Clone, Copy, Debug)]
pub struct Ballot<'a> {
    /// Who.
    pub watchdog: &'a WatchdogId,
    /// Where it stands.
    pub zone: &'a Zone,
    /// Its latest look; `None`: nothing was heard.
    pub vote: Option<&'a Vote>,
    /// Since when it could be heard here: it is there, the check is as it is, and this process has not stood still.
    pub awaited_since: Mono,
}

/// Who may vote on one check.
#[derive(Clone, Debug, Default)]
pub struct Electorate<'a> {
    /// Those who may, each with its word.
    pub ballots: Vec<Ballot<'a>>,
    /// How many live, those that abstain because they are cut off among them.
    pub living: usize,
}

/// Why a check is what it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "code")]
pub enum Reason {
    /// Enough voters reach it.
    Reached {
        /// So many.
        reached: u32,
        /// Of so many.
        voters: u32,
    },
    /// Enough voters failed, in two looks running each.
    Failed {
        /// So many.
        failed: u32,
        /// Of so many.
        voters: u32,
    },
    /// A minority fails, in three looks running.
    MinorityFails {
        /// So many.
        failed: u32,
        /// Of so many.
        voters: u32,
    },
    /// Enough voters fail, and all of them stand in one zone, while others stand elsewhere: it may be that zone's network.
    OneZone {
        /// So many.
        failed: u32,
        /// Of so many.
        voters: u32,
    },
    /// Neither those that fail nor those that reach it are enough, for long: a tie is not down.
    Split {
        /// So many fail.
        failed: u32,
        /// So many reach it.
        reached: u32,
        /// Of so many.
        voters: u32,
    },
    /// Some saw something new, and have looked once: what was said before stands.
    Settling {
        /// Fresh votes.
        fresh: u32,
        /// Of so many.
        voters: u32,
    },
    /// Fewer fresh votes than a majority.
    TooFewFresh {
        /// So many.
        fresh: u32,
        /// Of so many.
        voters: u32,
    },
    /// More than half of the living watchdogs are cut off from the world and abstain.
    Isolated {
        /// So many may vote.
        voters: u32,
        /// So many live.
        living: u32,
    },
    /// No living watchdog stands where it may be looked at.
    NoVoters,
    /// Nobody looks, by order.
    Paused,
}

/// What the votes amount to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Verdict {
    /// Up, down, partial or unknown.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// Each voter's word.
    pub views: Vec<View>,
}

/// How one voter's word counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stand {
    /// It reaches the target.
    Up,
    /// It does not.
    Failed,
    /// It could not look: no vote.
    Unable,
    /// It looked too long ago: no vote.
    Stale,
    /// Nothing was heard from it: no vote.
    Silent,
}

/// One voter's word, as it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct View {
    /// Who.
    pub watchdog: WatchdogId,
    /// Where it stands.
    pub zone: Zone,
    /// How it counts.
    pub stand: Stand,
    /// Its latest look; its [`Look::age_ms`] is what it was when this was made.
    #[serde(flatten)]
    pub look: Option<Look>,
}

/// What the votes on a check amount to now, given what it was before.
pub fn judge(
    now: Mono,
    definition: &Definition,
    electorate: &Electorate<'_>,
    before: State,
    policy: &Policy,
) -> Verdict {
    let (state, reason) = weigh(now, definition, electorate, before, policy);
    let views = electorate.ballots.iter().map(|ballot| ballot.view(now, definition, policy)).collect();
    Verdict { state, reason, views }
}

/// The same without anybody's words, for whoever asks often.
pub fn weigh(
    now: Mono,
    definition: &Definition,
    electorate: &Electorate<'_>,
    before: State,
    policy: &Policy,
) -> (State, Reason) {
    let voters = electorate.ballots.len();
    let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    if definition.paused {
        return (State::Unknown, Reason::Paused);
    }
    if 2 * voters < electorate.living {
        return (State::Unknown, Reason::Isolated { voters: small(voters), living: small(electorate.living) });
    }
    if voters == 0 {
        return (State::Unknown, Reason::NoVoters);
    }
    let count = Count::of(now, definition, electorate, policy);
    if count.fresh < voters / 2 + 1 {
        return (State::Unknown, Reason::TooFewFresh { fresh: small(count.fresh), voters: small(voters) });
    }
    count.decide(definition.quorum, voters, before)
}

/// How long a vote is fresh.
pub fn fresh_for(definition: &Definition, policy: &Policy) -> std::time::Duration {
    definition.interval + definition.timeout + policy.vote_slack
}

impl Ballot<'_> {
    fn stand(&self, now: Mono, definition: &Definition, policy: &Policy) -> Stand {
        let Some(vote) = self.vote.filter(|vote| vote.look.version == definition.version) else {
            return Stand::Silent;
        };
        match vote.look.outcome {
            _ if now.since(vote.looked_at) > fresh_for(definition, policy) => Stand::Stale,
            Outcome::Up => Stand::Up,
            Outcome::Failed(_) => Stand::Failed,
            Outcome::Unable(_) => Stand::Unable,
        }
    }

    pub(super) fn view(&self, now: Mono, definition: &Definition, policy: &Policy) -> View {
        let aged = |vote: &Vote| {
            let age_ms = u64::try_from(now.since(vote.looked_at).as_millis()).unwrap_or(u64::MAX);
            Look { age_ms, ..vote.look.clone() }
        };
        View {
            watchdog: self.watchdog.clone(),
            zone: self.zone.clone(),
            stand: self.stand(now, definition, policy),
            look: self.vote.map(aged),
        }
    }
}

/// The fresh votes, counted.
#[derive(Debug, Default)]
struct Count {
    /// Votes of either kind, however often their voters looked.
    fresh: usize,
    /// Failures in two looks running.
    failed: usize,
    /// Successes in two looks running.
    reached: usize,
    /// Successes in five looks running.
    reached_for_long: usize,
    /// Failures in three looks running.
    failed_for_long: usize,
    /// Votes of either kind in three looks running.
    lasting: usize,
    /// Those that failed in two looks running stand in one zone, while a voter stands in another that can look, or may yet say
    /// that it did.
    is_one_zone: bool,
}

impl Count {
    fn of(now: Mono, definition: &Definition, electorate: &Electorate<'_>, policy: &Policy) -> Self {
        let mut count = Self::default();
        let (mut seeing, mut failing) = (BTreeSet::new(), BTreeSet::new());
        for ballot in &electorate.ballots {
            let stand = ballot.stand(now, definition, policy);
            let runs = ballot.vote.map_or((0, 0), |vote| (vote.look.failures, vote.look.successes));
            let is_seeing = match stand {
                Stand::Up | Stand::Failed => true,
                Stand::Stale | Stand::Silent => now.since(ballot.awaited_since) <= fresh_for(definition, policy),
                Stand::Unable => false,
            };
            if is_seeing {
                seeing.insert(ballot.zone);
            }
            match stand {
                Stand::Up => count.note_reached(runs.1, policy),
                Stand::Failed => {
                    count.note_failed(runs.0, policy);
                    if runs.0 >= policy.looks_running {
                        failing.insert(ballot.zone);
                    }
                }
                Stand::Unable | Stand::Stale | Stand::Silent => {}
            }
        }
        count.is_one_zone = failing.len() == 1 && seeing.len() > 1;
        count
    }

    fn note_reached(&mut self, successes: u32, policy: &Policy) {
        self.fresh += 1;
        self.reached += usize::from(successes >= policy.looks_running);
        self.reached_for_long += usize::from(successes >= policy.reached_rounds());
        self.lasting += usize::from(successes >= policy.partial_rounds);
    }

    fn note_failed(&mut self, failures: u32, policy: &Policy) {
        self.fresh += 1;
        self.failed += usize::from(failures >= policy.looks_running);
        self.failed_for_long += usize::from(failures >= policy.partial_rounds);
        self.lasting += usize::from(failures >= policy.partial_rounds);
    }

    /// A majority has looked lately: what it says.
    fn decide(&self, quorum: super::Quorum, voters: usize, before: State) -> (State, Reason) {
        let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (failed, reached, of) = (small(self.failed), small(self.reached), small(voters));
        let needed = quorum.to_be_down(voters);
        let is_enough = self.failed >= needed;
        // Where a single one suffices, its owner said that no second zone is asked for.
        let is_contradicted = self.is_one_zone && needed > 1;
        if is_enough && !is_contradicted {
            return (State::Down, Reason::Failed { failed, voters: of });
        }
        let to_be_up = quorum.to_be_up(voters, self.fresh);
        if !is_enough && self.reached >= to_be_up {
            // Who reaches it again since a moment ago has just asked those who have not looked since: their word is an old one.
            let is_lasting = before == State::Partial || self.reached_for_long >= to_be_up;
            return match self.failed_for_long {
                failed if failed > 0 && is_lasting => {
                    (State::Partial, Reason::MinorityFails { failed: small(failed), voters: of })
                }
                _ => (State::Up, Reason::Reached { reached, voters: of }),
            };
        }
        // Neither has it, and more looks would say the same.
        if self.failed_for_long > 0 && self.lasting == self.fresh {
            let failed = small(self.failed_for_long);
            let one_zone = Reason::OneZone { failed, voters: of };
            let split = Reason::Split { failed, reached, voters: of };
            return (State::Partial, if is_enough { one_zone } else { split });
        }
        (before, Reason::Settling { fresh: small(self.fresh), voters: of })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reached { reached, voters } => write!(f, "{reached} of {voters} watchdogs reach it"),
            Self::Failed { failed, voters } => write!(f, "{failed} of {voters} watchdogs see it fail"),
            Self::MinorityFails { failed, voters } => write!(f, "only {failed} of {voters} watchdogs see it fail"),
            Self::OneZone { failed, voters } => {
                write!(f, "{failed} of {voters} watchdogs see it fail, all of them from one zone")
            }
            Self::Split { failed, reached, voters } => {
                write!(f, "{failed} of {voters} watchdogs see it fail, {reached} reach it")
            }
            Self::Settling { fresh, voters } => {
                write!(f, "{fresh} of {voters} watchdogs have looked, and not all of them twice")
            }
            Self::TooFewFresh { fresh, voters } => {
                write!(f, "only {fresh} of {voters} watchdogs have looked lately")
            }
            Self::Isolated { voters, living } => {
                write!(f, "only {voters} of {living} living watchdogs reach the outside world")
            }
            Self::NoVoters => f.write_str("no watchdog may look at it"),
            Self::Paused => f.write_str("paused"),
        }
    }
}
