//! `GET /metrics`: what this watchdog knows, in Prometheus' text format.
//!
//! The registry is filled anew for each request from the published view, so no number can be older than `/status`.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use komainu_watchdogs::facts::NodeStatus;
use komainu_watchdogs::io::Severity;
use komainu_watchdogs::view::{DatabaseView, Health, View};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::auth::Spectator;
use super::problem::{ApiError, Problem};
use super::{Context, Ctx, health, status};
use crate::store::{Store, incidents};

mod checks;
mod opinions;
mod outbox;
mod server;
mod telling;

const STATUSES: [NodeStatus; 5] =
    [NodeStatus::New, NodeStatus::Online, NodeStatus::Unreachable, NodeStatus::Stalled, NodeStatus::Offline];

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct NodeLabel {
    node: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct NodeStatusLabel {
    node: String,
    status: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct SeverityLabel {
    severity: &'static str,
}

/// What this watchdog knows, for Prometheus (OpenMetrics text).
#[utoipa::path(get, path = "/metrics", tag = "watching", security((), ("key" = ["read"])),
    responses((status = 200, description = "The metrics", body = String, content_type = "application/openmetrics-text"),
        (status = 401, description = "`[status] details = \"key\"`, and no key", body = Problem),
        (status = 429, description = "The same, and too many requests with this key", body = Problem),
        (status = 503, description = "The same, and keys cannot be read just now", body = Problem),
        (status = 500, description = "A fault of ours; the log has the details", body = Problem)))]
pub(super) async fn show(_: Spectator, context: Ctx) -> Result<Response, ApiError> {
    let view = status::current(&context);
    let mut registry = Registry::with_prefix("komainu");
    register_cluster(&mut registry, &view);
    server::register(&mut registry, context.reads.server());
    register_monitors(&mut registry, &view);
    register_nodes(&mut registry, &view);
    register_incidents(&mut registry, &view, &context.reads).await;
    register_heartbeats(&mut registry, &context);
    checks::register(&mut registry, &context);
    opinions::register(&mut registry, &context).await;
    context.traffic.register(&mut registry);
    telling::register(&mut registry, &context.state.voice);
    register_self(&mut registry, &view, &context);
    outbox::register(&mut registry, &context.reads).await;
    let mut body = String::new();
    text::encode(&mut body, &registry).map_err(|error| ApiError::Internal(error.to_string()))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], body).into_response())
}

fn register_cluster(registry: &mut Registry, view: &View) {
    let is_up = match view.status {
        Health::Ok | Health::Degraded => true,
        Health::Down => false,
    };
    let database_up = match view.database {
        DatabaseView::Up => true,
        DatabaseView::Failing | DatabaseView::Down => false,
    };
    let epoch = view.leader.as_ref().map_or(0, |leader| leader.epoch.0);
    number(registry, "up", "1 while /status is ok or degraded", i64::from(is_up));
    number(registry, "database_up", "1 while the database answers reads and writes", i64::from(database_up));
    number(registry, "frozen", "1 while an operator stopped automatic moves", i64::from(view.frozen));
    number(registry, "epoch", "Number of the present leadership, 0 without one", whole(epoch));
    number(registry, "generation", "Number of the assignment", whole(view.generation.0));
}

fn register_monitors(registry: &mut Registry, view: &View) {
    let monitors = view.monitors;
    number(registry, "monitors_active", "Active monitors", monitors.active.into());
    number(registry, "monitors_watched", "Active monitors with a living owner", monitors.watched.into());
    number(
        registry,
        "monitors_orphaned",
        "Active monitors without a living owner beyond the bound",
        monitors.orphaned.into(),
    );
}

