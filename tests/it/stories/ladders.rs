//! Real watchdogs climb a ladder, and one after the other is killed: each step is entered once and in time, and arrives.

use std::time::Duration;

use komainu::store::{DatabaseUrl, Store};
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::routing::{Matcher, Route, Routing};

use super::on_both;
use crate::cluster::database::{Database, Kind};
use crate::cluster::vendor::Vendor;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

on_both!(each_step_of_a_ladder_arrives_whoever_is_killed);

/// Seconds between two steps, of which there are so many.
const EVERY_S: usize = 4;
const STEPS: usize = 6;

/// What a machine that is loaded by others takes beside the two seconds.
const MARGIN_MS: i64 = 3_000;

/// Each step calls somebody else: of several that wait for one channel only the last is told.
fn sections(port: u16) -> String {
    let channel = |name: &str| {
        format!("[[channel]]\nname = \"{name}\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{port}/hook\"\n")
    };
    let step = |number: usize| format!("{{ after = \"{}s\", channels = [\"c{number}\"] }}", number * EVERY_S);
    let channels: String = (0..STEPS).map(|number| channel(&format!("c{number}"))).collect();
    let steps: Vec<_> = (0..STEPS).map(step).collect();
    format!(
        "{}{channels}[[ladder]]\nname = \"night\"\nsteps = [{}]\n\
         [[route]]\nchannels = [\"ops\"]\ngroup_wait = \"1s\"\nladder = \"night\"\n",
        channel("ops"),
        steps.join(", ")
    )
}

/// Of a kind that only a later version knows: no watchdog judges it.
pub(super) async fn open(cluster: &Cluster) {
    let url = match &cluster.database {
        Database::Sqlite(path) => DatabaseUrl::sqlite(path),
        Database::MariaDb(url) => DatabaseUrl::parse(url).unwrap(),
    };
    let mut watch = Store::connect(&url).await.unwrap().errands(&"w1".into()).await.unwrap();
    let channels = vec!["ops".to_owned()];
    let group_wait = Duration::from_secs(1);
    let route =
        Route { matcher: Matcher::default(), channels: channels.clone(), group_wait, repeat: None, ..Route::default() };
    let alarm = Alarm {
        key: "later/1".to_owned(),
        severity: Severity::Critical,
        summary: "it fails".to_owned(),
        votes: (3, 3),
    };
    assert!(watch.raise(&alarm, &Routing { channels, routes: vec![route] }).await.unwrap());
}

/// What arrived of a step, and whether it says that it may be repeated.
fn arrived(vendor: &Vendor, step: usize) -> Vec<bool> {
    let words = format!("(nobody has acknowledged it: night, step {step})");
    let messages = vendor.messages();
    let of_step = messages.iter().filter(|message| message.summaries.iter().any(|summary| summary.ends_with(&words)));
    of_step.map(|message| message.doubt.is_some()).collect()
}

async fn each_step_of_a_ladder_arrives_whoever_is_killed(kind: Kind) {
    let vendor = Vendor::start().await;
    let shape = Shape { watchdogs: 3, nodes: 0, monitors: 0, ..Shape::default() };
    let mut cluster = Cluster::prepare(kind, shape, &sections(vendor.port())).await;
    for name in ["w1", "w2", "w3"] {
        cluster.start_process(name);
    }
    open(&cluster).await;
    for step in 1..=STEPS {
        let name = ["w1", "w2", "w3"][step % 3];
        // At every other step it dies over a message that the vendor has, and that nobody knows of.
        if step % 2 == 0 {
            vendor.kill_when_told_of("later/1", cluster.process(name).id());
        }
        let has_arrived = async || !arrived(&vendor, step).is_empty();
        wait_until(&format!("step {step} arrives"), Duration::from_secs(60), has_arrived).await;
        cluster.process(name).kill();
        cluster.start_process(name);
    }
    let sql = "SELECT e.at - i.opened_at, e.summary FROM komainu_event e JOIN komainu_incident i ON i.id = e.incident_id \
               WHERE i.k = 'later/1' AND e.summary LIKE '%night, step%' ORDER BY e.id";
    let entered = cluster.database.rows(sql).await;
    assert_eq!(entered.len(), STEPS, "each is entered once: {entered:?}");
    for (number, row) in entered.iter().enumerate() {
        let late = row[0].parse::<i64>().unwrap() - i64::try_from(number * EVERY_S * 1_000).unwrap();
        let is_first = number == 0;
        // The first waits until somebody has started.
        assert!(
            (0..2_000 + MARGIN_MS).contains(&late) || (is_first && late >= 0),
            "step {number}: {late} ms: {entered:?}"
        );
    }
    for step in 1..=STEPS {
        let copies = arrived(&vendor, step);
        assert!(copies.iter().filter(|is_marked| !**is_marked).count() <= 1, "step {step}: {copies:?}");
    }
}
