//! Which monitor needs a step, and why: one rule for a single monitor and for a count of those that are alike.
//!
//! Owns the order of the reasons. What an operator asked for comes before what automation wants; while the
//! cluster is frozen only that begins, and what had begun ends. Where a monitor goes, unless only one node will do, is the planner's choice.

use super::{Field, Slot};
use crate::decision::{MoveReason, Step};
use crate::facts::{self, MonitorRow, ShardGroup, Source};
use crate::ids::NodeId;

/// What the question depends on.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    home: Option<&'a NodeId>,
    effective: Option<&'a NodeId>,
    source: Option<&'a Source>,
    pinned: bool,
    asked: bool,
    kind: &'a str,
    run_on: &'a [String],
    only_kuma: bool,
}

impl<'a> From<&'a MonitorRow> for Case<'a> {
    fn from(row: &'a MonitorRow) -> Self {
        Self {
            home: row.home.as_ref(),
            effective: row.effective.as_ref(),
            source: row.source.as_ref(),
            pinned: row.pinned,
            asked: row.asked,
            kind: &row.kind,
            run_on: &row.run_on,
            only_kuma: row.only_kuma,
        }
    }
}

impl<'a> From<&'a ShardGroup> for Case<'a> {
    fn from(group: &'a ShardGroup) -> Self {
        Self {
            home: group.home.as_ref(),
            effective: group.effective.as_ref(),
            source: group.source.as_ref(),
            pinned: group.pinned,
            asked: group.asked,
            kind: &group.kind,
            run_on: &group.run_on,
            only_kuma: group.only_kuma,
        }
    }
}

/// A step that is needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Need<'a> {
    /// Which of the four steps it is.
    pub step: Step,
    /// Why the monitor needs it.
    pub reason: MoveReason,
    /// The one node it leads to; otherwise the least loaded.
    pub only: Option<&'a NodeId>,
    /// Everything was lost: it is given at a stock node's pace.
    pub is_refill: bool,
}

impl Field {
    /// What such a monitor needs now.
    pub fn need<'a>(&self, case: &Case<'a>) -> Option<Need<'a>> {
        let home = self.home_for(case);
        let need = |step, reason, only| Some(Need { step, reason, only, is_refill: false });
        let Some(effective) = case.effective else {
            return self.needs_node(case, home);
        };
        let is_away = home.is_some_and(|home| home != effective);
        let slot = self.nodes.get(effective);
        match slot {
            // Its node was deleted: nobody runs it.
            None if !self.is_frozen => return need(Step::Failover, MoveReason::NodeOffline, home),
            // Just revoked: it is lost once that was watched for a lease.
            Some(Slot { lost: None, has_holder: false, .. }) | None => return None,
            Some(Slot { lost: Some(reason), is_refill, .. }) => {
                let failover = Need { step: Step::Failover, reason: *reason, only: home, is_refill: *is_refill };
                return (!self.is_frozen).then_some(failover);
            }
            Some(Slot { lost: None, has_holder: true, .. }) => {}
        }
        if is_away && case.asked {
            return need(Step::Release, MoveReason::Operator, home);
        }
        if self.is_frozen {
            return None;
        }
        if is_away {
            return need(Step::Release, MoveReason::GoingHome, home);
        }
        let reason = slot.and_then(|slot| needs_to_leave(slot, case).or_else(|| self.needs_kuma(slot, case)))?;
        self.has_taker(case.kind, case.run_on, Some(effective)).then_some(Need {
            step: Step::Release,
            reason,
            only: None,
            is_refill: false,
        })
    }

    /// Its home, if that takes it now.
    pub(super) fn home_for<'a>(&self, case: &Case<'a>) -> Option<&'a NodeId> {
        case.home.filter(|home| {
            self.nodes.get(home).is_some_and(|slot| is_welcome(slot, case) && !self.is_in_vain_at(slot, case))
        })
    }

    /// A native home would look in vain: while a stock Kuma takes it, it stays away, unless an operator wants it there.
    fn is_in_vain_at(&self, home: &Slot, case: &Case<'_>) -> bool {
        let is_wanted = case.pinned || case.asked;
        case.only_kuma && !home.is_kuma && !is_wanted && self.has_kuma_for(case.kind, case.run_on)
    }

    /// Only where there is room: otherwise it stays where it is, and says so.
    fn needs_kuma(&self, slot: &Slot, case: &Case<'_>) -> Option<MoveReason> {
        let is_in_vain = case.only_kuma && !slot.is_kuma && !case.pinned;
        (is_in_vain && self.has_room_at_kuma(case.kind, case.run_on)).then_some(MoveReason::OnlyKuma)
    }

    /// A monitor that is nobody's. What was taken from a node arrives also while frozen: nobody watches it meanwhile.
    fn needs_node<'a>(&self, case: &Case<'a>, home: Option<&'a NodeId>) -> Option<Need<'a>> {
        let (step, reason, only) = match case.source {
            Some(source) if !self.arrivable.contains(source) => return None,
            None if self.is_frozen && !case.asked => return None,
            None if case.home.is_none() => (Step::Place, MoveReason::NewMonitor, None),
            Some(_) | None if case.asked && home.is_some() => (Step::Arrive, MoveReason::Operator, home),
            Some(_) | None => (Step::Arrive, MoveReason::Unowned, home),
        };
        Some(Need { step, reason, only, is_refill: false })
    }
}

/// Whether it may go home now; what an operator asked for waits for no cool-off.
fn is_welcome(home: &Slot, case: &Case<'_>) -> bool {
    home.is_eligible && (home.welcomes_home || case.asked) && home.takes(case.kind, case.run_on)
}

/// Why it leaves a living node that is not to be left for its home.
fn needs_to_leave(slot: &Slot, case: &Case<'_>) -> Option<MoveReason> {
    // While it is away its pin binds it to nowhere but home.
    if case.pinned && case.home == case.effective {
        return (slot.is_draining && slot.drains_pinned).then_some(MoveReason::Drain);
    }
    if !slot.runs(case.kind) {
        Some(MoveReason::KindUnsupported)
    } else if !facts::bears(&slot.labels, case.run_on) {
        Some(MoveReason::LabelsMissing)
    } else if slot.is_draining {
        Some(MoveReason::Drain)
    } else if slot.sheds_push && case.kind == "push" {
        Some(MoveReason::PushUnreachable)
    } else {
        None
    }
}
