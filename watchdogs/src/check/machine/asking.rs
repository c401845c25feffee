//! Asking peers to look now, and answering those that ask.

use std::collections::{BTreeMap, BTreeSet};

use super::Machine;
use crate::check::{CheckName, Heard, Look, Output, Policy};
use crate::ids::WatchdogId;
use crate::time::Mono;

/// At most so many checks are asked for in one call.
const MOST_ASKED: usize = 1_000;

/// What peers are to be asked for.
#[derive(Debug, Default)]
pub(super) struct Asking {
    by_peer: BTreeMap<WatchdogId, BTreeSet<CheckName>>,
    since: Option<Mono>,
}

impl Asking {
    fn add(&mut self, now: Mono, peer: WatchdogId, check: CheckName) {
        self.by_peer.entry(peer).or_default().insert(check);
        self.since.get_or_insert(now);
    }

    pub(super) fn due_at(&self, policy: &Policy) -> Option<Mono> {
        self.since.map(|since| since + policy.ask_linger)
    }
}

/// Peers that wait for an answer.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    open: BTreeMap<u64, Ticket>,
    deadlines: BTreeSet<(Mono, u64)>,
    by_check: BTreeMap<CheckName, BTreeSet<u64>>,
}

#[derive(Debug)]
struct Ticket {
    asked: Vec<CheckName>,
    pending: BTreeSet<CheckName>,
    until: Mono,
}

impl Tickets {
    pub(super) fn due_at(&self) -> Option<Mono> {
        self.deadlines.first().map(|(until, _)| *until)
    }

    fn add(&mut self, number: u64, ticket: Ticket) {
        self.deadlines.insert((ticket.until, number));
        for name in &ticket.pending {
            self.by_check.entry(name.clone()).or_default().insert(number);
        }
        self.open.insert(number, ticket);
    }

    /// A look ended: tickets that wait for nothing more.
    fn ended(&mut self, name: &CheckName) -> Vec<u64> {
        let numbers = self.by_check.remove(name).unwrap_or_default();
        let mut done = Vec::new();
        for number in numbers {
            if let Some(ticket) = self.open.get_mut(&number) {
                ticket.pending.remove(name);
                if ticket.pending.is_empty() {
                    done.push(number);
                }
            }
        }
        done
    }

    fn take(&mut self, number: u64) -> Option<Ticket> {
        let ticket = self.open.remove(&number)?;
        self.deadlines.remove(&(ticket.until, number));
        for name in &ticket.pending {
            if let Some(numbers) = self.by_check.get_mut(name) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    self.by_check.remove(name);
                }
            }
        }
        Some(ticket)
    }
}

impl Machine {
    /// A peer asks that these be looked at now.
    pub(super) fn handle_asked(&mut self, now: Mono, ticket: u64, asked: Vec<CheckName>) {
        let pending = asked.iter().filter(|name| self.look_for_peer(now, name)).cloned().collect::<BTreeSet<_>>();
        for name in &pending {
            self.wake(name);
        }
        let is_done = pending.is_empty();
        self.tickets.add(ticket, Ticket { asked, pending, until: now + self.policy.answer_within });
        if is_done {
            self.answer(now, ticket);
        }
    }

    /// Whether a look is on its way that answers this.
    fn look_for_peer(&mut self, now: Mono, name: &CheckName) -> bool {
        let pause = self.policy.second_look_after;
        let Some(slot) = self.slots.get_mut(name) else {
            return false;
        };
        if slot.definition.paused || !slot.definition.is_for(&self.identity.zone) {
            return false;
        }
        slot.asked_by_peer_at = Some(now);
        if slot.is_waiting {
            // It need not wait behind those that nobody waits for.
            slot.asked_at.get_or_insert(now);
            self.queue.push(name.clone(), true);
            return true;
        }
        if let Some(running) = slot.eye.running_mut() {
            running.asked_at.get_or_insert(now);
            return true;
        }
        let is_soon = slot.extra_at.is_some_and(|extra| extra <= now + pause);
        if slot.eye.is_pending() || is_soon {
            return true;
        }
        match slot.eye.begun {
            // One look answers all that ask for it within a second.
            Some((begun, true)) if now.since(begun) < pause => false,
            Some((begun, false)) if now.since(begun) < pause => {
                slot.asked_at.get_or_insert(now);
                slot.want(begun + pause);
                true
            }
            Some(_) | None => {
                slot.asked_at.get_or_insert(now);
                slot.want(now);
                true
            }
        }
    }

