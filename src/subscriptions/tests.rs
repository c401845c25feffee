//! What a stranger cannot make a watchdog call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use komainu_watchdogs::ids::Incarnation;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Clients, Sender, Subscriptions};
use crate::api::support::{KEY, Surface};
use crate::check::Guard;
use crate::keys::ClusterKey;

/// A server within the network; how often it was called.
async fn inside(leads_to: Option<String>) -> (u16, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let app = Router::new().fallback(async move || {
        counted.fetch_add(1, Ordering::Relaxed);
        match leads_to {
            Some(place) => Redirect::temporary(&place).into_response(),
            None => StatusCode::NO_CONTENT.into_response(),
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (port, calls)
}

/// Of a stranger who got around the form; what came of telling them something.
async fn trouble_of(url: &str, may_be_private: bool) -> Option<String> {
    let surface = Surface::plain().await;
    let key = surface.key("write").await;
    let page = json!({"title": "Shop", "subscribe": ["webhook"]}).to_string();
    surface.send("PUT", "/api/v1/pages/shop", Some(&key), &page).await;
    let body = json!({"kind": "webhook", "address": url, "confirmed": true}).to_string();
    let added = surface.send("POST", "/api/v1/pages/shop/subscribers", Some(&key), &body).await;
    assert_eq!(added.code, 201, "{}", added.json());
    let store = &surface.state.store;
    let strange = "UPDATE komainu_page_subscriber SET created_by = NULL";
    store.lease("test").await.unwrap().execute("test", strange, vec![]).await.unwrap();
    let incident = json!({"title": "Slow"}).to_string();
    assert_eq!(surface.send("POST", "/api/v1/pages/shop/incidents", Some(&key), &incident).await.code, 201);
    let subscriptions = Subscriptions::new(false, Guard::default(), may_be_private);
    let sender = Sender {
        store: store.clone(),
        me: Incarnation(1),
        key: ClusterKey::parse(KEY).unwrap(),
        base: Arc::from("https://status.example"),
        mail: None,
        mails_per_second: 10,
        clients: Clients::new(&subscriptions).unwrap(),
        subscriptions,
        living: Box::new(|| 1),
    };
    let (stop, place) = (CancellationToken::new(), added.header("location"));
    let running = tokio::spawn(super::run(sender, stop.clone()));
    let mut seen = json!(null);
    for _ in 0..10_000 {
        let told = "SELECT COUNT(*) AS many FROM komainu_page_subscriber WHERE told > 0 AND claimed_by IS NULL";
        let row = store.lease("test").await.unwrap().row("test", told, vec![]).await.unwrap();
        // Only now: the trouble is noted together with that it is done with.
        seen = surface.send("GET", &place, Some(&key), "").await.json();
        if !seen["trouble"].is_null() || row.unwrap().int("many").unwrap() > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    stop.cancel();
    running.await.unwrap();
    seen["trouble"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_strangers_webhook_leads_nowhere_inside_by_whatever_road() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (port, calls) = inside(None).await;
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0"] {
        let trouble = trouble_of(&format!("http://{host}:{port}/"), false).await;
        assert!(trouble.is_some(), "{host} was called");
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    let (leads, led) = inside(Some(format!("http://127.0.0.1:{port}/"))).await;
    let trouble = trouble_of(&format!("http://localhost:{leads}/"), true).await;
    assert_eq!(trouble.as_deref(), Some("answered 307; redirects are not followed"));
    assert_eq!((led.load(Ordering::Relaxed), calls.load(Ordering::Relaxed)), (1, 0));
    assert_eq!(trouble_of(&format!("http://localhost:{port}/"), true).await, None);
    assert_eq!(calls.load(Ordering::Relaxed), 1, "where the configuration allows it, it is called");
}
