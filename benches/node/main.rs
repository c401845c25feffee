//! What one native node costs and how punctual it is: http monitors by the ten thousand against one local target, on both
//! databases, printed beside what a stock Kuma was measured at.
//!
//! `cargo bench --bench node [-- --monitors 10000,50000 --interval 60 --seconds 120 --database sqlite|mariadb]`. Punctual is
//! told by the target: the span between two requests of one monitor, less its interval. It judges nothing and always ends
//! with 0: a bench is no test.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on says where")]
#![expect(clippy::indexing_slicing, reason = "a missing element ends the bench")]
#![expect(clippy::print_stdout, reason = "the table is what this is for")]
#![expect(clippy::print_stderr, reason = "progress goes where the table does not")]

mod gained;
mod options;
mod place;
mod steady;

#[path = "../failover/table.rs"]
#[expect(dead_code, reason = "other benches have other bars")]
mod table;
#[path = "../usage.rs"]
mod usage;

/// The clusters of real processes that the stories use, too.
#[path = "../../tests/it"]
mod it {
    #[expect(dead_code, reason = "much of what the stories do has nothing to do here")]
    pub(crate) mod cluster;
}

use std::process::ExitCode;

use self::options::Options;
use self::table::Table;

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
        gained::run(kind, &table).await;
        for &monitors in &options.monitors {
            steady::run(kind, monitors, &options, &table).await;
        }
    }
    println!("\nstock Kuma 2.5.3, measured on the same kind of machine:");
    println!("  4,000 monitors at 60 s: 48 % of a core, 510 MB; at 20 s: 83 %, 611 MB");
    println!("  all monitors first checked after a start: 300 in 195 s, 1,000 in 661 s");
    ExitCode::SUCCESS
}
