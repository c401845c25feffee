//! Who would be told of something, through which routes and ladders, and why: for people who ask.
//!
//! Pure. What is planned is [`Routing`]'s, whom a step reaches is [`OnCall`]'s; this only puts it into words. What holds
//! it now is read from the tables by whoever asks.

use std::time::Duration;

use jiff::Timestamp;
use komainu_watchdogs::routing::{Condition, Planned, Route, Routing, Subject, Verdict};
use komainu_watchdogs::time::Wall;

use super::OnCall;

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Explanation {
    /// Who is told.
    pub channels: Vec<Told>,
    /// Each route, in their order.
    pub routes: Vec<Asked>,
    /// Who is called while nobody takes care of it.
    pub steps: Vec<Step>,
}

/// A channel that is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// What is planned for it.
    pub planned: Planned,
    /// Why.
    pub why: String,
}

/// What a route says to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// Its place in the configuration, from 1.
    pub route: usize,
    /// Its channels.
    pub channels: Vec<String>,
    /// Whether it takes it.
    pub is_told: bool,
    /// Why, or why not.
    pub why: String,
}

/// A step of a ladder that it climbs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The ladder's name.
    pub ladder: String,
    /// From 1.
    pub step: usize,
    /// So long after it opened.
    pub after: Duration,
    /// Whoever is called then, by name.
    pub people: Vec<String>,
    /// The channels that are told then.
    pub channels: Vec<String>,
}

impl Explanation {
    /// Of something that opens, or opened, at this time.
    pub fn of((routing, on_call): (&Routing, &OnCall), subject: &Subject, at: Wall) -> Self {
        let verdicts = routing.verdicts(subject, at);
        let routes = routing.routes.iter().zip(&verdicts).zip(1..);
        let asked = routes.map(|((route, verdict), place)| Asked {
            route: place,
            channels: route.channels.clone(),
            is_told: verdict.is_told(),
            why: reason(route, *verdict),
        });
        let asked: Vec<Asked> = asked.collect();
        let told = routing.plan(subject, at).into_iter().map(|planned| {
            let why = because(routing, subject, (&planned.channel, &asked));
            Told { planned, why }
        });
        let ladders = on_call.climbed_by(routing, subject, at);
        let steps = ladders.into_iter().flat_map(|name| steps(on_call, name, at)).collect();
        Self { channels: told.collect(), steps, routes: asked }
    }
}

fn steps(on_call: &OnCall, name: &str, at: Wall) -> Vec<Step> {
    let afters = on_call.ladders.get(name).map(|ladder| ladder.times.afters.as_slice()).unwrap_or_default();
    let step = |(step, after): (u32, &Duration)| Step {
        ladder: name.to_owned(),
        step: usize::try_from(step).unwrap_or(usize::MAX).saturating_add(1),
        after: *after,
        people: on_call.called(name, step, at + *after).into_iter().map(str::to_owned).collect(),
        channels: Vec::from_iter(on_call.reached(name, step, at + *after)),
    };
    (0..).zip(afters).map(step).collect()
}

fn reason(route: &Route, verdict: Verdict) -> String {
    let hours = || route.hours.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
    match verdict {
        Verdict::Takes if route.hours.is_empty() => "takes it".to_owned(),
        Verdict::Takes => format!("takes it, for it is {}", hours()),
        Verdict::TakesLate => format!("holds at {}, but it is critical and no other route takes it", hours()),
        Verdict::OutsideHours => format!("takes such things only at {}", hours()),
        Verdict::Behind(place) => format!("stands below route {}, which took it and is the last", place + 1),
        Verdict::Lacks(Condition::AskedFor) => {
            "does not name its kind, which is told only where it is named".to_owned()
        }
        Verdict::Lacks(condition) => format!("asks for {} {}", condition.as_str(), wanted(route, condition)),
    }
}

fn wanted(route: &Route, condition: Condition) -> &str {
    let matcher = &route.matcher;
    let text = match condition {
        Condition::AskedFor | Condition::Kind => &matcher.kind,
        Condition::Tag => &matcher.tag,
        Condition::Key => &matcher.key,
        Condition::Node => &matcher.node,
        Condition::Severity => return matcher.severity.map_or("", |severity| severity.as_str()),
    };
    text.as_deref().unwrap_or_default()
}

/// Why a channel is told.
fn because(routing: &Routing, subject: &Subject, (channel, asked): (&String, &[Asked])) -> String {
    let of_routes = asked.iter().filter(|asked| asked.is_told && asked.channels.contains(channel));
    let of_routes: Vec<String> = of_routes.map(|asked| asked.route.to_string()).collect();
    if subject.channels.contains(channel) {
        "it names this channel itself".to_owned()
    } else if subject.channels.iter().any(|own| routing.channels.contains(own)) || !of_routes.is_empty() {
        format!("route {}", of_routes.join(" and "))
    } else if subject.channels.is_empty() {
        "there are no routes: all channels are told".to_owned()
    } else {
        "none of the channels that it names is configured: all are told".to_owned()
    }
}

