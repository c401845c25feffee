//! Tells those who subscribed to public pages. Any watchdog does, none is in charge.
//!
//! What is to be told stands in the database; who tells it, by the claims of [`crate::store::subscriptions::claim`]; what becomes of a failure, by
//! [`komainu_watchdogs::subscription`]. It has connections, tasks and bounds of its own, and rests while alerts wait for the same mail server:
//! whatever is written on a page, and however many read it, people who must act are told first. Addresses are personal and appear in no log.

mod calls;
mod post;
#[cfg(test)]
mod tests;

use self::calls::Calls;
pub use self::calls::Clients;
use std::sync::Arc;
use std::time::Duration;

use komainu_notifiers::mail::letter::Postman;
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::subscription::{Next, Outcome, next};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::check::Guard;
use crate::failing::Failing;
use crate::keys::ClusterKey;
use crate::pages::Way;
use crate::pages::subscribe::{Bounds, Links};
use crate::store::maintenances;
use crate::store::subscriptions::claim::{self, Due, End, Message};
use crate::store::subscriptions::{self as store, sweeping};
use crate::store::{Store, StoreError};

/// Between two looks at what waits.
const LOOK: Duration = Duration::from_secs(1);

/// Between two looks at what has no use any more.
const SWEEP_EVERY: u32 = 60;

/// Between two looks at what maintenance windows want said on pages; what is planned through this watchdog is said at once.
const ANNOUNCE_EVERY: u32 = 10;

/// A claim lasts 30 s: whoever takes longer renews it.
const RENEW_EACH: Duration = Duration::from_secs(10);

/// What this watchdog can do for subscribers, and how its sender is woken; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Subscriptions(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    has_mail: bool,
    may_be_private: bool,
    guard: Guard,
    mails: Notify,
    calls: Notify,
}

impl Subscriptions {
    /// `guard`: what no watchdog looks at; `may_be_private`: strangers' webhooks may lie where nobody outside reaches.
    pub fn new(has_mail: bool, guard: Guard, may_be_private: bool) -> Self {
        Self(Arc::new(Inner { has_mail, may_be_private, guard, ..Inner::default() }))
    }

    /// Whether there is a mail server.
    pub(crate) fn has_mail(&self) -> bool {
        self.0.has_mail
    }

    /// What a stranger may give as an address.
    pub(crate) fn bounds(&self) -> Bounds<'_> {
        Bounds { guard: &self.0.guard, may_be_private: self.0.may_be_private }
    }

    /// Something was written through this watchdog that may have to be told.
    pub(crate) fn wake(&self) {
        self.0.mails.notify_one();
        self.0.calls.notify_one();
    }
}

/// Everything that telling subscribers needs.
pub struct Sender {
    /// The way to the database, for nothing else.
    pub store: Store,
    /// This process: who claims.
    pub me: Incarnation,
    /// Links and secrets follow from it.
    pub key: ClusterKey,
    /// Where the public finds pages, without a slash at its end.
    pub base: Arc<str>,
    /// The mail server, with the channel's name.
    pub mail: Option<(String, Postman)>,
    /// Of all watchdogs together.
    pub mails_per_second: u32,
    /// How it is woken, and where webhooks may lead.
    pub subscriptions: Subscriptions,
    /// How webhooks are called.
    pub clients: Clients,
    /// How many watchdogs live, this one included.
    pub living: Box<dyn Fn() -> u32 + Send + Sync>,
}

/// How an attempt failed.
struct Trouble<'a> {
    /// Without the address.
    words: &'a str,
    may_have_arrived: bool,
    refusals: u32,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").field("me", &self.me).finish_non_exhaustive()
    }
}

/// Tells until it is to stop; a message on its way is brought to its end first.
pub async fn run(sender: Sender, shutdown: CancellationToken) {
    let calls = Calls::new(&sender);
    tokio::join!(clerk(&sender, &shutdown), post::run(&sender, &shutdown), calls.run(&shutdown));
}

/// Enters what the clock did, and takes away what has no use any more.
async fn clerk(sender: &Sender, shutdown: &CancellationToken) {
    let (mut turning, mut sweeping, mut serving) = (Failing::default(), Failing::default(), Failing::default());
    let mut announcing = Failing::default();
    for round in 0_u32.. {
        let turned = store::turn(&sender.store).await;
        if turning.note(turned, "subscribers cannot be told of maintenances").is_some_and(|turned| turned > 0) {
            sender.subscriptions.wake();
        }
        if round.is_multiple_of(ANNOUNCE_EVERY) {
            let said = maintenances::announcing::announce(&sender.store).await;
            announcing.note(said, "pages cannot say what maintenances want said");
        }
        if round.is_multiple_of(SWEEP_EVERY) {
            sweeping.note(sweeping::sweep(&sender.store).await, "subscriptions cannot be swept");
            serving.note(ensure_served(sender).await, "subscribers of pages wait for mails");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Subscribers by mail whom no watchdog can write to would wait in silence.
async fn ensure_served(sender: &Sender) -> Result<(), String> {
    if sender.mail.is_some() {
        return Ok(());
    }
    match claim::is_unserved(&sender.store, Way::Mail).await {
        Ok(true) => Err("none came for half an hour, and [pages] mail names no channel here".to_owned()),
        Ok(false) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

impl Sender {
    fn links(&self) -> Links<'_> {
        Links { key: &self.key, base: &self.base }
    }

    /// What an attempt comes to. `trouble`: why it failed, without the address.
    fn end(due: &Due, outcome: Outcome, trouble: &str) -> End {
        let next = next(outcome, due.record());
        Self::end_of(
            due,
            next,
            Trouble { words: trouble, may_have_arrived: outcome == Outcome::Unanswered, refusals: 0 },
        )
    }

    /// The same, where it is known what becomes of it.
    fn end_of(due: &Due, next: Next, Trouble { words, may_have_arrived, refusals }: Trouble<'_>) -> End {
        let trouble = words.to_owned();
        match next {
            Next::Told => End::Told,
            Next::Again(pause) => End::Again { pause, trouble, may_have_arrived, refusals },
            Next::GivenUp => End::GivenUp { trouble },
            Next::Ended => {
                if let Message::News { .. } = due.message {
                    let (page, way) = (&due.slug, due.way.as_str());
                    tracing::info!(
                        page,
                        way,
                        subscriber = due.public_id,
                        trouble,
                        "a subscription ended: it cannot be told anything"
                    );
                }
                End::Ended { trouble }
            }
        }
    }

    /// A note that fails is not lost: whoever takes it up later repeats the message.
    async fn note(&self, due: &Due, end: &End) -> Result<(), StoreError> {
        claim::end(&self.store, due, self.me, end).await
    }

    /// What takes long keeps its claim.
    async fn holding<T>(&self, due: &Due, sending: impl Future<Output = T>) -> T {
        tokio::pin!(sending);
        loop {
            tokio::select! {
                done = &mut sending => return done,
                () = tokio::time::sleep(RENEW_EACH) => {
                    if let Err(error) = claim::renew(&self.store, due, self.me).await {
                        tracing::debug!(%error, "a claim on a subscriber could not be renewed");
                    }
                }
            }
        }
    }
}
