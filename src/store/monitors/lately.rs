//! What changed its place last, told by decision and not by monitor.

use komainu_watchdogs::ids::{Generation, NodeId};
use komainu_watchdogs::time::Wall;

use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::value::{Row, values};

/// Decisions that are looked through, the latest ones.
const GENERATIONS: u32 = 1_000;

/// Monitors that one decision gave to one node, and that are there since.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// The number of the decision.
    pub generation: Generation,
    /// Who runs them.
    pub node: NodeId,
    /// How many.
    pub monitors: u64,
    /// Why.
    pub reason: String,
    /// By the database's clock.
    pub at: Wall,
}

/// The latest ones first. Monitors that moved again since stand with where they are now.
pub async fn arrivals(store: &Store, how_many: u32) -> Result<Vec<Arrival>, StoreError> {
    let act = "read what moved lately";
    let sql = format!(
        "SELECT generation, effective_node, reason, COUNT(*) AS monitors, MAX(changed_at) AS at FROM komainu_assignment \
         WHERE generation > (SELECT MAX(generation) - {GENERATIONS} FROM komainu_assignment) AND generation > 0 \
         AND effective_node <> '' GROUP BY generation, effective_node, reason \
         ORDER BY generation DESC, effective_node, reason LIMIT ?"
    );
    let rows = store.lease(act).await?.rows(act, sql, values![how_many]).await?;
    let arrival = |row: &Row| {
        Ok(Arrival {
            generation: Generation(row.count("generation")?),
            node: row.text("effective_node")?.as_str().into(),
            monitors: row.count("monitors")?,
            reason: row.text("reason")?,
            at: row.wall("at")?,
        })
    };
    rows.iter().map(arrival).collect()
}
