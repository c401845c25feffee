//! Whether a loss that the leases show is believed at once.
//!
//! A lease that ended says that nothing of its holder runs any more; moving is safe then. Whether it is wise is another
//! question: where most nodes go at once, the network or the database may be ill rather than the nodes, and moving
//! everything to the few that are left would make it worse. The hold ([`crate::policy::Policy::stall_grace`]) is for such
//! doubt, not for proof: a majority of the watchdogs sees the hosts refuse or silent, while the world outside answers, the
//! database takes what is written, and the nodes that are left are well. Then nothing is waited for. Nor for one that tells a majority
//! that its own way to the database is gone, while the database is well. What moves, and where, is [`crate::failover`]'s.

use std::collections::BTreeMap;
use std::fmt;

use crate::assess::{Assessment, Assessor};
use crate::decision::StatusReason;
use crate::facts::NodeRow;
use crate::failover::{Loss, Situation, decide_loss};
use crate::ids::NodeId;
use crate::policy::Policy;
use crate::quorum::Reach;
use crate::refill::Pause;
use crate::status::{Lease, Progress};
use crate::time::{Mono, Wall};

/// What a watchdog stands on when it judges others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Footing {
    /// Watchdogs that are registered and did not stop on purpose.
    pub registered: u32,
    /// Those that live, and say themselves that they are cut off.
    pub cut_off: u32,
    /// One of its canaries answers, or it has none.
    pub reaches_world: bool,
    /// The database answers it, in time, reads and writes.
    pub is_database_well: bool,
}

/// Why monitors of a node whose lease is over are not moved yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// It answers, or nobody can say that it does not.
    Answers,
    /// Most nodes went at once, and the database is slow or fails.
    Database,
    /// Most nodes went at once, and so did this watchdog's canaries.
    World,
    /// Most nodes went at once, and so many watchdogs say that they are cut off.
    CutOff(u32),
    /// Most nodes went at once, and only so many of the registered watchdogs see this one gone.
    Votes(u32, u32),
    /// Most nodes went at once, and so many of them answer.
    Stalled(u32, u32),
    /// Most nodes went at once, and the others are not well either.
    Survivors,
    /// No node ran anything until just now: the first one waits for company.
    Company,
    /// No node ran anything a while ago, and this one answers again.
    Returning,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = "most nodes were lost at once and";
        match self {
            Self::Answers => write!(f, "its lease ended, but no majority of the watchdogs sees it gone"),
            Self::Database => write!(f, "{most} the database is slow or fails"),
            Self::World => write!(f, "{most} no canary answers"),
            Self::CutOff(count) => write!(f, "{most} {count} of the watchdogs are cut off"),
            Self::Votes(down, registered) => write!(f, "{most} only {down} of {registered} watchdogs see it gone"),
            Self::Stalled(answering, lost) => write!(f, "{most} {answering} of these {lost} still answer"),
            Self::Survivors => write!(f, "{most} the nodes that are left are not well"),
            Self::Company => write!(f, "no node ran anything until just now, and others may be back in a moment"),
            Self::Returning => write!(f, "no node ran anything until a while ago, and this one answers again"),
        }
    }
}

/// Until when monitors of a node whose lease is over are not moved, unless the doubt ends before, and why; `None`: nothing
/// is waited for.
pub fn decide_wait(situation: &Situation<'_>, row: &NodeRow, node: &Assessment) -> Option<(Mono, Doubt)> {
    let Situation { now, assessor, policy, .. } = *situation;
    match assessor.refill().pause(now, node, policy) {
        Some(Pause::Company(until)) => return Some((until, Doubt::Company)),
        Some(Pause::Returning(until)) => return Some((until, Doubt::Returning)),
        None => {}
    }
    let until = node.ended_since? + policy.stall_grace;
    if now < until { decide_doubt(situation, row, node).map(|doubt| (until, doubt)) } else { None }
}

/// Why monitors of a node whose lease is over are not moved at once.
fn decide_doubt(situation: &Situation<'_>, row: &NodeRow, node: &Assessment) -> Option<Doubt> {
    let was_emptied = row.incarnation.is_none() && row.emptied.is_some();
    // It said so itself, or it was taken from it.
    if node.lease == Lease::Released || was_emptied {
        return None;
    }
    // One that says itself that its way to the database is gone, while the database is well, is not about to renew.
    let is_cut_off = node.is_blind && situation.footing.is_database_well;
    if node.reach != Reach::Down && !is_cut_off {
        return Some(Doubt::Answers);
    }
    let lately = Lately::of(situation.now, situation.assessor, situation.policy);
    if lately.is_mass_loss() { doubt_of_many(situation.footing, &lately, node) } else { None }
}

