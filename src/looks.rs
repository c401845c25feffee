//! The watchdog's own eyes: its checks at work.
//!
//! One task ([`driver`]) feeds the machine of [`komainu_watchdogs::check`] and does what it orders; the rest asks it through
//! [`Looks`]. [`looker`] looks, [`peers`] asks other watchdogs and hears them, [`trial`] looks before there is a check, [`opinion`] at
//! what monitors look at, [`slow_way`] is for peers that cannot be asked, [`tally`] counts, [`keeper`] keeps on disk what the next process
//! needs, [`picture`] is for whoever tells people while the database is away. [`clerk`] reads and writes the tables, and fails without anybody waiting for
//! it: looks, votes and verdicts go on while the database is away.

mod canaries;
mod clerk;
mod driver;
mod keeper;
mod looker;
pub mod opinion;
pub mod peers;
mod picture;
mod slow_way;
mod tally;
pub mod trial;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use komainu_watchdogs::blackout::{Change, Picture};
use komainu_watchdogs::check::{Machine, Members, Policy, Standing, State, Verdict};
use komainu_watchdogs::ids::{CheckName, WatchdogId, Zone};
use komainu_watchdogs::io::Alarm;
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::watchdog::Identity;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

pub use self::driver::LastKnown;
use self::driver::{Driver, Event};
use self::opinion::Rooms;
use self::peers::{LookAnswer, LookRequest, Peers};
pub use self::picture::Quiet;
use self::picture::{Seen, Tables};
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
use crate::state_dir::StateDir;
use crate::store::Store;
use crate::store::spool::Undelivered;
use crate::surface;
use crate::tls::Credentials;

/// Events that wait for the machine: looks that ended, answers of peers, questions of peers.
const EVENTS_MOST: usize = 4_096;

/// Whoever answers a peer's question waits for at most so long: it has been answered with what there is by then.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);

/// The machine wakes every few seconds; a loop that was not heard of for so long hangs.
const STANDS_STILL: Duration = Duration::from_secs(10);

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
    /// What survives this process.
    pub state: StateDir,
}

/// What this watchdog knows of checks; cheap to clone.
#[derive(Clone)]
pub struct Looks {
    shared: Arc<Shared>,
    events: mpsc::Sender<Event>,
    trials: Arc<Trials>,
    rooms: Arc<Rooms>,
}

struct Shared {
    identity: Identity,
    machine: Mutex<Machine>,
    /// As they were read last.
    tables: Mutex<Tables>,
    /// Neither the database nor any peer was heard of lately, and there are some.
    is_alone: AtomicBool,
}

impl Shared {
    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// Begins to look, at what was known last until the tables are read; ends when the handle is dropped.
    pub fn start(settings: Settings, known: LastKnown) -> Result<(Self, AbortOnDropHandle<()>), reqwest::Error> {
        let now = clock::now();
        let policy = Policy { budget: at_once(&settings.checks), ..Policy::default() };
        let machine = Machine::new(settings.identity.clone(), policy, now);
        let shared = Arc::new(Shared {
            identity: settings.identity.clone(),
            machine: Mutex::new(machine),
            tables: Mutex::default(),
            is_alone: AtomicBool::new(false),
        });
        let (events, received) = mpsc::channel(EVENTS_MOST);
        let peers = Peers::new(settings.key.clone(), &settings.credentials)?;
        let refuses = settings.checks.guard.clone().for_looks();
        let caller = Caller::of_watchdog(&settings.identity.watchdog);
        let runs = Arc::new(Runs::of_watchdog(caller, settings.evaluator.clone(), refuses));
        let trials = Arc::new(Trials::new(&settings, peers.clone(), Arc::clone(&runs)));
        let mut driver = Driver::new(settings, (Arc::clone(&shared), peers, runs), events.clone());
        driver.go_by(known);
        let task = AbortOnDropHandle::new(tokio::spawn(driver.run(received)));
        Ok((Self { shared, events, trials, rooms: Arc::default() }, task))
    }

    /// Why this watchdog can vouch for no verdict; `None`: it can.
    pub fn blindness(&self) -> Option<String> {
        let still = clock::now().since(self.shared.machine().handled_at());
        if still > STANDS_STILL {
            return Some(format!("the loop of this watchdog's checks stands still since {} s", still.as_secs()));
        }
        let is_alone = self.shared.is_alone.load(Ordering::Relaxed);
        is_alone.then(|| "this watchdog hears neither the database nor any other watchdog".to_owned())
    }

    /// For tests of what is said then: its loop did something this long ago for the last time.
    #[cfg(test)]
    pub(crate) fn stand_still_for(&self, span: Duration) {
        *self.shared.machine() = Machine::new(self.shared.identity.clone(), Policy::default(), clock::now() - span);
    }

