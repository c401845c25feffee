//! How often, and after what pause, a transaction that met another one is tried again.
//!
//! A deadlock (1213; on Galera also a conflict that shows only at the commit) is found at once and rolls all of it back:
//! trying again costs little, and two that met will meet again unless their pauses differ. A lock wait that timed out
//! (1205) has taken seconds already. What is tried again is the caller's.

use std::time::Duration;

use super::error::StoreError;

/// So often at most where each try ends at once.
const AT_ONCE: u32 = 10;
/// So often at most where each try takes as long as a lock is waited for.
const AFTER_WAITS: u32 = 3;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// The tries of one transaction.
#[derive(Debug, Default)]
pub(crate) struct Again {
    tries: u32,
}

impl Again {
    /// Whether it is to be tried again after this error; returns when it is time.
    pub(crate) async fn after(&mut self, error: &StoreError) -> bool {
        self.tries += 1;
        let most = match error {
            StoreError::Contention { is_deadlock: true, .. } => AT_ONCE,
            _ if error.is_contention() => AFTER_WAITS,
            _ => return false,
        };
        if self.tries >= most {
            return false;
        }
        let jitter = 0.5 + rand::random::<f64>() / 2.0;
        tokio::time::sleep(pause(self.tries).mul_f64(jitter)).await;
        true
    }
}

fn pause(tries: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1_u32.checked_shl(tries - 1).unwrap_or(u32::MAX)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn tries(is_deadlock: bool) -> u32 {
        let error = StoreError::Contention { act: "write", is_deadlock, reason: String::new() };
        let mut again = Again::default();
        let mut tries = 1;
        while again.after(&error).await {
            tries += 1;
        }
        tries
    }

    #[tokio::test]
    async fn what_is_found_at_once_is_tried_more_often_than_what_took_seconds() {
        assert_eq!(tries(true).await, 10);
        assert_eq!(tries(false).await, 3);
        let lost = StoreError::Lost { act: "write", reason: String::new() };
        assert!(!Again::default().after(&lost).await, "nobody knows what became of it");
    }

    #[test]
    fn pauses_grow_and_stay_short() {
        let all: Vec<_> = (1..10).map(|tries| pause(tries).as_millis()).collect();
        assert_eq!(all, [5, 10, 20, 40, 80, 160, 200, 200, 200]);
    }
}
