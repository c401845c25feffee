//! Whose turn it is to work through what of an answer nobody keeps: one run after another.
//!
//! Answers that never end, or that unpack to a thousand times what they are, would each take a core for as long as their timeout, and all
//! else that this process does would wait behind all of them. So whoever has had its share waits in line for each further piece, and of
//! a hundred such answers no more than one has something to do at any time.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Read without waiting for anybody: more than most answers have.
const FREE: usize = 256 * 1_024;

/// The line of one process; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Turns {
    /// Waits for one's turn, and does this then. Everybody else who has something to do comes before the next turn.
    pub(super) async fn take<T>(&self, work: impl FnOnce() -> T) -> T {
        let turn: Option<SemaphorePermit<'_>> = self.0.acquire().await.ok();
        let done = work();
        tokio::task::yield_now().await;
        drop(turn);
        done
    }

    /// The same, where so many bytes came already.
    pub(super) async fn take_after<T>(&self, bytes: usize, work: impl FnOnce() -> T) -> T {
        if bytes <= FREE { work() } else { self.take(work).await }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn of_many_who_have_had_their_share_one_at_a_time_keeps_others_waiting() {
        let (turns, done) = (Turns::default(), Arc::new(AtomicUsize::new(0)));
        let greedy: Vec<_> = (0..100)
            .map(|_| {
                let (turns, done) = (turns.clone(), Arc::clone(&done));
                tokio::spawn(async move {
                    loop {
                        turns.take_after(FREE + 1, || done.fetch_add(1, Ordering::Relaxed)).await;
                    }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        let before = done.load(Ordering::Relaxed);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let pieces = done.load(Ordering::Relaxed) - before;
        greedy.iter().for_each(tokio::task::JoinHandle::abort);
        assert!((20..=200).contains(&pieces), "{pieces} pieces while somebody else had 100 turns");
    }
}
