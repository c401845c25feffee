//! A second opinion: what the watchdogs themselves see of a monitor's target, beside what its node says.
//!
//! Life of one: a node stores DOWN for a monitor whose owner wants a second opinion ([`Choice`]), and the message is held back while
//! the watchdogs look ([`before_telling`]), never for longer than [`patience`], and of a crowd never for longer than [`HELD_AT_MOST`]. Whoever
//! asks and hears nobody leaves it to another one ([`passes_on`]). What they see is a [`Record`], which stays for as long as that state
//! of the monitor does. What follows of it beside the message, a disagreement, is [`dispute`]'s to say. Monitors that
//! their nodes call up are looked at in turn ([`Rounds`]); what is seen down there is a record too, about no change (0).
//!
//! A target is judged as a check is, by [`crate::check::trial`]: one look of each voter, a majority of them, in two zones where there are
//! two. Stored times are those of the database's clock, and one that stands far from the present moment on either side holds
//! nothing back: so no clock delays a message for longer than the bound.

pub mod choice;
mod crowd;
mod dispute;
mod hearing;
mod record;
mod rounds;

use std::time::Duration;

pub use self::choice::{Choice, Chosen, Rule, Source, TAG, Wish};
pub use self::crowd::{AT_ONCE, Admission, Asked, Crowd, HELD_AT_MOST, crowd, room};
pub use self::dispute::{Case, Dissent, Over, Said, Step, Teller, dispute, looks_on};
pub use self::hearing::{LINGER, at_once, is_decided, passes_on};
pub use self::record::{CLAIM_LASTS, Line, Record, is_claimed};
pub use self::rounds::{Ends, Rounds, Turn};
use crate::check::machine::words;
use crate::check::{Failure, Outcome, State, Trouble, Verdict};
use crate::ids::WatchdogId;
use crate::time::Wall;

/// Nobody looks for longer at a target for a second opinion: a monitor with an interval of an hour may have a timeout of many minutes.
pub const LONGEST_LOOK: Duration = Duration::from_secs(60);

/// Beyond the look itself: for asking, for canaries, and for another watchdog that takes over from one that was killed.
const SLACK: Duration = Duration::from_secs(15);

/// While the watchdogs contradict a node they look again so often at most, and at least.
const AGAIN: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(60));

/// What a majority of the watchdogs says of a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// It fails.
    Down,
    /// It answers as it should.
    Up,
    /// Neither: a tie, a minority that fails, one zone of several.
    Split,
    /// Too few could look.
    Nothing,
}

impl Seen {
    const ALL: [Self; 4] = [Self::Down, Self::Up, Self::Split, Self::Nothing];

    fn of(state: State) -> Self {
        match state {
            State::Down => Self::Down,
            State::Up => Self::Up,
            State::Partial => Self::Split,
            State::Unknown => Self::Nothing,
        }
    }

    /// As it stands in rows and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Up => "up",
            Self::Split => "split",
            Self::Nothing => "nothing",
        }
    }

    /// The one of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|seen| seen.as_str() == text)
    }

    /// Somebody could say how it is.
    pub fn is_clear(self) -> bool {
        self != Self::Nothing
    }

    /// It was looked at, and no majority sees it fail.
    fn denies_down(self) -> bool {
        matches!(self, Self::Up | Self::Split)
    }
}

/// What the watchdogs see, with how many of how many see it fail, and in words for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opinion {
    /// In short.
    pub seen: Seen,
    /// How many voters see it fail, of how many.
    pub votes: (u32, u32),
    /// Who sees what, from where, and why.
    pub words: String,
    /// Where it is not clear: how many were not heard of whom somebody else may hear, so that it may become clear.
    pub unheard: u32,
}

impl Opinion {
    /// Of the verdict that one look of each voter amounts to, by this watchdog's hearing.
    pub fn of(verdict: &Verdict, me: &WatchdogId) -> Self {
        let seen = Seen::of(verdict.state);
        let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let failing = verdict.views.iter().filter(|view| view.stand == crate::check::Stand::Failed).count();
        let votes = (small(failing), small(verdict.views.len()));
        let words = words(verdict.reason, &verdict.views);
        let words = if seen.is_clear() {
            words
        } else {
            [words].into_iter().chain(troubles(verdict)).collect::<Vec<_>>().join("; ")
        };
        Self { seen, votes, words, unheard: small(hearing::unheard(verdict, me)) }
    }
}

