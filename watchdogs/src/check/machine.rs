//! One watchdog's checks put together: looks when it is time, asks and answers peers, judges, says what changed.
//!
//! Each check is a slot with one deadline, so an event costs what its own check costs, however many there are. What is
//! composed here is decided in the files that [`crate::check`] lists.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use self::slot::Slot;
use super::queue::Queue;
use super::schedule::{self, Moment, Share};
use super::verdict::{Electorate, judge};
use super::world::World;
use super::{CheckName, Definition, Input, Look, Members, Output, Policy, Standing, Verdict};
use crate::ids::{Incarnation, WatchdogId};
use crate::incident::Incidents;
use crate::time::{Mono, Wall};
use crate::watchdog::Identity;

mod asking;
mod hearing;
mod judging;
mod looking;
mod slot;
mod telling;

pub use self::telling::{is_incident_of_checks, words};

/// Longer than any answer is on its way.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);

/// One watchdog's checks. Contract as of every machine here: after each `handle` drain `poll_output`, then sleep until
/// `poll_timeout`.
#[derive(Debug)]
pub struct Machine {
    identity: Identity,
    policy: Policy,
    slots: BTreeMap<CheckName, Slot>,
    /// When each slot has something to do.
    wakes: BTreeSet<(Mono, CheckName)>,
    queue: Queue,
    members: Members,
    /// Since when each that lives was seen to.
    living_since: BTreeMap<WatchdogId, Mono>,
    world: World,
    asking: asking::Asking,
    tickets: asking::Tickets,
    /// The process of each peer that was heard last, and what it said last was not said before.
    peers: BTreeMap<WatchdogId, (Incarnation, Mono)>,
    /// Own looks that count, by their number.
    numbers: BTreeMap<u64, CheckName>,
    last_number: u64,
    last_ticket: u64,
    incidents: Incidents,
    bad: telling::Bad,
    is_defined: bool,
    handled_at: Mono,
    outputs: VecDeque<Output>,
}

impl Machine {
    /// A process that has just started.
    pub fn new(identity: Identity, policy: Policy, now: Mono) -> Self {
        Self {
            world: World::new(!identity.canaries.is_empty()),
            identity,
            policy,
            slots: BTreeMap::new(),
            wakes: BTreeSet::new(),
            queue: Queue::default(),
            members: Members::default(),
            living_since: BTreeMap::new(),
            asking: asking::Asking::default(),
            tickets: asking::Tickets::default(),
            peers: BTreeMap::new(),
            numbers: BTreeMap::new(),
            last_number: 0,
            last_ticket: 0,
            incidents: Incidents::default(),
            bad: telling::Bad::default(),
            is_defined: false,
            handled_at: now,
            outputs: VecDeque::new(),
        }
    }

    /// Takes in what happened. `wall`: the database's time as far as it is known, else this host's: watchdogs share an
    /// interval by it, and nothing else is decided by it.
    pub fn handle(&mut self, now: Mono, wall: Wall, input: Input) {
        let at = Moment { now, wall };
        if now.since(self.handled_at) > self.policy.stood_still {
            self.start_anew(at);
        }
        self.handled_at = now;
        match input {
            Input::Defined(definitions) => self.handle_defined(at, definitions),
            Input::Stored(known) => self.handle_stored(now, &known),
            Input::Members(members) => self.handle_members(at, members),
            Input::Looked { check, number, outcome, answer } => {
                self.handle_looked(at, &check, number, (outcome, answer));
            }
            Input::Heard(heard) => self.handle_heard(at, heard),
            Input::Asked { ticket, checks } => self.handle_asked(now, ticket, checks),
            Input::Canary { asked_at, is_answered } => self.handle_canary(at, asked_at, is_answered),
            Input::Incidents(open) => self.handle_incidents(now, &open),
            Input::Told { key, is_done } => self.incidents.handle_answer(&key, is_done),
            Input::Tick => {}
        }
        self.tick(at);
    }

    /// The next thing to do, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle`] with [`Input::Tick`] at the latest.
    pub fn poll_timeout(&self) -> Mono {
        let wake = self.wakes.first().map(|(at, _)| *at);
        // A process that stood still finds out at once.
        let alive = self.handled_at + self.policy.stood_still / 2;
        [wake, self.asking.due_at(&self.policy), self.tickets.due_at(), self.world.ask_at]
            .into_iter()
            .flatten()
            .fold(alive, Mono::min)
    }

