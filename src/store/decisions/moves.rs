//! The moves of a decision: one statement for up to [`STATEMENT_MONITORS`] monitors of a kind of move.
//!
//! Each statement names what the plan saw of the row: effective node, home, pin, wish, and that nothing was written there
//! since. One that says otherwise is left alone, as are those that name a node of which something else was asked since.

use std::collections::BTreeMap;

use komainu_watchdogs::decision::{Decision, MoveReason, Refusal, Step};
use komainu_watchdogs::ids::{Generation, MonitorId, NodeId};
use serde_json::{Value as Json, json};

use super::Stop;
use super::nodes::LockedNodes;
use crate::store::dialect::Dialect;
use crate::store::monitors::places;
use crate::store::session::Statement;
use crate::store::value::{Value, values};

/// So many monitors at most go in one statement: 5,000 in one took over a second while others wrote as much.
const STATEMENT_MONITORS: usize = 1_000;

/// Moves that one statement can make.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    step: Step,
    from: Option<NodeId>,
    to: Option<NodeId>,
    home: Option<NodeId>,
    pinned: bool,
    asked: bool,
    reason: MoveReason,
}

/// Rows that changed.
pub(super) struct Moved {
    kinds: Vec<(Kind, u32)>,
}

impl Moved {
    /// `changed`: what each statement of [`planned`] changed, in order.
    pub(super) fn of(planned: Vec<(Kind, Vec<Statement>)>, mut changed: impl Iterator<Item = u64>) -> Self {
        let rows = |(kind, statements): (Kind, Vec<Statement>)| {
            let rows: u64 = changed.by_ref().take(statements.len()).sum();
            (kind, u32::try_from(rows).unwrap_or(u32::MAX))
        };
        Self { kinds: planned.into_iter().map(rows).collect() }
    }

    pub(super) fn total(&self) -> u32 {
        self.kinds.iter().map(|(_, rows)| rows).sum()
    }

    pub(super) fn as_json(&self) -> Json {
        let kinds = self
            .kinds
            .iter()
            .map(|(kind, rows)| json!({ "from": kind.from, "to": kind.to, "reason": kind.reason, "monitors": rows }));
        Json::Array(kinds.collect())
    }
}

/// The statements of each kind of move. `makes`: the generation that they belong to; `nodes`: after the revokes.
pub(super) fn planned(
    dialect: Dialect,
    decision: &Decision,
    nodes: &LockedNodes,
    makes: Generation,
) -> Result<Vec<(Kind, Vec<Statement>)>, Stop> {
    let mut planned = Vec::new();
    for (kind, monitors) in by_kind(decision, nodes) {
        let mut statements = Vec::new();
        for monitors in monitors.chunks(STATEMENT_MONITORS) {
            let batch = Batch { dialect, decision, makes, kind: &kind, ids: id_list_of(monitors) };
            statements.extend(match kind.step {
                Step::Place => batch.place(),
                Step::Release => batch.release(nodes)?,
                Step::Arrive => batch.arrive(),
                Step::Failover => batch.fail_over(nodes)?,
            });
        }
        planned.push((kind, statements));
    }
    Ok(planned)
}

fn by_kind(decision: &Decision, nodes: &LockedNodes) -> BTreeMap<Kind, Vec<MonitorId>> {
    let mut kinds: BTreeMap<Kind, Vec<MonitorId>> = BTreeMap::new();
    for planned in decision.moves.iter().filter(|step| nodes.stands(step)) {
        let kind = Kind {
            step: planned.step,
            from: planned.from.clone(),
            to: planned.to.clone(),
            home: planned.home.clone(),
            pinned: planned.pinned,
            asked: planned.asked,
            reason: planned.reason,
        };
        kinds.entry(kind).or_default().push(planned.monitor);
    }
    for monitors in kinds.values_mut() {
        monitors.sort_unstable();
    }
    kinds
}

/// One kind's monitors.
struct Batch<'a> {
    dialect: Dialect,
    decision: &'a Decision,
    makes: Generation,
    kind: &'a Kind,
    ids: String,
}

