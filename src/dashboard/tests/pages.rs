//! Public pages on the dashboard.

use serde_json::{Value, json};

use super::{Browser, text};

async fn writer() -> Browser {
    let browser = Browser::signed_in("write").await;
    let page = "slug=shop&title=Shop+%26+sons&description=What+sells&language=en&noindex=yes&\
                groups=Front+%3D+check%2Ffront-door+%7C+graph%0A%23+Behind%0ABackup+%3D+heartbeat%2Fbackup";
    let made = browser.post("/watch/hands", &format!("deed=page.add&{page}")).await;
    assert_eq!(made.code, 303, "{}", made.code);
    assert!(made.header("location").starts_with("/watch/pages/shop?said="));
    browser
}

async fn api(browser: &Browser, path: &str) -> Value {
    let key = browser.surface.key("read").await;
    browser.surface.send("GET", &format!("/api/v1{path}"), Some(&key), "").await.json()
}

#[tokio::test]
async fn a_page_is_made_listed_shown_and_changed() {
    let browser = writer().await;
    let list = browser.page_saying("/watch/pages", "Shop &#38; sons").await;
    assert!(list.contains("href=\"/pages/shop\"") && list.contains("2 components"), "{list}");
    let shown = browser.page("/watch/pages/shop").await;
    for words in
        ["What stands on it", "href=\"/watch/checks/front-door\"", "heartbeat backup", "not for search engines"]
    {
        assert!(shown.contains(words), "{words} is missing in {shown}");
    }
    let question = browser.page("/watch/hands?deed=page.edit&page=shop").await;
    let written = "Front = check/front-door | graph\n# Behind\nBackup = heartbeat/backup</textarea>";
    assert!(question.contains(written) && question.contains("value=\"yes\" checked"), "{question}");
    let before = api(&browser, "/pages/shop").await;
    let changed =
        "deed=page.edit&page=shop&title=Shop&description=&groups=Entrance+%3D+check%2Ffront-door&language=zh-TW";
    assert_eq!(browser.post("/watch/hands", changed).await.code, 303);
    let after = api(&browser, "/pages/shop").await;
    let of = |page: &Value| page["groups"][0]["components"][0].clone();
    assert_eq!(of(&after)["id"], of(&before)["id"], "a badge that somebody has stays good");
    let told = (&of(&after)["name"], &after["description"], &after["noindex"], &after["language"]);
    assert_eq!(told, (&json!("Entrance"), &json!(""), &json!(false), &json!("zh-TW")));
    let refused = browser
        .post("/watch/hands", "deed=page.edit&page=shop&title=Shop&groups=%23+A%0A+%3D+check%2Fx%0Amonster")
        .await;
    assert_eq!(refused.code, 400);
    assert!(text(refused).contains("line 3: must be like Shop = monitor/7"));
    let refused =
        browser.post("/watch/hands", "deed=page.edit&page=shop&title=Shop&groups=%23+A%0A+%3D+check%2Fx").await;
    assert!(text(refused).contains("line 2: is missing"));
    let gone = browser.post("/watch/hands", "deed=page.remove&page=shop").await;
    assert!(browser.page(&gone.header("location")).await.contains("The page shop is gone."));
}

