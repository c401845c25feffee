//! What operators ask of the cluster: moves, pins, drains, a freeze, where people's traffic goes.
//!
//! A hand writes a wish; the leader carries it out, and nothing automatic undoes it. Each wish is one transaction that
//! locks the cluster's row first, as every decision of the leader does: a decision that was planned before it leaves alone
//! what bears the generation of the wish, and of two hands the later one sees what the earlier one wrote. The row in the audit trail, with
//! what stood before and after, is part of the same transaction.

mod drains;
mod fitting;
mod moves;
mod rebalance;
mod routing;

use komainu_watchdogs::facts::{ClusterRow, Mode, Overlay};
use komainu_watchdogs::ids::{MonitorId, NodeId};
use serde_json::{Value as Json, json};

use super::audit::{self, Deed};
use super::cluster;
use super::error::StoreError;
use super::pool::{Store, in_transaction};
use super::session::Session;
use super::value::values;
use super::watch::{cluster_row, overlay, text_list};

pub(in crate::store) use drains::pinned_to;
pub use drains::{Drain, ask_recover, drain, resume};
pub use moves::{Asked, Goal, HandMove, MovedByHand, PinPlace, Selection, move_by_hand};
pub use rebalance::{names, read_shard, rebalance};
pub use routing::{pin_routing, pinned_node, unpin_routing};

/// What became of a wish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HandOutcome<T> {
    /// It is written.
    Done(T),
    /// Nothing was written, and this is why.
    Refused(Refusal),
}

/// Why a wish is not written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Nothing moves before adoption: somebody else runs these monitors.
    Observing,
    /// An operator froze the cluster: only moves for which an operator names the node are written.
    Frozen,
    /// Something else moved since the plan was made.
    Outdated,
    /// There is no such node.
    NoSuchNode(NodeId),
    /// The node is being emptied, or is kept empty.
    Draining(NodeId),
    /// Not all of these monitors can be where they are asked to be.
    Impossible(Vec<MonitorFault>),
    /// These monitors are pinned to the node, and it was not said that they go along.
    Pinned(Vec<PinnedMonitor>),
}

/// A monitor that cannot be where it is asked to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MonitorFault {
    /// The monitor that it cannot be done with.
    pub monitor: MonitorId,
    /// Why it cannot be done.
    pub why: WhyNot,
}

/// Why a monitor cannot be where it is asked to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WhyNot {
    /// There is no such monitor.
    Unknown,
    /// The node does not run its type.
    Kind {
        /// The type, in Kuma's words.
        kind: String,
        /// The node that was named.
        node: NodeId,
    },
    /// The node lacks labels that the monitor asks for.
    Labels {
        /// Those it lacks.
        missing: Vec<String>,
        /// The node that was named.
        node: NodeId,
    },
    /// It is pinned where it runs, and nobody runs it, nor has it a home.
    Nowhere,
}

/// A pinned monitor, as an operator recognises it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PinnedMonitor {
    /// The monitor's id.
    pub id: MonitorId,
    /// Its name, for people.
    pub name: String,
}

/// Stops all automatic moves; `false`: they were stopped already.
pub async fn freeze(store: &Store, by: &str) -> Result<bool, StoreError> {
    in_transaction!(store, "freeze the cluster", |session| set_frozen(session, true, by).await)
}

/// Allows them again; `false`: they were allowed.
pub async fn thaw(store: &Store, by: &str) -> Result<bool, StoreError> {
    in_transaction!(store, "thaw the cluster", |session| set_frozen(session, false, by).await)
}

async fn set_frozen(session: &mut Session, frozen: bool, by: &str) -> Result<bool, StoreError> {
    let sql = "UPDATE komainu_cluster SET frozen = ? WHERE id = 1 AND frozen <> ?";
    let changed = session.execute("freeze or thaw the cluster", sql, values![frozen, frozen]).await? == 1;
    if changed {
        let (what, reason) = if frozen { ("cluster.freeze", "freeze") } else { ("cluster.thaw", "thaw") };
        cluster::raise_generation(session, reason, 0).await?;
        let (before, after) = (json!({"frozen": !frozen}), json!({"frozen": frozen}));
        audit::append_in(session, &deed(by, what, "cluster", Some(before), Some(after))).await?;
    }
    Ok(changed)
}

/// Locks the cluster's row, before anything else, and says what stands in it.
async fn lock(session: &mut Session) -> Result<ClusterRow, StoreError> {
    let sql = format!(
        "SELECT mode, frozen, pinned_node, generation, nonce FROM komainu_cluster WHERE id = 1{}",
        session.dialect().for_update()
    );
    let row = session.row("lock the cluster", sql, vec![]).await?;
    cluster_row(&row.ok_or(StoreError::SchemaMissing)?)
}

/// A node as it stands under the cluster's lock, which every change of its overlay, types and labels takes.
struct Target {
    node: NodeId,
    overlay: Overlay,
    kinds: Vec<String>,
    labels: Vec<String>,
}

impl Target {
    /// It is neither being emptied nor kept empty.
    fn takes(&self) -> bool {
        self.overlay == Overlay::None
    }
}

/// All nodes that monitors may be asked to go to.
async fn targets(session: &mut Session) -> Result<Vec<Target>, StoreError> {
    let sql = "SELECT node_id, overlay, kinds, labels FROM node ORDER BY node_id";
    let rows = session.rows("look up the nodes", sql, vec![]).await?;
    let target = |row: &super::value::Row| {
        Ok(Target {
            node: row.node("node_id")?,
            overlay: overlay(&row.text("overlay")?),
            kinds: text_list(&row.text("kinds")?),
            labels: text_list(&row.text("labels")?),
        })
    };
    rows.iter().map(target).collect()
}

/// Why nothing may be asked of the cluster now.
fn refuses(cluster: &ClusterRow) -> Option<Refusal> {
    match cluster.mode {
        Mode::Observe => Some(Refusal::Observing),
        Mode::Active => None,
    }
}

/// A row of the audit trail.
pub(super) fn deed(by: &str, what: &str, subject: &str, before: Option<Json>, after: Option<Json>) -> Deed {
    Deed {
        who: by.to_owned(),
        what: what.to_owned(),
        subject: subject.to_owned(),
        before: before.map(|json| json.to_string()),
        after: after.map(|json| json.to_string()),
    }
}
