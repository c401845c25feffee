//! One channel's courier in one watchdog: plan, claim, begin, wait for the vendor, note; each a step of its own, so that
//! watchdogs race and die in between.

use std::time::Duration;

use komainu_watchdogs::outbox::queue::{self, Message};
use komainu_watchdogs::time::Wall;

use super::judge::{Arrival, Item};
use super::outbox::{CLAIM_LASTS, State, index_of};
use super::world::{Ms, Telling};

/// Longer than any vendor is waited for.
const SEND_LIMIT: Ms = 12_000;

/// A watchdog that cannot reach a vendor leaves it to the others for so long.
const AWAY: Ms = 30_000;

/// How often a message that may have arrived is sent again.
const REPEATS: u32 = 3;

const LONGEST_PAUSE: Ms = 300_000;

/// How a channel fares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mood {
    Works,
    /// It takes seconds to answer.
    Slow,
    /// It refuses for good.
    Permanent,
    /// It asks for patience.
    Retryable,
    /// Nobody gets through.
    Unreached,
    /// The connection breaks before the answer.
    Unanswered,
    /// It never answers.
    Silent,
}

impl Mood {
    pub(crate) fn works(self) -> bool {
        matches!(self, Self::Works | Self::Slow)
    }
}

/// What came of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Sent,
    Permanent,
    Retryable,
    Unreached,
    Unanswered,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Courier {
    stage: Stage,
    at: Ms,
    away_until: Ms,
}

#[derive(Clone, Debug, Default)]
enum Stage {
    #[default]
    Idle,
    Planned(Message),
    Claimed(Claim),
    Sending(Claim, Outcome),
    Noting(Claim, Outcome, Ms),
}

#[derive(Clone, Debug)]
struct Claim {
    members: Vec<usize>,
    notice: u64,
    is_repeated: bool,
}

impl Courier {
    /// A process that dies forgets what it was at.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Telling {
    pub(crate) fn step_courier(&mut self, dog: usize, channel: usize) {
        if self.now < self.dogs[dog].couriers[channel].at {
            return;
        }
        let stage = std::mem::take(&mut self.dogs[dog].couriers[channel].stage);
        let (next, pause) = match stage {
            Stage::Idle => self.plan(dog, channel),
            Stage::Planned(message) => self.claim(dog, channel, &message),
            Stage::Claimed(claim) => self.begin(dog, channel, claim),
            Stage::Sending(claim, outcome) => (Stage::Noting(claim, outcome, self.now), 0),
            Stage::Noting(claim, outcome, since) => self.note(dog, channel, (claim, outcome, since)),
        };
        let courier = &mut self.dogs[dog].couriers[channel];
        (courier.stage, courier.at) = (next, self.now + pause);
    }

    fn plan(&mut self, dog: usize, channel: usize) -> (Stage, Ms) {
        let Some(now) = self.database() else { return (Stage::Idle, 1_000) };
        let (queue, parents) = self.outbox.snapshot(channel);
        if queue.is_empty() {
            return (Stage::Idle, 1_000);
        }
        let mut plan = queue::plan(now, &queue, &parents);
        if self.is_broken(super::judge::Variant::NeverReleased) {
            plan.release.clear();
        }
        self.counts.held += u64::try_from(plan.hold.len()).unwrap();
        self.counts.released += u64::try_from(plan.release.len()).unwrap();
        self.counts.cancelled += u64::try_from(plan.cancel.len()).unwrap();
        self.outbox.change(now, &plan);
        let is_away = self.now < self.dogs[dog].couriers[channel].away_until;
        match plan.message {
            Some(message) if self.outbox.channels[channel].next_at <= now && !is_away => {
                (Stage::Planned(message), self.rng.below(600))
            }
            Some(_) | None => (Stage::Idle, 1_000),
        }
    }

