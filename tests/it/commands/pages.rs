//! Public pages on the command line: as plain files for another host, and taken over from where they were.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::CommandLine;
use crate::cluster::database::Kind;
use crate::cluster::ports::free_port;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

/// Stands in everything that is private.
const SECRET: &str = "s3kr1t";

const PATIENCE: Duration = Duration::from_secs(30);

/// Channels whose addresses, tokens and secrets are nobody's business, and a port for the public.
async fn secretive(port: u16) -> CommandLine {
    let shape = Shape { watchdogs: 1, nodes: 1, monitors: 1, ..Shape::default() };
    let sections = format!(
        "[[channel]]\nname = \"hook-{SECRET}\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:9/{SECRET}\"\n\
         [[channel]]\nname = \"mail-{SECRET}\"\ntype = \"mail\"\nsmtp = \"smtp://127.0.0.1:9\"\n\
         from = \"{SECRET}@example.com\"\nto = [\"{SECRET}@example.com\"]\n\
         [deadman]\nurl = \"http://127.0.0.1:9/{SECRET}\"\ninterval = \"5s\"\n"
    );
    let mut cluster = Cluster::prepare(Kind::Sqlite, shape, &sections).await;
    let listen = format!("public_listen = \"127.0.0.1:{port}\"\nstate_dir");
    cluster.edit_config("w1", |text| text.replacen("state_dir", &listen, 1));
    cluster.begin(shape).await;
    let cli = CommandLine { cluster, folder: tempfile::tempdir().unwrap() };
    cli.write("api.key", cli.cluster.api_key());
    let refuses = format!("http://joe:{SECRET}@127.0.0.1:9/{SECRET}");
    let monitor = json!({"name": format!("monitor {SECRET}"), "ref": "front", "type": "http", "url": refuses, "interval": 2,
        "timeout": 1, "maxretries": 0, "headers": {"X": SECRET}, "description": SECRET, "tags": [SECRET]});
    cli.cluster.post("/api/v1/monitors", &monitor).await;
    let check =
        json!({"name": format!("check-{SECRET}"), "type": "http", "url": format!("http://127.0.0.1:9/{SECRET}")});
    cli.cluster.post("/api/v1/checks", &check).await;
    let heartbeat = json!({"name": format!("job-{SECRET}"), "period_s": 60, "description": SECRET});
    cli.cluster.post("/api/v1/heartbeats", &heartbeat).await;
    let page = json!({"title": "Shop", "subscribe": ["webhook"], "logo": "data:image/png;base64,iVBORw0KGgo=", "groups": [
        {"name": "Web", "components": [{"name": "Front", "monitor_ref": "front", "graph": true},
            {"name": "Probe", "check": format!("check-{SECRET}"), "graph": true}]},
        {"name": "", "components": [{"name": "Job", "heartbeat": format!("job-{SECRET}")}, {"name": "First", "monitor": 1}]}]});
    cli.write("shop.json", &page.to_string());
    cli.said(&["pages", "put", "shop", "--file", "shop.json"]).await;
    let subscriber = json!({"kind": "webhook", "address": format!("http://127.0.0.1:9/{SECRET}"), "confirmed": true});
    cli.cluster.post("/api/v1/pages/shop/subscribers", &subscriber).await;
    cli.said(&["pages", "tell", "shop", "--title", "Orders are slow", "--components", "Front", "--text", "We look."])
        .await;
    cli
}

/// What is there, by its path below the folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    files
}

fn assert_holds_nothing_private(cli: &CommandLine, what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for private in [SECRET, cli.cluster.api_key(), "kmn_", "whsec_", "127.0.0.1:9/"] {
        assert!(!text.contains(private), "{what} holds {private}: {text}");
    }
}

/// Where a page in files leads, within its own host.
fn links(html: &str) -> Vec<String> {
    let parts = ["href=\"", "src=\""].into_iter().flat_map(|mark| html.split(mark).skip(1));
    let own = parts.filter_map(|rest| rest.split('"').next()).filter(|link| link.starts_with('/'));
    own.map(|link| link.split(['?', '#']).next().unwrap().trim_start_matches('/').to_owned()).collect()
}

