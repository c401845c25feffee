//! The courier of one channel: claims a message, sends it off, and takes the next one when it has ended.
//!
//! One at a time, unless a vendor takes long: then others overtake it, as long as no more than [`MOST_SLOW`] are on their
//! way. While one watchdog's courier works a channel off, those of the others look at its slot alone: reading a queue of
//! thousands seven times a second would help nobody.

use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::outbox::attempt::Attempt;
use komainu_watchdogs::outbox::queue::{self, Message, Queued, TURN_LASTS};
use komainu_watchdogs::telling::Part;
use komainu_watchdogs::time::Mono;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::elsewhere::Elsewhere;
use super::errand::{End, Errand, ServedChannel};
use super::{Outbox, Outlet, compose};
use crate::clock;
use crate::store::StoreError;
use crate::store::outbox::notes::Note;
use crate::store::outbox::{self as store, Begin, Claim, Snapshot};

/// What takes longer is overtaken by others.
const SLOW_AFTER: Duration = Duration::from_secs(12);

/// A vendor with so many messages on their way gets no more.
const MOST_SLOW: usize = 4;

/// A watchdog that cannot reach a vendor leaves it to the others for so long.
const AWAY: Duration = Duration::from_secs(30);

/// So often the queue is looked at though nothing may be sent: what is explained meanwhile is held, what is over cancelled.
const LOOK_ANYWAY: Duration = Duration::from_secs(5);

pub(super) struct Courier {
    served: Arc<ServedChannel>,
    under_way: JoinSet<Result<End, StoreError>>,
    away_until: Mono,
    /// When it, of all couriers of this channel, was at work last.
    turn_at: Option<Mono>,
    /// When it read the queue last.
    looked_at: Option<Mono>,
}

/// Whether there may be more to do at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Again,
    Idle,
}

/// Whether the queue is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Not,
    /// Nothing may be sent; what changed meanwhile is held or cancelled.
    Anyway,
    /// Something may be sent, and no other courier is at it.
    InTurn,
}

impl Courier {
    pub(super) fn new(outbox: Arc<Outbox>, name: String, outlet: Outlet) -> Self {
        let elsewhere = Elsewhere::than(&outbox, &name);
        let served = Arc::new(ServedChannel { outbox, name, outlet, elsewhere });
        Self { served, under_way: JoinSet::new(), away_until: Mono::default(), turn_at: None, looked_at: None }
    }

