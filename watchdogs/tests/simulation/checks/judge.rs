//! What must hold, judged by what was true: no false alarm, no silence. And rules that can be broken, to show that it is seen.

use std::collections::BTreeSet;
use std::time::Duration;

use komainu_watchdogs::check::{CheckName, Definition, Look, Members, Outcome, Policy, Quorum, State};

use super::dog::name;
use super::plan::{Fault, Manner, SECOND, Us, Whom};
use super::world::World;

/// A broken rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Variant {
    /// A vote is fresh for ten more minutes.
    VotesDoNotExpire,
    /// Half of the voters are enough.
    TieCounts,
    /// Those that are cut off from the world vote on.
    IsolatedVote,
    /// It does not matter where voters stand.
    OneZoneIsEnough,
    /// Own trouble counts as a failure.
    OwnTroubleVotes,
    /// A single look that fails is a vote.
    OneLookIsEnough,
    /// Nobody takes in what others say.
    NobodyHears,
    /// That the network is back after the last try of a look proves it.
    LateProof,
    /// A canary that answered counts as answering for ten seconds more.
    OldCanaries,
    /// The first of them takes a verdict that is unknown in the store for the one that stood there before.
    UnknownIsNotRead,
}

impl Variant {
    pub(super) fn policy(variant: Option<Self>, policy: Policy) -> Policy {
        match variant {
            Some(Self::VotesDoNotExpire) => Policy { vote_slack: Duration::from_secs(600), ..policy },
            Some(Self::LateProof) => {
                Policy { tried_again: policy.tried_again.map(|after| after + Duration::from_secs(1)), ..policy }
            }
            Some(Self::OneLookIsEnough) => Policy { looks_running: 1, ..policy },
            _ => policy,
        }
    }

    pub(super) fn define(variant: Option<Self>, definitions: &[Definition], dogs: usize) -> Vec<Definition> {
        let half = Quorum::AtLeast(u32::try_from(dogs.div_ceil(2)).unwrap());
        let quorum = if variant == Some(Self::TieCounts) { half } else { Quorum::Majority };
        definitions.iter().map(|definition| Definition { quorum, ..definition.clone() }).collect()
    }

    pub(super) fn distort(variant: Option<Self>, mut members: Members) -> Members {
        match variant {
            Some(Self::IsolatedVote) => {
                members.is_isolated = false;
                members.living.iter_mut().for_each(|(_, _, votes)| *votes = true);
            }
            Some(Self::OneZoneIsEnough) => {
                for (watchdog, zone, _) in &mut members.living {
                    *zone = watchdog.as_str().into();
                }
            }
            _ => {}
        }
        members
    }
}

/// When each watchdog's verdict on each check became what.
#[derive(Debug)]
pub(super) struct Judge {
    turns: Vec<Vec<Vec<(Us, State)>>>,
}

impl Judge {
    pub(super) fn new(dogs: usize, checks: usize) -> Self {
        Self { turns: vec![vec![Vec::new(); checks]; dogs] }
    }

    pub(super) fn note(&mut self, dog: usize, check: usize, at: Us, state: State) {
        self.turns[dog][check].push((at, state));
    }

    fn state(&self, dog: usize, check: usize, at: Us) -> State {
        let turns = self.turns[dog][check].iter();
        turns.take_while(|(when, _)| *when <= at).last().map_or(State::Unknown, |(_, state)| *state)
    }

    /// How often a watchdog came to say so.
    pub(super) fn times(&self, dog: usize, check: usize, state: State) -> usize {
        self.turns[dog][check].iter().filter(|(_, found)| *found == state).count()
    }

    /// The first time from `from` on at which one of these said so.
    pub(super) fn first(&self, dogs: &[usize], check: usize, from: Us, state: State) -> Option<Us> {
        let turns = dogs.iter().flat_map(|dog| &self.turns[*dog][check]);
        turns.filter(|(at, found)| *at >= from && *found == state).map(|(at, _)| *at).min()
    }
}

