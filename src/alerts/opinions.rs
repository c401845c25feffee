//! Second opinions at work: asks the watchdogs about monitors that are about to be told, looks at those that are up in turn, and tells when
//! nodes and watchdogs contradict each other.
//!
//! What waits stands in the database, so each watchdog does all of this and none is needed: who takes a question notes itself, and
//! whoever is killed with one is followed by another. What is decided is [`komainu_watchdogs::opinion`]'s.

mod sampler;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::ids::{Incarnation, MonitorId};
use komainu_watchdogs::opinion;
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::upkeep::Chore;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::chores::Chores;
use crate::clock;
use crate::looks::Looks;
use crate::opinion::SecondOpinion;
use crate::store::opinions::{Answered, Claimed, Which};
use crate::store::{Store, StoreError, downtimes, opinions};

use self::sampler::Sampler;
pub use self::sampler::Sampling;

/// Between two looks for questions: people wait for the answer.
const LOOK: Duration = Duration::from_millis(500);

/// Each second: who asks says that it still does, and what waits for too long is told.
const SECOND: u64 = 2;

/// Each five seconds the next part of what is known, and of what is told, is looked through.
const SLOWER: u64 = 10;

/// Open disagreements of one part.
const PART: u32 = 1_000;

/// What the task needs.
#[derive(Clone)]
pub struct Settings {
    /// Where questions wait.
    pub store: Store,
    /// Who is told.
    pub routing: Arc<Routing>,
    /// Who wants one.
    pub wishes: Arc<SecondOpinion>,
    /// Which process this is.
    pub me: Incarnation,
    /// What this watchdog and its peers see.
    pub looks: Looks,
    /// Where it is said how it fares.
    pub chores: Chores,
}

struct Asker {
    settings: Settings,
    looks_so_far: u64,
    tasks: JoinSet<Ended>,
    asking: BTreeSet<MonitorId>,
    /// The last question that this watchdog asked was answered by enough of the others.
    is_heard: bool,
    reached: MonitorId,
    reached_open: String,
    reached_late: MonitorId,
    sampler: Sampler,
}

/// What was under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    /// A question, and what became of its answer; `None`: that failed, and who takes it next tries again.
    Asked(MonitorId, Option<Answered>),
    /// A look at what is up.
    Sampled,
}

/// Asks and looks until it is dropped.
pub async fn run(settings: Settings, published: watch::Sender<Sampling>) {
    let sampler = Sampler::new(settings.wishes.sample_each, published);
    let chores = settings.chores.clone();
    let mut asker = Asker {
        settings,
        looks_so_far: 0,
        tasks: JoinSet::new(),
        asking: BTreeSet::new(),
        is_heard: true,
        reached: MonitorId(0),
        reached_open: String::new(),
        reached_late: MonitorId(0),
        sampler,
    };
    loop {
        let looked = Box::pin(asker.look()).await;
        chores.note(Chore::Opinions, &looked);
        tokio::time::sleep(LOOK).await;
    }
}

impl Asker {
    async fn look(&mut self) -> Result<(), StoreError> {
        self.note_ended();
        let (is_second, is_thorough) =
            (self.looks_so_far.is_multiple_of(SECOND), self.looks_so_far.is_multiple_of(SLOWER));
        self.looks_so_far += 1;
        if is_second {
            self.keep().await?;
        }
        if is_thorough {
            self.look_through().await?;
        }
        // Who is cut off, or alone in the dark, asks nobody: others do, or the time runs out.
        let Some((rota, living)) = self.settings.looks.rota_of_opinions() else {
            self.sampler.rest();
            return Ok(());
        };
        self.ask(living).await?;
        for sampled in self.sampler.next(&self.settings, (rota, living), is_second).await? {
            self.tasks.spawn(sampler::look(self.settings.clone(), sampled));
        }
        Ok(())
    }

