//! What one channel is sent next, out of what waits for it.
//!
//! Once the first delivery is due, everything that waits and opened within its group's wait goes along: one message, or
//! one digest when it is more than [`DIGEST_ABOVE`]. What something else [explains](super::explained) is held, and what somebody
//! silenced for as long as the silence is in force: openings and what follows them, never ends. A message that may have arrived
//! already is sent again exactly as it was, and alone. One that failed rests for a while of its own: others overtake it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::ids::NodeId;
use crate::outbox::attempt::MOST_REPEATS;
use crate::outbox::explained::Explanations;
use crate::outbox::{CALM_AFTER_FLAPPING, Event};
use crate::time::Wall;

pub use crate::outbox::explained::{HELD_AT_MOST, Parent, SETTLES_WITHIN};

/// A message of more deliveries than this is a digest: how many, of which kinds, and the worst.
pub const DIGEST_ABOVE: usize = 10;

/// One message tells of at most so many deliveries; the rest goes with the next one.
pub const LARGEST_MESSAGE: usize = 1_000;

/// A message that is later than this says that it is late, and why.
pub const LATE_AFTER: Duration = Duration::from_secs(60);

/// The longest that a failed delivery rests. What claims to rest longer was written by a clock that jumped.
pub const LONGEST_REST: Duration = Duration::from_secs(3_600);

/// Who began a message of a channel goes on with the next one; after this long another does.
pub const TURN_LASTS: Duration = Duration::from_secs(3);

/// One delivery that waits for this channel, or is held.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Queued {
    /// The key of the delivery's row.
    pub delivery: i64,
    /// The key of its incident's row.
    pub incident: i64,
    /// Kind and subject of the incident: `node/node1`.
    pub key: String,
    /// Where the incident is a monitor's: the node that runs the monitor now.
    pub node: Option<NodeId>,
    /// Incidents of what people declared to be its cause, open or over a moment ago.
    pub causes: Vec<i64>,
    /// When it was entered.
    pub entered_at: Wall,
    /// Its incident is open.
    pub is_open: bool,
    /// What it tells.
    pub event: Event,
    /// It is held.
    pub is_held: bool,
    /// Why, as it was noted.
    pub held_by: Option<Holder>,
    /// A silence that is in force and takes it.
    pub silenced_by: Option<i64>,
    /// When it was to be told.
    pub due_at: Wall,
    /// How long its group is collected.
    pub group_wait: Duration,
    /// Until when a courier of some watchdog claims it.
    pub claimed_until: Option<Wall>,
    /// The message that may have arrived with it.
    pub begun: Option<String>,
    /// How often somebody began to send it.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// Until when it rests, because it failed: others go first meanwhile.
    pub retry_at: Option<Wall>,
    /// Attempts of which nobody knows whether they arrived.
    pub unanswered: u32,
    /// The largest message that it may be part of: larger ones with it in them were refused.
    pub company: Option<usize>,
    /// Some of the channel's readers have it; the others were refused.
    pub has_readers: bool,
    /// When it failed last.
    pub failed_at: Option<Wall>,
    /// The channel has taken others since: perhaps it is this one that it fails at.
    pub is_suspect: bool,
}

impl Queued {
    /// It tells of something that is still bad.
    pub(super) fn is_news(&self) -> bool {
        self.event != Event::Resolved && self.is_open
    }
}

/// When a channel takes its next message, and when the last one was begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    /// By the database's clock.
    pub now: Wall,
    /// Nobody may send before that.
    pub next_at: Wall,
    /// When somebody began to send last.
    pub begun_at: Wall,
}

impl Slot {
    /// Whether another courier works the queue off, who reads it for all of them. What claims to have begun later than
    /// now was written by a clock that jumped, and is nobody's turn.
    pub fn is_anothers_turn(&self, began_last: bool) -> bool {
        !began_last && self.begun_at <= self.now && self.now.since(self.begun_at) < TURN_LASTS
    }
}

/// A message that a channel is to be sent.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// What it tells, in the order of entering.
    pub deliveries: Vec<i64>,
    /// The id of an earlier message with the same content, which may have arrived.
    pub repeats: Option<String>,
    /// Something in it may have arrived before.
    pub is_doubtful: bool,
    /// Attempts so far of which nobody knows whether they arrived.
    pub unanswered: u32,
    /// It may have arrived too often to be sent once more.
    pub is_exhausted: bool,
    /// The channel has taken others since it failed.
    pub is_suspect: bool,
    /// Only the number, the kinds and the worst are told.
    pub is_digest: bool,
    /// How late it is, and why.
    pub lateness: Option<(Duration, String)>,
}

