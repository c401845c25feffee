//! Second opinions at work: asks the watchdogs about monitors that are about to be told, looks at those that are up in turn, and tells when
//! nodes and watchdogs contradict each other.
//!
//! What waits stands in the database, so each watchdog does all of this and none is needed: who takes a question notes itself, and
//! whoever is killed with one is followed by another. What is decided is [`komainu_watchdogs::opinion`]'s.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::ids::{Incarnation, MonitorId};
use komainu_watchdogs::opinion::Rounds;
use komainu_watchdogs::rota::Rota;
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::time::Mono;
use komainu_watchdogs::upkeep::Chore;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::chores::Chores;
use crate::clock;
use crate::looks::Looks;
use crate::looks::opinion::MOST_AT_ONCE;
use crate::opinion::SecondOpinion;
use crate::store::opinions::{Claimed, Sampled, Which};
use crate::store::{Store, StoreError, downtimes, opinions};

/// Between two looks for questions: people wait for the answer.
const LOOK: Duration = Duration::from_millis(500);

/// Each second: who asks says that it still does, and what waits for too long is told.
const SECOND: u64 = 2;

/// Each five seconds the next part of what is known, and of what is told, is looked through.
const SLOWER: u64 = 10;

/// Open disagreements of one part.
const PART: u32 = 1_000;

/// Monitors that wait for their turn.
const QUEUE: usize = 250;

/// Looks at what is up leave so much room for questions.
const ROOM_FOR_QUESTIONS: usize = MOST_AT_ONCE / 2;

/// How well watchdogs look at monitors that are up, as one of them sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sampling {
    /// Monitors on which somebody wants a second opinion, and that watchdogs can look at.
    pub wished: u32,
    /// The same, and no watchdog can.
    pub left_out: u32,
    /// How long it takes to look at each once, where that is longer than it should be.
    pub late: Option<Duration>,
}

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
    /// What is under way: of questions the monitor, of other looks nothing.
    tasks: JoinSet<Option<MonitorId>>,
    asking: BTreeSet<MonitorId>,
    reached: MonitorId,
    reached_open: String,
    rounds: Rounds,
    /// Where the next page of all monitors begins; `None`: the round has them all.
    next_page: Option<MonitorId>,
    queue: VecDeque<MonitorId>,
    counts: Sampling,
    published: watch::Sender<Sampling>,
}

