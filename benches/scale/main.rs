//! What 100,000 monitors and seven watchdogs cost a `MariaDB`, and what they do when much happens at once: a failover of
//! 20,000 while hands move others ten times a second, 50,000 monitors down in one second, and a failover while as many
//! come back; and how many trips to the database the acts take that leases hang on.
//!
//! `cargo bench --bench scale [-- --monitors 100000 --watchdogs 7]`. Watchdogs are real processes; nodes are played: they
//! hold their leases and answer. Prints a table to standard output, each line with the bar it is held against; progress
//! goes to standard error. It judges no correctness and always ends with 0: a bench is no test.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on says where")]
#![expect(clippy::indexing_slicing, reason = "a missing element ends the bench")]
#![expect(clippy::print_stdout, reason = "the table is what this is for")]
#![expect(clippy::print_stderr, reason = "progress goes where the table does not")]

mod crowd;
mod measures;
mod trips;

#[path = "../failover/simulated.rs"]
mod simulated;
#[path = "../usage.rs"]
mod usage;

/// The clusters of real processes that the stories use, too.
#[path = "../../tests/it"]
mod it {
    #[expect(dead_code, reason = "much of what the stories do has nothing to do here")]
    pub(crate) mod cluster;
}

use std::process::ExitCode;

use self::crowd::Crowd;

#[tokio::main]
async fn main() -> ExitCode {
    let (mut monitors, mut watchdogs) = (100_000, 7);
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    for pair in arguments.chunks(2) {
        match (pair[0].as_str(), pair.get(1).and_then(|value| value.parse().ok())) {
            ("--monitors", Some(count)) => monitors = count,
            ("--watchdogs", Some(count)) => watchdogs = count,
            _ => {
                eprintln!("usage: cargo bench --bench scale [-- --monitors N --watchdogs N]");
                return ExitCode::FAILURE;
            }
        }
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    println!("{:<66} {:>14}  {:<14} verdict", "what", "figure", "bar");
    let mut crowd = Crowd::start(monitors, watchdogs).await;
    measures::idle(&crowd).await;
    measures::failover_under_hands(&mut crowd).await;
    measures::mass_outage(&crowd).await;
    measures::slow_queries(&crowd).await;
    measures::failover_while_many_are_told(&mut crowd).await;
    measures::slow_queries(&crowd).await;
    ExitCode::SUCCESS
}