fn register_nodes(registry: &mut Registry, view: &View) {
    let owned = Family::<NodeLabel, Gauge>::default();
    let overdue = Family::<NodeLabel, Gauge>::default();
    let statuses = Family::<NodeStatusLabel, Gauge>::default();
    for node in &view.nodes {
        let label = NodeLabel { node: node.node_id.to_string() };
        owned.get_or_create(&label).set(node.monitors.into());
        overdue.get_or_create(&label).set(node.overdue.into());
        for status in STATUSES {
            let label = NodeStatusLabel { node: label.node.clone(), status: status.as_str() };
            statuses.get_or_create(&label).set(i64::from(status == node.status));
        }
    }
    registry.register("monitors_owned", "Active monitors whose effective node it is", owned);
    registry.register("overdue_beats", "Active monitors whose beat is overdue", overdue);
    registry.register("node_status", "1 for the status that a node has", statuses);
}

/// The view holds only some of many; they count when the database does not answer.
async fn register_incidents(registry: &mut Registry, view: &View, store: &Store) {
    let open = Family::<SeverityLabel, Gauge>::default();
    let counted = tokio::time::timeout(outbox::PATIENCE, incidents::count_open(store)).await.ok().and_then(Result::ok);
    for (severity, name) in [(Severity::Warning, "warning"), (Severity::Critical, "critical")] {
        let shown = view.incidents.iter().filter(|incident| incident.severity == severity).count();
        let shown = u64::try_from(shown).unwrap_or(u64::MAX);
        let all = counted.as_ref().and_then(|counted| counted.get(name)).copied().unwrap_or(0);
        open.get_or_create(&SeverityLabel { severity: name }).set(whole(all.max(shown)));
    }
    registry.register("incidents_open", "Open incidents", open);
}

fn register_heartbeats(registry: &mut Registry, context: &Context) {
    let heartbeats = Family::<StateLabel, Gauge>::default();
    for (state, count) in context.state.heartbeats.by_state() {
        heartbeats.get_or_create(&StateLabel { state: state.as_str() }).set(whole(count));
    }
    heartbeats.get_or_create(&StateLabel { state: "paused" }).set(whole(context.state.heartbeats.paused()));
    registry.register("heartbeats", "Heartbeats by state", heartbeats);
    let counts = context.state.heartbeats.counts();
    let pushes = Family::<OutcomeLabel, Counter>::default();
    for (outcome, count) in
        [("accepted", counts.accepted), ("refused", counts.refused), ("unavailable", counts.unavailable)]
    {
        pushes.get_or_create(&OutcomeLabel { outcome }).inc_by(count);
    }
    registry.register("pushes", "Pushes of heartbeats that this watchdog was sent", pushes);
}

fn register_self(registry: &mut Registry, view: &View, context: &Context) {
    let incarnation = context.state.incarnation;
    let leads = view.leader.as_ref().is_some_and(|leader| leader.incarnation == incarnation);
    number(registry, "leader", "1 while this watchdog leads", i64::from(leads));
    // A watchdog without a verdict reports none, rather than a number that looks fresh.
    if let Some(age) = health::verdict_age_ms(context) {
        number(
            registry,
            "seconds_since_last_verdict",
            "Age of this watchdog's last round of verdicts",
            whole(age / 1_000),
        );
    }
}

fn number(registry: &mut Registry, name: &str, help: &str, value: i64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use crate::api::support::{Surface, view};

    #[tokio::test]
    async fn each_metric_of_the_contract_is_there() {
        let answer = Surface::showing(view()).await.get("/metrics").await;
        let text = String::from_utf8(answer.body).unwrap();
        for line in [
            "komainu_leader 1",
            "komainu_epoch 7",
            "komainu_monitors_owned{node=\"node1\"} 100",
            "komainu_overdue_beats{node=\"node1\"} 3",
            "komainu_seconds_since_last_verdict 0",
            "komainu_node_status{node=\"node1\",status=\"online\"} 1",
            "komainu_node_status{node=\"node1\",status=\"offline\"} 0",
            "komainu_database_up 1",
            "komainu_incidents_open{severity=\"critical\"} 1",
            "komainu_frozen 0",
            "komainu_can_tell 1",
            "komainu_telling_working{part=\"outbox\"} 1",
            "komainu_channel_working{channel=\"ops\"} 1",
            "komainu_oldest_pending_delivery_seconds 0",
            "komainu_heartbeats{state=\"late\"} 0",
            "komainu_pushes_total{outcome=\"accepted\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
