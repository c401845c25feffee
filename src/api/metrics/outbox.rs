//! What waits in the outbox. Unlike the rest it is asked of the database, and left out when that does not answer.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::store::Store;
use crate::store::outbox::{self, Backlog};

/// A scrape has other numbers to bring home.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct DeliveryLabel {
    channel: String,
    state: &'static str,
}

pub(super) async fn register(registry: &mut Registry, store: &Store) {
    let Ok(Ok(backlogs)) = tokio::time::timeout(PATIENCE, outbox::backlog(store)).await else { return };
    let deliveries = Family::<DeliveryLabel, Gauge>::default();
    for backlog in &backlogs {
        for (state, count) in [("waiting", backlog.waiting), ("held", backlog.held), ("failed", backlog.failed)] {
            let label = DeliveryLabel { channel: backlog.channel.clone(), state };
            deliveries.get_or_create(&label).set(super::whole(count));
        }
    }
    registry.register("deliveries", "Deliveries that wait, are held, or were refused for good", deliveries);
    let help = "How long the oldest delivery that waits is overdue";
    super::number(registry, "oldest_pending_delivery_seconds", help, oldest_s(&backlogs));
}

fn oldest_s(backlogs: &[Backlog]) -> i64 {
    let overdue = |backlog: &Backlog| backlog.oldest_due_at.map(|due_at| backlog.now.since(due_at).as_secs());
    super::whole(backlogs.iter().filter_map(overdue).max().unwrap_or(0))
}