/// Why a delivery is held.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Holder {
    /// This incident explains it.
    Incident(i64),
    /// Somebody silenced it.
    Silence(i64),
}

/// What to do with a channel's queue.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// Held from now on, each because of this.
    pub hold: Vec<(i64, Holder)>,
    /// Nothing explains them any more, and they are still bad.
    pub release: Vec<i64>,
    /// There is nothing to tell any more.
    pub cancel: Vec<i64>,
    /// To be sent now.
    pub message: Option<Message>,
}

impl Plan {
    /// Something other than a message changes.
    pub fn has_changes(&self) -> bool {
        !(self.hold.is_empty() && self.release.is_empty() && self.cancel.is_empty())
    }
}

/// What to do with the queue, which is in the order of entering; `now` is the database's time.
pub fn plan(now: Wall, queue: &[Queued], parents: &[Parent]) -> Plan {
    let mut plan = Plan::default();
    let explanations = Explanations::of(now, queue, parents);
    let holder = |row: &Queued| holder(row, explanations.of_row(row));
    for row in queue.iter().filter(|row| row.is_held) {
        match holder(row) {
            None if row.is_open => plan.release.push(row.delivery),
            None => plan.cancel.push(row.delivery),
            // Another holds it by now.
            Some(holder) if row.held_by.is_some_and(|noted| noted != holder) => plan.hold.push((row.delivery, holder)),
            Some(_) => {}
        }
    }
    let free = free_rows(now, queue);
    let superseded = superseded(&free);
    plan.cancel.extend(&superseded);
    let mut ready = vec![];
    for row in free.into_iter().filter(|row| !superseded.contains(&row.delivery)) {
        // Whoever may have read it has to hear its end; what is held ends without a word.
        match holder(row).filter(|_| row.unanswered == 0) {
            // When that is over it is no news any more.
            Some(_) if row.event == Event::Acknowledged => plan.cancel.push(row.delivery),
            Some(holder) => plan.hold.push((row.delivery, holder)),
            None if is_resting(now, row) => {}
            None => ready.push(row),
        }
    }
    plan.message =
        repeated(now, queue).into_iter().chain(collected(now, &ready)).min_by_key(|(due, _)| *due).map(|it| it.1);
    plan
}

/// What keeps this delivery from being told: the incident that explains it, or a silence.
fn holder(row: &Queued, explained_by: Option<i64>) -> Option<Holder> {
    let silence = row.silenced_by.filter(|_| row.is_news()).map(Holder::Silence);
    explained_by.map(Holder::Incident).or(silence)
}

/// The deliveries that may be sent: claimed by nobody, not begun, and the first of their incident on this channel.
fn free_rows(now: Wall, queue: &[Queued]) -> Vec<&Queued> {
    let mut busy: BTreeSet<i64> = BTreeSet::new();
    let mut free = vec![];
    for row in queue.iter().filter(|row| !row.is_held) {
        let is_begun = row.begun.is_some();
        if is_claimed(now, row) || (is_begun && row.unanswered <= MOST_REPEATS) {
            busy.insert(row.incident);
        } else if !is_begun && !busy.contains(&row.incident) {
            free.push(row);
        }
    }
    free
}

fn is_claimed(now: Wall, row: &Queued) -> bool {
    row.claimed_until.is_some_and(|until| until > now)
}

/// Of several deliveries of one incident that all wait, only the last one is still true; and each that is news says itself who
/// takes care of it.
fn superseded(free: &[&Queued]) -> BTreeSet<i64> {
    let mut kept: BTreeMap<i64, &Queued> = BTreeMap::new();
    for row in free {
        let known = kept.entry(row.incident).or_insert(row);
        if row.event != Event::Acknowledged || known.event == Event::Acknowledged {
            *known = row;
        }
    }
    let is_kept = |row: &Queued| kept.get(&row.incident).is_some_and(|kept| kept.delivery == row.delivery);
    free.iter().filter(|row| !is_kept(row)).map(|row| row.delivery).collect()
}

