//! Whether a monitor's state is an incident of komainu's.
//!
//! Who alerts belongs to the monitor: what was made through komainu's API is komainu's wherever it runs; what was made in
//! Kuma's UI is Kuma's while it runs on a Kuma, and komainu's while it runs on a native node. A move is not a change of
//! state: a monitor that was down before it came is known to those who watched it then, so only a beat after the move
//! opens. What is open ends by whatever ends it, wherever the monitor runs by then.
//!
//! A monitor in maintenance opens nothing and ends nothing: what was told before stays open until it is up, and one that
//! is down when its window ends is told then.
//!
//! A monitor's state is that of its latest *important* beat, which Kuma writes whenever the state changes.

use std::time::Duration;

use crate::time::Wall;

/// MariaDB keeps whole seconds of a beat's time: a beat that shows so much before the move may be after it.
const ROUNDING: Duration = Duration::from_secs(1);

/// What a beat found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Down, after all its retries.
    Down,
    /// Up.
    Up,
    /// Undecided.
    Pending,
    /// Nobody wants to know.
    Maintenance,
}

/// What decides about one monitor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// It runs at all.
    pub is_active: bool,
    /// Through komainu's API.
    pub is_api_made: bool,
    /// Its effective node is a native one.
    pub runs_native: bool,
    /// When it was last given to a node.
    pub moved_at: Option<Wall>,
    /// Its latest important beat, and when that was.
    pub state: Option<(State, Wall)>,
}

/// Why an incident is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It is up.
    Up,
    /// Somebody paused it.
    Paused,
    /// There is no such monitor any more.
    Deleted,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing.
    Leave,
    /// Open its incident.
    Open,
    /// Resolve its incident.
    Resolve(End),
}

/// Decides; `None`: there is no such monitor.
pub fn decide(monitor: Option<&Facts>, has_incident: bool) -> Verdict {
    let Some(facts) = monitor else { return over(has_incident, End::Deleted) };
    if !facts.is_active {
        return over(has_incident, End::Paused);
    }
    match facts.state {
        Some((State::Up, _)) => over(has_incident, End::Up),
        Some((State::Down, at)) if !has_incident && is_ours(facts, at) => Verdict::Open,
        None | Some((State::Pending | State::Down | State::Maintenance, _)) => Verdict::Leave,
    }
}

fn over(has_incident: bool, end: End) -> Verdict {
    if has_incident { Verdict::Resolve(end) } else { Verdict::Leave }
}

fn is_ours(facts: &Facts, down_at: Wall) -> bool {
    let is_since_move = facts.moved_at.is_none_or(|moved_at| moved_at.since(down_at) <= ROUNDING);
    facts.is_api_made || (facts.runs_native && is_since_move)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_kuma(state: State) -> Facts {
        Facts {
            is_active: true,
            is_api_made: false,
            runs_native: true,
            moved_at: Some(Wall(10_000)),
            state: Some((state, Wall(20_000))),
        }
    }

    #[test]
    fn a_monitor_of_kumas_ui_is_komainus_on_a_native_node_only() {
        let native = of_kuma(State::Down);
        assert_eq!(decide(Some(&native), false), Verdict::Open);
        let on_kuma = Facts { runs_native: false, ..native };
        assert_eq!(decide(Some(&on_kuma), false), Verdict::Leave);
        let api_made = Facts { is_api_made: true, ..on_kuma };
        assert_eq!(decide(Some(&api_made), false), Verdict::Open);
    }

    #[test]
    fn a_move_is_not_a_change_of_state() {
        let was_down_before = Facts { moved_at: Some(Wall(22_000)), ..of_kuma(State::Down) };
        assert_eq!(decide(Some(&was_down_before), false), Verdict::Leave);
        let within_rounding = Facts { moved_at: Some(Wall(20_900)), ..of_kuma(State::Down) };
        assert_eq!(decide(Some(&within_rounding), false), Verdict::Open);
        let has_left = Facts { runs_native: false, ..of_kuma(State::Down) };
        assert_eq!(decide(Some(&has_left), true), Verdict::Leave, "still down, told once");
        let is_up_there = Facts { runs_native: false, ..of_kuma(State::Up) };
        assert_eq!(decide(Some(&is_up_there), true), Verdict::Resolve(End::Up));
    }

    #[test]
    fn an_incident_ends_when_the_monitor_is_up_paused_or_gone() {
        assert_eq!(decide(None, true), Verdict::Resolve(End::Deleted));
        let paused = Facts { is_active: false, ..of_kuma(State::Down) };
        assert_eq!(decide(Some(&paused), true), Verdict::Resolve(End::Paused));
        assert_eq!(decide(Some(&of_kuma(State::Pending)), true), Verdict::Leave);
        assert_eq!(decide(Some(&of_kuma(State::Up)), false), Verdict::Leave);
    }

    #[test]
    fn maintenance_neither_opens_nor_ends_an_incident() {
        assert_eq!(decide(Some(&of_kuma(State::Maintenance)), true), Verdict::Leave);
        assert_eq!(decide(Some(&of_kuma(State::Maintenance)), false), Verdict::Leave);
    }
}