fn doubt_of_many(footing: Footing, lately: &Lately<'_>, node: &Assessment) -> Option<Doubt> {
    let Footing { registered, cut_off, reaches_world, is_database_well } = footing;
    let (down, _) = node.votes_down;
    let (answering, lost) = lately.answering();
    if !is_database_well {
        Some(Doubt::Database)
    } else if !reaches_world {
        Some(Doubt::World)
    } else if cut_off > 0 {
        Some(Doubt::CutOff(cut_off))
    } else if 2 * down <= registered {
        Some(Doubt::Votes(down, registered))
    } else if 2 * answering > lost {
        Some(Doubt::Stalled(answering, lost))
    } else {
        (!lately.has_survivors()).then_some(Doubt::Survivors)
    }
}

/// The nodes that were online lately, by what became of their leases.
struct Lately<'a> {
    holding: Vec<&'a Assessment>,
    lost: Vec<&'a Assessment>,
}

impl<'a> Lately<'a> {
    /// Leases that ended together are not *seen* to end together, as each was renewed at another moment: one that stood
    /// still until its node has fenced itself is lost too.
    fn of(now: Mono, assessor: &'a Assessor, policy: &Policy) -> Self {
        let is_lately =
            |node: &&Assessment| node.last_online.is_some_and(|at| now.since(at) <= policy.mass_loss_window);
        let nodes = assessor.all().map(|(_, node)| node).filter(is_lately);
        let (holding, lost) = nodes.partition(|node| !node.lease.is_over() && !node.is_fenced);
        Self { holding, lost }
    }

    /// Fewer than half of them still hold their leases.
    fn is_mass_loss(&self) -> bool {
        self.holding.len() < self.lost.len()
    }

    /// How many of the lost ones no majority sees gone, of how many.
    fn answering(&self) -> (u32, u32) {
        let answers = |node: &&&Assessment| node.reach != Reach::Down && node.lease != Lease::Released;
        (small(self.lost.iter().filter(answers).count()), small(self.lost.len()))
    }

    /// At least half of those that are left are reached, renew, and store beats.
    fn has_survivors(&self) -> bool {
        let is_well = |node: &&&Assessment| node.is_watching() && node.reach == Reach::Up && node.is_renewing;
        let well = self.holding.iter().filter(is_well).count();
        well > 0 && 2 * well >= self.holding.len()
    }
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Monitors of a node that would move, were it not for a doubt.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Waiting {
    /// Whose monitors wait.
    pub node_id: NodeId,
    /// How many they are.
    pub monitors: u32,
    /// Until when, by the database's clock, unless the doubt or the loss ends before.
    pub until: Wall,
    /// Why.
    pub because: String,
}

/// What waits for a doubt to end. Nothing while no node could take it.
pub fn waiting(situation: &Situation<'_>) -> Vec<Waiting> {
    let nodes = situation.round.nodes.iter();
    nodes.filter_map(|row| wait_of(situation, row, situation.assessor.of(&row.node)?)).collect()
}

fn wait_of(situation: &Situation<'_>, row: &NodeRow, node: &Assessment) -> Option<Waiting> {
    let monitors = situation.monitors_of(&row.node);
    if monitors == 0 || decide_loss(situation, row, node) != Loss::No {
        return None;
    }
    let Situation { now, policy, .. } = *situation;
    let (at, because) = if node.lease.is_over() {
        let (at, doubt) = decide_wait(situation, row, node)?;
        (at, doubt.to_string())
    } else {
        let is_stale = node.progress == Progress::Stale && node.reason == StatusReason::NoProgress;
        // Where nothing will be revoked there is nothing to wait for.
        let is_due = is_stale && situation.may_revoke(&row.node);
        let at = node.stale_since.filter(|_| is_due)? + policy.stall_grace;
        (at, "it renews its lease, but its monitors make no progress".to_owned())
    };
    let left = at.since(now);
    let until = situation.round.database_time + left;
    (!left.is_zero()).then(|| Waiting { node_id: row.node.clone(), monitors, until, because })
}

/// One sentence for each reason: what is waited for alike is named together.
pub fn texts(waiting: &[Waiting]) -> Vec<String> {
    let mut alike: BTreeMap<&str, Vec<&Waiting>> = BTreeMap::new();
    for one in waiting {
        alike.entry(&one.because).or_default().push(one);
    }
    let text = |(because, those): (&str, Vec<&Waiting>)| {
        let names: Vec<_> = those.iter().map(|one| one.node_id.as_str()).collect();
        let until = those.iter().map(|one| one.until).max().unwrap_or_default();
        format!("monitors of {} are not moved yet: waiting until {}, because {because}", names.join(", "), clock(until))
    };
    alike.into_iter().map(text).collect()
}

/// The time of day.
fn clock(at: Wall) -> String {
    let seconds = at.0.div_euclid(1_000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02} UTC", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}
