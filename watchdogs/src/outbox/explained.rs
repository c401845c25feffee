//! What explains a delivery to the channel that it waits for.
//!
//! Two things do. What is *known*: a database that takes no writes explains what is learnt through it, a lost node the monitors that
//! it runs now, and only while they are not being run: one that merely cannot be reached hides nothing. That is a guess, and holds
//! nothing for longer than [`HELD_AT_MOST`]. And what people *declared*: that one thing depends on another. That holds for as long as
//! its cause is critical, and [`SETTLES_WITHIN`] longer, so that what only follows it has time to recover; but not longer than a guess
//! while the channel is yet to be told of the cause, for it may refuse just that. A declaration is looked at
//! alone: where the cause itself is well, what that one depends on explains nothing.
//!
//! Only what the channel knows explains anything: a cause that it was told of, that it is about to be told of, or that is itself
//! explained by such a one. A cause that somebody silenced before its channel heard of it explains nothing. Things that would explain each other (a
//! node runs the monitor that it depends on) do not leave each other untold: the one that reaches farthest is told.

use std::collections::BTreeMap;
use std::time::Duration;

use super::queue::Queued;
use crate::ids::NodeId;
use crate::io::Severity;
use crate::time::Wall;

/// Longer than that nothing is held because of a guess: it may be wrong, and somebody waits to be told.
pub const HELD_AT_MOST: Duration = Duration::from_secs(600);

/// So long after its end a declared cause still explains what depends on it: most things are looked at once a minute, and are found
/// to be well again by then. What is not is told as one message.
pub const SETTLES_WITHIN: Duration = Duration::from_secs(60);

/// A cause's cause is followed so far; what stands behind a longer row of them is told by itself.
const MOST_STEPS: u32 = 16;

/// The kinds that say nothing while the database cannot be written: all of them are learnt through it.
const EXPLAINED_BY_DATABASE: [&str; 8] =
    ["nodes", "node", "progress", "watchdog", "leader", "monitor", "heartbeat", "pushes"];

/// An incident that explains others, and that this channel was told of, is about to be told of, or is not told of because
/// something else explains it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parent {
    /// Its row's key.
    pub incident: i64,
    /// `database`, `nodes`, `node/node1`, or what people declared to be a cause.
    pub key: String,
    /// How bad it is now: a node that is lost is critical, one that merely cannot be reached is not.
    pub severity: Severity,
    /// The channel was told of it.
    pub is_told: bool,
    /// When it was over; `None`: it is open.
    pub ended_at: Option<Wall>,
}

impl Parent {
    /// Whether it reaches as far as another: the lower, the farther.
    fn place(&self) -> (u8, i64) {
        let reach = match self.key.as_str() {
            "database" => 0,
            "nodes" => 1,
            key if key.starts_with("node/") => 2,
            _ => 3,
        };
        (reach, self.incident)
    }

    /// Whether it is known to explain this delivery, which a monitor's node has to do with.
    fn is_known_to_explain(&self, child: &str, node: Option<&NodeId>) -> bool {
        let kind = child.split_once('/').map_or(child, |(kind, _)| kind);
        let is_open = self.ended_at.is_none();
        match self.key.as_str() {
            "database" => is_open && EXPLAINED_BY_DATABASE.contains(&kind),
            "nodes" => is_open && kind == "monitor",
            key => {
                let lost = key.strip_prefix("node/").filter(|_| is_open && self.severity == Severity::Critical);
                kind == "monitor" && lost.is_some() && lost == node.map(NodeId::as_str)
            }
        }
    }

    /// Whether what depends on it is explained by it. One that is no more than a warning hides nothing.
    fn explains_what_depends_on_it(&self, now: Wall) -> bool {
        // An end in the future was written by a clock that jumped, and is long ago.
        let is_settling = |ended_at: Wall| ended_at <= now && now.since(ended_at) < SETTLES_WITHIN;
        self.severity == Severity::Critical && self.ended_at.is_none_or(is_settling)
    }
}

/// How a channel knows of an incident.
#[derive(Clone, Copy)]
struct Known {
    /// After so many steps. It is explained by nothing that comes later.
    steps: u32,
    /// The channel was told of it, or of what explains it: it will not turn out that it was not.
    is_certain: bool,
}

/// What explains what, on one channel.
pub(super) struct Explanations<'a> {
    now: Wall,
    /// All of them by their incidents.
    parents: BTreeMap<i64, &'a Parent>,
    /// Those that explain something whether anybody declared it or not.
    guessed: Vec<&'a Parent>,
    /// Of each incident that the channel knows of, or will.
    known: BTreeMap<i64, Known>,
}

