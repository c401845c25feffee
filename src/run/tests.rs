//! Runs against real servers on the loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::ids::{MonitorId, NodeId};
use tokio::net::TcpListener;

use self::servers::{closed_port, endless, half_an_answer, one_answer, serve, serve_tls};
use super::*;

mod certificates;
mod looks;
mod requests;
mod servers;

#[tokio::test]
async fn an_accepted_answer_is_up() {
    let server = serve().await;
    let result = run(&http(server, "/ok")).await;
    assert_eq!((result.status, result.msg.as_str()), (RunStatus::Up, "200 - OK"));
    assert!(result.ping_ms.is_some());
}

#[tokio::test]
async fn a_status_code_that_is_not_accepted_is_down() {
    let server = serve().await;
    let result = run(&http(server, "/missing")).await;
    assert_eq!((result.status, result.msg.as_str()), (RunStatus::Down, "Request failed with status code 404"));
}

#[tokio::test]
async fn a_404_that_is_accepted_is_up() {
    let server = serve().await;
    let monitor =
        MonitorSpec { accepted_statuscodes_json: r#"["200-299", "404"]"#.to_owned(), ..http(server, "/missing") };
    assert_eq!(run(&monitor).await.msg, "404 - Not Found");
}

#[tokio::test]
async fn redirects_are_followed_as_often_as_allowed() {
    let server = serve().await;
    let monitor = MonitorSpec { maxredirects: 3, ..http(server, "/redirect/3") };
    assert_eq!(run(&monitor).await.msg, "200 - OK");
    let monitor = MonitorSpec { maxredirects: 2, ..http(server, "/redirect/3") };
    assert_eq!(run(&monitor).await.msg, "Maximum number of redirects exceeded");
}

#[tokio::test]
async fn without_redirects_the_first_answer_counts() {
    let server = serve().await;
    let monitor = MonitorSpec { maxredirects: 0, ..http(server, "/redirect/1") };
    assert_eq!(run(&monitor).await.msg, "Request failed with status code 307");
}

#[tokio::test]
async fn cookies_last_for_one_run_and_no_longer_and_are_those_of_https() {
    let (server, _) = serve_tls().await;
    let https = |path: &str| MonitorSpec {
        url: Some(format!("https://localhost:{}{path}", server.port())),
        ignore_tls: true,
        maxredirects: 3,
        ..blank("http")
    };
    let runs = Runs::new(http::Caller::new(&NodeId::from("node1"), None), queries::tests::program());
    assert_eq!(runs.run(&https("/cookie/set")).await.msg, "200 - OK");
    assert_eq!(runs.run(&https("/cookie/shown")).await.msg, "Request failed with status code 401");
    // As Kuma, which keeps none there.
    let monitor = MonitorSpec { maxredirects: 3, ..http(serve().await, "/cookie/set") };
    assert_eq!(runs.run(&monitor).await.msg, "Request failed with status code 401");
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_a_timeout() {
    let server = serve().await;
    let monitor = MonitorSpec { timeout: 0.2, ..http(server, "/slow") };
    let result = run(&monitor).await;
    assert_eq!((result.status, result.msg.as_str()), (RunStatus::Down, "timeout of 200ms exceeded"));
}

#[tokio::test]
async fn the_body_of_an_error_is_kept_unless_the_monitor_says_otherwise() {
    let server = serve().await;
    assert!(run(&http(server, "/missing")).await.response.is_some());
    assert_eq!(run(&http(server, "/ok")).await.response, None);
    let silent = MonitorSpec { save_error_response: false, save_response: true, ..http(server, "/missing") };
    assert_eq!(run(&silent).await.response, None);
    let talkative = MonitorSpec { save_response: true, ..http(server, "/ok") };
    assert!(run(&talkative).await.response.is_some());
}

#[tokio::test]
async fn a_few_large_answers_that_come_slowly_keep_no_small_one_out() {
    let server = endless().await;
    let small = serve().await;
    let runs = Arc::new(Runs::new(http::Caller::new(&NodeId::from("node1"), None), queries::tests::program()));
    let mut large = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let monitor = MonitorSpec { keyword: Some("y".to_owned()), timeout: 20.0, ..blank("keyword") };
        let monitor = MonitorSpec { url: Some(format!("http://{server}/")), ..monitor };
        let runs = Arc::clone(&runs);
        large.spawn(async move { runs.run(&monitor).await });
    }
    for _ in 0..2 {
        let ended = large.join_next().await.unwrap().unwrap();
        assert_eq!(ended.status, RunStatus::Unable, "the target is not to blame: {}", ended.msg);
        assert!(ended.msg.starts_with("this node keeps 64 MiB of answers at once"), "{}", ended.msg);
    }
    let keyword = MonitorSpec { kind: "keyword".to_owned(), keyword: Some("fine".to_owned()), ..http(small, "/ok") };
    assert_eq!(runs.run(&keyword).await.status, RunStatus::Up);
}

#[tokio::test]
async fn of_what_nobody_looks_at_nothing_is_kept() {
    let server = endless().await;
    let runs = Runs::new(http::Caller::new(&NodeId::from("node1"), None), queries::tests::program());
    let url = Some(format!("http://{server}/"));
    let unseen = MonitorSpec { url, timeout: 2.0, save_error_response: false, ..blank("http") };
    let refused = r#"["404"]"#.to_owned();
    let beginning = MonitorSpec {
        accepted_statuscodes_json: refused,
        save_error_response: true,
        keyword: Some("y".to_owned()),
        kind: "keyword".to_owned(),
        ..unseen.clone()
    };
    let monitors = (0..16).map(|number| if number % 2 == 0 { &unseen } else { &beginning });
    for ended in futures_util::future::join_all(monitors.map(|monitor| runs.run(monitor))).await {
        assert_eq!((ended.status, ended.msg.as_str()), (RunStatus::Down, "timeout of 2000ms exceeded"));
    }
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_is_a_socket_that_hung_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 1_024];
        let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut asked).await;
    });
    assert_eq!(run(&http(address, "/")).await.msg, "socket hang up");
}

