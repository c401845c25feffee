//! The contract of the store: one suite, run on both databases.

mod answering;
mod assignments;
mod beats;
mod beginnings;
mod certificates;
mod check_history;
mod checks;
mod clocks;
mod conflicts;
mod connections;
mod counts;
mod dependencies;
mod downtimes;
mod ends;
mod families;
mod figures;
pub(crate) mod fixture;
mod grants;
mod hands;
mod heartbeats;
mod hours;
mod incidents;
mod ladders;
mod leadership;
mod lease_locks;
mod lost_tails;
mod migrations;
mod moves;
mod news;
mod nodes;
mod notes;
mod opinions;
mod outbox;
mod pages;
mod places;
mod push_owners;
mod reminders;
mod retention;
mod rounds;
mod rows;
mod silences;
mod spool;
mod statistics;
mod statuses;
mod subscriptions;
mod telling;
mod vendor;
mod verdicts;
mod widening;
mod windows;
mod writers;
mod writing;

/// Makes a test on each database of each of these functions.
macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            use crate::store_contract::fixture::Kind;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(Kind::Sqlite).await;
            })*
        }
        mod mariadb {
            use crate::store_contract::fixture::Kind;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs MariaDB"]
            async fn $name() {
                super::$name(Kind::MariaDb).await;
            })*
        }
    };
}
use on_both_databases;
