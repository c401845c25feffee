//! Maintenance windows on pages.

use serde_json::json;

use super::{Browser, text};

#[tokio::test]
async fn a_maintenance_is_planned_ended_and_deleted_on_the_dashboard() {
    let browser = Browser::signed_in("write").await;
    let form = "deed=maintenance.add&back=/watch/maintenances&name=disks&title=New+%3Cb%3E+disks&zone=Europe%2FBerlin&ends_at=&starts_at=\
                &subjects=tag%2Fshop%0D%0Atag%2Fweb&cron=*+*+*+*+*&lasts_s=60s&public_title=Works";
    let done = browser.post("/watch/hands", form).await;
    assert_eq!(done.code, 303);
    let key = browser.surface.key("read").await;
    let made = browser.surface.send("GET", "/api/v1/maintenances/disks", Some(&key), "").await.json();
    let told = (&made["subjects"], &made["time_zone"], &made["lasts_s"]);
    assert_eq!(told, (&json!(["tag/shop", "tag/web"]), &json!("Europe/Berlin"), &json!(60)), "{made}");
    let list = browser.page_saying("/watch/maintenances", "deed=maintenance.end&amp;maintenance=disks").await;
    for words in ["New &#60;b&#62; disks", "tag/web", "key/write (page)", "Works", "again * * * * * (Europe/Berlin)"] {
        assert!(list.contains(words), "{words} is missing in {list}");
    }
    let ended = browser.post("/watch/hands", "deed=maintenance.end&maintenance=disks&back=/watch/maintenances").await;
    assert_eq!(ended.code, 303);
    let gone = browser.post("/watch/hands", "deed=maintenance.remove&maintenance=disks&back=/watch/maintenances").await;
    assert!(browser.page(&gone.header("location")).await.contains("It is deleted."));
    let refused = browser.post("/watch/hands", "deed=maintenance.add&name=a+b&subjects=shop&lasts_s=soon").await;
    assert_eq!(refused.code, 400);
    let page = text(refused);
    assert!(page.contains("id=\"fault-lasts_s\""), "{page}");
}

#[tokio::test]
async fn whoever_only_reads_sees_maintenances_and_plans_none() {
    let browser = Browser::signed_in("read").await;
    assert!(!browser.page("/watch/maintenances").await.contains("deed=maintenance"));
    let form = "deed=maintenance.add&name=a&title=x&subjects=tag%2Fa&cron=*+*+*+*+*&lasts_s=60s";
    assert_eq!(browser.post("/watch/hands", form).await.code, 403);
}
