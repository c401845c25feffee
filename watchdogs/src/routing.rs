//! Where messages go: which channels are told about what, and how long a group is collected.
//!
//! A pure function of the configuration and the subject. When a message leaves, and in whose company, is
//! [`crate::outbox`]'s business.
//!
//! What names its own channels (a monitor, a heartbeat) is told there and nowhere else, again as often as any route says
//! that takes it. Otherwise *all* routes that match apply, up to one that says that nothing below it does. Without any route in the
//! configuration, everything goes to every channel.
//!
//! A route with hours takes nothing outside of them. That is decided when something is entered, for the moment at which it opened or is
//! told again. What is critical, and would be taken by nothing but routes outside of their hours, is taken by them all the same.

mod hours;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::NodeId;
use crate::io::{Alarm, Severity};
use crate::time::Wall;

pub use self::hours::{DAY, DAYS, Hours};

/// How long what opens on one channel is collected into one message, unless the route says otherwise.
pub const GROUP_WAIT: Duration = Duration::from_secs(5);

/// What a message is about, as far as routes and parents look at it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Subject {
    /// Kind and subject: `heartbeat/backup`.
    pub key: String,
    /// Whether somebody is to get up for it.
    pub severity: Severity,
    /// Of the monitor or heartbeat.
    pub tags: Vec<String>,
    /// Channels that it names itself; empty: the routes decide.
    pub channels: Vec<String>,
    /// Of a monitor: the node that runs it, whose own trouble explains the monitor's.
    pub node: Option<NodeId>,
}

impl Subject {
    /// Something without tags, channels and node of its own.
    pub fn of(alarm: &Alarm) -> Self {
        Self { key: alarm.key.clone(), severity: alarm.severity, tags: vec![], channels: vec![], node: None }
    }

    /// The node that it is about, or that runs the monitor.
    fn place(&self) -> Option<&str> {
        let of_node = || OF_A_NODE.iter().find_map(|kind| self.key.strip_prefix(kind));
        self.node.as_ref().map(NodeId::as_str).or_else(of_node)
    }
}

/// Which subjects a route takes; all that are given must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Matcher {
    /// The key's first part.
    pub kind: Option<String>,
    /// Exactly this severity.
    pub severity: Option<Severity>,
    /// One of its tags.
    pub tag: Option<String>,
    /// The key or what it stands below (`database` takes `database/lost-tail`), with `*` for any characters.
    pub key: Option<String>,
    /// The node that it is about, or that runs the monitor, with `*` for any characters.
    pub node: Option<String>,
}

/// A route: what it takes, and which channels hear of that.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Route {
    /// What it takes.
    pub matcher: Matcher,
    /// Only in one of these; empty: at all times.
    pub hours: Vec<Hours>,
    /// What it takes is taken by no route below it.
    pub is_last: bool,
    /// Where that goes.
    pub channels: Vec<String>,
    /// How long a group is collected.
    pub group_wait: Duration,
    /// Say it again this often while it lasts; `None`: once.
    pub repeat: Option<Duration>,
}

/// What one route has to say about a subject.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It takes it.
    Takes,
    /// It is outside of its hours, and takes it all the same: it is critical, and no other route does.
    TakesLate,
    /// It takes such things, at other hours.
    OutsideHours,
    /// It takes other things: the first condition that does not hold.
    Lacks(Condition),
    /// The route of this place, from 0, is above it, took it, and is the last.
    Behind(usize),
}

impl Verdict {
    /// Whether its channels are told.
    pub fn is_told(self) -> bool {
        match self {
            Self::Takes | Self::TakesLate => true,
            Self::OutsideHours | Self::Lacks(_) | Self::Behind(_) => false,
        }
    }
}

/// What a route asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// That it names the kind, which is told to nobody else.
    AskedFor,
    /// Another kind.
    Kind,
    /// Another severity.
    Severity,
    /// A tag.
    Tag,
    /// Another key.
    Key,
    /// Another node.
    Node,
}

