//! What each watchdog sees of a target, as a table; and what it comes to.

use serde_json::Value;

use crate::cli::print::{self, cell};

const HEADINGS: [&str; 13] = [
    "WATCHDOG",
    "ZONE",
    "VERDICT",
    "REASON",
    "STATUS",
    "MS",
    "NAME",
    "CONNECT",
    "TLS",
    "FIRST_BYTE",
    "ADDRESS",
    "AGE",
    "CERTIFICATE_ENDS",
];

/// The votes as a table, and below it what failed in its own words; nothing where nobody has a vote.
pub(super) fn table(votes: &[Value]) -> Vec<String> {
    if votes.is_empty() {
        return vec![];
    }
    let said = votes.iter().filter_map(|vote| {
        let message = vote.get("message")?.as_str()?;
        Some(format!("{}: {message}", cell(vote.get("watchdog"))))
    });
    std::iter::once(print::tabled(HEADINGS, votes.iter().map(row))).chain(said).collect()
}

/// All that came of a try.
pub(super) fn trial(trial: &Value) -> String {
    let list = |name: &str| trial.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut lines = table(&list("votes"));
    let beside = |heading: &str, votes: &[Value]| {
        let below = table(votes);
        if below.is_empty() { vec![] } else { [vec![String::new(), heading.to_owned()], below].concat() }
    };
    lines.extend(beside("cut off from the world, without a vote:", &list("abstaining")));
    let silent = list("unanswered");
    lines.extend(silent.iter().map(|one| format!("{}: {}", cell(one.get("watchdog")), cell(one.get("why")))));
    lines.push(format!("{}: {}", cell(trial.get("state")), cell(trial.get("reason"))));
    lines.join("\n")
}

fn row(vote: &Value) -> [String; 13] {
    let of = |name: &str| cell(vote.get(name));
    let phase = |name: &str| cell(vote.get("phases").and_then(|phases| phases.get(name)));
    let age = vote.get("age_s").and_then(Value::as_u64);
    [
        of("watchdog"),
        of("zone"),
        of("verdict"),
        of("reason"),
        of("status"),
        of("ms"),
        phase("name_ms"),
        phase("connect_ms"),
        phase("tls_ms"),
        phase("first_byte_ms"),
        of("address"),
        age.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds}s")),
        print::time(vote.get("certificate_ends_at")),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_try_says_who_sees_what_who_is_silent_and_what_it_comes_to() {
        let seen = json!({"state": "partial", "reason": "only 1 of 3 watchdogs see it fail", "abstaining": [], "votes": [
            {"watchdog": "w1", "zone": "eu", "verdict": "failed", "reason": "status", "message": "Request failed with status code 500",
             "ms": 12, "phases": {"name_ms": 1, "connect_ms": 2, "tls_ms": 3, "first_byte_ms": 6}, "address": "192.0.2.7",
             "status": 500, "certificate_ends_at": 1_798_761_600_000_i64, "age_s": 0},
            {"watchdog": "w2", "zone": "us", "verdict": "silent", "reason": null, "ms": null, "phases": {}, "address": null, "age_s": null}],
            "unanswered": [{"watchdog": "w2", "zone": "us", "why": "no answer in time"}]});
        let said = trial(&seen);
        let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], HEADINGS);
        let row = "w1 eu failed status 500 12 1 2 3 6 192.0.2.7 0s 2027-01-01 00:00:00Z";
        assert_eq!(lines[1], row.split(' ').collect::<Vec<_>>());
        assert_eq!(lines[2][..4], ["w2", "us", "silent", "-"]);
        let rest: Vec<&str> = said.lines().skip(3).collect();
        assert_eq!(
            rest,
            [
                "w1: Request failed with status code 500",
                "w2: no answer in time",
                "partial: only 1 of 3 watchdogs see it fail"
            ]
        );
    }
}
