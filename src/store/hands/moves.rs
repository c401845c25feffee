//! Moves and pins by hand: one monitor or thousands, all or none.
//!
//! A move by hand gives the monitor a new home and says that it is asked there; who runs it stays as it is until the
//! leader has taken it off that node and knows that it stopped there. So a hand never makes two nodes run a monitor,
//! whatever the leader was doing: a monitor that is nobody's keeps its source, one that has just failed over keeps its
//! new owner. Arrived, it is not asked any more.

pub(super) mod write;

use std::collections::BTreeSet;

use komainu_watchdogs::facts::Overlay;
use komainu_watchdogs::ids::{MonitorId, NodeId};

use super::{HandOutcome, MonitorFault, Refusal, Target, WhyNot, fitting, lock, refuses, targets};
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Session, Sql};
use crate::store::shard;
use crate::store::value::{Row, values};

/// What a monitor asks of its node: as komainu's clients say it, and as people say it in Kuma's UI.
const AFFINITY: &str = "LEFT JOIN komainu_monitor k ON k.monitor_id = m.id AND k.run_on IS NOT NULL \
     LEFT JOIN (SELECT p.monitor_id, GROUP_CONCAT(p.value) AS tagged FROM tag g JOIN monitor_tag p ON p.tag_id = g.id \
     WHERE g.name = ? GROUP BY p.monitor_id) t ON t.monitor_id = m.id";

/// How a request names the monitors that it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection {
    /// Those with these ids.
    Ids(Vec<MonitorId>),
    /// Those with this tag.
    Tag(String),
    /// Those that this node runs, or that are on their way to it.
    FromNode(NodeId),
}

/// Where monitors are to be bound.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PinPlace {
    /// To this node.
    Node(NodeId),
    /// Each stays where it runs; one that nobody runs, where its home is.
    WhereItRuns,
}

/// What is asked of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Goal {
    /// To have their home on this node, and be there.
    Move {
        /// The node that is to be their home.
        to: NodeId,
        /// Bound to it or not; `None`: as before.
        pin: Option<bool>,
    },
    /// To be bound there.
    Pin(PinPlace),
    /// To be bound no longer. Their home stays.
    Unpin,
}

impl Goal {
    /// As the audit trail names it.
    fn as_deed(&self) -> &'static str {
        match self {
            Self::Move { .. } => "monitor.move",
            Self::Pin(PinPlace::Node(_) | PinPlace::WhereItRuns) => "monitor.pin",
            Self::Unpin => "monitor.unpin",
        }
    }
}

/// A move or a pin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandMove {
    /// The monitors that it is about.
    pub which: Selection,
    /// What is asked of them.
    pub goal: Goal,
}

/// What was asked of one monitor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// The monitor's id.
    pub id: MonitorId,
    /// Who runs it; `None`: nobody yet.
    pub from: Option<NodeId>,
    /// Where it is asked to be.
    pub to: Option<NodeId>,
}

/// What a hand moved or pinned.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MovedByHand {
    /// Those whose place or pin changed, or that are on their way already.
    pub items: Vec<Asked>,
    /// Those for which nothing was left to do.
    pub already_there: u32,
}

/// Writes the wish, for all of them or for none.
pub async fn move_by_hand(store: &Store, wish: &HandMove, by: &str) -> Result<HandOutcome<MovedByHand>, StoreError> {
    in_transaction!(store, "move by hand", |session| move_in(session, wish, by).await)
}

async fn move_in(session: &mut Session, wish: &HandMove, by: &str) -> Result<HandOutcome<MovedByHand>, StoreError> {
    let cluster = lock(session).await?;
    if let Some(refusal) = refuses(&cluster) {
        return Ok(HandOutcome::Refused(refusal));
    }
    let targets = targets(session).await?;
    if let Some(refusal) = unknown_node(&targets, wish) {
        return Ok(HandOutcome::Refused(refusal));
    }
    let placed = select(session, &wish.which).await?;
    let planned = match plan(&targets, &placed, wish) {
        Ok(planned) => planned,
        Err(refusal) => return Ok(HandOutcome::Refused(refusal)),
    };
    write::write(session, &planned, (wish.goal.as_deed(), by)).await?;
    let is_there = |one: &&Planned| one.todo == Todo::Nothing;
    let items = planned.iter().filter(|one| !is_there(one)).map(|one| Asked {
        id: one.stood.id,
        from: one.stood.effective.clone(),
        to: one.to.clone(),
    });
    let already_there = u32::try_from(planned.iter().filter(is_there).count()).unwrap_or(u32::MAX);
    Ok(HandOutcome::Done(MovedByHand { items: items.collect(), already_there }))
}

/// A monitor's assignment before a hand.
#[derive(Clone)]
pub(super) struct Stood {
    pub(super) id: MonitorId,
    /// There is a row for it.
    pub(super) has_row: bool,
    pub(super) home: Option<NodeId>,
    pub(super) effective: Option<NodeId>,
    pub(super) pinned: bool,
}

/// A monitor with its assignment.
struct Placed {
    kind: String,
    run_on: Vec<String>,
    asked: bool,
    stood: Stood,
}

/// What is left to do for one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Todo {
    /// It is there, and bound as it is to be.
    Nothing,
    /// It was asked there before, and has not arrived.
    OnItsWay,
    /// Its row changes.
    Write,
}

