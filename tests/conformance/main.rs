//! The conformance suite: a monitor reads the same on a native node as on stock Uptime Kuma 2.5.3.
//!
//! `cases/*.toml` holds the table: what a target answers, byte by byte, a monitor's columns, and Kuma's verdict. Each case
//! is run by a native node's own run function. Where the verdicts are meant to differ, the case says how and why. With a
//! checkout of Kuma, its dependencies installed, at `KUMA_DIR`, the same monitors are run by Kuma's own `Monitor` class
//! against the same targets, and whatever the table says otherwise is printed:
//!
//! ```sh
//! KUMA_DIR=~/uptime-kuma cargo test --test conformance -- --nocapture
//! ```

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod case;
mod columns;
mod kuma;
mod native;
mod openssl;
mod row;
mod target;
mod verdict;
mod web;
mod zone;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use case::Case;
use target::Target;
use verdict::Verdict;

/// As many as a node would have under way; more would only wait for each other.
const AT_ONCE: usize = 64;

/// Fewer than this are a table that lost a part.
const CASES_LEAST: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_native_node_says_of_every_target_what_kuma_says() {
    let cases = case::all();
    assert!(cases.len() >= CASES_LEAST, "{} cases", cases.len());
    let wrong = Disagreement::among(&cases, &run_all(&cases).await, Case::expected_of_native);
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), told(&wrong));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn kuma_itself_says_what_the_table_says_of_it() {
    let Some(folder) = kuma::folder() else {
        eprintln_once("KUMA_DIR names no checkout of Uptime Kuma: its own verdicts are not asked for");
        return;
    };
    let cases = case::all();
    let targets = targets(&cases).await;
    let monitors: Vec<_> = cases.iter().zip(&targets).filter(|(case, _)| case.runs_on_kuma()).collect();
    let verdicts = kuma::run(&folder, &monitors).await;
    let asked: Vec<_> = monitors.iter().map(|(case, target)| (*case, target.asked())).collect();
    let verdicts = asked.iter().map(|(case, asked)| (case.id(), (verdicts[&case.id()].clone(), asked.clone())));
    let cases: Vec<_> = asked.iter().map(|(case, _)| (*case).clone()).collect();
    let wrong = Disagreement::among(&cases, &verdicts.collect(), Case::expected_of_kuma);
    assert!(wrong.is_empty(), "{} of {} cases on Kuma:\n{}", wrong.len(), cases.len(), told(&wrong));
}

#[test]
fn every_difference_that_is_meant_says_why() {
    for case in case::all() {
        assert_eq!(case.native.is_some(), case.why.is_some(), "{}", case.name);
        assert!(case.why.is_none_or(|why| why.len() > 20), "{}", case.name);
    }
}

async fn targets(cases: &[Case]) -> Vec<Target> {
    let mut targets = Vec::with_capacity(cases.len());
    for case in cases {
        targets.push(Target::start(case).await);
    }
    targets
}

async fn run_all(cases: &[Case]) -> BTreeMap<String, (Verdict, Vec<String>)> {
    use futures_util::StreamExt;
    let node = native::Node::new();
    let run = |case: Case| {
        let node = &node;
        async move {
            let target = Target::start(&case).await;
            let verdict = node.run(&case, &target).await;
            (case.id(), (verdict, target.asked()))
        }
    };
    futures_util::stream::iter(cases.to_vec()).map(run).buffer_unordered(AT_ONCE).collect().await
}

/// A case that came out otherwise than the table says.
struct Disagreement {
    case: String,
    what: String,
}

impl Disagreement {
    fn among(
        cases: &[Case],
        found: &BTreeMap<String, (Verdict, Vec<String>)>,
        expected: fn(&Case) -> Verdict,
    ) -> Vec<Self> {
        let mut wrong = vec![];
        for case in cases {
            let (verdict, asked) = &found[&case.id()];
            // Not everybody may: what cannot be asked here says nothing.
            if verdict.says.as_deref().is_some_and(|says| says.starts_with("this node may not send pings")) {
                continue;
            }
            let expected = expected(case);
            if !expected.holds(verdict) {
                wrong.push(Self { case: case.id(), what: format!("expected {expected}, was {verdict}") });
            }
            if let Some(what) = case.miss(asked) {
                wrong.push(Self { case: case.id(), what });
            }
        }
        wrong
    }
}

fn told(wrong: &[Disagreement]) -> String {
    wrong.iter().fold(String::new(), |mut text, one| {
        let _ = writeln!(text, "* {}: {}", one.case, one.what);
        text
    })
}

#[expect(clippy::print_stderr, reason = "whoever runs it shall know what was left out")]
fn eprintln_once(text: &str) {
    eprintln!("{text}");
}
