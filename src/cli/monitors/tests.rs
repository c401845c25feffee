use clap::Parser;
use serde_json::json;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

fn parse(line: &[&str]) -> Command {
    Line::try_parse_from(std::iter::once("monitors").chain(line.iter().copied())).unwrap().command
}

#[test]
fn what_is_named_is_sent_and_nothing_else() {
    let line =
        ["add", "--name", "Front", "--type=http", "--target", "https://a.b/", "--interval", "1m", "--tags", "a, b"];
    let set = ["--set", "ignore_tls=true", "--set", r#"headers={"A": "b"}"#, "--set", "description=a=b"];
    let Command::Add { edits, .. } = parse(&[line.as_slice(), set.as_slice()].concat()) else { panic!("not add") };
    let expected = json!({
        "name": "Front", "type": "http", "url": "https://a.b/", "interval": 60, "tags": ["a", "b"],
        "ignore_tls": true, "headers": {"A": "b"}, "description": "a=b",
    });
    assert_eq!(Value::from(edits.body().unwrap()), expected);
}

#[test]
fn an_empty_list_takes_all_away_and_a_field_is_named_once() {
    let Command::Edit { edits, .. } = parse(&["edit", "7", "--run-on", ""]) else { panic!("not edit") };
    assert_eq!(Value::from(edits.body().unwrap()), json!({"run_on": []}));
    let Command::Edit { edits, .. } = parse(&["edit", "7", "--name", "a", "--set", "name=b"]) else {
        panic!("not edit")
    };
    assert_eq!(edits.body().unwrap_err().to_string(), "name is named twice");
}

#[test]
fn filters_become_a_query() {
    let Command::List { filter, .. } = parse(&["list", "--type", "http", "--active=false", "--tag", "a b"]) else {
        panic!("not list")
    };
    assert_eq!(filter.path(), "/api/v1/monitors?type=http&active=false&tag=a+b&limit=1000");
}

#[test]
fn a_monitor_is_shown_as_a_row_and_in_full() {
    let monitor = json!({
        "id": 7, "name": "Front", "type": "http", "status": "up", "effective_node": "node1", "node_id": "node1",
        "pinned": true, "interval": 60, "ref": null, "tags": ["a", "b"], "keyword": null, "active": true,
        "last_beat": {"time": 1_763_800_000_250_i64, "status": "up", "msg": "200 - OK\nmore", "ping_ms": 12.4},
    });
    assert_eq!(shown::row(&monitor), ["7", "Front", "http", "up", "node1", "node1 (pinned)", "60s", "-"]);
    let text = shown::one(&monitor);
    assert!(text.ends_with("last beat: 2025-11-22T08:26:40Z  up  12ms  200 - OK"), "{text}");
    assert!(text.contains("\ntags: a, b\n") && !text.contains("keyword"), "{text}");
    let nobodys = json!({"id": 1, "effective_node": "", "active": false, "last_beat": null});
    assert_eq!(shown::row(&nobodys)[3..5], ["paused".to_owned(), "-".to_owned()]);
}

#[test]
fn uptime_is_a_row_for_each_span() {
    let uptime =
        json!({"24h": {"uptime": 0.998_761, "up": 100, "down": 1, "avg_ping_ms": 12.345}, "7d": {}, "30d": null});
    let rows: Vec<_> = told::spans(&uptime).collect();
    assert_eq!(rows[0], ["24h", "99.876 %", "100", "1", "12.3ms"]);
    assert_eq!(rows[1], ["7d", "-", "-", "-", "-"]);
}
