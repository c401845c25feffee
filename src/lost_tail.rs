//! A database that forgot what it had answered: what of it this watchdog still knows is looked for, entered again, and told.
//!
//! Owns the order: pushes first, so that no heartbeat is called late for one that was only forgotten; then what people did,
//! which is never done again by itself, for whoever asked may have seen by now that it was not; then the incident. That there was
//! a loss is the core's to find ([`komainu_watchdogs::tail`]). A push goes the way of any other and is judged under its row's
//! lock: one that a later one has overtaken is left out, and none counts twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::ids::WatchdogId;
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::tail::LostTail;
use tokio::sync::{mpsc, oneshot};

use self::memory::Since;
use crate::heartbeat::Heartbeats;
use crate::store::audit::AnsweredDeed;
use crate::store::heartbeats::Arrival;
use crate::store::lost_tail::finding::{Finding, LostHand};
use crate::store::lost_tail::{self, Ids};
use crate::store::{Store, StoreError};

pub mod memory;

/// What was answered is stamped a moment after it was committed, and a write a moment before.
const BEFORE: Duration = Duration::from_secs(5);

/// The driver asks for one thing at a time.
pub const ORDERS: usize = 1;

/// What the core found, and who waits for the end of it.
#[derive(Debug)]
pub struct Order {
    /// What was found.
    pub loss: LostTail,
    /// Once it is entered.
    pub entered: oneshot::Sender<Result<(), String>>,
}

/// What sees to lost tails, for one watchdog.
pub struct Salvage {
    /// The way to the database.
    pub store: Store,
    /// Which watchdog this is.
    pub watchdog: WatchdogId,
    /// Who is told.
    pub routing: Arc<Routing>,
    /// Where pushes are entered again, and what was answered is remembered.
    pub heartbeats: Heartbeats,
}

/// What was entered again so far, of a loss that could not be entered as a whole.
#[derive(Default)]
struct Progress {
    answered: u64,
    /// Each push that was gone: of which heartbeat, and whether it was entered again.
    pushes: BTreeMap<String, (String, bool)>,
}

impl Salvage {
    /// Works until nobody orders any more.
    pub async fn run(self, mut orders: mpsc::Receiver<Order>) {
        let mut progress = Progress::default();
        while let Some(Order { loss, entered }) = orders.recv().await {
            if progress.answered != loss.answered {
                progress = Progress { answered: loss.answered, ..Progress::default() };
            }
            let done = self.see_to(&loss, &mut progress).await;
            if let Err(error) = &done {
                tracing::warn!(%error, "what the database lost cannot be entered yet");
            }
            // A driver that stops does not wait for it.
            let _ = entered.send(done.map_err(|error| error.to_string()));
        }
    }

    async fn see_to(&self, loss: &LostTail, progress: &mut Progress) -> Result<(), StoreError> {
        let since = loss.since.map(|since| since - BEFORE);
        let answered = self.heartbeats.answered();
        let (pushes, deeds) = (answered.pushes_since(since), answered.deeds_since(since));
        let mut finding = Finding {
            unknown: pushes.uncounted + deeds.uncounted,
            knows_nothing: loss.since.is_none(),
            generations: loss.generations,
            ..Finding::default()
        };
        self.enter_again(loss, pushes, progress).await?;
        for (name, is_entered_again) in progress.pushes.values() {
            finding.add_push(name, *is_entered_again);
        }
        for hand in self.lost_hands(loss, deeds).await? {
            finding.add_hand(hand);
        }
        let told = lost_tail::enter(&self.store, &self.watchdog, (loss, &finding), &self.routing).await?;
        log(loss, &finding, told);
        Ok(())
    }

    async fn enter_again(
        &self,
        loss: &LostTail,
        pushes: Since<Arrival>,
        progress: &mut Progress,
    ) -> Result<(), StoreError> {
        let ids: Vec<_> = pushes.items.iter().map(|push| push.push_id.clone()).collect();
        let there = lost_tail::there(&self.store, Ids::Pushes(&ids), loss.from).await?;
        // One that was lost twice is remembered twice.
        let mut missing: BTreeMap<String, Arrival> = BTreeMap::new();
        for push in pushes.items {
            if !there.contains(&push.push_id) && !progress.pushes.contains_key(&push.push_id) {
                missing.insert(push.push_id.clone(), push);
            }
        }
        // In the order in which they were: an earlier one after a later one would be left out.
        let mut missing: Vec<_> = missing.into_values().collect();
        missing.sort_by_key(|push| push.push.time_us);
        let act = "enter pushes again";
        let failed = || StoreError::Lost { act, reason: "they could not be stored".to_owned() };
        for (push, outcome) in self.heartbeats.take_again(missing).await {
            let is_entered = outcome.ok_or_else(failed)?;
            progress.pushes.insert(push.push_id, (push.name, is_entered));
        }
        Ok(())
    }

    /// A request that met others carried its deed out anew: it is there if any try of it is.
    async fn lost_hands(&self, loss: &LostTail, deeds: Since<AnsweredDeed>) -> Result<Vec<LostHand>, StoreError> {
        let ids: Vec<_> = deeds.items.iter().flat_map(|deed| deed.ids.clone()).collect();
        let there = lost_tail::there(&self.store, Ids::Deeds(&ids), loss.from).await?;
        let is_gone = |deed: &AnsweredDeed| !deed.ids.iter().any(|id| there.contains(id));
        let hand = |AnsweredDeed { who, what, subject, .. }| LostHand { who, what, subject };
        Ok(deeds.items.into_iter().filter(is_gone).map(hand).collect())
    }
}

fn log(loss: &LostTail, finding: &Finding, told: bool) {
    let pushes: u64 = finding.pushes.values().map(|pushes| pushes.entered_again + pushes.overtaken).sum();
    let entered_again: u64 = finding.pushes.values().map(|pushes| pushes.entered_again).sum();
    let hands: Vec<_> =
        finding.hands.iter().map(|hand| format!("{} {} by {}", hand.what, hand.subject, hand.who)).collect();
    tracing::error!(
        lost.from_ms = loss.from.0,
        lost.until_ms = loss.until.0,
        lost.hands = hands.join(", "),
        lost.more_hands = finding.more_hands,
        lost.pushes = pushes + finding.more_pushes,
        lost.entered_again = entered_again,
        lost.unknown = finding.unknown,
        told,
        "the database lost what it had answered"
    );
}
