//! Which monitors native nodes found down: written with the beats that say so, in their transaction.
//!
//! Who tells of a DOWN is decided by who stored it, and by the time somebody looks the monitor may be elsewhere. What is
//! told is decided in [`crate::store::downtimes`], which also takes away what is over by then.

use std::collections::BTreeMap;

use komainu_watchdogs::ids::NodeId;

use super::{Beat, BeatStatus};
use crate::store::decisions::id_list;
use crate::store::dialect::Dialect;
use crate::store::value::{Value, values};

/// The statements that note the changes among these beats; nearly always none.
pub(super) fn writing(dialect: Dialect, node: &NodeId, beats: &[&Beat]) -> Vec<(String, Vec<Value>)> {
    let is_settled = |beat: &&&Beat| beat.important && matches!(beat.status, BeatStatus::Down | BeatStatus::Up);
    let changes = beats.iter().filter(is_settled);
    let last: BTreeMap<i64, BeatStatus> = changes.map(|beat| (beat.monitor.0, beat.status)).collect();
    let those = |wanted: BeatStatus| {
        let found = last.iter().filter(|(_, status)| **status == wanted);
        found.map(|(monitor, _)| *monitor).collect::<Vec<_>>()
    };
    let (down, up) = (those(BeatStatus::Down), those(BeatStatus::Up));
    let mut statements = vec![];
    if !down.is_empty() {
        let rows = vec![format!("(?, ?, {})", dialect.now_ms()); down.len()].join(", ");
        let tail = dialect.or_update("monitor_id", &["node_id", "at"]);
        let values = down.iter().flat_map(|monitor| values![*monitor, node]);
        statements.push((
            format!("INSERT INTO komainu_down (monitor_id, node_id, at) VALUES {rows}{tail}"),
            values.collect(),
        ));
    }
    if !up.is_empty() {
        statements.push((format!("DELETE FROM komainu_down WHERE monitor_id IN ({})", id_list(&up)), vec![]));
    }
    statements
}
