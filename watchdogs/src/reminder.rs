//! Whether those who were told of an open incident are told of it again.
//!
//! As often as their route says; not while a monitor is in maintenance, for people are working on it; and once when it is
//! still down after that, whatever the route says.

use std::time::Duration;

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

/// An open incident, and when somebody was told of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Told {
    /// When it opened.
    pub opened_at: Wall,
    /// When it was told last.
    pub told_at: Wall,
    /// How often the route wants to hear of it.
    pub repeat: Option<Duration>,
    /// Of its monitor.
    pub spell: Option<Spell>,
}

/// Whether it is to be told again.
pub fn is_due(told: &Told, now: Wall) -> bool {
    match told.spell {
        Some(Spell::Present) => return false,
        // Whatever was told before its maintenance, people may hope that the work mended it. By the database's clock,
        // that of the node may be ahead: otherwise this would be due again until it is caught up.
        Some(Spell::Survived { from, down_at })
            if told.opened_at < from && told.told_at < down_at && down_at <= now =>
        {
            return true;
        }
        Some(Spell::Survived { .. }) | None => {}
    }
    told.repeat.is_some_and(|repeat| now.since(told.told_at) >= repeat)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn told(spell: Option<Spell>) -> Told {
        Told { opened_at: Wall(0), told_at: Wall(0), repeat: Some(Duration::from_secs(3_600)), spell }
    }

    #[test]
    fn an_incident_is_told_as_often_as_its_route_says() {
        assert!(!is_due(&told(None), Wall(HOUR - 1)));
        assert!(is_due(&told(None), Wall(HOUR)));
        assert!(!is_due(&Told { repeat: None, ..told(None) }, Wall(9 * HOUR)));
    }

    #[test]
    fn nobody_is_reminded_of_what_people_work_on() {
        assert!(!is_due(&told(Some(Spell::Present)), Wall(9 * HOUR)));
    }

    #[test]
    fn what_is_down_after_the_work_is_told_once_whatever_the_route_says() {
        let spell = Some(Spell::Survived { from: Wall(10), down_at: Wall(20) });
        let unrepeated = Told { repeat: None, ..told(spell) };
        assert!(is_due(&unrepeated, Wall(20)));
        assert!(!is_due(&unrepeated, Wall(19)), "the node's clock is ahead");
        assert!(!is_due(&Told { told_at: Wall(20), ..unrepeated }, Wall(HOUR)), "it was told since");
        assert!(!is_due(&Told { opened_at: Wall(10), ..unrepeated }, Wall(HOUR)), "it opened in the maintenance");
        assert!(is_due(&Told { told_at: Wall(20), ..told(spell) }, Wall(20 + HOUR)), "then as its route says");
    }
}
