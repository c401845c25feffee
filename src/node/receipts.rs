//! Who waits for a beat to be in the database: a push is answered only then, so that what was answered is not lost.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Wall;
use tokio::sync::oneshot;

type Waiting = HashMap<MonitorId, Vec<(Wall, oneshot::Sender<()>)>>;

/// The beats that somebody waits for.
#[derive(Default)]
pub struct Receipts {
    waiting: Mutex<Waiting>,
    /// Nearly always zero: most beats are waited for by nobody.
    count: AtomicUsize,
}

impl Receipts {
    /// Resolves when this beat is stored, and fails when it will not be.
    pub fn expect(&self, monitor: MonitorId, time: Wall) -> oneshot::Receiver<()> {
        let (receipt, expected) = oneshot::channel();
        let mut waiting = self.lock();
        waiting.entry(monitor).or_default().push((time, receipt));
        self.count.store(waiting.len(), Ordering::Release);
        expected
    }

    /// A beat is stored.
    pub fn stored(&self, monitor: MonitorId, time: Wall) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut waiting = self.lock();
        let Some(beats) = waiting.get_mut(&monitor) else { return };
        for (_, receipt) in beats.extract_if(.., |(expected, _)| *expected == time) {
            // Who gave up waiting hears nothing.
            let _ = receipt.send(());
        }
        if beats.is_empty() {
            waiting.remove(&monitor);
        }
        self.count.store(waiting.len(), Ordering::Release);
    }

    /// What waits of these monitors may not be stored.
    pub fn refuse(&self, monitors: impl IntoIterator<Item = MonitorId>) {
        let mut waiting = self.lock();
        for monitor in monitors {
            waiting.remove(&monitor);
        }
        self.count.store(waiting.len(), Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_for_one_beat() {
        let receipts = Receipts::default();
        let mut first = receipts.expect(MonitorId(1), Wall(10));
        let mut second = receipts.expect(MonitorId(1), Wall(20));
        receipts.stored(MonitorId(1), Wall(10));
        receipts.stored(MonitorId(2), Wall(20));
        assert_eq!((first.try_recv(), second.try_recv().is_err()), (Ok(()), true));
        receipts.stored(MonitorId(1), Wall(20));
        assert_eq!(second.try_recv(), Ok(()));
    }

    #[test]
    fn what_is_refused_is_not_waited_for() {
        let receipts = Receipts::default();
        let mut expected = receipts.expect(MonitorId(1), Wall(10));
        receipts.refuse([MonitorId(1)]);
        assert_eq!(expected.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