    /// What is to be said of a check, with each voter's word; `None`: no such check.
    pub fn verdict(&self, now: Mono, name: &CheckName) -> Option<Verdict> {
        let slot = self.slots.get(name)?;
        let before = slot.verdict.0;
        Some(judge(now, &slot.definition, &self.electorate(slot), before, &self.policy))
    }

    /// What a check is, and since when; `None`: no such check.
    pub fn standing(&self, name: &CheckName) -> Option<Standing> {
        self.slots.get(name).map(|slot| Standing { state: slot.verdict.0, since: slot.since })
    }

    /// Whether the checks were read.
    pub fn is_defined(&self) -> bool {
        self.is_defined
    }

    /// All checks, with what each is.
    pub fn all(&self) -> impl Iterator<Item = (&Definition, Standing)> {
        self.slots.values().map(|slot| (&slot.definition, Standing { state: slot.verdict.0, since: slot.since }))
    }

    /// Who is there, as this was told last.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// What this watchdog saw, of every check whose last look bears a higher number, at most so many, oldest first: for peers
    /// that fetch it, and for the rows of observations. The number of the last one is where to go on.
    pub fn report(&self, now: Mono, after: u64, at_most: usize) -> Vec<Look> {
        let numbered = self.numbers.range(after.saturating_add(1)..);
        let look = |(number, name): (&u64, &CheckName)| self.own_look(now, name).filter(|look| look.number == *number);
        numbered.filter_map(look).take(at_most).collect()
    }

    /// When something came in last: a loop that goes on calls at least every few seconds ([`Self::poll_timeout`]).
    pub fn handled_at(&self) -> Mono {
        self.handled_at
    }

    /// Looks that run, and looks that are due and wait for their turn.
    pub fn load(&self) -> (usize, usize) {
        (self.queue.running(), self.queue.waiting())
    }

    fn own_look(&self, now: Mono, name: &CheckName) -> Option<Look> {
        let vote = self.slots.get(name)?.votes.get(&self.identity.watchdog)?;
        let age_ms = u64::try_from(now.since(vote.looked_at).as_millis()).unwrap_or(u64::MAX);
        Some(Look { age_ms, ..vote.look.clone() })
    }

    /// Who may vote on a check, with their words.
    fn electorate<'a>(&'a self, slot: &'a Slot) -> Electorate<'a> {
        let near = self.members.living.iter().filter(|(_, zone, _)| slot.definition.is_for(zone));
        let is_voting = |watchdog: &WatchdogId, may_vote: bool| {
            if watchdog == &self.identity.watchdog { !self.members.is_isolated } else { may_vote }
        };
        let voting = near.clone().filter(|(watchdog, _, may_vote)| is_voting(watchdog, *may_vote));
        let ballots = voting.map(|(watchdog, zone, _)| super::Ballot {
            watchdog,
            zone,
            vote: slot.votes.get(watchdog),
            awaited_since: self
                .living_since
                .get(watchdog)
                .map_or(slot.known_since, |since| slot.known_since.max(*since)),
        });
        Electorate { ballots: ballots.collect(), living: near.count() }
    }

    /// This watchdog's place among those that look at a check.
    fn share(&self, definition: &Definition) -> Share {
        let mut near: Vec<_> = self.members.living.iter().filter(|(_, zone, _)| definition.is_for(zone)).collect();
        near.sort_unstable();
        let index = near.iter().position(|(watchdog, _, _)| watchdog == &self.identity.watchdog).unwrap_or(0);
        Share { index, of: near.len().max(1) }
    }

    fn handle_defined(&mut self, at: Moment, definitions: Vec<Definition>) {
        self.is_defined = true;
        let wanted: BTreeSet<_> = definitions.iter().map(|definition| definition.name.clone()).collect();
        let gone: Vec<_> = self.slots.keys().filter(|name| !wanted.contains(*name)).cloned().collect();
        for name in gone {
            self.forget(&name);
        }
        let is_known = |definition: &&Definition| self.slots.contains_key(&definition.name);
        let new = definitions.iter().filter(|definition| !is_known(definition)).count();
        let each = self.policy.first_look_spacing * u32::try_from(new).unwrap_or(u32::MAX);
        for definition in definitions {
            self.define(at, definition, each.min(self.policy.first_look_within));
        }
    }

