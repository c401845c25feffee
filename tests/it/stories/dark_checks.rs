//! The database takes no writes, and then a target fails: people hear of it, and of its end, and nothing is told twice when it is back.

use std::time::Duration;

use axum::http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};

use super::blackout::let_pass;
use super::checks::{Site, WATCHDOGS, count, start, wait_for};
use super::on_both;
use crate::cluster::Cluster;
use crate::cluster::database::{Database, Kind};
use crate::cluster::vendor::{Message, Vendor};
use crate::cluster::wait::wait_until;
use crate::support::raw::Raw;

on_both!(a_target_that_fails_in_the_dark_is_told_once_and_so_is_its_return);

/// A server that is stopped, or a file that somebody else holds.
struct Darkness(Option<Raw>);

impl Darkness {
    async fn falls_on(cluster: &mut Cluster) -> Self {
        if let Some(server) = &mut cluster.server {
            server.stop();
            return Self(None);
        }
        let Database::Sqlite(path) = &cluster.database else { panic!("a server that is not there") };
        let mut stranger = Raw::connect(&format!("sqlite://{}", path.display())).await;
        let is_held = async |stranger: &mut Raw| stranger.try_execute("BEGIN IMMEDIATE").await.is_ok();
        while !is_held(&mut stranger).await {}
        Self(Some(stranger))
    }

    async fn lifts(self, cluster: &mut Cluster) {
        match (self.0, &mut cluster.server) {
            (Some(mut stranger), _) => stranger.execute("ROLLBACK").await,
            (None, Some(server)) => server.start_again(),
            (None, None) => panic!("a server that is not there"),
        }
    }
}

/// The messages that tell this of the shop, as many as are awaited; how long the last one took is printed.
async fn told(vendor: &Vendor, event: &str, (since_us, awaited): (i64, usize)) -> Vec<Message> {
    let is_told = async || vendor.told("check/shop", event).len() >= awaited;
    wait_until(&format!("check/shop {event} is told"), Duration::from_secs(60), is_told).await;
    let told = vendor.told("check/shop", event);
    let took_ms = (told[awaited - 1].at_us - since_us) / 1_000;
    #[expect(clippy::print_stdout, reason = "a figure")]
    {
        println!("check/shop {event} told {took_ms} ms after the target changed");
    }
    told
}

/// Checks of which people know by then: one that a minority sees fail, one that somebody acknowledged, one that was paused while it was
/// down, and one that was deleted.
struct Known {
    half: Site,
    taken: Site,
}

impl Known {
    async fn by_people(cluster: &Cluster, vendor: &Vendor) -> Self {
        let sites = [Site::start().await, Site::start().await, Site::start().await, Site::start().await];
        let [half, taken, paused, deleted] = &sites;
        for (site, name) in sites.iter().zip(["half", "taken", "paused", "deleted"]) {
            site.watch(cluster, name).await;
        }
        half.answer(&["w2"], StatusCode::BAD_GATEWAY);
        for site in [taken, paused, deleted] {
            site.answer(&WATCHDOGS, StatusCode::BAD_GATEWAY);
        }
        for name in ["taken", "paused", "deleted"] {
            let key = format!("check/{name}");
            let is_told = async || !vendor.told(&key, "opened").is_empty();
            wait_until(&format!("{key} is told"), Duration::from_secs(60), is_told).await;
        }
        let is_open =
            async || count(cluster, "SELECT COUNT(*) FROM komainu_incident WHERE k = 'partial/half'").await == 1;
        wait_until("a minority sees one fail", Duration::from_secs(60), is_open).await;
        let taken_id = count(cluster, "SELECT id FROM komainu_incident WHERE k = 'check/taken'").await;
        let acknowledge = format!("/api/v1/incidents/{taken_id}/ack");
        assert_eq!(cluster.call(Method::POST, &acknowledge, &Value::Null).await, 200);
        cluster.patch("/api/v1/checks/paused", &json!({"paused": true})).await;
        assert_eq!(cluster.call(Method::DELETE, "/api/v1/checks/deleted", &Value::Null).await, 204);
        let is_over = async || !vendor.told("check/paused", "resolved").is_empty();
        wait_until("it is told that nobody looks any more", Duration::from_secs(60), is_over).await;
        let waiting = "SELECT COUNT(*) FROM komainu_delivery d JOIN komainu_incident i ON i.id = d.incident_id \
                       WHERE i.k = 'check/paused' AND d.state <> 'sent'";
        let is_noted = async || count(cluster, waiting).await == 0;
        wait_until("what was told is noted", Duration::from_secs(60), is_noted).await;
        // What waits to be told is read every two seconds: whoever did not read that it was told repeats it.
        let_pass(6).await;
        let [half, taken, ..] = sites;
        Self { half, taken }
    }

