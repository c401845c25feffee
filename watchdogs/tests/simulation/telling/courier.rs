//! One channel's courier in one watchdog: plan, claim, begin, wait for the vendor, note; each a step of its own, so that
//! watchdogs race and die in between. What becomes of a message that did not arrive is [`attempt::next`]'s to say.

use std::time::Duration;

use komainu_watchdogs::outbox::attempt::{self, Attempt, ENOUGH_REFUSED_ALONE, Failure, Next};
use komainu_watchdogs::outbox::queue::{self, Holder, Message};
use komainu_watchdogs::time::Wall;

use super::judge::{Arrival, Item, Variant};
use super::outbox::{CLAIM_LASTS, LONGEST_PAUSE, State, index_of};
use super::world::{Ms, Telling};

/// Longer than any vendor is waited for.
const SEND_LIMIT: Ms = 12_000;

/// A watchdog that cannot reach a vendor leaves it to the others for so long.
const AWAY: Ms = 30_000;

const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// How a channel fares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mood {
    Works,
    /// It takes seconds to answer.
    Slow,
    /// It refuses for good.
    Permanent,
    /// It refuses for good what tells of several things.
    Small,
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
    pub(crate) const ALL: [Self; 10] = [
        Self::Works,
        Self::Works,
        Self::Works,
        Self::Slow,
        Self::Permanent,
        Self::Small,
        Self::Retryable,
        Self::Unreached,
        Self::Unanswered,
        Self::Silent,
    ];

    pub(crate) fn works(self) -> bool {
        matches!(self, Self::Works | Self::Slow)
    }
}

/// What came of an attempt; `None`: it was answered well.
type Outcome = Option<Failure>;

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
    Planned(Message, Errand),
    Claimed(Errand),
    Sending(Errand, Outcome),
    Noting(Errand, Outcome, Ms),
}

/// A message's deliveries, and who is at it.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(super) members: Vec<usize>,
    pub(super) notice: u64,
    pub(super) is_repeated: bool,
    /// Something in it may have arrived before.
    is_doubtful: bool,
    /// The most attempts at any of it when it was planned.
    attempts: u32,
}

