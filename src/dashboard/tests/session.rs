//! Signing in, staying signed in, and signing out.

use super::{Browser, text};

#[tokio::test]
async fn a_stranger_sees_nothing_and_is_led_to_the_page_where_one_signs_in() {
    let stranger = Browser::stranger().await;
    for path in ["/watch", "/watch/nodes", "/watch/hands?deed=cluster.freeze"] {
        let answer = stranger.get(path).await;
        assert_eq!(answer.code, 303, "{path}");
        assert!(answer.header("location").starts_with("/watch/sign-in?next=%2Fwatch"), "{path}");
        assert!(!text(answer).contains("node1"), "{path}");
    }
    assert_eq!(stranger.get("/watch/events").await.code, 401);
    assert_eq!(stranger.get("/").await.header("location"), "/watch");
    let part = [("x-komainu-part", "all")];
    assert_eq!(stranger.surface.send_with("GET", "/watch", &part, "").await.code, 401);
}

#[tokio::test]
async fn a_link_on_another_site_leads_on_to_whoever_has_signed_in() {
    let stranger = Browser::stranger().await;
    let answer = stranger.surface.send_with("GET", "/watch", &[("sec-fetch-site", "cross-site")], "").await;
    assert_eq!(answer.code, 200);
    assert!(text(answer).contains("http-equiv=\"refresh\" content=\"0\""));
}

#[tokio::test]
async fn a_key_opens_the_pages_and_an_unknown_one_is_refused_with_words() {
    let browser = Browser::signed_in("read").await;
    let page = browser.page("/watch").await;
    for shown in ["node1", "node/node2", "w1, epoch 7", "read (read)"] {
        assert!(page.contains(shown), "{shown} is missing in {page}");
    }
    let refused = browser.post("/watch/sign-in", "key=kmn_guess").await;
    assert_eq!((refused.code, refused.header("set-cookie").as_str()), (403, ""));
    assert!(text(refused).contains("This cluster knows no such key."));
}

#[tokio::test]
async fn a_session_ends_with_its_key_and_with_signing_out() {
    let browser = Browser::signed_in("read").await;
    assert_eq!(browser.get("/watch").await.code, 200);
    // Made anew under the same name: the one that was signed in with is gone.
    let admin = browser.surface.key("admin").await;
    let gone = browser.surface.send("DELETE", "/api/v1/apikeys/read", Some(&admin), "").await;
    assert_eq!(gone.code, 204);
    browser.surface.key("read").await;
    let answer = browser.get("/watch").await;
    assert_eq!(answer.code, 303);
    assert!(answer.header("set-cookie").starts_with("komainu_session=; Path=/watch; Max-Age=0"));
    let other = Browser::signed_in("read").await;
    let out = other.post("/watch/sign-out", "").await;
    assert!(out.code == 303 && out.header("set-cookie").contains("Max-Age=0"));
}

#[tokio::test]
async fn whoever_comes_by_a_link_keeps_the_session_that_the_browser_kept_back() {
    let browser = Browser::signed_in("read").await;
    // The gateway's own cookie comes along, the session's does not.
    let headers = [("sec-fetch-site", "cross-site"), ("cookie", "KUMA_FIXED_NODE=node1")];
    let answer = browser.surface.send_with("GET", "/watch/incidents/7", &headers, "").await;
    assert_eq!((answer.code, answer.header("set-cookie").as_str()), (200, ""));
    assert!(text(answer).contains("http-equiv=\"refresh\""));
    let bare = browser.surface.send_with("GET", "/watch", &[("cookie", "KUMA_FIXED_NODE=node1")], "").await;
    assert_eq!((bare.code, bare.header("set-cookie").as_str()), (303, ""), "nothing of ours is taken away");
}

#[tokio::test]
async fn where_a_browser_says_its_origin_only_the_pages_make_it_say_so() {
    let browser = Browser::signed_in("read").await;
    assert_eq!(browser.get("/watch/sign-in").await.header("referrer-policy"), "same-origin");
    let headers = [("origin", "http://w1:8900"), ("host", "w1:8900")];
    let answer = browser.surface.send_with("POST", "/watch/sign-in", &headers, "key=kmn_guess").await;
    assert!(text(answer).contains("This cluster knows no such key."));
}

#[tokio::test]
async fn a_page_is_a_request_of_its_key() {
    let browser = Browser::signed_in("read").await;
    for _ in 0..1_500 {
        let answer = browser.get("/watch/nodes").await;
        if answer.code == 429 {
            assert_eq!(answer.header("retry-after"), "1");
            assert!(text(answer).contains("Too many pages were asked for with your key."));
            return;
        }
    }
    panic!("nobody counts pages");
}
