//! Kuma's maintenance windows, as this node knows them: whether a monitor is to be left alone now.
//!
//! The reader looks every 3 s at the windows that are switched on, works out which of them are on or soon will be
//! ([`calendar`]), and reads what only these cover. What it knows is good until its own ends, so that a database that
//! is away neither begins nor ends a window. Before the first look nothing runs: a node that starts within a window
//! must not find its monitors down.

pub mod calendar;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Wall;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::calendar::{Span, Window};
use crate::clock::database::DatabaseClock;
use crate::run::{RunResult, RunStatus};
use crate::store::windows::{self, Plan};
use crate::store::{Store, StoreError};

/// Between two looks: a window made in Kuma's UI is known after so long.
const PAUSE: Duration = Duration::from_secs(3);

/// How long one look may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Windows are known so long before they begin, so that one begins on the second also when a look is slow.
const AHEAD: Duration = Duration::from_secs(30);

/// What is known: when each monitor is in maintenance.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Covered(HashMap<MonitorId, Vec<Span>>);

impl Covered {
    /// Of windows, each with its monitors.
    pub fn new(spans: impl IntoIterator<Item = (MonitorId, Span)>) -> Self {
        let mut covered: HashMap<MonitorId, Vec<Span>> = HashMap::new();
        for (monitor, span) in spans {
            covered.entry(monitor).or_default().push(span);
        }
        Self(covered)
    }
}

/// Says whether a monitor is in maintenance.
#[derive(Clone, Debug)]
pub struct Windows(watch::Receiver<Option<Arc<Covered>>>);

impl Windows {
    /// Whether somebody looked yet.
    pub fn are_known(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Whether this monitor is to be left alone.
    pub fn cover(&self, monitor: MonitorId, at: Wall) -> bool {
        let known = self.0.borrow();
        let spans = known.as_ref().and_then(|covered| covered.0.get(&monitor));
        spans.is_some_and(|spans| spans.iter().any(|span| span.contains(at)))
    }
}

/// Tells the windows what they cover.
#[derive(Debug)]
pub struct Teller(watch::Sender<Option<Arc<Covered>>>);

impl Teller {
    /// This, from now on.
    pub fn tell(&self, covered: Covered) {
        self.0.send_replace(Some(Arc::new(covered)));
    }
}

/// Windows that know nothing yet, and who tells them.
pub fn channel() -> (Teller, Windows) {
    let (teller, windows) = watch::channel(None);
    (Teller(teller), Windows(windows))
}

/// What a run finds in maintenance, in Kuma's words.
pub fn left_alone() -> RunResult {
    RunResult::new(RunStatus::Maintenance, "Monitor under maintenance")
}

/// Reads which maintenance windows there are, and whom they cover.
pub struct WindowReader {
    /// Windows begin by the same clock on all nodes.
    pub clock: DatabaseClock,
    /// Where they are.
    pub store: Store,
    /// Hears of them.
    pub teller: Teller,
}

impl WindowReader {
    /// Reads until `ended`.
    pub async fn run(self, ended: CancellationToken) {
        ended.run_until_cancelled(self.read()).await;
    }

    async fn read(&self) {
        let mut refused = BTreeSet::new();
        let mut is_failing = false;
        loop {
            let problem = match tokio::time::timeout(self.store.allow(TIMEOUT), self.look(&mut refused)).await {
                Ok(Ok(covered)) => {
                    self.teller.tell(covered);
                    None
                }
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("no answer in time".to_owned()),
            };
            if let Some(problem) = &problem {
                if !is_failing {
                    tracing::warn!(problem, "the maintenance windows cannot be read: those known before count");
                }
                // A node that may not read them runs its monitors all the same.
                if self.teller.0.borrow().is_none() {
                    self.teller.tell(Covered::default());
                }
            }
            is_failing = problem.is_some();
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What is covered now or soon. A window that says nothing sensible is told once.
    async fn look(&self, refused: &mut BTreeSet<(i64, String)>) -> Result<Covered, StoreError> {
        let Plan { windows: rows, server_zone } = windows::plan(&self.store).await?;
        let zone = server_zone.as_deref().and_then(|name| TimeZone::get(name).ok()).unwrap_or_else(TimeZone::system);
        let now = self.clock.stamp();
        let mut spans: HashMap<i64, Span> = HashMap::new();
        for row in &rows {
            match Window::read(row, &zone) {
                Ok(window) => spans.extend(window.span(now, now + AHEAD).map(|span| (row.id, span))),
                Err(problem) => {
                    let problem = problem.to_string();
                    if refused.insert((row.id, problem.clone())) {
                        tracing::warn!(window.id = row.id, problem, "a maintenance window never begins");
                    }
                }
            }
        }
        let near: Vec<i64> = spans.keys().copied().collect();
        let covered = windows::covered(&self.store, &near).await?;
        Ok(Covered::new(covered.into_iter().filter_map(|(window, monitor)| Some((monitor, *spans.get(&window)?)))))
    }
}
