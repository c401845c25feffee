//! `komainu status`: what `/status` says, for people.

use anyhow::bail;
use komainu_watchdogs::time::Wall;
use reqwest::Method;
use serde_json::Value;

use super::output::OutputArgs;
use super::print::{self, cell};
use crate::store::capacity;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let (code, status) = args.output.client()?.ask(Method::GET, "/status", None).await?;
    if args.output.json {
        print::line(status.to_string());
    } else {
        show(&status);
    }
    if !code.is_success() {
        bail!("the cluster is {}", cell(status.get("status")));
    }
    Ok(())
}

fn show(status: &Value) {
    let leader = match status.get("leader").filter(|leader| !leader.is_null()) {
        Some(leader) => format!("{}, epoch {}", cell(leader.get("watchdog_id")), cell(leader.get("epoch"))),
        None => "none".to_owned(),
    };
    let frozen = if status.get("frozen").and_then(Value::as_bool) == Some(true) { ", frozen" } else { "" };
    let (cluster, colour) = (cell(status.get("cluster")), cell(status.get("status")));
    print::line(format!("{cluster}: {colour} ({}{frozen})", cell(status.get("mode"))));
    for reason in items(status, "reasons") {
        print::line(format!("  {}", cell(Some(reason))));
    }
    print::line(format!("leader: {leader}; database: {}", cell(status.get("database"))));
    if let Some(monitors) = status.get("monitors") {
        let (active, watched) = (cell(monitors.get("active")), cell(monitors.get("watched")));
        print::line(format!("monitors: {active} active, {watched} watched"));
        if monitors.get("unplaceable").and_then(Value::as_u64).is_some_and(|count| count > 0) {
            print::line(format!("  {} of a type that no node can run", cell(monitors.get("unplaceable"))));
        }
    }
    for ids in items(status, "ids") {
        if let Some(line) = ids_used(ids) {
            print::line(line);
        }
    }
    for would in items(status, "would_move") {
        print::line(would_move(would));
    }
    print::line("");
    show_tables(status);
}

/// Nothing of ids that will not end.
fn ids_used(ids: &Value) -> Option<String> {
    let ends_on = ids.get("ends_at").and_then(Value::as_i64).map(|at| capacity::date(Wall(at)));
    let (table, used) = (cell(ids.get("table")), cell(ids.get("used")));
    Some(format!("ids of {table}: {used} % used; at today's rate they end on {}", ends_on?))
}

/// What automation would do if it might: in observe mode, while frozen, or next to a foreign runner.
fn would_move(would: &Value) -> String {
    let (monitors, reason) = (cell(would.get("monitors")), cell(would.get("reason")));
    match would.get("from").filter(|from| !from.is_null()) {
        Some(from) => format!("would move {monitors} from {}: {reason}", cell(Some(from))),
        None => format!("would place {monitors}: {reason}"),
    }
}

fn show_tables(status: &Value) {
    let row = |item: &Value, names: [&str; 4]| names.map(|name| cell(item.get(name)));
    let nodes = items(status, "nodes").iter().map(|node| row(node, ["node_id", "status", "monitors", "capacity"]));
    print::table(["NODE", "STATUS", "MONITORS", "CAPACITY"], nodes);
    print::line("");
    let watchdogs =
        items(status, "watchdogs").iter().map(|item| ["watchdog_id", "status"].map(|name| cell(item.get(name))));
    print::table(["WATCHDOG", "STATUS"], watchdogs);
    let incidents = items(status, "incidents");
    if !incidents.is_empty() {
        print::line("");
        let rows = incidents.iter().map(|item| ["key", "severity"].map(|name| cell(item.get(name))));
        print::table(["INCIDENT", "SEVERITY"], rows);
    }
}

fn items<'a>(status: &'a Value, name: &str) -> &'a [Value] {
    status.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_that_end_are_told_with_their_date() {
        let ids = json!({"table": "heartbeat", "used": 52, "ends_at": 1_798_761_600_000_i64});
        let line = "ids of heartbeat: 52 % used; at today's rate they end on 2027-01-01";
        assert_eq!(ids_used(&ids).as_deref(), Some(line));
        assert_eq!(ids_used(&json!({"table": "stat_daily", "used": 0, "ends_at": null})), None);
    }

    #[test]
    fn what_automation_would_do_is_told_in_a_line() {
        let would = json!({"from": "node2", "monitors": 312, "reason": "node_offline"});
        assert_eq!(would_move(&would), "would move 312 from node2: node_offline");
        let would = json!({"from": null, "monitors": 79, "reason": "new_monitor"});
        assert_eq!(would_move(&would), "would place 79: new_monitor");
    }
}