#[derive(Clone, Debug)]
struct Errand {
    claim: Claim,
    attempt: Attempt,
    /// Attempts of the channel in a row that failed.
    failures: u32,
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
            Stage::Planned(message, errand) => self.claim(dog, channel, (&message, errand)),
            Stage::Claimed(errand) => self.begin(dog, channel, errand),
            Stage::Sending(errand, outcome) => (Stage::Noting(errand, outcome, self.now), 0),
            Stage::Noting(errand, outcome, since) => self.note(dog, channel, (errand, outcome, since)),
        };
        let courier = &mut self.dogs[dog].couriers[channel];
        (courier.stage, courier.at) = (next, self.now + pause);
    }

    fn plan(&mut self, dog: usize, channel: usize) -> (Stage, Ms) {
        let Some(now) = self.database() else { return (Stage::Idle, 1_000) };
        // What was told while the database was away is entered first, or it would be told again.
        if self.dogs[dog].dark.is_unentered() {
            return (Stage::Idle, 1_000);
        }
        let (queue, parents) = self.outbox.snapshot(now, channel);
        if queue.is_empty() {
            return (Stage::Idle, 1_000);
        }
        let mut plan = queue::plan(now, &queue, &parents);
        if self.is_broken(Variant::NeverReleased) {
            plan.release.clear();
        }
        self.counts.held += u64::try_from(plan.hold.len()).unwrap();
        let by_silence = plan.hold.iter().filter(|(_, holder)| matches!(holder, Holder::Silence(_)));
        self.counts.silenced += u64::try_from(by_silence.count()).unwrap();
        self.counts.released += u64::try_from(plan.release.len()).unwrap();
        self.counts.cancelled += u64::try_from(plan.cancel.len()).unwrap();
        self.outbox.change(now, &plan);
        let is_away = self.now < self.dogs[dog].couriers[channel].away_until;
        match plan.message {
            Some(message) if self.outbox.channels[channel].next_at <= now && !is_away => {
                let errand = self.errand(channel, &message);
                (Stage::Planned(message, errand), self.rng.below(600))
            }
            Some(_) | None => (Stage::Idle, 1_000),
        }
    }

    fn errand(&mut self, channel: usize, message: &Message) -> Errand {
        let members: Vec<_> = message.deliveries.iter().map(|key| index_of(*key)).collect();
        let attempts = members.iter().map(|one| self.outbox.deliveries[*one].attempts).max().unwrap_or(0);
        let repeats = message.repeats.as_ref().map(|notice| notice.parse::<u64>().unwrap());
        let (row, items) = (self.outbox.channels[channel], members.len());
        let claim = Claim {
            members,
            notice: repeats.unwrap_or_else(|| self.rng.draw() >> 1),
            is_repeated: repeats.is_some(),
            is_doubtful: message.is_doubtful,
            attempts,
        };
        let attempt = Attempt {
            items,
            unanswered: message.unanswered + 1,
            refused_alone: row.refused_alone,
            is_suspect: message.is_suspect,
        };
        Errand { claim, attempt, failures: row.failures }
    }

    fn claim(&mut self, dog: usize, channel: usize, (message, errand): (&Message, Errand)) -> (Stage, Ms) {
        let Some(now) = self.database() else { return (Stage::Idle, 1_000) };
        let claim = &errand.claim;
        let is_fair = claim.members.iter().all(|member| {
            let row = &self.outbox.deliveries[*member];
            let is_same =
                if claim.is_repeated { row.is_begun && row.notice == Some(claim.notice) } else { !row.is_begun };
            let is_known = row.state == State::Waiting && row.channel == channel && row.attempts <= claim.attempts;
            is_known && is_same && !row.is_claimed(now)
        });
        if !is_fair && !self.is_broken(Variant::NoClaims) {
            self.counts.lost_claims += 1;
            return (Stage::Idle, 0);
        }
        let process = self.dogs[dog].process;
        for member in &claim.members {
            let row = &mut self.outbox.deliveries[*member];
            (row.claim, row.notice) = (Some((process, now + CLAIM_LASTS)), Some(claim.notice));
        }
        if message.is_exhausted && !self.is_broken(Variant::EndlessRepeats) {
            self.give_up(channel, &errand, false);
            return (Stage::Idle, 0);
        }
        (Stage::Claimed(errand), self.rng.below(300))
    }

    fn begin(&mut self, dog: usize, channel: usize, errand: Errand) -> (Stage, Ms) {
        let Some(now) = self.database() else { return (Stage::Idle, 1_000) };
        let process = self.dogs[dog].process;
        let is_mine = errand.claim.members.iter().all(|member| {
            let row = &self.outbox.deliveries[*member];
            let is_claim = row.is_claimed(now) && row.claim.is_some_and(|(by, _)| by == process);
            row.state == State::Waiting && row.notice == Some(errand.claim.notice) && is_claim
        });
        if !is_mine && !self.is_broken(Variant::NoClaims) {
            return (Stage::Idle, 0);
        }
        for member in &errand.claim.members {
            let row = &mut self.outbox.deliveries[*member];
            (row.is_begun, row.claim) = (true, Some((process, now + CLAIM_LASTS)));
            (row.attempts, row.unanswered, row.retry_at) = (row.attempts + 1, row.unanswered + 1, None);
        }
        let (outcome, takes, arrives) = self.attempt(dog, channel, &errand.claim);
        self.trace(&(dog, channel, outcome, takes, arrives, &errand));
        if arrives {
            self.arrive_later(channel, takes, &errand.claim);
        }
        (Stage::Sending(errand, outcome), takes)
    }

    fn arrive_later(&mut self, channel: usize, takes: Ms, claim: &Claim) {
        self.counts.marked_repeats += u64::from(claim.is_doubtful);
        let items = claim.members.iter().map(|member| self.item(*member)).collect();
        let is_marked = claim.is_doubtful && !self.is_broken(Variant::Unmarked);
        self.arrivals.push(Arrival {
            at: self.now + takes.min(2_000),
            channel,
            items,
            is_marked,
            is_dark: false,
            says_dark: None,
            by_fallback: false,
            news: Vec::new(),
        });
    }

    pub(crate) fn item(&self, delivery: usize) -> Item {
        let row = &self.outbox.deliveries[delivery];
        let what = self.outbox.events[row.event];
        Item { is_alone: row.is_alone, event: row.event, incident: row.incident, what }
    }

    fn attempt(&mut self, dog: usize, channel: usize, claim: &Claim) -> (Outcome, Ms, bool) {
        let keys = claim.members.iter().map(|one| &self.outbox.incidents[self.outbox.deliveries[*one].incident].key);
        let keys: Vec<_> = keys.cloned().collect();
        self.send(dog, channel, &keys)
    }

    /// What becomes of a message, how long that takes, and whether it arrives.
    pub(crate) fn send(&mut self, dog: usize, channel: usize, keys: &[String]) -> (Outcome, Ms, bool) {
        if !self.dogs[dog].has_egress {
            return (Some(Failure::Unreached), 3_000, false);
        }
        let is_disliked = |key: &String| self.poison.as_ref() == Some(&(channel, key.clone()));
        if keys.iter().any(is_disliked) {
            return (Some(Failure::Refused), 300, false);
        }
        let even = self.rng.per_mille(500);
        match self.moods[channel] {
            Mood::Small if keys.len() > 1 => (Some(Failure::Refused), 300, false),
            Mood::Works | Mood::Small => (None, self.rng.between(50, 500), true),
            Mood::Slow => (None, self.rng.between(5_000, 11_000), true),
            Mood::Permanent => (Some(Failure::Refused), 300, false),
            Mood::Retryable => (Some(Failure::Later), 300, false),
            Mood::Unreached => (Some(Failure::Unreached), 3_000, false),
            Mood::Unanswered => (Some(Failure::Unanswered), 1_000, even),
            Mood::Silent => (Some(Failure::Unanswered), SEND_LIMIT, even),
        }
    }

    fn note(&mut self, dog: usize, channel: usize, (errand, outcome, since): (Errand, Outcome, Ms)) -> (Stage, Ms) {
        let Some(now) = self.database() else {
            // As long as the claim lasts nobody repeats it.
            let is_patient = outcome.is_none() && self.now < since + 25_000;
            return if is_patient { (Stage::Noting(errand, outcome, since), 500) } else { (Stage::Idle, 1_000) };
        };
        self.count(outcome);
        match outcome {
            None => self.outbox.note_sent(now, &errand.claim),
            Some(failure) if self.is_still_mine(dog, &errand.claim) => {
                self.note_failed(dog, channel, (&errand, failure));
            }
            Some(_) => {}
        }
        (Stage::Idle, 0)
    }

    fn note_failed(&mut self, dog: usize, channel: usize, (errand, failure): (&Errand, Failure)) {
        if failure == Failure::Unreached {
            self.dogs[dog].couriers[channel].away_until = self.now + AWAY;
        }
        match self.next(failure, &errand.attempt) {
            Next::Halve(company) => {
                self.counts.halved += 1;
                self.outbox.halve(&errand.claim, company);
            }
            Next::GiveUp => self.give_up(channel, errand, failure == Failure::Refused),
            Next::Again => {
                let (pause, rest) = self.pauses(failure, errand);
                let may_have_arrived = failure == Failure::Unanswered;
                self.outbox.note_refused(self.wall(), &errand.claim, may_have_arrived, rest);
                self.pause(channel, pause);
            }
        }
    }

    fn next(&self, failure: Failure, attempt: &Attempt) -> Next {
        match attempt::next(failure, attempt) {
            Next::GiveUp if failure == Failure::Unanswered && self.is_broken(Variant::EndlessRepeats) => Next::Again,
            next @ (Next::Again | Next::Halve(_) | Next::GiveUp) => next,
        }
    }

    /// How long nobody uses the channel, and for how long nobody tries this message.
    fn pauses(&mut self, failure: Failure, errand: &Errand) -> (Duration, Duration) {
        match failure {
            Failure::Unreached | Failure::Refused => (Duration::ZERO, Duration::ZERO),
            // The channel takes others.
            Failure::Later if errand.attempt.is_suspect => (Duration::ZERO, self.growing(errand.claim.attempts)),
            Failure::Later => {
                let pause = self.growing(errand.failures);
                (pause, pause + FIRST_PAUSE)
            }
            Failure::Unanswered => (Duration::ZERO, self.growing(errand.attempt.unanswered.saturating_sub(1))),
        }
    }

    /// The pause after so many failures before this one, with jitter.
    fn growing(&mut self, failures: u32) -> Duration {
        let pause = (FIRST_PAUSE * (1 << failures.min(8))).min(LONGEST_PAUSE);
        pause + pause * u32::try_from(self.rng.below(1_000)).unwrap() / 1_000
    }

    fn give_up(&mut self, channel: usize, errand: &Errand, is_refused: bool) {
        self.counts.given_up += u64::from(!is_refused);
        let is_any_alone = self.outbox.give_up(self.wall(), &errand.claim, is_refused);
        // Something else may pass, unless nothing did.
        let is_all = is_refused && errand.attempt.refused_alone + 1 >= ENOUGH_REFUSED_ALONE;
        self.pause(channel, if is_all && is_any_alone { LONGEST_PAUSE } else { Duration::ZERO });
    }

    fn is_still_mine(&self, dog: usize, claim: &Claim) -> bool {
        let process = self.dogs[dog].process;
        claim.members.iter().all(|member| {
            let row = &self.outbox.deliveries[*member];
            let is_claim = row.claim.is_some_and(|(by, _)| by == process);
            row.state == State::Waiting && row.notice == Some(claim.notice) && is_claim
        })
    }

    fn pause(&mut self, channel: usize, pause: Duration) {
        let next_at = self.wall() + pause;
        let row = &mut self.outbox.channels[channel];
        row.failures += 1;
        row.next_at = row.next_at.max(next_at);
        let until = self.now + Ms::try_from(pause.as_millis()).unwrap();
        self.paused_until[channel] = self.paused_until[channel].max(until);
    }

    fn count(&mut self, outcome: Outcome) {
        let count = match outcome {
            None => &mut self.counts.told,
            Some(Failure::Refused) => &mut self.counts.permanent,
            Some(Failure::Later) => &mut self.counts.retryable,
            Some(Failure::Unreached) => &mut self.counts.unreached,
            Some(Failure::Unanswered) => &mut self.counts.unanswered,
        };
        *count += 1;
    }

    /// The database's clock, while it can be asked.
    pub(crate) fn database(&self) -> Option<Wall> {
        self.is_database_up.then(|| self.wall())
    }
}