/// Whether it rests after a failure, so that nobody tries it now.
fn is_resting(now: Wall, row: &Queued) -> bool {
    row.retry_at.is_some_and(|at| at > now && at.since(now) <= LONGEST_REST)
}

/// The oldest message that may have arrived, whose sender is gone or had no answer, and whose rest is over.
fn repeated(now: Wall, queue: &[Queued]) -> Option<(Wall, Message)> {
    let mut notices: BTreeMap<&str, Vec<&Queued>> = BTreeMap::new();
    for row in queue.iter().filter(|row| !row.is_held) {
        if let Some(notice) = row.begun.as_deref() {
            notices.entry(notice).or_default().push(row);
        }
    }
    // A member that somebody still claims: they are at the same message.
    let is_free = |members: &[&Queued]| !members.iter().any(|row| is_claimed(now, row) || is_resting(now, row));
    let orphaned = notices.into_iter().filter(|(_, members)| is_free(members));
    let orphaned = orphaned.map(|(notice, members)| message(now, &members, Some(notice.to_owned())));
    orphaned.min_by_key(|(due_at, message)| (*due_at, message.deliveries.first().copied()))
}

/// Everything that goes along with the first delivery that is due.
fn collected(now: Wall, ready: &[&Queued]) -> Option<(Wall, Message)> {
    let first = ready.iter().filter(|row| row.due_at <= now).min_by_key(|row| (row.due_at, row.delivery))?;
    // An end that waited for calm says nothing of the calm of others.
    let wait = if first.group_wait >= CALM_AFTER_FLAPPING { Duration::ZERO } else { first.group_wait };
    let until = now.0.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
    // What the channel may fail at takes nobody along but those it failed with.
    let is_like = |row: &Queued| if first.is_suspect { row.failed_at == first.failed_at } else { !row.is_suspect };
    let others = ready.iter().filter(|row| row.due_at.0 <= until && row.delivery != first.delivery && is_like(row));
    let (mut most, mut members) = (LARGEST_MESSAGE, vec![]);
    for row in std::iter::once(first).chain(others) {
        let company = row.company.unwrap_or(LARGEST_MESSAGE).min(most);
        if members.len() < company {
            most = company;
            members.push(*row);
        }
    }
    members.sort_by_key(|row| row.delivery);
    Some(message(now, &members, None))
}

fn message(now: Wall, members: &[&Queued], repeats: Option<String>) -> (Wall, Message) {
    let due_at = members.iter().map(|row| row.due_at).min().unwrap_or(now);
    let late = now.since(due_at);
    let lateness = (late > LATE_AFTER).then(|| (late, why_late(members)));
    let deliveries: Vec<_> = members.iter().map(|row| row.delivery).collect();
    let unanswered = members.iter().map(|row| row.unanswered).max().unwrap_or(0);
    // Begun without a count: whoever sent it died, or an earlier komainu did. Those who are yet to read it have not.
    let is_unknown = repeats.is_some() && !members.iter().any(|row| row.has_readers);
    let message = Message {
        is_doubtful: unanswered > 0 || is_unknown,
        is_exhausted: repeats.is_some() && unanswered > MOST_REPEATS && !is_worth_more(members),
        is_suspect: members.iter().any(|row| row.is_suspect),
        is_digest: deliveries.len() > DIGEST_ABOVE,
        unanswered,
        deliveries,
        repeats,
        lateness,
    };
    (due_at, message)
}

/// Whether the message is worth one more attempt: it rested long because nobody else can tell it, and it is still bad.
fn is_worth_more(members: &[&Queued]) -> bool {
    members.iter().any(|row| row.retry_at.is_some() && row.is_open && row.event != Event::Resolved)
}

fn why_late(members: &[&Queued]) -> String {
    let attempts = members.iter().map(|row| row.attempts).max().unwrap_or(0);
    let error = members.iter().find_map(|row| row.last_error.as_deref());
    match (attempts, error) {
        (0, _) => "no watchdog was able to send it".to_owned(),
        (attempts, Some(error)) => {
            let times = if attempts == 1 { "once".to_owned() } else { format!("{attempts} times") };
            format!("the channel failed {times}, at last: {error}")
        }
        (_, None) => "the watchdog that was sending it went away".to_owned(),
    }
}

#[cfg(test)]
mod tests;
