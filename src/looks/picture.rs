//! How checks are, for whoever tells people while the tables cannot be asked.
//!
//! Pure. What the tables said last is put beside what this watchdog sees now; who hears of it follows from the routes, as at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use komainu_watchdogs::blackout::{Bad, Open, Picture};
use komainu_watchdogs::check::{CheckName, is_incident_of_checks};
use komainu_watchdogs::facts::IncidentRow;
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;

use super::clerk::subject;
use crate::clock;
use crate::silence::{NewSilence, is_silenced};
use crate::store::checks::Check;
use crate::store::dependencies::Remembered;
use crate::store::silences;
use crate::store::spool::Undelivered;

/// What was read last.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) checks: BTreeMap<CheckName, Arc<Check>>,
    /// Incidents of checks that were open.
    pub(super) open: Arc<Vec<IncidentRow>>,
    /// By how much the database's clock was ahead of this host's.
    pub(super) clock_ahead_ms: i64,
}

/// What is seen now.
#[derive(Debug)]
pub(super) struct Seen {
    /// Each with since when.
    pub(super) alarms: Vec<(Alarm, Wall)>,
    /// Nobody here can say whether these are wrong.
    pub(super) unknown: BTreeSet<String>,
}

/// What keeps people from being told, as it was known last.
#[derive(Clone, Copy, Debug)]
pub struct Quiet<'a> {
    /// What somebody silenced.
    pub silences: &'a [NewSilence],
    /// What checks depend on.
    pub dependencies: &'a Remembered,
}

/// Who is told of what, and what of it is not.
pub(super) type Loud<'a> = (&'a Routing, Quiet<'a>);

impl Tables {
    /// The database's time, as far as it is known.
    pub(super) fn wall(&self) -> Wall {
        Wall(clock::wall().0.saturating_add(self.clock_ahead_ms))
    }

    pub(super) fn picture(&self, seen: Seen, loud: Loud<'_>, waiting: &[Undelivered]) -> Picture {
        let hearing = seen.alarms.iter().map(|(alarm, at)| (alarm.key.clone(), self.who_hears(alarm, *at, loud)));
        let hearing: BTreeMap<String, BTreeSet<String>> = hearing.collect();
        let critical: BTreeSet<String> = seen
            .alarms
            .iter()
            .filter(|(alarm, _)| alarm.severity == Severity::Critical)
            .map(|(alarm, _)| alarm.key.clone())
            .collect();
        let dependencies = loud.1.dependencies;
        // Whether a check is bad is seen here; of everything else, and where nobody can say, what was known last counts.
        let is_unseen = |cause: &str| !is_incident_of_checks(cause) || seen.unknown.contains(cause);
        let is_explained = |key: &str, channel: &String| {
            let mut causes =
                dependencies.causes.get(key).into_iter().flatten().filter(|cause| critical.contains(*cause));
            causes.any(|cause| hearing.get(cause).is_some_and(|hearing| hearing.contains(channel)))
                || dependencies.was_explained(key, channel, is_unseen)
        };
        let bad = seen.alarms.into_iter().map(|(alarm, began_at)| {
            let hearing = hearing.get(&alarm.key).into_iter().flatten();
            let channels = hearing.filter(|channel| !is_explained(&alarm.key, channel)).cloned().collect();
            let Alarm { key, severity, summary, votes } = alarm;
            (key, Bad { began_at, severity, summary, votes, channels })
        });
        Picture { bad: bad.collect(), open: self.believed(loud, waiting), unknown: seen.unknown }
    }

    pub(super) fn subject(&self, alarm: &Alarm) -> Subject {
        let name = alarm.key.split_once('/').map(|(_, name)| CheckName::from(name));
        let check = name.and_then(|name| self.checks.get(&name));
        subject(alarm, check.map(|check| &check.definition))
    }

    /// What is silenced is told when the tables can be written again, if it is still so.
    /// `at`: when it was entered, or would be.
    fn who_hears(&self, alarm: &Alarm, at: Wall, (routing, quiet): Loud<'_>) -> BTreeSet<String> {
        let (subject, now) = (self.subject(alarm), self.wall());
        let planned = routing.plan(&subject, at).into_iter().map(|planned| planned.channel);
        planned
            .filter(|channel| !is_silenced(quiet.silences, now, &silences::labels(&subject, None, channel)))
            .collect()
    }

