//! A database that uptime-kuma-cluster has used becomes komainu's: nothing moves before `adopt`, and by it nothing moves.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use super::on_both;
use crate::cluster::database::Kind;
use crate::cluster::target::Target;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};
use crate::support::kuma;

on_both![a_database_of_the_fork_keeps_its_owners];

/// Monitor, home, assigned node: at home, away, at home on a node that is gone, on none, and away from one that is gone.
const FORK: [(i64, &str, &str); 9] = [
    (1, "'node1'", "NULL"),
    (2, "'node2'", "NULL"),
    (3, "'node1'", "'node2'"),
    (4, "'node2'", "'node2'"),
    (5, "'node1'", "NULL"),
    (6, "'node2'", "'node1'"),
    (7, "'node9'", "NULL"),
    (8, "NULL", "NULL"),
    (9, "'node9'", "'node2'"),
];

/// Who runs which of them, as the fork has it.
const OWNERS: [(i64, &str); 7] =
    [(1, "node1"), (2, "node2"), (3, "node2"), (4, "node2"), (5, "node1"), (6, "node1"), (9, "node2")];

fn ground(kind: Kind, target: &Target) -> String {
    let is_sqlite = kind == Kind::Sqlite;
    let rows = FORK.map(|(number, home, assigned)| {
        let url = target.url(number);
        format!("({number}, 'monitor {number}', 'http', 1, '{url}', 2, 2, 1.6, 1, '[\"200-299\"]', {home}, {assigned})")
    });
    let user = "INSERT INTO `user` (id, username) VALUES (1, 'admin');";
    let head = "INSERT INTO monitor (id, name, type, user_id, url, `interval`, retry_interval, timeout, active, \
         accepted_statuscodes_json, node_id, assigned_node) VALUES";
    // Kuma's table grew column by column; made at once, it is wider than a strict server lets a row be.
    let lenient = if is_sqlite { "" } else { "SET SESSION innodb_strict_mode = 0;" };
    format!("{lenient}\n{}\n{}\n{user}\n{head} {};", kuma::stock(is_sqlite), kuma::fork(is_sqlite), rows.join(", "))
}

async fn a_database_of_the_fork_keeps_its_owners(kind: Kind) {
    let shape = Shape { nodes: 2, monitors: 0, ..Shape::default() };
    let mut cluster = Cluster::prepare_on(kind, shape, "", |target| ground(kind, target)).await;
    for name in ["w1", "w2", "w3", "node1", "node2"] {
        cluster.start_process(name);
    }
    let would_move = async || {
        let status = cluster.status().await.unwrap_or_default();
        status["mode"] == "observe" && status["nodes"].as_array().is_some_and(|nodes| nodes.len() == 2)
    };
    wait_until("the watchdogs observe", Duration::from_secs(60), would_move).await;
    let leases = "SELECT COUNT(*) FROM node WHERE lease_seq > 5";
    let have_renewed = async || cluster.database.rows(leases).await[0][0] == "2";
    wait_until("both nodes renew their leases", Duration::from_secs(60), have_renewed).await;
    assert_eq!(cluster.database.history().await, [], "nothing moves in observe mode");
    assert_eq!(cluster.database.beats().await, [], "and nobody runs what nobody owns");

    let adopted_us = Cluster::now_us();
    let config = cluster.folder().join("w1.toml");
    let adopted = Command::new(env!("CARGO_BIN_EXE_komainu"))
        .args(["adopt", "--from-fork", "--config"])
        .arg(config)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&adopted.stdout);
    assert!(adopted.status.success(), "{}", String::from_utf8_lossy(&adopted.stderr));
    assert!(said.contains("7 monitors got a home") && said.contains("2 have none"), "{said}");

    let all: Vec<i64> = FORK.map(|(monitor, ..)| monitor).to_vec();
    cluster.wait_for_beats(&all, adopted_us, Duration::from_secs(60)).await;
    let mut firsts: BTreeMap<i64, String> = BTreeMap::new();
    for change in cluster.database.history().await {
        firsts.entry(change.monitor).or_insert(change.node);
    }
    for (monitor, owner) in OWNERS {
        assert_eq!(firsts[&monitor], owner, "monitor {monitor}");
    }
    assert!(firsts.contains_key(&7) && firsts.contains_key(&8), "the leader placed those without a home");
    cluster.assert_one_owner().await;
    cluster.assert_no_false_down().await;
}
