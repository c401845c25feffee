//! Stories of real processes, on both databases.
//!
//! Limits are where a test gives up, not what it measures: the figures come from the bench.

mod adoption;
mod answers;
mod blackout;
mod certificates;
mod checks;
mod dark_checks;
mod databases;
mod expiry;
mod far;
mod hands;
mod heartbeats;
mod ladders;
mod leaders;
mod maintenance;
mod nodes;
mod onboarding;
mod opinions;
mod outbox;
mod secrets;
mod several;
mod starting;
mod stopping;
mod strangers;
mod subscribers;
mod telling;
mod vanished;
mod zones;

/// One story on both databases.
macro_rules! on_both {
    ($($story:ident),+ $(,)?) => {$(
        mod $story {
            use crate::cluster::database::Kind;

            #[tokio::test(flavor = "multi_thread")]
            async fn on_sqlite() {
                super::$story(Kind::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs MariaDB"]
            async fn on_mariadb() {
                super::$story(Kind::MariaDb).await;
            }
        }
    )+};
}

use on_both;
