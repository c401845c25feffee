//! The loop and its peers: who is there, what they are asked, and what they are answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use komainu_watchdogs::check::{CheckName, Heard, Input, Look};
use komainu_watchdogs::ids::WatchdogId;
use tokio::sync::oneshot;

use super::{ASKED_MOST, Caller, Driver, Event, HEARD_FOR, Peer};
use crate::clock;
use crate::looks::members_of;
use crate::looks::peers::{LookAnswer, LookRequest, MOST_LOOKS};

impl Driver {
    pub(super) fn take_contact(&mut self) {
        self.contact.borrow_and_update();
        let members = self.members();
        self.shared.tables().clock_ahead_ms = self.clock_ahead_ms();
        let me = &self.shared.identity.watchdog;
        let now = clock::now();
        if !members.is_empty() {
            self.peers.retain(|peer, _| members.contains_key(peer));
            self.slow.keep(|peer| members.contains_key(peer));
        }
        for peer in members.keys().filter(|peer| *peer != me) {
            let peer = self.peers.entry(peer.clone()).or_default();
            peer.fetch_at.get_or_insert(now);
        }
        self.tell_members();
    }

    pub(super) fn tell_members(&self) {
        let now = clock::now();
        let heard = self.peers.iter().filter(|(_, peer)| peer.is_heard(now));
        let heard: BTreeMap<_, _> =
            heard.filter_map(|(id, peer)| Some((id.clone(), (peer.zone.clone()?, peer.is_isolated)))).collect();
        let contact = Arc::clone(&self.contact.borrow());
        let knows_tables = contact.verdict_at.is_some_and(|at| now.since(at) < HEARD_FOR);
        let known = self.members().len();
        let is_alone = !knows_tables && heard.is_empty() && known > 1;
        self.shared.is_alone.store(is_alone, Ordering::Relaxed);
        let members = members_of(&contact, (&self.shared.identity, known), &heard);
        self.handle(Input::Members(members));
    }

    /// Asks every peer for what it saw, when it is time.
    pub(super) fn fetch_due(&mut self) {
        let now = clock::now();
        let is_due = |peer: &Peer| !peer.is_fetching && peer.fetch_at.is_some_and(|at| at <= now);
        let due: Vec<_> = self.peers.iter().filter(|(_, peer)| is_due(peer)).map(|(id, _)| id.clone()).collect();
        if due.is_empty() {
            return;
        }
        for peer in due {
            if let Some(peer) = self.peers.get_mut(&peer) {
                peer.is_fetching = true;
            }
            self.ask(&peer, vec![], true);
        }
        self.tell_members();
    }

    pub(super) fn ask(&self, peer: &WatchdogId, checks: Vec<CheckName>, is_fetch: bool) {
        let address = self.members().get(peer).cloned().unwrap_or_default();
        let known = self.peers.get(peer).and_then(|peer| peer.known);
        let question = LookRequest {
            watchdog: self.shared.identity.watchdog.clone(),
            checks,
            of: known.map(|(incarnation, _)| incarnation),
            after: known.map_or(0, |(_, number)| number),
        };
        let (client, events, peer) = (self.peers_client.clone(), self.events.clone(), peer.clone());
        tokio::spawn(async move {
            let asked = client.ask((&peer, &address), &question).await;
            let told = match asked {
                Ok(told) => Some(Box::new(told)),
                Err(error) => {
                    tracing::debug!(watchdog.id = %peer, %error, "a peer could not be asked to look");
                    None
                }
            };
            let _ = events.send(Event::Answered { peer, told, is_fetch }).await;
        });
    }

    pub(super) fn take_answer(&mut self, id: &WatchdogId, told: Option<(LookAnswer, Heard)>, is_fetch: bool) {
        let now = clock::now();
        let Some(peer) = self.peers.get_mut(id) else { return };
        if is_fetch {
            peer.note_fetched(now, told.as_ref().map(|(told, _)| told));
        }
        let Some((told, heard)) = told else { return };
        (peer.zone, peer.is_isolated, peer.heard_at) = (Some(told.zone), told.is_isolated, Some(now));
        self.tell_members();
        self.handle(Input::Heard(heard));
    }

    pub(super) fn take_question(&mut self, question: LookRequest, reply: oneshot::Sender<LookAnswer>) {
        if self.peers.contains_key(&question.watchdog) {
            self.slow.note_asked_by(question.watchdog.clone(), clock::now());
        }
        let is_mine = question.of == Some(self.shared.identity.incarnation);
        let after = if is_mine { question.after } else { 0 };
        let caller = Caller { reply, after };
        if question.checks.is_empty() {
            return self.reply(caller, vec![], vec![]);
        }
        self.last_ticket += 1;
        self.callers.insert(self.last_ticket, caller);
        // Whoever names one twice, or more than are asked for at once, is answered for as many.
        let checks: BTreeSet<_> = question.checks.into_iter().take(ASKED_MOST).collect();
        self.handle(Input::Asked { ticket: self.last_ticket, checks: checks.into_iter().collect() });
    }

    /// With what was asked for, and what the caller does not know yet.
    pub(super) fn reply(&self, caller: Caller, mut looks: Vec<Look>, pending: Vec<CheckName>) {
        let identity = &self.shared.identity;
        let is_asked = !looks.is_empty() || !pending.is_empty();
        let fresh =
            if is_asked { vec![] } else { self.shared.machine().report(clock::now(), caller.after, MOST_LOOKS) };
        let is_more = fresh.len() >= MOST_LOOKS;
        looks.extend(fresh);
        let told = LookAnswer {
            watchdog: identity.watchdog.clone(),
            incarnation: identity.incarnation,
            zone: identity.zone.clone(),
            is_isolated: self.contact.borrow().voters.is_isolated,
            looks,
            pending,
            is_more,
        };
        // Who asked may have gone.
        let _ = caller.reply.send(told);
    }
}
