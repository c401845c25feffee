//! All monitors in brief, in memory: found, filtered and sorted without the database, and shown while it is away.
//!
//! Read whole, a slice at a time, more often while somebody looks, and never for more than a twentieth of the time. Between two
//! readings the changes of state among the newest beats are looked up. What each monitor's last beat said is read in turns, so that
//! what no change told is found too.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::{Mono, Wall};
use tokio::sync::{Notify, watch};

use super::Desk;
use crate::clock;
use crate::monitor::veiled;
use crate::store::downtimes::{self, Span};
use crate::store::monitors::{self, MonitorBrief};
use crate::store::{BeatStatus, Store, StoreError};

/// Rows of one statement.
const SLICE: u32 = 2_000;

/// Last beats that are read at each turn: a jump for each.
const TURN: usize = 500;

/// The same while some were never read.
const FIRST_TURN: usize = 5_000;

/// Between two looks at the newest beats, while somebody looks at pages.
const WATCHED: Duration = Duration::from_secs(2);

/// While nobody does: a minute old is new enough for the moment at which the database goes.
const UNWATCHED: Duration = Duration::from_secs(60);

/// All of it is read again after this.
const WHOLE_AFTER: Duration = Duration::from_secs(4);

/// Somebody looked within this: somebody may look again.
const LOOKED_WITHIN: Duration = Duration::from_secs(300);

/// Whoever looks first after a while waits no longer for a new reading.
const PATIENCE: Duration = Duration::from_millis(700);

/// Reading takes at most one part in so many of the time.
const SHARE: u32 = 20;

/// Ids of beats are given before they are committed: the last so many are looked at again.
const OVERLAP: i64 = 5_000;

/// More monitors than this are not kept.
const MOST: usize = 200_000;

/// How a monitor is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum MonitorState {
    /// Its last run failed, for good.
    Down,
    /// Its last run failed, and is tried again.
    Pending,
    /// It runs, and has no beat yet.
    Unknown,
    /// Nobody wants to know just now.
    Maintenance,
    /// Its last run was good.
    Up,
    /// It is not to run.
    Paused,
}

impl MonitorState {
    pub(super) const ALL: [Self; 6] =
        [Self::Down, Self::Pending, Self::Unknown, Self::Maintenance, Self::Up, Self::Paused];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Pending => "pending",
            Self::Unknown => "unknown",
            Self::Maintenance => "maintenance",
            Self::Up => "up",
            Self::Paused => "paused",
        }
    }
}

/// All monitors, as they were read.
#[derive(Default)]
pub(super) struct Chart {
    /// By rising key.
    pub(super) briefs: Vec<MonitorBrief>,
    /// When they were read; `None`: never.
    pub(super) read_at: Option<Wall>,
    /// There are more than are kept.
    pub(super) is_cut: bool,
}

/// The last known states, by monitor.
type States = BTreeMap<MonitorId, BeatStatus>;

/// Monitors in memory.
pub(super) struct Atlas {
    chart: RwLock<Arc<Chart>>,
    states: RwLock<States>,
    looked_at: RwLock<Option<Mono>>,
    looked: Notify,
    /// How often all of it was read.
    readings: watch::Sender<u64>,
    /// Up to which monitor last beats were read since this process started; `None`: of all.
    read_until: RwLock<Option<MonitorId>>,
    /// Counted at each reading: the first page is drawn more often.
    down: AtomicUsize,
}

impl Default for Atlas {
    fn default() -> Self {
        Self {
            chart: RwLock::default(),
            states: RwLock::default(),
            looked_at: RwLock::default(),
            looked: Notify::default(),
            readings: watch::Sender::default(),
            read_until: RwLock::new(Some(MonitorId::default())),
            down: AtomicUsize::default(),
        }
    }
}

impl Atlas {
    /// All of them, for somebody who looks. Where nobody looked for long it is read anew, for which they wait a moment.
    pub(super) async fn chart(&self) -> Arc<Chart> {
        let was_watched = self.is_watched();
        *self.looked_at.write().unwrap_or_else(PoisonError::into_inner) = Some(clock::now());
        let mut readings = self.readings.subscribe();
        if !was_watched {
            self.looked.notify_one();
            // What is old is shown with its age.
            let _too_late = tokio::time::timeout(PATIENCE, readings.changed()).await;
        }
        self.held()
    }

    /// What a monitor is called.
    pub(super) fn name(&self, id: MonitorId) -> Option<String> {
        let chart = self.held();
        let at = chart.briefs.binary_search_by_key(&id, |brief| brief.id).ok()?;
        chart.briefs.get(at).map(|brief| brief.name.clone())
    }

    /// How many are down, as far as is known.
    pub(super) fn down(&self) -> usize {
        self.down.load(Ordering::Relaxed)
    }