impl<'a> Explanations<'a> {
    pub(super) fn of(now: Wall, queue: &'a [Queued], parents: &'a [Parent]) -> Self {
        let is_guess = |parent: &&Parent| parent.place().0 < 3;
        let mut all = Self {
            now,
            parents: parents.iter().map(|parent| (parent.incident, parent)).collect(),
            guessed: parents.iter().filter(is_guess).collect(),
            known: BTreeMap::new(),
        };
        let mut untold: BTreeMap<i64, Vec<&Queued>> = BTreeMap::new();
        for row in queue.iter().filter(|row| row.is_news()) {
            if all.parents.get(&row.incident).is_some_and(|parent| !parent.is_told) {
                untold.entry(row.incident).or_default().push(row);
            }
        }
        // The channel knows of them, or what is to be told of them is farther behind in its queue.
        let others = all.parents.values().filter(|parent| !untold.contains_key(&parent.incident));
        let known = |parent: &&Parent| (parent.incident, Known { steps: 0, is_certain: parent.is_told });
        all.known = others.map(known).collect();
        all.follow(untold);
        all
    }

    /// The incident that explains this delivery to this channel, the farthest reaching first.
    pub(super) fn of_row(&self, row: &Queued) -> Option<i64> {
        let before = match self.parents.get(&row.incident) {
            Some(parent) if !parent.is_told => self.known.get(&row.incident).map_or(0, |known| known.steps),
            _ => u32::MAX,
        };
        let explains = self.explaining(row).filter(|(_, known)| known.steps < before).map(|(parent, _)| parent);
        explains.min_by_key(|parent| parent.place()).map(|parent| parent.incident)
    }

    /// Which of those that nobody heard of yet will be heard of, or are explained: step by step, from what is known.
    fn follow(&mut self, mut untold: BTreeMap<i64, Vec<&Queued>>) {
        for steps in 1..=MOST_STEPS {
            if untold.is_empty() {
                return;
            }
            let mut decided: BTreeMap<i64, Option<Known>> = BTreeMap::new();
            for (incident, rows) in &untold {
                let explained =
                    rows.iter().flat_map(|row| self.explaining(row)).map(|(_, known)| known.is_certain).max();
                let mut candidates = rows.iter().flat_map(|row| self.candidates(row));
                if explained.is_some() || !candidates.any(|(parent, _)| untold.contains_key(&parent.incident)) {
                    let is_known = explained.is_some() || will_be_told(rows);
                    let known = Known { steps, is_certain: explained == Some(true) };
                    decided.insert(*incident, is_known.then_some(known));
                }
            }
            // They explain each other: the farthest reaching is told.
            if decided.is_empty() {
                let first = untold.keys().min_by_key(|incident| self.parents.get(incident).map(|one| one.place()));
                if let Some((first, rows)) = first.and_then(|first| untold.get_key_value(first)) {
                    let known = Known { steps, is_certain: false };
                    decided.insert(*first, will_be_told(rows).then_some(known));
                }
            }
            for (incident, known) in decided {
                untold.remove(&incident);
                self.known.extend(known.map(|known| (incident, known)));
            }
        }
    }

    /// What explains it, of that which the channel knows of.
    fn explaining<'b>(&'b self, row: &Queued) -> impl Iterator<Item = (&'a Parent, Known)> + use<'a, 'b> {
        self.candidates(row).into_iter().filter_map(|(parent, is_lasting)| {
            let known = self.known.get(&parent.incident).copied()?;
            (!is_lasting || known.is_certain).then_some((parent, known))
        })
    }

    /// What would explain it if the channel knew of it; and whether it must be certain that it does.
    fn candidates(&self, row: &Queued) -> Vec<(&'a Parent, bool)> {
        if !row.is_news() {
            return vec![];
        }
        // One that seems to be entered in the future is as old as nobody knows: the clock jumped.
        let at_most = u64::try_from(HELD_AT_MOST.as_millis()).unwrap_or(u64::MAX);
        let is_fresh = self.now.0.abs_diff(row.entered_at.0) < at_most;
        let is_guess = |parent: &&Parent| is_fresh && parent.is_known_to_explain(&row.key, row.node.as_ref());
        let guessed = self.guessed.iter().copied().filter(is_guess).map(|parent| (parent, false));
        let declared = row.causes.iter().filter_map(|cause| self.parents.get(cause).copied());
        let declared = declared.filter(|parent| parent.explains_what_depends_on_it(self.now));
        let all = guessed.chain(declared.map(|parent| (parent, !is_fresh)));
        all.filter(|(parent, _)| parent.incident != row.incident).collect()
    }
}

/// Nobody silenced it; or somebody may have read it, and it is told again.
fn will_be_told(rows: &[&Queued]) -> bool {
    rows.iter().any(|row| row.silenced_by.is_none() || row.unanswered > 0)
}

#[cfg(test)]
mod tests;