/// Why those could not look who could not.
fn troubles(verdict: &Verdict) -> impl Iterator<Item = String> {
    verdict.views.iter().filter_map(|view| match view.look.as_ref()?.outcome {
        Outcome::Unable(trouble) => Some(format!("{}: {trouble}", view.watchdog)),
        Outcome::Up | Outcome::Failed(_) => None,
    })
}

/// How a watchdog's look counts in a second opinion. An address at which it may not look is no failure of the target: whoever made the
/// monitor did not ask this watchdog. Nor is an answer that takes longer than [`LONGEST_LOOK`] where the monitor would wait on.
pub fn counted(outcome: Outcome, is_cut_short: bool) -> Outcome {
    match outcome {
        Outcome::Failed(Failure::Forbidden) => Outcome::Unable(Trouble::Permission),
        Outcome::Failed(Failure::AnswerTimeout) if is_cut_short => Outcome::Unable(Trouble::Lost),
        Outcome::Up | Outcome::Failed(_) | Outcome::Unable(_) => outcome,
    }
}

/// How long a message waits at most for what the watchdogs see. `timeout`: the monitor's own.
pub fn patience(timeout: Duration) -> Duration {
    timeout.min(LONGEST_LOOK) + SLACK
}

/// From one look of the watchdogs to the next, while it matters.
pub fn again(interval: Duration) -> Duration {
    interval.clamp(AGAIN.0, AGAIN.1)
}

/// The last [`rank`] of what holds a page back.
pub const LAST_THAT_HOLDS: u8 = 1;

/// Which questions come first, where not all can be asked: the lower the earlier. What holds a page back is worth more than what
/// only adds a line, and what somebody chose for this monitor more than what holds for all.
pub fn rank(chosen: &Chosen) -> u8 {
    let of_wish = match chosen.wish {
        Wish::Require => 0,
        Wish::Note => 2,
        Wish::Off => 4,
    };
    of_wish + u8::from(chosen.source == Source::Default)
}

/// What becomes of the message that a monitor is down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Telling {
    /// The watchdogs are to be asked; until then it waits.
    Ask,
    /// They were asked.
    Wait,
    /// It is told, with this line.
    Tell(Remark),
    /// They see no outage: nobody is paged for it.
    Withhold,
}

/// What is said of the watchdogs' opinion in the message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remark {
    /// Nothing: nobody asked for one.
    Unasked,
    /// What they see.
    Seen,
    /// They did not answer in time.
    Late,
    /// Too few could look.
    Unclear,
    /// They saw no outage, and could not look again for long.
    Lost,
    /// Too many went down at once.
    Crowded,
}

/// Whether people are told now that a monitor is down. `change`: the change of its state that is to be told. `wish`: off where it is
/// left out. `crowd`: what is known of the other monitors of its node.
pub fn before_telling(
    now: Wall,
    wish: Wish,
    (change, record): (i64, Option<&Record>),
    (patience, crowd): (Duration, Crowd),
) -> Telling {
    if wish == Wish::Off {
        return Telling::Tell(Remark::Unasked);
    }
    let Some(record) = record.filter(|record| record.change == change) else { return Telling::Ask };
    let Some(seen) = record.seen else {
        return crowd::unanswered(now, wish, record, (patience, crowd));
    };
    match (seen, wish) {
        (Seen::Nothing, _) => Telling::Tell(Remark::Unclear),
        (Seen::Up | Seen::Split, Wish::Require) if record.is_stale(now) => Telling::Tell(Remark::Lost),
        (Seen::Up | Seen::Split, Wish::Require) => Telling::Withhold,
        (Seen::Down | Seen::Up | Seen::Split, Wish::Note | Wish::Require | Wish::Off) => Telling::Tell(Remark::Seen),
    }
}

/// The line; `None`: none. `words`: what the watchdogs saw last.
pub fn line(remark: Remark, words: &str) -> Option<String> {
    match remark {
        Remark::Unasked => None,
        Remark::Seen => Some(format!("second opinion: {words}")),
        Remark::Late => Some("no second opinion: the watchdogs did not answer in time".to_owned()),
        Remark::Unclear => Some(format!("no second opinion: {words}")),
        Remark::Lost => {
            Some(format!("no second opinion any more, the watchdogs could not look again; before: {words}"))
        }
        Remark::Crowded => Some("no second opinion: too many monitors went down at once".to_owned()),
    }
}