    fn define(&mut self, at: Moment, definition: Definition, spread: Duration) {
        let name = definition.name.clone();
        let first = schedule::first(at.now, &name, spread.min(definition.interval));
        match self.slots.get_mut(&name) {
            Some(slot) if slot.definition == definition => return,
            Some(slot) => {
                if slot.definition.version != definition.version {
                    if let Some(own) = slot.votes.get(&self.identity.watchdog) {
                        self.numbers.remove(&own.look.number);
                    }
                    if slot.look_anew(at.now) {
                        self.queue.end();
                    }
                    slot.due_at = at.now;
                }
                slot.due_at = slot.due_at.min(at.now + definition.interval);
                slot.definition = definition;
            }
            None => {
                self.slots.insert(name.clone(), Slot::new(definition, first, at.now));
            }
        }
        self.judge(at, &name);
    }

    fn forget(&mut self, name: &CheckName) {
        let Some(slot) = self.slots.remove(name) else {
            return;
        };
        if slot.eye.running().is_some() {
            self.queue.end();
        }
        self.wakes.remove(&(slot.wake_at, name.clone()));
        if let Some(own) = slot.votes.get(&self.identity.watchdog) {
            self.numbers.remove(&own.look.number);
        }
        self.world.doubted.remove(name);
        self.bad.forget(name);
    }

    fn handle_members(&mut self, at: Moment, members: Members) {
        if members == self.members {
            return;
        }
        let since = |watchdog: &WatchdogId| self.living_since.get(watchdog).copied().unwrap_or(at.now);
        let living = members.living.iter().map(|(watchdog, _, _)| (watchdog.clone(), since(watchdog)));
        self.living_since = living.collect();
        self.members = members;
        let (me, living) = (&self.identity.watchdog, &self.living_since);
        // What a process said that is no more is not heard any more by then.
        let is_heard = |said_after: Mono| at.now.since(said_after) < FORGOTTEN_AFTER;
        self.peers.retain(|peer, (_, said_after)| living.contains_key(peer) || is_heard(*said_after));
        let is_joined = living.values().any(|since| *since == at.now);
        for slot in self.slots.values_mut() {
            if is_joined {
                slot.awaiting_since = Some(at.now);
            }
            // Others came or went: who was contradicted may be the only one left.
            slot.is_contradicted = false;
            slot.expire(at.now, &self.policy, |watchdog| watchdog == me || living.contains_key(watchdog));
        }
        self.judge_all(at);
    }

    fn judge_all(&mut self, at: Moment) {
        let names: Vec<_> = self.slots.keys().cloned().collect();
        for name in names {
            self.judge(at, &name);
        }
    }

    /// After a time in which this process stood still its verdicts say nothing, but by votes that are fresh all the same.
    fn start_anew(&mut self, at: Moment) {
        self.incidents.reset();
        let mut before = Vec::new();
        for (name, slot) in &mut self.slots {
            before.push((name.clone(), slot.verdict.0, slot.since));
            slot.doubt(at.now);
        }
        self.judge_all(at);
        for (name, state, since) in before {
            if let Some(slot) = self.slots.get_mut(&name).filter(|slot| slot.verdict.0 == state) {
                slot.since = since;
            }
        }
    }

    /// Sets a slot's deadline anew.
    fn wake(&mut self, name: &CheckName) {
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        let is_looking = slot.definition.is_for(&self.identity.zone) && !slot.definition.paused;
        let wake_at = slot.next_wake(is_looking, &self.policy);
        self.wakes.remove(&(slot.wake_at, name.clone()));
        slot.wake_at = wake_at;
        self.wakes.insert((wake_at, name.clone()));
    }

    fn tick(&mut self, at: Moment) {
        while let Some((due_at, name)) = self.wakes.first().cloned() {
            if due_at > at.now {
                break;
            }
            self.wakes.remove(&(due_at, name.clone()));
            self.awake(at, &name);
        }
        self.begin_looks(at);
        self.answer_late(at.now);
        if self.world.try_ask(at.now) {
            self.outputs.push_back(Output::ProbeCanaries { asked_at: at.now });
        }
        self.flush_asks(at.now);
    }
}

#[cfg(test)]
mod tests;
