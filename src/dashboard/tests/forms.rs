//! Forms: what they make, what they refuse beside which field, and what comes of hostile words in them.

use serde_json::json;

use super::{Browser, text};

/// Every form that is filled in, as its link names it.
const FORMS: [&str; 11] = [
    "incident.silence&incident=1",
    "incident.publish&incident=1",
    "incident.resolve&incident=1",
    "silence.add",
    "monitor.add",
    "check.add",
    "heartbeat.add",
    "page.add",
    "page.edit&page=shop",
    "page.tell&page=shop",
    "page.plan&page=shop",
];

/// Somebody who may write, where there is an incident and a public page.
async fn somebody(scope: &str) -> Browser {
    let browser = Browser::signed_in(scope).await;
    assert_eq!(browser.surface.raise("node/node2").await, 1);
    let key = browser.surface.key("admin").await;
    let page = json!({"slug": "shop", "title": "Shop", "groups": [{"name": "Web", "components": [
        {"name": "Front", "check": "front-door"}]}]});
    assert_eq!(browser.surface.send("POST", "/api/v1/pages", Some(&key), &page.to_string()).await.code, 201);
    browser
}

fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// What a form would send of text: fields of one line and of many.
fn fields(page: &str) -> Vec<&str> {
    let name = |part: &'_ str| -> Option<usize> { part.find("\" name=\"").map(|at| at + 8) };
    let inputs = page.split("id=\"want-").skip(1).filter(|part| !part.starts_with("page"));
    inputs.map(|part| part[name(part).unwrap()..].split('"').next().unwrap()).collect()
}

#[tokio::test]
async fn a_monitor_is_made_and_its_page_opened() {
    let browser = Browser::signed_in("write").await;
    browser.surface.add_node("node1").await;
    let list = browser.page("/watch/monitors").await;
    assert!(list.contains("deed=monitor.add"), "{list}");
    let question = browser.page("/watch/hands?deed=monitor.add&back=/watch/monitors").await;
    for words in ["Add a monitor?", "A node runs it within seconds", "<option value=\"node1\">node1</option>"] {
        assert!(question.contains(words), "{words} is missing in {question}");
    }
    let pairs = [
        ("deed", "monitor.add"),
        ("name", "shop & sons"),
        ("type", "http"),
        ("url", "https://shop.example/"),
        ("interval", "2m"),
        ("maxretries", "2"),
        ("node_id", ""),
        ("tags", ""),
        ("more", "ignore_tls=true\n\nmethod=HEAD"),
    ];
    let made = browser.post("/watch/hands", &form(&pairs)).await;
    assert_eq!(made.code, 303);
    let place = made.header("location");
    assert!(place.starts_with("/watch/monitors/1?said="), "{place}");
    let page = browser.page(&place).await;
    for words in ["The monitor is made.", "shop &#38; sons", "every 120 s", "<dt>method</dt><dd>HEAD</dd>"] {
        assert!(page.contains(words), "{words} is missing in {page}");
    }
}

#[tokio::test]
async fn what_the_api_refuses_stands_beside_its_field_and_everything_else_as_it_was_typed() {
    let browser = Browser::signed_in("write").await;
    let pairs = [
        ("deed", "check.add"),
        ("name", "front door"),
        ("type", "port"),
        ("hostname", "shop.example"),
        ("port", "many"),
        ("interval", "soon"),
        ("quorum", "2"),
        ("more", "nonsense\ncolour=red"),
    ];
    let refused = browser.post("/watch/hands", &form(&pairs)).await;
    assert_eq!(refused.code, 400);
    let page = text(refused);
    for words in ["write it with its unit: 90s, 1h30m, 7d", "line 1: must be like ignore_tls=true", "value=\"soon\""] {
        assert!(page.contains(words), "what cannot be read is not sent: {words} is missing in {page}");
    }
    let mut pairs = pairs;
    (pairs[5].1, pairs[7].1) = ("30s", "colour=red");
    let refused = browser.post("/watch/hands", &form(&pairs)).await;
    assert_eq!(refused.code, 400);
    let page = text(refused);
    for (field, words) in [("name", "letters, digits"), ("port", "must be"), ("more", "colour: unknown field")] {
        let fault =
            page.split(&format!("id=\"fault-{field}\">")).nth(1).unwrap_or_default().split("</p>").next().unwrap();
        assert!(fault.contains(words), "{field}: {fault}");
    }
    for typed in
        ["value=\"front door\"", "value=\"many\"", "value=\"port\" selected", "value=\"30s\"", "colour=red</textarea>"]
    {
        assert!(page.contains(typed), "{typed} is lost in {page}");
    }
}

