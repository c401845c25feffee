//! Whether those who were told of an open incident are told of it again.
//!
//! By what it is now: how bad, which channels it names, how often it came back. As often as their route says; not while a
//! monitor is in maintenance, for people are working on it; and once when it is still down after that, whatever the route
//! says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::routing::Planned;
use crate::time::Wall;

/// What the last two changes of a monitor's state say of a maintenance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spell {
    /// It is in maintenance.
    Present,
    /// It was, from one point, and was found down at another.
    Survived {
        /// The first beat of the maintenance.
        from: Wall,
        /// The first beat after it.
        down_at: Wall,
    },
}

/// An open incident as it is now, and what people were told of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Open {
    /// When it opened.
    pub opened_at: Wall,
    /// Channels that something was entered for.
    pub told: BTreeMap<String, LastTold>,
    /// Of its monitor.
    pub spell: Option<Spell>,
}

/// What one channel was told of an incident.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastTold {
    /// Something waits to be told, or is held.
    Waits,
    /// It was told then, or refused to be.
    At(Wall),
}

/// The channels that are told of it again. `planned`: who is told about what it is now; one that was told nothing so far
/// is told as if it had been when it opened.
pub fn due(open: &Open, planned: &[Planned], now: Wall) -> BTreeSet<String> {
    let is_due = |planned: &&Planned| match open.told.get(&planned.channel) {
        Some(LastTold::Waits) => false,
        Some(LastTold::At(told_at)) => is_due(open, *told_at, planned.repeat, now),
        None => is_due(open, open.opened_at, planned.repeat, now),
    };
    planned.iter().filter(is_due).map(|planned| planned.channel.clone()).collect()
}

fn is_due(open: &Open, told_at: Wall, repeat: Option<Duration>, now: Wall) -> bool {
    match open.spell {
        Some(Spell::Present) => return false,
        // Whatever was told before its maintenance, people may hope that the work mended it. A time that lies ahead says
        // nothing: this would be due again until it is caught up.
        Some(Spell::Survived { from, down_at }) if open.opened_at < from && told_at < down_at && down_at <= now => {
            return true;
        }
        Some(Spell::Survived { .. }) | None => {}
    }
    repeat.is_some_and(|repeat| now.since(told_at) >= repeat)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn open(spell: Option<Spell>) -> Open {
        Open { opened_at: Wall(0), told: BTreeMap::from([("ops".to_owned(), LastTold::At(Wall(0)))]), spell }
    }

    fn told_at(open: &Open, at: i64) -> Open {
        Open { told: BTreeMap::from([("ops".to_owned(), LastTold::At(Wall(at)))]), ..open.clone() }
    }

    fn planned(channel: &str, hours: Option<u64>) -> Planned {
        let repeat = hours.map(|hours| Duration::from_secs(hours * 3_600));
        Planned { channel: channel.to_owned(), group_wait: Duration::ZERO, repeat }
    }

    fn is_due(open: &Open, hours: Option<u64>, now: i64) -> bool {
        !due(open, &[planned("ops", hours)], Wall(now)).is_empty()
    }

    #[test]
    fn an_incident_is_told_as_often_as_its_route_says() {
        assert!(!is_due(&open(None), Some(1), HOUR - 1));
        assert!(is_due(&open(None), Some(1), HOUR));
        assert!(!is_due(&open(None), None, 9 * HOUR));
    }

    #[test]
    fn each_channel_is_told_by_what_it_heard_itself() {
        let told = [("mail", LastTold::Waits), ("ops", LastTold::At(Wall(HOUR))), ("gone", LastTold::At(Wall(0)))];
        let told = told.map(|(channel, told)| (channel.to_owned(), told)).into();
        let open = Open { told, ..open(None) };
        let all = ["mail", "new", "ops"].map(|channel| planned(channel, Some(1)));
        assert_eq!(due(&open, &all, Wall(HOUR)), ["new".to_owned()].into());
        assert_eq!(due(&open, &all, Wall(2 * HOUR)), ["new".to_owned(), "ops".to_owned()].into());
    }

    #[test]
    fn nobody_is_reminded_of_what_people_work_on() {
        assert!(!is_due(&open(Some(Spell::Present)), Some(1), 9 * HOUR));
    }

    #[test]
    fn what_is_down_after_the_work_is_told_once_whatever_the_route_says() {
        let spell = Some(Spell::Survived { from: Wall(10), down_at: Wall(20) });
        assert!(is_due(&open(spell), None, 20));
        assert!(!is_due(&open(spell), None, 19), "it lies ahead");
        assert!(!is_due(&told_at(&open(spell), 20), None, HOUR), "it was told since");
        assert!(!is_due(&Open { opened_at: Wall(10), ..open(spell) }, None, HOUR), "it opened in the maintenance");
        assert!(is_due(&told_at(&open(spell), 20), Some(1), 20 + HOUR), "then as its route says");
    }
}
