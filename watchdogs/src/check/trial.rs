//! What a majority would say of a target at which every voter looked once: for whoever wants to know before there is a check.
//!
//! A pure function. A look is taken for one of many that all saw the same, so it is the verdict of [`judge`] that would stand if
//! nothing changed. No machine takes part, and nothing is remembered.

use std::collections::BTreeMap;

use super::{
    Answer, Ballot, Definition, Electorate, Look, Members, Outcome, Policy, State, Verdict, View, Vote, judge,
};
use crate::ids::{Incarnation, WatchdogId};
use crate::time::Mono;

/// Long after everybody could have been heard: whoever was silent in its time holds up no verdict.
const NOW: Mono = Mono::secs(1_000_000);

/// What would be said of it, and what those saw who have no vote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Supposed {
    /// The verdict, with each voter's word.
    pub verdict: Verdict,
    /// Who looked and is cut off from the world.
    pub abstaining: Vec<View>,
}

/// What would be said of it. `seen`: what each watchdog saw that answered.
pub fn supposed(
    definition: &Definition,
    members: &Members,
    seen: &BTreeMap<WatchdogId, (Outcome, Answer)>,
    policy: &Policy,
) -> Supposed {
    let (now, awaited_since) = (NOW, Mono::secs(0));
    let votes: BTreeMap<_, _> =
        seen.iter().map(|(watchdog, seen)| (watchdog, vote(now, definition, seen, policy))).collect();
    let near: Vec<_> = members.living.iter().filter(|(_, zone, _)| definition.is_for(zone)).collect();
    let ballots = |is_voting: bool| {
        let such = near.iter().filter(move |(_, _, may_vote)| *may_vote == is_voting);
        such.map(|(watchdog, zone, _)| Ballot { watchdog, zone, vote: votes.get(watchdog), awaited_since })
    };
    let electorate = Electorate { ballots: ballots(true).collect(), living: near.len() };
    let abstaining = ballots(false).filter(|ballot| ballot.vote.is_some());
    Supposed {
        abstaining: abstaining.map(|ballot| ballot.view(now, definition, policy)).collect(),
        verdict: judge(now, definition, &electorate, State::Unknown, policy),
    }
}

/// As if it had seen the same so often that its word counts for all that there is.
fn vote(now: Mono, definition: &Definition, (outcome, answer): &(Outcome, Answer), policy: &Policy) -> Vote {
    let rounds = policy.reached_rounds().max(policy.looks_running);
    let (failures, successes) = match outcome {
        Outcome::Up => (0, rounds),
        Outcome::Failed(_) => (rounds, 0),
        Outcome::Unable(_) => (0, 0),
    };
    let look = Look {
        check: definition.name.clone(),
        version: definition.version,
        number: 1,
        outcome: *outcome,
        failures,
        successes,
        age_ms: 0,
        answer: answer.clone(),
    };
    Vote { look, looked_at: now, incarnation: Incarnation(0), is_expired: false }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::check::{Failure, Quorum, Reason, Stand, Trouble};
    use crate::ids::Zone;
    use crate::io::Severity;

    const UP: Outcome = Outcome::Up;
    const FAILED: Outcome = Outcome::Failed(Failure::Status);
    const UNABLE: Outcome = Outcome::Unable(Trouble::Route);

    fn definition() -> Definition {
        Definition {
            name: "tried".into(),
            version: 0,
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            quorum: Quorum::Majority,
            zones: BTreeSet::new(),
            severity: Severity::Critical,
            paused: false,
            upside_down: false,
        }
    }

    fn members(zones: &[&str]) -> Members {
        let living = zones.iter().enumerate().map(|(at, zone)| (name(at), Zone::from(*zone), true)).collect();
        Members { is_isolated: false, living, registered: zones.len() }
    }

    fn name(at: usize) -> WatchdogId {
        WatchdogId::from(format!("w{}", at + 1).as_str())
    }

    /// `None`: it did not answer.
    fn said(definition: &Definition, members: &Members, seen: &[Option<Outcome>]) -> Verdict {
        let answered = seen.iter().enumerate().filter_map(|(at, outcome)| Some((name(at), (*outcome)?)));
        let seen = answered.map(|(watchdog, outcome)| (watchdog, (outcome, Answer::default()))).collect();
        supposed(definition, members, &seen, &Policy::default()).verdict
    }

    fn state(zones: &[&str], seen: &[Option<Outcome>]) -> (State, Reason) {
        let verdict = said(&definition(), &members(zones), seen);
        (verdict.state, verdict.reason)
    }

    #[test]
    fn one_look_of_each_says_what_would_be_said_if_it_stayed_so() {
        let zones = ["a", "b", "c"];
        let down = (State::Down, Reason::Failed { failed: 2, voters: 3 });
        let up = (State::Up, Reason::Reached { reached: 3, voters: 3 });
        let partial = (State::Partial, Reason::MinorityFails { failed: 1, voters: 3 });
        assert_eq!(state(&zones, &[Some(UP), Some(UP), Some(UP)]), up);
        assert_eq!(state(&zones, &[Some(UP), Some(FAILED), Some(UP)]), partial);
        assert_eq!(state(&zones, &[Some(FAILED), Some(FAILED), Some(UP)]), down);
        let one_zone = (State::Partial, Reason::OneZone { failed: 2, voters: 3 });
        assert_eq!(state(&["a", "a", "b"], &[Some(FAILED), Some(FAILED), Some(UP)]), one_zone);
    }

    #[test]
    fn whoever_did_not_answer_or_could_not_look_has_no_vote() {
        let too_few = (State::Unknown, Reason::TooFewFresh { fresh: 1, voters: 3 });
        assert_eq!(state(&["a", "b", "c"], &[Some(FAILED), None, Some(UNABLE)]), too_few);
        let verdict = said(&definition(), &members(&["a", "b", "c"]), &[Some(UP), None, Some(UNABLE)]);
        let stands: Vec<Stand> = verdict.views.iter().map(|view| view.stand).collect();
        assert_eq!(stands, [Stand::Up, Stand::Silent, Stand::Unable]);
    }

    #[test]
    fn whoever_is_cut_off_or_stands_elsewhere_is_not_asked_for_its_vote() {
        let mut cut_off = members(&["a", "b", "c"]);
        cut_off.living[1].2 = false;
        let seen =
            [UP, FAILED, UP].into_iter().enumerate().map(|(at, outcome)| (name(at), (outcome, Answer::default())));
        let Supposed { verdict, abstaining } = supposed(&definition(), &cut_off, &seen.collect(), &Policy::default());
        assert_eq!((verdict.state, verdict.reason), (State::Up, Reason::Reached { reached: 2, voters: 2 }));
        let abstaining: Vec<_> = abstaining.iter().map(|view| (view.watchdog.as_str(), view.stand)).collect();
        assert_eq!(abstaining, [("w2", Stand::Failed)], "what it saw is shown beside the votes");
        let near = Definition { zones: ["a".into()].into(), ..definition() };
        let verdict = said(&near, &members(&["a", "b"]), &[Some(FAILED), Some(UP)]);
        assert_eq!((verdict.state, verdict.reason), (State::Down, Reason::Failed { failed: 1, voters: 1 }));
        let nowhere = Definition { zones: ["x".into()].into(), ..definition() };
        assert_eq!(said(&nowhere, &members(&["a"]), &[]).reason, Reason::NoVoters);
    }
}
