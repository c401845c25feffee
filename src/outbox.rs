//! The deliverer: carries what waits in the outbox to the channels. Any watchdog does, none is in charge.
//!
//! A scout looks each second what waits, and wakes the courier of each channel that has something to do: one message of
//! a channel at a time. What a message tells is decided by [`komainu_watchdogs::outbox`], who may send it by the claims
//! of [`crate::store::outbox`]. A process that dies at any point leaves a message that somebody else takes up; only when
//! it died between [`begin_sending`](crate::store::outbox::begin_sending) and the note that it arrived is it repeated,
//! under the same id and marked so. What a channel does not take is told elsewhere.

mod climbing;
mod compose;
mod courier;
mod elsewhere;
mod errand;
mod reminding;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use komainu_notifiers::{DeliveryError, Notice, Receipt};
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::telling::Part;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::courier::Courier;
pub(crate) use self::errand::failure;
use crate::answers::AnswerLinks;
use crate::failing::Failing;
use crate::heartbeat::schedule::Schedule;
use crate::oncall::OnCall;
use crate::store::Store;
use crate::store::outbox as store;
use crate::store::outbox::notes::Note;
use crate::store::silences;
use crate::voice::Voice;

/// Between two looks at what waits.
const LOOK: Duration = Duration::from_secs(1);

/// Between two looks at criticals that wait for minutes.
const OVERDUE_EVERY: u32 = 5;

/// Between two looks whether people can be told; what counts there lasts for much longer.
const ABILITY_EVERY: u32 = 3;

/// A watchdog with another configuration would have delivered by then.
const ABANDONED_AFTER: Duration = Duration::from_secs(600);

/// Between two looks at what is only held: thousands may be, and their parents last for minutes.
const HELD_EVERY: u32 = 5;

/// Something that takes messages: a channel, or a test's.
pub trait Sends: Send + Sync {
    /// Hands one message over, within [`Self::longest`].
    fn send<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Result<Receipt, DeliveryError>>;

    /// Longest that one message may take. Who takes longer than 12 s is overtaken by others.
    fn longest(&self) -> Duration;

    /// Least time between the beginnings of two messages.
    fn min_interval(&self) -> Duration;

    /// Takes a message back that was only a drill, as far as the vendor allows that; `false`: it does not.
    fn take_back<'a>(
        &'a self,
        _notice: &'a Notice,
        _receipt: &'a Receipt,
    ) -> BoxFuture<'a, Result<bool, DeliveryError>> {
        Box::pin(std::future::ready(Ok(false)))
    }

    /// Each incident is a message of its own: the vendor takes no two of them at once.
    fn takes_one_incident(&self) -> bool {
        false
    }
}

/// One way out.
#[derive(Clone)]
pub struct Outlet {
    /// Sends the messages.
    pub channel: Arc<dyn Sends>,
    /// Gets what this one refuses for good.
    pub fallback: Option<String>,
    /// What it is told although nothing is wrong.
    pub calendar: Calendar,
}

/// When a channel is told something although nothing is wrong.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    /// That it works is tried by a drill.
    pub drill: Option<Schedule>,
    /// That all is watched, and what was.
    pub weekly: Option<Schedule>,
}

/// Everything that delivering needs.
#[derive(Clone)]
pub struct Outbox {
    /// The way to the database.
    pub store: Store,
    /// The cluster's name, as people read it.
    pub cluster: String,
    /// This process: who claims.
    pub me: Incarnation,
    /// Who is told about what.
    pub routing: Arc<Routing>,
    /// Who is called when nobody takes care of something.
    pub on_call: Arc<OnCall>,
    /// How each channel is reached, by the channel's name.
    pub outlets: BTreeMap<String, Outlet>,
    /// Where the runbook is: `http://w1:8900/runbook`.
    pub runbook: String,
    /// Makes the links by which a message is answered.
    pub answers: Option<Arc<AnswerLinks>>,
    /// Hears how telling people goes.
    pub voice: Voice,
    /// What was told while the database was down does not stand in the tables yet: nothing is sent until it does.
    pub is_told_elsewhere: watch::Receiver<bool>,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("cluster", &self.cluster).field("me", &self.me).finish_non_exhaustive()
    }
}

