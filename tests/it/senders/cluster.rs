//! The senders at real watchdogs: what the document shows, and the command line as a client of the API.

use std::process::Output;

use serde_json::{Value, json};

use super::documents::{Home, assert_went_well, block};
use crate::cluster::database::Kind;
use crate::cluster::{Cluster, Shape};

/// Two watchdogs, the first of them asked through a list that begins with one that is gone.
async fn start() -> (Cluster, Home) {
    let cluster = Cluster::start(Kind::Sqlite, Shape { watchdogs: 2, nodes: 1, monitors: 1, ..Shape::default() }).await;
    let gone = format!("http://127.0.0.1:{}", crate::cluster::ports::free_port());
    let home = Home::new(format!("{gone},{},{}", cluster.url_of("w2", ""), cluster.url_of("w1", "")));
    home.write("api.key", cluster.api_key());
    (cluster, home)
}

async fn komainu(home: &Home, line: &[&str]) -> Output {
    let mut command = home.command("komainu");
    command.args(line).env("KOMAINU_KEY_FILE", home.path().join("api.key"));
    command.output().await.unwrap()
}

/// What the command line says, which must go well.
async fn said(home: &Home, line: &[&str]) -> String {
    let output = komainu(home, line).await;
    assert_went_well(&output);
    String::from_utf8(output.stdout).unwrap()
}

async fn shown(home: &Home, name: &str) -> Value {
    serde_json::from_str(&said(home, &["heartbeats", "show", name, "--pushes", "100", "--json"]).await).unwrap()
}

/// Of the pushes that the watchdogs keep, the latest first.
async fn statuses(home: &Home, name: &str) -> Vec<String> {
    let shown = shown(home, name).await;
    let pushes = shown["pushes"].as_array().unwrap();
    pushes.iter().map(|push| push["status"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
#[ignore = "needs curl, openssl, python3 and Node.js"]
async fn all_that_the_document_shows_works_at_a_real_watchdog() {
    let (cluster, home) = start().await;
    let body = json!({"name": "backup", "period_s": 86_400, "allow_sha1": true});
    let added = cluster.post("/api/v1/heartbeats", &body).await;
    home.store(added["secret"].as_str().unwrap()).await;
    for (file, program, text) in [
        ("heartbeat.sh", "bash", block("bash", "curl")),
        ("heartbeat.py", "python3", block("python", "hmac")),
        ("heartbeat.mjs", "node", block("js", "#!/usr/bin/env node")),
    ] {
        let file = home.write(file, text);
        for status in ["start", "fail", "ok"] {
            assert_went_well(&home.run(program, &[file.to_str().unwrap(), status, "a word"]).await);
        }
        assert_eq!(statuses(&home, "backup").await[..3], ["ok", "fail", "start"], "{program}");
        assert_eq!(shown(&home, "backup").await["last_message"], "a word", "{program}");
    }
    // These lines speak to one watchdog.
    let one = format!("export KOMAINU_URL={}\n", cluster.url_of("w1", ""));
    for words in ["-sha256", "-sha1", "komainu wrap"] {
        let before = statuses(&home, "backup").await.len();
        assert_went_well(&home.paste(&format!("{one}{}", block("sh", words))).await);
        assert!(statuses(&home, "backup").await.len() > before, "{words}");
    }
    assert_eq!(shown(&home, "backup").await["state"], "up");
}

#[tokio::test]
#[ignore = "needs curl, openssl, python3 and Node.js"]
async fn a_heartbeat_lives_its_life_on_the_command_line() {
    let (_cluster, home) = start().await;
    let schedule = ["--cron", "0 3 * * *", "--time-zone", "Europe/Berlin", "--grace", "1h", "--print", "curl"];
    let printed = said(&home, &[&["heartbeats", "add", "nightly"], &schedule[..]].concat()).await;
    assert!(said(&home, &["heartbeats", "list"]).await.contains("0 3 * * * Europe/Berlin, grace 1h"));
    assert_eq!(shown(&home, "nightly").await["state"], "new");
    assert_went_well(&home.paste(&printed).await);
    assert_eq!(shown(&home, "nightly").await["state"], "up");
    // A new secret, in other languages; the old one is good meanwhile.
    for kind in ["python", "node"] {
        let before = home.path().join(".config/komainu/nightly.sh");
        let printed = said(&home, &["heartbeats", "rotate", "nightly", "--overlap", "1h", "--print", kind]).await;
        assert_went_well(&home.run(before.to_str().unwrap(), &[]).await);
        assert_went_well(&home.paste(&printed).await);
    }
    assert_eq!(statuses(&home, "nightly").await, ["ok"; 5]);
    // Without an overlap the old one is refused, in the watchdog's own words.
    let secret = said(&home, &["heartbeats", "rotate", "nightly", "--overlap", "0s"]).await;
    let stored = ".config/komainu/nightly.secret";
    let refused = komainu(&home, &["send", "nightly", "--secret-file", stored]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("(HTTP 403)"), "{refused:?}");
    home.write(stored, &secret);
    let line = ["wrap", "nightly", "--secret-file", stored, "--", "sh", "-c", "echo half; exit 3"];
    assert_eq!(komainu(&home, &line).await.status.code(), Some(3));
    let heartbeat = shown(&home, "nightly").await;
    assert_eq!((&heartbeat["state"], &heartbeat["last_exit_code"]), (&json!("failed"), &json!(3)));
    assert_eq!(heartbeat["last_message"], "half");
    assert!(said(&home, &["heartbeats", "list", "--state", "failed"]).await.contains("nightly"));
    // Changed, and gone.
    said(&home, &["heartbeats", "edit", "nightly", "--period", "1d", "--max-runtime", "2h", "--tags", "db,night"])
        .await;
    let edited = shown(&home, "nightly").await;
    let fields = ["period_s", "cron", "grace_s", "max_runtime_s", "tags"].map(|field| edited[field].clone());
    assert_eq!(fields, [json!(86_400), Value::Null, json!(3_600), json!(7_200), json!(["db", "night"])]);
    said(&home, &["heartbeats", "edit", "nightly", "--max-runtime", "none"]).await;
    assert_eq!(shown(&home, "nightly").await["max_runtime_s"], Value::Null);
    said(&home, &["heartbeats", "delete", "nightly"]).await;
    let gone = komainu(&home, &["heartbeats", "show", "nightly"]).await;
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("no heartbeat nightly"), "{gone:?}");
}