    /// Of how many no beat has been read yet.
    pub(super) fn unread(&self) -> usize {
        let until = *self.read_until.read().unwrap_or_else(PoisonError::into_inner);
        until.map_or(0, |until| self.held().briefs.iter().filter(|brief| brief.id > until).count())
    }

    fn held(&self) -> Arc<Chart> {
        Arc::clone(&self.chart.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How each of them is, in their order.
    pub(super) fn states(&self, briefs: &[MonitorBrief]) -> Vec<MonitorState> {
        let states = self.states.read().unwrap_or_else(PoisonError::into_inner);
        let of = |brief: &MonitorBrief| state(brief, states.get(&brief.id).copied());
        briefs.iter().map(of).collect()
    }

    fn is_watched(&self) -> bool {
        let looked_at = *self.looked_at.read().unwrap_or_else(PoisonError::into_inner);
        looked_at.is_some_and(|at| clock::now().since(at) <= LOOKED_WITHIN)
    }

    fn learn(&self, found: impl IntoIterator<Item = (MonitorId, BeatStatus)>) {
        self.states.write().unwrap_or_else(PoisonError::into_inner).extend(found);
    }

    fn put(&self, chart: Chart) {
        let mut states = self.states.write().unwrap_or_else(PoisonError::into_inner);
        let is_there = |id: &MonitorId| chart.briefs.binary_search_by_key(id, |brief| brief.id).is_ok();
        states.retain(|id, _| is_there(id));
        drop(states);
        *self.chart.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(chart);
    }

    fn tell(&self) {
        let chart = self.held();
        let down = self.states(&chart.briefs).into_iter().filter(|state| *state == MonitorState::Down).count();
        self.down.store(down, Ordering::Relaxed);
        self.readings.send_modify(|readings| *readings += 1);
    }
}

pub(super) fn state(brief: &MonitorBrief, last: Option<BeatStatus>) -> MonitorState {
    match last {
        _ if !brief.active => MonitorState::Paused,
        None => MonitorState::Unknown,
        Some(BeatStatus::Up) => MonitorState::Up,
        Some(BeatStatus::Down) => MonitorState::Down,
        Some(BeatStatus::Pending) => MonitorState::Pending,
        Some(BeatStatus::Maintenance) => MonitorState::Maintenance,
    }
}

/// Where the reading stands.
#[derive(Default)]
struct Progress {
    whole_at: Option<Mono>,
    /// When the first pages of the other lists were read.
    remembered_at: Option<Mono>,
    /// The last id of a beat that was looked at; `None`: none yet.
    beats_until: Option<i64>,
    /// Whose last beat is read next.
    turn: MonitorId,
}

/// Keeps the atlas until the pages are gone.
pub(super) async fn keep(desk: Weak<Desk>) {
    let mut progress = Progress::default();
    loop {
        let Some(desk) = desk.upgrade() else { return };
        let began_at = clock::now();
        match progress.advance(&desk.atlas, desk.inside.reads()).await {
            Ok(()) => desk.atlas.tell(),
            Err(error) => tracing::debug!(%error, "the list of monitors is not read anew"),
        }
        if progress.remembered_at.is_none_or(|at| began_at.since(at) >= UNWATCHED) {
            progress.remembered_at = Some(began_at);
            desk.remember().await;
        }
        let took = clock::now().since(began_at);
        let is_hurried = desk.atlas.is_watched() || desk.atlas.unread() > 0;
        let pause = if is_hurried { WATCHED } else { UNWATCHED };
        let goes_on_at = clock::now() + pause.max(took * SHARE);
        let stopping = desk.inside.state().stopping.clone();
        tokio::select! {
            () = clock::sleep_until(goes_on_at) => {}
            () = desk.atlas.looked.notified() => {}
            () = stopping.cancelled() => return,
        }
    }
}

impl Progress {
    async fn advance(&mut self, atlas: &Atlas, store: &Store) -> Result<(), StoreError> {
        let now = clock::now();
        if self.whole_at.is_none_or(|at| now.since(at) >= WHOLE_AFTER) {
            atlas.put(read_whole(store).await?);
            self.whole_at = Some(now);
        }
        self.read_changes(atlas, store).await?;
        self.read_turn(atlas, store).await
    }

    /// The changes of state among the newest beats.
    async fn read_changes(&mut self, atlas: &Atlas, store: &Store) -> Result<(), StoreError> {
        let (upto, _) = downtimes::ends(store, &[]).await?;
        if let Some(before) = self.beats_until {
            let span = Span { after: before.saturating_sub(OVERLAP).max(0), upto };
            let changes = downtimes::changes(store, span).await?;
            atlas.learn(changes.into_iter().filter_map(|change| Some((change.monitor, status(change.state?)))));
        }
        self.beats_until = Some(upto);
        Ok(())
    }

    /// The last beats of the next few; of more as long as some were never read.
    async fn read_turn(&mut self, atlas: &Atlas, store: &Store) -> Result<(), StoreError> {
        let chart = atlas.held();
        let after = self.turn;
        let is_first = atlas.read_until.read().unwrap_or_else(PoisonError::into_inner).is_some();
        let most = if is_first { FIRST_TURN } else { TURN };
        let ids: Vec<MonitorId> =
            chart.briefs.iter().map(|brief| brief.id).filter(|id| *id > after).take(most).collect();
        let Some(last) = ids.last() else {
            self.turn = MonitorId::default();
            *atlas.read_until.write().unwrap_or_else(PoisonError::into_inner) = None;
            return Ok(());
        };
        let beats = store.last_beats(&ids).await?;
        self.turn = *last;
        if is_first {
            let is_all = ids.len() < most;
            *atlas.read_until.write().unwrap_or_else(PoisonError::into_inner) = (!is_all).then_some(*last);
        }
        atlas.learn(beats.into_iter().map(|beat| (beat.monitor, beat.status)));
        Ok(())
    }
}

fn status(state: komainu_watchdogs::downtime::State) -> BeatStatus {
    use komainu_watchdogs::downtime::State;
    match state {
        State::Down => BeatStatus::Down,
        State::Up => BeatStatus::Up,
        State::Pending => BeatStatus::Pending,
        State::Maintenance => BeatStatus::Maintenance,
    }
}

async fn read_whole(store: &Store) -> Result<Chart, StoreError> {
    let read_at = clock::wall();
    let mut briefs: Vec<MonitorBrief> = Vec::new();
    loop {
        let after = briefs.last().map_or(MonitorId::default(), |brief| brief.id);
        let slice = monitors::briefs(store, after, SLICE).await?;
        let is_last = slice.len() < usize::try_from(SLICE).unwrap_or(usize::MAX);
        briefs.extend(slice.into_iter().map(shown));
        if is_last || briefs.len() >= MOST {
            let is_cut = !is_last || briefs.len() > MOST;
            briefs.truncate(MOST);
            return Ok(Chart { briefs, read_at: Some(read_at), is_cut });
        }
    }
}

/// As everybody with a key may see it.
fn shown(brief: MonitorBrief) -> MonitorBrief {
    let target = veiled(&brief.target.as_str().into()).as_str().unwrap_or_default().to_owned();
    MonitorBrief { target, ..brief }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::support::Surface;

    async fn charted(surface: &Surface) -> (Atlas, Progress) {
        let (atlas, mut progress) = (Atlas::default(), Progress::default());
        progress.advance(&atlas, &surface.state.store).await.unwrap();
        (atlas, progress)
    }

    #[tokio::test]
    async fn a_monitor_is_charted_with_its_node_and_without_its_password() {
        let surface = Surface::plain().await;
        let key = surface.key("write").await;
        let body = r#"{"name": "shop", "type": "http", "url": "https://ada:secret@shop.example/", "tags": ["eu"]}"#;
        let made = surface.send("POST", "/api/v1/monitors", Some(&key), body).await;
        assert_eq!(made.code, 201, "{}", made.json());
        let (atlas, _) = charted(&surface).await;
        let chart = atlas.held();
        let [shop] = chart.briefs.as_slice() else { panic!("{:?}", chart.briefs) };
        assert_eq!((shop.name.as_str(), shop.kind.as_str(), shop.active), ("shop", "http", true));
        assert_eq!(shop.tags, ["eu"]);
        assert!(shop.target.ends_with("@shop.example/") && !shop.target.contains("secret"), "{}", shop.target);
        assert_eq!(atlas.states(&chart.briefs), [MonitorState::Unknown]);
    }

    #[tokio::test]
    async fn a_monitor_that_is_deleted_leaves_nothing_behind() {
        let surface = Surface::plain().await;
        let key = surface.key("write").await;
        let body = r#"{"name": "shop", "type": "http", "url": "https://shop.example/"}"#;
        let made = surface.send("POST", "/api/v1/monitors", Some(&key), body).await.json();
        let (atlas, mut progress) = charted(&surface).await;
        atlas.learn([(MonitorId(made["id"].as_i64().unwrap()), BeatStatus::Down)]);
        assert_eq!(atlas.states(&atlas.held().briefs), [MonitorState::Down]);
        surface.send("DELETE", &format!("/api/v1/monitors/{}", made["id"]), Some(&key), "").await;
        progress.whole_at = None;
        progress.advance(&atlas, &surface.state.store).await.unwrap();
        assert!(atlas.held().briefs.is_empty() && atlas.states.read().unwrap().is_empty());
    }
}
