//! What a database forgot: the count in a watchdog's row, what is looked for, and the one incident of it.

use std::net::{IpAddr, Ipv4Addr};

use komainu::store::lost_tail::finding::{Finding, LostHand};
use komainu::store::lost_tail::{self, Ids};
use komainu::store::watchdogs::{self, Stillness};
use komainu::store::{audit, hands};
use komainu_watchdogs::facts::Report;
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::io::Write;
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::tail::{Claim, Counter, LostTail, Mark};
use komainu_watchdogs::time::Wall;

use super::fixture::{Fixture, Kind, identity};
use super::on_both_databases;

on_both_databases! {
    a_write_counts_as_the_core_says_and_notes_what_is_gone_until_it_is_entered,
    a_row_that_was_removed_or_is_anothers_by_now_is_compared_with_nothing,
    what_three_watchdogs_found_is_one_incident_and_each_finding_counts_once,
    what_was_answered_is_looked_for_by_its_id,
}

fn write(incarnation: u64, seq: u64, claim: Claim) -> Write {
    let report = Report {
        watchdog: "w1".into(),
        incarnation: Incarnation(incarnation),
        seq,
        zone: "rack-a".into(),
        isolated: false,
        database_ok: true,
        observations: vec![],
        database_report: None,
        seen: None,
    };
    Write { report, claim, stopped: false }
}

async fn a_write_counts_as_the_core_says_and_notes_what_is_gone_until_it_is_entered(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut watch = fixture.store.watch(identity("w1")).await.unwrap();
    let me = Some(Incarnation(1));
    let claim = |answered, next, entered| Claim { born: me, answered, next, entered };
    // What happens to the row before each write, as the replica that was promoted has it.
    let story = [
        (None, Claim::default()),
        (None, claim(1, 2, 0)),
        // A write without an answer, and one after it.
        (None, claim(2, 4, 0)),
        (Some("writes = 2, last_seen = 77"), claim(4, 5, 0)),
        // Neither the answer to that nor the next write hides it.
        (None, claim(4, 6, 0)),
        (None, claim(6, 7, 4)),
        (Some("writes = 6, last_seen = 88"), claim(7, 8, 4)),
        (Some("writes = 3, last_seen = 99"), claim(8, 9, 4)),
        // A row of before it was counted.
        (Some("writes = 0, born = NULL"), claim(9, 10, 8)),
        (None, Claim { born: Some(Incarnation(9)), answered: 100, next: 101, entered: 8 }),
    ];
    let mut known: Option<Counter> = None;
    for (number, (befalls, claim)) in story.into_iter().enumerate() {
        if let Some(befalls) = befalls {
            fixture.raw.execute(&format!("UPDATE komainu_watchdog SET {befalls}")).await;
            known = watch.read_round().await.unwrap().own;
        }
        let written_at = watch.read_round().await.unwrap().watchdogs.first().map_or(Wall(0), |row| row.last_seen);
        watch.write(&write(1, u64::try_from(number).unwrap(), claim)).await.unwrap();
        let expected = Counter::after(known.as_ref().map(|known| (known, written_at)), &claim, Incarnation(1));
        known = watch.read_round().await.unwrap().own;
        assert_eq!(known, Some(expected), "write {number}");
        match number {
            3 | 4 => assert_eq!(expected.loss, Some(Mark { answered: 4, kept: 2, kept_at: Wall(77) })),
            5 => assert_eq!((expected.loss, expected.writes), (None, 7)),
            7 => assert_eq!(expected.loss, Some(Mark { answered: 8, kept: 3, kept_at: Wall(99) })),
            8 | 9 => assert_eq!((expected.loss, expected.born), (None, me)),
            _ => {}
        }
    }
}