#[tokio::test]
async fn a_body_that_stops_in_the_middle_is_down() {
    let server = half_an_answer().await;
    let result = run(&http(server, "/")).await;
    assert_eq!(result.status, RunStatus::Down, "{}", result.msg);
}

#[tokio::test]
async fn a_closed_port_is_refused_for_http_and_port_alike() {
    let closed = closed_port().await;
    let result = run(&http(closed, "/")).await;
    assert_eq!(result.msg, format!("connect ECONNREFUSED {closed}"));
    let result = run(&port(closed)).await;
    assert_eq!(result.msg, format!("Connection failed: connect ECONNREFUSED {closed}"));
    assert_eq!(result.status, RunStatus::Down);
}

#[tokio::test]
async fn an_open_port_is_up_with_its_time() {
    let server = serve().await;
    let result = run(&port(server)).await;
    assert_eq!(result.status, RunStatus::Up);
    assert_eq!(Some(result.msg), result.ping_ms.map(|ms| format!("{ms} ms")));
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_down() {
    let monitor = MonitorSpec { url: Some("http://nowhere.invalid/".to_owned()), ..blank("http") };
    let result = run(&monitor).await;
    assert_eq!((result.status, result.msg.as_str()), (RunStatus::Down, "getaddrinfo ENOTFOUND nowhere.invalid"));
}

#[tokio::test]
async fn a_json_query_asks_and_compares() {
    let server = serve().await;
    let monitor = MonitorSpec {
        kind: "json-query".to_owned(),
        json_path: Some("jobs[state = 'stuck'].$count($)".to_owned()),
        json_path_operator: Some("<".to_owned()),
        expected_value: Some("2".to_owned()),
        retry_only_on_status_code_failure: true,
        ..http(server, "/json")
    };
    let result = run(&monitor).await;
    assert_eq!((result.status, result.msg.as_str()), (RunStatus::Up, "JSON query passes (comparing 1 < 2)"));
    assert!(result.ping_ms.is_some());
    let strict = MonitorSpec { json_path_operator: Some("==".to_owned()), ..monitor.clone() };
    let result = run(&strict).await;
    assert_eq!((result.status, result.is_final), (RunStatus::Down, true));
    assert_eq!(result.msg, "JSON query does not pass (comparing 1 == 2)");
    let missing = MonitorSpec { url: Some(format!("http://{server}/missing")), ..monitor };
    let result = run(&missing).await;
    assert_eq!((result.status, result.is_final), (RunStatus::Down, false));
}

#[tokio::test]
async fn what_a_native_node_cannot_do_says_nothing_of_the_target() {
    let monitor = MonitorSpec { auth_method: Some("ntlm".to_owned()), ..http(closed_port().await, "/") };
    assert_eq!(run(&monitor).await.status, RunStatus::Unable);
    assert_eq!(run(&blank("docker")).await.status, RunStatus::Unable);
    let monitor = MonitorSpec { proxy_id: Some(1), ..http(closed_port().await, "/") };
    assert_eq!(run(&monitor).await.status, RunStatus::Unable);
    let expected_tls_alert = Some("certificate_required".to_owned());
    let monitor = MonitorSpec { expected_tls_alert, ..port(closed_port().await) };
    assert_eq!(run(&monitor).await.status, RunStatus::Unable);
}

#[tokio::test]
async fn a_ping_of_the_loopback_is_answered_where_pings_are_permitted() {
    let monitor = MonitorSpec { hostname: Some("127.0.0.1".to_owned()), ..blank("ping") };
    let result = run(&monitor).await;
    match result.status {
        RunStatus::Up => assert!(result.ping_ms.is_some()),
        RunStatus::Unable => assert!(result.msg.contains("CAP_NET_RAW"), "{}", result.msg),
        RunStatus::Down | RunStatus::Pending | RunStatus::Maintenance => panic!("{}", result.msg),
    }
}

#[tokio::test]
async fn a_ping_that_a_router_refuses_is_not_answered() {
    // Class E: some networks drop such an echo, some say that it cannot be delivered, none has such a host.
    let monitor = MonitorSpec { hostname: Some("240.0.0.1".to_owned()), timeout: 1.0, ..blank("ping") };
    let result = run(&monitor).await;
    assert_ne!(result.status, RunStatus::Up, "{}", result.msg);
}

#[tokio::test]
async fn monitors_without_what_they_need_say_what_is_missing() {
    for (kind, msg) in [
        ("http", "no URL is configured"),
        ("keyword", "no keyword is configured"),
        ("port", "no hostname is configured"),
        ("ping", "no hostname is configured"),
    ] {
        assert!(run(&blank(kind)).await.msg.ends_with(msg), "{kind}");
    }
}

async fn run(monitor: &MonitorSpec) -> RunResult {
    let runs = Runs::new(http::Caller::new(&NodeId::from("node1"), None), queries::tests::program());
    tokio::time::timeout(Duration::from_secs(20), runs.run(monitor)).await.expect("a run ends")
}

fn http(server: SocketAddr, path: &str) -> MonitorSpec {
    MonitorSpec { url: Some(format!("http://{server}{path}")), ..blank("http") }
}

fn port(server: SocketAddr) -> MonitorSpec {
    MonitorSpec { hostname: Some(server.ip().to_string()), port: Some(server.port()), ..blank("port") }
}

#[tokio::test]
async fn the_servers_own_reason_is_shown() {
    let (server, _asked) = one_answer(b"HTTP/1.1 200 All Systems Go\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(run(&http(server, "/")).await.msg, "200 - All Systems Go");
}

#[tokio::test]
async fn a_failure_behind_a_redirect_names_who_failed() {
    let closed = closed_port().await;
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: http://{closed}/\r\nContent-Length: 0\r\n\r\n");
    let (server, _asked) = one_answer(answer.into_bytes().leak()).await;
    let monitor = MonitorSpec { maxredirects: 5, ..http(server, "/") };
    assert_eq!(run(&monitor).await.msg, format!("connect ECONNREFUSED {closed}"));
}

#[tokio::test]
async fn a_byte_order_mark_is_no_part_of_json() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n\xef\xbb\xbf{\"a\": \"ok\"}\n";
    let (server, _asked) = one_answer(answer).await;
    let query = MonitorSpec {
        url: Some(format!("http://{server}/")),
        json_path: Some("a".to_owned()),
        json_path_operator: Some("==".to_owned()),
        expected_value: Some("ok".to_owned()),
        ..blank("json-query")
    };
    assert_eq!(run(&query).await.msg, "JSON query passes (comparing ok == ok)");
}

/// A monitor with Kuma's defaults and no target.
fn blank(kind: &str) -> MonitorSpec {
    MonitorSpec { id: MonitorId(1), kind: kind.to_owned(), timeout: 10.0, ..MonitorSpec::default() }
}
