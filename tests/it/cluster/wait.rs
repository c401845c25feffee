//! Waiting for something to become true, with a limit that only a failing test reaches.

use std::time::Duration;

use komainu::clock;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Looks until `is_true`; fails the test, saying what it waited for, after `limit`. Returns how long it took.
pub(crate) async fn wait_until(what: &str, limit: Duration, mut is_true: impl AsyncFnMut() -> bool) -> Duration {
    let begin = clock::now();
    while !is_true().await {
        assert!(clock::now().since(begin) < limit, "waited {} s in vain until {what}", limit.as_secs());
        tokio::time::sleep(LOOK).await;
    }
    clock::now().since(begin)
}
