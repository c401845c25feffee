//! The courier of one channel: claims a message, sends it, notes what came of it; one at a time.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder, Retryable};
use komainu_notifiers::{DeliveryError, Notice, Receipt};
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::outbox::queue::{self, Message};
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Mono;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Outbox, Outlet, compose};
use crate::clock;
use crate::store::StoreError;
use crate::store::outbox::{self as store, Begin, Claim, Refusal, Rescue, Snapshot};

/// Under half of a claim. A channel keeps its own limit below this one.
const SEND_LIMIT: Duration = Duration::from_secs(12);

/// A watchdog that cannot reach a vendor leaves it to the others for so long.
const AWAY: Duration = Duration::from_secs(30);

/// So many failures in a row are told on other channels: with the pauses between them, after about a minute.
const FAILURES_TOLD: u32 = 5;

/// The pauses after failures, unless the vendor asks for more.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// As long as the claim lasts nobody repeats a message whose arrival could not be noted yet.
const NOTE_LIMIT: Duration = Duration::from_secs(25);

pub(super) struct Courier {
    outbox: Arc<Outbox>,
    name: String,
    outlet: Outlet,
    /// Where the channel's own trouble is told: everywhere else.
    elsewhere: Routing,
    away_until: Mono,
}

/// Whether there may be more to do at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Again,
    Idle,
}

impl Courier {
    pub(super) fn new(outbox: Arc<Outbox>, name: String, outlet: Outlet) -> Self {
        let mut elsewhere = (*outbox.routing).clone();
        elsewhere.channels.retain(|channel| *channel != name);
        Self { outbox, name, outlet, elsewhere, away_until: Mono::default() }
    }

