//! What evaluating a JSON query in a process of its own costs beside evaluating it within the node's.
//!
//! `cargo bench --bench queries [-- 5000]`: so many of each, in turns, of an answer of 1 KiB and of one of 1 MiB. Prints the
//! middle and the slowest hundredth in microseconds, and the ratio of the middles. It judges nothing.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on says where")]
#![expect(clippy::print_stdout, reason = "the table is what this is for")]
#![expect(clippy::indexing_slicing, reason = "a missing element ends the bench")]

use komainu::clock;
use komainu::run::queries::{Program, Queries, Query, SUBCOMMAND, evaluate};

#[tokio::main]
async fn main() {
    let queries = Queries::new(Program::at(env!("CARGO_BIN_EXE_komainu"), &[SUBCOMMAND]));
    let times = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(5_000);
    let query = Query {
        path: "$count(jobs[state = 'stuck'])".to_owned(),
        operator: "<".to_owned(),
        expected: Some("2".to_owned()),
    };
    println!("{:>8} {:>12} {:>10} {:>10}", "answer", "where", "p50 us", "p99 us");
    for (name, jobs, times) in [("1 KiB", 25, times), ("1 MiB", 25_000, times / 100)] {
        let body = body(jobs);
        let (mut within, mut apart) = (Vec::new(), Vec::new());
        for _ in 0..times.max(1) {
            let began_at = clock::now();
            assert!(evaluate(&body, &query).unwrap().passes);
            within.push(micros(began_at));
            let began_at = clock::now();
            assert!(queries.ask(&body, &query).await.unwrap().unwrap().passes);
            apart.push(micros(began_at));
        }
        let (within, apart) = (middle(name, "within", within), middle(name, "apart", apart));
        println!("{name:>8} {:>12} {:>10.2}", "ratio", apart / within);
    }
}

fn body(jobs: usize) -> String {
    let jobs: Vec<_> = (0..jobs).map(|job| format!("{{\"state\": \"done\", \"id\": {job}}}")).collect();
    format!("{{\"jobs\": [{}, {{\"state\": \"stuck\"}}]}}", jobs.join(", "))
}

fn micros(began_at: komainu_watchdogs::time::Mono) -> u128 {
    clock::now().since(began_at).as_micros()
}

fn middle(name: &str, place: &str, mut spans: Vec<u128>) -> f64 {
    spans.sort_unstable();
    let (p50, p99) = (spans[spans.len() / 2], spans[spans.len() * 99 / 100]);
    println!("{name:>8} {place:>12} {p50:>10} {p99:>10}");
    f64::from(u32::try_from(p50.max(1)).unwrap())
}
