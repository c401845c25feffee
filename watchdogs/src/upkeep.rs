//! What a watchdog does beside its rounds, and how each of it fares.
//!
//! A lease hangs on the rounds alone ([`crate::watchdog`]). Everything else the process reads and writes has a health of
//! its own here: one failure is nothing, a second in a row is shown by name in `/status`, and what has failed for
//! [`LONG`] although the rounds go on opens the incident `upkeep/NAME`. While the rounds fail too, the database is the
//! cause and is told as such: then nothing is counted ([`Upkeep::reset`]).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::io::{Alarm, Errand, Severity};
use crate::time::Mono;

/// Whatever fails for this long is told: longer than a lock that an ALTER or a backup takes, and than a failover.
pub const LONG: Duration = Duration::from_secs(60);

/// One statement that took too long is no trouble yet.
const NOTICED_FROM: u32 = 2;

/// What can fail by itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Chore {
    /// Counting who runs what.
    Counts,
    /// Reading how far behind each node is.
    Progress,
    /// Reading the open incidents.
    Incidents,
    /// Opening and resolving incidents.
    Telling,
    /// Deleting what is too old.
    Pruning,
    /// Looking for monitors that nodes put aside.
    Aside,
    /// Looking at the certificates that monitors saw.
    Certificates,
    /// Looking at the own certificate.
    OwnCertificate,
    /// Looking how far ids are used up.
    Ids,
    /// Ending incidents of what is gone.
    Leftovers,
    /// Looking who writes to which database server.
    Servers,
    /// Looking for times that stand ahead of the database's clock.
    Ahead,
    /// Reading checks, and entering what is found of them.
    Checks,
    /// Asking for second opinions on monitors.
    Opinions,
}

impl Chore {
    /// Its name in keys and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counts => "counts",
            Self::Progress => "progress",
            Self::Incidents => "incidents",
            Self::Telling => "telling",
            Self::Pruning => "pruning",
            Self::Aside => "aside",
            Self::Certificates => "certificates",
            Self::OwnCertificate => "own-certificate",
            Self::Ids => "ids",
            Self::Leftovers => "leftovers",
            Self::Servers => "servers",
            Self::Ahead => "ahead",
            Self::Checks => "checks",
            Self::Opinions => "opinions",
        }
    }

    /// What is missing meanwhile, for people.
    fn loss(self) -> &'static str {
        match self {
            Self::Counts => "who runs what cannot be counted, and nothing is moved",
            Self::Progress => "a node that stops making progress would not be noticed",
            Self::Incidents => "incidents are not called over",
            Self::Telling => "incidents cannot be opened or resolved",
            Self::Pruning => "what is too old is not deleted",
            Self::Aside => "a monitor over which nodes were lost is run by nobody and not told of",
            Self::Certificates => "certificates that end soon would not be told of",
            Self::OwnCertificate => "this watchdog's own certificate would not be told of before it ends",
            Self::Ids => "ids that are used up would not be told of",
            Self::Leftovers => "incidents of what is gone do not end",
            Self::Servers => "that several database servers are written to would not be told of",
            Self::Ahead => "times that stand ahead of the database's clock are not put right",
            Self::Checks => "new checks are not looked at, and what is found of checks is not entered",
            Self::Opinions => "monitors are told as their nodes say, without a second opinion",
        }
    }
}

impl From<Errand> for Chore {
    fn from(errand: Errand) -> Self {
        match errand {
            Errand::Counts => Self::Counts,
            Errand::Progress => Self::Progress,
            Errand::Incidents => Self::Incidents,
        }
    }
}

/// How all of it fares.
#[derive(Debug, Default)]
pub struct Upkeep {
    failing: BTreeMap<Chore, Failing>,
}

#[derive(Debug)]
struct Failing {
    since: Mono,
    times: u32,
    reason: String,
}

impl Upkeep {
    /// Takes in how something went.
    pub fn note(&mut self, now: Mono, chore: Chore, outcome: Result<(), &str>) {
        match outcome {
            Ok(()) => {
                self.failing.remove(&chore);
            }
            Err(reason) => {
                let fresh = Failing { since: now, times: 0, reason: String::new() };
                let failing = self.failing.entry(chore).or_insert(fresh);
                failing.times = failing.times.saturating_add(1);
                reason.clone_into(&mut failing.reason);
            }
        }
    }

    /// The database as a whole fails: nothing of it is something's own.
    pub fn reset(&mut self) {
        self.failing.clear();
    }

    /// Since when something fails.
    pub fn failing_since(&self, chore: Chore) -> Option<Mono> {
        self.failing.get(&chore).map(|failing| failing.since)
    }

    /// One sentence for each thing that fails.
    pub fn reasons(&self) -> impl Iterator<Item = String> {
        let noticed = self.failing.iter().filter(|(_, failing)| failing.times >= NOTICED_FROM);
        noticed.map(|(chore, _)| format!("upkeep/{}: {}", chore.as_str(), chore.loss()))
    }

    /// What has failed for long.
    pub fn alarms(&self, now: Mono) -> impl Iterator<Item = Alarm> {
        let is_long = move |failing: &Failing| failing.times >= NOTICED_FROM && now.since(failing.since) >= LONG;
        self.failing.iter().filter(move |(_, failing)| is_long(failing)).map(|(chore, failing)| Alarm {
            key: format!("upkeep/{}", chore.as_str()),
            severity: Severity::Warning,
            summary: format!("{}: {}", chore.loss(), failing.reason),
            votes: (0, 0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(upkeep: &Upkeep, second: u64) -> Vec<String> {
        upkeep.alarms(Mono::secs(second)).map(|alarm| alarm.key).collect()
    }

    #[test]
    fn one_failure_is_nothing_two_are_shown_and_a_minute_is_told() {
        let mut upkeep = Upkeep::default();
        upkeep.note(Mono::secs(1), Chore::Progress, Err("no such index"));
        assert_eq!(upkeep.reasons().count(), 0);
        upkeep.note(Mono::secs(6), Chore::Progress, Err("no such index"));
        assert_eq!(upkeep.reasons().collect::<Vec<_>>().len(), 1);
        assert_eq!(keys(&upkeep, 60), [""; 0]);
        assert_eq!(keys(&upkeep, 61), ["upkeep/progress"]);
        upkeep.note(Mono::secs(62), Chore::Progress, Ok(()));
        assert_eq!((upkeep.reasons().count(), keys(&upkeep, 200)), (0, vec![]));
    }
}
