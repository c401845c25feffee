//! Watchdogs that speak TLS behind the gateway: asked for the table and sent requests so, if the CA it was given certified them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::routing::get;
use axum::{Json, Router};
use komainu::surface::{self, Entrance, Places, Proxies};
use komainu::tls::{Credentials, OwnFiles, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::nginx::{KEY, Nginx};
use crate::cluster::wait::wait_until;

/// Files of a CA, and of a certificate that it signed for this name.
fn certify(folder: &Path, name: &str) -> (PathBuf, OwnFiles) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    // Of one name with what it signs, it would look like a certificate that signed itself.
    params.distinguished_name.push(DnType::CommonName, "the cluster's CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let pair = KeyPair::generate().unwrap();
    let made = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&pair, &authority).unwrap();
    let write = |kind: &str, text: String| {
        let file = folder.join(format!("{name}.{kind}"));
        std::fs::write(&file, text).unwrap();
        file
    };
    let own = OwnFiles { cert: write("crt", made.pem()), key: write("key", pair.serialize_pem()) };
    (write("ca", authority.pem()), own)
}

/// A watchdog's own server with what a gateway asks for; says who asked.
async fn watchdog(own: OwnFiles) -> String {
    let rounds = AtomicU64::new(1);
    let table = move || {
        let checked_at = rounds.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Json(json!({"pinned_node": null, "generation": 1, "nodes": [], "checked_at": checked_at})))
    };
    let table = std::sync::Arc::new(table);
    let routes = Router::new()
        .route("/lb/routes", get(move || table()))
        .route("/status", get(async |ConnectInfo(client): ConnectInfo<std::net::SocketAddr>| client.ip().to_string()));
    let credentials = Credentials::open(TlsFiles { own: Some(own), ..TlsFiles::default() }).unwrap();
    let proxies = Proxies { trusted: vec!["127.0.0.1/32".parse().unwrap()], ..Proxies::default() };
    let entrance = Entrance { places: Places { most: 50, most_of_one: 50 }, credentials, proxies };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(surface::serve(listener, routes, entrance, CancellationToken::new()));
    format!("https://localhost:{port}")
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_watchdog_that_speaks_tls_is_called_if_the_ca_certified_it_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, own) = certify(folder.path(), "localhost");
    let ca = [("KOMAINU_GATEWAY_CA", ca.to_str().unwrap()), ("KOMAINU_GATEWAY_TRUSTED_PROXIES", "127.0.0.1")];
    let gateway = Nginx::start(&[watchdog(own.clone()).await], KEY, &ca).await;
    let client = [("x-forwarded-for", "203.0.113.9")];
    let answers = async || gateway.send("GET", "/status", &client, "").await.body == "203.0.113.9";
    wait_until("the watchdog answers through the gateway", Duration::from_secs(20), answers).await;

    let (of_another_name, misnamed) = certify(folder.path(), "w1.example");
    for (ca, own) in [(&of_another_name, own), (&of_another_name, misnamed)] {
        let ca = [("KOMAINU_GATEWAY_CA", ca.to_str().unwrap())];
        let gateway = Nginx::start(&[watchdog(own).await], KEY, &ca).await;
        let is_refused = async || gateway.log().contains("no watchdog tells anything new");
        wait_until("the gateway says that nobody answers", Duration::from_secs(20), is_refused).await;
        assert_eq!(gateway.send("GET", "/status", &[], "").await.status, 503);
    }
}
