//! One message on its way: it is sent, its claim is kept alive meanwhile, and what came of it is noted.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder, Retryable};
use komainu_notifiers::{DeliveryError, Missed, Notice, Receipt};
use komainu_watchdogs::io::Severity;
use komainu_watchdogs::outbox::attempt::{self, Attempt, Failure, Next};
use komainu_watchdogs::outbox::queue::LONGEST_REST;

use super::elsewhere::Elsewhere;
use super::{Outbox, Outlet};
use crate::store::StoreError;
use crate::store::outbox::notes::Note;
use crate::store::outbox::{self as store, Accepted, CLAIM_LASTS, Claim, Half, Partly, Refusal, Rescue};

/// So many failures in a row are told on other channels: with the pauses between them, after about a minute.
const FAILURES_TOLD: u32 = 5;

/// The pauses after failures, unless the vendor asks for more.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// As long as the claim lasts nobody repeats a message whose arrival could not be noted yet.
const NOTE_LIMIT: Duration = Duration::from_secs(25);

/// A claim is renewed so often that two lost renewals do no harm.
const RENEW: Duration = Duration::from_secs(8);

/// Greylisting ends within minutes, a full mailbox within days: then its owner is missed for good.
const READERS_TRIED: u32 = 12;

/// What all errands of a channel share.
pub(super) struct ServedChannel {
    pub(super) outbox: Arc<Outbox>,
    pub(super) name: String,
    pub(super) outlet: Outlet,
    pub(super) elsewhere: Elsewhere,
}

/// One message that may leave.
pub(super) struct Errand {
    pub(super) served: Arc<ServedChannel>,
    pub(super) claim: Claim,
    pub(super) attempt: Attempt,
    /// Of the channel, in a row.
    pub(super) failures: u32,
    /// Of this message, this attempt included.
    pub(super) attempts: u32,
    /// It is a drill, or another word about nothing that is wrong.
    pub(super) is_note: bool,
}

/// How it ended, as far as the courier goes by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// There may be more to do at once.
    Done,
    /// From this host nobody is reached.
    Away,
}

impl Errand {
    /// Sends, and notes what came of it.
    pub(super) async fn run(self, notice: Notice) -> Result<End, StoreError> {
        let errand = async {
            let outcome = self.send(&notice).await;
            let taken = outcome.as_ref().ok().filter(|receipt| receipt.missed.is_empty()).cloned();
            let end = self.settle(outcome).await?;
            if let Some(receipt) = taken.filter(|_| is_drill(&notice)) {
                self.take_back(&notice, &receipt).await;
            }
            Ok(end)
        };
        tokio::select! {
            end = errand => end,
            never = self.keep_claim() => match never {},
        }
    }

    async fn send(&self, notice: &Notice) -> Result<Receipt, DeliveryError> {
        let channel = &self.served.outlet.channel;
        let limit = channel.longest();
        tokio::time::timeout(limit, channel.send(notice)).await.unwrap_or_else(|_| {
            Err(DeliveryError::Unanswered { reason: format!("no answer within {} s", limit.as_secs()) })
        })
    }