    /// A check, with each voter's word; `None`: there is none of this name, as far as this watchdog knows.
    pub fn shown(&self, name: &str) -> Option<ShownCheck> {
        let (now, name) = (clock::now(), CheckName::from(name));
        let machine = self.shared.machine();
        Some(ShownCheck { standing: machine.standing(&name)?, verdict: machine.verdict(now, &name)? })
    }

    /// How many checks there are in each state, and how many are paused. Where this watchdog can vouch for nothing, all are unknown.
    pub fn counts(&self) -> (BTreeMap<State, u32>, u32) {
        let is_blind = self.blindness().is_some();
        let (mut counts, mut paused) = (BTreeMap::new(), 0);
        for (definition, standing) in self.shared.machine().all() {
            if definition.paused {
                paused += 1;
            } else {
                *counts.entry(if is_blind { State::Unknown } else { standing.state }).or_default() += 1;
            }
        }
        (counts, paused)
    }

    /// What each check is that is not paused.
    pub fn states(&self) -> Vec<(String, State)> {
        let is_blind = self.blindness().is_some();
        let machine = self.shared.machine();
        let live = machine.all().filter(|(definition, _)| !definition.paused);
        let of = |state| if is_blind { State::Unknown } else { state };
        live.map(|(definition, standing)| (definition.name.to_string(), of(standing.state))).collect()
    }

    /// What is wrong with checks, beside what people believe by what the tables said last; `None`: this watchdog can vouch for nothing.
    /// `waiting`: what was still to be told then. `quiet`: what kept people from being told, as it was known then.
    pub fn picture(&self, routing: &Routing, waiting: &[Undelivered], quiet: Quiet<'_>) -> Option<Picture> {
        if self.blindness().is_some() {
            return None;
        }
        let (now, wall) = (clock::now(), self.shared.tables().wall());
        let mut machine = self.shared.machine();
        if !machine.is_defined() {
            return None;
        }
        let alarms = machine.alarms(now);
        let since = |alarm: Alarm| {
            let began_at = machine.began_at(&alarm.key).unwrap_or(wall);
            (alarm, began_at)
        };
        let alarms = alarms.into_iter().map(since).collect();
        let seen = Seen { alarms, unknown: machine.unjudgeable() };
        drop(machine);
        Some(self.shared.tables().picture(seen, (routing, quiet), waiting))
    }

    /// Who is to hear of this.
    pub fn subject(&self, change: &Change) -> Subject {
        let Change { key, severity, summary, votes, .. } = change.clone();
        self.shared.tables().subject(&Alarm { key, severity, summary, votes })
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

/// How many looks this process has under way at most.
pub fn at_once(checks: &ChecksConfig) -> usize {
    surface::looks_at_once(checks.looks_at_once)
}

/// Who may vote: whose row moves, and whoever answers although its row does not. Who never read any row knows of itself all the same.
fn members_of(contact: &Contact, me: (&Identity, usize), heard: &BTreeMap<WatchdogId, (Zone, bool)>) -> Members {
    let (me, known) = me;
    let mut members = contact.voters.clone();
    if members.living.is_empty() {
        members.living.push((me.watchdog.clone(), me.zone.clone(), !members.is_isolated));
    }
    for (watchdog, (zone, is_isolated)) in heard {
        let is_known = members.living.iter().any(|(known, _, _)| known == watchdog);
        if !is_known {
            members.living.push((watchdog.clone(), zone.clone(), !is_isolated));
        }
    }
    members.living.sort();
    members.registered = members.registered.max(known);
    members
}

#[cfg(test)]
mod tests {
    use komainu_watchdogs::ids::Incarnation;

    use super::*;

    #[test]
    fn a_peer_that_answers_votes_also_while_its_row_stands_still() {
        let row = |name: &str| (name.into(), Zone::from("a"), true);
        let voters = Members { is_isolated: false, living: vec![row("w2")], registered: 1 };
        let members = ["w1", "w2", "w3"].map(|name| (name.into(), String::new())).into();
        let contact = Contact { members, voters, ..Contact::default() };
        let heard = [("w1".into(), (Zone::from("b"), false)), ("w3".into(), (Zone::from("c"), true))].into();
        let me = Identity { watchdog: "w2".into(), incarnation: Incarnation(1), zone: "a".into(), canaries: vec![] };
        let members = members_of(&contact, (&me, 3), &heard);
        let expected = vec![("w1".into(), Zone::from("b"), true), row("w2"), ("w3".into(), Zone::from("c"), false)];
        assert_eq!((members.living, members.registered), (expected, 3));
    }
}
