//! Questions to a real server on a socket of its own.

use std::net::SocketAddr;

use serde_json::json;
use tokio::net::UdpSocket;

use super::*;
use crate::run::RunStatus;

#[tokio::test]
async fn each_type_of_record_is_told_as_kuma_tells_it() {
    let server = serve().await;
    for (kind, host, told) in [
        ("A", "shop.example", "Records: 192.0.2.1 | 192.0.2.2"),
        ("AAAA", "shop.example", "Records: 2001:db8::1"),
        ("CNAME", "shop.example", "front.example"),
        ("MX", "shop.example", "Hostname: mail.example - Priority: 10"),
        ("NS", "shop.example", "Servers: ns.example"),
        ("PTR", "192.0.2.1", "Records: shop.example"),
        ("TXT", "shop.example", "Records: v=spf1,all"),
        ("CAA", "shop.example", "Records: ca.example"),
        ("SRV", "shop.example", "Name: sip.example | Port: 5060 | Priority: 1 | Weight: 2"),
        (
            "SOA",
            "shop.example",
            "NS-Name: ns.example | Hostmaster: root.example | Serial: 7 | Refresh: 3600 | Retry: 600 | \
             Expire: 86400 | MinTTL: 60",
        ),
    ] {
        let result = run_on(server, kind, host, "[]").await;
        assert_eq!((result.status, result.msg.as_str()), (RunStatus::Up, told), "{kind}");
        assert!(result.ping_ms.is_some());
    }
}

#[tokio::test]
async fn one_record_that_fulfils_the_conditions_is_enough() {
    let server = serve().await;
    let equals = |value: &str| {
        json!([{ "type": "expression", "andOr": "and", "variable": "record", "operator": "equals", "value": value }])
            .to_string()
    };
    assert_eq!(run_on(server, "A", "shop.example", &equals("192.0.2.2")).await.status, RunStatus::Up);
    let wrong = run_on(server, "A", "shop.example", &equals("192.0.2.9")).await;
    assert_eq!((wrong.status, wrong.msg.as_str()), (RunStatus::Down, "Records: 192.0.2.1 | 192.0.2.2"));
    assert_eq!(run_on(server, "MX", "shop.example", &equals("mail.example")).await.status, RunStatus::Up);
}

#[tokio::test]
async fn names_that_no_host_would_have_are_asked_for_as_they_are() {
    let server = serve().await;
    for host in [
        "a_b.shop.example",
        "_dmarc.shop.example",
        "0/25.2.0.192.in-addr.arpa",
        "-x.example",
        "x-.example",
        "*.example",
    ] {
        let result = run_on(server, "TXT", host, "[]").await;
        assert_eq!((result.status, result.msg.as_str()), (RunStatus::Up, "Records: v=spf1,all"), "{host}");
    }
    for host in ["b\u{fc}cher.example", "shop.example."] {
        assert_eq!(run_on(server, "A", host, "[]").await.status, RunStatus::Up, "{host}");
    }
    for host in ["a..example", ".example", &format!("{}.example", "a".repeat(64))] {
        let result = run_on(server, "A", host, "[]").await;
        assert_eq!((result.status, result.msg), (RunStatus::Down, format!("queryA EBADNAME {host}")));
    }
}

#[tokio::test]
async fn what_does_not_exist_is_told_in_nodes_words() {
    let server = serve().await;
    for (kind, host, told) in [
        ("A", "nowhere.example", "queryA ENOTFOUND nowhere.example"),
        ("MX", "empty.example", "queryMx ENODATA empty.example"),
        ("PTR", "shop.example", "getHostByAddr EINVAL shop.example"),
    ] {
        let result = run_on(server, kind, host, "[]").await;
        assert_eq!((result.status, result.msg.as_str()), (RunStatus::Down, told));
    }
}

#[tokio::test]
async fn a_server_that_is_silent_is_down_within_the_monitors_timeout() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let result = run_on(silent.local_addr().unwrap(), "A", "shop.example", "[]").await;
    assert_eq!(result.status, RunStatus::Down, "{}", result.msg);
}

#[tokio::test]
async fn without_a_server_nothing_is_asked() {
    let names = Names::of_system();
    let monitor = MonitorSpec { dns_resolve_server: Some(" , ".to_owned()), ..monitor("A", "shop.example") };
    let failure = run(&names, &monitor).await.unwrap_err();
    assert!(failure.msg.starts_with("No Resolver Servers specified."), "{}", failure.msg);
}

async fn run_on(server: SocketAddr, kind: &str, host: &str, conditions: &str) -> RunResult {
    let monitor = MonitorSpec {
        dns_resolve_server: Some(server.ip().to_string()),
        port: Some(server.port()),
        conditions: conditions.to_owned(),
        ..monitor(kind, host)
    };
    run(&Names::of_system(), &monitor).await.unwrap_or_else(RunResult::from)
}

fn monitor(kind: &str, host: &str) -> MonitorSpec {
    MonitorSpec {
        kind: "dns".to_owned(),
        hostname: Some(host.to_owned()),
        dns_resolve_type: Some(kind.to_owned()),
        timeout: 4.0,
        ..MonitorSpec::default()
    }
}

/// Answers each question by its type; knows nothing of `nowhere`, and no record of `empty`.
async fn serve() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut asked = [0; 1_500];
        while let Ok((_, peer)) = socket.recv_from(&mut asked).await {
            let _ = socket.send_to(&answer(&asked), peer).await;
        }
    });
    address
}

/// RFC 1035, by hand: the header, the question again, and the answers to it.
fn answer(asked: &[u8]) -> Vec<u8> {
    let name_end = asked.iter().skip(12).position(|&byte| byte == 0).unwrap() + 13;
    let question = &asked[12..name_end + 4];
    let kind = u16::from_be_bytes([asked[name_end], asked[name_end + 1]]);
    let first_label = String::from_utf8_lossy(&question[1..=usize::from(question[0])]).to_lowercase();
    let (code, records) = match first_label.as_str() {
        "nowhere" => (3, vec![]),
        "empty" => (0, vec![]),
        _ => (0, records(kind)),
    };
    let mut answer = asked[..2].to_vec();
    answer.extend([0x85, 0x80 | code, 0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0]);
    answer.extend(question);
    for record in records {
        answer.extend([0xC0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1, 0, 0, 0, 60]);
        answer.extend(u16::try_from(record.len()).unwrap().to_be_bytes());
        answer.extend(record);
    }
    answer
}

fn records(kind: u16) -> Vec<Vec<u8>> {
    let name = |first: &str| [text(first), text("example"), vec![0]].concat();
    match kind {
        1 => vec![vec![192, 0, 2, 1], vec![192, 0, 2, 2]],
        2 => vec![name("ns")],
        5 => vec![name("front")],
        6 => {
            let numbers = [7_u32, 3_600, 600, 86_400, 60].map(u32::to_be_bytes).concat();
            vec![[name("ns"), name("root"), numbers].concat()]
        }
        12 => vec![name("shop")],
        15 => vec![[vec![0, 10], name("mail")].concat()],
        16 => vec![[text("v=spf1"), text("all")].concat()],
        28 => vec!["2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec()],
        33 => vec![[vec![0, 1, 0, 2, 0x13, 0xC4], name("sip")].concat()],
        257 => vec![[vec![0], text("issue"), b"ca.example".to_vec()].concat()],
        _ => vec![],
    }
}

/// Its length, and it.
fn text(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}