/// Delivers until told to stop; a message on its way is brought to its end first.
pub async fn run(outbox: Outbox, shutdown: CancellationToken) {
    let outbox = Arc::new(outbox);
    let couriers = TaskTracker::new();
    let mut wakes = BTreeMap::new();
    for (name, outlet) in &outbox.outlets {
        let wake = Arc::new(Notify::new());
        let courier = Courier::new(Arc::clone(&outbox), name.clone(), outlet.clone());
        couriers.spawn(courier.run(Arc::clone(&wake), shutdown.clone()));
        wakes.insert(name.clone(), wake);
    }
    couriers.close();
    // Beside each other: however many reminders are due, couriers are woken.
    tokio::join!(
        scout(&outbox, &wakes, &shutdown),
        reminding::run(&outbox, &shutdown),
        climbing::run(&outbox, &shutdown)
    );
    couriers.wait().await;
}

async fn scout(outbox: &Outbox, wakes: &BTreeMap<String, Arc<Notify>>, shutdown: &CancellationToken) {
    let mut failing = Failing::default();
    for round in 0_u32.. {
        let looked = look(outbox, wakes, round).await;
        // That the outbox can be read is only half of it: a success is noted where writing was tried too.
        if looked.is_err() {
            outbox.voice.note(Part::Outbox, &looked);
        }
        failing.note(looked, "the outbox cannot be read");
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn look(
    outbox: &Outbox,
    wakes: &BTreeMap<String, Arc<Notify>>,
    round: u32,
) -> Result<(), crate::store::StoreError> {
    let waits = *outbox.is_told_elsewhere.borrow();
    if waits || round.is_multiple_of(ABILITY_EVERY) {
        let facts = store::telling(&outbox.store).await;
        outbox.voice.note(Part::Outbox, &facts);
        outbox.voice.see(facts?);
    }
    if waits {
        return Ok(());
    }
    let mut overdue = Ok(());
    if round.is_multiple_of(OVERDUE_EVERY) && !wakes.is_empty() {
        // Whatever comes of it, couriers are woken for the rest.
        overdue = elsewhere::tell_overdue(outbox).await;
        outbox.voice.note(Part::Overdue, &overdue);
    }
    let with_held = round.is_multiple_of(HELD_EVERY);
    if with_held {
        // Whatever comes of it, couriers are woken for the rest.
        overdue = overdue.and(enter_notes(outbox).await);
        overdue = overdue.and(silences::upkeep::look_after(&outbox.store, &outbox.routing).await);
    }
    for channel in store::pressing(&outbox.store, with_held).await? {
        match wakes.get(&channel) {
            Some(wake) => wake.notify_one(),
            None if wakes.is_empty() => {}
            None => abandon(outbox, &channel).await?,
        }
    }
    overdue
}

/// What calendars say is due.
async fn enter_notes(outbox: &Outbox) -> Result<(), crate::store::StoreError> {
    for (name, Outlet { calendar: Calendar { drill, weekly }, .. }) in &outbox.outlets {
        for (note, calendar) in [(Note::Drill, drill), (Note::Weekly, weekly)] {
            let Some(calendar) = calendar else { continue };
            if store::notes::enter_due(&outbox.store, name, note, calendar).await? {
                tracing::info!(channel = name, note = note.kind(), "entered as its calendar says");
            }
        }
    }
    Ok(())
}

/// Better told in the wrong place than to nobody.
async fn abandon(outbox: &Outbox, channel: &str) -> Result<(), crate::store::StoreError> {
    let instead = &outbox.routing.channels;
    let told_elsewhere = store::abandon(&outbox.store, channel, ABANDONED_AFTER, instead).await?;
    if told_elsewhere > 0 {
        tracing::warn!(channel, deliveries = told_elsewhere, "no configuration has this channel any more");
    }
    Ok(())
}
