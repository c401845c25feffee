//! How a component is, and what all of them amount to. Pure.
//!
//! What is not known is never called well: a monitor without a beat, one that nobody runs, a check of which nobody can say anything.

use komainu_watchdogs::check;
use komainu_watchdogs::heartbeat;

use super::notice::Impact;
use crate::store::BeatStatus;

/// How a component is; in the order of how much it should worry the public.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Standing {
    /// It works.
    Operational,
    /// It is worked on, as was said before.
    Maintenance,
    /// Nobody can say.
    Unknown,
    /// It works, and not as it should.
    Degraded,
    /// It works for some.
    Partial,
    /// It does not work.
    Major,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Operational, Self::Maintenance, Self::Unknown, Self::Degraded, Self::Partial, Self::Major];

    /// As Statuspage has it, which knows nothing of what is not known: that is no operational component.
    pub fn statuspage(self) -> &'static str {
        match self {
            Self::Operational => "operational",
            Self::Maintenance => "under_maintenance",
            Self::Unknown | Self::Degraded => "degraded_performance",
            Self::Partial => "partial_outage",
            Self::Major => "major_outage",
        }
    }

    /// As styles name it.
    pub fn class(self) -> &'static str {
        match self {
            Self::Operational => "up",
            Self::Maintenance => "maintenance",
            Self::Unknown => "unknown",
            Self::Degraded => "degraded",
            Self::Partial => "partial",
            Self::Major => "down",
        }
    }

    /// Of a monitor: its last beat; `None`: it has none, or is not to run.
    pub fn of_beat(status: Option<BeatStatus>) -> Self {
        match status {
            None => Self::Unknown,
            Some(BeatStatus::Up) => Self::Operational,
            Some(BeatStatus::Pending) => Self::Degraded,
            Some(BeatStatus::Down) => Self::Major,
            Some(BeatStatus::Maintenance) => Self::Maintenance,
        }
    }

    /// Of a check: what the watchdogs say; `None`: there is none, or it is paused.
    pub fn of_check(state: Option<check::State>) -> Self {
        match state {
            None | Some(check::State::Unknown) => Self::Unknown,
            Some(check::State::Up) => Self::Operational,
            Some(check::State::Partial) => Self::Partial,
            Some(check::State::Down) => Self::Major,
        }
    }

    /// Of a heartbeat; `None`: nobody can vouch for it, or there is none.
    pub fn of_heartbeat(state: Option<heartbeat::State>) -> Self {
        match state {
            None | Some(heartbeat::State::New) => Self::Unknown,
            Some(heartbeat::State::Up) => Self::Operational,
            Some(heartbeat::State::Late | heartbeat::State::Failed) => Self::Major,
        }
    }

    /// At least as bad as people say.
    #[must_use]
    pub fn said(self, impact: Impact) -> Self {
        let said = match impact {
            Impact::None => return self,
            Impact::Minor => Self::Degraded,
            Impact::Major => Self::Partial,
            Impact::Critical => Self::Major,
        };
        self.max(said)
    }

    /// What all of them amount to: an outage of all is a major one, of some a partial one. Of none, nobody can say.
    pub fn of_all(all: &[Self]) -> Self {
        let worst = all.iter().copied().max().unwrap_or(Self::Unknown);
        let is_of_some = worst == Self::Major && all.iter().any(|one| *one != Self::Major);
        if is_of_some { Self::Partial } else { worst }
    }

    /// As Statuspage's indicator.
    pub fn indicator(self) -> &'static str {
        match self {
            Self::Operational => "none",
            Self::Maintenance => "maintenance",
            Self::Unknown | Self::Degraded => "minor",
            Self::Partial => "major",
            Self::Major => "critical",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_never_called_well() {
        assert_eq!(Standing::of_beat(None), Standing::Unknown);
        assert_eq!(Standing::of_check(Some(check::State::Unknown)), Standing::Unknown);
        assert_eq!(Standing::of_heartbeat(Some(heartbeat::State::New)), Standing::Unknown);
        assert_eq!(Standing::of_all(&[]), Standing::Unknown);
        assert_eq!(Standing::of_all(&[Standing::Operational, Standing::Unknown]), Standing::Unknown);
        for unsure in [Standing::Unknown, Standing::Degraded, Standing::Partial, Standing::Major] {
            assert_ne!((unsure.statuspage(), unsure.indicator()), ("operational", "none"));
        }
    }

    #[test]
    fn an_outage_of_some_is_a_partial_one() {
        use Standing::{Maintenance, Major, Operational, Partial};
        assert_eq!(Standing::of_all(&[Major, Operational]), Partial);
        assert_eq!(Standing::of_all(&[Major, Major]), Major);
        assert_eq!(Standing::of_all(&[Maintenance, Operational]), Maintenance);
    }

    #[test]
    fn people_can_say_that_it_is_worse_and_not_that_it_is_better() {
        assert_eq!(Standing::Operational.said(Impact::Minor), Standing::Degraded);
        assert_eq!(Standing::Major.said(Impact::Minor), Standing::Major);
        assert_eq!(Standing::Operational.said(Impact::None), Standing::Operational);
    }
}
