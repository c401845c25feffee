//! Watchdogs die at every step of telling people, and cannot reach a vendor: everybody is told all the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::post;
use komainu::store::{DatabaseUrl, Store};
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::routing::{Matcher, Route, Routing};
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;

use super::on_both;
use crate::cluster::database::{Database, Kind};
use crate::cluster::ports::free_port;
use crate::cluster::tap::{self, Fault, Faults};
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};
use crate::support::raw::Raw;

on_both!(a_watchdog_without_egress_leaves_its_messages_to_another);

const CLAIM: &str = "SET claimed_by = _utf8mb4";
const BEGIN: &str = "SET sending_at =";
const NOTE: &str = "SET state = 'sent'";

/// Every step of telling, in the order of the steps.
const STEPS: [Fault; 8] = [
    Fault::BeforeCommit(CLAIM),
    Fault::AfterCommit(CLAIM),
    Fault::BeforeCommit(BEGIN),
    Fault::AfterCommit(BEGIN),
    Fault::VendorLosesIt,
    Fault::VendorTakesIt,
    Fault::BeforeCommit(NOTE),
    Fault::AfterCommit(NOTE),
];

/// Incidents that open while each step is waited for.
const WAVE: usize = 125;

/// One item of a message that arrived.
#[derive(Clone, Debug)]
struct ArrivedItem {
    key: String,
    notice: String,
    may_be_repeated: bool,
    at_us: i64,
}

/// A vendor that knows who speaks, by the path.
struct Vendor {
    port: u16,
    told: Arc<Mutex<Vec<ArrivedItem>>>,
}

impl Vendor {
    async fn start(faults: Arc<Faults>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let told: Arc<Mutex<Vec<ArrivedItem>>> = Arc::default();
        let book = Arc::clone(&told);
        let take = async move |Path(sender): Path<String>, body: String| {
            if faults.take(|fault| fault == Fault::VendorLosesIt).is_some() {
                return faults.kill(&sender);
            }
            book.lock().unwrap().extend(read(&body));
            if faults.take(|fault| fault == Fault::VendorTakesIt).is_some() {
                faults.kill(&sender);
            }
        };
        let router = Router::new().route("/{sender}", post(take));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, told }
    }

    fn told(&self) -> Vec<ArrivedItem> {
        self.told.lock().unwrap().clone()
    }

    fn keys(&self) -> BTreeMap<String, Vec<ArrivedItem>> {
        let mut keys: BTreeMap<String, Vec<ArrivedItem>> = BTreeMap::new();
        for told in self.told() {
            keys.entry(told.key.clone()).or_default().push(told);
        }
        keys.retain(|key, _| key.starts_with("later/"));
        keys
    }
}

fn read(body: &str) -> Vec<ArrivedItem> {
    let body: Value = serde_json::from_str(body).unwrap();
    let data = &body["data"];
    let told = |item: &Value| ArrivedItem {
        key: item["key"].as_str().unwrap().to_owned(),
        notice: data["id"].as_str().unwrap().to_owned(),
        may_be_repeated: data["doubt"] == "may_be_repeated",
        at_us: Cluster::now_us(),
    };
    data["items"].as_array().unwrap().iter().map(told).collect()
}

/// Opens incidents as any watchdog does; nobody but the test knows of them.
struct Opener {
    watch: komainu::store::Errands,
    routing: Routing,
    opened: usize,
}

impl Opener {
    async fn connect(cluster: &Cluster) -> Self {
        let url = match &cluster.database {
            Database::Sqlite(path) => DatabaseUrl::sqlite(path),
            Database::MariaDb(url) => DatabaseUrl::parse(url).unwrap(),
        };
        let watch = Store::connect(&url).await.unwrap().errands(&"w1".into()).await.unwrap();
        let group_wait = Duration::from_millis(500);
        let channels = vec!["ops".to_owned()];
        let route = Route {
            matcher: Matcher::default(),
            channels: channels.clone(),
            group_wait,
            repeat: None,
            ..Route::default()
        };
        Self { watch, routing: Routing { channels, routes: vec![route] }, opened: 0 }
    }

    async fn open(&mut self, how_many: usize) {
        for _ in 0..how_many {
            self.opened += 1;
            let alarm = Alarm {
                // Of a kind that only a later version knows: no watchdog judges it.
                key: format!("later/{}", self.opened),
                severity: Severity::Critical,
                summary: "it fails".to_owned(),
                votes: (3, 3),
            };
            assert!(self.watch.raise(&alarm, &self.routing).await.unwrap());
        }
    }
}

fn shape() -> Shape {
    Shape { watchdogs: 3, nodes: 0, monitors: 0, ..Shape::default() }
}

