//! A Slack bot tells an incident once, and when it is over turns its message green and answers in its thread.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use serde_json::{Value, json};

use crate::cluster::database::Kind;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

/// Method and body of each call, in order.
pub(super) type Calls = Arc<Mutex<Vec<(String, Value)>>>;

/// Takes everything, as Slack does.
pub(super) async fn slack() -> (String, Calls) {
    let calls = Calls::default();
    let app = Router::new().fallback(take).with_state(Arc::clone(&calls));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, calls)
}

async fn take(State(calls): State<Calls>, uri: Uri, body: String) -> String {
    let mut calls = calls.lock().unwrap();
    calls.push((uri.path().to_owned(), serde_json::from_str(&body).unwrap()));
    json!({ "ok": true, "channel": "C0123456789", "ts": format!("1763799989.{:06}", calls.len()) }).to_string()
}

pub(super) fn about(calls: &Calls, method: &str, words: &str) -> Vec<Value> {
    let calls = calls.lock().unwrap().clone();
    let is_it = |(path, body): &(String, Value)| {
        path.ends_with(method) && body["text"].as_str().is_some_and(|text| text.contains(words))
    };
    calls.into_iter().filter(is_it).map(|(_, body)| body).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_one_thread_whose_headline_turns_green() {
    let (url, calls) = slack().await;
    // What else a busy machine brings about would share a message with it, and a message about several is in no thread.
    let sections = format!(
        "[[channel]]\nname = \"ops\"\ntype = \"slack\"\nbot_token = \"xoxb-1\"\nchannel = \"#ops\"\napi_url = \"{url}\"\n\
         [[route]]\nmatch = {{ key = \"node/node1\" }}\nchannels = [\"ops\"]\n\
         [routing]\nunmatched = \"drop\"\n"
    );
    let shape = Shape { watchdogs: 2, nodes: 2, monitors: 4, ..Shape::default() };
    let mut cluster = Cluster::start_with(Kind::Sqlite, shape, &sections).await;
    cluster.process("node1").kill();
    let limit = Duration::from_secs(60);
    wait_until("the node's death is told", limit, async || !about(&calls, "postMessage", "node/node1").is_empty())
        .await;
    let opening = about(&calls, "postMessage", "node/node1");
    assert_eq!(opening[0]["channel"], "#ops");

    cluster.start_process("node1");
    let is_over = async || !about(&calls, "postMessage", "resolved: node/node1").is_empty();
    wait_until("its return is told", Duration::from_secs(120), is_over).await;
    let edit = about(&calls, "update", "resolved: node/node1").remove(0);
    let reply = about(&calls, "postMessage", "resolved: node/node1").remove(0);
    assert_eq!(edit["ts"], reply["thread_ts"], "{edit} {reply}");
    assert_eq!((&edit["channel"], &reply["channel"]), (&json!("C0123456789"), &json!("C0123456789")));
    let told = about(&calls, "postMessage", ": node/node1");
    let says = |message: &&Value, words: &str| message["text"].as_str().unwrap().contains(words);
    let is_change = |message: &&Value| says(message, "now critical") || says(message, "still critical");
    assert!(told.iter().filter(is_change).all(|change| change["thread_ts"] == edit["ts"]), "{told:#?}");
    // While it comes back it answers before it has a lease: that is another reason, told once.
    assert!(told.iter().filter(|message| says(message, "still critical")).count() <= 1, "{told:#?}");
    let others = told.iter().filter(|message| !is_change(message)).count();
    assert_eq!(others, 2, "once when it opened and once when it was over: {told:#?}");
}
