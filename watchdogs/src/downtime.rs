//! Whether a monitor's state is an incident of komainu's.
//!
//! Who alerts belongs to the monitor: what was made through komainu's API is komainu's wherever it runs; what was made in
//! Kuma's UI is Kuma's while it runs on a Kuma, and komainu's while it runs on a native node. Whose a DOWN is follows from
//! who stored it: a native node notes it in the same transaction, and the note stays until somebody finds the monitor up.
//! So a move is not a change of state, and a DOWN that was stored right before one is told all the same. What is open
//! ends by whatever ends it, wherever the monitor runs by then.
//!
//! Where Kuma has notifications for it, people hear of it from these also while a native node runs it: a stock node sends them
//! ([`ByKuma`]). Only what none of them sends is komainu's to tell, once, with words that say so.
//!
//! A monitor's state is that of the beat that was *stored* last. Times of beats are those of their nodes' clocks, which
//! step: they order nothing.
//!
//! A monitor in maintenance opens nothing and ends nothing: what was told before stays open until it is up, and one that
//! is down when its window ends is told then. A node that cannot look (PENDING) changes nothing that was settled before.

use std::time::Duration;

use crate::time::Wall;

/// MariaDB keeps whole seconds of a beat's time: a beat that shows so much before the move may be after it.
const ROUNDING: Duration = Duration::from_secs(1);

/// What a beat found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Down, after all its retries.
    Down,
    /// The last run was good.
    Up,
    /// The last run was bad, and is to be tried again before the monitor counts as down.
    Pending,
    /// Nobody wants to know.
    Maintenance,
}

/// Whether a native node found a monitor down, and nobody found it up since.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FoundDown {
    /// None did, as far as is known.
    #[default]
    No,
    /// One stored a DOWN, and noted it.
    Noted,
    /// It runs on one of an earlier komainu, which notes nothing, and by the clocks it went down there:
    /// [`went_down_since`].
    Unnoted,
}

/// What Kuma's own notifications do about a DOWN that no stock node found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ByKuma {
    /// Nothing: there are none, or it is komainu's monitor.
    #[default]
    No,
    /// A stock node sends them, sent them, or may be about to.
    Takes,
    /// Nobody sends them: it runs on a native node, and no stock node is there that could.
    Cannot,
}

/// What is known of who sends Kuma's messages of the last change of a monitor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Relay {
    /// When the native node found it down; `None`: a stock node did.
    pub found_at: Option<Wall>,
    /// A native node runs it.
    pub runs_natively: bool,
    /// Who took it.
    pub taker: Taker,
    /// When the last renewal of any stock node was stored.
    pub stock_seen_at: Option<Wall>,
}

/// Who took it on himself to tell it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Taker {
    /// Nobody yet.
    #[default]
    Nobody,
    /// A watchdog.
    Komainu,
    /// A stock node, which has sent it.
    Sent,
    /// A stock node, which is sending it since then.
    Sending(Wall),
}

/// By then a stock node that is there has taken it: each looks every two seconds.
const TAKEN_AFTER: Duration = Duration::from_secs(30);
/// A stock node that renewed so recently is there.
const STOCK_IS_THERE: Duration = Duration::from_secs(15);
/// One that sends renews its claim before each message; another one takes it over after half of this.
const SENDING_LASTS: Duration = Duration::from_secs(60);
/// What stock nodes told is handed over when none was there for so long: one may only be started anew.
const STOCK_IS_GONE: Duration = Duration::from_secs(60);

impl ByKuma {
    /// Of a monitor that has notifications of Kuma's.
    pub fn of(relay: &Relay, now: Wall) -> Self {
        // What stands far ahead of the clock is no reason to wait.
        let is_within = |at: Wall, span: Duration| now.since(at) < span && at.since(now) < span;
        let is_seen = |span| relay.stock_seen_at.is_some_and(|at| is_within(at, span));
        let takes = match (relay.found_at, relay.taker) {
            (None, _) => !relay.runs_natively || is_seen(STOCK_IS_GONE),
            (Some(_), Taker::Komainu) => false,
            (Some(_), Taker::Sent) => true,
            (Some(_), Taker::Sending(since)) => is_within(since, SENDING_LASTS),
            (Some(found_at), Taker::Nobody) => is_within(found_at, TAKEN_AFTER) && is_seen(STOCK_IS_THERE),
        };
        if takes { Self::Takes } else { Self::Cannot }
    }
}