/// Asks and looks until it is dropped.
pub async fn run(settings: Settings, published: watch::Sender<Sampling>) {
    let rounds = Rounds::new(settings.wishes.sample_each, clock::now());
    let chores = settings.chores.clone();
    let mut asker = Asker {
        settings,
        looks_so_far: 0,
        tasks: JoinSet::new(),
        asking: BTreeSet::new(),
        reached: MonitorId(0),
        reached_open: String::new(),
        rounds,
        next_page: Some(MonitorId(0)),
        queue: VecDeque::new(),
        counts: Sampling::default(),
        published,
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
        let Some((rota, living)) = self.settings.looks.rota_of_opinions() else { return Ok(()) };
        self.ask(living).await?;
        if is_second {
            self.sample(rota, living).await?;
        }
        Ok(())
    }

    fn note_ended(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            // A task that panicked leaves its question to whoever takes it once the claim is over.
            if let Ok(Some(monitor)) = ended {
                self.asking.remove(&monitor);
            }
        }
        if self.tasks.is_empty() {
            self.asking.clear();
        }
    }

    async fn keep(&self) -> Result<(), StoreError> {
        let Settings { store, me, .. } = &self.settings;
        let asking: Vec<_> = self.asking.iter().copied().collect();
        opinions::renew(store, *me, &asking).await?;
        let late = opinions::late(store).await?;
        settle(&self.settings, &late).await
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
        let room = u32::try_from(looks.rooms_for_opinions()).unwrap_or(u32::MAX);
        let first = opinions::claim(store, *me, wishes, (Which::First, room)).await?;
        let now = clock::now();
        let left = room.saturating_sub(u32::try_from(first.len()).unwrap_or(u32::MAX));
        // Each is a look of everybody.
        let again = left.min(self.rounds.leave(now, living).div_ceil(living.max(1)));
        let again = opinions::claim(store, *me, wishes, (Which::Again, again)).await?;
        self.rounds.take(now, u32::try_from(again.len()).unwrap_or(u32::MAX).saturating_mul(living), living);
        for claimed in first.into_iter().chain(again) {
            self.asking.insert(claimed.spec.id);
            self.tasks.spawn(ask(self.settings.clone(), claimed));
        }
        Ok(())
    }

    async fn sample(&mut self, rota: Rota, living: u32) -> Result<(), StoreError> {
        let now = clock::now();
        self.fill_queue(now, rota).await?;
        let mut due = vec![];
        while self.settings.looks.rooms_for_opinions() > ROOM_FOR_QUESTIONS + due.len()
            && !self.queue.is_empty()
            && self.rounds.try_next(now, living)
        {
            due.extend(self.queue.pop_front());
        }
        let Settings { store, wishes, looks, .. } = &self.settings;
        if !due.is_empty() {
            for sampled in opinions::sampled(store, wishes, &due).await? {
                if looks.stands_in(&sampled.chosen.zones) {
                    self.tasks.spawn(sample(self.settings.clone(), sampled));
                }
            }
        }
        Ok(())
    }

    async fn fill_queue(&mut self, now: Mono, rota: Rota) -> Result<(), StoreError> {
        if self.next_page.is_none() && self.queue.is_empty() && self.rounds.try_begin(now) {
            self.next_page = Some(MonitorId(0));
            self.note_round(now);
        }
        let Some(after) = self.next_page.filter(|_| self.queue.len() < QUEUE) else { return Ok(()) };
        let Settings { store, wishes, .. } = &self.settings;
        let page = opinions::next_wished(store, wishes, after).await?;
        self.counts.wished += u32::try_from(page.monitors.len()).unwrap_or(u32::MAX);
        self.counts.left_out += page.left_out;
        let round = self.rounds.number();
        let is_mine = |monitor: &MonitorId| rota.before_me(monitor.0.wrapping_add(round)) == 0;
        self.queue.extend(page.monitors.into_iter().filter(is_mine));
        self.next_page = Some(page.reached).filter(|reached| reached.0 != 0);
        if self.next_page.is_none() {
            let late = self.rounds.lateness(now);
            self.published.send_replace(Sampling { late, ..self.counts });
        }
        Ok(())
    }

    fn note_round(&mut self, now: Mono) {
        if let Some(took) = self.rounds.lateness(now) {
            tracing::warn!(
                monitors = self.counts.wished,
                took_s = took.as_secs(),
                "too many monitors with a second opinion to look at each of them in time"
            );
        }
        self.counts = Sampling::default();
    }
}

/// Asks one question, and tells what follows; its monitor, also where that failed: who takes it next tries again.
async fn ask(settings: Settings, claimed: Claimed) -> Option<MonitorId> {
    let monitor = claimed.spec.id;
    let Some(room) = settings.looks.room_for_opinion() else { return Some(monitor) };
    let opinion = settings.looks.opinion(&room, &claimed.spec, &claimed.zones).await;
    tracing::debug!(monitor.id = %monitor, seen = opinion.seen.as_str(), "second opinion");
    let Settings { store, me, wishes, .. } = &settings;
    let noted = opinions::answer(store, *me, wishes, (monitor, claimed.change, opinion)).await;
    let told = match noted {
        Ok(true) => settle(&settings, &[monitor]).await,
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = told {
        tracing::debug!(%error, monitor.id = %monitor, "a second opinion was not noted or told");
    }
    Some(monitor)
}

/// Looks at one that its node calls up; where it fails everybody is asked.
async fn sample(settings: Settings, Sampled { spec, .. }: Sampled) -> Option<MonitorId> {
    let room = settings.looks.room_for_opinion()?;
    if settings.looks.sees_it_fail(&room, &spec).await
        && let Err(error) = opinions::suspect(&settings.store, spec.id).await
    {
        tracing::debug!(%error, monitor.id = %spec.id, "a suspicion was not noted");
    }
    None
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
