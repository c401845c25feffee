//! What no page does, whoever sends what.

use super::{Browser, SAME, text};
use crate::api::support::{Surface, view};
use crate::config::Details;

#[tokio::test]
async fn every_answer_forbids_what_is_not_its_own() {
    let browser = Browser::signed_in("read").await;
    for path in ["/watch", "/watch/sign-in", "/watch/nodes", "/watch/assets/none", "/"] {
        let answer = browser.get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        let page = text(answer);
        for forbidden in ["style=", "onclick", "<script>", "http://", "https://"] {
            assert!(!page.contains(forbidden), "{path}: {forbidden}");
        }
    }
    let page = browser.page("/watch").await;
    let style = page.split('"').find(|part| part.starts_with("/watch/assets/watch.")).unwrap();
    assert_eq!(browser.get(style).await.header("cache-control"), "public, max-age=31536000, immutable");
}

#[tokio::test]
async fn another_site_changes_nothing_with_the_cookie_of_whoever_signed_in() {
    let browser = Browser::signed_in("admin").await;
    for (name, value) in
        [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "http://evil.example")]
    {
        let headers = [("cookie", browser.cookie.as_str()), ("host", "w1:8900"), (name, value)];
        let answer = browser.surface.send_with("POST", "/watch/hands", &headers, "deed=cluster.freeze").await;
        assert_eq!(answer.code, 403, "{name}: {value}");
    }
    let admin = browser.surface.key("write").await;
    let trail = browser.surface.send("GET", "/api/v1/audit?what=cluster.freeze", Some(&admin), "").await;
    assert_eq!(trail.code, 403, "a key that may write does not read the trail");
    assert!(!browser.surface.state.view.borrow().frozen);
}

#[tokio::test]
async fn names_that_are_markup_are_text_on_every_page() {
    let mut shown = view();
    let nasty = "<script>alert(1)</script>\"'&\u{202e}".to_owned() + &"x".repeat(10_000);
    shown.nodes[0].node_id = nasty.as_str().into();
    shown.reasons = vec![nasty.clone()];
    shown.incidents[0].key.clone_from(&nasty);
    let surface = Surface::showing(shown).await.with_details(Details::Key).lasting();
    let key = surface.key("admin").await;
    let signed_in = surface.send_with("POST", "/watch/sign-in", &[SAME], &format!("key={key}")).await;
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap().to_owned();
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("node", &nasty).finish();
    let question = format!("/watch/hands?deed=node.drain&{query}");
    for path in ["/watch", "/watch/nodes", &question] {
        let answer = surface.send_with("GET", path, &[("cookie", &cookie)], "").await;
        let page = text(answer);
        assert!(page.contains("&#60;script&#62;") && !page.contains("<script>alert"), "{path}");
    }
}