    /// Whoever was to hear of what is open believes so, but for those who were still to be told; and those who were still to be told
    /// that it is over.
    fn believed(&self, loud: Loud<'_>, waiting: &[Undelivered]) -> BTreeMap<String, Open> {
        let mut believed = BTreeMap::new();
        for row in self.open.iter() {
            let severity = Severity::parse(&row.severity);
            let alarm = Alarm { key: row.key.clone(), severity, summary: String::new(), votes: (0, 0) };
            let mut channels = self.who_hears(&alarm, row.opened_at, loud);
            channels.retain(|channel| !loud.1.dependencies.is_held(&row.key, channel));
            believed.insert(row.key.clone(), Open { began_at: row.opened_at, severity, channels });
        }
        for row in waiting.iter().filter(|row| is_incident_of_checks(&row.key)) {
            if row.event == "resolved" {
                let fresh = Open {
                    began_at: row.opened_at,
                    severity: Severity::parse(&row.severity),
                    channels: BTreeSet::new(),
                };
                believed.entry(row.key.clone()).or_insert(fresh).channels.insert(row.channel.clone());
            } else if let Some(open) =
                believed.get_mut(&row.key).filter(|_| !["reminder", "ack"].contains(&row.event.as_str()))
            {
                open.channels.remove(&row.channel);
            }
        }
        believed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;
    use std::time::Duration;

    use komainu_watchdogs::routing::{self, Route};

    use super::*;
    use crate::silence::Matcher;

    /// Nothing depends on anything.
    fn loud(silences: &[NewSilence]) -> Quiet<'_> {
        static NOTHING: LazyLock<Remembered> = LazyLock::new(Remembered::default);
        Quiet { silences, dependencies: &NOTHING }
    }

    fn row(key: &str) -> IncidentRow {
        IncidentRow {
            key: key.to_owned(),
            severity: "critical".to_owned(),
            opened_at: Wall(7),
            first_opened_at: None,
            last_bad_at: Wall(8),
        }
    }

    fn waiting(key: &str, event: &str, channel: &str) -> Undelivered {
        Undelivered {
            delivery: 1,
            channel: channel.to_owned(),
            event: event.to_owned(),
            at: Wall(9),
            incident: 1,
            key: key.to_owned(),
            severity: "critical".to_owned(),
            summary: String::new(),
            votes: (2, 3),
            opened_at: Wall(5),
            name: None,
        }
    }

    #[test]
    fn whoever_was_told_believes_what_is_open_and_whoever_was_not_told_of_its_end() {
        let tables = Tables { open: Arc::new(vec![row("check/api"), row("check/web")]), ..Tables::default() };
        let routing = Routing { channels: ["mail", "ops"].map(str::to_owned).to_vec(), routes: vec![] };
        let waits = [
            waiting("check/web", "opened", "mail"),
            waiting("check/shop", "resolved", "ops"),
            waiting("node/n1", "resolved", "ops"),
        ];
        let seen = Seen { alarms: vec![], unknown: BTreeSet::new() };
        let open = tables.picture(seen, (&routing, loud(&[])), &waits).open;
        let believed: Vec<_> = open
            .iter()
            .map(|(key, open)| (key.as_str(), open.began_at.0, open.channels.iter().map(String::as_str).collect()))
            .collect();
        let expected: [(&str, i64, Vec<&str>); 3] =
            [("check/api", 7, vec!["mail", "ops"]), ("check/shop", 5, vec!["ops"]), ("check/web", 7, vec!["ops"])];
        assert_eq!(believed, expected);
    }

