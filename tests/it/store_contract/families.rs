//! Groups and their children, as a node reads them.

use komainu::store::BeatStatus;
use komainu::store::families::Families;

use super::fixture::{Fixture, Kind};
use super::on_both_databases;

on_both_databases! {
    a_groups_children_are_read_with_their_last_beats,
}

async fn a_groups_children_are_read_with_their_last_beats(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let monitors = fixture.monitors(4, None).await;
    let (group, children) = (monitors[0], &monitors[1..]);
    fixture.raw.execute(&format!("UPDATE monitor SET parent = {group} WHERE id > {group}")).await;
    fixture.raw.execute(&format!("UPDATE monitor SET active = 0, name = '' WHERE id = {}", children[2])).await;
    for (second, status) in [(1, 1), (2, 0), (3, 2)] {
        let beat = format!(
            "INSERT INTO heartbeat (monitor_id, status, time, duration) \
             VALUES ({}, {status}, '2026-01-01 00:00:0{second}', 1)",
            children[0]
        );
        fixture.raw.execute(&beat).await;
    }
    let found = fixture.store.children(group).await.unwrap();
    assert_eq!(found.iter().map(|child| child.id).collect::<Vec<_>>(), children, "and nobody else's");
    let lasts: Vec<_> = found.iter().map(|child| child.last).collect();
    assert_eq!(lasts, [Some(BeatStatus::Pending), None, None]);
    assert_eq!(found.iter().map(|child| child.is_active).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(found[2].label(), format!("#{}", children[2]));
    assert!(fixture.store.children(children[0]).await.unwrap().is_empty());
}
