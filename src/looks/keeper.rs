//! What of checks survives this process: their definitions and what stood in the tables last, so that it looks and votes also when it is
//! started while the database is away.
//!
//! One task; what changes while it writes is written with the next. What it kept is a copy that may be old: the first reading replaces it.

use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::check::Known;
use komainu_watchdogs::facts::IncidentRow;
use tokio::sync::watch;

use crate::state_dir::StateDir;
use crate::store::checks::Check;

/// Between two writings of one file: ten thousand checks are some megabytes.
const EACH: Duration = Duration::from_secs(5);

/// What is to be kept.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Kept {
    pub(super) checks: Arc<Vec<Arc<Check>>>,
    pub(super) verdicts: Arc<Vec<Known>>,
    pub(super) open: Arc<Vec<IncidentRow>>,
}

/// Writes what changed, until nobody says any more.
pub(super) async fn run(state: StateDir, mut kept: watch::Receiver<Kept>) {
    let mut written = Kept::default();
    while kept.changed().await.is_ok() {
        let next = kept.borrow_and_update().clone();
        if next.checks != written.checks {
            state.keep_checks(&next.checks).await;
        }
        if (&next.verdicts, &next.open) != (&written.verdicts, &written.open) {
            state.keep_verdicts(&next.verdicts, &next.open).await;
        }
        written = next;
        tokio::time::sleep(EACH).await;
    }
}
