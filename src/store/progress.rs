//! Reads how far behind each node is.
//!
//! A monitor is overdue when `2 x interval + timeout` passed since the latest of: the beat that was stored last (by the
//! node's clock, corrected by what that clock was off at its last renewal), the change of its assignment, the start that
//! its node reported, its making or change through the API, and a step of its node's clock, after which the times of
//! earlier beats say nothing; the last four plus one interval, in which the next run falls. A time that lies ahead is such
//! a beat's, and says nothing either.
//! Kuma's table has no timestamp that can be trusted, so an edit in its UI shows by the start that the node reports.
//! A monitor in maintenance beats as well, and so needs no exception.
//! Of a large node a part is looked at, and what is found in it stands for the whole.
//!
//! A monitor beats while its last beat is no older than its interval and [`SLACK`]; one that began since has [`FIRST_BEAT`].
//! A single one may take longer, as its target hangs: that none of many does says that nothing is being run.

use std::collections::BTreeMap;
use std::time::Duration;

use komainu_watchdogs::clocks::CLOCK_OFF;
use komainu_watchdogs::facts::ProgressRow;
use komainu_watchdogs::ids::NodeId;
use komainu_watchdogs::sampling::Look;

use super::dialect::Dialect;
use super::error::StoreError;
use super::session::Session;
use super::value::{Value, values};

/// What a run, and storing its beat, may take beyond the interval.
const SLACK: Duration = Duration::from_secs(10);

/// How soon the first beats of a node are stored, at the latest: the first runs of many begin within five seconds.
const FIRST_BEAT: Duration = Duration::from_secs(20);

/// Progress of each node that runs active probing monitors, by what is asked of it; everything of a node that is not
/// named.
pub(crate) async fn read(
    session: &mut Session,
    stored_hint: &str,
    looks: &BTreeMap<NodeId, Look>,
) -> Result<Vec<ProgressRow>, StoreError> {
    let act = "read the progress of the nodes";
    let (sql, values) = statement(session.dialect(), stored_hint, looks);
    let rows = session.rows(act, sql, values).await?;
    rows.iter()
        .map(|row| {
            let node = row.node("node")?;
            let part = looks.get(&node).and_then(|look| look.part);
            let whole = |found: u32| found.saturating_mul(part.map_or(1, |part| part.of));
            let [probing, overdue, beating] = ["probing", "overdue", "beating"].map(|name| row.small(name).map(whole));
            Ok(ProgressRow { node, probing: probing?, overdue: overdue?, beating: beating? })
        })
        .collect()
}

fn statement(dialect: Dialect, stored_hint: &str, looks: &BTreeMap<NodeId, Look>) -> (String, Vec<Value>) {
    let corrected = format!("{} - COALESCE(n.clock_ms - n.last_seen_ms, 0)", dialect.datetime_ms("h.time"));
    let ahead = CLOCK_OFF.as_millis();
    let (bounds, mut values) = bounds(looks);
    let (parts, of_parts) = parts(looks);
    values.extend(of_parts);
    // Which monitors are looked at an index says by node and place; of those, one jump each through the index on the id
    // of a monitor, however many beats there are.
    let sql = format!(
        "SELECT x.node, COUNT(*) AS probing, \
           COUNT(CASE WHEN {least}({now} - {greatest}(x.beat_at, x.begun_at + x.every), x.bound) > x.allowed THEN 1 END) \
             AS overdue, \
           COUNT(CASE WHEN {least}({now} - {greatest}(x.beat_at, x.begun_at), x.bound) <= \
             CASE WHEN x.beat_at + 1000 > x.begun_at THEN x.every + {slack} ELSE {first} END THEN 1 END) AS beating \
         FROM ( \
           SELECT a.effective_node AS node, m.`interval` * 1000 AS every, {bounds} AS bound, \
             COALESCE(CASE WHEN {corrected} <= {now} + {ahead} THEN {corrected} END, 0) AS beat_at, \
             {greatest}(COALESCE(n.clock_stepped_ms, 0), a.changed_at, COALESCE(a.started_at_ms, 0), \
               COALESCE(k.updated_at, 0)) AS begun_at, \
             m.`interval` * 2000 + 1000 * (CASE WHEN m.timeout > 0 THEN m.timeout ELSE m.`interval` * 0.8 END) \
               AS allowed \
           FROM komainu_assignment s{by_node} {straight} komainu_assignment a ON a.monitor_id = s.monitor_id \
           {straight} monitor m ON m.id = s.monitor_id {straight} node n ON n.node_id = a.effective_node \
           LEFT JOIN komainu_monitor k ON k.monitor_id = a.monitor_id \
           LEFT JOIN heartbeat h ON h.id = (SELECT l.id FROM heartbeat l{stored_hint} WHERE l.monitor_id = m.id \
             ORDER BY l.id DESC LIMIT 1) \
           WHERE {parts} AND m.active = 1 AND m.type NOT IN ('push', 'group', 'manual') \
         ) x GROUP BY x.node ORDER BY x.node",
        slack = SLACK.as_millis(),
        first = FIRST_BEAT.as_millis(),
        now = dialect.now_ms(),
        least = dialect.least(),
        greatest = dialect.greatest(),
        straight = dialect.straight(),
        by_node = dialect.by_index("komainu_assignment_place"),
    );
    (sql, values)
}

/// The longest that a monitor of each node can have waited.
fn bounds(looks: &BTreeMap<NodeId, Look>) -> (String, Vec<Value>) {
    let spans = looks.iter().filter_map(|(node, look)| Some((node, look.within?)));
    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    let values: Vec<_> = spans.flat_map(|(node, span)| values![node, millis(span)]).collect();
    if values.is_empty() {
        return (i64::MAX.to_string(), values);
    }
    let arms = " WHEN ? THEN ?".repeat(values.len() / 2);
    (format!("CASE a.effective_node{arms} ELSE {} END", i64::MAX), values)
}

/// Whether a monitor is in the part of its node that is looked at.
fn parts(looks: &BTreeMap<NodeId, Look>) -> (String, Vec<Value>) {
    let parts: Vec<_> = looks.iter().filter_map(|(node, look)| Some((node, look.part?))).collect();
    if parts.is_empty() {
        return ("1 = 1".to_owned(), vec![]);
    }
    let arcs = vec!["(s.effective_node = ? AND s.place >= ? AND s.place < ?)"; parts.len()].join(" OR ");
    let others = vec!["?"; parts.len()].join(", ");
    let mut values: Vec<_> = parts.iter().flat_map(|(node, part)| values![*node, part.from, part.until]).collect();
    values.extend(parts.iter().flat_map(|(node, _)| values![*node]));
    (format!("({arcs} OR s.effective_node NOT IN ({others}))"), values)
}
