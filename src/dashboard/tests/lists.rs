//! Lists of other things: checks, heartbeats, channels, the audit trail.

use serde_json::json;

use super::{Browser, text};

#[tokio::test]
async fn checks_heartbeats_and_the_trail_are_shown_to_whom_the_key_allows() {
    let browser = Browser::signed_in("admin").await;
    let key = browser.surface.key("write").await;
    let check =
        json!({"name": "front-door", "type": "http", "url": "https://shop.example/", "interval": 20}).to_string();
    assert_eq!(browser.surface.send("POST", "/api/v1/checks", Some(&key), &check).await.code, 201);
    let job = json!({"name": "backup", "period_s": 3_600, "grace_s": 600, "description": "each <night>"}).to_string();
    assert_eq!(browser.surface.send("POST", "/api/v1/heartbeats", Some(&key), &job).await.code, 201);
    let list = browser.page_saying("/watch/checks", "href=\"/watch/checks/front-door\"").await;
    assert!(list.contains("https://shop.example/"), "{list}");
    let shown = browser.page("/watch/checks/front-door").await;
    for words in ["every 20 s", "critical when it is down", "Of which, ms", "How the verdict changed"] {
        assert!(shown.contains(words), "{words} is missing in {shown}");
    }
    let paused = browser.post("/watch/hands", "deed=check.pause&check=front-door&back=/watch/checks/front-door").await;
    assert!(browser.page(&paused.header("location")).await.contains("deed=check.resume"));
    let list = browser.page("/watch/heartbeats?state=new").await;
    assert!(list.contains("href=\"/watch/heartbeats/backup\"") && list.contains("each &#60;night&#62;"), "{list}");
    assert!(!browser.page("/watch/heartbeats?state=late").await.contains("backup"));
    let shown = browser.page("/watch/heartbeats/backup").await;
    assert!(shown.contains("every 1 h, grace 10 min") && shown.contains("There was none yet."), "{shown}");
    let trail = browser.page("/watch/audit?what=check.edit").await;
    assert!(trail.contains("key/admin (page)") && trail.contains("front-door"), "{trail}");
    let reader = Browser::signed_in("read").await;
    let refused = reader.get("/watch/audit").await;
    assert!(refused.code == 403 && text(refused).contains("this key has scope read, this needs admin"));
}

#[tokio::test]
async fn channels_say_what_they_took_and_what_waits() {
    let browser = Browser::signed_in("read").await;
    browser.surface.raise("node/node2").await;
    let page = browser.page_saying("/watch/channels", "<td data-is=\"Waits\">1</td>").await;
    for words in ["ops", "mail", "Took something", "not used yet"] {
        assert!(page.contains(words), "{words} is missing in {page}");
    }
    let mut lease = browser.surface.state.store.lease("test").await.unwrap();
    let sql = "INSERT INTO komainu_channel (name, failures, last_sent_at, last_error, last_error_at) VALUES \
               ('ops', 3, 1763800000000, '<b>429</b>', 1763800000000), ('gone', 0, 1763800000000, NULL, NULL)";
    lease.execute("test", sql, vec![]).await.unwrap();
    drop(lease);
    let page = browser.page_saying("/watch/channels", "3 in a row").await;
    for words in ["failing", "&#60;b&#62;429&#60;/b&#62;", "gone", "not configured here"] {
        assert!(page.contains(words), "{words} is missing in {page}");
    }
}
