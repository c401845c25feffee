//! The watchdog's own eyes: its checks at work.
//!
//! One task ([`driver`]) feeds the machine of [`komainu_watchdogs::check`] and does what it orders; the rest asks it through
//! [`Looks`]. [`looker`] looks, [`peers`] asks other watchdogs and hears them, [`trial`] looks before there is a check, [`tally`] counts, [`slow_way`] is for peers that cannot be asked, [`clerk`] reads and writes the tables, and fails without
//! anybody waiting for it: looks, votes and verdicts go on while the database is away.

mod clerk;
mod driver;
mod looker;
pub mod peers;
mod slow_way;
mod tally;
pub mod trial;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use komainu_watchdogs::check::{Machine, Members, Policy, Standing, State, Verdict};
use komainu_watchdogs::ids::{CheckName, Zone};
use komainu_watchdogs::io::Alarm;
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::watchdog::Identity;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

use self::driver::{Driver, Event};
use self::peers::{LookAnswer, LookRequest, Peers};
use self::trial::Trials;
use crate::chores::Chores;
use crate::clock;
use crate::config::ChecksConfig;
use crate::driver::Contact;
use crate::keys::ClusterKey;
use crate::probe::Prober;
use crate::run::Runs;
use crate::run::http::Caller;
use crate::run::queries::Program;
use crate::store::Store;
use crate::tls::Credentials;

/// Events that wait for the machine: looks that ended, answers of peers, questions of peers.
const EVENTS_MOST: usize = 4_096;

/// Whoever answers a peer's question waits for at most so long: it has been answered with what there is by then.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);

/// Everything the task is told.
pub struct Settings {
    /// Who this watchdog is.
    pub identity: Identity,
    /// Where it does not look, and how much at once.
    pub checks: ChecksConfig,
    /// Where checks stand.
    pub store: Store,
    /// Who is told.
    pub routing: Arc<Routing>,
    /// Signs calls to peers.
    pub key: ClusterKey,
    /// Whom it trusts there.
    pub credentials: Arc<Credentials>,
    /// Asks canaries.
    pub prober: Prober,
    /// Queries of `json-query` checks.
    pub evaluator: Program,
    /// Who is there, by the database.
    pub contact: watch::Receiver<Arc<Contact>>,
    /// Where it is said how reading and writing fares.
    pub chores: Chores,
}

/// What this watchdog knows of checks; cheap to clone.
#[derive(Clone)]
pub struct Looks {
    shared: Arc<Shared>,
    events: mpsc::Sender<Event>,
    trials: Arc<Trials>,
}

struct Shared {
    identity: Identity,
    machine: Mutex<Machine>,
}

impl Shared {
    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One check, as this watchdog can show it now.
#[derive(Clone, Debug)]
pub struct ShownCheck {
    /// What it is, and since when.
    pub standing: Standing,
    /// What the votes amount to at this moment.
    pub verdict: Verdict,
}

impl Looks {
    /// Begins to look; ends when the handle is dropped.
    pub fn start(settings: Settings) -> Result<(Self, AbortOnDropHandle<()>), reqwest::Error> {
        let now = clock::now();
        let budget = usize::try_from(settings.checks.looks_at_once).unwrap_or(usize::MAX);
        let policy = Policy { budget, ..Policy::default() };
        let machine = Machine::new(settings.identity.clone(), policy, now);
        let shared = Arc::new(Shared { identity: settings.identity.clone(), machine: Mutex::new(machine) });
        let (events, received) = mpsc::channel(EVENTS_MOST);
        let peers = Peers::new(settings.key.clone(), &settings.credentials)?;
        let refuses = settings.checks.guard.clone().for_looks();
        let caller = Caller::of_watchdog(&settings.identity.watchdog);
        let runs = Arc::new(Runs::of_watchdog(caller, settings.evaluator.clone(), refuses));
        let trials = Arc::new(Trials::new(&settings, peers.clone(), Arc::clone(&runs)));
        let driver = Driver::new(settings, (Arc::clone(&shared), peers, runs), events.clone());
        let task = AbortOnDropHandle::new(tokio::spawn(driver.run(received)));
        Ok((Self { shared, events, trials }, task))
    }

    /// A check, with each voter's word; `None`: there is none of this name, as far as this watchdog knows.
    pub fn shown(&self, name: &str) -> Option<ShownCheck> {
        let (now, name) = (clock::now(), CheckName::from(name));
        let machine = self.shared.machine();
        Some(ShownCheck { standing: machine.standing(&name)?, verdict: machine.verdict(now, &name)? })
    }

    /// How many checks there are in each state; those that are paused are left out.
    pub fn by_state(&self) -> BTreeMap<State, u32> {
        let mut counts = BTreeMap::new();
        for (definition, standing) in self.shared.machine().all() {
            if !definition.paused {
                *counts.entry(standing.state).or_default() += 1;
            }
        }
        counts
    }

    /// What each check is that is not paused.
    pub fn states(&self) -> Vec<(String, State)> {
        let machine = self.shared.machine();
        let live = machine.all().filter(|(definition, _)| !definition.paused);
        live.map(|(definition, standing)| (definition.name.to_string(), standing.state)).collect()
    }

    /// How many checks are paused.
    pub fn paused(&self) -> u32 {
        let count = self.shared.machine().all().filter(|(definition, _)| definition.paused).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Looks that run, and looks that wait for their turn.
    pub fn load(&self) -> (usize, usize) {
        self.shared.machine().load()
    }

    /// That some checks have had no fresh majority for long.
    pub fn unjudged(&self) -> Option<Alarm> {
        self.shared.machine().unjudged(clock::now())
    }

    /// Whether this watchdog has read the checks.
    pub fn is_defined(&self) -> bool {
        self.shared.machine().is_defined()
    }

    /// Checks changed: they are read at once.
    pub fn refresh(&self) {
        // A full queue is worked off first; what changed is read every second anyway.
        let _ = self.events.try_send(Event::Refresh);
    }

    /// Answers a peer; `None`: too much is asked at once.
    pub async fn answer(&self, question: LookRequest) -> Option<LookAnswer> {
        let (reply, answered) = oneshot::channel();
        self.events.try_send(Event::Asked { question: Box::new(question), reply }).ok()?;
        tokio::time::timeout(ANSWER_LIMIT, answered).await.ok()?.ok()
    }
}

/// Who may vote: whose row moves, and whoever answers although its row does not.
fn members_of(contact: &Contact, heard: &BTreeMap<komainu_watchdogs::ids::WatchdogId, (Zone, bool)>) -> Members {
    let mut members = contact.voters.clone();
    for (watchdog, (zone, is_isolated)) in heard {
        let is_known = members.living.iter().any(|(known, _, _)| known == watchdog);
        if !is_known {
            members.living.push((watchdog.clone(), zone.clone(), !is_isolated));
        }
    }
    members.living.sort();
    members.registered = members.registered.max(contact.members.len());
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_answers_votes_also_while_its_row_stands_still() {
        let row = |name: &str| (name.into(), Zone::from("a"), true);
        let voters = Members { is_isolated: false, living: vec![row("w2")], registered: 1 };
        let members = ["w1", "w2", "w3"].map(|name| (name.into(), String::new())).into();
        let contact = Contact { members, voters, ..Contact::default() };
        let heard = [("w1".into(), (Zone::from("b"), false)), ("w3".into(), (Zone::from("c"), true))].into();
        let members = members_of(&contact, &heard);
        let expected = vec![("w1".into(), Zone::from("b"), true), row("w2"), ("w3".into(), Zone::from("c"), false)];
        assert_eq!((members.living, members.registered), (expected, 3));
    }
}