    fn claim(&mut self, dog: usize, channel: usize, message: &Message) -> (Stage, Ms) {
        let Some(now) = self.database() else { return (Stage::Idle, 1_000) };
        let members: Vec<_> = message.deliveries.iter().map(|key| index_of(*key)).collect();
        let repeats = message.repeats.as_ref().map(|notice| notice.parse::<u64>().unwrap());
        let is_fair = members.iter().all(|member| {
            let row = &self.outbox.deliveries[*member];
            let is_same = if repeats.is_some() { row.is_begun && row.notice == repeats } else { !row.is_begun };
            row.state == State::Waiting && row.channel == channel && is_same && !row.is_claimed(now)
        });
        if !is_fair && !self.is_broken(super::judge::Variant::NoClaims) {
            self.counts.lost_claims += 1;
            return (Stage::Idle, 0);
        }
        // Whoever sent it the last time may have died over it.
        let attempts = members.iter().map(|one| self.outbox.deliveries[*one].attempts).max().unwrap_or(0);
        let is_alone = members.iter().any(|one| self.outbox.deliveries[*one].is_alone);
        if repeats.is_some()
            && attempts > REPEATS
            && !is_alone
            && !self.is_broken(super::judge::Variant::EndlessRepeats)
        {
            self.counts.given_up += 1;
            self.outbox.give_up(now, &members, true);
            return (Stage::Idle, 0);
        }
        let notice = repeats.unwrap_or_else(|| self.rng.draw() >> 1);
        let process = self.dogs[dog].process;
        for member in &members {
            let row = &mut self.outbox.deliveries[*member];
            (row.claim, row.notice) = (Some((process, now + CLAIM_LASTS)), Some(notice));
        }
        (Stage::Claimed(Claim { members, notice, is_repeated: repeats.is_some() }), self.rng.below(300))
    }

    fn begin(&mut self, dog: usize, channel: usize, claim: Claim) -> (Stage, Ms) {
        let Some(now) = self.database() else { return (Stage::Idle, 1_000) };
        let process = self.dogs[dog].process;
        let is_mine = claim.members.iter().all(|member| {
            let row = &self.outbox.deliveries[*member];
            let is_claim = row.is_claimed(now) && row.claim.is_some_and(|(by, _)| by == process);
            row.state == State::Waiting && row.notice == Some(claim.notice) && is_claim
        });
        if !is_mine && !self.is_broken(super::judge::Variant::NoClaims) {
            return (Stage::Idle, 0);
        }
        for member in &claim.members {
            let row = &mut self.outbox.deliveries[*member];
            (row.is_begun, row.claim) = (true, Some((process, now + CLAIM_LASTS)));
            row.attempts += 1;
        }
        let (outcome, takes, arrives) = self.attempt(dog, channel, &claim);
        self.trace(&(dog, channel, outcome, takes, arrives, &claim));
        if arrives {
            self.counts.marked_repeats += u64::from(claim.is_repeated);
            let items = claim.members.iter().map(|member| {
                let row = &self.outbox.deliveries[*member];
                Item {
                    is_alone: row.is_alone,
                    event: row.event,
                    incident: row.incident,
                    what: self.outbox.events[row.event],
                }
            });
            let items = items.collect();
            let is_marked = claim.is_repeated && !self.is_broken(super::judge::Variant::Unmarked);
            self.arrivals.push(Arrival { at: self.now + takes.min(2_000), channel, items, is_marked });
        }
        (Stage::Sending(claim, outcome), takes)
    }

    /// What becomes of it, how long that takes, and whether it arrives.
    fn attempt(&mut self, dog: usize, channel: usize, claim: &Claim) -> (Outcome, Ms, bool) {
        if !self.dogs[dog].has_egress {
            return (Outcome::Unreached, 3_000, false);
        }
        let is_disliked = claim.members.iter().any(|member| {
            let incident = &self.outbox.incidents[self.outbox.deliveries[*member].incident];
            self.poison.as_ref().is_some_and(|(disliker, key)| *disliker == channel && *key == incident.key)
        });
        if is_disliked {
            return (Outcome::Permanent, 300, false);
        }
        let even = self.rng.per_mille(500);
        match self.moods[channel] {
            Mood::Works => (Outcome::Sent, self.rng.between(50, 500), true),
            Mood::Slow => (Outcome::Sent, self.rng.between(5_000, 11_000), true),
            Mood::Permanent => (Outcome::Permanent, 300, false),
            Mood::Retryable => (Outcome::Retryable, 300, false),
            Mood::Unreached => (Outcome::Unreached, 3_000, false),
            Mood::Unanswered => (Outcome::Unanswered, 1_000, even),
            Mood::Silent => (Outcome::Unanswered, SEND_LIMIT, even),
        }
    }