async fn a_row_that_was_removed_or_is_anothers_by_now_is_compared_with_nothing(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let mut watch = fixture.store.watch(identity("w1")).await.unwrap();
    watch.write(&write(1, 1, Claim::default())).await.unwrap();
    let claim = Claim { born: Some(Incarnation(1)), answered: 1, next: 50, entered: 0 };
    watch.write(&write(1, 2, claim)).await.unwrap();
    let seen = Stillness { incarnation: Incarnation(1), seq: 2 };
    assert!(watchdogs::remove(&fixture.store, &"w1".into(), seen, "test").await.unwrap());
    let claim = Claim { born: Some(Incarnation(1)), answered: 50, next: 51, entered: 0 };
    watch.write(&write(1, 3, claim)).await.unwrap();
    let own = watch.read_round().await.unwrap().own.unwrap();
    assert_eq!(own, Counter { born: Some(Incarnation(1)), writes: 51, loss: None }, "it goes on from where it was");
    // The process stops, and its row is removed; a later one makes it anew.
    watch.write(&Write { stopped: true, ..write(1, 4, Claim::default()) }).await.unwrap();
    let seen = Stillness { incarnation: Incarnation(1), seq: 4 };
    assert!(watchdogs::remove(&fixture.store, &"w1".into(), seen, "test").await.unwrap());
    watch.write(&write(2, 1, Claim { answered: 52, next: 1, ..claim })).await.unwrap();
    watch.write(&write(2, 2, Claim { answered: 52, next: 2, ..claim })).await.unwrap();
    let own = watch.read_round().await.unwrap().own.unwrap();
    assert_eq!(own, Counter { born: Some(Incarnation(2)), writes: 2, loss: None });
}

async fn what_three_watchdogs_found_is_one_incident_and_each_finding_counts_once(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let routing = Routing { channels: vec!["ops".to_owned()], routes: vec![] };
    let loss = |answered, from: i64| LostTail {
        answered,
        from: Wall(1_763_800_000_000 + from),
        until: Wall(1_763_800_006_000),
        since: None,
        generations: None,
    };
    let mut found = Finding::default();
    found.add_hand(LostHand { who: "key/ops".to_owned(), what: "node.drain".to_owned(), subject: "node3".to_owned() });
    let store = fixture.store.clone();
    assert!(lost_tail::enter(&store, &"w1".into(), (&loss(90, 1_000), &found), &routing).await.unwrap());
    let mut pushes = Finding::default();
    pushes.add_push("bot", true);
    let second = loss(120, 0);
    assert!(!lost_tail::enter(&store, &"w2".into(), (&second, &pushes), &routing).await.unwrap());
    assert!(!lost_tail::enter(&store, &"w2".into(), (&second, &pushes), &routing).await.unwrap(), "it is there");
    let rows =
        fixture.raw.rows("SELECT summary, severity, votes_bad FROM komainu_incident WHERE resolved_at IS NULL").await;
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    for words in ["from 2025-11-22 08:26:40 UTC", "node.drain node3 by key/ops", "1 pushes", "found by w1, w2"] {
        assert!(row[0].contains(words), "{words} is not in {}", row[0]);
    }
    assert_eq!((row[1].as_str(), row[2].as_str()), ("critical", "2"));
    // Nobody was told yet: what is told is all of it.
    let events = fixture.raw.rows("SELECT kind, summary FROM komainu_event").await;
    assert_eq!(events, [["opened".to_owned(), row[0].clone()]]);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_lost_tail").await, 2);
}

async fn what_was_answered_is_looked_for_by_its_id(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let from = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)));
    let (done, deeds) = audit::asked_from(from, hands::freeze(&fixture.store, "key/ops")).await;
    assert!(done.unwrap());
    let [deed] = deeds.as_slice() else { panic!("{deeds:?}") };
    assert_eq!((deed.who.as_str(), deed.what.as_str()), ("key/ops", "cluster.freeze"));
    let there = async || lost_tail::there(&fixture.store, Ids::Deeds(&deed.ids), Wall(0)).await.unwrap();
    assert_eq!(there().await.into_iter().collect::<Vec<_>>(), deed.ids);
    fixture.raw.execute("DELETE FROM komainu_audit").await;
    let there = lost_tail::there(&fixture.store, Ids::Deeds(&deed.ids), Wall(0)).await.unwrap();
    assert!(there.is_empty());
    // What nobody asked for bears no id.
    assert!(hands::thaw(&fixture.store, "w1/epoch 3").await.unwrap());
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_audit WHERE deed_id IS NOT NULL").await, 0);
    for number in 0..1_200 {
        if number % 400 == 0 {
            let sql = format!(
                "INSERT INTO komainu_push (name, push_id, at, time_us, status, watchdog_id) \
                 VALUES ('bot', '{number:032}', 50000, 1, 'ok', 'w1')"
            );
            fixture.raw.execute(&sql).await;
        }
    }
    let ids: Vec<_> = (0..1_200).map(|number| format!("{number:032}")).collect();
    let found = lost_tail::there(&fixture.store, Ids::Pushes(&ids), Wall(55_000)).await.unwrap();
    assert_eq!(found.len(), 3, "ten seconds before the last write that is there are looked through");
    let found = lost_tail::there(&fixture.store, Ids::Pushes(&ids), Wall(65_000)).await.unwrap();
    assert!(found.is_empty());
}
