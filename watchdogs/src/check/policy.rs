//! Every threshold of checks, with the reason for its number.

use std::time::Duration;

use serde::Serialize;

/// The thresholds of one watchdog's checks. All of a cluster's watchdogs are configured alike.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Policy {
    /// Looks in a row until a watchdog's word counts, either way: one lost packet is not a failure.
    pub looks_running: u32,
    /// Looks in a row that a minority fails until people are told of it.
    pub partial_rounds: u32,
    /// Between the first look of a run and its confirmation: what restarts in less is not down. A look asked for twice
    /// within it is one look.
    pub second_look_after: Duration,
    /// A look that takes longer than this, and twice what the last one took, makes its watchdog ask the others before it has
    /// ended: otherwise a target that hangs costs two timeouts, one after the other.
    pub slow_after: Duration,
    /// A vote is fresh for its check's interval, its timeout, and this: the way of a vote to everybody.
    pub vote_slack: Duration,
    /// After a start, or a definition's change, the first look comes within this, however long the interval is.
    pub first_look_within: Duration,
    /// The first looks of many new checks come this far apart.
    pub first_look_spacing: Duration,
    /// A watchdog whose word stands against the verdict, or that could not look, looks again within this, where the interval
    /// is longer.
    pub dissent_interval: Duration,
    /// Who is asked to look answers within this, with what it has; what still runs is asked for again.
    pub answer_within: Duration,
    /// Looks under way at once; the others wait for their turn.
    pub budget: usize,
    /// A look that has not ended so long after its timeout never will.
    pub lost_after: Duration,
    /// A look that takes longer than this, or half of its timeout, has canaries probed beside it: so early that they can answer
    /// before it is tried again.
    pub doubt_after: Duration,
    /// They are probed again and again so far apart, until the look ends.
    pub doubt_again: Duration,
    /// A canary that answers later than this did not answer at the first try: TCP tries again after a second.
    pub outside_prompt: Duration,
    /// Nothing is known of the outside world between two canaries that answered so far apart: with one missing in between they
    /// are two seconds apart, and so long again for a canary that had to wait for its turn.
    pub outside_gap: Duration,
    /// A connection that nobody answers is tried again so long after its beginning (RFC 6298), the first time and the second.
    pub tried_again: [Duration; 2],
    /// A verdict that became unknown is entered only when it has been so for this long: votes come a moment after a start.
    pub unknown_entered_after: Duration,
    /// What stands in the store differs for this long from what is judged here: whoever found it could not enter it.
    pub enter_again_after: Duration,
    /// Asks of one moment go out together.
    pub ask_linger: Duration,
    /// Nothing was handled for this long: this process stood still, and what it knew is old.
    pub stood_still: Duration,
    /// Canaries are asked for at most so often.
    pub canary_pause: Duration,
    /// Intervals without a fresh majority until people are told of it.
    pub unknown_intervals: u32,
    /// It is told at the latest after this, however long the interval is.
    pub unknown_at_most: Duration,
}

impl Policy {
    /// A look that was asked for and lasted this long saw more than a moment: it counts for two. As long as lies between a
    /// look and its confirmation.
    pub const TOOK_A_WHILE: Duration = Duration::from_secs(1);

    /// Successes in a row until a majority that reaches the target makes those partial who do not: two rounds more than a failure
    /// needs, so that everybody has heard by then what the others see since it is reached again.
    pub const fn reached_rounds(&self) -> u32 {
        self.partial_rounds + 2
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            looks_running: 2,
            partial_rounds: 3,
            second_look_after: Duration::from_secs(1),
            slow_after: Duration::from_secs(2),
            vote_slack: Duration::from_secs(5),
            first_look_within: Duration::from_secs(30),
            first_look_spacing: Duration::from_millis(20),
            dissent_interval: Duration::from_secs(60),
            answer_within: Duration::from_secs(2),
            budget: 256,
            lost_after: Duration::from_secs(10),
            doubt_after: Duration::from_millis(500),
            doubt_again: Duration::from_secs(1),
            outside_prompt: Duration::from_secs(1),
            outside_gap: Duration::from_secs(3),
            tried_again: [Duration::from_secs(1), Duration::from_secs(3)],
            unknown_entered_after: Duration::from_secs(10),
            enter_again_after: Duration::from_secs(10),
            ask_linger: Duration::from_millis(20),
            stood_still: Duration::from_secs(6),
            canary_pause: Duration::from_millis(500),
            unknown_intervals: 3,
            unknown_at_most: Duration::from_secs(3_600),
        }
    }
}