    fn note_ended(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            // A task that panicked leaves its question to whoever takes it once the claim is over.
            if let Ok(Ended::Asked(monitor, answered)) = ended {
                self.asking.remove(&monitor);
                match answered {
                    Some(Answered::Noted) => self.is_heard = true,
                    Some(Answered::PassedOn) => self.is_heard = false,
                    Some(Answered::TooLate) | None => {}
                }
            }
        }
        if self.tasks.is_empty() {
            self.asking.clear();
        }
    }

    async fn keep(&mut self) -> Result<(), StoreError> {
        let Settings { store, me, .. } = &self.settings;
        let asking: Vec<_> = self.asking.iter().copied().collect();
        opinions::renew(store, *me, &asking).await?;
        opinions::leave_line(store).await?;
        let (late, reached) = opinions::late(store, self.reached_late).await?;
        settle(&self.settings, &late).await?;
        self.reached_late = reached;
        Ok(())
    }

    async fn look_through(&mut self) -> Result<(), StoreError> {
        let store = &self.settings.store;
        let (mut monitors, reached) = opinions::page(store, self.reached).await?;
        let (open, reached_open) = opinions::open(store, &self.reached_open, PART).await?;
        monitors.extend(open);
        monitors.sort();
        monitors.dedup();
        settle(&self.settings, &monitors).await?;
        (self.reached, self.reached_open) = (reached, reached_open);
        Ok(())
    }

    async fn ask(&mut self, living: u32) -> Result<(), StoreError> {
        let Settings { store, me, wishes, looks, .. } = &self.settings;
        let room = looks.rooms_for_opinions();
        let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let room = small(opinion::at_once(self.is_heard, room, self.asking.len()));
        let first = opinions::claim(store, *me, wishes, (Which::First, room)).await?;
        let now = clock::now();
        let left = room.saturating_sub(small(first.len()));
        let rounds = &mut self.sampler.rounds;
        // Each is a look of everybody.
        let again = left.min(rounds.leave(now, living).div_ceil(living.max(1)));
        let again = opinions::claim(store, *me, wishes, (Which::Again, again)).await?;
        rounds.take(now, small(again.len()).saturating_mul(living), living);
        for claimed in first.into_iter().chain(again) {
            self.asking.insert(claimed.spec.id);
            self.tasks.spawn(ask(self.settings.clone(), claimed));
        }
        Ok(())
    }
}

/// Asks one question, and tells what follows.
async fn ask(settings: Settings, claimed: Claimed) -> Ended {
    let monitor = claimed.spec.id;
    let Some(room) = settings.looks.room_for_opinion() else { return Ended::Asked(monitor, None) };
    let opinion = settings.looks.opinion(&room, &claimed.spec, &claimed.zones).await;
    tracing::debug!(monitor.id = %monitor, seen = opinion.seen.as_str(), "second opinion");
    let Settings { store, me, wishes, .. } = &settings;
    let answered = opinions::answer(store, *me, wishes, (monitor, claimed.change, opinion)).await;
    let told = match &answered {
        Ok(Answered::Noted) => settle(&settings, &[monitor]).await,
        Ok(Answered::PassedOn | Answered::TooLate) | Err(_) => Ok(()),
    };
    if let Some(error) = answered.as_ref().err().or(told.as_ref().err()) {
        tracing::debug!(%error, monitor.id = %monitor, "a second opinion was not noted or told");
    }
    Ended::Asked(monitor, answered.ok())
}

/// What is to be told of them, and of what they contradict.
async fn settle(settings: &Settings, monitors: &[MonitorId]) -> Result<(), StoreError> {
    let (store, with) = (&settings.store, (&*settings.routing, &*settings.wishes));
    let (opened, resolved) = downtimes::settle(store, monitors, with).await?;
    let (disputed, agreed) = opinions::settle(store, monitors, with).await?;
    if opened + resolved + disputed + agreed > 0 {
        tracing::info!(opened, resolved, disputed, agreed, "incidents of monitors, by a second opinion");
    }
    Ok(())
}
