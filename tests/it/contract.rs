//! The contract of the HTTP API, tried from outside: schemathesis reads the document of a real watchdog and sends what the
//! document allows and what it does not. No answer may be a 5xx or one that the document does not know.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::cluster::database::Kind;
use crate::cluster::{Cluster, Shape};

/// Of one run; all of them take less than three minutes together.
const LIMIT: Duration = Duration::from_secs(150);

/// Could take away the key that the others are tried with.
const REMOVES_KEYS: &str = "delete_v1_apikeys_id";

/// What is made up is not looked at: no try waits for a host that is none of ours.
const NOWHERE: &str = "[checks]\ndeny = [\"0.0.0.0/0\", \"::/0\"]\n";

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";

async fn run(cluster: &Cluster, which: &[&str]) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/schemathesis/bin/st");
    let mut command = Command::new(program);
    command.args(["run", &cluster.url_of("w1", "/api/v1/openapi.json"), "--checks", CHECKS]);
    command.args(["--header", &format!("Authorization: Bearer {}", cluster.api_key())]);
    // One seed: what is found today is found tomorrow.
    command.args(["--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--seed", "4"]);
    command.args(["--generation-database", "none", "--no-color", "--suppress-health-check", "all"]);
    let output = tokio::time::timeout(LIMIT, command.args(which).kill_on_drop(true).output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// Some of what is tried, so that none of it drops out of the document unseen.
const TRIED: [&str; 12] = [
    "/api/v1/checks",
    "/api/v1/checks/bulk",
    "/api/v1/checks/try",
    "/api/v1/checks/{name}",
    "/api/v1/checks/{name}/results",
    "/api/v1/checks/{name}/transitions",
    "/api/v1/checks/{name}/uptime",
    "/api/v1/monitors/{id}",
    "/checks/{name}",
    "/peer/v1/look",
    "/peer/v1/opinion",
    "/peer/v1/try",
];

#[tokio::test]
#[ignore = "needs schemathesis"]
async fn generated_requests_get_documented_answers_only() {
    let shape = Shape { watchdogs: 1, nodes: 2, monitors: 10, ..Shape::default() };
    let cluster = Cluster::start_with(Kind::Sqlite, shape, NOWHERE).await;
    let document = reqwest::get(cluster.url_of("w1", "/api/v1/openapi.json")).await.unwrap().bytes().await.unwrap();
    let document: Value = serde_json::from_slice(&document).unwrap();
    let missing = TRIED.into_iter().filter(|path| document["paths"].get(path).is_none());
    assert_eq!(missing.collect::<Vec<_>>(), [""; 0]);
    run(&cluster, &["--exclude-operation-id", REMOVES_KEYS]).await;
    // The key was good to the end: it was not its refusal that was documented.
    cluster.post("/api/v1/cluster/thaw", &Value::Null).await;
    run(&cluster, &["--include-operation-id", REMOVES_KEYS]).await;
}
