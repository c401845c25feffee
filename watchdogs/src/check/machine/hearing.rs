//! What peers saw, and how old it is at most.

use std::time::Duration;

use super::Machine;
use crate::check::Heard;
use crate::check::schedule::Moment;
use crate::check::verdict::Vote;
use crate::ids::WatchdogId;

impl Machine {
    /// Takes in a peer's words. A process that answered a later request has followed one that answered an earlier one.
    pub(super) fn handle_heard(&mut self, at: Moment, heard: Heard) {
        if heard.watchdog == self.identity.watchdog {
            return;
        }
        let known = self.peers.get(&heard.watchdog).copied();
        let is_past = known
            .is_some_and(|(incarnation, said_after)| incarnation != heard.incarnation && heard.said_after < said_after);
        if is_past {
            return;
        }
        let said_after = known.map_or(heard.said_after, |(_, earlier)| earlier.max(heard.said_after));
        self.peers.insert(heard.watchdog.clone(), (heard.incarnation, said_after));
        self.ask_again(at.now, &heard);
        for mut look in heard.looks {
            look.answer.shorten();
            // Whatever its author says of its age, it is no younger than what was said when.
            let looked_at = heard.said_after - Duration::from_millis(look.age_ms);
            let vote = Vote { look, looked_at, incarnation: heard.incarnation, is_expired: false };
            self.hear(at, &heard.watchdog, vote);
        }
    }

    fn hear(&mut self, at: Moment, peer: &WatchdogId, mut vote: Vote) {
        let name = vote.look.check.clone();
        let Some(slot) = self.slots.get_mut(&name) else {
            return;
        };
        let known = slot.votes.get(peer).filter(|known| known.incarnation == vote.incarnation);
        if known.is_none_or(|known| vote.look.number > known.look.number) {
            // It ended after the one before it, however long its way was.
            vote.looked_at = known.map_or(vote.looked_at, |known| known.looked_at.max(vote.looked_at));
            slot.votes.insert(peer.clone(), vote);
            self.judge(at, &name);
        }
    }
}
