//! What the gateway keeps away: too much, too often, too curious.

use std::time::Duration;

use serde_json::json;

use super::stage::Stage;
use crate::cluster::wait::wait_until;

#[tokio::test]
#[ignore = "needs nginx"]
async fn bodies_have_their_limits() {
    let stage = Stage::start(1, 1).await;
    let kib = 1_024;
    let table = [
        ("/heartbeats/backup", 64 * kib),
        ("/api/v1/monitors", 1_024 * kib),
        ("/api/v1/monitors/bulk", 16 * 1_024 * kib),
        ("/upload", 1_024 * kib),
    ];
    for (path, limit) in table {
        let key = [("authorization", "Bearer kmn_some")];
        let fits = stage.send("POST", path, &key, &"x".repeat(limit)).await;
        assert_eq!(fits.status, 200, "{path}: {fits:?}");
        let refused = stage.send("POST", path, &key, &"x".repeat(limit + 1)).await;
        assert_eq!((refused.status, refused.header("content-type")), (413, "application/problem+json"), "{path}");
        assert_eq!(refused.json()["status"], 413);
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn heartbeats_of_one_name_come_fifty_a_second_and_a_few_more() {
    let stage = Stage::start(1, 1).await;
    let mut seen = Vec::new();
    // On a slow machine the first two hundred take seconds, and none of them is too many.
    let is_refused = async || {
        let pushes = (0..200).map(|_| stage.send("POST", "/heartbeats/backup", &[], "{}"));
        seen.extend(futures_util::future::join_all(pushes).await);
        seen.iter().any(|heard| heard.status == 429)
    };
    wait_until("some are too many", Duration::from_secs(30), is_refused).await;
    let refused = seen.iter().find(|heard| heard.status == 429).unwrap();
    assert_eq!((refused.header("retry-after"), &refused.json()["status"]), ("1", &json!(429)));
    assert!(seen.iter().filter(|heard| heard.status == 200).count() >= 50, "fifty at once are fine");
    // Neither another name, nor whoever asks how it is.
    assert_eq!(stage.send("POST", "/heartbeats/mail", &[], "{}").await.status, 200);
    assert_eq!(stage.get("/heartbeats/backup").await.status, 200);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn answers_say_little_and_forbid_guessing() {
    let mut stage = Stage::start(1, 1).await;
    for path in ["/", "/status", "/lb/ping", "/lb/routes"] {
        let heard = stage.get(path).await;
        assert_eq!(heard.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(heard.header("referrer-policy"), "same-origin", "{path}");
        assert_eq!((heard.header("server"), heard.header("x-powered-by")), ("nginx", ""), "{path}");
        assert_eq!(heard.header("strict-transport-security"), "", "{path}");
    }
    stage.nodes[0].die().await;
    let page = stage.get("/").await;
    assert_eq!(page.header("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn what_a_node_claims_about_the_gateway_is_not_believed() {
    let stage = Stage::start(1, 1).await;
    let heard = stage.send("GET", "/claims", &[("forwarded", "for=9.9.9.9"), ("x-routed-to", "me")], "").await;
    assert_eq!((heard.status, heard.node().as_str()), (200, "node1"), "answered by the node, not sent to /lb/ping");
    assert_eq!((heard.header("x-routed-via"), heard.header("x-routes-stale")), ("load-balancer", ""));
    let log = stage.nodes[0].log();
    assert!(!log.last().unwrap().headers.contains_key("forwarded"), "{log:?}");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn who_asks_is_what_the_connection_says() {
    let claims = [("x-forwarded-for", "9.9.9.9"), ("x-real-ip", "9.9.9.9"), ("x-forwarded-proto", "gopher")];
    for (trusted, expected) in [("", "127.0.0.1"), ("127.0.0.1,10.0.0.0/8", "9.9.9.9")] {
        let stage = Stage::start_with(1, 1, &[("KOMAINU_GATEWAY_TRUSTED_PROXIES", trusted)]).await;
        stage.send("GET", "/who", &claims, "").await;
        let log = stage.nodes[0].log();
        let asked = log.iter().find(|request| request.path == "/who").unwrap();
        let header = |name: &str| asked.headers.get(name).cloned().unwrap_or_default();
        assert_eq!((header("x-forwarded-for"), header("x-real-ip")), (expected.to_owned(), expected.to_owned()));
        assert_eq!(header("x-forwarded-proto"), "http");
        assert_eq!(header("host"), format!("127.0.0.1:{}", stage.gateway.port()));
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn with_a_certificate_it_speaks_tls_and_sends_the_others_there() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let port = crate::cluster::ports::free_port();
    let more = [
        ("KOMAINU_GATEWAY_TLS_CERT", cert.to_str().unwrap()),
        ("KOMAINU_GATEWAY_TLS_KEY", key.to_str().unwrap()),
        ("KOMAINU_GATEWAY_TLS_LISTEN", &format!("127.0.0.1:{port}")),
    ];
    let stage = Stage::start_with(1, 1, &more).await;
    let plain = stage.get("/dashboard?a=b").await;
    let there = format!("https://127.0.0.1:{port}/dashboard?a=b");
    assert_eq!((plain.status, plain.header("location")), (308, there.as_str()));
    assert_eq!((plain.header("x-content-type-options"), plain.header("referrer-policy")), ("nosniff", "same-origin"));

    let trusted = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let http = reqwest::Client::builder().tls_certs_only([trusted]).build().unwrap();
    let answer = http.get(format!("https://localhost:{port}/lb/fixed-node/node1")).send().await.unwrap();
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000");
    assert!(answer.headers()["set-cookie"].to_str().unwrap().ends_with("; SameSite=Lax; Secure"));
    let answer = http.get(format!("https://localhost:{port}/")).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["x-routed-to"]), (200, &"node1".parse().unwrap()));
    let log = stage.nodes[0].log();
    assert_eq!(log.last().unwrap().headers["x-forwarded-proto"], "https");
}

#[test]
#[ignore = "needs nginx"]
fn settings_that_cannot_be_end_the_start_and_say_why() {
    let start = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("compose/openresty/start");
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "too short\n").unwrap();
    let key = key.to_str().unwrap();
    let ca = folder.path().join("ca.crt");
    std::fs::write(&ca, rcgen::generate_simple_self_signed(["w1".to_owned()]).unwrap().cert.pem()).unwrap();
    let table = [
        (vec![], "KOMAINU_WATCHDOGS names no watchdog"),
        (vec![("KOMAINU_WATCHDOGS", "http://127.0.0.1:1")], "KOMAINU_GATEWAY_KEY_FILE is no file"),
        (
            vec![("KOMAINU_WATCHDOGS", "http://127.0.0.1:1"), ("KOMAINU_GATEWAY_KEY_FILE", key)],
            "a gateway's key is 64 hex digits",
        ),
        (
            vec![("KOMAINU_WATCHDOGS", "w1:8900"), ("KOMAINU_GATEWAY_KEY_FILE", key)],
            "KOMAINU_WATCHDOGS: not a base address: w1:8900",
        ),
        (
            vec![("KOMAINU_WATCHDOGS", "https://w1:8900"), ("KOMAINU_GATEWAY_KEY_FILE", key)],
            "KOMAINU_GATEWAY_CA names no file",
        ),
        (
            vec![
                ("KOMAINU_WATCHDOGS", "https://w1,http://w2"),
                ("KOMAINU_GATEWAY_KEY_FILE", key),
                ("KOMAINU_GATEWAY_CA", ca.to_str().unwrap()),
            ],
            "all of them http://, or all of them https://",
        ),
        (vec![("KOMAINU_GATEWAY_LISTEN", "8080; include /etc/passwd")], "holds a character"),
        (vec![("KOMAINU_GATEWAY_LISTEN", "8080\n80")], "holds a character"),
        (vec![("KOMAINU_GATEWAY_REQUESTS_OF_ADDRESS", "many")], "\"many\" is no number of requests"),
    ];
    for (variables, expected) in table {
        let mut command = std::process::Command::new(&start);
        command.env("KOMAINU_GATEWAY_DIR", folder.path().join("place")).envs(variables.clone());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(expected), "{variables:?}: {said}");
    }
}
