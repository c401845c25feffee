//! What one of three watchdogs sees otherwise than the others, on real sockets: an answer, a name, a certificate; and what all of them see by the one
//! protocol that there is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Value, json};

use super::stage::{SHOP_PORT, Stage, WATCHDOGS, answer_all};
use crate::cluster::wait::wait_until;
use crate::support::name_server::NameServer;
use crate::support::tls_target::TlsTarget;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Each watchdog asks a name server of its own.
async fn with_name_servers() -> Option<(Stage, [NameServer; 3])> {
    let mut stage = Stage::prepare().await?;
    let servers = WATCHDOGS.map(|watchdog| {
        let starter = stage.network.starter_with_names(watchdog, HERE);
        stage.cluster.start_by(watchdog, starter);
        NameServer::start(stage.network.receive(watchdog, HERE, 53))
    });
    Some((stage, servers))
}

fn vote<'s>(shown: &'s Value, watchdog: &str) -> &'s Value {
    shown["votes"].as_array().unwrap().iter().find(|vote| vote["watchdog"] == watchdog).unwrap()
}

async fn answer(State(unwelcome): State<IpAddr>, ConnectInfo(caller): ConnectInfo<SocketAddr>) -> StatusCode {
    if caller.ip() == unwelcome { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_target_that_answers_one_of_three_with_500_is_partial() {
    let Some(mut stage) = Stage::prepare().await else { return };
    stage.begin().await;
    let shop = stage.network.address("shop");
    let listener = stage.network.listen("shop", shop.into(), SHOP_PORT);
    let app = Router::new().fallback(answer).with_state(stage.network.address("w2").into());
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    stage.check(&json!({"name": "shop", "type": "http", "url": format!("http://{shop}:{SHOP_PORT}/")})).await;
    let shown = stage.wait_for("shop", "partial").await;
    let seen = WATCHDOGS.map(|watchdog| vote(&shown, watchdog)["status"].clone());
    assert_eq!(seen, [json!(200), json!(500), json!(200)]);
    assert_eq!(vote(&shown, "w2")["reason"], "status");
    stage.assert_nobody_is_paged().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_name_that_stands_for_something_else_in_one_zone_is_partial_and_one_that_is_lost_everywhere_is_down() {
    let Some((mut stage, servers)) = with_name_servers().await else { return };
    let (shop, nobody) = (stage.network.address("shop"), stage.network.address("db"));
    for (server, address) in servers.iter().zip([shop, shop, nobody]) {
        server.set("shop.test", &[address.into()]);
    }
    stage.begin().await;
    let _shop = answer_all(stage.network.listen("shop", shop.into(), SHOP_PORT));
    stage.check(&json!({"name": "shop", "type": "http", "url": format!("http://shop.test:{SHOP_PORT}/")})).await;
    let shown = stage.wait_for("shop", "partial").await;
    let addresses = WATCHDOGS.map(|watchdog| vote(&shown, watchdog)["address"].clone());
    assert_eq!(addresses, [shop, shop, nobody].map(|address| json!(address)), "each vote says whom it asked");
    assert_eq!(vote(&shown, "w3")["reason"], "refused");
    stage.assert_nobody_is_paged().await;
    servers[2].set("shop.test", &[shop.into()]);
    stage.wait_for("shop", "up").await;
    for server in &servers {
        server.forget("shop.test");
    }
    stage.wait_for("shop", "down").await;
    stage.wait_for_reason("shop", "no_name").await;
}

/// The front leads on to the shop.
async fn lead_on(headers: HeaderMap) -> Response {
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let there = format!("http://shop.test:{SHOP_PORT}/");
    if host.starts_with("front.") {
        Redirect::temporary(&there).into_response()
    } else {
        StatusCode::OK.into_response()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_name_that_stands_for_the_target_first_and_for_a_clouds_secrets_then_leads_nobody_there() {
    let Some((mut stage, servers)) = with_name_servers().await else { return };
    let (shop, secrets) = (stage.network.address("shop").into(), Ipv4Addr::new(169, 254, 169, 254).into());
    let stands_for = |name: &str, addresses: &[IpAddr]| {
        for server in &servers {
            server.set(name, addresses);
        }
    };
    stands_for("front.test", &[shop]);
    stands_for("shop.test", &[shop]);
    stage.begin().await;
    let listener = stage.network.listen("shop", shop, SHOP_PORT);
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(lead_on)).await });
    let http =
        |name: &str, host: &str| json!({"name": name, "type": "http", "url": format!("http://{host}:{SHOP_PORT}/")});
    let port = json!({"name": "port", "type": "port", "hostname": "shop.test", "port": SHOP_PORT});
    let names = ["by-name", "redirected", "port"];
    for check in [http("by-name", "shop.test"), http("redirected", "front.test"), port] {
        stage.check(&check).await;
    }
    for name in names {
        stage.wait_for(name, "up").await;
    }
    stands_for("shop.test", &[secrets]);
    for name in names {
        stage.wait_for(name, "down").await;
        stage.wait_for_reason(name, "forbidden").await;
    }
    stands_for("shop.test", &[secrets, shop]);
    for name in names {
        stage.wait_for(name, "up").await;
        // The majority may be the two others.
        let is_the_shop = async || vote(&stage.wait_for(name, "up").await, "w1")["address"] == json!(shop);
        wait_until(
            &format!("w1 takes of both the one that is the target's: {name}"),
            Duration::from_secs(60),
            is_the_shop,
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_target_that_has_no_address_but_one_of_ipv6_is_reached_by_name_and_by_address() {
    let Some((mut stage, servers)) = with_name_servers().await else { return };
    let shop = stage.network.address_6("shop");
    for server in &servers {
        server.set("six.test", &[shop.into()]);
    }
    stage.begin().await;
    let serving = answer_all(stage.network.listen("shop", shop.into(), SHOP_PORT));
    let checks = [
        json!({"name": "by-name", "type": "http", "url": format!("http://six.test:{SHOP_PORT}/")}),
        json!({"name": "by-address", "type": "http", "url": format!("http://[{shop}]:{SHOP_PORT}/")}),
        json!({"name": "port", "type": "port", "hostname": "six.test", "port": SHOP_PORT}),
        json!({"name": "port-by-address", "type": "port", "hostname": shop, "port": SHOP_PORT}),
    ];
    for check in &checks {
        stage.check(check).await;
    }
    let names: Vec<_> = checks.iter().map(|check| check["name"].as_str().unwrap()).collect();
    for name in &names {
        let shown = stage.wait_for(name, "up").await;
        assert_eq!(vote(&shown, "w1")["address"], json!(shop), "{shown}");
    }
    serving.abort();
    for name in &names {
        stage.wait_for(name, "down").await;
        stage.wait_for_reason(name, "refused").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_certificate_that_one_of_three_does_not_trust_is_partial() {
    let Some((mut stage, servers)) = with_name_servers().await else { return };
    let shop = stage.network.address("shop");
    for server in &servers {
        server.set("shop.test", &[shop.into()]);
    }
    let target = TlsTarget::start_for_all(stage.network.listen("shop", shop.into(), 443), "shop.test");
    let trusted = stage.cluster.folder().join("trusted.pem");
    std::fs::write(&trusted, target.authority()).unwrap();
    for watchdog in ["w1", "w2"] {
        let mut starter = stage.network.starter_with_names(watchdog, HERE);
        starter.extend(["env".to_owned(), format!("SSL_CERT_FILE={}", trusted.display())]);
        stage.cluster.start_by(watchdog, starter);
    }
    stage.begin().await;
    stage.check(&json!({"name": "shop", "type": "http", "url": "https://shop.test/"})).await;
    let shown = stage.wait_for("shop", "partial").await;
    assert_eq!((&vote(&shown, "w1")["verdict"], &vote(&shown, "w3")["verdict"]), (&json!("up"), &json!("failed")));
    assert_eq!(vote(&shown, "w3")["reason"], "certificate");
    assert!(vote(&shown, "w1")["certificate_ends_at"].is_number(), "{shown}");
    stage.assert_nobody_is_paged().await;
}
