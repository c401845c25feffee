//! Alertmanager's own client, as it exists, at a watchdog.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use crate::cluster::database::Kind;
use crate::cluster::{Cluster, Shape};

/// What `tests/run` puts there; `None`: it could not be had, and that is said.
#[expect(clippy::print_stderr, reason = "a test that tries nothing says so")]
fn installed() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/amtool/usr/bin/amtool");
    if !path.exists() {
        eprintln!("left out: amtool is not installed");
    }
    path.exists().then_some(path)
}

/// Runs it, as docs/silences.md says; what it prints.
async fn amtool(program: &Path, cluster: &Cluster, words: &[&str]) -> Result<String, String> {
    let http = cluster.folder().join("amtool-http.yml");
    std::fs::write(&http, format!("authorization:\n  credentials: {}\n", cluster.api_key())).unwrap();
    let mut command = Command::new(program);
    command.arg(format!("--alertmanager.url={}", cluster.url_of("w1", "/alertmanager")));
    command.arg(format!("--http.config.file={}", http.display())).args(words).kill_on_drop(true);
    let output = command.env("NO_PROXY", "127.0.0.1").env("HOME", cluster.folder()).output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs amtool"]
async fn amtool_lists_what_is_wrong_and_makes_finds_and_ends_silences() {
    let Some(program) = installed() else { return };
    let shape = Shape { watchdogs: 1, nodes: 1, monitors: 2, ..Shape::default() };
    let cluster = Cluster::start(Kind::Sqlite, shape).await;
    let say = async |words: &[&str]| amtool(&program, &cluster, words).await.unwrap();
    let list = async |words: &[&str]| serde_json::from_str::<Value>(&say(words).await).unwrap();
    for key in ["later/1", "later/2"] {
        let open = "INSERT INTO komainu_incident (k, severity, summary, opened_at, last_bad_at) VALUES";
        cluster.database.execute(&format!("{open} ('{key}', 'critical', 'it is \"wrong\"', 1000, 2000)")).await;
    }
    let alerts = list(&["alert", "query", "-o", "json"]).await;
    assert_eq!(alerts.as_array().unwrap().len(), 2);
    assert!(say(&["alert", "query", "later/1"]).await.contains("it is \"wrong\""));
    assert!(say(&["cluster", "show"]).await.contains("ready"));

    let id = say(&["silence", "add", "later/1", "--comment", "we know", "--author", "ada"]).await;
    let shown = list(&["silence", "query", "-o", "json"]).await;
    assert_eq!((shown[0]["id"].as_str(), shown[0]["createdBy"].as_str()), (Some(id.trim()), Some("ada")));
    assert_eq!(shown[0]["matchers"][0]["name"], "key");
    let left = list(&["alert", "query", "-o", "json"]).await;
    assert_eq!(left.as_array().unwrap().len(), 1, "what is silenced is not shown unless it is asked for");
    assert_eq!(list(&["alert", "query", "--silenced", "-o", "json"]).await[0]["labels"]["alertname"], "later/1");

    let other = say(&["silence", "update", id.trim(), "--duration", "3h", "--comment", "it takes longer"]).await;
    assert!(other.contains("it takes longer"), "{other}");
    let now = list(&["silence", "query", "-o", "json"]).await;
    let now = now[0]["id"].as_str().unwrap();
    say(&["silence", "expire", now]).await;
    assert_eq!(list(&["silence", "query", "-o", "json"]).await.as_array().unwrap().len(), 0);
    let audited = cluster.database.rows("SELECT COUNT(*) FROM komainu_audit WHERE what LIKE 'silence.%'").await;
    assert_eq!(audited, [["4"]]);

    let refused = amtool(&program, &cluster, &["silence", "add", "instance=x", "--comment", "x"]).await.unwrap_err();
    assert!(refused.contains("there is no label instance"), "{refused}");
    let gone = amtool(&program, &cluster, &["silence", "expire", "no-such"]).await.unwrap_err();
    assert!(gone.contains("404"), "{gone}");
}
