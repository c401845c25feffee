//! The wall, and how it goes on at another watchdog.

use std::collections::BTreeMap;

use komainu_watchdogs::time::Wall;
use komainu_watchdogs::view::{View, WatchdogView};

use super::{SAME, text};
use crate::api::support::{Surface, view};

/// Of two watchdogs, of which the other is at `w2:8900`.
fn two() -> View {
    let row = |id: &str| WatchdogView {
        watchdog_id: id.into(),
        status: "up",
        last_seen_ms: Wall(1),
        sees: BTreeMap::new(),
        advertise: format!("http://{id}:8900"),
    };
    View { watchdogs: vec![row("w1"), row("w2")], ..view() }
}

async fn signed_in_to(surface: &Surface, scope: &str) -> String {
    let key = surface.key(scope).await;
    let answer = surface.send_with("POST", "/watch/sign-in", &[SAME], &format!("key={key}")).await;
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_wall_may_ask_the_other_watchdogs_whether_they_are_there_and_nobody_else() {
    let surface = Surface::showing(two()).await.lasting();
    let cookie = signed_in_to(&surface, "read").await;
    let wall = async |host: &str| {
        let headers = [("cookie", cookie.as_str()), ("host", host)];
        surface.send_with("GET", "/watch/wall", &headers, "").await
    };
    let here = wall("w1:8900").await;
    let policy = here.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; ") && policy.ends_with("; connect-src 'self' http://w2:8900"),
        "{policy}"
    );
    assert_eq!(here.header("x-frame-options"), "DENY");
    assert!(text(here).contains("http://w2:8900"));
    let behind_a_proxy = wall("kuma.example").await;
    assert!(behind_a_proxy.header("content-security-policy").ends_with("; connect-src 'self'"));
    assert!(!text(behind_a_proxy).contains("w2:8900"));
}

#[tokio::test]
async fn a_wall_goes_on_at_another_watchdog_once_and_to_read_only() {
    let here = Surface::showing(two()).await.lasting();
    let cookie = signed_in_to(&here, "admin").await;
    let ask = async |site: &str, watchdog: &str| {
        let headers = [("cookie", cookie.as_str()), ("host", "w1:8900"), ("sec-fetch-site", site)];
        here.send_with("POST", "/watch/wall/tickets", &headers, &format!("watchdog={watchdog}")).await
    };
    assert_eq!((ask("cross-site", "w2").await.code, ask("same-origin", "w9").await.code), (403, 404));
    let mut there = Surface::plain().await;
    there.state.watchdog = "w2".into();
    let there = there.lasting();
    // The same row as over there.
    there.key("admin").await;
    let ticket = text(ask("same-origin", "w2").await);
    let form = format!("ticket={ticket}&next=/watch/wall");
    assert_eq!(here.send_with("POST", "/watch/sign-in", &[SAME], &form).await.code, 403, "it is for w2");
    let by_link = there.send_with("GET", &format!("/watch/sign-in?ticket={ticket}"), &[], "").await;
    assert_eq!(by_link.code, 403, "no link");
    let cross = there.send_with("POST", "/watch/sign-in", &[("sec-fetch-site", "cross-site")], &form).await;
    assert_eq!(cross.code, 403);
    let gone_on = there.send_with("POST", "/watch/sign-in", &[SAME], &form).await;
    assert_eq!((gone_on.code, gone_on.header("location").as_str()), (303, "/watch/wall"));
    let cookie = gone_on.header("set-cookie").split(';').next().unwrap().to_owned();
    let question = there.send_with("GET", "/watch/hands?deed=cluster.freeze", &[("cookie", &cookie)], "").await;
    assert!(text(question).contains("has scope read; this needs admin"));
    let frozen = there.send_with("POST", "/watch/hands", &[("cookie", &cookie), SAME], "deed=cluster.freeze").await;
    assert_eq!(frozen.code, 403);
    assert_eq!(there.send_with("POST", "/watch/sign-in", &[SAME], &form).await.code, 403, "a second time");
}
