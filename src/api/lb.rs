//! What gateways ask: `/lb/health`, `/lb/capacity`, `/lb/routes`, `/lb/pushes`, and `/api/health-status`.
//!
//! The first two and the last bear the names and field names that users of uptime-kuma-cluster read from their gateway
//! today. `/lb/routes` is komainu's own table for a gateway: it is built from what this watchdog knows, so it also
//! answers while the database is away.

use axum::Json;
use axum::http::header;
use axum::response::IntoResponse;
use komainu_watchdogs::facts::{NodeStatus, Overlay, Vote};
use komainu_watchdogs::ids::{Generation, NodeId};
use komainu_watchdogs::time::Wall;
use komainu_watchdogs::view::{NodeView, View};
use serde::Serialize;
use utoipa::ToSchema;

pub(super) use self::pushes::Owners;
use super::auth::{GatewayOrSpectator, Spectator};
use super::openapi::Millis;
use super::problem::Problem;
use super::{Ctx, status};
use crate::clock;

pub(super) mod pushes;

/// `/lb/health`: one line per node.
#[derive(Serialize, ToSchema)]
struct HealthTable {
    /// Unix seconds.
    timestamp: i64,
    nodes: Vec<HealthLine>,
}

#[derive(Serialize, ToSchema)]
struct HealthLine {
    #[schema(value_type = String)]
    node_id: NodeId,
    /// `up` where people may be sent, `down` elsewhere.
    #[schema(value_type = String)]
    health: &'static str,
    #[schema(value_type = String)]
    status: NodeStatus,
    #[schema(value_type = Option<Millis>, required)]
    last_seen: Option<Wall>,
    monitor_count: u32,
}

/// `/lb/capacity`: how full each node is.
#[derive(Serialize, ToSchema)]
struct CapacityTable {
    /// Unless a node says otherwise.
    limit_per_node: u32,
    nodes: Vec<CapacityLine>,
}

#[derive(Serialize, ToSchema)]
struct CapacityLine {
    #[schema(value_type = String)]
    node_id: NodeId,
    current_count: u32,
    limit_per_node: u32,
    usage_percent: f64,
}

/// `/lb/routes`: where a gateway may send people.
#[derive(Serialize, ToSchema)]
struct RouteTable {
    /// One node for everything, while an operator says so; `null`: choose among those that accept sessions.
    #[schema(value_type = Option<String>, required)]
    pinned_node: Option<NodeId>,
    #[schema(value_type = u64)]
    generation: Generation,
    #[schema(value_type = Option<Millis>, required)]
    checked_at: Option<Wall>,
    nodes: Vec<RouteLine>,
}

#[derive(Serialize, ToSchema)]
struct RouteLine {
    #[schema(value_type = String)]
    node_id: NodeId,
    /// Base address of its HTTP surface.
    address: String,
    #[schema(value_type = String)]
    status: NodeStatus,
    #[schema(value_type = String)]
    overlay: Overlay,
    /// Monitors divided by capacity: send new sessions to the lowest.
    load: f64,
    monitor_count: u32,
    /// New sessions may go there.
    accepts_sessions: bool,
    /// Sessions that are there may stay: a node that is being drained still serves them.
    keeps_sessions: bool,
}

/// `/api/health-status`: the nodes counted.
#[derive(Serialize, ToSchema)]
struct HealthStatus {
    /// Unix seconds.
    timestamp: i64,
    total_nodes: usize,
    online_nodes: usize,
    offline_nodes: usize,
    nodes: Vec<HealthLine>,
}

/// Nodes as a gateway sees them.
#[utoipa::path(get, path = "/lb/health", tag = "gateways", security((), ("key" = ["read"])),
    responses((status = 200, description = "As this watchdog knows it", body = HealthTable),
        (status = 401, description = "`[status] details = \"key\"`, and no key", body = Problem),
        (status = 429, description = "The same, and too many requests with this key", body = Problem),
        (status = 503, description = "The same, and keys cannot be read just now", body = Problem)))]
