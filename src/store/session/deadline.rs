//! When a statement on SQLite must be over: there is no server that gives it up, and one that was abandoned would go on,
//! with the one writer's place, for as long as it takes.
//!
//! SQLite asks in between whether to go on. What was interrupted kept nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use komainu_watchdogs::time::Mono;
use sqlx::sqlite::SqliteConnection;

use crate::clock;

/// Steps of SQLite's machine between two questions: less than a millisecond of most statements.
const ASKED_EACH: i32 = 10_000;

/// The end of the statement that runs now. Dropped with its session: what is left of a statement is over then.
#[derive(Debug)]
pub(super) struct Deadline(Arc<AtomicU64>);

impl Default for Deadline {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }
}

impl Deadline {
    /// From now on this connection keeps it.
    pub(super) async fn keep_on(&self, wire: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let deadline = Arc::clone(&self.0);
        let may_go_on = move || clock::now() < Mono::micros(deadline.load(Ordering::Relaxed));
        wire.lock_handle().await?.set_progress_handler(ASKED_EACH, may_go_on);
        Ok(())
    }

    pub(super) fn set(&self, at: Mono) {
        self.0.store(at.as_micros(), Ordering::Relaxed);
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.set(Mono::micros(0));
    }
}