/// What decides about one monitor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// It runs at all.
    pub is_active: bool,
    /// Through komainu's API.
    pub is_api_made: bool,
    /// Whether a native node found it down.
    pub by_native: FoundDown,
    /// Whether Kuma's notifications take it.
    pub by_kuma: ByKuma,
    /// What the beat says that was stored last.
    pub state: Option<State>,
}

/// Whether a change to DOWN came after the move, as far as the clocks of two hosts can say.
pub fn went_down_since(moved_at: Option<Wall>, down_at: Wall) -> bool {
    moved_at.is_none_or(|moved_at| moved_at.since(down_at) <= ROUNDING)
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
    /// Nothing is to be done.
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
    let is_ours = is_komainus(facts);
    match facts.state {
        Some(State::Up) => over(has_incident, End::Up),
        Some(State::Down) if !has_incident && is_ours => Verdict::Open,
        // It went down and its node lost its own network before anybody looked.
        Some(State::Pending) if !has_incident && is_ours && facts.by_native == FoundDown::Noted => Verdict::Open,
        None | Some(State::Pending | State::Down | State::Maintenance) => Verdict::Leave,
    }
}

/// Whether a DOWN of this monitor is komainu's to tell.
pub fn is_komainus(facts: &Facts) -> bool {
    let is_left = match facts.by_kuma {
        ByKuma::No => facts.by_native != FoundDown::No,
        ByKuma::Takes => false,
        // Also what stock nodes told before they were gone: somebody has to say how it ends.
        ByKuma::Cannot => true,
    };
    facts.is_api_made || is_left
}

/// Whether the note of a DOWN says what is not so any more: left there, it would make a later DOWN that somebody else
/// tells komainu's.
pub fn is_note_stale(monitor: Option<&Facts>) -> bool {
    monitor
        .is_none_or(|facts| facts.by_native == FoundDown::Noted && (facts.state == Some(State::Up) || !facts.is_active))
}