impl Condition {
    /// As it stands in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AskedFor | Self::Kind => "kind",
            Self::Severity => "severity",
            Self::Tag => "tag",
            Self::Key => "key",
            Self::Node => "node",
        }
    }
}

/// One channel that is to be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Planned {
    /// The channel's name.
    pub channel: String,
    /// How long a group is collected.
    pub group_wait: Duration,
    /// Say it again this often while it lasts.
    pub repeat: Option<Duration>,
}

/// The whole of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Routing {
    /// All configured channels.
    pub channels: Vec<String>,
    /// In the order of the configuration.
    pub routes: Vec<Route>,
}

impl Routing {
    /// Who is told about this subject: each channel once, in alphabetical order. Where two routes name one channel, the
    /// shorter waits hold. A channel that is not configured (any more) is left out; a subject that would then reach
    /// nobody goes to all. `at`: by the database's clock.
    pub fn plan(&self, subject: &Subject, at: Wall) -> Vec<Planned> {
        let mut planned = BTreeMap::new();
        let matching: Vec<&Route> = self.taking(subject, at).map(|(_, route)| route).collect();
        let repeat = matching.iter().filter_map(|route| route.repeat).min();
        let is_quiet = !is_told_unasked(kind_of(&subject.key));
        // A check's channels are for when it is down.
        if subject.channels.is_empty() || is_quiet {
            for route in &matching {
                for channel in route.channels.iter().filter(|channel| self.channels.contains(channel)) {
                    note(&mut planned, channel, route.group_wait, route.repeat);
                }
            }
        } else {
            for channel in subject.channels.iter().filter(|channel| self.channels.contains(channel)) {
                note(&mut planned, channel, GROUP_WAIT, repeat);
            }
        }
        let reaches_nobody = planned.is_empty() && (self.routes.is_empty() || !subject.channels.is_empty());
        if reaches_nobody && !is_quiet {
            for channel in &self.channels {
                note(&mut planned, channel, GROUP_WAIT, repeat);
            }
        }
        planned.into_values().collect()
    }

    /// The routes that take this, with their places from 0.
    pub fn taking(&self, subject: &Subject, at: Wall) -> impl Iterator<Item = (usize, &Route)> {
        let verdicts = self.verdicts(subject, at).into_iter();
        let routes = self.routes.iter().enumerate().zip(verdicts);
        routes.filter(|(_, verdict)| verdict.is_told()).map(|(placed, _)| placed)
    }

    /// What each route has to say, in their order.
    pub fn verdicts(&self, subject: &Subject, at: Wall) -> Vec<Verdict> {
        let verdicts = self.judge(subject, at, Verdict::OutsideHours);
        let is_late = verdicts.contains(&Verdict::OutsideHours) && !verdicts.iter().any(|verdict| verdict.is_told());
        let is_urgent = is_late && subject.severity >= Severity::Critical;
        if is_urgent { self.judge(subject, at, Verdict::TakesLate) } else { verdicts }
    }

    /// `late`: what becomes of what comes outside of a route's hours.
    fn judge(&self, subject: &Subject, at: Wall, late: Verdict) -> Vec<Verdict> {
        let mut last = None;
        let judge = |(place, route): (usize, &Route)| {
            let is_on = route.hours.is_empty() || route.hours.iter().any(|hours| hours.is_on(at));
            let verdict = match (last, route.matcher.lacks(subject)) {
                (Some(last), _) => Verdict::Behind(last),
                (None, Some(condition)) => Verdict::Lacks(condition),
                (None, None) if is_on => Verdict::Takes,
                (None, None) => late,
            };
            if route.is_last && verdict.is_told() {
                last = Some(place);
            }
            verdict
        };
        self.routes.iter().enumerate().map(judge).collect()
    }

