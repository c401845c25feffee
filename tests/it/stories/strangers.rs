//! More strangers than a watchdog has places for, while a node dies.

use std::time::Duration;

use crate::cluster::database::Kind;
use crate::cluster::strangers::{Callers, Doors, Origin, Strangers};
use crate::cluster::{Cluster, Shape};

/// Twice so many, for 368 places; the bench `strangers` takes 5,000 with 1,024 descriptors each. With 112 places for these 51 addresses each
/// address has about two, and a caller who shares one with 200 strangers may have to go in the midst of a handshake.
const MANY: usize = 200;
const DESCRIPTORS: u32 = 640;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn strangers_and_unfinished_handshakes_hold_up_neither_a_failover_nor_whoever_speaks() {
    let shape = Shape { nodes: 2, monitors: 10, ..Shape::default() };
    let mut cluster = Cluster::prepare(Kind::MariaDb, shape, "").await;
    cluster.speak_tls();
    cluster.limit_descriptors(DESCRIPTORS);
    cluster.begin(shape).await;
    let callers = Callers::begin(&cluster, &["w1", "w2", "w3"], "bot").await;
    let doors = Doors::of(&cluster);
    let (origins, pause) = ([Origin::ManyAddresses, Origin::OneAddress], Duration::from_secs(5));
    let crowds = origins.map(|origin| Strangers::come(&doors, (MANY, origin), pause));
    let lost = cluster.owned_by("node1").await;
    let killed_at = Cluster::now_us();
    cluster.process("node1").kill();
    let took = cluster.wait_for_beats_elsewhere(&lost, "node1", killed_at).await;
    let (status, pushes) = callers.end().await;
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert!(crowds.iter().all(|crowd| crowd.opened() >= 600), "all of them came");
    assert!((status.unanswered, pushes.unanswered, pushes.refused) == (0, 0, 0), "{status:?} {pushes:?}");
    // Far above what the bench shows: other tests run beside this one.
    assert!(status.percentile(99) < Duration::from_secs(5), "{:?}", status.percentile(99));
    let incidents = cluster.database.rows("SELECT DISTINCT k FROM komainu_incident").await;
    assert_eq!(incidents, [["node/node1"]], "nobody lost a vote over it");
    cluster.assert_no_false_down().await;
}