impl Batch<'_> {
    /// Gives a home to rows without one, and a row to monitors without one.
    fn place(&self) -> Vec<Statement> {
        let Some(to) = &self.kind.to else { return Vec::new() };
        let homeless = format!(
            "UPDATE komainu_assignment{} SET {}, node_id = ?, assigned_node = NULL WHERE monitor_id IN ({}) \
             AND pinned = ? AND COALESCE(assigned_node, '') = '' AND COALESCE(node_id, '') = '' \
             AND source_node IS NULL AND generation <= ?",
            self.dialect.by_primary(),
            stamped(self.dialect),
            self.ids
        );
        let filled =
            [self.stamp_values(), values![to], values![self.kind.pinned, self.decision.seen.generation]].concat();
        let new = format!(
            "INSERT INTO komainu_assignment (monitor_id, node_id, pinned, reason, epoch, generation, changed_at) \
             SELECT m.id, ?, ?, ?, ?, ?, {} FROM monitor m WHERE m.id IN ({}) \
             AND NOT EXISTS (SELECT 1 FROM komainu_assignment a WHERE a.monitor_id = m.id) ORDER BY m.id",
            self.dialect.now_ms(),
            self.ids
        );
        let made = [values![to, self.kind.pinned], self.stamp_values()].concat();
        vec![(homeless, filled), (new, made)]
    }

    /// Makes them nobody's, and writes down who may still be running them: the holder under our lock, whoever the
    /// plan saw.
    fn release(&self, nodes: &LockedNodes) -> Result<Vec<Statement>, Stop> {
        let Some(from) = &self.kind.from else { return Ok(Vec::new()) };
        let Some(holder) = nodes.holder(from) else {
            return Err(Stop::Refused(Refusal::NodeLives(from.clone())));
        };
        let sets = "assigned_node = '', source_node = ?, source_incarnation = ?, released_at = ?";
        Ok(vec![self.update(sets, values![from, holder, self.makes])])
    }

    /// At home a monitor bears no assigned node, and what an operator asked for is done.
    fn arrive(&self) -> Vec<Statement> {
        let Some(to) = &self.kind.to else { return Vec::new() };
        let sets = "assigned_node = CASE WHEN node_id = ? THEN NULL ELSE ? END, source_node = NULL, \
             source_incarnation = NULL, released_at = NULL, asked = CASE WHEN node_id = ? THEN 0 ELSE asked END";
        vec![self.update(sets, values![to, to, to])]
    }

    /// The lease was revoked in this transaction, or is vacant: whatever the guards say, nobody may hold it.
    fn fail_over(&self, nodes: &LockedNodes) -> Result<Vec<Statement>, Stop> {
        let holder = self.kind.from.as_ref().and_then(|from| nodes.holder(from));
        match (&self.kind.from, holder) {
            (Some(from), Some(_)) => Err(Stop::Refused(Refusal::NodeLives(from.clone()))),
            (_, _) => Ok(self.arrive()),
        }
    }

    fn update(&self, sets: &str, values: Vec<Value>) -> Statement {
        // MariaDB assigns from left to right: the stamp looks at the source before it is taken away.
        let sql = format!(
            "UPDATE komainu_assignment{} SET {}, {sets} WHERE monitor_id IN ({}) AND pinned = ? AND asked = ? \
             AND generation <= ? AND COALESCE(assigned_node, node_id, '') = ? AND COALESCE(node_id, '') = ?",
            self.dialect.by_primary(),
            if self.keeps_reason() { arrived(self.dialect) } else { stamped(self.dialect) },
            self.ids
        );
        let name = |node: &Option<NodeId>| node.as_ref().map_or_else(String::new, |node| node.as_str().to_owned());
        let read_at = self.decision.seen.generation;
        let seen = values![self.kind.pinned, self.kind.asked, read_at, name(&self.kind.from), name(&self.kind.home)];
        (sql, [self.stamp_values(), values, seen].concat())
    }

    /// That it was nobody's says nothing of one that was sent: it is where it is for what sent it.
    fn keeps_reason(&self) -> bool {
        self.kind.step == Step::Arrive && self.kind.reason == MoveReason::Unowned
    }

    fn stamp_values(&self) -> Vec<Value> {
        values![self.kind.reason.as_str(), self.decision.epoch, self.makes]
    }
}

/// MariaDB assigns from left to right: where it was is kept first.
fn stamped(dialect: Dialect) -> String {
    format!("{}, reason = ?, epoch = ?, generation = ?, changed_at = {}", places::kept(dialect), dialect.now_ms())
}

/// What was released keeps the reason of its release.
fn arrived(dialect: Dialect) -> String {
    stamped(dialect).replacen("reason = ?", "reason = CASE WHEN source_node IS NULL THEN ? ELSE reason END", 1)
}

fn id_list_of(monitors: &[MonitorId]) -> String {
    let ids: Vec<i64> = monitors.iter().map(|monitor| monitor.0).collect();
    id_list(&ids)
}

/// Numbers as SQL: thousands of placeholders would be slower, and MariaDB has a limit.
pub(in crate::store) fn id_list(ids: &[i64]) -> String {
    ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}
