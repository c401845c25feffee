//! What the core's view of the cluster looks like in JSON, for the document: the core itself knows nothing of documents.
#![expect(dead_code, reason = "the core writes it; this is what the document says of it")]

use std::collections::BTreeMap;

use utoipa::ToSchema;

use crate::api::openapi::Millis;

#[derive(ToSchema)]
#[schema(as = View)]
pub(super) struct ViewShown {
    /// `ok`, `degraded` or `down`.
    status: String,
    /// Why it is not ok, one sentence each.
    reasons: Vec<String>,
    /// `observe` or `active`.
    mode: String,
    /// An operator stopped all automatic moves.
    frozen: bool,
    #[schema(required)]
    leader: Option<LeaderShown>,
    /// As this watchdog sees it: `up`, `failing` or `down`.
    database: String,
    /// The assignment's number.
    generation: u64,
    watchdogs: Vec<WatchdogShown>,
    nodes: Vec<NodeShown>,
    monitors: MonitorsShown,
    /// Open ones: all that watchdogs judge, and the first 200 of monitors, heartbeats and the like.
    incidents: Vec<OpenIncident>,
    /// In observe mode or while frozen: what automation would do.
    would_move: Vec<WouldMoveShown>,
    /// Monitors of lost nodes that would move, were it not for a doubt.
    waiting: Vec<WaitingShown>,
    #[schema(value_type = Option<Millis>, required)]
    checked_at: Option<i64>,
    /// How long ago this watchdog last completed a round of verdicts.
    #[schema(required)]
    verdict_age_ms: Option<u64>,
}

#[derive(ToSchema)]
#[schema(as = Leader)]
struct LeaderShown {
    watchdog_id: String,
    epoch: u64,
}

#[derive(ToSchema)]
#[schema(as = WatchdogStatus)]
struct WatchdogShown {
    watchdog_id: String,
    /// `up`, `down`, `isolated` or `stopped`.
    status: String,
    #[schema(value_type = Millis)]
    last_seen_ms: i64,
    /// What it says of its peers, by their names: `up`, `down` or `unknown`; empty while it is silent.
    sees: BTreeMap<String, String>,
}

#[derive(ToSchema)]
#[schema(as = NodeStatus)]
struct NodeShown {
    node_id: String,
    /// `new`, `online`, `unreachable`, `stalled` or `offline`.
    status: String,
    /// `none`, `draining` or `drained`.
    overlay: String,
    /// Active monitors that it runs.
    monitors: u32,
    /// Active monitors whose home it is.
    home_monitors: u32,
    capacity: u32,
    /// `monitors / capacity`
    load: f64,
    /// What the majority says of its reach: `up`, `down` or `unknown`.
    reach: String,
    /// Watchdogs that cannot reach it, of how many that may vote.
    votes_down: [u32; 2],
    /// `fresh`, `ended` or `unknown`.
    lease: String,
    /// Active monitors whose beat is overdue.
    overdue: u32,
    #[schema(value_type = Option<Millis>, required)]
    last_seen_ms: Option<i64>,
}

/// Active monitors.
#[derive(ToSchema)]
#[schema(as = MonitorCounts)]
struct MonitorsShown {
    active: u32,
    /// A living node runs them.
    watched: u32,
    unwatched: u32,
    /// Unwatched for longer than the bound.
    orphaned: u32,
    /// No node can run their type.
    unplaceable: u32,
}

#[derive(ToSchema)]
#[schema(as = OpenIncident)]
struct OpenIncident {
    /// Kind and subject.
    key: String,
    /// `critical` or `warning`.
    severity: String,
    /// Of one that came back soon after it was over: when it did.
    #[schema(value_type = Millis)]
    since: i64,
    #[schema(value_type = Millis)]
    first_since: i64,
}

#[derive(ToSchema)]
#[schema(as = WouldMove)]
struct WouldMoveShown {
    /// `null`: new, or nobody's.
    #[schema(required)]
    from: Option<String>,
    monitors: u32,
    reason: String,
}

#[derive(ToSchema)]
#[schema(as = Waiting)]
struct WaitingShown {
    node_id: String,
    monitors: u32,
    /// By the database's clock, unless the doubt or the loss ends before.
    #[schema(value_type = Millis)]
    until: i64,
    /// In words.
    because: String,
}
