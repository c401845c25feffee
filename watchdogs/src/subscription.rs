//! Subscribers of public pages: what concerns whom, and what becomes of an attempt to tell one.
//!
//! A subscriber is told what a page said, one thing after the other in the order in which it was said. What fails is tried again after pauses
//! that double; each thing is given up after [`MOST_ATTEMPTS`], and a subscriber to whom nothing can be told for long is ended, with the reason,
//! so that nobody is knocked at for ever. That the mail server itself is away is no attempt at anybody: it counts for no one, and what it refuses is
//! believed with care ([`MailServer`]).

mod mail_server;

use std::time::Duration;

pub use mail_server::{
    ALERTS_FIRST, AWAY, Answer, LETTERS_THEN, Leave, MOST_REFUSALS, MailServer, REFUSED_IN_A_ROW, Verdict,
};

/// Tries of one thing. With the pauses below they span a day: a receiver that is down over night still hears of it.
pub const MOST_ATTEMPTS: u32 = 15;

/// Messages that may have arrived are repeated so often at most: whoever answers late each time has them already.
pub const MOST_UNANSWERED: u32 = 3;

/// Things given up in a row: then the address is no good.
pub const MOST_FAILURES: u32 = 3;

/// After the first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(30);

/// However often it failed.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(4 * 3_600);

/// How one attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is theirs.
    Taken,
    /// Not now: tried again.
    Later,
    /// It may have arrived.
    Unanswered,
    /// This one will not be taken, however often it is tried.
    Refused,
    /// The receiver says that it wants nothing any more.
    Gone,
}

/// What becomes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// It counts as told; the next one is due.
    Told,
    /// It is tried again after so long.
    Again(Duration),
    /// It is given up; the next one is tried all the same.
    GivenUp,
    /// The subscription ends.
    Ended,
}

/// What was tried before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// At this thing, the last one included.
    pub attempts: u32,
    /// Things given up in a row before this one.
    pub failures: u32,
    /// How often this one was refused by a mail server that took others' at that time.
    pub refusals: u32,
}

/// What becomes of an attempt.
pub fn next(outcome: Outcome, Record { attempts, failures, .. }: Record) -> Next {
    let given_up = if failures + 1 >= MOST_FAILURES { Next::Ended } else { Next::GivenUp };
    match outcome {
        Outcome::Taken => Next::Told,
        Outcome::Unanswered if attempts >= MOST_UNANSWERED => Next::Told,
        Outcome::Later if attempts >= MOST_ATTEMPTS => given_up,
        Outcome::Unanswered | Outcome::Later => Next::Again(pause(attempts)),
        Outcome::Refused => given_up,
        Outcome::Gone => Next::Ended,
    }
}

/// After so many attempts.
pub fn pause(attempts: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX)).min(LONGEST_PAUSE)
}

/// Whether something concerns a subscriber. `chosen`: the components that they asked for; none: all. `about`: those that it was ever about; none:
/// the whole page.
pub fn concerns(chosen: &[String], about: &[String]) -> bool {
    chosen.is_empty() || about.is_empty() || about.iter().any(|component| chosen.contains(component))
}

/// What a notice is about by now, together with what it was about before: whoever was told of its beginning is told of its end.
pub fn about(before: Option<&[String]>, now: &[String]) -> Vec<String> {
    match before {
        None => now.to_vec(),
        Some(before) if before.is_empty() || now.is_empty() => vec![],
        Some(before) => {
            let mut all = [before, now].concat();
            all.sort_unstable();
            all.dedup();
            all
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(outcome: Outcome, attempts: u32, failures: u32) -> Next {
        next(outcome, Record { attempts, failures, ..Record::default() })
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn pauses_double_and_are_bounded() {
        let pauses = [1, 2, 3, 10, 14, 100].map(|attempts| pause(attempts).as_secs());
        assert_eq!(pauses, [30, 60, 120, 14_400, 14_400, 14_400]);
        let all: u64 = (1..MOST_ATTEMPTS).map(|attempts| pause(attempts).as_secs()).sum();
        assert!((24 * 3_600..28 * 3_600).contains(&all), "{all} s");
    }

    #[test]
    fn whoever_cannot_be_told_three_things_in_a_row_is_ended() {
        assert_eq!(after(Outcome::Later, 1, 0), Next::Again(FIRST_PAUSE));
        assert_eq!(after(Outcome::Later, MOST_ATTEMPTS, 0), Next::GivenUp);
        assert_eq!(after(Outcome::Refused, 1, 1), Next::GivenUp);
        assert_eq!(after(Outcome::Refused, 1, 2), Next::Ended);
        assert_eq!(after(Outcome::Later, MOST_ATTEMPTS, 2), Next::Ended);
        assert_eq!(after(Outcome::Gone, 1, 0), Next::Ended);
        assert_eq!(after(Outcome::Taken, MOST_ATTEMPTS, 2), Next::Told);
    }

    #[test]
    fn what_may_have_arrived_is_repeated_twice_and_then_counts_as_told() {
        let ends = [1, 2, 3].map(|attempts| after(Outcome::Unanswered, attempts, 0));
        assert_eq!(ends, [Next::Again(pause(1)), Next::Again(pause(2)), Next::Told]);
    }

    #[test]
    fn whoever_chose_components_hears_of_those_and_of_the_whole() {
        let chosen = names(&["a"]);
        assert!(concerns(&chosen, &names(&["a", "b"])) && concerns(&chosen, &[]) && concerns(&[], &names(&["b"])));
        assert!(!concerns(&chosen, &names(&["b"])));
    }

    #[test]
    fn whoever_was_told_of_a_beginning_is_told_of_the_end() {
        let first = about(None, &names(&["a"]));
        let second = about(Some(&first), &names(&["b"]));
        assert_eq!(second, names(&["a", "b"]));
        assert!(concerns(&names(&["a"]), &second) && concerns(&names(&["b"]), &second));
        assert_eq!(about(Some(&names(&["a"])), &[]), names(&[]), "once about the whole, always about the whole");
        assert_eq!(about(Some(&[]), &names(&["a"])), names(&[]));
    }
}
