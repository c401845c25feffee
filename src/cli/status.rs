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
    let (cluster, colour) = (cell(status.get("cluster")), cell(status.get("status")));
    print::line(format!("{cluster}: {colour} ({})", cell(status.get("mode"))));
    for reason in reasons(status) {
        print::line(format!("  {reason}"));
    }
    let who = who_and_what(status);
    if !who.is_empty() {
        print::line(who);
    }
    for warning in status.get("database_server").map_or(&[][..], |server| items(server, "warnings")) {
        print::line(format!("  {}", cell(Some(warning))));
    }
    if let Some(monitors) = status.get("monitors") {
        let (active, watched) = (cell(monitors.get("active")), cell(monitors.get("watched")));
        print::line(format!("monitors: {active} active, {watched} watched"));
        let says_unplaceable = reasons(status).iter().any(|reason| reason.contains("that no node can run"));
        if !says_unplaceable && monitors.get("unplaceable").and_then(Value::as_u64).is_some_and(|count| count > 0) {
            print::line(format!("  {} of a type that no node can run", cell(monitors.get("unplaceable"))));
        }
    }
    for line in status.get("checks").map(checks).unwrap_or_default() {
        print::line(line);
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

/// Why it is not ok, each thing once: what is no more than the status of a node or a watchdog stands in their tables.
fn reasons(status: &Value) -> Vec<String> {
    let rows = |list: &str, kind: &str, id: &str| -> Vec<String> {
        let said = |item: &Value| format!("{kind} {} is {}", cell(item.get(id)), cell(item.get("status")));
        items(status, list).iter().map(said).collect()
    };
    let below = [rows("nodes", "node", "node_id"), rows("watchdogs", "watchdog", "watchdog_id")].concat();
    let mut reasons = Vec::new();
    for reason in items(status, "reasons").iter().map(|reason| cell(Some(reason))) {
        if !below.contains(&reason) && !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons
}

/// Who leads, and how the database is, where no reason says that nobody leads, or that it is not well.
fn who_and_what(status: &Value) -> String {
    let leader = status.get("leader").filter(|leader| !leader.is_null());
    let leads =
        |leader: &Value| format!("leader: {}, epoch {}", cell(leader.get("watchdog_id")), cell(leader.get("epoch")));
    let says = |word: &str| reasons(status).iter().any(|reason| reason.contains(word));
    let leader = leader.map(leads).or_else(|| (!says("no watchdog leads")).then(|| "leader: none".to_owned()));
    let database =
        (!says("the database")).then(|| format!("database: {}{}", cell(status.get("database")), server(status)));
    [leader, database].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Which server it is, and how that is; nothing of a file.
fn server(status: &Value) -> String {
    let Some(server) = status.get("database_server").filter(|server| !server.is_null()) else { return String::new() };
    let mut words = vec![cell(server.get("name"))];
    if let Some(galera) = server.get("galera").filter(|galera| !galera.is_null()) {
        words.push(format!("Galera, {}, {} servers", cell(galera.get("state")), cell(galera.get("size"))));
    }
    if server.get("read_only").and_then(Value::as_bool) == Some(true) {
        words.push("read-only".to_owned());
    }
    if let Some(behind) = server.get("behind_ms").and_then(Value::as_u64) {
        words.push(format!("{} s behind", behind / 1_000));
    }
    format!(" ({})", words.join(", "))
}

/// How many are in which state, and which are down; nothing where there are none.
fn checks(checks: &Value) -> Vec<String> {
    let count = |name: &str| checks.get(name).and_then(Value::as_u64).unwrap_or_default();
    let states = ["up", "down", "partial", "unknown", "paused"].map(|name| (name, count(name)));
    let said: Vec<_> =
        states.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
    if said.is_empty() {
        return vec![];
    }
    let names: Vec<_> = items(checks, "down_names").iter().map(|name| cell(Some(name))).collect();
    let unnamed = usize::try_from(count("down")).unwrap_or(usize::MAX).saturating_sub(names.len());
    let more = if unnamed > 0 { format!(" and {unnamed} more") } else { String::new() };
    let down = (!names.is_empty()).then(|| format!("  down: {}{more}", names.join(", ")));
    std::iter::once(format!("checks: {}", said.join(", "))).chain(down).collect()
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
        let opened = |item: &Value| print::opened(item.get("since"), item.get("first_since"));
        let rows = incidents.iter().map(|item| [cell(item.get("key")), cell(item.get("severity")), opened(item)]);
        print::table(["INCIDENT", "SEVERITY", "SINCE"], rows);
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
    fn checks_are_counted_by_state_and_those_that_are_down_are_named() {
        let counted =
            json!({"up": 12, "down": 2, "partial": 0, "unknown": 1, "paused": 0, "down_names": ["gate", "shop"]});
        assert_eq!(checks(&counted), ["checks: 12 up, 2 down, 1 unknown", "  down: gate, shop"]);
        let many = json!({"up": 0, "down": 150, "down_names": ["a", "b"]});
        assert_eq!(checks(&many), ["checks: 150 down", "  down: a, b and 148 more"]);
        let none = json!({"up": 0, "down": 0, "partial": 0, "unknown": 0, "paused": 0, "down_names": []});
        assert_eq!(checks(&none), Vec::<String>::new());
    }

    #[test]
    fn what_automation_would_do_is_told_in_a_line() {
        let would = json!({"from": "node2", "monitors": 312, "reason": "node_offline"});
        assert_eq!(would_move(&would), "would move 312 from node2: node_offline");
        let would = json!({"from": null, "monitors": 79, "reason": "new_monitor"});
        assert_eq!(would_move(&would), "would place 79: new_monitor");
    }

    #[test]
    fn each_thing_is_said_once() {
        let status = json!({
            "reasons": ["no watchdog leads", "the database is failing", "frozen: nothing moves by itself", "node node1 is offline",
                "watchdog w2 is down", "monitors of node1 are not moved yet: waiting", "no watchdog leads"],
            "leader": null, "database": "failing",
            "nodes": [{"node_id": "node1", "status": "offline"}, {"node_id": "node2", "status": "online"}],
            "watchdogs": [{"watchdog_id": "w2", "status": "down"}],
        });
        let frozen = "frozen: nothing moves by itself";
        let waiting = "monitors of node1 are not moved yet: waiting";
        assert_eq!(reasons(&status), ["no watchdog leads", "the database is failing", frozen, waiting]);
        assert_eq!(who_and_what(&status), "");
        let status = json!({"leader": {"watchdog_id": "w1", "epoch": 3}, "database": "up"});
        assert_eq!(who_and_what(&status), "leader: w1, epoch 3; database: up");
    }

    #[test]
    fn the_database_server_is_told_with_what_is_peculiar_to_it() {
        let galera = json!({"ready": true, "state": "Synced", "size": 3});
        let of = |server: Value| who_and_what(&json!({"database": "up", "leader": null, "database_server": server}));
        let server = json!({"name": "g1:3306", "read_only": false, "behind_ms": null, "galera": galera});
        assert_eq!(of(server), "leader: none; database: up (g1:3306, Galera, Synced, 3 servers)");
        let replica = json!({"name": "db2:3306", "read_only": true, "behind_ms": 2_400, "galera": null});
        assert_eq!(of(replica), "leader: none; database: up (db2:3306, read-only, 2 s behind)");
        assert_eq!(of(json!(null)), "leader: none; database: up");
    }

    #[test]
    fn what_opened_again_shows_when_it_did_so_first() {
        let (last, first) = (json!(1_763_800_480_000_i64), json!(1_763_800_000_000_i64));
        assert_eq!(print::opened(Some(&last), Some(&first)), "2025-11-22 08:34:40Z (first 2025-11-22 08:26:40Z)");
        assert_eq!(print::opened(Some(&last), Some(&last)), "2025-11-22 08:34:40Z");
    }
}
