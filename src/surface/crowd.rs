//! Who is connected, and who has to go when there is no room: pure.
//!
//! A connection is *busy* while a request of it is being answered. Nobody who is busy has to go. When all places are taken,
//! or an address has as many as one may have, the connection that has been idle longest makes room: of that address, or of
//! the one that has most. Before all of these go those who came a while ago and have asked nothing yet: else an honest caller who
//! shares an address with many strangers would be sent away in the midst of a handshake, while others hold places in silence.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use komainu_watchdogs::time::Mono;

/// How many connections there may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Places {
    /// In all.
    pub most: usize,
    /// From one address.
    pub most_of_one: usize,
}

/// Until the head of its first request is complete: a stranger's half line is worth no place.
pub(super) const FIRST_HEAD: Duration = Duration::from_secs(10);

/// Whoever has asked nothing for so long goes before one who has just come. A handshake and a head over a slow link take less.
const STALE: Duration = Duration::from_secs(1);

/// Between two requests.
pub(super) const IDLE: Duration = Duration::from_secs(75);

/// Longer than any request may wait: whoever takes its answer more slowly counts as idle.
pub(super) const LONGEST_ANSWER: Duration = Duration::from_secs(330);

/// Which connection, by the order in which they came.
pub(super) type Key = u64;

#[derive(Debug)]
struct Guest {
    address: IpAddr,
    /// Requests being answered.
    busy: u32,
    has_asked: bool,
    /// When it came, or was last asked or answered.
    since: Mono,
}

impl Guest {
    fn is_idle(&self, now: Mono) -> bool {
        self.busy == 0 || now.since(self.since) >= LONGEST_ANSWER
    }

    /// It has had its time to ask something, and did not.
    fn is_stale(&self, now: Mono) -> bool {
        !self.has_asked && now.since(self.since) >= STALE
    }

    fn ends_at(&self) -> Mono {
        let patience = match (self.busy, self.has_asked) {
            (0, false) => FIRST_HEAD,
            (0, true) => IDLE,
            (_, _) => LONGEST_ANSWER,
        };
        self.since + patience
    }
}

/// What becomes of one who comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    /// There is room.
    Welcome(Key),
    /// There is room once this one is gone, whom nobody counts any more.
    InsteadOf(Key, Key),
    /// All are busy.
    Full,
}

/// All connections.
#[derive(Debug)]
pub(super) struct Crowd {
    places: Places,
    guests: BTreeMap<Key, Guest>,
    of_address: BTreeMap<IpAddr, usize>,
    next: Key,
}

impl Crowd {
    pub(super) fn new(places: Places) -> Self {
        Self { places, guests: BTreeMap::new(), of_address: BTreeMap::new(), next: 0 }
    }

    /// Somebody connects.
    pub(super) fn admit(&mut self, address: IpAddr, now: Mono) -> Admission {
        let of_one = self.of_address.get(&address).copied().unwrap_or_default();
        let leaver = if of_one >= self.places.most_of_one {
            self.longest_idle(now, |guest| guest.address == address)
        } else if self.guests.len() >= self.places.most {
            self.longest_idle(now, |_| true)
        } else {
            return Admission::Welcome(self.enter(address, now));
        };
        let Some(leaver) = leaver else { return Admission::Full };
        self.leave(leaver);
        Admission::InsteadOf(self.enter(address, now), leaver)
    }

    /// Whose connection it really is, as a proxy says. If that address has more than one may have: who has to go, itself
    /// where everybody else is busy.
    pub(super) fn rename(&mut self, key: Key, address: IpAddr, now: Mono) -> Option<Key> {
        let guest = self.guests.get_mut(&key)?;
        let before = std::mem::replace(&mut guest.address, address);
        self.forget(before);
        let of_one = self.of_address.entry(address).or_default();
        *of_one += 1;
        if *of_one <= self.places.most_of_one {
            return None;
        }
        let leaver = self.longest_idle(now, |guest| guest.address == address).unwrap_or(key);
        self.leave(leaver);
        Some(leaver)
    }

    /// Of those that may go: one that is stale before all others, and of these the one of the address with most connections that has
    /// been idle longest.
    fn longest_idle(&self, now: Mono, may_go: impl Fn(&Guest) -> bool) -> Option<Key> {
        let idle = self.guests.iter().filter(|(_, guest)| guest.is_idle(now) && may_go(guest));
        let crowd = |guest: &Guest| self.of_address.get(&guest.address).copied().unwrap_or_default();
        let first = idle
            .max_by_key(|(key, guest)| (guest.is_stale(now), crowd(guest), std::cmp::Reverse((guest.since, **key))));
        first.map(|(key, _)| *key)
    }

    fn enter(&mut self, address: IpAddr, now: Mono) -> Key {
        let key = self.next;
        self.next += 1;
        self.guests.insert(key, Guest { address, busy: 0, has_asked: false, since: now });
        *self.of_address.entry(address).or_default() += 1;
        key
    }

    /// A connection ended; it may have been sent away before.
    pub(super) fn leave(&mut self, key: Key) {
        if let Some(gone) = self.guests.remove(&key) {
            self.forget(gone.address);
        }
    }

    /// One connection less of this address.
    fn forget(&mut self, address: IpAddr) {
        if let Some(left) = self.of_address.get_mut(&address) {
            *left -= 1;
            if *left == 0 {
                self.of_address.remove(&address);
            }
        }
    }

    /// A request's head is complete.
    pub(super) fn ask(&mut self, key: Key, now: Mono) {
        if let Some(guest) = self.guests.get_mut(&key) {
            guest.busy += 1;
            (guest.has_asked, guest.since) = (true, now);
        }
    }

