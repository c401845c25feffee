//! Second opinions at real processes: a target that fails for its node alone, for all, for the watchdogs alone; and a watchdog that is
//! killed while it asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};

use super::on_both;
use crate::cluster::database::Kind;
use crate::cluster::vendor::Vendor;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

on_both!(
    what_fails_for_its_node_alone_is_a_disagreement_until_it_fails_for_all,
    what_is_dead_for_all_is_told_with_what_the_watchdogs_see,
    a_node_that_calls_a_dead_target_up_is_contradicted,
    who_is_killed_while_it_asks_is_followed_by_another_and_people_are_told_once,
);

const LIMIT: Duration = Duration::from_secs(60);

const NODE: &str = "node";
const WATCHDOGS: &str = "watchdogs";

/// How a target answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answers {
    With(StatusCode),
    Never,
}

type Book = Arc<Mutex<BTreeMap<(String, &'static str), Answers>>>;

/// Targets that answer nodes and watchdogs as they were told to.
#[derive(Clone)]
struct Site {
    port: u16,
    book: Book,
}

impl Site {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let site = Self { port: listener.local_addr().unwrap().port(), book: Book::default() };
        let app = Router::new().fallback(answer).with_state(Arc::clone(&site.book));
        tokio::spawn(async move { axum::serve(listener, app).await });
        site
    }

    fn set(&self, path: &str, who: &'static str, answers: Answers) {
        self.book.lock().unwrap().insert((format!("/{path}"), who), answers);
    }

    fn fail(&self, path: &str, who: &[&'static str]) {
        for who in who {
            self.set(path, who, Answers::With(StatusCode::BAD_GATEWAY));
        }
    }

    fn mend(&self, path: &str, who: &[&'static str]) {
        for who in who {
            self.set(path, who, Answers::With(StatusCode::OK));
        }
    }

    /// A monitor of this path that wants a second opinion; its id.
    async fn watch(&self, cluster: &Cluster, path: &str, second_opinion: &str) -> i64 {
        let body = json!({
            "name": path, "type": "http", "url": format!("http://127.0.0.1:{}/{path}", self.port),
            "interval": 2, "timeout": 4, "second_opinion": second_opinion, "tags": ["shop"],
        });
        let id = cluster.post("/api/v1/monitors", &body).await["id"].as_i64().unwrap();
        cluster.wait_for_beats(&[id], 0, LIMIT).await;
        id
    }
}

async fn answer(State(book): State<Book>, uri: Uri, headers: HeaderMap) -> StatusCode {
    let who = if headers.contains_key("komainu-watchdog") { WATCHDOGS } else { NODE };
    let answers = book.lock().unwrap().get(&(uri.path().to_owned(), who)).copied();
    match answers.unwrap_or(Answers::With(StatusCode::OK)) {
        Answers::With(status) => status,
        Answers::Never => std::future::pending().await,
    }
}

async fn start(kind: Kind, sections: &str) -> (Cluster, Site) {
    let shape = Shape { nodes: 1, monitors: 1, ..Shape::default() };
    (Cluster::start_with(kind, shape, sections).await, Site::start().await)
}

/// Summary and severity of an incident that is open.
async fn open(cluster: &Cluster, key: &str) -> Option<(String, String)> {
    let sql = format!("SELECT summary, severity FROM komainu_incident WHERE k = '{key}' AND resolved_at IS NULL");
    let row = cluster.database.rows(&sql).await.pop()?;
    Some((row[0].clone(), row[1].clone()))
}

async fn wait_for_open(cluster: &Cluster, key: &str) -> (String, String) {
    wait_until(&format!("{key} is open"), LIMIT, async || open(cluster, key).await.is_some()).await;
    open(cluster, key).await.unwrap()
}

async fn wait_for_told(vendor: &Vendor, key: &str, event: &str) -> String {
    wait_until(&format!("{key} is told as {event}"), LIMIT, async || !vendor.told(key, event).is_empty()).await;
    let told = vendor.told(key, event);
    let at = told[0].items.iter().position(|(item, _)| item == key).unwrap();
    told[0].summaries[at].clone()
}

async fn what_fails_for_its_node_alone_is_a_disagreement_until_it_fails_for_all(kind: Kind) {
    let vendor = Vendor::start().await;
    let (cluster, site) = start(kind, &vendor.sections()).await;
    let monitor = site.watch(&cluster, "alone", "require").await;
    let (critical, warning) = (format!("monitor/{monitor}"), format!("disagreement/monitor/{monitor}"));
    site.fail("alone", &[NODE]);
    let said = wait_for_told(&vendor, &warning, "opened").await;
    assert!(said.contains("node node1 calls monitor alone down") && said.contains("502"), "{said}");
    assert!(said.contains("3 of 3 watchdogs reach it"), "{said}");
    assert_eq!(wait_for_open(&cluster, &warning).await.1, "warning");
    // Several looks of everybody at what is open: rounds of watchdogs do not take it for one of theirs.
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert!(open(&cluster, &warning).await.is_some(), "it lasts");
    assert_eq!((open(&cluster, &critical).await, vendor.told(&critical, "opened").len()), (None, 0), "nobody is paged");
    let shown = cluster.monitor(monitor).await;
    assert_eq!((&shown["second_opinion"], &shown["opinion"]["seen"]), (&json!("require"), &json!("up")), "{shown}");

    site.fail("alone", &[WATCHDOGS]);
    let said = wait_for_told(&vendor, &critical, "opened").await;
    assert!(said.contains("second opinion: 3 of 3 watchdogs see it fail"), "{said}");
    wait_for_told(&vendor, &warning, "resolved").await;
    site.mend("alone", &[NODE, WATCHDOGS]);
    wait_for_told(&vendor, &critical, "resolved").await;
    let none = async || cluster.database.rows("SELECT monitor_id FROM komainu_opinion").await.is_empty();
    wait_until("what was seen is forgotten", LIMIT, none).await;
}

async fn what_is_dead_for_all_is_told_with_what_the_watchdogs_see(kind: Kind) {
    let vendor = Vendor::start().await;
    let rule = "[second_opinion]\nrules = [{ tag = \"shop\", second_opinion = \"note\" }]\n";
    let (cluster, site) = start(kind, &format!("{}{rule}", vendor.sections())).await;
    let dead = site.watch(&cluster, "dead", "require").await;
    let noted = site.watch(&cluster, "noted", "").await;
    let off = site.watch(&cluster, "off", "off").await;
    let shown = cluster.monitor(noted).await;
    assert_eq!((&shown["opinion"]["asked"], &shown["opinion"]["from"]), (&json!("note"), &json!("rule")), "{shown}");
    site.fail("dead", &[NODE, WATCHDOGS]);
    let said = wait_for_told(&vendor, &format!("monitor/{dead}"), "opened").await;
    assert!(said.contains("second opinion: 3 of 3 watchdogs see it fail"), "{said}");
    site.fail("noted", &[NODE]);
    let said = wait_for_told(&vendor, &format!("monitor/{noted}"), "opened").await;
    assert!(said.contains("second opinion: 3 of 3 watchdogs reach it"), "{said}");
    site.fail("off", &[NODE]);
    let said = wait_for_told(&vendor, &format!("monitor/{off}"), "opened").await;
    assert!(!said.contains("opinion"), "{said}");
    assert_eq!(wait_for_open(&cluster, &format!("monitor/{noted}")).await.1, "critical");
    for monitor in [dead, noted, off] {
        assert_eq!(open(&cluster, &format!("disagreement/monitor/{monitor}")).await, None);
    }
}

async fn a_node_that_calls_a_dead_target_up_is_contradicted(kind: Kind) {
    let vendor = Vendor::start().await;
    let often = "[second_opinion]\nsample_each = \"10s\"\n";
    let (cluster, site) = start(kind, &format!("{}{often}", vendor.sections())).await;
    let monitor = site.watch(&cluster, "lied", "note").await;
    let (critical, warning) = (format!("monitor/{monitor}"), format!("disagreement/monitor/{monitor}"));
    site.fail("lied", &[WATCHDOGS]);
    let said = wait_for_told(&vendor, &warning, "opened").await;
    assert!(said.contains("node node1 calls monitor lied up"), "{said}");
    assert!(said.contains("3 of 3 watchdogs see it fail"), "{said}");
    assert_eq!(wait_for_open(&cluster, &warning).await.1, "warning");
    assert_eq!(open(&cluster, &critical).await, None);
    site.mend("lied", &[WATCHDOGS]);
    wait_for_told(&vendor, &warning, "resolved").await;
}

async fn who_is_killed_while_it_asks_is_followed_by_another_and_people_are_told_once(kind: Kind) {
    let vendor = Vendor::start().await;
    let (mut cluster, site) = start(kind, &vendor.sections()).await;
    let monitor = site.watch(&cluster, "hung", "require").await;
    site.set("hung", WATCHDOGS, Answers::Never);
    site.fail("hung", &[NODE]);
    let asker = "SELECT w.watchdog_id FROM komainu_opinion o JOIN komainu_watchdog w ON w.incarnation = o.holder";
    wait_until("somebody asks", LIMIT, async || !cluster.database.rows(asker).await.is_empty()).await;
    let name = cluster.database.rows(asker).await[0][0].clone();
    cluster.process(&name).kill();
    site.fail("hung", &[WATCHDOGS]);
    let said = wait_for_told(&vendor, &format!("monitor/{monitor}"), "opened").await;
    assert!(said.contains("second opinion: ") && !said.contains("no second opinion"), "{said}");
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(vendor.told(&format!("monitor/{monitor}"), "opened").len(), 1);
}

impl Cluster {
    async fn monitor(&self, id: i64) -> Value {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
        let request = client.get(self.url_of("w1", &format!("/api/v1/monitors/{id}"))).bearer_auth(self.api_key());
        serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap()
    }
}
