//! Monitors on pages.

use serde_json::json;

use super::Browser;

#[tokio::test]
async fn a_monitor_is_found_and_shown_with_where_it_runs_and_why() {
    let browser = Browser::signed_in("write").await;
    let key = browser.surface.key("admin").await;
    let body = json!({"name": "shop & sons", "type": "http", "url": "https://ada:secret@shop.example/"}).to_string();
    let made = browser.surface.send("POST", "/api/v1/monitors", Some(&key), &body).await.json();
    let id = &made["id"];
    let list = browser.page_saying("/watch/monitors?q=sons", "shop &#38; sons").await;
    assert!(list.contains(&format!("href=\"/watch/monitors/{id}\"")) && list.contains("1 monitor."), "{list}");
    let shown = browser.page(&format!("/watch/monitors/{id}")).await;
    for words in ["shop &#38; sons", "It has no beat yet.", "Nobody runs it yet.", "Nothing was counted in this time."]
    {
        assert!(shown.contains(words), "{words} is missing in {shown}");
    }
    assert!(!list.contains("secret") && !shown.contains("secret"), "a password is nobody's to see");
    let paused = browser
        .post("/watch/hands", &format!("deed=monitor.pause&monitor={id}&name=other&back=/watch/monitors/{id}"))
        .await;
    assert_eq!(paused.code, 303);
    let shown = browser.page(&paused.header("location")).await;
    let said = format!("shop &#38; sons (#{id}) is paused.");
    assert!(shown.contains(&said) && shown.contains("deed=monitor.resume"), "a link may not name it: {shown}");
    assert_eq!(browser.get("/watch/monitors/4711").await.code, 404);
}