#[tokio::test]
async fn an_exported_page_leads_nowhere_that_was_not_exported_and_holds_nothing_private_nor_does_any_public_answer() {
    let port = free_port();
    let cli = secretive(port).await;
    let public = |path: &str| format!("http://127.0.0.1:{port}/{path}");
    let summary = async || {
        let answer = reqwest::get(public("pages/shop/api/v2/summary.json")).await;
        let Ok(answer) = answer else { return Value::Null };
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default()
    };
    // It is down by now, which an incident and channels with secrets come of.
    let is_down = async || summary().await["components"][1]["status"] == "major_outage";
    wait_until("the page shows what is down", PATIENCE, is_down).await;
    let said = cli.json(&["pages", "export", "shop", "site"]).await;
    let files = files(&cli.folder.path().join("site"));
    assert_eq!(said["files"], json!(files.len()), "{said} {:?}", files.keys());
    for name in
        ["index.html", "feed.atom", "feed.rss", "feed.json", "logo", "api/v2/summary.json", "history/index.html"]
    {
        assert!(files.contains_key(&format!("pages/shop/{name}")), "{name} is not among {:?}", files.keys());
    }
    let index = String::from_utf8_lossy(&files["pages/shop/index.html"]).into_owned();
    assert!(index.contains("Orders are slow") && index.contains("Front") && !index.contains("/subscribe"), "{index}");
    for (name, bytes) in &files {
        assert_holds_nothing_private(&cli, name, bytes);
        if Path::new(name).extension().is_some_and(|kind| kind == "html") {
            for link in links(&String::from_utf8_lossy(bytes)) {
                let is_there = files.contains_key(&link) || files.contains_key(&format!("{link}/index.html"));
                assert!(is_there, "{name} leads to /{link}, which was not exported");
            }
        }
    }
    let others =
        ["status", "ping", "checks/check", "heartbeats/job", "api/status-page/shop", "api/status-page/heartbeat/shop"];
    let shown = files.keys().map(|name| name.trim_end_matches("/index.html").to_owned());
    for path in shown.chain(others.map(str::to_owned)).chain(["pages/shop/subscribe".to_owned()]) {
        let answer = reqwest::get(public(&path)).await.unwrap();
        let headers = format!("{:?}", answer.headers());
        assert_holds_nothing_private(&cli, &path, headers.as_bytes());
        assert_holds_nothing_private(&cli, &path, &answer.bytes().await.unwrap());
    }
    takes_over(&cli, &public("")).await;
    keeps_closed(&cli).await;
}

/// What Kuma shows of a page, the port for the public shows too.
async fn takes_over(cli: &CommandLine, from: &str) {
    let said = cli.said(&["import", "kuma-pages", "shop", "--from", from, "--dry-run", "--replace"]).await;
    assert!(said.contains("shop"), "{said}");
    let said = cli.said(&["import", "kuma-pages", "shop", "--from", from]).await;
    assert!(said.contains("left as it is; --replace writes over it"), "{said}");
    cli.said(&["import", "kuma-pages", "shop", "--from", from, "--replace"]).await;
    let page = cli.json(&["pages", "show", "shop"]).await;
    assert_eq!((&page["title"], &page["groups"][0]["name"]), (&json!("Shop"), &json!("Web")), "{page}");
    assert_eq!(page["groups"][0]["components"][0]["name"], "Front", "{page}");
    let (code, complaint) = cli.refused(&["import", "kuma-pages", "nowhere", "--from", from]).await;
    assert!(code != 0 && complaint.contains("nowhere"), "{complaint}");
}

async fn keeps_closed(cli: &CommandLine) {
    cli.said(&["pages", "edit", "shop", "--set", "password=correct horse"]).await;
    let (code, complaint) = cli.refused(&["pages", "export", "shop", "closed"]).await;
    assert!(code != 0 && complaint.contains("password"), "{complaint}");
    assert!(!cli.folder.path().join("closed").exists());
}
