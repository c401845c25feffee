//! Queries in real processes: this test program once more, which serves as a worker where it is asked for that one test.

use super::*;

const SERVES: &str = "run::queries::tests::a_worker_serves";

/// A worker for tests of runs.
pub(crate) fn program() -> Program {
    Program::this(&["--exact", SERVES, "--ignored", "--nocapture"])
}

#[test]
#[ignore = "is the worker of the tests below"]
fn a_worker_serves() {
    if std::env::args().any(|argument| argument == "--exact") {
        serve().unwrap();
    }
}

#[tokio::test]
async fn a_query_in_a_process_of_its_own_says_what_it_says_within_this_one() {
    let queries = Queries::new(program());
    let body =
        r#"{"status": "ok", "load": 0.75, "jobs": [{"left": 3}, {"left": 4}], "none": null, "name": "J\u00fcrgen"}"#;
    for (path, operator, expected) in [
        ("status", "==", Some("ok")),
        ("load", ">", Some("1")),
        ("$sum(jobs.left)", ">=", Some("7")),
        ("name", "contains", Some("\u{fc}")),
        ("", "==", Some("1")),
        ("jobs", "==", Some("1")),
        ("none", "==", Some("1")),
        ("status[", "==", Some("1")),
        ("status", "=~", Some("1")),
        ("status", "==", None),
    ] {
        let query = query(path, operator, expected);
        assert_eq!(queries.ask(body, &query).await, Ok(evaluate(body, &query)), "{path} {operator}");
    }
    let long = format!("\"{}\"", "\u{20ac}".repeat(1_000_000));
    let query = query("$length($)", "==", Some("1000000"));
    assert_eq!(queries.ask(&long, &query).await, Ok(evaluate(&long, &query)));
}

#[tokio::test]
async fn a_query_that_takes_too_much_memory_ends_its_process_and_is_told_so() {
    let queries = Queries::new(program());
    let ordinary = query("a", "==", Some("1"));
    for _ in 0..2 {
        assert!(queries.ask(r#"{"a": 1}"#, &ordinary).await.unwrap().unwrap().passes);
        // Once of a process that has answered before, and once more of a fresh one.
        let greedy = query("$length($pad('x', 400000000))", ">", Some("1"));
        let told = queries.ask("{}", &greedy).await.unwrap().unwrap_err();
        assert_eq!(told, "Error evaluating JSON query: it needs more than 256 MiB of memory, the limit here");
    }
    assert!(queries.ask(r#"{"a": 1}"#, &ordinary).await.unwrap().unwrap().passes, "others go on");
}

#[tokio::test]
async fn what_one_query_leaves_behind_is_not_missing_in_the_next() {
    let queries = Queries::new(program());
    let large = format!("[{}1]", "1,".repeat(1_000_000));
    for _ in 0..4 {
        let found = queries.ask(&large, &query("$count($)", "==", Some("1000001"))).await;
        assert!(found.unwrap().unwrap().passes);
    }
}

#[tokio::test]
async fn an_endless_query_is_ended() {
    let queries = Queries::new(program());
    let endless = "($again := function($n) { $again($n + 1) }; $again(0))";
    assert!(queries.ask("{}", &query(endless, "==", Some("1"))).await.unwrap().is_err());
}

#[tokio::test]
async fn how_a_process_ended_says_whose_fault_it_was() {
    let ended = async |how: &'static str| {
        let queries = Queries::new(Program::at("/bin/sh", &["-c", how]));
        queries.ask("{}", &query("a", "==", Some("1"))).await
    };
    let told = async |how| ended(how).await.unwrap().unwrap_err();
    let time = "Error evaluating JSON query: it needs more than 2 s of processor time, the limit here";
    assert_eq!(told("ulimit -S -t 1; while :; do :; done").await, time);
    assert!(told("kill -KILL $$").await.contains("256 MiB of memory"));
    assert!(told("echo 'memory allocation of 8 bytes failed' >&2; kill -ABRT $$").await.contains("of memory"));
    assert!(told("kill -SEGV $$").await.contains("the evaluator broke"));
    let own = ended("echo no limits here >&2; exit 1").await.unwrap_err();
    assert!(own.is_own_trouble() && own.msg.contains("no limits here"), "{own:?}");
    let missing = Queries::new(Program::at("/nowhere", &[])).ask("{}", &query("a", "==", Some("1"))).await;
    assert!(missing.unwrap_err().is_own_trouble());
}

#[tokio::test]
async fn there_are_only_so_many_processes() {
    let queries = Queries::new(program());
    let asked = (0..20).map(|_| async { queries.ask(r#"{"a": 1}"#, &query("a", "==", Some("1"))).await.unwrap() });
    let answers = futures_util::future::join_all(asked).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(queries.idle.lock().unwrap().len(), WORKERS);
}

fn query(path: &str, operator: &str, expected: Option<&str>) -> Query {
    Query { path: path.to_owned(), operator: operator.to_owned(), expected: expected.map(str::to_owned) }
}