    #[test]
    fn what_is_silenced_is_told_to_nobody_in_the_dark_and_nobody_believes_it() {
        let tables = Tables { open: Arc::new(vec![row("check/api"), row("check/web")]), ..Tables::default() };
        let routing = Routing { channels: vec!["ops".to_owned()], routes: vec![] };
        let now = tables.wall();
        let silence = NewSilence {
            matchers: vec![Matcher::parse("key=check/web").unwrap()],
            starts_at: Wall(now.0 - 1_000),
            ends_at: Wall(now.0 + 60_000),
            until_resolved: false,
            recurrence: None,
            author: "ada".to_owned(),
            comment: "x".to_owned(),
            window: None,
        };
        let alarm = |key: &str| Alarm {
            key: key.to_owned(),
            severity: Severity::Critical,
            summary: String::new(),
            votes: (2, 3),
        };
        let alarms = || ["check/api", "check/web"].map(|key| (alarm(key), Wall(7))).to_vec();
        let heard = |silences: &[NewSilence]| {
            let seen = Seen { alarms: alarms(), unknown: BTreeSet::new() };
            let picture = tables.picture(seen, (&routing, loud(silences)), &[]);
            let loud = |(key, channels): (&String, &BTreeSet<String>)| (key.clone(), channels.len());
            let bad: Vec<_> = picture.bad.iter().map(|(key, bad)| loud((key, &bad.channels))).collect();
            let open: Vec<_> = picture.open.iter().map(|(key, open)| loud((key, &open.channels))).collect();
            assert_eq!(bad, open);
            bad
        };
        let both = |web| vec![("check/api".to_owned(), 1), ("check/web".to_owned(), web)];
        assert_eq!(heard(std::slice::from_ref(&silence)), both(0));
        assert_eq!(heard(&[NewSilence { ends_at: now, ..silence }]), both(1), "it is over");
    }

    #[test]
    fn what_depends_on_something_known_is_told_to_nobody_in_the_dark_for_as_long_as_that_is_bad() {
        let rows = ["check/line", "check/shop"].map(row).to_vec();
        let tables = Tables { open: Arc::new(rows), ..Tables::default() };
        let routing = Routing { channels: ["mail", "ops"].map(str::to_owned).to_vec(), routes: vec![] };
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
        let of = |key: &str, names: &[&str]| BTreeMap::from([(key.to_owned(), set(names))]);
        let known = Remembered {
            causes: of("check/shop", &["check/line", "node/n1"]),
            told: BTreeMap::new(),
            held: of("check/shop", &["ops"]),
        };
        let alarm = |key: &str| {
            let (key, summary) = (key.to_owned(), String::new());
            (Alarm { key, severity: Severity::Critical, summary, votes: (2, 3) }, Wall(7))
        };
        let shop = |known: &Remembered, bad: &[&str], unknown: &[&str]| {
            let seen = Seen { alarms: bad.iter().map(|key| alarm(key)).collect(), unknown: set(unknown) };
            let picture = tables.picture(seen, (&routing, Quiet { silences: &[], dependencies: known }), &[]);
            (picture.bad["check/shop"].channels.clone(), picture.open["check/shop"].channels.clone())
        };
        // Who was not told of the shop does not believe anything of it.
        assert_eq!(shop(&known, &["check/line", "check/shop"], &[]), (set(&[]), set(&["mail"])));
        assert_eq!(shop(&known, &["check/shop"], &[]), (set(&["mail", "ops"]), set(&["mail"])), "the line is well");
        let of_node = Remembered { told: of("node/n1", &["ops"]), ..known.clone() };
        assert_eq!(shop(&of_node, &["check/shop"], &[]).0, set(&["mail"]), "nobody knows better of the node");
        let of_line = Remembered { told: of("check/line", &["ops"]), ..known };
        assert_eq!(shop(&of_line, &["check/shop"], &["check/line"]).0, set(&["mail"]));
        assert_eq!(shop(&of_line, &["check/shop"], &[]).0, set(&["mail", "ops"]));
    }

    #[test]
    fn what_a_minority_sees_is_told_in_the_dark_to_those_who_asked_for_it_alone() {
        let tables = Tables::default();
        let seen = || {
            let summary = String::new();
            let alarm = Alarm { key: "partial/shop".to_owned(), severity: Severity::Warning, summary, votes: (1, 3) };
            Seen { alarms: vec![(alarm, Wall(7))], unknown: BTreeSet::new() }
        };
        let channels = ["mail", "ops"].map(str::to_owned).to_vec();
        let heard = |routes| {
            let routing = Routing { channels: channels.clone(), routes };
            tables.picture(seen(), (&routing, loud(&[])), &[]).bad["partial/shop"].channels.clone()
        };
        assert_eq!(heard(vec![]), BTreeSet::new());
        let route = Route {
            matcher: routing::Matcher { kind: Some("partial".to_owned()), ..routing::Matcher::default() },
            channels: vec!["mail".to_owned()],
            group_wait: Duration::from_secs(5),
            ..Route::default()
        };
        assert_eq!(heard(vec![route]), BTreeSet::from(["mail".to_owned()]));
    }
}
