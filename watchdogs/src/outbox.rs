//! What of an incident is told to whom: pure answers for the store that enters deliveries and the task that sends them.
//!
//! Life of a delivery: *waiting* (collected with others for a while), perhaps *held* (something worse that its channel
//! was told explains it), then *sent*, *cancelled* (there is nothing to tell any more) or *failed* (its channel refuses
//! for good; the fallback has a delivery of its own).
//!
//! An incident that is over before anybody was told of it is told as one line, its end: whoever reads later what was
//! wrong at night wants to know, and nobody is woken for something that is over. One that opens again within
//! [`REOPEN_WITHIN`] is the same incident; from the [`FLAPPING_FROM`]th time on only that it flaps is told, once, and
//! its end when it has been calm for [`CALM_AFTER_FLAPPING`].

pub mod attempt;
mod explained;
pub mod queue;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What opens again so soon is no news, but the same trouble.
pub const REOPEN_WITHIN: Duration = Duration::from_secs(600);

/// The third return within ten minutes each: a fourth message of "open" and "over" helps nobody.
pub const FLAPPING_FROM: u32 = 3;

/// The end of a flapping incident is believed, and told, after this. Not longer than [`REOPEN_WITHIN`]: until then a
/// return takes the message back.
pub const CALM_AFTER_FLAPPING: Duration = REOPEN_WITHIN;

/// What happened to an incident.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// The incident opened.
    Opened,
    /// It was a warning and is critical now.
    Worse,
    /// It is still open.
    Reminder,
    /// Somebody takes care of it.
    #[serde(rename = "ack")]
    Acknowledged,
    /// It opens and resolves again and again.
    Flapping,
    /// It is over.
    Resolved,
}

impl Event {
    /// As it stands in rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Worse => "worse",
            Self::Reminder => "reminder",
            Self::Acknowledged => "ack",
            Self::Flapping => "flapping",
            Self::Resolved => "resolved",
        }
    }

    /// The reverse of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Opened, Self::Worse, Self::Reminder, Self::Acknowledged, Self::Flapping, Self::Resolved];
        all.into_iter().find(|event| event.as_str() == text)
    }
}

/// What people are told when an incident opens that came back so many times; `None`: they know that it flaps.
pub fn opening(flaps: u32) -> Option<Event> {
    match flaps {
        0..FLAPPING_FROM => Some(Event::Opened),
        FLAPPING_FROM => Some(Event::Flapping),
        _ => None,
    }
}

/// What an incident of a node says may turn out otherwise: a host that vanished is not known to be gone at once. Of other
/// kinds the words change with figures and with errors, which is no news. What the database forgot is found by one watchdog after
/// the other, and each knows another part of it.
pub fn tells_reasons(key: &str) -> bool {
    key.starts_with("node/") || key == crate::tail::KEY
}

/// In a summary: why it is so is not known yet.
pub const SO_FAR: &str = "so far";

/// Whether a summary's reason may turn out otherwise at any moment. Who was told something before is not told this: a node
/// that was offline and comes back passes through it.
pub fn is_provisional(summary: &str) -> bool {
    summary.contains(SO_FAR)
}

/// What a summary says, without its figures.
pub fn reason(summary: &str) -> String {
    summary.chars().filter(|character| !character.is_ascii_digit()).collect()
}

/// How far a delivery came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It waits, and nobody has begun to send it.
    Untold,
    /// Somebody sends it, or died over it: it may arrive.
    Begun,
    /// The channel took it.
    Told,
    /// Nobody sends it any more, and it may have arrived: whoever goes by it believes what is the worse mistake.
    Unsure,
    /// Something worse explains it.
    Held,
    /// Cancelled or failed: it will not arrive.
    Dropped,
}

/// A delivery that was entered for an incident, in the order of entering.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entered {
    /// The key of the delivery's row.
    pub delivery: i64,
    /// The channel that is to carry it.
    pub channel: String,
    /// Which event it tells: a later one has a larger key. What another channel told instead is entered late.
    pub event_key: i64,
    /// What it tells.
    pub event: Event,
    /// How far it came.
    pub standing: Standing,
    /// How long its group is collected.
    pub group_wait: Duration,
}

/// What to do with the deliveries of an incident that changed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Change {
    /// There is nothing to tell any more.
    pub cancel: Vec<i64>,
    /// Of [`closing`]: who is told that it is over, and after what wait.
    pub tell: BTreeMap<String, Duration>,
    /// Of [`reopening`] and [`worsening`]: who believes that it is open anyway.
    pub believers: BTreeSet<String>,
}

/// What one channel knows.
#[derive(Clone, Copy, Debug, Default)]
struct Knowledge {
    believes_open: bool,
    has_untold: bool,
    /// The latest event of these.
    latest: i64,
    group_wait: Duration,
}

