//! Who runs what, counted anew only where something may have changed: nothing that matters is overlooked for long.

use std::collections::BTreeSet;

use komainu::store::Errands;
use komainu::store::beginning::Beginnings;
use komainu::store::hands::{self, Goal, HandMove, PinPlace, Selection};
use komainu_watchdogs::facts::{Counts, ShardGroup};
use komainu_watchdogs::ids::{Incarnation, MonitorId};

use super::fixture::{Fixture, Kind};
use super::on_both_databases;

on_both_databases! {
    a_hand_shows_in_the_next_round_of_a_follower_also_among_thousands,
    a_new_monitor_shows_in_the_next_round_also_after_thousands,
    an_edit_in_kumas_own_table_shows_when_its_turn_comes,
    monitors_deleted_in_kuma_leave_assignments_that_are_counted,
    a_database_that_lost_its_tail_is_counted_from_the_start,
    what_only_a_stock_kuma_can_run_is_known_until_its_target_changes_or_a_hand_sends_it,
}

/// Node1 with 4,500 monitors, and a watchdog that has counted them.
async fn thousands(kind: Kind) -> (Fixture, Vec<MonitorId>, Errands) {
    let fixture = Fixture::native(kind).await;
    for node in ["node1", "node2"] {
        fixture.add_node(node).await;
    }
    let made = fixture.monitors(4_500, Some("node1")).await;
    let mut watch = fixture.store.errands(&"w2".into()).await.unwrap();
    let round = watch.counts().await.unwrap();
    assert_eq!(monitors(&round, |_| true), 4_500);
    (fixture, made, watch)
}

fn monitors(round: &Counts, which: impl Fn(&&ShardGroup) -> bool) -> u32 {
    round.shards.iter().filter(which).map(|group| group.monitors).sum()
}

fn active(round: &Counts) -> u32 {
    round.shards.iter().map(|group| group.active).sum()
}

/// What one who counted little by little knows is what one who counts everything finds.
async fn assert_complete(fixture: &Fixture, round: &Counts) {
    let mut anew = fixture.store.errands(&"w3".into()).await.unwrap();
    let all = anew.counts().await.unwrap();
    let told = |round: &Counts| {
        let groups = round.shards.iter().filter(|group| group.monitors > 0);
        groups.map(|group| format!("{group:?}")).collect::<BTreeSet<_>>()
    };
    assert_eq!((told(round), round.leftover), (told(&all), all.leftover));
}

async fn a_hand_shows_in_the_next_round_of_a_follower_also_among_thousands(kind: Kind) {
    let (fixture, made, mut watch) = thousands(kind).await;
    for at in [0, 999, 1_000, 2_600, 4_499] {
        let wish = HandMove { which: Selection::Ids(vec![made[at]]), goal: Goal::Pin(PinPlace::WhereItRuns) };
        hands::move_by_hand(&fixture.store, &wish, "test").await.unwrap();
        let round = watch.counts().await.unwrap();
        assert_complete(&fixture, &round).await;
    }
    let away = HandMove {
        which: Selection::Ids(made[10..3_000].to_vec()),
        goal: Goal::Move { to: "node2".into(), pin: None },
    };
    hands::move_by_hand(&fixture.store, &away, "test").await.unwrap();
    let round = watch.counts().await.unwrap();
    assert_eq!(monitors(&round, |group| group.asked), 2_990);
    assert_complete(&fixture, &round).await;
}

async fn a_new_monitor_shows_in_the_next_round_also_after_thousands(kind: Kind) {
    let (mut fixture, _, mut watch) = thousands(kind).await;
    let made = fixture.monitors(1, None).await;
    let round = watch.counts().await.unwrap();
    let new: Vec<_> = round.shards.iter().filter(|group| group.is_nobodys()).collect();
    assert_eq!((new.len(), new[0].monitors, new[0].nobodys.as_slice()), (1, 1, made.as_slice()));
    // So many that the last range is cut anew.
    fixture.monitors(3_500, None).await;
    let round = watch.counts().await.unwrap();
    assert_eq!(monitors(&round, |group| group.home.is_none()), 3_501);
    assert_complete(&fixture, &round).await;
    fixture.raw.execute(&format!("DELETE FROM monitor WHERE id > {}", made[0])).await;
    fixture.monitors(1, None).await;
    assert_complete(&fixture, &read_until(&mut watch, |round| monitors(round, |_| true) == 4_502).await).await;
}