pub(super) async fn health(_: Spectator, context: Ctx) -> impl IntoResponse {
    let view = status::current(&context);
    uncached(HealthTable { timestamp: clock::wall().0 / 1_000, nodes: health_lines(&view) })
}

/// The nodes, counted.
#[utoipa::path(get, path = "/api/health-status", tag = "gateways", security((), ("key" = ["read"])),
    responses((status = 200, description = "As this watchdog knows it", body = HealthStatus),
        (status = 401, description = "`[status] details = \"key\"`, and no key", body = Problem),
        (status = 429, description = "The same, and too many requests with this key", body = Problem),
        (status = 503, description = "The same, and keys cannot be read just now", body = Problem)))]
pub(super) async fn health_status(_: Spectator, context: Ctx) -> impl IntoResponse {
    let view = status::current(&context);
    let online_nodes = view.nodes.iter().filter(|node| accepts_sessions(node)).count();
    uncached(HealthStatus {
        timestamp: clock::wall().0 / 1_000,
        total_nodes: view.nodes.len(),
        online_nodes,
        offline_nodes: view.nodes.len() - online_nodes,
        nodes: health_lines(&view),
    })
}

/// How full each node is.
#[utoipa::path(get, path = "/lb/capacity", tag = "gateways", security((), ("key" = ["read"])),
    responses((status = 200, description = "As this watchdog knows it", body = CapacityTable),
        (status = 401, description = "`[status] details = \"key\"`, and no key", body = Problem),
        (status = 429, description = "The same, and too many requests with this key", body = Problem),
        (status = 503, description = "The same, and keys cannot be read just now", body = Problem)))]
pub(super) async fn capacity(_: Spectator, context: Ctx) -> impl IntoResponse {
    let view = status::current(&context);
    let nodes = view.nodes.iter().map(|node| CapacityLine {
        node_id: node.node_id.clone(),
        current_count: node.monitors,
        limit_per_node: node.capacity,
        usage_percent: (node.load * 10_000.0).round() / 100.0,
    });
    uncached(CapacityTable { limit_per_node: context.state.policy.monitor_limit_per_node, nodes: nodes.collect() })
}

/// Where a gateway may send people.
#[utoipa::path(get, path = "/lb/routes", tag = "gateways", security((), ("key" = ["read"]), ("gateway" = [])),
    responses((status = 200, description = "As this watchdog knows it", body = RouteTable),
        (status = 401, description = "`[status] details = \"key\"`, and no key", body = Problem),
        (status = 429, description = "The same, and too many requests with this key", body = Problem),
        (status = 503, description = "The same, and keys cannot be read just now", body = Problem)))]
pub(super) async fn routes(_: GatewayOrSpectator, context: Ctx) -> impl IntoResponse {
    let view = status::current(&context);
    let nodes = view.nodes.iter().map(|node| RouteLine {
        node_id: node.node_id.clone(),
        address: node.address.clone(),
        status: node.status,
        overlay: node.overlay,
        load: node.load,
        monitor_count: node.monitors,
        accepts_sessions: accepts_sessions(node),
        keeps_sessions: keeps_sessions(node),
    });
    uncached(RouteTable {
        pinned_node: view.pinned_node.clone(),
        generation: view.generation,
        checked_at: view.checked_at,
        nodes: nodes.collect(),
    })
}

fn health_lines(view: &View) -> Vec<HealthLine> {
    let line = |node: &NodeView| HealthLine {
        node_id: node.node_id.clone(),
        health: if accepts_sessions(node) { "up" } else { "down" },
        status: node.status,
        last_seen: node.last_seen_ms,
        monitor_count: node.monitors,
    };
    view.nodes.iter().map(line).collect()
}

/// Reachable and not on its way out.
fn accepts_sessions(node: &NodeView) -> bool {
    let is_staying = match node.overlay {
        Overlay::None => true,
        Overlay::Draining | Overlay::Drained => false,
    };
    is_staying && keeps_sessions(node)
}

