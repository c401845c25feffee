//! Whom the asking watchdog hears: when it has heard enough, and when somebody else is to ask.
//!
//! An answer that could change nothing is hardly waited for ([`is_decided`]). One that is missing is no word of its owner: it may be the asker
//! whom nobody hears. So where too little was heard another watchdog asks again ([`passes_on`]), and whoever heard nobody takes one
//! question at a time until it is heard ([`at_once`]): one host that is cut off from the others undoes no second opinion.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Record, Seen};
use crate::check::trial::supposed;
use crate::check::{Answer, Definition, Failure, Members, Outcome, Policy, Reason, Stand, Trouble, Verdict};
use crate::ids::WatchdogId;
use crate::time::Wall;

/// When a majority is clear the others are waited for so much longer: their words are worth that, and no more.
pub const LINGER: Duration = Duration::from_secs(2);

/// What an answer comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sort {
    Down,
    NotDown,
    Nothing,
}

/// Whether a majority is clear, or can be none, whatever those say who were asked and have not answered yet.
pub fn is_decided(
    definition: &Definition,
    members: &Members,
    seen: &BTreeMap<WatchdogId, (Outcome, Answer)>,
    awaited: &BTreeSet<WatchdogId>,
) -> bool {
    let mut without = members.clone();
    for (watchdog, _, may_vote) in &mut without.living {
        *may_vote = *may_vote && !awaited.contains(watchdog);
    }
    let said = |outcome| sort(definition, members, seen, (awaited, outcome));
    // How it fails does not matter.
    let outcomes = [Outcome::Up, Outcome::Failed(Failure::Refused), Outcome::Unable(Trouble::CutOff)];
    // Those who are cut off have no vote.
    let first = sort(definition, &without, seen, (awaited, None));
    said(None) == first && outcomes.into_iter().all(|outcome| said(Some(outcome)) == first)
}

fn sort(
    definition: &Definition,
    members: &Members,
    seen: &BTreeMap<WatchdogId, (Outcome, Answer)>,
    (awaited, outcome): (&BTreeSet<WatchdogId>, Option<Outcome>),
) -> Sort {
    let mut all = seen.clone();
    if let Some(outcome) = outcome {
        all.extend(awaited.iter().map(|watchdog| (watchdog.clone(), (outcome, Answer::default()))));
    }
    let verdict = supposed(definition, members, &all, &Policy::default()).verdict;
    match Seen::of(verdict.state) {
        Seen::Down => Sort::Down,
        Seen::Up | Seen::Split => Sort::NotDown,
        Seen::Nothing => Sort::Nothing,
    }
}

/// Beside this watchdog, those who may vote and were not heard, where their words could make it clear.
pub(super) fn unheard(verdict: &Verdict, me: &WatchdogId) -> usize {
    let Reason::TooFewFresh { fresh, voters } = verdict.reason else { return 0 };
    let silent = || verdict.views.iter().filter(|view| view.stand == Stand::Silent);
    let could_be = usize::try_from(fresh).unwrap_or(usize::MAX).saturating_add(silent().count());
    let is_possible = could_be > usize::try_from(voters).unwrap_or(usize::MAX) / 2;
    if is_possible { silent().filter(|view| &view.watchdog != me).count() } else { 0 }
}

/// Whether a question about which too little was heard is left to another watchdog. `unheard`: whom this one did not hear; `passed`: how many
/// left it to others before.
pub fn passes_on(now: Wall, record: &Record, patience: Duration, (unheard, passed): (u32, usize)) -> bool {
    let is_young = record.seen.is_none() && !record.is_late(now, patience);
    is_young && usize::try_from(unheard).is_ok_and(|unheard| passed < unheard)
}

/// How many questions a watchdog takes, where there is room for so many and it asks so many: who was not heard last time takes one at a
/// time.
pub fn at_once(is_heard: bool, room: usize, asking: usize) -> usize {
    if is_heard { room } else { room.min(1_usize.saturating_sub(asking)) }
}
