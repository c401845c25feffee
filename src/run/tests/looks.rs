//! Looks of a watchdog: phases, addresses that are refused, and what says nothing of a target.

use std::net::IpAddr;

use komainu_watchdogs::check::Trouble;

use super::super::phases::{Phase, Phases};
use super::servers::{closed_port, serve, serve_tls};
use super::*;

fn watchdog() -> Runs {
    let refuses = |address: IpAddr| match address {
        IpAddr::V4(v4) if v4.is_link_local() => Some("it is link-local".to_owned()),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    };
    Runs::of_watchdog(http::Caller::new(&NodeId::from("w1"), None), queries::tests::program(), Arc::new(refuses))
}

async fn look(monitor: &MonitorSpec) -> (RunResult, Phases) {
    watchdog().look(monitor).await
}

#[tokio::test]
async fn a_look_says_where_its_time_went() {
    let (server, _) = serve_tls().await;
    let url = Some(format!("https://localhost:{}/ok", server.port()));
    let (result, phases) = look(&MonitorSpec { url, ignore_tls: true, ..blank("http") }).await;
    assert_eq!(result.msg, "200 - OK");
    let parts = [phases.name_ms, phases.connect_ms, phases.tls_ms, phases.first_byte_ms, phases.body_ms];
    assert!(parts.iter().all(Option::is_some), "{phases:?}");
    assert!(parts.iter().flatten().sum::<i64>() <= phases.total_ms + 5, "{phases:?}");
    assert_eq!((phases.address, phases.status), (Some("127.0.0.1".parse().unwrap()), Some(200)));
    assert_eq!(phases.ended_in, Some(Phase::Body));
}

#[tokio::test]
async fn a_look_that_is_cut_off_says_in_which_phase() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let of = |url: String| MonitorSpec { url: Some(url), timeout: 1.5, ..blank("http") };
    let (result, phases) = look(&of(format!("https://{address}/"))).await;
    assert_eq!((result.msg.as_str(), phases.ended_in), ("timeout of 1500ms exceeded", Some(Phase::Tls)));
    assert!(phases.tls_ms >= Some(150), "{phases:?}");
    let (_, phases) = look(&of(format!("http://{address}/"))).await;
    assert_eq!((phases.ended_in, phases.tls_ms), (Some(Phase::FirstByte), None));
    let refusing = closed_port().await;
    let (result, phases) = look(&of(format!("http://{refusing}/"))).await;
    assert_eq!((result.status, phases.ended_in), (RunStatus::Down, Some(Phase::Connect)));
    assert_eq!(phases.address, Some(refusing.ip()));
}

#[tokio::test]
async fn a_port_and_a_redirect_are_looked_at_like_an_address() {
    let server = serve().await;
    let port = MonitorSpec { hostname: Some("localhost".to_owned()), port: Some(server.port()), ..blank("port") };
    let (result, phases) = look(&port).await;
    assert_eq!((result.status, phases.ended_in), (RunStatus::Up, Some(Phase::Connect)));
    assert!(phases.name_ms.is_some() && phases.connect_ms.is_some() && phases.first_byte_ms.is_none(), "{phases:?}");
    let (result, phases) = look(&MonitorSpec { maxredirects: 3, ..http(server, "/redirect/3") }).await;
    assert_eq!((result.msg.as_str(), phases.ended_in), ("200 - OK", Some(Phase::Body)));
}

#[tokio::test]
async fn an_address_that_is_refused_is_not_looked_at_however_it_is_named() {
    let led_there = servers::leading_to("http://169.254.169.254/latest/meta-data/").await;
    let at = |url: &str| MonitorSpec { url: Some(url.to_owned()), maxredirects: 3, timeout: 5.0, ..blank("http") };
    let host = |kind: &str, host: &str| MonitorSpec { hostname: Some(host.to_owned()), timeout: 5.0, ..blank(kind) };
    let refused = [
        at("http://169.254.169.254/"),
        at("http://[::ffff:169.254.169.254]/"),
        at(&format!("http://{led_there}/")),
        MonitorSpec { port: Some(80), ..host("port", "169.254.169.254") },
        host("ping", "169.254.169.254"),
        MonitorSpec { dns_resolve_server: Some("169.254.169.253".to_owned()), ..host("dns", "example.com") },
    ];
    for monitor in refused {
        let (result, _) = look(&monitor).await;
        assert_eq!(result.fault, Some(Fault::Target(Cause::Forbidden)), "{monitor:?}");
        assert!(result.msg.contains("is not looked at: it is link-local"), "{}", result.msg);
    }
    let names = Names::of_system().refusing(Arc::new(|_| Some("nothing is".to_owned())));
    let failure = Failure::resolve("localhost", &names.lookup("localhost").await.unwrap_err());
    assert!(failure.msg.ends_with("nothing is"), "also after a name was resolved: {failure:?}");
}

#[tokio::test]
async fn a_network_without_a_route_is_a_monitors_failure_and_no_word_on_a_target() {
    // Of a network that no host is connected with: the kernel refuses to send there.
    let error = std::io::Error::from(rustix::io::Errno::NETUNREACH);
    let result = RunResult::from(Failure::connect("[2001:db8::1]:80", &error));
    assert_eq!((result.status, result.fault), (RunStatus::Down, Some(Fault::Way(Trouble::Route))));
    let error = std::io::Error::from(rustix::io::Errno::HOSTUNREACH);
    let off = RunResult::from(Failure::connect("192.0.2.1:80", &error));
    assert_eq!(off.fault, Some(Fault::Target(Cause::Unreachable)), "a host that is off");
}
