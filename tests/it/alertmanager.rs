//! A real Alertmanager, told by a channel of the preset of that name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use komainu::channels::Channels;
use komainu::clock;
use komainu::config::Config;
use komainu_notifiers::{EventKind, Item, Notice, Severity};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::cluster::ports::free_port;
use crate::cluster::wait::wait_until;

/// What `tests/run` puts there, beside amtool; `None`: it could not be had, and that is said.
#[expect(clippy::print_stderr, reason = "a test that tries nothing says so")]
fn installed() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/amtool/usr/bin/prometheus-alertmanager");
    if !path.exists() {
        eprintln!("left out: Alertmanager is not installed");
    }
    path.exists().then_some(path)
}

/// Debian's reads its words from below /usr/share; it sees what was unpacked there, and nobody else does.
const SEEING_ITS_OWN: &str = "mount --bind \"$0\" /usr/share && exec \"$@\"";

/// One that tells nobody.
async fn start(program: &Path, folder: &Path) -> (Child, String) {
    let port = free_port();
    let config = folder.join("alertmanager.yml");
    std::fs::write(&config, "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n").unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", SEEING_ITS_OWN]);
    command.arg(program.ancestors().nth(3).unwrap().join("usr/share")).arg(program);
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.path={}", folder.join("alertmanager").display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--cluster.listen-address=");
    let running = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let url = format!("http://127.0.0.1:{port}");
    let is_ready = async || get(&format!("{url}/-/ready")).await.is_some();
    wait_until("Alertmanager is ready", Duration::from_secs(60), is_ready).await;
    (running, url)
}

async fn get(url: &str) -> Option<String> {
    let answer = reqwest::get(url).await.ok()?.error_for_status().ok()?;
    answer.text().await.ok()
}

async fn alerts(url: &str) -> Vec<Value> {
    serde_json::from_str(&get(&format!("{url}/api/v2/alerts")).await.unwrap()).unwrap()
}

fn notice(keys: &[&str], event: EventKind) -> Notice {
    let now_ms = clock::wall().0;
    let item = |key: &&str| Item {
        incident_id: "1".to_owned(),
        event,
        key: (*key).to_owned(),
        name: None,
        severity: Severity::Critical,
        summary: "it is \"wrong\" <b>größer</b>".to_owned(),
        opened_at_ms: now_ms - 60_000,
        first_opened_at_ms: None,
        at_ms: now_ms,
        votes: (3, 3),
        done: vec![],
        runbook_url: "http://127.0.0.1:1/runbook#node".to_owned(),
        instead_of: None,
        acknowledged_by: None,
        answers: vec![],
    };
    Notice {
        id: format!("notice-{now_ms}"),
        cluster: "prod".to_owned(),
        items: keys.iter().map(item).collect(),
        is_digest: false,
        doubt: None,
        lateness: None,
        threads: BTreeMap::new(),
        told_to: vec![],
        time_zone: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Alertmanager"]
async fn alertmanager_has_what_komainu_tells_it_until_it_is_over() {
    let Some(program) = installed() else { return };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let (_running, url) = start(&program, folder.path()).await;
    std::fs::write(folder.path().join("cluster.key"), komainu::keys::ClusterKey::generate().reveal()).unwrap();
    let file = folder.path().join("komainu.toml");
    let text = format!(
        "[cluster]\nname = \"prod\"\nkey_file = \"cluster.key\"\n[database]\nurl = \"sqlite://x.db\"\n\
         [watchdog]\nid = \"w1\"\n[[channel]]\nname = \"am\"\ntype = \"template\"\npreset = \"alertmanager\"\n\
         values = {{ url = \"{url}\" }}\n"
    );
    std::fs::write(&file, text).unwrap();
    let channels = Channels::prepare(&Config::load(&file).unwrap().channels).unwrap();
    let channel = &channels.named("am").unwrap().channel;

    channel.send(&notice(&["node/node1", "monitor/7"], EventKind::Opened)).await.unwrap();
    let open = alerts(&url).await;
    let keys: Vec<&str> = open.iter().map(|alert| alert["labels"]["key"].as_str().unwrap()).collect();
    assert_eq!(open.len(), 2, "{open:?}");
    assert!(keys.contains(&"node/node1") && keys.contains(&"monitor/7"), "{open:?}");
    assert_eq!(open[0]["annotations"]["summary"], "it is \"wrong\" <b>größer</b>");
    let ends: jiff::Timestamp = open[0]["endsAt"].as_str().unwrap().parse().unwrap();
    assert!(ends > jiff::Timestamp::now() + Duration::from_secs(86_400), "it would forget it: {ends}");

    let tested = Command::new(env!("CARGO_BIN_EXE_komainu"))
        .args(["notify", "test", "am", "--config"])
        .arg(&file)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&tested.stdout).into_owned();
    assert!(tested.status.success() && said.contains("taken"), "{said}");
    let is_over = async || alerts(&url).await.len() == 2;
    wait_until("the test is over", Duration::from_secs(30), is_over).await;

    channel.send(&notice(&["node/node1"], EventKind::Resolved)).await.unwrap();
    let is_over = async || alerts(&url).await.len() == 1;
    wait_until("node1 is over", Duration::from_secs(30), is_over).await;
    assert_eq!(alerts(&url).await[0]["labels"]["key"], "monitor/7");
}