    fn note(&mut self, dog: usize, channel: usize, (claim, outcome, since): (Claim, Outcome, Ms)) -> (Stage, Ms) {
        let Some(now) = self.database() else {
            // As long as the claim lasts nobody repeats it.
            let is_patient = outcome == Outcome::Sent && self.now < since + 25_000;
            return if is_patient { (Stage::Noting(claim, outcome, since), 500) } else { (Stage::Idle, 1_000) };
        };
        self.count(outcome);
        match outcome {
            Outcome::Sent => self.outbox.note_sent(now, &claim.members, claim.notice),
            Outcome::Permanent => {
                if self.is_still_mine(dog, &claim) {
                    self.outbox.give_up(now, &claim.members, claim.is_repeated);
                    let is_alone = claim.members.iter().any(|one| self.outbox.deliveries[*one].state == State::Waiting);
                    self.pause(channel, if is_alone { LONGEST_PAUSE } else { 0 });
                }
            }
            Outcome::Retryable | Outcome::Unreached | Outcome::Unanswered => {
                if outcome == Outcome::Unreached {
                    self.dogs[dog].couriers[channel].away_until = self.now + AWAY;
                }
                self.refused(dog, channel, &claim, outcome);
            }
        }
        (Stage::Idle, 0)
    }

    fn is_still_mine(&self, dog: usize, claim: &Claim) -> bool {
        let process = self.dogs[dog].process;
        claim.members.iter().all(|member| {
            let row = &self.outbox.deliveries[*member];
            let is_claim = row.claim.is_some_and(|(by, _)| by == process);
            row.state == State::Waiting && row.notice == Some(claim.notice) && is_claim
        })
    }

    fn refused(&mut self, dog: usize, channel: usize, claim: &Claim, outcome: Outcome) {
        if !self.is_still_mine(dog, claim) {
            return;
        }
        let may_have_arrived = outcome == Outcome::Unanswered || claim.is_repeated;
        let attempts = claim.members.iter().map(|one| self.outbox.deliveries[*one].attempts).max().unwrap_or(0);
        if may_have_arrived && attempts > REPEATS && !self.is_broken(super::judge::Variant::EndlessRepeats) {
            self.counts.given_up += 1;
            let now = self.wall();
            self.outbox.give_up(now, &claim.members, true);
            if claim.members.iter().any(|one| self.outbox.deliveries[*one].is_alone) {
                self.pause(channel, LONGEST_PAUSE);
            }
        } else {
            for member in &claim.members {
                let row = &mut self.outbox.deliveries[*member];
                row.claim = None;
                if !may_have_arrived {
                    (row.is_begun, row.notice) = (false, None);
                }
            }
        }
        let failures = self.outbox.channels[channel].failures;
        let pause = if outcome == Outcome::Unreached { 0 } else { (2_000 << failures.min(8)).min(LONGEST_PAUSE) };
        self.pause(channel, pause);
    }

    fn pause(&mut self, channel: usize, pause: Ms) {
        let next_at = self.wall() + Duration::from_millis(pause);
        let row = &mut self.outbox.channels[channel];
        row.failures += 1;
        row.next_at = row.next_at.max(next_at);
        self.paused_until[channel] = self.paused_until[channel].max(self.now + pause);
    }

    fn count(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Sent => &mut self.counts.told,
            Outcome::Permanent => &mut self.counts.permanent,
            Outcome::Retryable => &mut self.counts.retryable,
            Outcome::Unreached => &mut self.counts.unreached,
            Outcome::Unanswered => &mut self.counts.unanswered,
        };
        *count += 1;
    }

    /// The database's clock, while it can be asked.
    pub(crate) fn database(&self) -> Option<Wall> {
        self.is_database_up.then(|| self.wall())
    }
}
