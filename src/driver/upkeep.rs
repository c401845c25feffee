//! Upkeep: what grows is cut, by the leader, a batch at a time.
//!
//! Costs nothing but room when it fails: the core says for how long that may be. How long things are kept is the store's to say.

use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::upkeep::Chore;
use komainu_watchdogs::view::View;
use tokio::sync::watch;

use crate::chores::Chores;
use crate::store::prune::Rounds;
use crate::store::{Store, prune};

/// Between two looks; more often while there is something left.
const PAUSE: Duration = Duration::from_secs(60);

/// While there is something left.
const BETWEEN_STRETCHES: Duration = Duration::from_millis(200);

/// Works until it is dropped.
pub(super) async fn run((store, chores): (Store, Chores), mut view: watch::Receiver<Arc<View>>, me: Incarnation) {
    let mut rounds = Rounds::default();
    loop {
        let leads = |view: &Arc<View>| view.leader.as_ref().is_some_and(|leader| leader.incarnation == me);
        if view.wait_for(leads).await.is_err() {
            return;
        }
        let worked = prune::keep_up(&store, &mut rounds).await;
        chores.note(Chore::Pruning, &worked);
        let pause = match worked {
            Ok(0) | Err(_) => PAUSE,
            Ok(rows) => {
                tracing::debug!(rows, "pruned what is too old");
                BETWEEN_STRETCHES
            }
        };
        tokio::time::sleep(pause).await;
    }
}
