//! Runs against real servers on the loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{OriginalUri, Path};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect};
use axum::routing::{any, get};
use komainu_watchdogs::ids::{MonitorId, NodeId};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;

use super::*;

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
async fn a_self_signed_certificate_is_down_unless_ignored_or_trusted() {
    let (server, pem) = serve_tls().await;
    let monitor = MonitorSpec { url: Some(format!("https://localhost:{}/ok", server.port())), ..blank("http") };
    let strict = run(&monitor).await;
    let is_bare = tls::has_no_roots();
    assert_eq!(strict.status, if is_bare { RunStatus::Unable } else { RunStatus::Down }, "{}", strict.msg);
    let ignoring = MonitorSpec { ignore_tls: true, ..monitor.clone() };
    assert_eq!(run(&ignoring).await.msg, "200 - OK");
    let trusting = MonitorSpec { auth_method: Some("mtls".to_owned()), tls_ca: Some(pem.clone()), ..monitor };
    assert_eq!(run(&trusting).await.msg, "200 - OK");
    let elsewhere = MonitorSpec { url: Some(format!("https://127.0.0.1:{}/ok", server.port())), ..trusting };
    assert_eq!(run(&elsewhere).await.msg, "Hostname/IP does not match certificate's altnames");
}

#[tokio::test]
async fn the_certificate_that_a_target_shows_is_noted_also_where_it_is_not_trusted() {
    let (server, pem) = serve_tls().await;
    let at = |host: &str, path: &str| Some(format!("https://{host}:{}{path}", server.port()));
    let trusting = MonitorSpec { auth_method: Some("mtls".to_owned()), tls_ca: Some(pem), ..blank("http") };
    let missing = run(&MonitorSpec { url: at("localhost", "/missing"), ..trusting }).await;
    assert_eq!(missing.status, RunStatus::Down);
    let certificate = missing.certificate.expect("an answer that is not accepted came over TLS too");
    assert!(certificate.is_valid && certificate.fits_host);
    assert_eq!(certificate.links().len(), 1);

    let ignoring = MonitorSpec { ignore_tls: true, ..blank("http") };
    let elsewhere = run(&MonitorSpec { url: at("127.0.0.1", "/ok"), ..ignoring }).await;
    let again = elsewhere.certificate.expect("it came over TLS");
    assert_eq!((elsewhere.status, again.is_valid, again.fits_host), (RunStatus::Up, false, false));
    assert_eq!(again.fingerprint(), certificate.fingerprint());

    let strict = run(&MonitorSpec { url: at("localhost", "/ok"), ..blank("http") }).await;
    assert_eq!(strict.certificate, None, "a connection that was refused shows nothing, as in Kuma");
    assert_eq!(run(&http(serve().await, "/ok")).await.certificate, None);
}

#[tokio::test]
async fn a_certificate_that_signs_others_and_itself_is_called_self_signed() {
    // What `openssl req -x509` makes.
    let (server, _) = serve_tls_as(rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained)).await;
    let monitor = MonitorSpec { url: Some(format!("https://localhost:{}/ok", server.port())), ..blank("http") };
    let msg = if tls::has_no_roots() {
        "this node has no CA certificates: install ca-certificates"
    } else {
        "self-signed certificate"
    };
    assert_eq!(run(&monitor).await.msg, msg);
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

/// A server that answers once with these bytes, and what it was asked.
async fn one_answer(answer: &'static [u8]) -> (SocketAddr, tokio::sync::oneshot::Receiver<String>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (told, telling) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4_096];
        let read = stream.read(&mut asked).await.unwrap();
        asked.truncate(read);
        stream.write_all(answer).await.unwrap();
        let _ = told.send(String::from_utf8(asked).unwrap());
    });
    (address, telling)
}

/// A monitor with Kuma's defaults and no target.
fn blank(kind: &str) -> MonitorSpec {
    MonitorSpec { id: MonitorId(1), kind: kind.to_owned(), timeout: 10.0, ..MonitorSpec::default() }
}

async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes()).await });
    address
}

fn routes() -> Router {
    Router::new()
        .route("/ok", get(|| async { "fine" }))
        .route("/missing", get(|| async { StatusCode::NOT_FOUND }))
        .route("/json", get(|| async { r#"{"jobs": [{"state": "done"}, {"state": "stuck"}]}"# }))
        .route("/slow", get(std::future::pending::<()>))
        .route("/redirect/{left}", get(redirect))
        .route(
            "/cookie/set",
            get(|| async { ([(header::SET_COOKIE, "seen=1; Path=/")], Redirect::temporary("/cookie/shown")) }),
        )
        .route("/cookie/shown", get(shows_cookie))
        .route("/echo", any(echo))
}

async fn redirect(Path(left): Path<u32>) -> Redirect {
    match left {
        1 => Redirect::temporary("/ok"),
        more => Redirect::temporary(&format!("/redirect/{}", more - 1)),
    }
}

async fn shows_cookie(headers: HeaderMap) -> StatusCode {
    if headers.get(header::COOKIE).is_some_and(|cookie| cookie == "seen=1") {
        StatusCode::OK
    } else {
        StatusCode::UNAUTHORIZED
    }
}

async fn echo(method: Method, OriginalUri(uri): OriginalUri, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let busted = uri.query().is_some_and(|query| query.starts_with("uptime_kuma_cachebuster="));
    [
        method.to_string(),
        header("user-agent"),
        header("komainu-node"),
        header("content-type"),
        header("authorization"),
        header("accept"),
        header("x-mark"),
        String::from_utf8_lossy(&body).into_owned(),
        (if busted { "bust" } else { "" }).to_owned(),
    ]
    .join("|")
}

async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Answers with 15 MiB of what is said to be 16, and keeps the connection.
async fn endless() -> SocketAddr {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut asked = [0; 1_024];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 16777216\r\n\r\n").await;
                let _ = stream.write_all(&vec![b'x'; 15 * 1_024 * 1_024]).await;
                let _ = stream.read(&mut asked).await;
            });
        }
    });
    address
}

/// A server that promises ten bytes, sends three and closes.
async fn half_an_answer() -> SocketAddr {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 1_024];
        let _ = stream.read(&mut asked).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").await.unwrap();
    });
    address
}

/// The same routes behind a self-signed certificate for `localhost`, and that certificate as PEM.
async fn serve_tls() -> (SocketAddr, String) {
    serve_tls_as(rcgen::IsCa::NoCa).await
}

async fn serve_tls_as(is_ca: rcgen::IsCa) -> (SocketAddr, String) {
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.is_ca = is_ca;
    let signing_key = rcgen::KeyPair::generate().unwrap();
    let cert = params.self_signed(&signing_key).unwrap();
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let listener = TlsListener {
        tcp: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        acceptor: tokio_rustls::TlsAcceptor::from(Arc::new(config)),
    };
    let address = listener.tcp.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes()).await });
    (address, cert.pem())
}

struct TlsListener {
    tcp: TcpListener,
    acceptor: tokio_rustls::TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, peer)) = self.tcp.accept().await else { continue };
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