    pub(super) async fn run(mut self, bell: Arc<Notify>, shutdown: CancellationToken) {
        let mut is_known = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = bell.notified() => {}
            }
            while !shutdown.is_cancelled() {
                if !is_known {
                    is_known = self.log(store::prepare_channel(&self.outbox.store, &self.name).await).is_some();
                }
                let step = Box::pin(self.step()).await;
                if self.log(step) != Some(Step::Again) {
                    break;
                }
            }
        }
    }

    fn log<T>(&self, result: Result<T, StoreError>) -> Option<T> {
        result.inspect_err(|error| tracing::warn!(channel = self.name, %error, "delivering failed")).ok()
    }

    async fn step(&mut self) -> Result<Step, StoreError> {
        let store = &self.outbox.store;
        let snapshot = store::snapshot(store, &self.name).await?;
        let plan = queue::plan(snapshot.now, &snapshot.queue, &snapshot.parents);
        if plan.has_changes() {
            store::change(store, &plan).await?;
        }
        let Some(message) = plan.message else { return Ok(Step::Idle) };
        if snapshot.next_at > snapshot.now || clock::now() < self.away_until {
            return Ok(Step::Idle);
        }
        let claim = self.claim_of(&message, &snapshot);
        if !store::claim(store, &claim).await? {
            return Ok(Step::Idle);
        }
        let notice = compose::notice(&self.outbox, &claim, &message, store::facts(store, &claim).await?);
        match store::begin_sending(store, &claim, self.outlet.channel.min_interval()).await? {
            Begin::Go => {}
            Begin::Lost | Begin::Busy => return Ok(Step::Idle),
        }
        let outcome = self.send(&notice).await;
        self.settle(&claim, snapshot.failures, outcome).await
    }

    fn claim_of(&self, message: &Message, snapshot: &Snapshot) -> Claim {
        let is_member = |row: &&queue::Queued| message.deliveries.contains(&row.delivery);
        let fresh = || compose::notice_id(&self.outbox.cluster, snapshot.queue.iter().filter(is_member));
        Claim {
            notice: message.repeats.clone().unwrap_or_else(fresh),
            channel: self.name.clone(),
            deliveries: message.deliveries.clone(),
            is_repeated: message.repeats.is_some(),
            by: self.outbox.me,
        }
    }

    async fn send(&self, notice: &Notice) -> Result<Receipt, DeliveryError> {
        let sending = self.outlet.channel.send(notice);
        tokio::time::timeout(SEND_LIMIT, sending).await.unwrap_or_else(|_| {
            Err(DeliveryError::Unanswered { reason: format!("no answer within {} s", SEND_LIMIT.as_secs()) })
        })
    }

    async fn settle(
        &mut self,
        claim: &Claim,
        failures: u32,
        outcome: Result<Receipt, DeliveryError>,
    ) -> Result<Step, StoreError> {
        let error = match outcome {
            Ok(receipt) => {
                // A later message can only refer to one that tells of a single incident.
                let vendor_ref = receipt.vendor_ref.filter(|_| claim.deliveries.len() == 1);
                self.note_sent(claim, vendor_ref.as_deref()).await?;
                tracing::info!(
                    channel = self.name,
                    notice.id = claim.notice,
                    told = claim.deliveries.len(),
                    "delivered"
                );
                return Ok(Step::Again);
            }
            Err(error) => error,
        };
        tracing::warn!(channel = self.name, notice.id = claim.notice, %error, "not delivered");
        let reason = error.to_string();
        if let DeliveryError::Permanent { .. } = error {
            let rescue = self.rescue(&reason);
            store::give_up(&self.outbox.store, claim, &reason, &rescue, &self.elsewhere).await?;
            return Ok(Step::Again);
        }
        if let DeliveryError::Unreached { .. } = error {
            self.away_until = clock::now() + AWAY;
        }
        let refusal = Refusal {
            pause: pause(&error, failures),
            may_have_arrived: matches!(error, DeliveryError::Unanswered { .. }),
            incident: (failures + 1 >= FAILURES_TOLD).then(|| {
                let times = failures + 1;
                self.trouble(
                    Severity::Warning,
                    format!("channel {} failed {times} times in a row: {reason}", self.name),
                )
            }),
            error: reason,
        };
        store::note_refused(&self.outbox.store, claim, &refusal, &self.elsewhere).await?;
        Ok(Step::Idle)
    }

    /// Arrived, but perhaps not noted: then it would be repeated.
    async fn note_sent(&self, claim: &Claim, vendor_ref: Option<&str>) -> Result<(), StoreError> {
        let patience = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(2))
            .without_max_times()
            .with_total_delay(Some(NOTE_LIMIT));
        let note = || store::note_sent(&self.outbox.store, claim, vendor_ref);
        note.retry(patience).await
    }

    fn rescue(&self, reason: &str) -> Rescue {
        let others = self.elsewhere.channels.clone();
        let (severity, instead) = match &self.outlet.fallback {
            Some(fallback) => (Severity::Warning, vec![fallback.clone()]),
            // Better told in the wrong place than to nobody.
            None => (Severity::Critical, others),
        };
        let incident = self.trouble(severity, format!("channel {} refuses messages: {reason}", self.name));
        Rescue { incident, instead, pause: LONGEST_PAUSE }
    }

    fn trouble(&self, severity: Severity, summary: String) -> (Alarm, Subject) {
        let alarm = Alarm { key: format!("channel/{}", self.name), severity, summary, votes: (0, 0) };
        // Where its messages go, whatever the routes say.
        let channels = match &self.outlet.fallback {
            Some(fallback) => vec![fallback.clone()],
            None => self.elsewhere.channels.clone(),
        };
        let subject = Subject { channels, ..Subject::of(&alarm) };
        (alarm, subject)
    }
}

/// How long nobody uses the channel after a failure. Whom this host does not reach, another may reach at once.
fn pause(error: &DeliveryError, failures: u32) -> Duration {
    let asked = match error {
        DeliveryError::Unreached { .. } | DeliveryError::Permanent { .. } => return Duration::ZERO,
        DeliveryError::Retryable { after, .. } => after.unwrap_or_default(),
        DeliveryError::Unanswered { .. } => Duration::ZERO,
    };
    let pauses = ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .with_jitter()
        .build();
    let steps = usize::try_from(failures.min(20)).unwrap_or_default();
    asked.max(pauses.into_iter().nth(steps).unwrap_or(LONGEST_PAUSE))
}
