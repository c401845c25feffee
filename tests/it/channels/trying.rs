//! `komainu notify test` says what each vendor answered, and fails when one took nothing.

use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use komainu::keys::ClusterKey;
use tempfile::TempDir;
use tokio::process::Command;

use crate::cluster::ports::free_port;

/// The whole command; a channel itself takes less than 12 s.
const LIMIT: Duration = Duration::from_secs(30);

struct Host {
    folder: TempDir,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Host {
    /// A Slack that takes everything, one that knows no such webhook, a Pushbullet whose quota is used up, and nobody.
    async fn start() -> Self {
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let keep = Arc::clone(&heard);
        let take = async move |body: String| {
            keep.lock().unwrap().push(body);
            "ok"
        };
        let quota = r#"{"error":{"code":"pushbullet_pro_required","message":"Pushbullet Pro is required."}}"#;
        let app = Router::new()
            .route("/services/good", post(take))
            .route("/services/gone/hunter2", post(async || (StatusCode::NOT_FOUND, "no_service")))
            .route("/v2/pushes", post(async move || (StatusCode::BAD_REQUEST, quota)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let vendor = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "[cluster]\nname = \"test\"\nkey = \"{key}\"\n[database]\nurl = \"sqlite:///nowhere/x.sqlite\"\n\
             [watchdog]\nid = \"w1\"\npublic_url = \"https://komainu.example.com/\"\n\
             [[channel]]\nname = \"good\"\ntype = \"slack\"\nwebhook_url = \"{vendor}/services/good\"\n\
             [[channel]]\nname = \"gone\"\ntype = \"slack\"\nwebhook_url = \"{vendor}/services/gone/hunter2\"\n\
             [[channel]]\nname = \"phone\"\ntype = \"pushbullet\"\ntoken = \"o.hunter2\"\napi_url = \"{vendor}\"\n\
             [[channel]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{nobody}/hunter2\"\n",
            key = ClusterKey::generate().reveal(),
            nobody = free_port(),
        );
        std::fs::write(folder.path().join("komainu.toml"), config).unwrap();
        Self { folder, heard }
    }

    async fn notify_test(&self, what: &str) -> (Output, String) {
        let ended = Command::new(env!("CARGO_BIN_EXE_komainu"))
            .args(["notify", "test", what])
            .current_dir(self.folder.path())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(LIMIT, ended).await.unwrap().unwrap();
        let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8(text.clone()).unwrap()).concat();
        assert!(!said.contains("hunter2"), "{said}");
        (output, said)
    }
}

#[tokio::test]
async fn a_channel_that_works_gets_a_test_message_and_shows_the_answer() {
    let host = Host::start().await;
    let (output, said) = host.notify_test("good").await;
    assert!(output.status.success(), "{said}");
    assert!(said.lines().any(|line| line.split_whitespace().eq(["good", "taken", "200:", "ok"])), "{said}");
    let heard = host.heard.lock().unwrap().clone();
    assert!(
        heard[0].contains("this is only a test") && heard[0].contains("https://komainu.example.com/runbook#channel")
    );
}

#[tokio::test]
async fn one_channel_that_fails_fails_the_command_and_the_others_are_tried_all_the_same() {
    let host = Host::start().await;
    let (output, said) = host.notify_test("--all").await;
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in [
        &["good", "taken", "200: ok"],
        &["gone", "refused", "answered 404: no_service"],
        &["phone", "refused", "Pushbullet's quota is used up"],
        &["hook", "not reached", "Connection refused"],
    ] {
        assert!(said.lines().any(|line| words.iter().all(|word| line.contains(word))), "{words:?} are not in\n{said}");
    }
    assert!(said.contains("3 of 4 channels took no message"), "{said}");
    assert_eq!(host.heard.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_channel_that_is_not_configured_is_named_with_those_that_are() {
    let host = Host::start().await;
    let (output, said) = host.notify_test("god").await;
    assert!(!output.status.success());
    assert!(said.contains("no [[channel]] has that name; it has gone, good, hook, phone"), "{said}");
}
