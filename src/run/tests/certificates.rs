//! What runs make of a target's certificate.

use super::servers::{serve, serve_tls, serve_tls_as};
use super::*;

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
