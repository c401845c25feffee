//! Reads how far behind each node is.
//!
//! A monitor is overdue when `2 x interval + timeout` passed since the latest of: the beat that was stored last (by the
//! node's clock, corrected by what that clock was off at its last renewal), the change of its assignment, the start that
//! its node reported, its making or change through the API, and a step of its node's clock, after which the times of
//! earlier beats say nothing; the last four plus one interval, in which the next run falls. A time that lies ahead is such
//! a beat's, and says nothing either.
//! Kuma's table has no timestamp that can be trusted, so an edit in its UI shows by the start that the node reports.
//! A monitor in maintenance beats as well, and so needs no exception.

use std::collections::BTreeMap;
use std::time::Duration;

use komainu_watchdogs::clocks::CLOCK_OFF;
use komainu_watchdogs::facts::ProgressRow;
use komainu_watchdogs::ids::NodeId;

use super::dialect::Dialect;
use super::error::StoreError;
use super::session::Session;
use super::value::values;

/// Progress of each node that runs active probing monitors.
///
/// `spans`: none of a node's monitors has waited for longer than this, whatever the clocks of the database and of the node
/// say.
pub(crate) async fn read(
    session: &mut Session,
    stored_hint: &str,
    spans: &BTreeMap<NodeId, Duration>,
) -> Result<Vec<ProgressRow>, StoreError> {
    let act = "read the progress of the nodes";
    let sql = statement(session.dialect(), stored_hint, spans.len());
    let millis = |span: &Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    let values = spans.iter().flat_map(|(node, span)| values![node, millis(span)]).collect();
    let rows = session.rows(act, sql, values).await?;
    rows.iter()
        .map(|row| {
            Ok(ProgressRow { node: row.node("node")?, probing: row.small("probing")?, overdue: row.small("overdue")? })
        })
        .collect()
}

fn statement(dialect: Dialect, stored_hint: &str, spans: usize) -> String {
    // One jump per monitor through the index on its id, however many beats there are.
    let last_time =
        format!("(SELECT h.time FROM heartbeat h{stored_hint} WHERE h.monitor_id = m.id ORDER BY h.id DESC LIMIT 1)");
    let last_beat = dialect.datetime_ms(&last_time);
    let corrected = format!("{last_beat} - COALESCE(n.clock_ms - n.last_seen_ms, 0)");
    let ahead = CLOCK_OFF.as_millis();
    format!(
        "SELECT x.node, COUNT(*) AS probing, COUNT(CASE WHEN x.waited > x.allowed THEN 1 END) AS overdue FROM ( \
           SELECT a.effective_node AS node, \
             {bounded}{now} - {greatest}( \
               COALESCE(CASE WHEN {corrected} <= {now} + {ahead} THEN {corrected} END, 0), \
               COALESCE(n.clock_stepped_ms + m.`interval` * 1000, 0), \
               a.changed_at + m.`interval` * 1000, \
               COALESCE(a.started_at_ms + m.`interval` * 1000, 0), \
               COALESCE(k.updated_at + m.`interval` * 1000, 0)){bound} AS waited, \
             m.`interval` * 2000 + 1000 * (CASE WHEN m.timeout > 0 THEN m.timeout ELSE m.`interval` * 0.8 END) \
               AS allowed \
           FROM komainu_assignment a JOIN monitor m ON m.id = a.monitor_id \
           JOIN node n ON n.node_id = a.effective_node \
           LEFT JOIN komainu_monitor k ON k.monitor_id = a.monitor_id \
           WHERE m.active = 1 AND m.type NOT IN ('push', 'group', 'manual') \
         ) x GROUP BY x.node ORDER BY x.node",
        now = dialect.now_ms(),
        greatest = dialect.greatest(),
        bounded = if spans == 0 { String::new() } else { format!("{}(", dialect.least()) },
        bound = bound(spans),
    )
}

/// The span of each of so many nodes; none for the others.
fn bound(spans: usize) -> String {
    if spans == 0 {
        return String::new();
    }
    let arms = " WHEN ? THEN ?".repeat(spans);
    format!(", CASE a.effective_node{arms} ELSE {} END)", i64::MAX)
}