    pub(super) fn answer_tickets(&mut self, now: Mono, name: &CheckName) {
        for number in self.tickets.ended(name) {
            self.answer(now, number);
        }
    }

    pub(super) fn answer_late(&mut self, now: Mono) {
        while let Some((until, number)) = self.tickets.deadlines.first().copied() {
            if until > now {
                break;
            }
            self.answer(now, number);
        }
    }

    fn answer(&mut self, now: Mono, number: u64) {
        let Some(ticket) = self.tickets.take(number) else {
            return;
        };
        let is_ended = |name: &&CheckName| !ticket.pending.contains(*name);
        let looks = ticket.asked.iter().filter(is_ended).filter_map(|name| self.own_look(now, name));
        let looks: Vec<Look> = looks.collect();
        let pending = ticket.pending.into_iter().collect();
        self.outputs.push_back(Output::Answer { ticket: number, looks, pending });
    }

    /// A look takes long: the others are asked before it has ended.
    pub(super) fn note_slow(&mut self, now: Mono, name: &CheckName) {
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        let Some(running) = slot.eye.running_mut() else {
            return;
        };
        running.slow_at = Some(now);
        let began_at = running.began_at;
        slot.suspected_at.get_or_insert(began_at);
        self.ask_about(now, name);
    }

    /// Asks whoever has not looked, twice running, since this watchdog suspects that the verdict is over. A peer that asked
    /// this one asks the others itself.
    pub(super) fn ask_about(&mut self, now: Mono, name: &CheckName) {
        let Some(slot) = self.slots.get(name) else {
            return;
        };
        let trusts = slot.definition.timeout + self.policy.vote_slack;
        let Some(suspected_at) = slot.suspected_at else {
            return;
        };
        if slot.asked_by_peer_at.is_some_and(|at| at <= suspected_at && now.since(at) < trusts) {
            return;
        }
        let looks_running = self.policy.looks_running;
        let is_sure = |peer: &WatchdogId| {
            slot.votes.get(peer).is_some_and(|vote| {
                let run = vote.look.failures.max(vote.look.successes);
                vote.look.version == slot.definition.version && vote.looked_at >= suspected_at && run >= looks_running
            })
        };
        let electorate = self.electorate(slot);
        let peers = electorate.ballots.iter().map(|ballot| ballot.watchdog);
        let asked: Vec<_> = peers.filter(|peer| **peer != self.identity.watchdog && !is_sure(peer)).cloned().collect();
        for peer in asked {
            self.asking.add(now, peer, name.clone());
        }
    }

    /// What a peer was asked for and still looks at is asked for again, while it matters.
    pub(super) fn ask_again(&mut self, now: Mono, heard: &Heard) {
        for name in &heard.pending {
            let matters = self.slots.get(name).is_some_and(|slot| slot.suspected_at.is_some());
            if matters {
                self.asking.add(now, heard.watchdog.clone(), name.clone());
            }
        }
    }

    pub(super) fn flush_asks(&mut self, now: Mono) {
        if self.asking.due_at(&self.policy).is_none_or(|due_at| now < due_at) {
            return;
        }
        self.asking.since = None;
        // Most often all are asked for the same.
        let mut by_checks: BTreeMap<Vec<CheckName>, Vec<WatchdogId>> = BTreeMap::new();
        for (peer, checks) in std::mem::take(&mut self.asking.by_peer) {
            let checks: Vec<_> = checks.into_iter().collect();
            for part in checks.chunks(MOST_ASKED) {
                by_checks.entry(part.to_vec()).or_default().push(peer.clone());
            }
        }
        for (checks, peers) in by_checks {
            self.outputs.push_back(Output::AskPeers { peers, checks });
        }
    }
}
