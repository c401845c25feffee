//! Several nodes are lost at once.

use std::time::Duration;

use super::on_both;
use crate::cluster::database::Kind;
use crate::cluster::{Cluster, Shape};

on_both!(two_of_three_nodes_that_are_killed_together_are_believed_to_be_gone);

async fn two_of_three_nodes_that_are_killed_together_are_believed_to_be_gone(kind: Kind) {
    let mut cluster = Cluster::start(kind, Shape { monitors: 12, ..Shape::default() }).await;
    let (mut lost, other) = (cluster.owned_by("node1").await, cluster.owned_by("node2").await);
    lost.extend(other);
    let killed_at = Cluster::now_us();
    cluster.process("node1").kill();
    cluster.process("node2").kill();
    let took = cluster.wait_for_beats_elsewhere(&lost, "node1", killed_at).await;
    // With the grace of a doubt it would take more than 40 s.
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert_eq!(cluster.owned_by("node3").await.len(), 12);
    cluster.assert_one_owner().await;
    cluster.assert_no_false_down().await;
}