#[tokio::test]
async fn a_heartbeat_is_made_and_its_secret_shown_once_with_programs_that_send() {
    let browser = Browser::signed_in("write").await;
    let pairs =
        [("deed", "heartbeat.add"), ("name", "backup"), ("period_s", "24h"), ("grace_s", "10m"), ("tags", "night, db")];
    let headers = [
        ("cookie", browser.cookie.as_str()),
        super::SAME,
        ("host", "kuma.example:8443"),
        ("x-forwarded-proto", "https"),
    ];
    let made = browser.surface.send_with("POST", "/watch/hands", &headers, &form(&pairs)).await;
    assert_eq!((made.code, made.header("cache-control").as_str()), (200, "no-store"));
    let page = text(made);
    for words in [
        "Its secret, shown this once",
        "Shell, with curl and openssl",
        "Python 3, nothing else",
        "systemd: a service and its timer",
        "https://kuma.example:8443",
        "cat &#62; ~/.config/komainu/backup.secret",
    ] {
        assert!(page.contains(words), "{words} is missing in {page}");
    }
    assert!(!page.contains("data-live"), "it is not fetched anew: then the secret would be gone");
    let secret = page.split("<p><code>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert!(secret.len() > 20 && page.matches(&secret).count() == 5, "{secret}");
    for place in ["/watch/heartbeats", "/watch/heartbeats/backup", "/watch"] {
        assert!(!browser.page(place).await.contains(&secret), "{place}");
    }
    let list = browser.page_saying("/watch/heartbeats", "backup").await;
    assert!(list.contains("every 1 d, grace 10 min") && list.contains("night"), "{list}");
    let again = browser.post("/watch/hands", &form(&pairs)).await;
    assert_eq!(again.code, 409);
    assert!(text(again).contains("there is a heartbeat backup already"));
    let rotated = browser.post("/watch/hands", "deed=heartbeat.rotate&heartbeat=backup").await;
    assert_eq!(rotated.code, 200);
    let page = text(rotated);
    assert!(page.contains("backup has a new secret.") && !page.contains(&secret), "{page}");
}

#[tokio::test]
async fn hostile_words_in_a_form_come_back_as_they_were_typed_and_as_words() {
    let browser = somebody("write").await;
    let hostile = "<script>alert(1)</script>\"'&</textarea>\u{202e}".to_owned() + &"x".repeat(10_000);
    for deed in FORMS {
        let question = browser.page(&format!("/watch/hands?deed={deed}")).await;
        let wanted = fields(&question);
        assert!(!wanted.is_empty(), "{deed}");
        let filled: Vec<(&str, &str)> = wanted.iter().map(|name| (*name, hostile.as_str())).collect();
        let sent = format!("deed={deed}&page=shop&{}", form(&filled));
        let answer = browser.post("/watch/hands", &sent).await;
        let code = answer.code;
        let page = text(answer);
        assert_eq!(code, 400, "{deed}: {}", &page[..page.len().min(4_000)]);
        assert!(!page.contains("<script>alert") && !page.contains("'&</textarea>"), "{deed}");
        let kept = page
            .matches("&#60;script&#62;alert(1)&#60;/script&#62;&#34;&#39;&#38;&#60;/textarea&#62;\u{202e}xxx")
            .count();
        let chosen = page.matches("<select").count();
        assert!(kept + chosen >= wanted.len(), "{deed}: {kept} of {}", wanted.len());
    }
}

#[tokio::test]
async fn no_form_is_taken_from_another_site_or_from_a_key_that_only_reads() {
    let reader = somebody("read").await;
    for deed in FORMS {
        let sent = format!(
            "deed={deed}&page=shop&why=x&matchers=kind%3Dnode&name=x&period_s=60&title=x&starts_at=2026-12-24T06:00&ends_at=2026-12-24T07:00&slug=x"
        );
        let foreign = [("cookie", reader.cookie.as_str()), ("sec-fetch-site", "cross-site")];
        let answer = reader.surface.send_with("POST", "/watch/hands", &foreign, &sent).await;
        assert_eq!(answer.code, 403, "{deed}");
        assert!(text(answer).contains("This was sent from another site"), "{deed}");
        let question = reader.page(&format!("/watch/hands?deed={deed}&page=shop")).await;
        assert!(question.contains("Your key read has scope read; this needs write."), "{deed}: {question}");
        let answer = reader.post("/watch/hands", &sent).await;
        assert_eq!(answer.code, 403, "{deed}");
        assert!(text(answer).contains("this key has scope read, this needs write"), "{deed}");
    }
}

#[tokio::test]
async fn a_heartbeat_is_paused_and_resumed() {
    let browser = Browser::signed_in("write").await;
    let made = [("deed", "heartbeat.add"), ("name", "backup"), ("period_s", "24h")];
    assert_eq!(browser.post("/watch/hands", &form(&made)).await.code, 200);
    let page = browser.page_saying("/watch/heartbeats/backup", "deed=heartbeat.pause&amp;heartbeat=backup").await;
    assert!(!page.contains("heartbeat.resume"), "{page}");
    let question = browser.page("/watch/hands?deed=heartbeat.pause&heartbeat=backup").await;
    assert!(question.contains("It is never late until somebody resumes it"), "{question}");
    assert_eq!(browser.post("/watch/hands", "deed=heartbeat.pause&heartbeat=backup").await.code, 303);
    let page = browser.page_saying("/watch/heartbeats/backup", "not while it is paused").await;
    assert!(page.contains("<span class=\"chip paused\">paused</span>") && page.contains("heartbeat.resume"), "{page}");
    assert!(browser.page("/watch/heartbeats?state=paused").await.contains(">backup</a>"));
    assert!(!browser.page("/watch/heartbeats?state=new").await.contains(">backup</a>"));
    assert_eq!(browser.post("/watch/hands", "deed=heartbeat.resume&heartbeat=backup").await.code, 303);
    browser.page_saying("/watch/heartbeats/backup", "deed=heartbeat.pause").await;
}
