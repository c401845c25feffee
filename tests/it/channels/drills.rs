//! `komainu notify drill` goes through the outbox of a real cluster, says how long that took, and leaves nothing behind at Slack.

use tokio::process::Command;

use super::threads::{about, slack};
use crate::cluster::database::Kind;
use crate::cluster::{Cluster, Shape};

async fn komainu(cluster: &Cluster, line: &[&str]) -> String {
    let file = cluster.folder().join("drill.key");
    std::fs::write(&file, cluster.api_key()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_komainu"));
    command.args(line).env("KOMAINU_URL", cluster.url_of("w1", "")).env("KOMAINU_KEY_FILE", file);
    let output = command.output().await.unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_goes_the_whole_way_and_is_deleted_at_slack() {
    let (url, calls) = slack().await;
    let sections = format!(
        "[[channel]]\nname = \"ops\"\ntype = \"slack\"\nbot_token = \"xoxb-1\"\nchannel = \"#ops\"\napi_url = \"{url}\"\n\
         [routing]\nunmatched = \"drop\"\n"
    );
    let shape = Shape { watchdogs: 2, nodes: 1, monitors: 1, ..Shape::default() };
    let cluster = Cluster::start_with(Kind::Sqlite, shape, &sections).await;
    let said = komainu(&cluster, &["notify", "drill", "--all"]).await;
    assert!(said.contains("ops") && said.contains("sent") && said.contains(" ms"), "{said}");
    assert_eq!(about(&calls, "postMessage", "drill, nothing is wrong: drill/ops").len(), 1);
    let deleted = async || calls.lock().unwrap().iter().any(|(path, _)| path.ends_with("chat.delete"));
    crate::cluster::wait::wait_until("it is deleted", std::time::Duration::from_secs(20), deleted).await;
    let listed = komainu(&cluster, &["incidents", "list", "--all", "--key", "drill", "--json"]).await;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let id = listed[0]["id"].to_string();
    let deliveries = komainu(&cluster, &["incidents", "deliveries", &id]).await;
    assert!(deliveries.contains("C0123456789") && deliveries.contains("sent"), "{deliveries}");
    let all = komainu(&cluster, &["incidents", "list", "--all"]).await;
    assert!(!all.contains("drill/ops"), "{all}");
}
