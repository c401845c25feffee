//! Votes and what a majority makes of them.
//!
//! Pure functions over the votes of one target. Who may vote is [`crate::roster`]'s business; what a verdict leads to
//! is [`crate::status`]'s. A majority whose members all sit in one zone and which a voter of another zone contradicts
//! is no outage: it may be that zone's network ([`Verdict::Disagreement`]).

use std::collections::BTreeSet;

use crate::facts::Vote;
use crate::ids::Zone;
use crate::policy::Policy;

/// One voter's word about one target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ballot {
    /// Where the voter stands.
    pub zone: Zone,
    /// What it says.
    pub word: Word,
}

/// What a voter says about one target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Word {
    /// Up, down, or not known.
    pub vote: Vote,
    /// It is down, and its host said so.
    pub is_refused: bool,
    /// It is up, and says that the database does not answer it.
    pub is_blind: bool,
}

/// A strict majority has it from the target's host itself that nobody listens there, and nobody reaches it.
pub fn is_refused_by_most(ballots: &[Ballot]) -> bool {
    let refused = ballots.iter().filter(|ballot| ballot.word.is_refused && ballot.word.vote == Vote::Down).count();
    2 * refused > ballots.len() && ballots.iter().all(|ballot| ballot.word.vote != Vote::Up)
}

/// A strict majority has it from the target itself that the database does not answer it.
pub fn is_blind_by_most(ballots: &[Ballot]) -> bool {
    2 * ballots.iter().filter(|ballot| ballot.word.is_blind).count() > ballots.len()
}

/// What the votes of one round amount to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// A strict majority of the voters reaches it.
    Up,
    /// A strict majority of the voters cannot reach it, and no other zone contradicts.
    Down,
    /// A strict majority, all of one zone, cannot reach it; another zone can.
    Disagreement,
    /// Neither has a majority, and one voter says the opposite of another.
    Split,
    /// Neither has a majority, for too few have a word at all: nobody contradicts anybody.
    Silent,
}

/// Counts the ballots of one target.
pub fn count(ballots: &[Ballot]) -> Verdict {
    let voted = |vote| ballots.iter().filter(move |ballot| ballot.word.vote == vote);
    let is_majority = |votes: usize| 2 * votes > ballots.len();
    if is_majority(voted(Vote::Down).count()) {
        let zones: BTreeSet<_> = voted(Vote::Down).map(|ballot| &ballot.zone).collect();
        let is_contradicted = zones.len() == 1 && voted(Vote::Up).any(|ballot| !zones.contains(&ballot.zone));
        if is_contradicted { Verdict::Disagreement } else { Verdict::Down }
    } else if is_majority(voted(Vote::Up).count()) {
        Verdict::Up
    } else if voted(Vote::Down).next().is_some() && voted(Vote::Up).next().is_some() {
        Verdict::Split
    } else {
        Verdict::Silent
    }
}

/// The majority's view of a target over time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reach {
    /// No majority has spoken yet.
    #[default]
    Unknown,
    /// A majority reaches it.
    Up,
    /// A majority does not reach it.
    Down,
    /// The votes stayed split for [`Policy::split_rounds`], or one zone contradicts another.
    Undecided,
}

/// Turns verdicts, round by round, into [`Reach`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    reach: Reach,
    split_rounds: u32,
    last: Option<Verdict>,
}

impl Tally {
    /// Takes in one round's verdict.
    pub fn handle(&mut self, verdict: Verdict, policy: &Policy) {
        self.last = Some(verdict);
        match verdict {
            Verdict::Up => *self = Self { reach: Reach::Up, split_rounds: 0, last: self.last },
            Verdict::Down => *self = Self { reach: Reach::Down, split_rounds: 0, last: self.last },
            Verdict::Disagreement => self.reach = Reach::Undecided,
            Verdict::Split => {
                self.split_rounds = self.split_rounds.saturating_add(1);
                if self.split_rounds >= policy.split_rounds && self.reach != Reach::Unknown {
                    self.reach = Reach::Undecided;
                }
            }
            Verdict::Silent => {
                self.split_rounds = self.split_rounds.saturating_add(1);
                if self.split_rounds >= policy.split_rounds {
                    self.reach = Reach::Unknown;
                }
            }
        }
    }

    /// No verdict can be given: too few may vote.
    pub fn suspend(&mut self) {
        self.reach = Reach::Unknown;
        self.last = None;
    }

    /// The majority's view.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Whether one zone contradicts another right now.
    pub fn is_disagreement(&self) -> bool {
        self.last == Some(Verdict::Disagreement) || self.reach == Reach::Undecided
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ballots(votes: &[(&str, Vote)]) -> Vec<Ballot> {
        votes.iter().map(|&(zone, vote)| Ballot { zone: zone.into(), word: Word { vote, ..Word::default() } }).collect()
    }

    #[test]
    fn one_voter_of_three_makes_nothing_down() {
        let votes = ballots(&[("a", Vote::Down), ("b", Vote::Up), ("c", Vote::Up)]);
        assert_eq!(count(&votes), Verdict::Up);
    }

    #[test]
    fn half_of_the_voters_is_no_majority() {
        assert_eq!(count(&ballots(&[("a", Vote::Down), ("b", Vote::Up)])), Verdict::Split);
    }

    #[test]
    fn voters_that_know_nothing_yet_still_count_against_a_majority() {
        let votes = ballots(&[("a", Vote::Down), ("b", Vote::Unknown), ("c", Vote::Unknown)]);
        assert_eq!(count(&votes), Verdict::Silent);
        let votes = ballots(&[("a", Vote::Up), ("b", Vote::Unknown), ("c", Vote::Unknown)]);
        assert_eq!(count(&votes), Verdict::Silent);
    }

    #[test]
    fn a_majority_of_one_zone_contradicted_from_another_is_a_disagreement() {
        let votes = ballots(&[("a", Vote::Down), ("a", Vote::Down), ("b", Vote::Up)]);
        assert_eq!(count(&votes), Verdict::Disagreement);
        let all_one_zone = ballots(&[("a", Vote::Down), ("a", Vote::Down), ("a", Vote::Up)]);
        assert_eq!(count(&all_one_zone), Verdict::Down);
    }

    #[test]
    fn voters_that_say_nothing_contradict_nobody() {
        let mut tally = Tally::default();
        tally.handle(Verdict::Up, &Policy::default());
        for _ in 0..5 {
            tally.handle(Verdict::Silent, &Policy::default());
            assert!(!tally.is_disagreement());
        }
        assert_eq!(tally.reach(), Reach::Unknown);
    }

    #[test]
    fn votes_that_stay_split_for_three_rounds_are_undecided() {
        let mut tally = Tally::default();
        tally.handle(Verdict::Up, &Policy::default());
        tally.handle(Verdict::Split, &Policy::default());
        tally.handle(Verdict::Split, &Policy::default());
        assert_eq!(tally.reach(), Reach::Up);
        tally.handle(Verdict::Split, &Policy::default());
        assert_eq!(tally.reach(), Reach::Undecided);
    }
}