    /// What was told of them, openings and ends.
    fn told(vendor: &Vendor) -> Vec<(&'static str, usize, usize)> {
        let keys = ["partial/half", "check/half", "check/taken", "check/paused", "check/deleted"];
        let times = |key: &'static str| (key, vendor.told(key, "opened").len(), vendor.told(key, "resolved").len());
        keys.map(times).to_vec()
    }
}

async fn wait_until_dark(vendor: &Vendor) {
    let is_told = async || !vendor.told("database", "opened").is_empty();
    wait_until("the database is told to be away", Duration::from_secs(60), is_told).await;
}

async fn a_target_that_fails_in_the_dark_is_told_once_and_so_is_its_return(kind: Kind) {
    let vendor = Vendor::start().await;
    let (mut cluster, site) = (start(kind, ["a", "b", "c"], &vendor.sections()).await, Site::start().await);
    site.watch(&cluster, "shop").await;
    let known = Known::by_people(&cluster, &vendor).await;
    let told_before = Known::told(&vendor);
    let darkness = Darkness::falls_on(&mut cluster).await;
    wait_until_dark(&vendor).await;
    let fell_us = Cluster::now_us();
    site.answer(&WATCHDOGS, StatusCode::BAD_GATEWAY);
    let opened = told(&vendor, "opened", (fell_us, 1)).await;
    assert_eq!(opened[0].doubt.as_deref(), Some("database_unreachable"));
    assert!(opened[0].summaries.iter().any(|text| text.contains("of 3 watchdogs see it fail")), "{opened:?}");
    // The second would speak after 30 s, the third after 60 s, if they had not heard that it was told.
    let_pass(70).await;
    assert_eq!(vendor.told("check/shop", "opened").len(), 1, "{:?}", vendor.messages());
    assert_eq!(Known::told(&vendor), told_before, "nobody is told what people know, or asked not to hear");
    let rose_us = Cluster::now_us();
    site.answer(&WATCHDOGS, StatusCode::OK);
    known.taken.answer(&WATCHDOGS, StatusCode::OK);
    known.half.answer(&["w2"], StatusCode::OK);
    let resolved = told(&vendor, "resolved", (rose_us, 1)).await;
    assert_eq!(resolved[0].doubt.as_deref(), Some("database_unreachable"));
    let is_over = async || !vendor.told("check/taken", "resolved").is_empty();
    wait_until("the end of what somebody acknowledged is told", Duration::from_secs(30), is_over).await;
    // It falls once more, and stays so while the database comes back.
    let fell_us = Cluster::now_us();
    site.answer(&WATCHDOGS, StatusCode::BAD_GATEWAY);
    told(&vendor, "opened", (fell_us, 2)).await;
    let_pass(10).await;
    darkness.lifts(&mut cluster).await;
    // Whoever reads the tables first opens it at that moment; entering what was told dates it back.
    let since_ms = fell_us / 1_000;
    let is_dated = format!(
        "SELECT COUNT(*) FROM komainu_incident WHERE k = 'check/shop' AND resolved_at IS NULL \
         AND opened_at BETWEEN {since_ms} AND {}",
        since_ms + 15_000
    );
    let is_entered = async || count(&cluster, &is_dated).await == 1;
    wait_until("the incident stands since the target fell", Duration::from_secs(60), is_entered).await;
    let_pass(25).await;
    let rose_us = Cluster::now_us();
    site.answer(&WATCHDOGS, StatusCode::OK);
    let resolved = told(&vendor, "resolved", (rose_us, 2)).await;
    assert_eq!(resolved[1].doubt, None, "the tables told it");
    let_pass(15).await;
    let counts = ["opened", "resolved"].map(|event| vendor.told("check/shop", event).len());
    assert_eq!(counts, [2, 2], "{:?}", vendor.messages());
    let expected: Vec<_> = told_before
        .into_iter()
        .map(|(key, opened, ended)| (key, opened, ended + usize::from(key == "check/taken")))
        .collect();
    assert_eq!(Known::told(&vendor), expected, "and once the tables are back nothing is told again");
    let incidents = "SELECT COUNT(*) FROM komainu_incident WHERE k = 'check/shop'";
    assert_eq!(count(&cluster, incidents).await, 1);
    assert_eq!(count(&cluster, &format!("{incidents} AND resolved_at IS NOT NULL")).await, 1);
    let sent = "SELECT COUNT(*) FROM komainu_delivery d JOIN komainu_incident i ON i.id = d.incident_id \
                WHERE i.k = 'check/shop' AND d.state = 'sent'";
    assert_eq!(count(&cluster, sent).await, 2, "the beginning, told in the dark, and the end");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn watchdogs_killed_and_started_in_the_dark_look_and_vote_by_what_is_on_their_disks() {
    let vendor = Vendor::start().await;
    let (mut cluster, site) = (start(Kind::MariaDb, ["a", "b", "c"], &vendor.sections()).await, Site::start().await);
    site.watch(&cluster, "shop").await;
    let is_kept = |name: &str, file: &str, word: &str| {
        let text = std::fs::read_to_string(cluster.folder().join(format!("{name}.state/{file}.json")));
        text.is_ok_and(|text| text.contains(word))
    };
    let keeps = |name: &str| {
        let files = [("checks", "shop"), ("verdicts", "up")];
        files.into_iter().all(|(file, word)| is_kept(name, file, word))
            && WATCHDOGS.into_iter().all(|member| is_kept(name, "known", member))
    };
    wait_until("all is on disk", Duration::from_secs(60), async || WATCHDOGS.into_iter().all(keeps)).await;
    cluster.server.as_mut().unwrap().stop();
    for name in WATCHDOGS {
        cluster.process(name).kill();
    }
    // Whoever votes now never read a table.
    let started_us = Cluster::now_us();
    cluster.start_process("w1");
    cluster.start_process("w2");
    for name in ["w1", "w2"] {
        wait_for(&cluster, name, ("shop", "up")).await;
    }
    let judged_ms = (Cluster::now_us() - started_us) / 1_000;
    #[expect(clippy::print_stdout, reason = "a figure")]
    {
        println!("two watchdogs judged {judged_ms} ms after they were started");
    }
    wait_until_dark(&vendor).await;
    let fell_us = Cluster::now_us();
    site.answer(&WATCHDOGS, StatusCode::BAD_GATEWAY);
    let opened = told(&vendor, "opened", (fell_us, 1)).await;
    assert_eq!(opened[0].doubt.as_deref(), Some("database_unreachable"));
    // The one that told it dies once the other one has heard so, and that one tells the end.
    let_pass(5).await;
    cluster.process("w1").kill();
    cluster.start_process("w3");
    wait_for(&cluster, "w3", ("shop", "down")).await;
    let rose_us = Cluster::now_us();
    site.answer(&WATCHDOGS, StatusCode::OK);
    told(&vendor, "resolved", (rose_us, 1)).await;
    cluster.server.as_mut().unwrap().start_again();
    let over = "SELECT COUNT(*) FROM komainu_incident WHERE k = 'check/shop' AND resolved_at IS NOT NULL";
    wait_until("it is entered", Duration::from_secs(60), async || count(&cluster, over).await == 1).await;
    let_pass(15).await;
    let counts = ["opened", "resolved"].map(|event| vendor.told("check/shop", event).len());
    assert_eq!(counts, [1, 1], "{:?}", vendor.messages());
    let span = "SELECT resolved_at - opened_at FROM komainu_incident WHERE k = 'check/shop'";
    let (lasted_ms, expected_ms) = (count(&cluster, span).await, (rose_us - fell_us) / 1_000);
    assert!((lasted_ms - expected_ms).abs() < 20_000, "it lasted {lasted_ms} ms, not {expected_ms}");
}