/// A time as people read it.
pub fn written(at: Wall) -> String {
    Timestamp::from_millisecond(at.0)
        .map_or_else(|_| at.0.to_string(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use komainu_watchdogs::io::Severity;
    use komainu_watchdogs::ladder::Ladder;
    use komainu_watchdogs::routing::{Hours, Matcher};

    use super::*;
    use crate::oncall::{NamedLadder, Rotation, Targets};

    fn to(channel: &str) -> Route {
        Route { channels: vec![channel.to_owned()], ..Route::default() }
    }

    fn subject(key: &str, severity: Severity) -> Subject {
        Subject { key: key.to_owned(), severity, tags: vec![], channels: vec![], node: None }
    }

    /// By night up the ladder, of checks alone to the mail, and everything to the chat.
    fn configured() -> (Routing, OnCall) {
        let night = vec![Hours { days: [true; 7], from: 22 * 60, until: 7 * 60, zone: TimeZone::UTC }];
        let of_checks = Matcher { kind: Some("check".to_owned()), ..Matcher::default() };
        let routes = vec![
            Route { hours: night, ..to("phone") },
            Route { matcher: of_checks, is_last: true, ..to("mail") },
            to("chat"),
        ];
        let times = Ladder { afters: vec![Duration::ZERO, Duration::from_secs(600)], ..Ladder::default() };
        let steps = vec![
            Targets { rotation: Some("week".to_owned()), ..Targets::default() },
            Targets { people: vec!["bob".to_owned()], channels: vec!["chat".to_owned()], ..Targets::default() },
        ];
        let person = |name: &str| (name.to_owned(), vec![format!("{name}-phone")]);
        let on_call = OnCall {
            ladders: [("night".to_owned(), NamedLadder { times, steps })].into(),
            people: [person("ada"), person("bob")].into(),
            rotations: [("week".to_owned(), Rotation::weekly(["ada", "bob"].map(str::to_owned).to_vec()))].into(),
            of_routes: vec![Some("night".to_owned()), None, None],
        };
        let channels = ["ada-phone", "bob-phone", "chat", "mail", "phone"].map(str::to_owned).to_vec();
        (Routing { channels, routes }, on_call)
    }

    fn explained(subject: &Subject, at: &str) -> Explanation {
        let (routing, on_call) = configured();
        let at = Wall(at.parse::<Timestamp>().unwrap().as_millisecond());
        Explanation::of((&routing, &on_call), subject, at)
    }

    #[test]
    fn who_is_told_by_night_is_said_with_the_route_the_ladder_and_who_is_on_duty() {
        let found = explained(&subject("check/shop", Severity::Critical), "2026-01-06T23:00:00Z");
        let told: Vec<_> =
            found.channels.iter().map(|told| (told.planned.channel.as_str(), told.why.as_str())).collect();
        assert_eq!(told, [("mail", "route 2"), ("phone", "route 1")]);
        let routes: Vec<&str> = found.routes.iter().map(|asked| asked.why.as_str()).collect();
        let last = "stands below route 2, which took it and is the last";
        assert_eq!(routes, ["takes it, for it is 22:00-07:00 UTC", "takes it", last]);
        let steps: Vec<_> =
            found.steps.iter().map(|step| (step.step, step.people.join(" "), step.channels.join(" "))).collect();
        let step = |step, people: &str, channels: &str| (step, people.to_owned(), channels.to_owned());
        assert_eq!(steps, [step(1, "ada", "ada-phone"), step(2, "bob", "bob-phone chat")]);
    }

    #[test]
    fn what_a_route_does_not_take_is_said_with_its_reason() {
        let found = explained(&subject("node/n1", Severity::Warning), "2026-01-06T12:00:00Z");
        let routes: Vec<&str> = found.routes.iter().map(|asked| asked.why.as_str()).collect();
        assert_eq!(routes, ["takes such things only at 22:00-07:00 UTC", "asks for kind check", "takes it"]);
        assert!(found.steps.is_empty(), "a warning calls nobody");
        let own = Subject { channels: vec!["mail".to_owned()], ..subject("monitor/7", Severity::Critical) };
        assert_eq!(explained(&own, "2026-01-06T12:00:00Z").channels[0].why, "it names this channel itself");
        let gone = Subject { channels: vec!["gone".to_owned()], ..own };
        let why = "none of the channels that it names is configured: all are told";
        let found = explained(&gone, "2026-01-06T12:00:00Z");
        assert_eq!(found.channels.iter().filter(|told| told.why == why).count(), 4, "{found:?}");
        let found = explained(&subject("partial/shop", Severity::Warning), "2026-01-06T12:00:00Z");
        assert!(found.channels.is_empty() && found.routes[2].why.contains("does not name its kind"), "{found:?}");
    }
}