    /// Whether it matters when something is told.
    pub fn needs_time(&self) -> bool {
        self.routes.iter().any(|route| !route.hours.is_empty())
    }
}

impl Routing {
    /// Channels that some incident of this severity goes to, whatever its kind, at any hour. Whoever hears of some only at their hours
    /// counts where nobody else does: the others are who it is left to.
    pub fn hear_of(&self, severity: Severity) -> BTreeSet<String> {
        let is_known = |channel: &&String| self.channels.contains(channel);
        if self.routes.is_empty() {
            return self.channels.iter().cloned().collect();
        }
        let hearing = || self.routes.iter().filter(|route| route.matcher.hears_of(severity));
        let has_hours = |route: &&Route| !route.hours.is_empty();
        let is_left_to_hours = hearing().all(|route| has_hours(&route));
        let routes = hearing().filter(|route| is_left_to_hours || !has_hours(route));
        routes.flat_map(|route| &route.channels).filter(is_known).cloned().collect()
    }

    /// What no route takes, kind by kind: it is told to nobody, unless it bears a tag or names channels of its own that
    /// some route, or nobody, asked for. Without routes there is nothing of the sort.
    pub fn unheard<'a>(&self, kinds: impl IntoIterator<Item = &'a str>) -> Vec<(&'a str, Severity)> {
        if self.routes.is_empty() {
            return vec![];
        }
        let told = kinds.into_iter().filter(|kind| is_told_unasked(kind));
        let each = told.flat_map(|kind| SEVERITIES.map(|severity| (kind, severity)));
        each.filter(|(kind, severity)| !self.takes_all_of(Some(kind), *severity)).collect()
    }

    /// Every incident is told to somebody, also of a kind that a later version tells of. Not a matter of channels.
    pub fn has_catch_all(&self) -> bool {
        self.routes.is_empty() || SEVERITIES.into_iter().all(|severity| self.takes_all_of(None, severity))
    }

    /// Whether some route takes all of a kind; `None`: all there is.
    fn takes_all_of(&self, kind: Option<&str>, severity: Severity) -> bool {
        let takes = |route: &Route| route.matcher.hears_of(severity) && route.matcher.takes_all_of(kind);
        self.routes.iter().any(|route| route.hours.is_empty() && takes(route))
    }
}

/// Kinds of which there is only one at a time, whose key is the kind alone; or, of capacity, may be.
const WITHOUT_SUBJECT: [&str; 9] =
    ["nodes", "leader", "capacity", "isolation", "foreign-runner", "database", "servers", "pushes", "checks"];

/// What keys of incidents about one node begin with.
const OF_A_NODE: [&str; 3] = ["node/", "progress/", "clock/"];

/// Kinds that nobody is told of but who asks for them by their name.
const ASKED_FOR_ONLY: [&str; 1] = ["partial"];

const SEVERITIES: [Severity; 2] = [Severity::Critical, Severity::Warning];

fn note(planned: &mut BTreeMap<String, Planned>, channel: &str, group_wait: Duration, repeat: Option<Duration>) {
    let fresh = Planned { channel: channel.to_owned(), group_wait, repeat };
    let known = planned.entry(channel.to_owned()).or_insert(fresh);
    known.group_wait = known.group_wait.min(group_wait);
    known.repeat = match (known.repeat, repeat) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
}

impl Matcher {
    fn hears_of(&self, severity: Severity) -> bool {
        self.severity.is_none_or(|wanted| wanted == severity)
    }