fn channel(port: u16, watchdog: &str) -> String {
    format!("[[channel]]\nname = \"ops\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{port}/{watchdog}\"\n")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn of_a_thousand_incidents_none_is_lost_whatever_step_a_watchdog_dies_at() {
    let faults = Arc::new(Faults::default());
    let vendor = Vendor::start(Arc::clone(&faults)).await;
    let mut cluster = Cluster::prepare(Kind::MariaDb, shape(), "").await;
    let server = cluster.server.as_ref().unwrap().port();
    for name in ["w1", "w2", "w3"] {
        let tap = tap::start(server, name, Arc::clone(&faults)).await;
        // The tap reads along.
        let edit = |text: &str| {
            let tapped = text.replace(&format!(":{server}/kuma"), &format!(":{tap}/kuma?ssl-mode=disabled"));
            tapped + &channel(vendor.port, name)
        };
        cluster.edit_config(name, edit);
        cluster.start_process(name);
        faults.know(name, cluster.process(name).id());
    }
    let mut opener = Opener::connect(&cluster).await;
    opener.open(1).await;
    wait_until("somebody delivers", Duration::from_secs(30), async || vendor.keys().len() == 1).await;
    for step in STEPS {
        faults.arm(step);
        opener.open(WAVE).await;
        let mut hit = vec![];
        wait_until(&format!("somebody dies at {step:?}"), Duration::from_secs(20), async || {
            hit = faults.take_hit();
            !hit.is_empty()
        })
        .await;
        for name in hit {
            cluster.start_process(&name);
            faults.know(&name, cluster.process(&name).id());
        }
    }
    let pending = "SELECT COUNT(*) FROM komainu_delivery WHERE state <> 'sent'";
    let all_are_noted = async || cluster.database.rows(pending).await[0][0] == "0";
    wait_until("everything is told and noted", Duration::from_secs(120), all_are_noted).await;
    assert_each_is_told(&vendor, opener.opened);
}

fn assert_each_is_told(vendor: &Vendor, opened: usize) {
    let keys = vendor.keys();
    assert_eq!(keys.len(), opened, "none is lost");
    let mut repeated = 0;
    for (key, told) in &keys {
        assert!(told.len() <= 2, "{key} was told {} times", told.len());
        if let [first, second] = &told[..] {
            repeated += 1;
            assert!(!first.may_be_repeated && second.may_be_repeated, "{key}: the repetition says that it is one");
            assert_eq!(first.notice, second.notice, "{key}: it is the same message");
        }
    }
    assert!(repeated > 0, "a vendor that took a message whose sender died gets it again");
}

async fn a_watchdog_without_egress_leaves_its_messages_to_another(kind: Kind) {
    let vendor = Vendor::start(Arc::default()).await;
    let mut cluster = Cluster::prepare(kind, shape(), "").await;
    let nobody = free_port();
    for name in ["w1", "w2", "w3"] {
        let port = if name == "w1" { nobody } else { vendor.port };
        cluster.edit_config(name, |text| text.to_owned() + &channel(port, name));
    }
    cluster.start_process("w1");
    let mut opener = Opener::connect(&cluster).await;
    opener.open(1).await;
    let has_failed = async || cluster.process("w1").log().contains("not delivered");
    wait_until("w1 fails", Duration::from_secs(30), has_failed).await;
    cluster.start_process("w2");
    cluster.start_process("w3");
    let failed_at = Cluster::now_us();
    wait_until("another delivers", Duration::from_secs(15), async || vendor.keys().len() == 1).await;
    opener.open(20).await;
    wait_until("the others deliver", Duration::from_secs(15), async || vendor.keys().len() == 21).await;
    let told = vendor.told();
    assert!(told.iter().all(|told| !told.may_be_repeated), "what did not leave is not repeated");
    let first_us = told.iter().find(|told| told.key == "later/1").unwrap().at_us - failed_at;
    assert!(first_us < 15_000_000, "{first_us} us");
}

/// Asks for something that the database does not give, again and again; counts the answers by status.
async fn crowd(url: String, key: String, refused: Arc<Mutex<BTreeMap<(u16, bool), u32>>>) {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    loop {
        let Ok(answer) = http.get(&url).bearer_auth(&key).send().await else { continue };
        let says_when = answer.headers().contains_key("retry-after");
        *refused.lock().unwrap().entry((answer.status().as_u16(), says_when)).or_default() += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn readers_who_take_all_connections_of_theirs_keep_nobody_from_being_told() {
    let vendor = Vendor::start(Arc::default()).await;
    let mut cluster = Cluster::prepare(Kind::MariaDb, Shape { watchdogs: 1, ..shape() }, "").await;
    cluster.edit_config("w1", |text| text.to_owned() + &channel(vendor.port, "w1"));
    cluster.start_process("w1");
    let mut opener = Opener::connect(&cluster).await;
    opener.open(1).await;
    wait_until("w1 delivers", Duration::from_secs(30), async || vendor.keys().len() == 1).await;
    let Database::MariaDb(url) = &cluster.database else { panic!("the story needs MariaDB") };
    let mut stranger = Raw::connect(url).await;
    stranger.execute("LOCK TABLES komainu_audit WRITE").await;
    let answers: Arc<Mutex<BTreeMap<(u16, bool), u32>>> = Arc::default();
    let readers: Vec<_> = (0..40)
        .map(|_| {
            let url = cluster.url_of("w1", "/api/v1/audit");
            AbortOnDropHandle::new(tokio::spawn(crowd(url, cluster.api_key().to_owned(), Arc::clone(&answers))))
        })
        .collect();
    let is_refused = async || answers.lock().unwrap().get(&(503, true)).is_some_and(|count| *count >= 40);
    wait_until("readers are refused", Duration::from_secs(30), is_refused).await;
    opener.open(5).await;
    wait_until("the outbox goes on", Duration::from_secs(5), async || vendor.keys().len() == 6).await;
    drop(readers);
    let answers = answers.lock().unwrap();
    assert!(answers.keys().all(|answer| *answer == (503, true) || answer.0 == 200), "{answers:?}");
    assert!(!cluster.process("w1").log().contains("cannot be read"), "the alerts have connections of their own");
}