async fn an_edit_in_kumas_own_table_shows_when_its_turn_comes(kind: Kind) {
    let (mut fixture, made, mut watch) = thousands(kind).await;
    for at in [5, 1_500, 2_500, 4_499] {
        let before = active(&watch.counts().await.unwrap());
        fixture.raw.execute(&format!("UPDATE monitor SET active = 0 WHERE id = {}", made[at])).await;
        let round = read_until(&mut watch, |round| active(round) < before).await;
        assert_complete(&fixture, &round).await;
    }
}

async fn monitors_deleted_in_kuma_leave_assignments_that_are_counted(kind: Kind) {
    let (mut fixture, made, mut watch) = thousands(kind).await;
    fixture.raw.execute(&format!("DELETE FROM monitor WHERE id IN ({}, {})", made[3], made[2_222])).await;
    let round = read_until(&mut watch, |round| round.leftover == 2).await;
    assert_complete(&fixture, &round).await;
}

async fn a_database_that_lost_its_tail_is_counted_from_the_start(kind: Kind) {
    let (mut fixture, made, mut watch) = thousands(kind).await;
    let wish = |at: usize| HandMove { which: Selection::Ids(vec![made[at]]), goal: Goal::Pin(PinPlace::WhereItRuns) };
    hands::move_by_hand(&fixture.store, &wish(1_500), "test").await.unwrap();
    let round = watch.counts().await.unwrap();
    assert_eq!(monitors(&round, |group| group.pinned), 1);
    // Back to before that hand; then another one makes the same number.
    fixture.raw.execute("UPDATE komainu_assignment SET pinned = 0, generation = 1 WHERE pinned = 1").await;
    fixture.raw.execute("DELETE FROM komainu_generation WHERE generation > 1").await;
    fixture.raw.execute("UPDATE komainu_cluster SET generation = 1").await;
    hands::move_by_hand(&fixture.store, &wish(2_500), "test").await.unwrap();
    let round = watch.counts().await.unwrap();
    assert_eq!(monitors(&round, |group| group.pinned), 1);
    assert_complete(&fixture, &round).await;
}

/// Reads as many rounds as it may take until all have had their turn.
async fn read_until(watch: &mut Errands, shows: impl Fn(&Counts) -> bool) -> Counts {
    for _ in 0..30 {
        let round = watch.counts().await.unwrap();
        if shows(&round) {
            return round;
        }
    }
    panic!("it does not show after thirty rounds");
}

async fn what_only_a_stock_kuma_can_run_is_known_until_its_target_changes_or_a_hand_sends_it(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (_one, _two) = (fixture.start_node("node1", 11).await, fixture.start_node("node2", 21).await);
    let own = fixture.monitors(3, Some("node1")).await;
    let mut watch = fixture.store.errands(&"w2".into()).await.unwrap();
    let mut leader = fixture.leader("w1", 1).await;
    let mut known = async || {
        let counted = monitors(&watch.counts().await.unwrap(), |group| group.only_kuma);
        let shard = leader.leadership.read_shard().await.unwrap();
        let read: Vec<_> = shard.monitors.iter().filter(|row| row.only_kuma).map(|row| row.monitor).collect();
        (counted, read)
    };
    let noted = BTreeSet::from([own[1]]);
    let node = |incarnation| Beginnings::new(fixture.store.clone(), "node1".into(), Incarnation(incarnation));
    assert_eq!(known().await, (0, vec![]));
    node(12).only_kuma(&noted).await.unwrap();
    assert_eq!(known().await, (0, vec![]), "whoever runs nothing finds nothing");
    node(11).only_kuma(&noted).await.unwrap();
    node(11).only_kuma(&noted).await.unwrap();
    assert_eq!(known().await, (1, vec![own[1]]));
    fixture.raw.execute(&format!("UPDATE monitor SET url = 'https://Target/' WHERE id = {}", own[1])).await;
    assert_eq!(known().await, (0, vec![]), "that is another target");
    node(11).only_kuma(&noted).await.unwrap();
    assert_eq!(known().await, (1, vec![own[1]]));
    fixture.raw.execute(&format!("UPDATE monitor SET ignore_tls = 1 WHERE id = {}", own[1])).await;
    assert_eq!(known().await, (0, vec![]), "it judges otherwise");
    node(11).only_kuma(&noted).await.unwrap();
    let wish = HandMove { which: Selection::Ids(vec![own[1]]), goal: Goal::Move { to: "node1".into(), pin: None } };
    hands::move_by_hand(&fixture.store, &wish, "test").await.unwrap();
    assert_eq!(known().await, (1, vec![own[1]]), "it is there");
    let wish = HandMove { which: Selection::Ids(vec![own[1]]), goal: Goal::Move { to: "node2".into(), pin: None } };
    hands::move_by_hand(&fixture.store, &wish, "test").await.unwrap();
    assert_eq!(known().await, (0, vec![]), "it is tried anew there");
}