    /// Whether it asks for nothing that some of this kind lack; `None`: of whatever kind.
    fn takes_all_of(&self, kind: Option<&str>) -> bool {
        let is_of_kind = self.kind.is_none() || self.kind.as_deref() == kind;
        let is_any_key = |pattern: &str| pattern.chars().all(|letter| letter == '*') && !pattern.is_empty();
        let is_all_of_kind = |pattern: &str, kind: &str| match pattern.strip_prefix(kind) {
            Some("") => true,
            Some("/*") => !WITHOUT_SUBJECT.contains(&kind),
            Some(rest) => is_any_key(rest),
            None => false,
        };
        let takes_key =
            |pattern: &String| is_any_key(pattern) || kind.is_some_and(|kind| is_all_of_kind(pattern, kind));
        is_of_kind && self.node.is_none() && self.tag.is_none() && self.key.as_ref().is_none_or(takes_key)
    }

    /// The first condition that does not hold; `None`: it takes this.
    fn lacks(&self, subject: &Subject) -> Option<Condition> {
        let kind = kind_of(&subject.key);
        let node = subject.place();
        let is_asked_for = is_told_unasked(kind) || self.kind.is_some();
        let holds = [
            (Condition::AskedFor, is_asked_for),
            (Condition::Kind, self.kind.as_ref().is_none_or(|wanted| wanted == kind)),
            (Condition::Severity, self.severity.is_none_or(|wanted| wanted == subject.severity)),
            (Condition::Tag, self.tag.as_ref().is_none_or(|wanted| subject.tags.contains(wanted))),
            (Condition::Key, self.key.as_ref().is_none_or(|pattern| is_in_family(pattern, &subject.key))),
            (Condition::Node, self.node.as_ref().is_none_or(|wanted| node.is_some_and(|node| is_like(wanted, node)))),
        ];
        holds.into_iter().find(|(_, holds)| !holds).map(|(condition, _)| condition)
    }
}

/// The first part of an incident's key.
fn kind_of(key: &str) -> &str {
    key.split_once('/').map_or(key, |(kind, _)| kind)
}

/// Whether incidents of this kind go to routes that do not name it.
pub fn is_told_unasked(kind: &str) -> bool {
    !ASKED_FOR_ONLY.contains(&kind)
}

/// Whether a key, or one that it stands below, is like this pattern.
fn is_in_family(pattern: &str, key: &str) -> bool {
    let above = key.match_indices('/').filter_map(|(at, _)| key.get(..at));
    above.chain([key]).any(|key| is_like(pattern, key))
}

