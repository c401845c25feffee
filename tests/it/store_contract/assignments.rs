//! A node's tenure: registration, renewal, acknowledgement, what it reads of its shard.

use komainu_watchdogs::ids::{Incarnation, Nonce, Stamp};
use komainu_watchdogs::tenure::OwnRow;

use super::fixture::{Fixture, Kind, ids};
use super::on_both_databases;

on_both_databases! {
    a_registration_is_guarded_by_what_was_read,
    a_registration_never_touches_the_status,
    of_two_registrations_at_once_exactly_one_wins,
    a_renewal_raises_the_counter_and_bears_the_acknowledgement,
    a_node_that_lost_its_row_can_do_nothing,
    an_unknown_node_has_no_row,
    a_stamp_that_the_history_does_not_know_is_named,
    a_node_reads_its_own_active_monitors,
    slices_cover_the_own_monitors_once,
    columns_that_this_kuma_lacks_read_as_empty,
}

async fn a_registration_is_guarded_by_what_was_read(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let mut one = fixture.start_node("node1", 11).await;
    let row = one.read_row().await.unwrap().unwrap();
    let expected = OwnRow {
        incarnation: Some(Incarnation(11)),
        is_released: false,
        lease_seq: 1,
        hostname: "host".to_owned(),
        is_abandoned: false,
    };
    assert_eq!(row, expected);
    let mut two = fixture.tenure("node1", 12).await;
    assert!(!two.register(None, 1).await.unwrap(), "somebody holds it");
    assert!(!two.register(Some(Incarnation(11)), 0).await.unwrap(), "it was renewed since");
    assert!(two.register(Some(Incarnation(11)), 1).await.unwrap());
    assert!(!one.renew(None, 0).await.unwrap());
    assert_eq!(two.read_row().await.unwrap().unwrap().lease_seq, 2);
}

async fn a_registration_never_touches_the_status(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _one = fixture.start_node("node1", 11).await;
    let row = fixture.raw.rows("SELECT status, host, hostname, address FROM node").await;
    assert_eq!(row[0], ["new", "host:3001", "host", "http://host:3001"]);
}

async fn of_two_registrations_at_once_exactly_one_wins(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    for round in 0..10 {
        let mut tries = vec![];
        for process in [11, 12] {
            let mut tenure = fixture.tenure("node1", process).await;
            tries.push(tokio::spawn(async move { tenure.register(None, round).await.unwrap().then_some(tenure) }));
        }
        let mut winners = vec![];
        for attempt in tries {
            winners.extend(attempt.await.unwrap());
        }
        assert_eq!(winners.len(), 1);
        winners[0].release().await.unwrap();
    }
}

async fn a_renewal_raises_the_counter_and_bears_the_acknowledgement(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut one = fixture.start_node("node1", 11).await;
    let stamp = fixture.stamp().await;
    assert!(one.renew(None, 0).await.unwrap());
    assert!(one.renew(Some(stamp), 5).await.unwrap());
    assert!(one.acknowledge(stamp).await.unwrap());
    let sql = "SELECT lease_seq, applied_generation, applied_nonce, foreign_beats, \
         ABS(clock_ms - last_seen_ms) < 60000 FROM node";
    let nonce = stamp.nonce.to_string();
    assert_eq!(fixture.raw.rows(sql).await[0], ["4", "0", nonce.as_str(), "5", "1"]);
    let mut successor = fixture.tenure("node1", 12).await;
    assert!(successor.register(Some(Incarnation(11)), 4).await.unwrap());
    let sql = "SELECT applied_generation, applied_nonce FROM node";
    assert_eq!(fixture.raw.rows(sql).await[0], ["-", "-"], "an acknowledgement belongs to its process");
}

async fn a_node_that_lost_its_row_can_do_nothing(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut one = fixture.start_node("node1", 11).await;
    fixture.raw.execute("UPDATE node SET incarnation = NULL").await;
    assert!(!one.renew(None, 0).await.unwrap());
    assert!(!one.acknowledge(fixture.stamp().await).await.unwrap());
    assert!(!one.release().await.unwrap());
    assert!(!one.read_row().await.unwrap().unwrap().is_released);
}

async fn an_unknown_node_has_no_row(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let mut nobody = fixture.tenure("nobody", 1).await;
    assert_eq!(nobody.read_row().await.unwrap(), None);
    assert!(!nobody.register(None, 0).await.unwrap());
}

async fn a_stamp_that_the_history_does_not_know_is_named(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let mut one = fixture.start_node("node1", 11).await;
    let stamp = fixture.stamp().await;
    assert_eq!(one.read_stamp(None).await.unwrap(), (stamp, true));
    assert_eq!(one.read_stamp(Some(stamp)).await.unwrap(), (stamp, true));
    let lost = Stamp { nonce: Nonce(stamp.nonce.0 ^ 1), ..stamp };
    assert_eq!(one.read_stamp(Some(lost)).await.unwrap(), (stamp, false));
    let ahead = Stamp { generation: stamp.generation.next(), ..stamp };
    assert_eq!(one.read_stamp(Some(ahead)).await.unwrap(), (stamp, false));
}

async fn a_node_reads_its_own_active_monitors(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut one = fixture.start_node("node1", 11).await;
    let _two = fixture.start_node("node2", 22).await;
    let own = fixture.monitors(3, Some("node1")).await;
    let away = fixture.monitors(1, Some("node1")).await[0];
    let guest = fixture.monitors(1, Some("node2")).await[0];
    let nobodys = fixture.monitors(1, Some("node1")).await[0];
    for (monitor, assigned) in [(away, "node2"), (guest, "node1"), (nobodys, "")] {
        let sql = format!("UPDATE komainu_assignment SET assigned_node = '{assigned}' WHERE monitor_id = {monitor}");
        fixture.raw.execute(&sql).await;
    }
    fixture.raw.execute(&format!("UPDATE monitor SET active = 0 WHERE id = {}", own[2])).await;
    let (stamp, monitors) = one.read_assignments().await.unwrap();
    assert_eq!(stamp, fixture.stamp().await);
    assert_eq!(ids(&monitors), [own[0], own[1], guest].into());
    let spec = monitors.iter().find(|spec| spec.id == own[0]).unwrap();
    assert_eq!((spec.kind.as_str(), spec.url.as_deref(), spec.interval), ("http", Some("http://target/"), 60));
    assert!((spec.timeout - 48.0).abs() < f64::EPSILON);
}

async fn slices_cover_the_own_monitors_once(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let mut one = fixture.start_node("node1", 11).await;
    let own = fixture.monitors(23, Some("node1")).await;
    let mut seen = vec![];
    for slice in 0..5 {
        seen.extend(one.read_slice(slice, 5).await.unwrap().into_iter().map(|spec| spec.id));
    }
    seen.sort();
    assert_eq!(seen, own);
}

async fn columns_that_this_kuma_lacks_read_as_empty(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    fixture.raw.execute("ALTER TABLE monitor DROP COLUMN bearer_token").await;
    let mut one = fixture.start_node("node1", 11).await;
    fixture.monitors(1, Some("node1")).await;
    assert_eq!(one.read_assignments().await.unwrap().1[0].bearer_token, None);
}