/// One monitor and where it is to be.
pub(super) struct Planned {
    pub(super) stood: Stood,
    /// `None`: where it belongs already, wherever that is.
    pub(super) to: Option<NodeId>,
    pub(super) pinned: bool,
    pub(super) todo: Todo,
}

fn unknown_node(targets: &[Target], wish: &HandMove) -> Option<Refusal> {
    let to = match &wish.goal {
        Goal::Move { to, .. } | Goal::Pin(PinPlace::Node(to)) => Some(to),
        Goal::Pin(PinPlace::WhereItRuns) | Goal::Unpin => None,
    };
    let from = match &wish.which {
        Selection::FromNode(node) => Some(node),
        Selection::Ids(_) | Selection::Tag(_) => None,
    };
    let is_known = |node: &NodeId| targets.iter().any(|target| target.node == *node);
    to.into_iter().chain(from).find(|node| !is_known(node)).map(|node| Refusal::NoSuchNode(node.clone()))
}

async fn select(session: &mut Session, which: &Selection) -> Result<Vec<Placed>, StoreError> {
    let (condition, values) = match which {
        Selection::Ids(ids) if ids.is_empty() => return Ok(vec![]),
        Selection::Ids(ids) => {
            let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
            (format!("m.id IN ({})", id_list(&ids)), vec![])
        }
        Selection::Tag(tag) => {
            let tagged = "m.id IN (SELECT mt.monitor_id FROM monitor_tag mt JOIN tag t ON t.id = mt.tag_id \
                 WHERE t.name = ?)";
            (tagged.to_owned(), values![tag])
        }
        Selection::FromNode(node) => {
            let there = "(a.effective_node = ? OR (a.effective_node = '' AND a.node_id = ?))";
            (there.to_owned(), values![node, node])
        }
    };
    let sql = format!(
        "SELECT m.id, m.type, a.monitor_id, a.node_id, a.effective_node, a.pinned, a.asked, k.run_on, t.tagged \
         FROM monitor m LEFT JOIN komainu_assignment a ON a.monitor_id = m.id {AFFINITY} WHERE {condition} ORDER BY m.id"
    );
    let values = [values![shard::TAG], values].concat();
    let rows = session.rows("look up monitors", Sql::Once(sql), values).await?;
    rows.iter().map(row_of).collect()
}

fn row_of(row: &Row) -> Result<Placed, StoreError> {
    Ok(Placed {
        kind: row.text("type")?,
        run_on: shard::run_on(row)?,
        asked: row.flag("asked")?,
        stood: Stood {
            id: MonitorId(row.int("id")?),
            has_row: row.maybe_int("monitor_id")?.is_some(),
            home: row.maybe_node("node_id")?,
            effective: row.maybe_node("effective_node")?,
            pinned: row.flag("pinned")?,
        },
    })
}

/// Where each is to be; refused as a whole where one of them cannot be there.
fn plan(targets: &[Target], placed: &[Placed], wish: &HandMove) -> Result<Vec<Planned>, Refusal> {
    let mut faults = unknown_monitors(placed, &wish.which);
    let mut planned = Vec::with_capacity(placed.len());
    for row in placed {
        let stood = &row.stood;
        let (to, pinned) = match &wish.goal {
            Goal::Unpin => (None, false),
            Goal::Move { to, pin } => (Some(to), pin.unwrap_or(stood.pinned)),
            Goal::Pin(PinPlace::Node(to)) => (Some(to), true),
            Goal::Pin(PinPlace::WhereItRuns) => (stood.effective.as_ref().or(stood.home.as_ref()), true),
        };
        if to.is_none() && wish.goal != Goal::Unpin {
            faults.push(MonitorFault { monitor: stood.id, why: WhyNot::Nowhere });
        }
        if let Some(target) = to.and_then(|to| targets.iter().find(|target| target.node == *to)) {
            if target.overlay != Overlay::None {
                return Err(Refusal::Draining(target.node.clone()));
            }
            faults.extend(fitting::fault(target, stood.id, &row.kind, &row.run_on));
        }
        planned.push(Planned { stood: stood.clone(), to: to.cloned(), pinned, todo: todo(row, to, pinned) });
    }
    if faults.is_empty() { Ok(planned) } else { Err(Refusal::Impossible(faults)) }
}

fn unknown_monitors(placed: &[Placed], which: &Selection) -> Vec<MonitorFault> {
    let Selection::Ids(ids) = which else { return vec![] };
    let known: BTreeSet<MonitorId> = placed.iter().map(|row| row.stood.id).collect();
    let unknown = ids.iter().filter(|id| !known.contains(id));
    unknown.map(|id| MonitorFault { monitor: *id, why: WhyNot::Unknown }).collect()
}

fn todo(row: &Placed, to: Option<&NodeId>, pinned: bool) -> Todo {
    let is_home = to.is_none() || row.stood.home.as_ref() == to;
    let is_there = to.is_none() || row.stood.effective.as_ref() == to;
    match (is_home && row.stood.pinned == pinned, is_there, row.asked) {
        (true, true, _) => Todo::Nothing,
        (true, false, true) => Todo::OnItsWay,
        (true, false, false) | (false, _, _) => Todo::Write,
    }
}