/// The incident is over. Who was told, or is being told, hears of the end; so does whoever was about to be told, and
/// that is all they hear. What was held is dropped: its channel knows the reason, and that it is over.
pub fn closing(entered: &[Entered], flaps: u32) -> Change {
    let mut known: BTreeMap<&str, Knowledge> = BTreeMap::new();
    let mut cancel = vec![];
    for row in entered {
        let knowledge = known.entry(&row.channel).or_default();
        knowledge.group_wait = row.group_wait;
        match (row.event, row.standing) {
            (_, Standing::Dropped) | (Event::Resolved, Standing::Unsure) => {}
            (_, Standing::Held) => cancel.push(row.delivery),
            // An earlier end, entered late: what came after it is not over.
            (Event::Resolved, _) if row.event_key < knowledge.latest => {}
            (Event::Resolved, _) => *knowledge = Knowledge { group_wait: row.group_wait, ..Knowledge::default() },
            (_, Standing::Untold) => {
                knowledge.has_untold = true;
                knowledge.latest = knowledge.latest.max(row.event_key);
                cancel.push(row.delivery);
            }
            (_, Standing::Begun | Standing::Told | Standing::Unsure) => {
                knowledge.believes_open = true;
                knowledge.latest = knowledge.latest.max(row.event_key);
            }
        }
    }
    let is_flapping = flaps >= FLAPPING_FROM;
    let wait = |knowledge: &Knowledge| if is_flapping { CALM_AFTER_FLAPPING } else { knowledge.group_wait };
    let told = known.iter().filter(|(_, knowledge)| knowledge.believes_open || knowledge.has_untold);
    let tell = told.map(|(channel, knowledge)| ((*channel).to_owned(), wait(knowledge))).collect();
    Change { cancel, tell, ..Change::default() }
}

/// Somebody takes care of it. Whoever believes that it is open hears that. Who is still to be told something of it hears both at
/// once, for what waits says who takes care of it, and whose news are held hears nothing.
pub fn acknowledging(entered: &[Entered]) -> BTreeSet<String> {
    let mut change = reopening(entered);
    for row in entered {
        if matches!(row.standing, Standing::Untold | Standing::Held) {
            change.believers.remove(&row.channel);
        }
    }
    change.believers
}

/// The incident turned from a warning to critical. Who was told hears that it is worse; what nobody was told yet is told
/// as it is now.
pub fn worsening(entered: &[Entered]) -> Change {
    let mut change = Change::default();
    for row in entered {
        match (row.event, row.standing) {
            (Event::Resolved, Standing::Begun | Standing::Told | Standing::Unsure) => {
                change.believers.remove(&row.channel);
            }
            (_, Standing::Dropped | Standing::Held | Standing::Unsure) => {}
            (_, Standing::Untold) => change.cancel.push(row.delivery),
            (_, Standing::Begun | Standing::Told) => {
                change.believers.insert(row.channel.clone());
            }
        }
    }
    change
}

