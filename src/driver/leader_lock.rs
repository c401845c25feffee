//! The connection that holds the advisory lock, one order at a time.
//!
//! Renewals and decisions share it, as the design demands: who cannot renew cannot decide. Its time limits are those of
//! [`Leadership`]; a decision gets a little more, because it may hold 5,000 moves.

use komainu_watchdogs::decision::{Commit, Decision};
use komainu_watchdogs::io::{Input, LeadershipAct};
use tokio::sync::mpsc;

use super::{Event, WatchdogSettings, tell};
use crate::clock;
use crate::store::Leadership;

/// What the core wants from this connection.
#[derive(Debug)]
pub(super) enum Order {
    Act(LeadershipAct),
    Commit(Box<Decision>),
    ReadShard,
}

/// Not connected yet: the first attempt does.
pub(super) fn connection(settings: &WatchdogSettings) -> Leadership {
    let WatchdogSettings { identity, incarnation, cluster, store, .. } = settings;
    Leadership::new(store.url().clone(), cluster, identity.clone(), *incarnation)
}

/// Works until nobody orders any more.
pub(super) async fn run(
    mut leadership: Leadership,
    mut orders: mpsc::UnboundedReceiver<Order>,
    events: mpsc::UnboundedSender<Event>,
) {
    while let Some(order) = orders.recv().await {
        let began_at = clock::now();
        let input = match order {
            Order::Act(act) => {
                let answer = leadership.perform(act).await;
                Input::Leadership { began_at, answer }
            }
            Order::Commit(decision) => {
                let commit = leadership.commit(&decision).await;
                log(&decision, &commit, began_at);
                Input::Committed { began_at, commit }
            }
            Order::ReadShard => {
                let shard = leadership.read_shard().await;
                Input::Shard(shard.map(Box::new).map_err(|error| error.to_string()))
            }
        };
        tell(&events, input);
    }
}

fn log(decision: &Decision, commit: &Commit, began_at: komainu_watchdogs::time::Mono) {
    let duration_ms = u64::try_from(clock::now().since(began_at).as_millis()).unwrap_or(u64::MAX);
    let (moves, revokes) = (decision.moves.len(), decision.revokes.len());
    match commit {
        Commit::Done { stamp, .. } => {
            tracing::debug!(generation = stamp.generation.0, moves, revokes, duration_ms, "decision committed");
        }
        Commit::Refused(refusal) => tracing::info!(?refusal, moves, revokes, "decision refused"),
        Commit::Failed(error) => tracing::warn!(%error, moves, revokes, duration_ms, "decision failed"),
    }
}
