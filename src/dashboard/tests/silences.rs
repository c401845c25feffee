//! Silences on pages.

use serde_json::json;

use super::{Browser, text};

#[tokio::test]
async fn an_incident_is_silenced_after_its_page_said_what_that_holds() {
    let browser = Browser::signed_in("write").await;
    let id = browser.surface.raise("node/node2").await;
    let first = browser.page_saying("/watch", &format!("deed=incident.silence&amp;incident={id}")).await;
    assert!(first.contains("None is in force: people are told of everything."), "{first}");
    let back = format!("/watch/incidents/{id}");
    let question = browser.page(&format!("/watch/hands?deed=incident.silence&incident={id}&back={back}")).await;
    for words in ["Silence node/node2?", "for 8 hours", "it would hold 1 incident: node/node2."] {
        assert!(question.contains(words), "{words}: {question}");
    }
    let fields =
        format!("deed=incident.silence&incident={id}&back={back}&duration_s=resolved&comment=a+%3Cb%3E+switch");
    let done = browser.post("/watch/hands", &fields).await;
    assert_eq!(done.code, 303);
    let key = browser.surface.key("admin").await;
    let made = browser.surface.send("GET", "/api/v1/silences", Some(&key), "").await.json();
    let made = &made["items"][0];
    let told = (&made["author"], &made["matchers"], &made["until_resolved"], &made["comment"]);
    let matchers = json!(["key=\"node/node2\""]);
    assert_eq!(told, (&json!("key/write (page)"), &matchers, &json!(true), &json!("a <b> switch")));
    for page in ["/watch", "/watch/silences"] {
        let shown = browser.page_saying(page, "a &#60;b&#62; switch").await;
        for words in ["key=&#34;node/node2&#34;", "key/write (page)", "until it is over, at most until"] {
            assert!(shown.contains(words), "{page}: {words} is missing in {shown}");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_silence_stands_beside_its_field_and_nothing_that_was_typed_is_lost() {
    let browser = Browser::signed_in("write").await;
    let typed = "matchers=kind%3Dnode%0D%0Amonster&duration_s=14400&comment=";
    let refused = browser.post("/watch/hands", &format!("deed=silence.add&{typed}")).await;
    assert_eq!(refused.code, 400);
    let page = text(refused);
    for words in [
        "Nothing was done. What is wrong stands beside its field.",
        "id=\"fault-matchers\"",
        "must be like kind=monitor",
        "id=\"fault-comment\"",
        "aria-describedby=\"hint-matchers fault-matchers\"",
        "kind=node\r\nmonster</textarea>",
        "value=\"14400\" selected",
    ] {
        assert!(page.contains(words), "{words} is missing in {page}");
    }
    assert!(
        !page.contains("data-live") && !page.contains("http-equiv=\"refresh\""),
        "nothing takes away what is typed"
    );
}

#[tokio::test]
async fn what_a_silence_would_hold_is_shown_before_it_is_made_and_its_end_says_what_is_told_then() {
    let browser = Browser::signed_in("write").await;
    browser.surface.raise("node/node1").await;
    let form = "deed=silence.add&back=/watch/silences&matchers=kind%3Dnode&duration_s=3600&comment=rack";
    let looked = browser.post("/watch/hands", &format!("{form}&look=yes")).await;
    assert_eq!(looked.code, 200);
    assert!(text(looked).contains("it would hold 1 incident: node/node1."));
    assert!(browser.page("/watch/silences").await.contains("None is in force"), "a look makes nothing");
    assert_eq!(browser.post("/watch/hands", form).await.code, 303);
    let list = browser.page_saying("/watch/silences", "deed=silence.expire&amp;silence=").await;
    let id = list.split("&amp;silence=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let question = browser.page(&format!("/watch/hands?deed=silence.expire&silence={id}")).await;
    for words in ["End this silence now?", "kind=&#34;node&#34;; key/write (page) wanted it: rack"] {
        assert!(question.contains(words), "{words} is missing in {question}");
    }
    let ended = browser.post("/watch/hands", &format!("deed=silence.expire&silence={id}&back=/watch/silences")).await;
    assert!(browser.page(&ended.header("location")).await.contains("The silence is over."));
    browser.page_saying("/watch/silences?state=expired", "rack").await;
}

#[tokio::test]
async fn whoever_only_reads_sees_silences_and_makes_none() {
    let browser = Browser::signed_in("read").await;
    let page = browser.page("/watch/silences").await;
    assert!(!page.contains("deed=silence"), "{page}");
    let form = "deed=silence.add&matchers=kind%3Dnode&duration_s=3600&comment=x";
    let refused = browser.post("/watch/hands", form).await;
    assert_eq!(refused.code, 403);
    assert!(text(refused).contains("scope read, this needs write"));
}

#[tokio::test]
async fn a_silence_that_comes_again_is_made_on_the_dashboard() {
    let browser = Browser::signed_in("write").await;
    let base = "deed=silence.add&matchers=kind%3Dnode&duration_s=604800&comment=disks";
    for (fields, field) in [
        ("cron=0+2+*+*+0", "lasts_s"),
        ("lasts_s=2h", "lasts_s"),
        ("cron=0+2+*+*+0&lasts_s=soon", "lasts_s"),
        ("cron=x&lasts_s=2h", "cron"),
    ] {
        let refused = browser.post("/watch/hands", &format!("{base}&{fields}")).await;
        assert_eq!(refused.code, 400, "{fields}");
        assert!(text(refused).contains(&format!("id=\"fault-{field}\"")), "{fields}");
    }
    let done =
        browser.post("/watch/hands", &format!("{base}&cron=0+2+*+*+0&lasts_s=2h&time_zone=Europe%2FBerlin")).await;
    assert_eq!(done.code, 303);
    let key = browser.surface.key("admin").await;
    let made = browser.surface.send("GET", "/api/v1/silences", Some(&key), "").await.json()["items"][0].clone();
    let times = &made["recurrence"];
    assert_eq!((&times["cron"], &times["time_zone"]), (&json!("0 2 * * 0"), &json!("Europe/Berlin")), "{made}");
}
