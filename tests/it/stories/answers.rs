//! Somebody answers from a message while MariaDB is gone: the others hear of it at once, and it is entered afterwards.

use std::time::Duration;

use super::ladders::open;
use crate::cluster::database::Kind;
use crate::cluster::vendor::{Message, Vendor};
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

const KEY: &str = "later/1";
const LIMIT: Duration = Duration::from_secs(60);

async fn told(vendor: &Vendor, event: &str) -> Message {
    let is_told = async || !vendor.told(KEY, event).is_empty();
    wait_until(&format!("{event} is told"), LIMIT, is_told).await;
    vendor.told(KEY, event)[0].clone()
}

/// Presses the button of the message's link to this answer at that watchdog; says what came of it.
async fn press(cluster: &Cluster, watchdog: &str, (message, answer): (&Message, &str)) -> (u16, String) {
    let (_, link) = message.answers.iter().find(|(named, _)| named == answer).unwrap();
    let place = cluster.url_of(watchdog, &link[link.find("/act/").unwrap()..]);
    let client = reqwest::Client::builder().timeout(LIMIT).build().unwrap();
    let request = client.post(place).header("sec-fetch-site", "same-origin");
    let request = request.header("content-type", "application/x-www-form-urlencoded").body("by=anna");
    let answered = request.send().await.unwrap();
    let status = answered.status().as_u16();
    (status, answered.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn an_answer_to_a_dead_database_is_told_at_once_and_entered_by_the_next_process() {
    let vendor = Vendor::start().await;
    let shape = Shape { watchdogs: 2, nodes: 0, monitors: 0, ..Shape::default() };
    let mut cluster = Cluster::prepare(Kind::MariaDb, shape, &vendor.sections()).await;
    for name in ["w1", "w2"] {
        cluster.start_process(name);
    }
    open(&cluster).await;
    let opened = told(&vendor, "opened").await;
    cluster.server.as_mut().unwrap().stop();
    let (status, page) = press(&cluster, "w2", (&opened, "silence-1h")).await;
    assert_eq!(status, 503, "a silence cannot be kept: {page}");
    let (status, page) = press(&cluster, "w2", (&opened, "ack")).await;
    assert!(status == 200 && page.contains("It is noted that you take care of it"), "{status} {page}");
    // A second press is the same answer.
    assert_eq!(press(&cluster, "w2", (&opened, "ack")).await.0, 200);
    let acknowledged = told(&vendor, "acknowledged").await;
    assert_eq!(acknowledged.doubt.as_deref(), Some("database_unreachable"));
    let kept = cluster.folder().join("w2.state/acknowledged.json");
    let is_noted = async || std::fs::read_to_string(&kept).is_ok_and(|text| text.contains("notice_id"));
    wait_until("w2 knows that it is told", LIMIT, is_noted).await;
    cluster.process("w2").kill();
    cluster.server.as_mut().unwrap().start_again();
    cluster.start_process("w2");
    let by = "SELECT acknowledged_by FROM komainu_incident WHERE k = 'later/1' AND acknowledged_by IS NOT NULL";
    let is_entered = async || cluster.database.rows(by).await.concat() == ["link/ops (anna)"];
    wait_until("it is entered", LIMIT, is_entered).await;
    let told_of = "SELECT d.channel, d.state FROM komainu_delivery d JOIN komainu_event e ON e.id = d.event_id WHERE e.kind = 'ack'";
    assert_eq!(cluster.database.rows(told_of).await, [["ops", "sent"]], "nobody is told again");
    let is_forgotten = async || std::fs::read_to_string(&kept).is_ok_and(|text| text == "[]");
    wait_until("nothing waits any more", LIMIT, is_forgotten).await;
    assert_eq!(vendor.told(KEY, "acknowledged").len(), 1, "{:?}", vendor.messages());
}