    pub(super) async fn run(mut self, wake: Arc<Notify>, shutdown: CancellationToken) {
        let mut is_known = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = wake.notified() => {}
                Some(ended) = self.under_way.join_next() => self.take_end(ended),
            }
            while !shutdown.is_cancelled() {
                if !is_known {
                    let (store, name) = (&self.served.outbox.store, &self.served.name);
                    is_known = self.log(store::prepare_channel(store, name).await).is_some();
                }
                let step = Box::pin(self.step()).await;
                if self.log(step) != Some(Step::Again) {
                    break;
                }
            }
        }
        // What takes longer is repeated by others, marked.
        let all = async { while self.under_way.join_next().await.is_some() {} };
        drop(tokio::time::timeout(SLOW_AFTER, all).await);
    }

    fn log<T>(&self, result: Result<T, StoreError>) -> Option<T> {
        self.served.outbox.voice.note(Part::Couriers, &result);
        result.inspect_err(|error| tracing::warn!(channel = self.served.name, %error, "delivering failed")).ok()
    }

    async fn step(&mut self) -> Result<Step, StoreError> {
        let look = self.reason_to_look().await?;
        if look == Look::Not {
            return Ok(Step::Idle);
        }
        let store = &self.served.outbox.store;
        let mut snapshot = store::snapshot(store, &self.served.name).await?;
        if self.served.outlet.channel.takes_one_incident() {
            snapshot.queue.iter_mut().for_each(|row| row.company = Some(1));
        }
        let plan = queue::plan(snapshot.now, &snapshot.queue, &snapshot.parents);
        if plan.has_changes() {
            store::change(store, &plan).await?;
        }
        let Some(message) = plan.message else {
            if look == Look::InTurn {
                self.turn_at = Some(clock::now());
            }
            return Ok(Step::Idle);
        };
        if self.is_crowded() || snapshot.next_at > snapshot.now || clock::now() < self.away_until {
            return Ok(Step::Idle);
        }
        let errand = self.errand(&message, &snapshot);
        if !store::claim(store, &errand.claim).await? {
            return Ok(Step::Idle);
        }
        if message.is_exhausted {
            let reason = format!("no answer to {} attempts", message.unanswered);
            errand.give_up(&reason, false).await?;
            self.turn_at = Some(clock::now());
            return Ok(Step::Again);
        }
        let facts = store::facts(store, &errand.claim).await?;
        let notice = compose::notice(&self.served.outbox, &errand.claim, &message, facts);
        match store::begin_sending(store, &errand.claim, self.served.outlet.channel.min_interval()).await? {
            Begin::Go => {}
            Begin::Lost | Begin::Busy => return Ok(Step::Idle),
        }
        self.turn_at = Some(clock::now());
        self.under_way.spawn(errand.run(notice));
        self.wait_a_while().await
    }

    fn is_crowded(&self) -> bool {
        self.under_way.len() >= MOST_SLOW
    }

    /// Whether there may be something to do in the queue, which may be long; takes the turn where something may be sent.
    ///
    /// The turn stays with who looked, or sent, to the end. Who fails in between leaves it to whoever asks first when it has
    /// passed: one that can do nothing but take turns keeps nobody from telling.
    async fn reason_to_look(&mut self) -> Result<Look, StoreError> {
        let (store, channel) = (&self.served.outbox.store, &self.served.name);
        let now = clock::now();
        let had_turn = self.turn_at.is_some_and(|turn_at| now.since(turn_at) < TURN_LASTS);
        let slot = store::slot(store, channel).await?;
        if slot.is_anothers_turn(had_turn) {
            return Ok(Look::Not);
        }
        if !self.is_crowded() && self.away_until <= now && slot.next_at <= slot.now {
            self.turn_at = None;
            let is_taken = store::take_turn(store, channel, slot).await?;
            self.looked_at = Some(now);
            return Ok(if is_taken { Look::InTurn } else { Look::Not });
        }
        if self.looked_at.is_some_and(|looked_at| now.since(looked_at) < LOOK_ANYWAY) {
            return Ok(Look::Not);
        }
        self.looked_at = Some(now);
        Ok(Look::Anyway)
    }

    /// Until it has ended, or others may overtake it.
    async fn wait_a_while(&mut self) -> Result<Step, StoreError> {
        let Ok(Some(ended)) = tokio::time::timeout(SLOW_AFTER, self.under_way.join_next()).await else {
            return Ok(Step::Again);
        };
        self.take_end(ended);
        Ok(Step::Again)
    }

    fn take_end(&mut self, ended: Result<Result<End, StoreError>, tokio::task::JoinError>) {
        self.turn_at = Some(clock::now());
        match ended {
            Ok(end) => match self.log(end) {
                Some(End::Away) => self.away_until = clock::now() + AWAY,
                Some(End::Done) | None => {}
            },
            Err(error) => tracing::error!(channel = self.served.name, %error, "an errand was cut short"),
        }
    }

    fn errand(&self, message: &Message, snapshot: &Snapshot) -> Errand {
        let is_member = |row: &&Queued| message.deliveries.contains(&row.delivery);
        let members = || snapshot.queue.iter().filter(is_member);
        let attempts = members().map(|row| row.attempts).max().unwrap_or(0);
        let claim = Claim {
            notice: message
                .repeats
                .clone()
                .unwrap_or_else(|| compose::notice_id(&self.served.outbox.cluster, members())),
            channel: self.served.name.clone(),
            deliveries: message.deliveries.clone(),
            attempts,
            is_repeated: message.repeats.is_some(),
            is_doubtful: message.is_doubtful,
            by: self.served.outbox.me,
        };
        Errand {
            served: Arc::clone(&self.served),
            claim,
            attempt: Attempt {
                items: message.deliveries.len(),
                unanswered: message.unanswered + 1,
                refused_alone: snapshot.refused_alone,
                is_suspect: message.is_suspect,
            },
            failures: snapshot.failures,
            attempts: attempts + 1,
            is_note: members().any(|row| Note::of_key(&row.key).is_some()),
        }
    }
}