/// Reachable. A stalled node still serves its UI while it answers.
fn keeps_sessions(node: &NodeView) -> bool {
    match node.status {
        NodeStatus::Online => true,
        NodeStatus::Stalled => node.reach == Vote::Up,
        NodeStatus::New | NodeStatus::Unreachable | NodeStatus::Offline => false,
    }
}

fn uncached<T: Serialize>(body: T) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json(body))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::support::{KEY, Surface, view};
    use crate::config::Details;
    use crate::keys::ClusterKey;

    fn view_with(status: NodeStatus, overlay: Overlay) -> View {
        let mut view = view();
        view.nodes[0].status = status;
        view.nodes[0].overlay = overlay;
        view
    }

    #[tokio::test]
    async fn nobody_is_sent_to_a_node_that_is_lost_or_leaving() {
        let table = [
            (NodeStatus::Online, Overlay::None, (true, true)),
            (NodeStatus::Stalled, Overlay::None, (true, true)),
            (NodeStatus::Unreachable, Overlay::None, (false, false)),
            (NodeStatus::Offline, Overlay::None, (false, false)),
            (NodeStatus::New, Overlay::None, (false, false)),
            (NodeStatus::Online, Overlay::Draining, (false, true)),
            (NodeStatus::Offline, Overlay::Drained, (false, false)),
        ];
        for (status, overlay, (accepts, keeps)) in table {
            let routes = Surface::showing(view_with(status, overlay)).await.get("/lb/routes").await.json();
            let node = &routes["nodes"][0];
            let shown = (&node["accepts_sessions"], &node["keeps_sessions"]);
            assert_eq!(shown, (&json!(accepts), &json!(keeps)), "{status:?} {overlay:?}");
        }
    }

    #[tokio::test]
    async fn where_details_need_a_key_a_stranger_learns_of_no_node() {
        let surface = Surface::showing(view()).await.with_details(Details::Key);
        let (reader, gateway) = (surface.key("read").await, ClusterKey::parse(KEY).unwrap().gateway_key());
        let hidden = ["/lb/health", "/lb/capacity", "/lb/routes", "/api/health-status", "/metrics"];
        for path in hidden {
            assert_eq!(surface.get(path).await.code, 401, "{path}");
            assert_eq!(surface.send("GET", path, Some(&reader), "").await.code, 200, "{path}");
        }
        assert_eq!(surface.send("GET", "/lb/routes", Some(gateway.reveal()), "").await.code, 200);
        assert_eq!(surface.send("GET", "/metrics", Some(gateway.reveal()), "").await.code, 401);
        assert_eq!(surface.get("/health").await.json(), json!({"status": "ok"}));
        assert_eq!(surface.send("GET", "/health", Some(&reader), "").await.json()["watchdog_id"], "w1");
    }

    #[tokio::test]
    async fn a_gateway_finds_address_load_and_generation() {
        let routes = Surface::showing(view()).await.get("/lb/routes").await.json();
        assert_eq!(routes["nodes"][0]["address"], "http://127.0.0.1:8910");
        assert_eq!((&routes["generation"], &routes["pinned_node"]), (&json!(42), &json!(null)));
    }

    #[tokio::test]
    async fn a_pinned_node_is_shown_to_the_gateway() {
        let pinned = View { pinned_node: Some("node1".into()), ..view() };
        let routes = Surface::showing(pinned).await.get("/lb/routes").await.json();
        assert_eq!(routes["pinned_node"], "node1");
    }

    #[tokio::test]
    async fn capacity_and_health_bear_the_known_names() {
        let surface = Surface::showing(view()).await;
        let line = &surface.get("/lb/capacity").await.json()["nodes"][0];
        assert_eq!(
            line,
            &json!({"node_id": "node1", "current_count": 100, "limit_per_node": 1000, "usage_percent": 10.0})
        );
        let line = &surface.get("/lb/health").await.json()["nodes"][0];
        assert_eq!((&line["health"], &line["monitor_count"]), (&json!("up"), &json!(100)));
        assert_eq!(surface.get("/api/health-status").await.json()["online_nodes"], 1);
    }
}