#[tokio::test]
async fn an_incident_is_published_in_public_words_and_told_of_until_it_is_resolved() {
    let browser = writer().await;
    let id = browser.surface.raise("check/front-door").await;
    browser.page_saying(&format!("/watch/incidents/{id}"), "Publish on a page").await;
    let question = browser.page(&format!("/watch/hands?deed=incident.publish&incident={id}")).await;
    for words in [
        "Publish check/front-door on a page?",
        "shop: Shop &#38; sons (shows it as Front)",
        "in the words below and no others",
    ] {
        assert!(question.contains(words), "{words} is missing in {question}");
    }
    let published = browser
        .post(
            "/watch/hands",
            &format!("deed=incident.publish&incident={id}&page=shop&status=investigating&text=We+look."),
        )
        .await;
    assert_eq!(published.code, 303);
    let shown = browser.page(&published.header("location")).await;
    for words in
        ["The incident is published.", "<strong>Front</strong>", "We look.", "from <a href=\"/watch/incidents/"]
    {
        assert!(shown.contains(words), "{words} is missing in {shown}");
    }
    let written = api(&browser, "/pages/shop/incidents").await["items"][0].clone();
    assert_eq!((&written["title"], &written["impact"]), (&json!("Front"), &json!("major")));
    let notice = format!("page=shop&kind=incident&notice={}", written["id"].as_str().unwrap());
    let question = browser.page(&format!("/watch/hands?deed=notice.say&{notice}")).await;
    assert!(
        question.contains("Say something of “Front”?") && question.contains("value=\"investigating\" selected"),
        "{question}"
    );
    let said = browser.post("/watch/hands", &format!("deed=notice.say&{notice}&status=resolved&text=Repaired.")).await;
    assert!(browser.page(&said.header("location")).await.contains("Repaired."));
    assert_eq!(api(&browser, "/pages/shop/incidents").await["items"][0]["status"], "resolved");
    let empty = browser.post("/watch/hands", &format!("deed=notice.say&{notice}&status=resolved&text=")).await;
    assert!(empty.code == 400 && text(empty).contains("id=\"fault-text\""));
    assert_eq!(browser.post("/watch/hands", &format!("deed=notice.remove&{notice}")).await.code, 303);
    assert_eq!(api(&browser, "/pages/shop/incidents").await["items"], json!([]));
}

#[tokio::test]
async fn a_page_that_does_not_show_what_is_wrong_wants_a_title() {
    let browser = writer().await;
    let id = browser.surface.raise("node/node2").await;
    let refused = browser.post("/watch/hands", &format!("deed=incident.publish&incident={id}&page=shop")).await;
    assert_eq!(refused.code, 400);
    assert!(text(refused).contains("<p class=\"fault\" id=\"fault-title\">is missing</p>"));
}

#[tokio::test]
async fn a_maintenance_is_planned_in_a_time_zone_for_some_of_what_stands_there() {
    let browser = writer().await;
    let page = api(&browser, "/pages/shop").await;
    let id = page["groups"][0]["components"][0]["id"].as_str().unwrap();
    let question = browser.page("/watch/hands?deed=page.plan&page=shop").await;
    assert!(
        question.contains("type=\"datetime-local\"") && question.contains(&format!("value=\"{id}\"")),
        "{question}"
    );
    let form = format!(
        "deed=page.plan&page=shop&title=New+disks&starts_at=2027-07-01T03:00&ends_at=2027-07-01T05:00&components={id}"
    );
    let refused = browser.post("/watch/hands", &format!("{form}&time_zone=Mars")).await;
    assert_eq!(refused.code, 400);
    let page = text(refused);
    assert!(
        page.contains("must be a time zone like UTC or Europe/Berlin") && page.contains("value=\"2027-07-01T03:00\""),
        "{page}"
    );
    assert!(page.contains(&format!("value=\"{id}\" checked")), "{page}");
    let planned = browser.post("/watch/hands", &format!("{form}&time_zone=Europe/Berlin")).await;
    assert_eq!(planned.code, 303);
    let shown = browser.page(&planned.header("location")).await;
    assert!(
        shown.contains("2027-07-01 01:00:00 UTC until 2027-07-01 03:00:00 UTC") && shown.contains("about Front"),
        "{shown}"
    );
    let written = api(&browser, "/pages/shop/maintenances").await["items"][0].clone();
    assert_eq!((&written["components"], &written["status"]), (&json!([id]), &json!("scheduled")));
}

