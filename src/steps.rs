//! Watches the database's clock beside the own one, and has put right what stands ahead after it was set back.
//!
//! Every watchdog does it: it needs no leader, and what one has put right is nothing to do for the others. Also at the
//! start, for nobody may have watched when it happened.

use std::time::Duration;

use komainu_watchdogs::steps::{Step, Steps};
use komainu_watchdogs::time::Mono;
use komainu_watchdogs::upkeep::Chore;

use crate::chores::Chores;
use crate::clock;
use crate::store::{Store, StoreError, ahead};

/// Between two looks at the clock: what stands ahead holds no longer than this more.
const LOOK: Duration = Duration::from_secs(1);

/// Transactions that read the clock before it was set have ended by then.
const AFTERWARDS: Duration = Duration::from_secs(10);

/// For what no look has seen.
const NOW_AND_THEN: Duration = Duration::from_secs(600);

/// Works until it is dropped.
pub async fn run(store: Store, chores: Chores) {
    let mut steps = Steps::default();
    // When it is to be put right next.
    let mut due_at = Mono::default();
    loop {
        chores.note(Chore::Ahead, &look(&store, &mut steps, &mut due_at).await);
        tokio::time::sleep(LOOK).await;
    }
}

async fn look(store: &Store, steps: &mut Steps, due_at: &mut Mono) -> Result<(), StoreError> {
    let began_at = clock::now();
    let shown = ahead::now(store).await?;
    let ended_at = clock::now();
    let seen = steps.see(began_at, ended_at, shown);
    match seen {
        Some(Step::Back(by)) => {
            tracing::warn!(by_ms = %by.as_millis(), "the database's clock was set back: what stands ahead is put right");
            *due_at = ended_at;
        }
        Some(Step::Ahead(by)) => tracing::warn!(by_ms = %by.as_millis(), "the database's clock was set ahead"),
        None => {}
    }
    if ended_at < *due_at {
        return Ok(());
    }
    let rows = ahead::put_right(store).await?;
    if rows > 0 {
        tracing::warn!(rows, "stored times stood further ahead than they may");
    }
    // Only when it is done: an error leaves it due.
    *due_at = ended_at + if seen.is_some() { AFTERWARDS } else { NOW_AND_THEN };
    Ok(())
}