fn over(has_incident: bool, end: End) -> Verdict {
    if has_incident { Verdict::Resolve(end) } else { Verdict::Leave }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_kuma(state: State) -> Facts {
        Facts { is_active: true, is_api_made: false, by_native: FoundDown::No, by_kuma: ByKuma::No, state: Some(state) }
    }

    #[test]
    fn a_monitor_of_kumas_ui_is_komainus_where_a_native_node_found_it_down() {
        let by_kuma = of_kuma(State::Down);
        assert_eq!(decide(Some(&by_kuma), false), Verdict::Leave);
        let by_native = Facts { by_native: FoundDown::Noted, ..by_kuma };
        assert_eq!(decide(Some(&by_native), false), Verdict::Open);
        assert_eq!(decide(Some(&by_native), true), Verdict::Leave, "still down, told once");
        let api_made = Facts { is_api_made: true, ..by_kuma };
        assert_eq!(decide(Some(&api_made), false), Verdict::Open);
        let by_earlier = Facts { by_native: FoundDown::Unnoted, ..by_kuma };
        assert_eq!(decide(Some(&by_earlier), false), Verdict::Open);
    }

    #[test]
    fn kumas_notifications_tell_it_while_a_stock_node_is_there_and_komainu_where_none_is() {
        let now = Wall(1_000_000);
        let ago = |seconds: i64| Some(Wall(now.0 - 1_000 * seconds));
        let found = Relay { found_at: ago(2), runs_natively: true, stock_seen_at: ago(1), ..Relay::default() };
        let verdict = |relay: Relay| {
            let by_native = if relay.found_at.is_some() { FoundDown::Noted } else { FoundDown::No };
            let facts = Facts { by_native, by_kuma: ByKuma::of(&relay, now), ..of_kuma(State::Down) };
            decide(Some(&facts), false)
        };
        assert_eq!(verdict(found), Verdict::Leave, "a stock node is about to tell it");
        assert_eq!(verdict(Relay { stock_seen_at: ago(20), ..found }), Verdict::Open, "there is none");
        assert_eq!(verdict(Relay { stock_seen_at: None, ..found }), Verdict::Open);
        assert_eq!(verdict(Relay { found_at: ago(31), ..found }), Verdict::Open, "none does it");
        assert_eq!(verdict(Relay { found_at: ago(-31), ..found }), Verdict::Open, "found in the future");
        let old = Relay { found_at: ago(600), stock_seen_at: None, ..found };
        assert_eq!(verdict(Relay { taker: Taker::Sent, ..old }), Verdict::Leave, "told");
        assert_eq!(verdict(Relay { taker: Taker::Sending(Wall(now.0 - 9_000)), ..old }), Verdict::Leave);
        assert_eq!(verdict(Relay { taker: Taker::Sending(Wall(now.0 - 60_000)), ..old }), Verdict::Open, "it was lost");
        assert_eq!(verdict(Relay { taker: Taker::Komainu, ..old }), Verdict::Open);
        // Told by a stock node, before it came to the native one.
        let told = Relay { found_at: None, ..found };
        assert_eq!(verdict(told), Verdict::Leave);
        assert_eq!(verdict(Relay { stock_seen_at: ago(40), ..told }), Verdict::Leave, "it may only be started anew");
        assert_eq!(verdict(Relay { stock_seen_at: ago(61), ..told }), Verdict::Open, "nobody of them says how it ends");
        assert_eq!(verdict(Relay { runs_natively: false, stock_seen_at: None, ..told }), Verdict::Leave, "Kuma's");
    }

    #[test]
    fn where_nothing_is_noted_only_a_change_after_the_move_counts() {
        assert!(!went_down_since(Some(Wall(22_000)), Wall(20_000)));
        assert!(went_down_since(Some(Wall(20_900)), Wall(20_000)), "MariaDB keeps whole seconds");
        assert!(went_down_since(None, Wall(20_000)));
    }

    #[test]
    fn an_incident_ends_when_the_monitor_is_up_paused_or_gone() {
        assert_eq!(decide(None, true), Verdict::Resolve(End::Deleted));
        let paused = Facts { is_active: false, ..of_kuma(State::Down) };
        assert_eq!(decide(Some(&paused), true), Verdict::Resolve(End::Paused));
        assert_eq!(decide(Some(&of_kuma(State::Pending)), true), Verdict::Leave);
        assert_eq!(decide(Some(&of_kuma(State::Up)), true), Verdict::Resolve(End::Up));
        assert_eq!(decide(Some(&of_kuma(State::Up)), false), Verdict::Leave);
    }

    #[test]
    fn maintenance_neither_opens_nor_ends_an_incident() {
        let noted = Facts { by_native: FoundDown::Noted, ..of_kuma(State::Maintenance) };
        for facts in [of_kuma(State::Maintenance), noted] {
            assert_eq!(decide(Some(&facts), true), Verdict::Leave);
            assert_eq!(decide(Some(&facts), false), Verdict::Leave);
        }
    }

    #[test]
    fn a_node_that_cannot_look_hides_no_down_that_was_stored_before() {
        let noted = Facts { by_native: FoundDown::Noted, ..of_kuma(State::Pending) };
        assert_eq!(decide(Some(&noted), false), Verdict::Open);
        assert_eq!(decide(Some(&noted), true), Verdict::Leave);
        assert_eq!(decide(Some(&of_kuma(State::Pending)), false), Verdict::Leave);
    }

    #[test]
    fn a_note_is_stale_once_the_monitor_is_up_paused_or_gone() {
        let noted = |state| Facts { by_native: FoundDown::Noted, ..of_kuma(state) };
        assert!(is_note_stale(None));
        assert!(is_note_stale(Some(&noted(State::Up))));
        assert!(is_note_stale(Some(&Facts { is_active: false, ..noted(State::Down) })));
        for state in [State::Down, State::Pending, State::Maintenance] {
            assert!(!is_note_stale(Some(&noted(state))), "{state:?}");
        }
    }
}
