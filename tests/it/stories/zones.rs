//! Checks from three zones, each watchdog a host behind a link of its own: what one of them cannot reach, what it cannot vouch for, and whom a dead
//! target is told.
//!
//! Where no network namespaces can be made the stories say so and try nothing. Interval 5 s, timeout 2 s; how long each thing took is printed.

mod names;
mod stage;

use std::time::Duration;

use serde_json::json;

use self::stage::{Stage, WATCHDOGS, print_time};
use crate::cluster::Cluster;
use crate::cluster::wait::wait_until;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_target_that_one_zone_cannot_reach_is_partial_and_nobody_is_paged() {
    let Some((stage, _shop)) = Stage::with_shop().await else { return };
    stage.network.cut("w3", "shop");
    let cut_at = Cluster::now_us();
    let shown = stage.wait_for("shop", "partial").await;
    print_time("one zone cut off from the target: partial after", cut_at);
    assert_eq!(shown["because"], json!({"code": "minority_fails", "failed": 1, "voters": 3}));
    let vote = shown["votes"].as_array().unwrap().iter().find(|vote| vote["watchdog"] == "w3").unwrap();
    assert_eq!(
        (&vote["verdict"], &vote["reason"], &vote["zone"]),
        (&"failed".into(), &"connect_timeout".into(), &"c".into())
    );
    stage.wait_for_incident("partial/shop").await;
    stage.network.heal();
    let healed_at = Cluster::now_us();
    stage.wait_for("shop", "up").await;
    print_time("the way to the target is back: up after", healed_at);
    stage.assert_nobody_is_paged().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_watchdog_that_is_cut_off_from_everything_abstains_and_vouches_for_nothing() {
    let Some((stage, _shop)) = Stage::with_shop().await else { return };
    stage.network.cut_off("w3");
    let cut_at = Cluster::now_us();
    let is_blind = async || {
        // As long as it says anything, it says nothing bad.
        assert_ne!(stage.state("w3", "shop").await.as_deref(), Some("down"));
        for watchdog in ["w1", "w2"] {
            assert_eq!(stage.state(watchdog, "shop").await.as_deref(), Some("up"), "{watchdog}");
        }
        stage.shown("w3", "shop").await.is_some_and(|(code, _)| code == 503)
    };
    wait_until("it vouches for nothing", Duration::from_secs(60), is_blind).await;
    print_time("one watchdog cut off from everything: it answers 503 after", cut_at);
    let status = stage.cluster.status_of("w3").await.unwrap();
    let reason = "checks: this watchdog hears neither the database nor any other watchdog";
    assert_eq!((status.0, &status.1["status"]), (503, &"down".into()), "{status:?}");
    assert!(status.1["reasons"].as_array().unwrap().contains(&reason.into()), "{status:?}");
    // Its looks of that time are over by then, and what they were is known.
    let has_passed = async || Cluster::now_us() - cut_at > 30_000_000;
    wait_until("it has looked several times", Duration::from_secs(60), has_passed).await;
    stage.network.heal();
    let healed_at = Cluster::now_us();
    stage.wait_for("shop", "up").await;
    print_time("it is back: up there after", healed_at);
    stage.assert_nobody_is_paged().await;
    assert_eq!(stage.count("SELECT COUNT(*) FROM komainu_incident WHERE k = 'partial/shop'").await, 0);
    let minute = healed_at / 60_000_000 * 60;
    let of_w3 = "FROM komainu_check_stat t JOIN komainu_check_series s ON s.id = t.series_id WHERE s.watchdog_id = 'w3' AND t.span = 60";
    let is_counted = async || stage.count(&format!("SELECT MAX(t.at) {of_w3}")).await >= minute;
    wait_until("the minutes of that time are entered", Duration::from_secs(120), is_counted).await;
    let unable = stage.count(&format!("SELECT SUM(t.unable) {of_w3}")).await;
    let failed = stage.count(&format!("SELECT SUM(t.failed) {of_w3}")).await;
    assert!(unable > 2 && failed == 0, "own trouble is no failure of the target's: {failed} failed, {unable} unable");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn where_two_of_three_are_cut_off_nobody_can_say_and_that_is_what_is_told() {
    let Some((stage, _shop)) = Stage::with_shop().await else { return };
    for watchdog in ["w2", "w3"] {
        for other in ["shop", "world", "w1"] {
            stage.network.cut(watchdog, other);
        }
    }
    stage.network.cut("w2", "w3");
    let cut_at = Cluster::now_us();
    stage.wait_for("shop", "unknown").await;
    print_time("two of three reach nothing but the database: unknown after", cut_at);
    stage.wait_until_told("isolation", "opened").await;
    print_time("two of three reach nothing but the database: told after", cut_at);
    assert_eq!(stage.shown("w1", "shop").await.unwrap().0, 503);
    assert_eq!(stage.count("SELECT COUNT(*) FROM komainu_incident WHERE k LIKE 'partial/%'").await, 0);
    stage.network.heal();
    let healed_at = Cluster::now_us();
    stage.wait_for("shop", "up").await;
    print_time("they are back: up after", healed_at);
    stage.assert_nobody_is_paged().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_dead_target_is_told_whether_it_refuses_or_is_gone_with_its_host() {
    let Some((stage, shop)) = Stage::with_shop().await else { return };
    let is_told = async |count: usize| stage.vendor.told("check/shop", "opened").len() == count;
    shop.abort();
    let dead_at = Cluster::now_us();
    stage.wait_for("shop", "down").await;
    print_time("the target refuses: down everywhere after", dead_at);
    wait_until("it is told", Duration::from_secs(60), async || is_told(1).await).await;
    print_time("the target refuses: told after", dead_at);
    stage.wait_for_reason("shop", "refused").await;
    let back = stage::serve_shop(&stage.network);
    stage.wait_for("shop", "up").await;
    stage.wait_until_told("check/shop", "resolved").await;
    stage.network.cut_off("shop");
    let gone_at = Cluster::now_us();
    let shown = stage.wait_for("shop", "down").await;
    print_time("the target's host is gone: down everywhere after", gone_at);
    wait_until("it is told again", Duration::from_secs(60), async || is_told(2).await).await;
    print_time("the target's host is gone: told after", gone_at);
    assert_eq!(shown["because"]["code"], "failed");
    for watchdog in WATCHDOGS {
        assert_eq!(stage.shown(watchdog, "shop").await.unwrap().0, 404);
    }
    drop(back);
}
