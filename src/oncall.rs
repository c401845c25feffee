//! Who is called when nobody takes care of something: ladders, the people on them, and who of them is on duty.
//!
//! When a step falls due is [`komainu_watchdogs::ladder`]'s to say; whom it reaches at that moment is said here, for time zones are.

pub mod explained;
mod rotation;

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::io::Severity;
use komainu_watchdogs::ladder::Ladder;
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;

pub use self::rotation::{Override, Rotation};

/// Everybody who may be called, and in which order.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct OnCall {
    /// By name.
    pub ladders: BTreeMap<String, NamedLadder>,
    /// The channels of each person.
    pub people: BTreeMap<String, Vec<String>>,
    /// By name.
    pub rotations: BTreeMap<String, Rotation>,
    /// Of each route, in the order of the configuration, the ladder that what it takes climbs.
    pub of_routes: Vec<Option<String>>,
}

/// A ladder with those whom its steps reach.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NamedLadder {
    /// When each step falls due.
    pub times: Ladder,
    /// Whom each step reaches.
    pub steps: Vec<Targets>,
}

/// Whom a step reaches.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Targets {
    /// Channels by name.
    pub channels: Vec<String>,
    /// People by name.
    pub people: Vec<String>,
    /// Whoever of this rotation is on duty.
    pub rotation: Option<String>,
}

impl OnCall {
    /// The ladders that an incident climbs: those of all routes that take it at this time. What is no more than a warning climbs none.
    pub fn climbed_by(&self, routing: &Routing, subject: &Subject, at: Wall) -> BTreeSet<&str> {
        if subject.severity < Severity::Critical {
            return BTreeSet::new();
        }
        let routes = routing.taking(subject, at);
        routes.filter_map(|(place, _)| self.of_routes.get(place).and_then(Option::as_deref)).collect()
    }

    /// The channels that a step reaches at this time.
    pub fn reached(&self, ladder: &str, step: u32, now: Wall) -> BTreeSet<String> {
        let Some(targets) = self.targets(ladder, step) else { return BTreeSet::new() };
        let people = self.called(ladder, step, now);
        let of_people = people.into_iter().filter_map(|person| self.people.get(person)).flatten();
        targets.channels.iter().chain(of_people).cloned().collect()
    }

    /// The people whom a step calls at this time, whoever is on duty among them.
    pub fn called(&self, ladder: &str, step: u32, now: Wall) -> BTreeSet<&str> {
        let Some(targets) = self.targets(ladder, step) else { return BTreeSet::new() };
        let on_duty =
            targets.rotation.as_ref().and_then(|name| self.rotations.get(name)).and_then(|one| one.on_duty(now));
        targets.people.iter().map(String::as_str).chain(on_duty).collect()
    }

    fn targets(&self, ladder: &str, step: u32) -> Option<&Targets> {
        self.ladders.get(ladder)?.steps.get(usize::try_from(step).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use komainu_watchdogs::routing::{Matcher, Route};

    use super::*;

    #[test]
    fn what_is_critical_climbs_the_ladders_of_the_routes_that_take_it_and_a_warning_none() {
        let route = |kind: Option<&str>| Route {
            matcher: Matcher { kind: kind.map(str::to_owned), ..Matcher::default() },
            channels: vec!["ops".to_owned()],
            ..Route::default()
        };
        let routing = Routing { channels: vec!["ops".to_owned()], routes: vec![route(Some("check")), route(None)] };
        let of_routes = vec![Some("night".to_owned()), None];
        let on_call = OnCall { of_routes, ..OnCall::default() };
        let subject =
            |key: &str, severity| Subject { key: key.to_owned(), severity, tags: vec![], channels: vec![], node: None };
        let climbed = |key: &str, severity| on_call.climbed_by(&routing, &subject(key, severity), Wall(0)).len();
        assert_eq!(climbed("check/shop", Severity::Critical), 1);
        assert_eq!(climbed("node/n1", Severity::Critical), 0);
        assert_eq!(climbed("check/shop", Severity::Warning), 0);
    }

    #[test]
    fn a_step_reaches_its_channels_its_people_and_whoever_is_on_duty() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let targets = Targets { channels: names(&["ops"]), people: names(&["ada"]), rotation: Some("week".to_owned()) };
        let on_call = OnCall {
            ladders: [("night".to_owned(), NamedLadder { steps: vec![targets], ..NamedLadder::default() })].into(),
            people: [("ada".to_owned(), names(&["ada-phone"])), ("bob".to_owned(), names(&["bob-phone", "bob-mail"]))]
                .into(),
            rotations: [("week".to_owned(), Rotation::weekly(names(&["bob"])))].into(),
            of_routes: vec![],
        };
        let reached = on_call.reached("night", 0, Wall(1_800_000_000_000));
        assert_eq!(Vec::from_iter(reached), ["ada-phone", "bob-mail", "bob-phone", "ops"]);
        assert!(on_call.reached("night", 1, Wall(0)).is_empty() && on_call.reached("day", 0, Wall(0)).is_empty());
    }
}