/// The incident is back. Ends that nobody was told yet are taken back; who had been told that it is open has heard
/// nothing else and believes so still.
pub fn reopening(entered: &[Entered]) -> Change {
    let mut change = Change::default();
    for row in entered {
        match (row.event, row.standing) {
            (Event::Resolved, Standing::Begun | Standing::Told | Standing::Unsure) => {
                change.believers.remove(&row.channel);
            }
            (_, Standing::Dropped | Standing::Held | Standing::Unsure) | (Event::Resolved, Standing::Untold) => {}
            (_, Standing::Begun | Standing::Told | Standing::Untold) => {
                change.believers.insert(row.channel.clone());
            }
        }
        if row.event == Event::Resolved && matches!(row.standing, Standing::Untold | Standing::Held) {
            change.cancel.push(row.delivery);
        }
    }
    change
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(rows: &[(&str, Event, Standing)]) -> Vec<Entered> {
        let row = |(number, (channel, event, standing)): (usize, &(&str, Event, Standing))| Entered {
            delivery: i64::try_from(number).unwrap(),
            event_key: i64::try_from(number).unwrap(),
            channel: (*channel).to_owned(),
            event: *event,
            standing: *standing,
            group_wait: Duration::from_secs(5),
        };
        rows.iter().enumerate().map(row).collect()
    }

    fn told(change: &Change) -> Vec<(&str, u64)> {
        change.tell.iter().map(|(channel, wait)| (channel.as_str(), wait.as_secs())).collect()
    }

    #[test]
    fn who_was_told_hears_of_the_end() {
        let rows = [("mail", Event::Opened, Standing::Told), ("ops", Event::Opened, Standing::Begun)];
        let change = closing(&entered(&rows), 0);
        assert_eq!((told(&change), change.cancel.len()), (vec![("mail", 5), ("ops", 5)], 0));
    }

    #[test]
    fn who_may_have_been_told_hears_of_the_end_and_who_may_have_heard_of_it_hears_that_it_is_back() {
        let opened = [("ops", Event::Opened, Standing::Unsure)];
        assert_eq!(told(&closing(&entered(&opened), 0)), [("ops", 5)]);
        let ended = [("ops", Event::Opened, Standing::Told), ("ops", Event::Resolved, Standing::Unsure)];
        assert_eq!(told(&closing(&entered(&ended), 0)), [("ops", 5)]);
        assert!(reopening(&entered(&ended)).believers.is_empty());
        assert!(reopening(&entered(&opened)).believers.is_empty());
    }

    #[test]
    fn what_is_over_before_anybody_was_told_is_told_as_its_end_alone() {
        let change = closing(&entered(&[("ops", Event::Opened, Standing::Untold)]), 0);
        assert_eq!((told(&change), &change.cancel[..]), (vec![("ops", 5)], &[0][..]));
    }

    #[test]
    fn what_was_held_or_refused_is_not_told_to_be_over() {
        let rows = [("mail", Event::Opened, Standing::Held), ("ops", Event::Opened, Standing::Dropped)];
        let change = closing(&entered(&rows), 0);
        assert_eq!((told(&change), &change.cancel[..]), (vec![], &[0][..]));
    }

    #[test]
    fn that_somebody_takes_care_of_it_hears_whoever_believes_that_it_is_open_and_waits_for_nothing() {
        use Standing::{Begun, Dropped, Held, Told, Untold};
        let rows = [
            ("told", Event::Opened, Told),
            ("being-told", Event::Opened, Begun),
            ("untold", Event::Opened, Untold),
            ("held", Event::Opened, Held),
            ("refused", Event::Opened, Dropped),
            ("worse", Event::Opened, Told),
            ("worse", Event::Worse, Untold),
            ("over", Event::Opened, Told),
            ("over", Event::Resolved, Told),
            ("again", Event::Opened, Told),
            ("again", Event::Resolved, Told),
            ("again", Event::Flapping, Told),
        ];
        let told: Vec<String> = acknowledging(&entered(&rows)).into_iter().collect();
        assert_eq!(told, ["again", "being-told", "told"]);
    }

    #[test]
    fn the_end_is_told_once() {
        let rows = [("ops", Event::Opened, Standing::Told), ("ops", Event::Resolved, Standing::Told)];
        assert!(closing(&entered(&rows), 1).tell.is_empty());
    }

    #[test]
    fn an_earlier_end_that_is_entered_late_does_not_end_what_was_told_after_it() {
        let rows = [("ops", Event::Resolved, Standing::Told), ("ops", Event::Opened, Standing::Told)];
        let mut late = entered(&rows);
        late.reverse();
        assert_eq!(told(&closing(&late, 1)), [("ops", 5)]);
    }

    #[test]
    fn a_return_takes_the_untold_end_back_and_is_no_news_to_who_believes_it_open() {
        let rows = [
            ("mail", Event::Opened, Standing::Told),
            ("mail", Event::Resolved, Standing::Untold),
            ("ops", Event::Opened, Standing::Told),
            ("ops", Event::Resolved, Standing::Told),
            ("phone", Event::Opened, Standing::Dropped),
            ("phone", Event::Resolved, Standing::Untold),
        ];
        let change = reopening(&entered(&rows));
        assert_eq!(change.cancel, [1, 5]);
        assert_eq!(change.believers.into_iter().collect::<Vec<_>>(), ["mail"]);
    }

    #[test]
    fn what_gets_worse_is_told_so_to_those_who_know_and_once_to_the_others() {
        let rows = [
            ("mail", Event::Opened, Standing::Told),
            ("ops", Event::Opened, Standing::Untold),
            ("old", Event::Opened, Standing::Told),
            ("old", Event::Resolved, Standing::Told),
        ];
        let change = worsening(&entered(&rows));
        assert_eq!(
            (change.believers.into_iter().collect::<Vec<_>>(), change.cancel),
            (vec!["mail".to_owned()], vec![1])
        );
    }

    #[test]
    fn the_third_return_is_told_as_flapping_and_then_only_a_calm_end() {
        assert_eq!([0, 2, 3, 4].map(opening), [Some(Event::Opened), Some(Event::Opened), Some(Event::Flapping), None]);
        let change = closing(&entered(&[("ops", Event::Flapping, Standing::Told)]), 4);
        assert_eq!(told(&change), [("ops", 600)]);
    }
}