/// Whether a text is like a pattern in which `*` stands for any characters.
fn is_like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or("");
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn routing() -> Routing {
        let route = |matcher, channels: &[&str], wait| Route {
            matcher,
            channels: channels.iter().map(|&name| name.to_owned()).collect(),
            group_wait: Duration::from_secs(wait),
            repeat: None,
            ..Route::default()
        };
        let of_kind = |kind: &str| Matcher { kind: Some(kind.to_owned()), ..Matcher::default() };
        let night = Matcher { severity: Some(Severity::Critical), ..Matcher::default() };
        Routing {
            channels: ["mail", "ops", "phone"].map(str::to_owned).to_vec(),
            routes: vec![
                route(of_kind("heartbeat"), &["ops", "gone"], 5),
                route(night, &["phone", "ops"], 2),
                route(Matcher { key: Some("node/eu-*".into()), ..Matcher::default() }, &["mail"], 5),
                route(Matcher { tag: Some("shop".into()), ..Matcher::default() }, &["mail"], 5),
            ],
        }
    }

    fn told(subject: &Subject) -> Vec<(String, u64)> {
        routing()
            .plan(subject, Wall(0))
            .into_iter()
            .map(|planned| (planned.channel, planned.group_wait.as_secs()))
            .collect()
    }

    fn subject(key: &str, severity: Severity) -> Subject {
        Subject { key: key.to_owned(), severity, tags: vec![], channels: vec![], node: None }
    }

    #[test]
    fn what_a_minority_sees_is_told_to_whoever_asks_for_it_and_to_nobody_else() {
        let subject = |channels: &[&str]| Subject {
            key: "partial/shop".to_owned(),
            severity: Severity::Warning,
            tags: vec![],
            channels: channels.iter().map(|&name| name.to_owned()).collect(),
            node: None,
        };
        let told = |routing: &Routing, subject: &Subject| -> Vec<String> {
            routing.plan(subject, Wall(0)).into_iter().map(|planned| planned.channel).collect()
        };
        let of = |kind: Option<&str>| Route {
            matcher: Matcher { kind: kind.map(str::to_owned), ..Matcher::default() },
            channels: vec!["ops".to_owned()],
            group_wait: Duration::from_secs(5),
            repeat: None,
            ..Route::default()
        };
        let with = |routes: Vec<Route>| Routing { channels: vec!["ops".to_owned()], routes };
        let nobody: [String; 0] = [];
        assert_eq!(told(&with(vec![]), &subject(&[])), nobody);
        assert_eq!(told(&with(vec![]), &subject(&["ops"])), nobody, "the check's own channels are for when it is down");
        assert_eq!(told(&with(vec![of(None)]), &subject(&[])), nobody);
        assert_eq!(with(vec![of(Some("node"))]).unheard(["partial"]), []);
        assert_eq!(told(&with(vec![of(Some("partial"))]), &subject(&[])), ["ops"]);
    }

    #[test]
    fn all_routes_that_match_apply_and_the_shorter_wait_holds() {
        assert_eq!(told(&subject("heartbeat/backup", Severity::Critical)), [("ops".into(), 2), ("phone".into(), 2)]);
        assert_eq!(told(&subject("heartbeat/backup", Severity::Warning)), [("ops".into(), 5)]);
        assert_eq!(told(&subject("node/eu-1", Severity::Warning)), [("mail".into(), 5)]);
        assert_eq!(told(&subject("node/us-1", Severity::Warning)), []);
    }

    #[test]
    fn a_tag_and_own_channels_decide_too() {
        let mut monitor = subject("monitor/7", Severity::Warning);
        monitor.tags.push("shop".into());
        assert_eq!(told(&monitor), [("mail".into(), 5)]);
        monitor.channels.push("phone".into());
        assert_eq!(told(&monitor), [("phone".into(), 5)]);
    }

    #[test]
    fn own_channels_are_told_again_as_often_as_the_routes_say_that_take_the_subject() {
        let mut routing = routing();
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3_600));
        for (route, repeat) in routing.routes.iter_mut().zip([hours(1), hours(4), hours(2), hours(3)]) {
            route.repeat = repeat;
        }
        let mut monitor = subject("monitor/7", Severity::Critical);
        monitor.tags.push("shop".into());
        monitor.channels.push("phone".into());
        let planned = routing.plan(&monitor, Wall(0));
        assert_eq!(planned.iter().map(|planned| planned.repeat).collect::<Vec<_>>(), [hours(3)]);
    }

    #[test]
    fn what_names_only_channels_that_are_gone_reaches_everybody() {
        let mut monitor = subject("monitor/7", Severity::Warning);
        monitor.channels.push("gone".into());
        assert_eq!(told(&monitor).len(), 3);
    }

    #[test]
    fn without_routes_everything_goes_everywhere() {
        let routing = Routing { routes: vec![], ..routing() };
        assert_eq!(routing.plan(&subject("leader", Severity::Critical), Wall(0)).len(), 3);
    }

    #[test]
    fn what_no_route_takes_is_named_kind_by_kind() {
        let unheard = routing().unheard(["heartbeat", "node"]);
        assert_eq!(unheard, [("node", Severity::Warning)], "a part of the nodes, or what bears a tag, is not all");
        let all = |key: &str| Route {
            matcher: Matcher { key: Some(key.into()), ..Matcher::default() },
            ..routing().routes[0].clone()
        };
        for (key, is_all) in
            [("*", true), ("node", true), ("node/*", true), ("node*", true), ("node/eu-*", false), ("n*", false)]
        {
            let routing = Routing { routes: vec![all(key)], ..routing() };
            assert_eq!(routing.unheard(["node"]).is_empty(), is_all, "{key}");
            assert_eq!(routing.has_catch_all(), key == "*", "{key}");
        }
        let alone = Routing { routes: vec![all("leader/*"), all("database")], ..routing() };
        let unheard = [Severity::Critical, Severity::Warning].map(|severity| ("leader", severity));
        assert_eq!(alone.unheard(["leader", "database"]), unheard, "the leader's key has no subject");
        assert!(Routing { routes: vec![], ..routing() }.unheard(["node"]).is_empty());
    }

    #[test]
    fn a_catch_all_takes_kinds_that_are_not_there_yet() {
        let of =
            |severity| Route { matcher: Matcher { severity, ..Matcher::default() }, ..routing().routes[0].clone() };
        let with = |severities: &[Option<Severity>]| Routing {
            routes: severities.iter().map(|one| of(*one)).collect(),
            ..routing()
        };
        assert!(with(&[None]).has_catch_all());
        assert!(with(&[Some(Severity::Critical), Some(Severity::Warning)]).has_catch_all());
        assert!(!with(&[Some(Severity::Critical)]).has_catch_all() && !routing().has_catch_all());
        assert!(with(&[]).has_catch_all(), "without routes everybody hears of everything");
    }

    /// From ten in the evening until seven in the morning, and in the morning from seven on.
    fn by_hours(is_last: bool, below: Vec<Route>) -> Routing {
        let hours = |from, until| Hours { days: [true; 7], from, until, zone: TimeZone::UTC };
        let night = Route { hours: vec![hours(22 * 60, 7 * 60)], ..to("phone") };
        let morning = Route { hours: vec![hours(7 * 60, 12 * 60)], ..to("ops") };
        let routes = [vec![Route { is_last, ..night }, morning], below].concat();
        Routing { channels: ["mail", "ops", "phone"].map(str::to_owned).to_vec(), routes }
    }

    fn to(channel: &str) -> Route {
        Route { channels: vec![channel.to_owned()], ..Route::default() }
    }

    fn told_at(routing: &Routing, hour: i64, severity: Severity) -> Vec<String> {
        let planned = routing.plan(&subject("node/n1", severity), Wall(hour * 3_600_000));
        planned.into_iter().map(|planned| planned.channel).collect()
    }

    #[test]
    fn a_route_takes_nothing_outside_of_its_hours_and_the_others_go_on() {
        let routing = by_hours(false, vec![to("mail")]);
        let told = |hour| told_at(&routing, hour, Severity::Warning);
        assert_eq!([told(3), told(8), told(15)], [vec!["mail", "phone"], vec!["mail", "ops"], vec!["mail"]]);
        assert_eq!(told_at(&routing, 15, Severity::Critical), ["mail"], "somebody hears of it");
    }

    #[test]
    fn what_is_critical_outside_of_all_hours_is_told_all_the_same_and_a_warning_is_not() {
        let routing = by_hours(false, vec![]);
        assert_eq!(told_at(&routing, 15, Severity::Critical), ["ops", "phone"]);
        assert_eq!(told_at(&routing, 15, Severity::Warning), [""; 0]);
        assert_eq!(told_at(&routing, 8, Severity::Critical), ["ops"]);
        let verdicts = |severity| routing.verdicts(&subject("node/n1", severity), Wall(15 * 3_600_000));
        assert_eq!(verdicts(Severity::Critical), [Verdict::TakesLate; 2]);
        assert_eq!(verdicts(Severity::Warning), [Verdict::OutsideHours; 2]);
        let mut of_others = by_hours(false, vec![]);
        for route in &mut of_others.routes {
            route.matcher.node = Some("eu-*".to_owned());
        }
        assert_eq!(told_at(&of_others, 15, Severity::Critical), [""; 0], "that is another matter than the hour");
    }

    #[test]
    fn below_the_last_route_that_takes_something_no_other_does() {
        let routing = by_hours(true, vec![to("mail")]);
        let told = |hour| told_at(&routing, hour, Severity::Critical);
        assert_eq!([told(3), told(8)], [vec!["phone"], vec!["mail", "ops"]], "by day the route at night is no end");
        let verdicts = routing.verdicts(&subject("node/n1", Severity::Critical), Wall(3 * 3_600_000));
        assert_eq!(verdicts, [Verdict::Takes, Verdict::Behind(0), Verdict::Behind(0)]);
        assert!(routing.has_catch_all(), "what stands above it tells somebody");
    }

    #[test]
    fn what_holds_at_hours_or_for_some_nodes_is_no_catch_all_and_no_promise_of_being_heard() {
        assert!(!by_hours(false, vec![]).has_catch_all());
        assert!(!Routing { routes: vec![of_node("eu-*")], ..routing() }.has_catch_all());
        assert_eq!(Vec::from_iter(by_hours(false, vec![to("mail")]).hear_of(Severity::Critical)), ["mail"]);
        assert_eq!(Vec::from_iter(by_hours(false, vec![]).hear_of(Severity::Critical)), ["ops", "phone"]);
        assert!(by_hours(false, vec![]).needs_time() && !routing().needs_time());
    }

    fn of_node(pattern: &str) -> Route {
        Route { matcher: Matcher { node: Some(pattern.to_owned()), ..Matcher::default() }, ..to("ops") }
    }

    #[test]
    fn a_route_for_a_node_takes_what_is_about_it_and_what_it_runs() {
        let lacks = |pattern: &str, key: &str, node: Option<&str>| {
            let subject = Subject { node: node.map(NodeId::from), ..subject(key, Severity::Warning) };
            of_node(pattern).matcher.lacks(&subject)
        };
        for key in ["node/eu-1", "progress/eu-1", "clock/eu-1"] {
            assert_eq!(lacks("eu-*", key, None), None, "{key}");
        }
        assert_eq!(lacks("eu-1", "monitor/7", Some("eu-1")), None);
        for (key, node) in [("monitor/7", Some("us-1")), ("node/us-1", None), ("check/eu-1", None), ("leader", None)] {
            assert_eq!(lacks("eu-*", key, node), Some(Condition::Node), "{key}");
        }
    }

    #[test]
    fn who_hears_of_criticals_is_who_some_route_names_for_them() {
        assert_eq!(Vec::from_iter(routing().hear_of(Severity::Critical)), ["mail", "ops", "phone"]);
        let warnings = Matcher { severity: Some(Severity::Warning), ..Matcher::default() };
        let routes = vec![Route { matcher: warnings, ..routing().routes[0].clone() }];
        assert!(Routing { routes, ..routing() }.hear_of(Severity::Critical).is_empty());
    }

    #[test]
    fn a_route_takes_what_stands_below_its_key() {
        for (pattern, key, expected) in [
            ("database", "database", true),
            ("database", "database/lost-tail", true),
            ("monitor/7", "monitor/7/certificate", true),
            ("*/shop", "check/shop/late", true),
            ("database/lost-tail", "database", false),
            ("data", "database/lost-tail", false),
            ("monitor/7", "monitor/71", false),
            ("database/", "database/lost-tail", false),
        ] {
            let matcher = Matcher { key: Some(pattern.to_owned()), ..Matcher::default() };
            assert_eq!(matcher.lacks(&subject(key, Severity::Critical)).is_none(), expected, "{pattern} {key}");
        }
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, expected) in [
            ("node/*", "node/node1", true),
            ("*/node1", "node/node1", true),
            ("n*e*1", "node/node1", true),
            ("node/node1", "node/node1", true),
            ("node/node", "node/node1", false),
            ("node/*2", "node/node1", false),
            ("*", "", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(is_like(pattern, text), expected, "{pattern} {text}");
        }
    }
}