impl World {
    /// A watchdog has just come to say that a check is down.
    pub(super) fn judge_down(&mut self, dog: usize, check: usize) -> Option<String> {
        let (interval, timeout) = self.pace(check);
        // Drift of two clocks, and a second for what is rounded.
        let window = interval + 2 * timeout + 7 * SECOND;
        let from = self.now.saturating_sub(window);
        let members = &self.dogs[dog].members;
        let is_voter =
            |one: &usize| members.living.iter().any(|(other, _, votes)| *votes && other.as_str() == name(*one));
        let voters: Vec<_> = (0..self.dogs.len()).filter(is_voter).collect();
        let reaches = |one: &usize| self.plan.could_reach(check, *one, from, self.now);
        let what = |invariant: &str| Some(format!("{invariant} at {} us: w{dog} says that c{check} is down", self.now));
        if invariant_no_false_alarm(&voters, &reaches) {
            return what("no_false_alarm");
        }
        let is_heard = |one: &usize| self.could_hear(dog, *one, from);
        if self.invariant_two_zones(&voters, &reaches, &is_heard) {
            return what("two_zones");
        }
        if self.invariant_majority(&voters, check, from) {
            return what("majority");
        }
        if self.invariant_two_looks(&voters, check, from) {
            return what("two_looks");
        }
        let recent = self.now.saturating_sub(2 * timeout + 5 * SECOND);
        let reach_now = voters.iter().filter(|one| self.plan.could_reach(check, **one, recent, self.now)).count();
        self.counts.overtaken += u64::from(2 * reach_now > voters.len());
        None
    }

    /// A watchdog has just counted a look: if it is one more in a row that failed, it was not its own network alone.
    pub(super) fn judge_vote(&self, dog: usize, name: &CheckName) -> Option<String> {
        let check = self.definitions.iter().position(|definition| definition.name == *name)?;
        let looks = self.dogs[dog].machine.report(self.dogs[dog].mono(self.now), 0, usize::MAX);
        let look = looks.into_iter().find(|look| look.check == *name)?;
        let (interval, timeout) = self.pace(check);
        let from = self.now.saturating_sub(interval + 2 * timeout + 7 * SECOND);
        let is_broken = invariant_own_trouble_is_no_vote(&look, &self.plan.bad(check, dog, from, self.now));
        let words = || format!("own_trouble_is_no_vote at {} us: w{dog} counts {look:?}", self.now);
        is_broken.then(words)
    }

    pub(super) fn pace(&self, check: usize) -> (Us, Us) {
        let definition = &self.definitions[check];
        let micros = |span: Duration| Us::try_from(span.as_micros()).unwrap();
        (micros(definition.interval), micros(definition.timeout))
    }

    /// Where a watchdog could reach it all the time, and be heard, those that could not stand in more than one zone.
    fn invariant_two_zones(
        &self,
        voters: &[usize],
        reaches: &impl Fn(&usize) -> bool,
        is_heard: &impl Fn(&usize) -> bool,
    ) -> bool {
        let zone = |one: &usize| self.plan.zones[*one];
        let failing: BTreeSet<_> = voters.iter().filter(|one| !reaches(one)).map(zone).collect();
        let contradicts = |one: &&usize| reaches(one) && is_heard(one) && !failing.contains(&zone(one));
        failing.len() == 1 && voters.iter().any(|one| contradicts(&one))
    }

    /// What one watchdog sees gets to another, by the network or by the database: whoever is heard in neither way for as long as
    /// votes are fresh contradicts nobody.
    fn could_hear(&self, dog: usize, other: usize, from: Us) -> bool {
        let was = |is_meant: &dyn Fn(&Fault) -> bool| self.plan.was(from, self.now, is_meant);
        let is_cut = was(&|fault| match fault {
            Fault::OneWay { from, to } => (*from, *to) == (dog, other) || (*from, *to) == (other, dog),
            Fault::Uplink { dog: cut, takes_peers } => *takes_peers && (*cut == dog || *cut == other),
            Fault::Mute { dog: one } => *one == other,
            Fault::Target { .. }
            | Fault::Slow { .. }
            | Fault::Dead { .. }
            | Fault::Frozen { .. }
            | Fault::Trouble { .. }
            | Fault::Deaf { .. }
            | Fault::Database
            | Fault::Clock { .. } => false,
        });
        !(was(&|fault| *fault == Fault::Database) && (is_cut || self.loss > 0))
    }

    /// The target itself, or its path, failed for a majority of the voters lately: own trouble is no vote.
    fn invariant_majority(&self, voters: &[usize], check: usize, from: Us) -> bool {
        let failed = voters.iter().filter(|one| !self.plan.bad(check, **one, from, self.now).is_empty());
        2 * failed.count() <= voters.len()
    }

