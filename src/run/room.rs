//! What the answers that runs keep may take of a node's memory, all together.
//!
//! Whoever needs more than there is takes it from the run that holds most: that one is the node's own trouble, and says
//! nothing of its target. So a few large answers, however slowly they come, keep no small one out. A run that would
//! itself hold most is the one that ends.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::failure::Failure;

/// Bytes of answers that are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keeps {
    /// Of one answer.
    pub body: usize,
    /// Of all at once.
    pub together: usize,
}

impl Keeps {
    /// Four of the largest answers, or some thousand of the usual ones: hundreds of runs are under way at once.
    pub const OF_NODES: Self = Self { body: 16 * 1_024 * 1_024, together: 64 * 1_024 * 1_024 };

    /// A watchdog has more to do than to look: what a query asks is in the beginning, and a keyword is looked for in what
    /// is not kept as well.
    pub const OF_WATCHDOGS: Self = Self { body: 64 * 1_024, together: 8 * 1_024 * 1_024 };
}

/// Which run, by the order in which they came.
type Key = u64;

/// Who holds how much: pure.
#[derive(Debug)]
struct Shares {
    most: usize,
    total: usize,
    held: BTreeMap<Key, usize>,
    next: Key,
}

/// What becomes of one who needs more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Granted {
    /// There is room.
    Free,
    /// There is room once this one is gone, which nobody counts any more.
    TakenFrom(Key),
    /// Nobody else holds more.
    Refused,
}

impl Shares {
    fn new(most: usize) -> Self {
        Self { most, total: 0, held: BTreeMap::new(), next: 0 }
    }

    fn enter(&mut self) -> Key {
        self.next += 1;
        self.held.insert(self.next, 0);
        self.next
    }

    fn leave(&mut self, key: Key) {
        self.total -= self.held.remove(&key).unwrap_or(0);
    }

    fn grow(&mut self, key: Key, bytes: usize) -> Granted {
        let Some(own) = self.held.get(&key).map(|held| held + bytes) else { return Granted::Refused };
        let granted = if self.total + bytes <= self.most {
            Granted::Free
        } else {
            // It frees at least as much as is needed.
            let others = self.held.iter().filter(|(other, held)| **other != key && **held >= own);
            match others.max_by_key(|(_, held)| **held).map(|(other, _)| *other) {
                Some(largest) => Granted::TakenFrom(largest),
                None => Granted::Refused,
            }
        };
        match granted {
            Granted::Free => {}
            Granted::TakenFrom(largest) => self.leave(largest),
            Granted::Refused => return granted,
        }
        self.held.insert(key, own);
        self.total += bytes;
        granted
    }
}

/// A run's answer has no room: the node's own trouble.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NoRoom {
    /// Bytes that there are.
    most: usize,
}

impl From<NoRoom> for Failure {
    fn from(NoRoom { most }: NoRoom) -> Self {
        let most = most / (1_024 * 1_024);
        Self::own(format!("this node keeps {most} MiB of answers at once, and this one was the largest of too many"))
    }
}

/// The room of one node; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Mutex<Inside>>);

#[derive(Debug)]
struct Inside {
    shares: Shares,
    ends: BTreeMap<Key, CancellationToken>,
}

impl Room {
    /// With so many bytes.
    pub(super) fn of(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Inside { shares: Shares::new(most), ends: BTreeMap::new() })))
    }

    /// For one answer, which holds nothing yet.
    pub(super) fn enter(&self) -> HeldRoom {
        let taken = CancellationToken::new();
        let mut inside = self.inside();
        let key = inside.shares.enter();
        inside.ends.insert(key, taken.clone());
        drop(inside);
        HeldRoom { place: Some((self.clone(), key)), taken }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one answer holds, until it is dropped.
#[derive(Debug)]
pub(super) struct HeldRoom {
    place: Option<(Room, Key)>,
    taken: CancellationToken,
}

impl HeldRoom {
    /// Of an answer that nobody keeps.
    pub(super) fn none() -> Self {
        Self { place: None, taken: CancellationToken::new() }
    }

    /// Holds so many bytes more.
    pub(super) fn grow(&self, bytes: usize) -> Result<(), NoRoom> {
        let Some((room, key)) = &self.place else { return Ok(()) };
        let mut inside = room.inside();
        match inside.shares.grow(*key, bytes) {
            Granted::Free => Ok(()),
            Granted::TakenFrom(largest) => {
                if let Some(end) = inside.ends.remove(&largest) {
                    end.cancel();
                }
                Ok(())
            }
            Granted::Refused => Err(NoRoom { most: inside.shares.most }),
        }
    }

    /// Goes on while nobody else needs the room more.
    pub(super) async fn unless_taken<T, E: From<NoRoom>>(
        &self,
        act: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.taken.run_until_cancelled(act).await.unwrap_or_else(|| Err(self.no_room().into()))
    }

    fn no_room(&self) -> NoRoom {
        NoRoom { most: self.place.as_ref().map_or(0, |(room, _)| room.inside().shares.most) }
    }
}

impl Drop for HeldRoom {
    fn drop(&mut self) {
        if let Some((room, key)) = &self.place {
            let mut inside = room.inside();
            inside.shares.leave(*key);
            inside.ends.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_holds_most_makes_room() {
        let mut shares = Shares::new(100);
        let [small, large, next] = [(); 3].map(|()| shares.enter());
        assert_eq!(shares.grow(small, 20), Granted::Free);
        assert_eq!(shares.grow(large, 70), Granted::Free);
        assert_eq!(shares.grow(next, 11), Granted::TakenFrom(large));
        assert_eq!((shares.total, shares.grow(large, 1)), (31, Granted::Refused), "it is not counted any more");
        shares.leave(large);
        assert_eq!(shares.total, 31);
    }

    #[test]
    fn whoever_would_hold_most_itself_ends() {
        let mut shares = Shares::new(100);
        let [first, second] = [(); 2].map(|()| shares.enter());
        assert_eq!(shares.grow(first, 40), Granted::Free);
        assert_eq!(shares.grow(second, 60), Granted::Free);
        assert_eq!(shares.grow(second, 1), Granted::Refused);
        shares.leave(second);
        assert_eq!((shares.total, shares.grow(first, 60)), (40, Granted::Free));
    }

    #[tokio::test]
    async fn a_run_that_waits_for_more_of_its_answer_hears_that_its_room_is_taken() {
        let room = Room::of(100);
        let (large, small) = (room.enter(), room.enter());
        large.grow(90).unwrap();
        small.grow(20).unwrap();
        let waited = large.unless_taken(std::future::pending::<Result<(), NoRoom>>()).await;
        assert_eq!(waited, Err(NoRoom { most: 100 }));
        drop((large, small));
        assert_eq!(room.inside().shares.total, 0);
        assert!(room.inside().ends.is_empty());
    }
}