    /// A message cannot be called back: when its claim is lost all the same, at least it is said.
    async fn keep_claim(&self) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(RENEW).await;
            match store::renew(&self.served.outbox.store, &self.claim).await {
                Ok(true) => {}
                Ok(false) => tracing::debug!(notice.id = self.claim.notice, "the claim of a message ended"),
                Err(error) => tracing::warn!(
                    notice.id = self.claim.notice,
                    %error,
                    lasts_s = CLAIM_LASTS.as_secs(),
                    "the claim of a message could not be renewed"
                ),
            }
        }
    }

    async fn settle(&self, outcome: Result<Receipt, DeliveryError>) -> Result<End, StoreError> {
        match outcome {
            Ok(receipt) if receipt.missed.is_empty() => self.note_sent(receipt).await,
            Ok(receipt) => self.note_partly(receipt).await,
            Err(error) => self.note_failed(error).await,
        }
    }

    /// Arrived, but perhaps not noted: then it would be repeated.
    async fn note_sent(&self, receipt: Receipt) -> Result<End, StoreError> {
        // A later message can only refer to one that tells of a single incident.
        let vendor_ref = receipt.vendor_ref.filter(|_| self.claim.deliveries.len() == 1);
        let accepted = Accepted { vendor_ref, answer: receipt.answer };
        let note = || store::note_sent(&self.served.outbox.store, &self.claim, &accepted);
        note.retry(until_noted()).await?;
        tracing::info!(
            channel = self.served.name,
            notice.id = self.claim.notice,
            told = self.claim.deliveries.len(),
            "delivered"
        );
        Ok(End::Done)
    }

    /// A drill leaves as little behind as the vendor allows. That it arrived is noted by then; a watchdog that dies here leaves it to be read.
    async fn take_back(&self, notice: &Notice, receipt: &Receipt) {
        let channel = &self.served.outlet.channel;
        let done = tokio::time::timeout(channel.longest(), channel.take_back(notice, receipt)).await;
        match done {
            Ok(Ok(true)) => {
                if let Err(error) = store::note_taken_back(&self.served.outbox.store, &self.claim).await {
                    tracing::debug!(channel = self.served.name, %error, "it is not noted that a drill was taken back");
                }
            }
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::info!(channel = self.served.name, %error, "a drill is not taken back"),
            Err(_) => tracing::info!(channel = self.served.name, "a drill is not taken back: no answer"),
        }
    }

    async fn note_partly(&self, receipt: Receipt) -> Result<End, StoreError> {
        tracing::warn!(
            channel = self.served.name,
            notice.id = self.claim.notice,
            receipt.answer,
            "not delivered to all"
        );
        let may_be_taken = |missed: &&Missed| matches!(missed.error, DeliveryError::Retryable { .. });
        let is_worth_more = receipt.missed.iter().any(|missed| may_be_taken(&missed)) && self.attempts < READERS_TRIED;
        let lost: Vec<String> = receipt
            .missed
            .iter()
            .filter(|missed| !is_worth_more || !may_be_taken(missed))
            .map(|Missed { reader, error }| format!("{reader}: {error}"))
            .collect();
        let rescue = (!lost.is_empty()).then(|| {
            let summary = format!("channel {} does not reach {}", self.served.name, lost.join("; "));
            let fallback = self.served.elsewhere.fallback().filter(|_| !self.is_note);
            let instead = fallback.cloned().into_iter().collect();
            let incident = self.served.elsewhere.trouble(Severity::Warning, summary);
            let (pause, rest, is_note) = (Duration::ZERO, Duration::ZERO, self.is_note);
            Rescue { incident, instead, pause, rest, is_refused: false, is_note }
        });
        let rest = is_worth_more.then(|| growing(self.attempts.saturating_sub(1)));
        let partly = Partly { told_to: receipt.reached, error: receipt.answer, rest, rescue };
        let note =
            || store::note_partly(&self.served.outbox.store, &self.claim, &partly, &self.served.elsewhere.routing);
        note.retry(until_noted()).await?;
        Ok(End::Done)
    }

    async fn note_failed(&self, error: DeliveryError) -> Result<End, StoreError> {
        tracing::warn!(channel = self.served.name, notice.id = self.claim.notice, %error, "not delivered");
        let store = &self.served.outbox.store;
        let failure = failure(&error);
        match attempt::next(failure, &self.attempt) {
            Next::Halve(company) => {
                store::halve(store, &self.claim, &Half { error: error.to_string(), company }).await?;
                return Ok(End::Done);
            }
            Next::GiveUp => {
                self.give_up(&error.to_string(), failure == Failure::Refused).await?;
                return Ok(End::Done);
            }
            Next::Again => {}
        }
        let refusal = self.refusal(&error);
        store::note_refused(store, &self.claim, &refusal, &self.served.elsewhere.routing).await?;
        Ok(match failure {
            Failure::Unreached => End::Away,
            Failure::Refused | Failure::Later | Failure::Unanswered => End::Done,
        })
    }

    fn refusal(&self, error: &DeliveryError) -> Refusal {
        let times = self.failures + 1;
        let incident = (times >= FAILURES_TOLD).then(|| {
            let summary = format!("channel {} failed {times} times in a row: {error}", self.served.name);
            self.served.elsewhere.trouble(Severity::Warning, summary)
        });
        let (pause, rest) = self.pauses(error);
        let may_have_arrived = matches!(error, DeliveryError::Unanswered { .. });
        Refusal { error: error.to_string(), may_have_arrived, pause, rest, incident }
    }

    /// How long nobody uses the channel, and for how long nobody tries this message. Whom this host does not reach,
    /// another may reach at once. A message rests longer than its channel: what the channel fails at may be this one
    /// message, and then it is the next one that shows that it works.
    fn pauses(&self, error: &DeliveryError) -> (Duration, Duration) {
        match error {
            DeliveryError::Unreached { .. } | DeliveryError::Permanent { .. } => (Duration::ZERO, Duration::ZERO),
            // The channel takes others.
            DeliveryError::Retryable { after: None, .. } if self.attempt.is_suspect => {
                (Duration::ZERO, growing(self.attempts.saturating_sub(1)))
            }
            DeliveryError::Retryable { after, .. } => {
                let pause = after.unwrap_or_default().max(growing(self.failures));
                (pause, pause + FIRST_PAUSE)
            }
            DeliveryError::Unanswered { .. } => (Duration::ZERO, growing(self.attempt.unanswered.saturating_sub(1))),
        }
    }

    /// The fallback is told, or all others; and an incident says so.
    pub(super) async fn give_up(&self, reason: &str, is_refused: bool) -> Result<(), StoreError> {
        let served = &self.served;
        let verb = if is_refused { "refuses messages" } else { "does not say whether messages arrive" };
        let (severity, instead) = served.elsewhere.instead();
        let incident = served.elsewhere.trouble(severity, format!("channel {} {verb}: {reason}", served.name));
        // Something else may pass, unless nothing did.
        let is_all = is_refused && self.attempt.refused_alone + 1 >= attempt::ENOUGH_REFUSED_ALONE;
        let rescue = Rescue {
            incident,
            // Nobody needs to hear elsewhere what is about nothing that is wrong: the channel's incident is what it came for.
            instead: if self.is_note { vec![] } else { instead },
            pause: if is_all { LONGEST_PAUSE } else { Duration::ZERO },
            rest: if is_refused { LONGEST_PAUSE } else { seldom(self.attempt.unanswered) },
            is_refused,
            is_note: self.is_note,
        };
        store::give_up(&served.outbox.store, &self.claim, reason, &rescue, &served.elsewhere.routing).await
    }
}

