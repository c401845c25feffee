//! Emptying a node, taking that back, and calling a node's monitors home.
//!
//! A drain is an overlay on the node's row: it outlives the node's process and every watchdog, until it is resumed. The
//! drained node stays the home of its monitors, so that they return when it is resumed.

use komainu_watchdogs::facts::Overlay;
use komainu_watchdogs::ids::{MonitorId, NodeId};
use serde_json::json;

use super::{HandOutcome, PinnedMonitor, Refusal, deed, lock};
use crate::store::audit;
use crate::store::cluster;
use crate::store::error::StoreError;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::Session;
use crate::store::value::{Row, values};
use crate::store::watch::{overlay, overlay_text};

/// How a node is emptied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Drain {
    /// Pinned monitors go along, and return with the others when the node is resumed.
    pub move_pinned: bool,
}

/// Begins to empty a node. Asked twice, it goes on as it was; pinned monitors go along if either said so.
/// `Done(false)`: it was so already.
pub async fn drain(store: &Store, node: &NodeId, how: Drain, by: &str) -> Result<HandOutcome<bool>, StoreError> {
    in_transaction!(store, "drain a node", |session| drain_in(session, node, how, by).await)
}

async fn drain_in(session: &mut Session, node: &NodeId, how: Drain, by: &str) -> Result<HandOutcome<bool>, StoreError> {
    lock(session).await?;
    let Some(stood) = Laid::read(session, node).await? else {
        return Ok(HandOutcome::Refused(Refusal::NoSuchNode(node.clone())));
    };
    let drains_pinned = match stood.overlay {
        Overlay::None => how.move_pinned,
        Overlay::Draining | Overlay::Drained => how.move_pinned || stood.drains_pinned,
    };
    if !drains_pinned {
        let pinned = pinned_to(session, node).await?;
        if !pinned.is_empty() {
            return Ok(HandOutcome::Refused(Refusal::Pinned(pinned)));
        }
    }
    let overlay = match stood.overlay {
        Overlay::None => Overlay::Draining,
        Overlay::Draining | Overlay::Drained => stood.overlay,
    };
    lay(session, node, (&stood, &Laid { overlay, drains_pinned, ..stood }), ("node.drain", by))
        .await
        .map(HandOutcome::Done)
}

/// Lets a drained node have monitors again: those at home on it return. `Done(false)`: it was not drained.
pub async fn resume(store: &Store, node: &NodeId, by: &str) -> Result<HandOutcome<bool>, StoreError> {
    in_transaction!(store, "resume a node", |session| resume_in(session, node, by).await)
}

async fn resume_in(session: &mut Session, node: &NodeId, by: &str) -> Result<HandOutcome<bool>, StoreError> {
    lock(session).await?;
    let Some(stood) = Laid::read(session, node).await? else {
        return Ok(HandOutcome::Refused(Refusal::NoSuchNode(node.clone())));
    };
    let after = Laid { overlay: Overlay::None, drains_pinned: false, ..stood };
    lay(session, node, (&stood, &after), ("node.resume", by)).await.map(HandOutcome::Done)
}

/// Asks the leader to bring a node's monitors home now. `Done(false)`: that was asked already.
pub async fn ask_recover(store: &Store, node: &NodeId, by: &str) -> Result<HandOutcome<bool>, StoreError> {
    in_transaction!(store, "recover a node", |session| recover_in(session, node, by).await)
}

async fn recover_in(session: &mut Session, node: &NodeId, by: &str) -> Result<HandOutcome<bool>, StoreError> {
    lock(session).await?;
    let Some(stood) = Laid::read(session, node).await? else {
        return Ok(HandOutcome::Refused(Refusal::NoSuchNode(node.clone())));
    };
    let after = Laid { recover_asked: true, ..stood };
    lay(session, node, (&stood, &after), ("node.recover", by)).await.map(HandOutcome::Done)
}

/// What an operator laid over a node's status.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Laid {
    overlay: Overlay,
    drains_pinned: bool,
    recover_asked: bool,
}

impl Laid {
    async fn read(session: &mut Session, node: &NodeId) -> Result<Option<Self>, StoreError> {
        let lock = session.dialect().for_update();
        let sql = format!("SELECT overlay, drains_pinned, recover_asked FROM node WHERE node_id = ?{lock}");
        let row = session.row("look up a node", sql, values![node]).await?;
        let laid = |row: Row| {
            Ok(Self {
                overlay: overlay(&row.text("overlay")?),
                drains_pinned: row.flag("drains_pinned")?,
                recover_asked: row.flag("recover_asked")?,
            })
        };
        row.map(laid).transpose()
    }

    fn as_json(self) -> serde_json::Value {
        let Self { overlay, drains_pinned, recover_asked } = self;
        json!({"overlay": overlay, "drains_pinned": drains_pinned, "recover_asked": recover_asked})
    }
}

async fn lay(
    session: &mut Session,
    node: &NodeId,
    (before, after): (&Laid, &Laid),
    (what, by): (&str, &str),
) -> Result<bool, StoreError> {
    if before == after {
        return Ok(false);
    }
    let now = session.dialect().now_datetime();
    let sql = format!(
        "UPDATE node SET overlay = ?, drains_pinned = ?, recover_asked = ?, modified_date = {now} WHERE node_id = ?"
    );
    let values = values![overlay_text(after.overlay), after.drains_pinned, after.recover_asked, node];
    session.execute("write a wish", sql, values).await?;
    cluster::raise_generation(session, "operator", 0).await?;
    let deed = deed(by, what, node.as_str(), Some(before.as_json()), Some(after.as_json()));
    audit::append_in(session, &deed).await?;
    Ok(true)
}

/// Monitors pinned to it that are there, or on their way there: a drain would never end while they are. What is pinned
/// to a lost node and runs here meanwhile is free to run elsewhere.
pub(in crate::store) async fn pinned_to(
    session: &mut Session,
    node: &NodeId,
) -> Result<Vec<PinnedMonitor>, StoreError> {
    let sql = "SELECT m.id, m.name FROM komainu_assignment a JOIN monitor m ON m.id = a.monitor_id \
         WHERE a.pinned = 1 AND a.node_id = ? AND a.effective_node IN (?, '') ORDER BY m.id";
    let rows = session.rows("look up pinned monitors", sql, values![node, node]).await?;
    rows.iter().map(|row| Ok(PinnedMonitor { id: MonitorId(row.int("id")?), name: row.text("name")? })).collect()
}
