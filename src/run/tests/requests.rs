//! What a target is asked.

use axum::http::header;

use super::servers::{closed_port, one_answer, serve};
use super::*;

#[tokio::test]
async fn a_request_carries_what_the_monitor_says() {
    let server = serve().await;
    let user_agent = format!("|komainu/{}|node1|", env!("CARGO_PKG_VERSION"));
    for part in
        ["POST", &user_agent, "application/json", "Basic dXNlcjpwYXNz", "text/plain", "seven", "{\"a\":1}", "bust"]
    {
        let monitor = MonitorSpec {
            kind: "keyword".to_owned(),
            method: "post".to_owned(),
            body: Some("{ \"a\": 1 }".to_owned()),
            headers: Some(r#"{"X-Mark": "seven", "Accept": "text/plain"}"#.to_owned()),
            auth_method: Some("basic".to_owned()),
            basic_auth_user: Some("user".to_owned()),
            basic_auth_pass: Some("pass".to_owned()),
            cache_bust: true,
            keyword: Some(part.to_owned()),
            ..http(server, "/echo")
        };
        assert_eq!(run(&monitor).await.msg, "200 - OK, keyword is found", "{part}");
    }
}

#[tokio::test]
async fn a_name_that_somebody_chose_is_that_of_all_nodes_and_a_monitors_own_wins() {
    let server = serve().await;
    let chosen = header::HeaderValue::from_static("Uptime-Kuma/2.5.3");
    let monitor = MonitorSpec { keyword: Some("|Uptime-Kuma/2.5.3|node2|".to_owned()), ..http(server, "/echo") };
    let monitor = MonitorSpec { kind: "keyword".to_owned(), ..monitor };
    let runs = Runs::new(http::Caller::new(&NodeId::from("node2"), Some(&chosen)), queries::tests::program());
    assert_eq!(runs.run(&monitor).await.status, RunStatus::Up);
    let own = MonitorSpec {
        headers: Some(r#"{"user-agent": "mine"}"#.to_owned()),
        keyword: Some("|mine|node2|".to_owned()),
        ..monitor
    };
    assert_eq!(runs.run(&own).await.status, RunStatus::Up);
}

#[tokio::test]
async fn a_bearer_token_is_sent() {
    let server = serve().await;
    let monitor = MonitorSpec {
        kind: "keyword".to_owned(),
        auth_method: Some("bearer".to_owned()),
        bearer_token: Some("t0ken".to_owned()),
        keyword: Some("Bearer t0ken".to_owned()),
        ..http(server, "/echo")
    };
    assert_eq!(run(&monitor).await.status, RunStatus::Up);
}

#[tokio::test]
async fn a_body_that_is_no_json_is_told_before_anything_is_sent() {
    let monitor = MonitorSpec { body: Some("{ a }".to_owned()), ..http(closed_port().await, "/") };
    assert!(run(&monitor).await.msg.starts_with("Your JSON body is invalid. "));
}

#[tokio::test]
async fn a_user_and_password_in_the_address_are_sent_and_win_over_headers() {
    let server = serve().await;
    let monitor = MonitorSpec {
        url: Some(format!("http://joe:s%33@{server}/echo")),
        headers: Some(r#"{"Authorization": "Bearer x"}"#.to_owned()),
        keyword: Some("Basic am9lOnMz".to_owned()),
        ..blank("keyword")
    };
    assert_eq!(run(&monitor).await.msg, "200 - OK, keyword is found");
}

#[tokio::test]
async fn a_request_without_a_body_says_so_where_one_is_expected() {
    for (method, says) in [("POST", true), ("PUT", true), ("PATCH", true), ("GET", false), ("DELETE", false)] {
        let (server, asked) = one_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        run(&MonitorSpec { method: method.to_owned(), ..http(server, "/") }).await;
        let asked = asked.await.unwrap().to_ascii_lowercase();
        assert_eq!(asked.contains("content-length: 0"), says, "{asked}");
    }
}