/// It went alone, so that nothing else goes with it when it is taken back.
fn is_drill(notice: &Notice) -> bool {
    matches!(notice.items.as_slice(), [one] if Note::of_key(&one.key) == Some(Note::Drill))
}

/// In which of the four ways it failed.
pub(crate) fn failure(error: &DeliveryError) -> Failure {
    match error {
        DeliveryError::Permanent { .. } => Failure::Refused,
        DeliveryError::Retryable { .. } => Failure::Later,
        DeliveryError::Unanswered { .. } => Failure::Unanswered,
        DeliveryError::Unreached { .. } => Failure::Unreached,
    }
}

fn until_noted() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(2))
        .without_max_times()
        .with_total_delay(Some(NOTE_LIMIT))
}

/// The pause after so many failures before this one.
fn growing(failures: u32) -> Duration {
    let pauses = ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .with_jitter()
        .build();
    let steps = usize::try_from(failures.min(20)).unwrap_or_default();
    pauses.into_iter().nth(steps).unwrap_or(LONGEST_PAUSE)
}

/// What nobody else can be told may have arrived several times: five minutes, doubled each time, up to an hour.
fn seldom(unanswered: u32) -> Duration {
    let doublings = unanswered.saturating_sub(attempt::MOST_REPEATS + 1).min(10);
    (LONGEST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_REST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_else_can_be_told_is_repeated_ever_more_seldom() {
        let minutes = |unanswered| seldom(unanswered).as_secs() / 60;
        assert_eq!([4, 5, 6, 7, 8, 30].map(minutes), [5, 10, 20, 40, 60, 60]);
    }

    #[test]
    fn pauses_grow_up_to_a_limit() {
        assert!((2..=4).contains(&growing(0).as_secs()) && (4..=8).contains(&growing(1).as_secs()));
        assert!(growing(90) <= 2 * LONGEST_PAUSE);
    }
}