    /// It failed for each of them for at least a second, or twice at least a second apart.
    fn invariant_two_looks(&self, voters: &[usize], check: usize, from: Us) -> bool {
        let lasted = |one: &&usize| {
            let bad = self.plan.bad(check, **one, from, self.now);
            let (first, last) = (bad.iter().map(|piece| piece.0).min(), bad.iter().map(|piece| piece.1).max());
            last.unwrap_or(0).saturating_sub(first.unwrap_or(0)) >= SECOND - SECOND / 50
        };
        2 * voters.iter().filter(lasted).count() <= voters.len()
    }

    /// Down for all is down, and up for all is up, within the bound, whatever a minority does meanwhile.
    pub(super) fn judge_silence(&mut self) -> Option<String> {
        for span in self.plan.spans.clone() {
            let Fault::Target { check, whom: Whom::All, manner, period: None } = span.fault else {
                continue;
            };
            let (interval, timeout) = self.pace(check);
            let bound = interval + 2 * timeout + 15 * SECOND;
            if span.until.saturating_sub(span.from) > bound + SECOND && span.from + bound < self.now {
                self.note_delay(check, manner, span.from);
                if let Some(what) = self.invariant_no_silence(check, span.from, span.from + bound) {
                    return Some(what);
                }
            }
            if let Some(what) = self.invariant_no_lasting_alarm(check, span.until, span.until + bound) {
                return Some(what);
            }
        }
        None
    }

    /// Watchdogs that nothing kept from their work, nor from each other, if they are a majority that stands where the voters
    /// stand.
    fn core(&self, from: Us, until: Us) -> Option<Vec<usize>> {
        let since = from.saturating_sub(60 * SECOND);
        let well: Vec<_> = (0..self.dogs.len()).filter(|dog| self.plan.is_well(*dog, since, until)).collect();
        let is_cut = self.plan.was(
            since,
            until,
            |fault| matches!(fault, Fault::OneWay { from, to } if well.contains(from) && well.contains(to)),
        );
        let lasted = |span: &super::plan::Span| span.fault == Fault::Database && span.until - span.from > 20 * SECOND;
        let is_blind = self.plan.spans.iter().any(|span| lasted(span) && span.from < until && span.until > since);
        let zones = |dogs: &[usize]| dogs.iter().map(|dog| self.plan.zones[*dog]).collect::<BTreeSet<_>>().len();
        let all: Vec<_> = (0..self.dogs.len()).collect();
        let stands = zones(&well) >= 2 || zones(&all) == 1;
        (2 * well.len() > self.dogs.len() && !is_cut && !is_blind && stands && since > 60 * SECOND).then_some(well)
    }

    fn invariant_no_silence(&mut self, check: usize, from: Us, until: Us) -> Option<String> {
        let core = self.core(from, until)?;
        self.counts.silences_looked_at += 1;
        let is_seen = core.iter().any(|dog| self.judge.state(*dog, check, until) == State::Down);
        let words = format!("no_silence: c{check} failed at {from} us, and nobody of {core:?} says so at {until} us");
        (!is_seen).then_some(words)
    }

    fn invariant_no_lasting_alarm(&mut self, check: usize, from: Us, until: Us) -> Option<String> {
        let is_well = |dog: &usize| self.plan.could_reach(check, *dog, from, until);
        let core = self.core(from, until).filter(|core| until < self.now && core.iter().all(is_well))?;
        self.counts.ends_looked_at += 1;
        let is_down = core.iter().all(|dog| self.judge.state(*dog, check, until) == State::Down);
        is_down
            .then(|| format!("no_lasting_alarm: c{check} is back since {from} us, and down for {core:?} at {until} us"))
    }

    fn note_delay(&mut self, check: usize, manner: Manner, from: Us) {
        let all: Vec<_> = (0..self.dogs.len()).collect();
        if let Some(at) = self.judge.first(&all, check, from, State::Down) {
            match manner {
                Manner::Refuses => self.counts.refusals_found += 1,
                Manner::Hangs => self.counts.hangs_found += 1,
            }
            let _ = at;
        }
    }
}

/// No check is down while a majority of the watchdogs that are not cut off could reach it all the time. Whether it is broken.
fn invariant_no_false_alarm(voters: &[usize], reaches: &impl Fn(&usize) -> bool) -> bool {
    2 * voters.iter().filter(|one| reaches(one)).count() > voters.len()
}

/// Looks failed that count as a vote, while the target answered all the time. Whether it is broken.
fn invariant_own_trouble_is_no_vote(look: &Look, bad: &[(Us, Us)]) -> bool {
    matches!(look.outcome, Outcome::Failed(_)) && look.failures >= Policy::default().looks_running && bad.is_empty()
}
