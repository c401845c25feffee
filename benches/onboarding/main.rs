//! How long it takes until thousands of new monitors are watched, and how a whole node is emptied by hand: real
//! watchdogs, five real nodes, one local target, on both databases.
//!
//! `cargo bench --bench onboarding [-- --monitors 4000 --interval 20 --database sqlite|mariadb]`. Prints a table, each line
//! with the figure it is held against; progress goes to standard error. Runs on two nodes at once end the bench, since
//! its figures would be worth nothing; otherwise it judges nothing.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on says where")]
#![expect(clippy::indexing_slicing, reason = "a missing element ends the bench")]
#![expect(clippy::print_stdout, reason = "the table is what this is for")]
#![expect(clippy::print_stderr, reason = "progress goes where the table does not")]

mod drained;
mod onboarded;
mod options;

#[path = "../failover/table.rs"]
#[expect(dead_code, reason = "other benches have other bars")]
mod table;

/// The clusters of real processes that the stories use, too.
#[path = "../../tests/it"]
mod it {
    #[expect(dead_code, reason = "much of what the stories do has nothing to do here")]
    pub(crate) mod cluster;
}

use std::process::ExitCode;

use self::it::cluster::{Cluster, Shape};
use self::options::Options;
use self::table::{Table, name};

/// Each takes 1,000 monitors by default.
const NODES: usize = 5;

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(fault) => {
            eprintln!("{fault}\n{}", options::USAGE);
            return ExitCode::FAILURE;
        }
    };
    let table = Table::begin();
    for &kind in &options.kinds {
        eprintln!("{}: starting three watchdogs and {NODES} nodes", name(kind));
        let cluster = Cluster::start(kind, Shape { nodes: NODES, monitors: 0, ..Shape::default() }).await;
        onboarded::run(&cluster, kind, &options, &table).await;
        drained::run(&cluster, kind, &options, &table).await;
        cluster.assert_one_owner().await;
    }
    ExitCode::SUCCESS
}
