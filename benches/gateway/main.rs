//! What the gateway's choosing costs: requests a second through it, and through the same nginx with the same configuration
//! whose upstream is fixed, in turns, before one backend.
//!
//! `cargo bench --bench gateway [-- --rounds 15 --seconds 2]`. Needs nginx with Lua (`tests/run` installs it) and wrk (Debian:
//! wrk). Prints each round, and the median of the rounds' ratios, which is to be 0.90 at least; and the processor time of
//! nginx for one request, which other programs of this machine disturb less.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on says where")]
#![expect(clippy::print_stdout, reason = "the table is what this is for")]
#![expect(clippy::panic, reason = "a bench that cannot go on says why")]

mod load;
mod servers;

use std::process::ExitCode;

use self::load::Measured;
use self::servers::{Backend, Routed, Server, Static};

/// To be reached, routed over fixed.
const GOAL: f64 = 0.90;

fn main() -> ExitCode {
    let (rounds, seconds) = (option("--rounds", 15), option("--seconds", 2));
    let folder = tempfile::Builder::new().prefix("komainu-bench-").tempdir().unwrap();
    let backend = Backend::start(folder.path());
    let routed = Routed::start(folder.path(), &backend);
    let fixed = Static::start(folder.path(), &backend, &routed);
    let (mut through_routed, mut through_fixed) = (Vec::new(), Vec::new());
    println!("round      fixed/s     routed/s   ratio");
    for round in 1..=rounds {
        // Whoever goes first takes turns, too: a machine that slows down favours neither.
        let (one, other) = if round % 2 == 0 { (&routed.0, &fixed.0) } else { (&fixed.0, &routed.0) };
        let (one, other) = (measure(one, seconds), measure(other, seconds));
        let (of_routed, of_fixed) = if round % 2 == 0 { (one, other) } else { (other, one) };
        println!(
            "{round:>5} {:>12.0} {:>12.0} {:>7.3}",
            of_fixed.per_second,
            of_routed.per_second,
            of_routed.per_second / of_fixed.per_second
        );
        through_routed.push(of_routed);
        through_fixed.push(of_fixed);
    }
    let rate = |all: &[Measured]| median(all.iter().map(|one| one.per_second).collect());
    let cost = |all: &[Measured]| median(all.iter().map(|one| one.cpu_us).collect());
    let (routed_rate, fixed_rate) = (rate(&through_routed), rate(&through_fixed));
    // Of pairs, so that what slows both down for a while weighs nothing.
    let pairs = through_routed.iter().zip(&through_fixed);
    let ratio = median(pairs.map(|(routed, fixed)| routed.per_second / fixed.per_second).collect());
    println!("median     {fixed_rate:.0} requests/s fixed, {routed_rate:.0} requests/s routed");
    println!("processor  {:.1} us a request fixed, {:.1} us routed", cost(&through_fixed), cost(&through_routed));
    println!("ratio      {ratio:.3} (goal {GOAL:.2})");
    if ratio < GOAL { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn measure(server: &Server, seconds: u32) -> Measured {
    load::run(server, seconds)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn option(name: &str, otherwise: u32) -> u32 {
    let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
    arguments.next().map_or(otherwise, |value| value.parse().unwrap_or_else(|_| panic!("{name} {value}: not a number")))
}
