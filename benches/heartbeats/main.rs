//! How many signed heartbeats a second one watchdog acknowledges, and how long each waits: a real process on a real
//! database, asked over kept connections.
//!
//! `cargo bench --bench heartbeats [-- --seconds 10 --connections 32 --names 1000 --database sqlite|mariadb]`. 200 means
//! committed, so each figure is one of durable pushes. The load comes from the same machine. It judges nothing and always
//! ends with 0: a bench is no test. Then how long it takes from a deadline that passes to the message about it.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on says where")]
#![expect(clippy::indexing_slicing, reason = "a missing element ends the bench")]
#![expect(clippy::print_stdout, reason = "the table is what this is for")]
#![expect(clippy::print_stderr, reason = "progress goes where the table does not")]

mod lateness;
mod load;
mod options;
mod place;

/// The databases and processes that the stories use, too.
#[path = "../../tests/it"]
mod it {
    #[expect(dead_code, reason = "the judges of the stories have nothing to do here")]
    pub(crate) mod cluster;
}

use std::process::ExitCode;

use self::it::cluster::database::Kind;
use self::options::Options;
use self::place::Place;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(fault) => {
            eprintln!("{fault}\n{}", options::USAGE);
            return ExitCode::FAILURE;
        }
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    println!(
        "{:<8} {:>11} {:>6} {:>10} {:>9} {:>9} {:>9} {:>7} {:>11}",
        "database", "connections", "names", "per second", "p50 ms", "p99 ms", "max ms", "refused", "per commit"
    );
    for &kind in options.kinds {
        let place = Place::start(kind, options.names).await;
        eprintln!("{} heartbeats made, load for {:?}", options.names, options.time);
        let measured = load::run(&place, options).await;
        let pushes = place.stored().await;
        let name = name(kind);
        let ms = |quantile: f64| milliseconds(measured.times.value_at_quantile(quantile));
        println!(
            "{name:<8} {:>11} {:>6} {:>10.0} {:>9.2} {:>9.2} {:>9.2} {:>7} {:>11.1}",
            options.connections,
            options.names,
            measured.per_second(),
            ms(0.5),
            ms(0.99),
            milliseconds(measured.times.max()),
            measured.refused,
            pushes.per_moment,
        );
        assert!(pushes.count >= measured.accepted, "{} acknowledged, {} stored", measured.accepted, pushes.count);
    }
    println!("\n{:<8} {:>35} {:>9} {:>9}", "database", "deadline to message, group_wait 5 s", "p50 s", "p99 s");
    for &kind in options.kinds {
        let times = lateness::run(kind).await;
        let seconds = |quantile: f64| milliseconds(times.value_at_quantile(quantile));
        println!("{:<8} {:>35} {:>9.2} {:>9.2}", name(kind), times.len(), seconds(0.5), seconds(0.99));
    }
    ExitCode::SUCCESS
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Sqlite => "sqlite",
        Kind::MariaDb => "mariadb",
    }
}

fn milliseconds(micros: u64) -> f64 {
    f64::from(u32::try_from(micros).unwrap()) / 1_000.0
}
