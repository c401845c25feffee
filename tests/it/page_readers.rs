//! Programs that read status pages, as they exist: feedparser, the Prometheus exporter of status pages (`PyPI`), `statuspage.io` (npm).

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::cluster::database::Kind;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

const LIMIT: Duration = Duration::from_secs(60);

/// What `tests/run` puts there; `None`: it could not be had, and that is said.
fn installed(place: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/page-readers").join(place);
    if !path.exists() {
        #[expect(clippy::print_stderr, reason = "a test that tries nothing says so")]
        {
            eprintln!("left out: {place} is not installed");
        }
        return None;
    }
    Some(path)
}

/// What a program prints.
async fn printed(command: &mut Command) -> Value {
    // Whatever proxy there is, it does not lead to the loopback.
    let command = command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1").kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&said).unwrap()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/page_readers").join(name)
}

/// A page with an incident that is open, one that is over, and a maintenance to come.
async fn told_page() -> (Cluster, String) {
    let shape = Shape { watchdogs: 1, nodes: 1, monitors: 2, ..Shape::default() };
    let cluster = Cluster::start(Kind::Sqlite, shape).await;
    let page = json!({"title": "Shop & more", "groups": [
        {"name": "Web", "components": [{"name": "Front", "monitor": 1}, {"name": "Back", "monitor": 2}]},
        {"name": "", "components": [{"name": "Mail", "check": "mail"}]}]});
    assert_eq!(cluster.call(Method::PUT, "/api/v1/pages/shop", &page).await, 201);
    let of_page = |path: &str| format!("/api/v1/pages/shop/{path}");
    for body in [
        json!({"title": "It was slow", "impact": "major", "status": "resolved", "text": "Over."}),
        json!({"title": "It is <slow>", "impact": "minor", "text": "We look into it."}),
    ] {
        cluster.post(&of_page("incidents"), &body).await;
    }
    let window = (4_000_000_000_000_i64, 4_000_000_100_000_i64);
    let planned = json!({"title": "Disks", "starts_at": window.0, "ends_at": window.1, "text": "It stands still."});
    cluster.post(&of_page("maintenances"), &planned).await;
    let url = cluster.url_of("w1", "/pages/shop");
    wait_until("the page shows all of it", LIMIT, async || {
        let answer = reqwest::get(format!("{url}/api/v2/summary.json")).await;
        let Ok(answer) = answer else { return false };
        let summary: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default();
        summary["scheduled_maintenances"][0]["name"] == "Disks" && summary["components"][1]["status"] == "operational"
    })
    .await;
    (cluster, url)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs feedparser and statuspage-prometheus-exporter"]
async fn readers_of_feeds_and_an_exporter_understand_a_page() {
    let Some(python) = installed("bin/python") else { return };
    let (cluster, url) = told_page().await;
    let read = printed(Command::new(python).arg(script("readers.py")).arg(&url).arg(cluster.folder())).await;
    for (feed, version) in [("feed.atom", "atom10"), ("feed.rss", "rss20")] {
        let feed = &read["feeds"][feed];
        assert_eq!((&feed["is_faulty"], &feed["version"]), (&json!(false), &json!(version)));
        assert_eq!(feed["title"], "Shop & more");
        let entries = feed["entries"].as_array().unwrap();
        assert_eq!(entries.len(), 3, "{feed}");
        let titles: Vec<&str> = entries.iter().map(|entry| entry[0].as_str().unwrap()).collect();
        for part in ["Disks", "It is", "It was slow"] {
            assert!(titles.iter().any(|title| title.contains(part)), "{part}: {titles:?}");
        }
        for entry in entries {
            let link = entry[1].as_str().unwrap();
            assert!(link.starts_with(&url), "{entry}");
            assert_eq!(reqwest::get(link).await.unwrap().status(), 200, "{link}");
            assert_eq!(entry[3], true, "{entry}: has a time");
        }
    }
    let exporter = &read["exporter"];
    assert_eq!((&exporter["success"], &exporter["raw_status"]), (&json!(true), &json!("minor")), "{exporter}");
    let [incident] = exporter["incident_metadata"].as_array().unwrap().as_slice() else { panic!("{exporter}") };
    assert_eq!((&incident["name"], &incident["impact"]), (&json!("It is <slow>"), &json!("minor")));
    assert_eq!(reqwest::get(incident["shortlink"].as_str().unwrap()).await.unwrap().status(), 200, "{incident}");
    assert_eq!(exporter["maintenance_metadata"][0]["name"], "Disks");
    let components = exporter["component_metadata"].as_array().unwrap();
    let of = |name: &str| components.iter().find(|one| one["name"] == name).map(|one| one["status"].clone());
    assert_eq!((of("Front"), of("Mail")), (Some(json!("operational")), Some(json!("degraded_performance"))));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs statuspage.io of npm"]
async fn the_client_of_statuspage_understands_a_page() {
    let Some(folder) = installed("node_modules/statuspage.io").and(installed("")) else { return };
    let (_cluster, url) = told_page().await;
    let read = printed(Command::new("node").arg(script("readers.cjs")).arg(folder).arg(&url)).await;
    assert_eq!(read["status"]["status"]["indicator"], "minor", "{read}");
    assert_eq!(read["summary"]["page"]["url"], url);
    let names = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&read["components"]["components"]), ["Web", "Front", "Back", "Mail"]);
    assert_eq!(names(&read["incidents"]["incidents"]), ["It is <slow>", "It was slow"]);
    assert_eq!(names(&read["unresolved"]["incidents"]), ["It is <slow>"]);
    assert_eq!(names(&read["upcoming"]["scheduled_maintenances"]), ["Disks"]);
}
