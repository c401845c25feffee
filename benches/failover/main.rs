//! How long a failover takes, on both databases: from the event to the first beats elsewhere, and what of that is the
//! leader's own deciding and committing.
//!
//! `cargo bench --bench failover [-- --trials 20 --clusters 5 --only SECTION --database sqlite|mariadb]`. Prints a table
//! to standard output, each line with the figure it is held against; progress goes to standard error. It judges no
//! correctness (`tests/it` does) and always ends with 0: a bench is no test.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on says where")]
#![expect(clippy::indexing_slicing, reason = "a missing element ends the bench")]
#![expect(clippy::print_stdout, reason = "the table is what this is for")]
#![expect(clippy::print_stderr, reason = "progress goes where the table does not")]

mod decision;
mod idle;
mod lost;
mod options;
mod pack;
mod simulated;
mod table;
mod trace;

#[path = "../usage.rs"]
mod usage;

/// The clusters of real processes that the stories use, too.
#[path = "../../tests/it"]
mod it {
    #[expect(dead_code, reason = "the judges of the stories have nothing to do here")]
    pub(crate) mod cluster;
}

use std::process::ExitCode;

use self::options::{Options, Section};
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
    let _ = rustls::crypto::ring::default_provider().install_default();
    let marks = trace::install();
    let table = Table::begin();
    for &kind in &options.kinds {
        if options.wants(Section::Decision) {
            decision::run(kind, &options, &marks, &table).await;
        }
        if options.wants(Section::Idle) {
            idle::run(kind, &table).await;
        }
        let sections: Vec<_> = lost::SECTIONS.into_iter().filter(|&section| options.wants(section)).collect();
        if !sections.is_empty() {
            lost::run(kind, &sections, &options, &table).await;
        }
    }
    ExitCode::SUCCESS
}