#[tokio::test]
async fn where_there_are_more_pages_than_are_read_at_once_one_is_named_by_its_place() {
    let browser = writer().await;
    let id = browser.surface.raise("node/node2").await;
    let question = format!("/watch/hands?deed=incident.publish&incident={id}");
    assert!(browser.page(&question).await.contains("<select id=\"want-page\""));
    let key = browser.surface.key("admin").await;
    let make = async |number: usize, logo: &str| {
        let page = json!({"slug": format!("page-{number}"), "title": "One of many", "logo": logo}).to_string();
        assert_eq!(browser.surface.send("POST", "/api/v1/pages", Some(&key), &page).await.code, 201);
    };
    for number in 0..40 {
        make(number, "").await;
    }
    let all = browser.page_saying(&question, "<option value=\"page-39\"").await;
    assert_eq!(all.matches("<option value=\"page-").count(), 40, "each can be chosen: {all}");
    assert!(browser.page("/watch/pages").await.contains("rel=\"next\""));
    let logo = format!("data:image/png;base64,{}", "AAAA".repeat(12_000));
    for number in 40..130 {
        make(number, &logo).await;
    }
    browser.page_saying(&question, "<input id=\"want-page\"").await;
}

#[tokio::test]
async fn how_a_page_looks_and_who_may_read_it_is_set_on_the_dashboard() {
    let browser = writer().await;
    let question = browser.page("/watch/hands?deed=page.edit&page=shop").await;
    for name in ["subscribe", "accent", "logo", "password", "embed_from"] {
        assert!(question.contains(&format!("name=\"{name}\"")), "{name} is missing in {question}");
    }
    assert!(!question.contains("no_logo") && !question.contains("no_password"), "there is none to be taken away");
    let logo = "data%3Aimage%2Fpng%3Bbase64%2CiVBORw0KGgo%3D";
    let edit = "deed=page.edit&page=shop&title=Shop&description=&groups=Front+%3D+check%2Ffront-door&language=en";
    let looks = format!(
        "{edit}&subscribe=webhook&accent=%231a6e36&logo={logo}&password=correct+horse&embed_from=https%3A%2F%2Fa.example%0D%0A"
    );
    let done = browser.post("/watch/hands", &looks).await;
    assert_eq!(done.code, 303);
    let page = api(&browser, "/pages/shop").await;
    let told = (&page["subscribe"], &page["accent"], &page["has_password"], &page["embed_from"]);
    assert_eq!(told, (&json!(["webhook"]), &json!("#1a6e36"), &json!(true), &json!(["https://a.example"])));
    assert!(page["logo"].as_str().unwrap().starts_with("data:image/png;base64,"));
    let question = browser.page("/watch/hands?deed=page.edit&page=shop").await;
    assert!(question.contains("name=\"no_logo\"") && question.contains("name=\"no_password\""), "{question}");
    assert!(question.contains("value=\"webhook\" checked") && !question.contains("correct horse"), "{question}");
    // What is left empty stays, as far as it is said so.
    let kept = browser.post("/watch/hands", &format!("{edit}&accent=&logo=&password=&embed_from=")).await;
    assert_eq!(kept.code, 303);
    let page = api(&browser, "/pages/shop").await;
    let told = (&page["subscribe"], &page["accent"], &page["has_password"], &page["embed_from"]);
    assert_eq!(told, (&json!([]), &json!(null), &json!(true), &json!([])));
    assert!(!page["logo"].is_null());
    let bare = browser.post("/watch/hands", &format!("{edit}&no_logo=yes&no_password=yes")).await;
    assert_eq!(bare.code, 303);
    let page = api(&browser, "/pages/shop").await;
    assert_eq!((&page["logo"], &page["has_password"]), (&json!(null), &json!(false)));
    for (fields, field) in
        [("accent=red", "accent"), ("logo=x", "logo"), ("password=short", "password"), ("embed_from=x", "embed_from")]
    {
        let refused = browser.post("/watch/hands", &format!("{edit}&{fields}")).await;
        assert_eq!(refused.code, 400, "{fields}");
        assert!(text(refused).contains(&format!("id=\"fault-{field}\"")), "{fields}");
    }
}