    /// Its answer was taken, or nobody waits for it any more.
    pub(super) fn answered(&mut self, key: Key, now: Mono) {
        if let Some(guest) = self.guests.get_mut(&key) {
            guest.busy = guest.busy.saturating_sub(1);
            guest.since = now;
        }
    }

    /// Until when it may stay if nothing happens; `None`: it is gone.
    pub(super) fn ends_at(&self, key: Key) -> Option<Mono> {
        self.guests.get(&key).map(Guest::ends_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: Places = Places { most: 4, most_of_one: 3 };

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn with(guests: &[u8]) -> Crowd {
        let mut crowd = Crowd::new(PLACES);
        for (second, last) in (0..).zip(guests) {
            assert!(matches!(crowd.admit(address(*last), Mono::secs(second)), Admission::Welcome(_)));
        }
        crowd
    }

    #[test]
    fn the_address_that_has_most_makes_room_with_its_oldest() {
        let mut crowd = with(&[1, 2, 2, 3]);
        assert_eq!(crowd.admit(address(4), Mono::secs(9)), Admission::InsteadOf(4, 1));
        assert_eq!(crowd.guests.len(), 4);
    }

    #[test]
    fn whoever_has_as_many_as_one_may_have_makes_room_itself() {
        let mut crowd = with(&[2, 2, 2]);
        assert_eq!(crowd.admit(address(2), Mono::secs(9)), Admission::InsteadOf(3, 0));
        assert_eq!(crowd.admit(address(3), Mono::secs(9)), Admission::Welcome(4));
    }

    #[test]
    fn whoever_has_asked_nothing_for_a_while_goes_before_one_who_just_came() {
        let mut crowd = with(&[1, 2, 3]);
        assert_eq!(crowd.admit(address(2), Mono::secs(9)), Admission::Welcome(3), "an honest caller in its handshake");
        let goes = |crowd: &mut Crowd, last| crowd.admit(address(last), Mono::secs(9));
        assert_eq!(goes(&mut crowd, 2), Admission::InsteadOf(4, 1), "of the address that has most");
        assert_eq!(goes(&mut crowd, 2), Admission::InsteadOf(5, 0));
        assert_eq!(goes(&mut crowd, 4), Admission::InsteadOf(6, 2), "the last that is stale");
        assert_eq!(goes(&mut crowd, 4), Admission::InsteadOf(7, 3), "now all have just come: who has most makes room");
    }

    #[test]
    fn between_requests_one_is_not_stale() {
        let mut crowd = with(&[1, 1, 2, 3]);
        for key in 0..3 {
            crowd.ask(key, Mono::secs(4));
            crowd.answered(key, Mono::secs(4));
        }
        assert_eq!(crowd.admit(address(4), Mono::secs(9)), Admission::InsteadOf(4, 3), "it has never asked");
        assert_eq!(crowd.admit(address(5), Mono::secs(9)), Admission::InsteadOf(5, 0));
    }

    #[test]
    fn nobody_who_is_being_answered_has_to_go() {
        let mut crowd = with(&[2, 2, 2, 1]);
        for key in 0..4 {
            crowd.ask(key, Mono::secs(5));
        }
        assert_eq!(crowd.admit(address(3), Mono::secs(9)), Admission::Full);
        crowd.answered(3, Mono::secs(10));
        assert_eq!(crowd.admit(address(3), Mono::secs(11)), Admission::InsteadOf(4, 3));
        crowd.ask(4, Mono::secs(12));
        let late = Mono::secs(5) + LONGEST_ANSWER;
        assert_eq!(crowd.admit(address(3), late), Admission::InsteadOf(5, 0), "an answer that nobody takes");
    }

    #[test]
    fn whom_a_proxy_names_has_as_many_as_one_may_have_behind_it() {
        let mut crowd = with(&[9, 9]);
        crowd.ask(1, Mono::secs(2));
        assert_eq!(crowd.rename(0, address(2), Mono::secs(3)), None);
        assert_eq!(crowd.rename(1, address(2), Mono::secs(3)), None);
        assert_eq!(crowd.of_address, BTreeMap::from([(address(2), 2)]), "the proxy itself has none");
        assert!(matches!(crowd.admit(address(9), Mono::secs(4)), Admission::Welcome(2)));
        assert_eq!(crowd.rename(2, address(2), Mono::secs(4)), None);
        assert!(matches!(crowd.admit(address(9), Mono::secs(5)), Admission::Welcome(3)));
        assert_eq!(crowd.rename(3, address(2), Mono::secs(5)), Some(0), "the one that has been idle longest");
        crowd.ask(2, Mono::secs(6));
        crowd.ask(3, Mono::secs(6));
        assert!(matches!(crowd.admit(address(9), Mono::secs(7)), Admission::Welcome(4)));
        assert_eq!(crowd.rename(4, address(2), Mono::secs(7)), Some(4), "all others are being answered");
        assert_eq!(crowd.guests.len(), 3);
    }

    #[test]
    fn a_half_line_ends_sooner_than_a_pause_between_requests() {
        let mut crowd = with(&[1]);
        assert_eq!(crowd.ends_at(0), Some(Mono::secs(0) + FIRST_HEAD));
        crowd.ask(0, Mono::secs(2));
        assert_eq!(crowd.ends_at(0), Some(Mono::secs(2) + LONGEST_ANSWER));
        crowd.answered(0, Mono::secs(3));
        assert_eq!(crowd.ends_at(0), Some(Mono::secs(3) + IDLE));
        crowd.leave(0);
        assert_eq!((crowd.ends_at(0), crowd.guests.len()), (None, 0));
    }
}
