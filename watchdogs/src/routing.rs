//! Where messages go: which channels are told about what, and how long a group is collected.
//!
//! A pure function of the configuration and the subject. When a message leaves, and in whose company, is
//! [`crate::outbox`]'s business.
//!
//! What names its own channels (a monitor, a heartbeat) is told there and nowhere else, again as often as any route says
//! that takes it. Otherwise *all* routes that match apply. Without any route in the configuration, everything goes to every
//! channel.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::NodeId;
use crate::io::{Alarm, Severity};

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
}

/// A route: what it takes, and which channels hear of that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// What it takes.
    pub matcher: Matcher,
    /// Where that goes.
    pub channels: Vec<String>,
    /// How long a group is collected.
    pub group_wait: Duration,
    /// Say it again this often while it lasts; `None`: once.
    pub repeat: Option<Duration>,
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
    /// nobody goes to all.
    pub fn plan(&self, subject: &Subject) -> Vec<Planned> {
        let mut planned = BTreeMap::new();
        let matching = || self.routes.iter().filter(|route| route.matcher.takes(subject));
        let repeat = matching().filter_map(|route| route.repeat).min();
        let is_quiet = !is_told_unasked(kind_of(&subject.key));
        // A check's channels are for when it is down.
        if subject.channels.is_empty() || is_quiet {
            for route in matching() {
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
}

impl Routing {
    /// Channels that some incident of this severity goes to, whatever its kind.
    pub fn hear_of(&self, severity: Severity) -> BTreeSet<String> {
        let is_known = |channel: &&String| self.channels.contains(channel);
        if self.routes.is_empty() {
            return self.channels.iter().cloned().collect();
        }
        let routes = self.routes.iter().filter(|route| route.matcher.hears_of(severity));
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
        self.routes.iter().any(|route| route.matcher.hears_of(severity) && route.matcher.takes_all_of(kind))
    }
}

/// Kinds of which there is only one at a time, whose key is the kind alone; or, of capacity, may be.
const WITHOUT_SUBJECT: [&str; 9] =
    ["nodes", "leader", "capacity", "isolation", "foreign-runner", "database", "servers", "pushes", "checks"];

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
        is_of_kind && self.tag.is_none() && self.key.as_ref().is_none_or(takes_key)
    }

    /// Whether it takes this.
    pub fn takes(&self, subject: &Subject) -> bool {
        let kind = kind_of(&subject.key);
        let is_asked_for = is_told_unasked(kind) || self.kind.is_some();
        is_asked_for
            && self.kind.as_ref().is_none_or(|wanted| wanted == kind)
            && self.severity.is_none_or(|wanted| wanted == subject.severity)
            && self.tag.as_ref().is_none_or(|wanted| subject.tags.contains(wanted))
            && self.key.as_ref().is_none_or(|pattern| is_in_family(pattern, &subject.key))
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
    use super::*;

    fn routing() -> Routing {
        let route = |matcher, channels: &[&str], wait| Route {
            matcher,
            channels: channels.iter().map(|&name| name.to_owned()).collect(),
            group_wait: Duration::from_secs(wait),
            repeat: None,
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
        routing().plan(subject).into_iter().map(|planned| (planned.channel, planned.group_wait.as_secs())).collect()
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
            routing.plan(subject).into_iter().map(|planned| planned.channel).collect()
        };
        let of = |kind: Option<&str>| Route {
            matcher: Matcher { kind: kind.map(str::to_owned), ..Matcher::default() },
            channels: vec!["ops".to_owned()],
            group_wait: Duration::from_secs(5),
            repeat: None,
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
        let planned = routing.plan(&monitor);
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
        assert_eq!(routing.plan(&subject("leader", Severity::Critical)).len(), 3);
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
            assert_eq!(matcher.takes(&subject(key, Severity::Critical)), expected, "{pattern} {key}");
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
