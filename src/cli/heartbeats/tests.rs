use clap::Parser;
use serde_json::json;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

fn parse(words: &[&str]) -> Result<Command, clap::Error> {
    Line::try_parse_from(std::iter::once(&"heartbeats").chain(words)).map(|line| line.command)
}

fn body(words: &[&str]) -> Value {
    let (schedule, settings) = match parse(words).unwrap() {
        Command::Add { schedule, settings, .. } => (schedule, settings),
        Command::Edit { schedule: EditedScheduleArgs { period, cron, time_zone }, settings, .. } => {
            (ScheduleArgs { period, cron, time_zone }, settings)
        }
        Command::List { .. }
        | Command::Show { .. }
        | Command::Pause { .. }
        | Command::Resume { .. }
        | Command::Rotate { .. }
        | Command::Delete { .. } => panic!(),
    };
    let mut body = settings.body();
    schedule.fill(&mut body);
    body.into()
}

#[test]
fn what_is_said_is_what_is_asked_for() {
    let line = ["add", "backup", "--period", "24h", "--grace", "1h"];
    assert_eq!(body(&line), json!({"period_s": 86_400, "grace_s": 3600}));
    let line = [
        "add",
        "x",
        "--cron",
        "0 3 * * *",
        "--time-zone",
        "Europe/Berlin",
        "--max-runtime",
        "2h",
        "--channels",
        "ops, phone",
        "--allow-sha1",
        "--severity",
        "warning",
        "--tags",
        "db",
        "--first-due",
        "2026-03-01T03:00:00+01:00",
    ];
    let expected = json!({"cron": "0 3 * * *", "time_zone": "Europe/Berlin", "max_runtime_s": 7200,
        "channels": ["ops", "phone"], "allow_sha1": true, "severity": "warning", "tags": ["db"],
        "first_due": 1_772_330_400_000_i64});
    assert_eq!(body(&line), expected);
}

#[test]
fn an_edit_names_only_what_changes() {
    assert_eq!(body(&["edit", "x", "--grace", "5m"]), json!({"grace_s": 300}));
    assert_eq!(body(&["edit", "x", "--allow-sha1=false", "--tags", ""]), json!({"allow_sha1": false, "tags": []}));
    assert_eq!(body(&["edit", "x", "--max-runtime", "none"]), json!({"max_runtime_s": null}));
    assert_eq!(body(&["edit", "x", "--time-zone", "UTC"]), json!({"time_zone": "UTC"}));
}

#[test]
fn a_new_heartbeat_has_one_schedule() {
    for words in [
        &["add", "x"][..],
        &["add", "x", "--period", "1h", "--cron", "0 3 * * *"],
        &["add", "x", "--period", "1h", "--time-zone", "UTC"],
        &["add", "x", "--period", "soon"],
        &["add", "x", "--period", "1h", "--severity", "huge"],
        &["add", "x", "--period", "1h", "--print", "cobol"],
    ] {
        assert_eq!(parse(words).map(|_| ()).unwrap_err().exit_code(), 2, "{words:?}");
    }
}

#[test]
fn a_name_stays_in_its_place() {
    assert_eq!(of("db-1.backup"), "/api/v1/heartbeats/db-1.backup");
    assert_eq!(of("../monitors/7?x"), "/api/v1/heartbeats/..%2Fmonitors%2F7%3Fx");
}

#[test]
fn a_heartbeat_is_told_in_a_row_and_in_full() {
    let heartbeat = json!({"name": "backup", "state": "up", "is_running": true, "cron": "0 3 * * *",
        "time_zone": "Europe/Berlin", "period_s": null, "grace_s": 3600, "max_runtime_s": 7200,
        "last_at": 1_763_800_000_250_i64, "deadline": null, "channels": ["ops", "phone"], "tags": [], "severity": "critical",
        "description": "", "allow_sha1": false, "last_message": null});
    let row = ["backup", "up, running", "0 3 * * * Europe/Berlin, grace 1h", "2025-11-22T08:26:40Z", "-"];
    assert_eq!(shown::row(&heartbeat), row);
    let text = "backup: up, running\nschedule: 0 3 * * * Europe/Berlin, grace 1h\nmax_runtime: 2h\n\
        last push: 2025-11-22T08:26:40Z\ndeadline: -\nseverity: critical\nchannels: ops, phone\nallow_sha1: false";
    assert_eq!(shown::one(&heartbeat), text);
}

#[test]
fn of_a_push_the_last_line_is_told() {
    let push = json!({"at": 1_763_800_000_250_i64, "status": "fail", "duration_ms": 90_500, "exit_code": 3,
        "watchdog_id": "w2", "message": "one\ntwo\n\n"});
    assert_eq!(shown::push(&push), ["2025-11-22T08:26:40Z", "fail", "1m 30s", "3", "w2", "two"]);
    let push = json!({"at": null, "status": "ok", "duration_ms": 12, "exit_code": null, "message": null});
    assert_eq!(shown::push(&push), ["-", "ok", "12ms", "-", "-", ""]);
}
