//! Looking in turn at monitors that their nodes call up, as far as it is this watchdog's turn.
//!
//! Whose turn it is, and how many looks may begin, is [`Rounds`]' to say. How many monitors there are is counted apart from it, once a round.

use std::collections::VecDeque;
use std::time::Duration;

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::opinion::Rounds;
use komainu_watchdogs::rota::Rota;
use komainu_watchdogs::time::Wall;
use tokio::sync::watch;

use super::{Ended, Settings};
use crate::clock;
use crate::store::opinions::Sampled;
use crate::store::{StoreError, opinions};

/// Monitors that wait for leave to be looked at; with so many no more are drawn.
const QUEUE: usize = 250;

/// A promise that is broken for long is said again so often.
const SAID_AGAIN: Duration = Duration::from_secs(600);

/// How well watchdogs look at monitors that are up, as one of them sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sampling {
    /// Monitors on which somebody wants a second opinion, and that watchdogs can look at.
    pub wished: u32,
    /// The same, and no watchdog can.
    pub left_out: u32,
    /// How long ago it was the turn of those that come next.
    pub lateness: Duration,
    /// So much longer than promised it takes until each is looked at; `None`: the promise holds.
    pub broken_by: Option<Duration>,
}

pub(super) struct Sampler {
    pub(super) rounds: Rounds,
    each: Duration,
    queue: VecDeque<MonitorId>,
    /// Where the next page of all monitors begins that is counted; `None`: all are.
    next_counted: Option<MonitorId>,
    counted_at: Wall,
    counts: (u32, u32),
    said_at: Option<Wall>,
    published: watch::Sender<Sampling>,
}

impl Sampler {
    pub(super) fn new(each: Duration, published: watch::Sender<Sampling>) -> Self {
        Self {
            rounds: Rounds::new(each, clock::now()),
            each,
            queue: VecDeque::new(),
            next_counted: None,
            counted_at: Wall::default(),
            counts: (0, 0),
            said_at: None,
            published,
        }
    }

    /// Nobody looks for now; whoever else does knows of this one by then.
    pub(super) fn rest(&mut self) {
        self.rounds.forget();
        self.queue.clear();
    }

    /// Those at which this watchdog looks now.
    pub(super) async fn next(
        &mut self,
        settings: &Settings,
        (rota, living): (Rota, u32),
        is_second: bool,
    ) -> Result<Vec<Sampled>, StoreError> {
        if is_second {
            self.draw(settings, rota).await?;
        }
        let (now, room) = (clock::now(), settings.looks.rooms_for_samples());
        let mut due = vec![];
        while due.len() < room && !self.queue.is_empty() && self.rounds.try_take(now, living) {
            due.extend(self.queue.pop_front());
        }
        if due.is_empty() {
            return Ok(vec![]);
        }
        let mut sampled = opinions::sampled(&settings.store, &settings.wishes, &due).await?;
        // It may be for other zones by now.
        sampled.retain(|sampled| settings.looks.stands_in(&sampled.chosen.zones));
        Ok(sampled)
    }

    async fn draw(&mut self, settings: &Settings, rota: Rota) -> Result<(), StoreError> {
        let Settings { store, wishes, looks, .. } = settings;
        let (ends, now) = opinions::ends(store).await?;
        self.count(settings, now).await?;
        while self.queue.len() < QUEUE
            && let Some(turn) = self.rounds.next(now, rota, ends)
        {
            let page = opinions::drawn(store, wishes, turn).await?;
            let is_mine = |monitor: &MonitorId| {
                // Where only some look the turn is one of theirs.
                let rota = page.zones.get(monitor).map_or(Some(rota), |zones| looks.rota_in(zones));
                rota.is_some_and(|rota| turn.is_mine(rota, *monitor))
            };
            self.queue.extend(page.monitors.iter().filter(|monitor| is_mine(monitor)));
            self.rounds.note_drawn(turn, page.reached);
        }
        self.publish(now);
        Ok(())
    }

    /// A page of all monitors, from the beginning when it is time.
    async fn count(&mut self, Settings { store, wishes, .. }: &Settings, now: Wall) -> Result<(), StoreError> {
        if self.next_counted.is_none() && (now.since(self.counted_at) >= self.each || now < self.counted_at) {
            (self.next_counted, self.counted_at, self.counts) = (Some(MonitorId(0)), now, (0, 0));
        }
        let Some(after) = self.next_counted else { return Ok(()) };
        let page = opinions::next_wished(store, wishes, after).await?;
        self.counts.0 += u32::try_from(page.monitors.len()).unwrap_or(u32::MAX);
        self.counts.1 += page.left_out;
        self.next_counted = Some(page.reached).filter(|reached| reached.0 != 0);
        if self.next_counted.is_none() {
            let (wished, left_out) = self.counts;
            self.published.send_modify(|sampling| (sampling.wished, sampling.left_out) = (wished, left_out));
        }
        Ok(())
    }

    fn publish(&mut self, now: Wall) {
        let (lateness, broken_by) = (self.rounds.lateness(now), self.rounds.broken_by(now));
        self.published.send_modify(|sampling| (sampling.lateness, sampling.broken_by) = (lateness, broken_by));
        let Some(late) = broken_by else { return self.said_at = None };
        if self.said_at.is_none_or(|at| now.since(at) >= SAID_AGAIN) {
            self.said_at = Some(now);
            tracing::warn!(
                late_s = late.as_secs(),
                promised_s = self.each.as_secs(),
                "monitors with a second opinion are not looked at in time: there are too many, or their targets are slow"
            );
        }
    }
}

/// Looks at one that its node calls up; where it fails everybody is asked.
pub(super) async fn look(settings: Settings, Sampled { spec, .. }: Sampled) -> Ended {
    let Some(room) = settings.looks.room_for_sample() else { return Ended::Sampled };
    if settings.looks.sees_it_fail(&room, &spec).await
        && let Err(error) = opinions::suspect(&settings.store, spec.id).await
    {
        tracing::debug!(%error, monitor.id = %spec.id, "a suspicion was not noted");
    }
    Ended::Sampled
}
