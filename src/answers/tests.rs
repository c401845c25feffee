use super::*;
use crate::api::support::{KEY, Surface, TestAnswer};
use crate::store::incidents;

fn key() -> ClusterKey {
    ClusterKey::parse(KEY).unwrap()
}

/// The links of a message through `mail` about that incident, by their names.
fn links(incident: i64, key_of_incident: &str) -> std::collections::BTreeMap<String, String> {
    let links = AnswerLinks::of(&key(), "http://w1:8900".to_owned(), ["mail".to_owned()].into());
    assert_eq!(links.offered("ops", (incident, key_of_incident), false), [], "a channel that bears none");
    let offered = links.offered("mail", (incident, key_of_incident), false);
    let path = |url: &str| url.strip_prefix("http://w1:8900").unwrap().to_owned();
    offered.into_iter().map(|answer| (answer.answer, path(&answer.url))).collect()
}

fn text(answer: TestAnswer) -> String {
    String::from_utf8(answer.body).unwrap()
}

async fn get(surface: &Surface, path: &str) -> TestAnswer {
    surface.send("GET", path, None, "").await
}

async fn press(surface: &Surface, path: &str, form: &str) -> (u16, String) {
    let answer = surface.send("POST", path, None, form).await;
    (answer.code, text(answer))
}

async fn acknowledged_by(surface: &Surface, id: i64) -> Option<String> {
    incidents::get(&surface.state.store, id).await.unwrap().unwrap().incident.acknowledged_by
}

#[tokio::test]
async fn whoever_opens_a_link_sees_one_button_and_only_pressing_it_does_anything() {
    let surface = Surface::plain().await;
    let id = surface.raise("node/node1").await;
    let link = &links(id, "node/node1")["ack"];
    for method in ["GET", "HEAD"] {
        assert_eq!(surface.send(method, link, None, "").await.code, 200);
    }
    assert_eq!(acknowledged_by(&surface, id).await, None, "a scanner reads, and does nothing");
    let page = get(&surface, link).await;
    for (name, value) in
        [("cache-control", "no-store"), ("x-frame-options", "DENY"), ("x-content-type-options", "nosniff")]
    {
        assert_eq!(page.header(name), value);
    }
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    let page = text(page);
    assert_eq!(page.matches("<button").count(), 1, "{page}");
    for shown in ["node/node1", "Acknowledge", "Silence for 1 h", "Silence until it is over", "/runbook#node"] {
        assert!(page.contains(shown), "{shown} is missing in {page}");
    }
    let (code, page) = press(&surface, link, "by=Ada+%3Cb%3E").await;
    assert!(code == 200 && page.contains("node/node1 is acknowledged"), "{page}");
    assert!(!page.contains("<b>") && page.contains("link/mail (Ada &#60;b&#62;) takes care of it"), "{page}");
    assert_eq!(acknowledged_by(&surface, id).await.as_deref(), Some("link/mail (Ada <b>)"));
    let audit = surface.send("GET", "/api/v1/audit?what=incident.ack", Some(&surface.key("admin").await), "").await;
    assert_eq!(audit.json()["items"][0]["who"], "link/mail (Ada <b>)");
}

#[tokio::test]
async fn a_link_that_is_pressed_again_changes_nothing_and_who_was_faster_is_named() {
    let surface = Surface::plain().await;
    let id = surface.raise("monitor/7").await;
    let link = &links(id, "monitor/7")["ack"];
    assert_eq!(press(&surface, link, "by=Ada").await.0, 200);
    assert_eq!(press(&surface, link, "by=Ada").await.0, 200);
    let (code, page) = press(&surface, link, "by=Bo").await;
    assert!(code == 409 && page.contains("link/mail (Ada) takes care of it already"), "{page}");
    let audit = surface.send("GET", "/api/v1/audit?what=incident.ack", Some(&surface.key("admin").await), "").await;
    assert_eq!(audit.json()["items"].as_array().unwrap().len(), 1);
    // Ada says so again when people are called in spite of it: it counts from now.
    let long_ago = format!("UPDATE komainu_incident SET acknowledged_at = acknowledged_at - 600000 WHERE id = {id}");
    surface.state.store.lease("test").await.unwrap().execute("test", long_ago, vec![]).await.unwrap();
    let at =
        async || incidents::get(&surface.state.store, id).await.unwrap().unwrap().incident.acknowledged_at.unwrap();
    let before = at().await;
    assert_eq!(press(&surface, link, "by=Ada").await.0, 200);
    assert!(at().await.since(before) >= Duration::from_secs(600), "it stood still");
    let (_, rest) = page.split_once("href=\"/act/").unwrap();
    let over = format!("/act/{}", rest.split('"').next().unwrap());
    assert!(text(get(&surface, &over).await).contains("Take over"));
    assert_eq!(press(&surface, &over, "by=Bo").await.0, 200);
    assert_eq!(acknowledged_by(&surface, id).await.as_deref(), Some("link/mail (Bo)"));
}

#[tokio::test]
async fn a_silence_is_made_once_and_lasts_as_long_as_the_link_says() {
    let surface = Surface::plain().await;
    let id = surface.raise("monitor/7").await;
    let links = links(id, "monitor/7");
    let write = surface.key("write").await;
    let silences = async || surface.send("GET", "/api/v1/silences", Some(&write), "").await.json();
    for _ in 0..3 {
        assert_eq!(press(&surface, &links["silence-1h"], "").await.0, 200);
    }
    let made = silences().await;
    assert_eq!(made["items"].as_array().unwrap().len(), 1, "{made}");
    let one = &made["items"][0];
    assert_eq!((one["author"].as_str(), one["matchers"][0].as_str()), (Some("link/mail"), Some("key=\"monitor/7\"")));
    let lasts = one["ends_at"].as_i64().unwrap() - one["starts_at"].as_i64().unwrap();
    assert_eq!(lasts, 3_600_000);
    assert_eq!(press(&surface, &links["silence-8h"], "").await.0, 200);
    assert_eq!(press(&surface, &links["silence-until-resolved"], "").await.0, 200);
    let made = silences().await;
    assert_eq!((made["items"].as_array().unwrap().len(), &made["items"][0]["until_resolved"]), (3, &true.into()));
}

#[tokio::test]
async fn what_is_over_cannot_be_answered_any_more() {
    let surface = Surface::plain().await;
    let id = surface.raise("node/node1").await;
    let links = links(id, "node/node1");
    surface.resolve("node/node1").await;
    for link in links.values() {
        let page = get(&surface, link).await;
        assert_eq!(page.code, 410);
        assert!(!text(page).contains("<button"));
        let (code, page) = press(&surface, link, "").await;
        assert!(code == 410 && page.contains("This is over"), "{page}");
    }
    let write = surface.key("write").await;
    let silences = surface.send("GET", "/api/v1/silences", Some(&write), "").await.json();
    assert_eq!(silences["items"].as_array().unwrap().len(), 0);
    let unknown = self::links(999, "node/node1");
    assert_eq!(press(&surface, &unknown["ack"], "").await.0, 410);
}

#[tokio::test]
async fn what_was_forged_cut_or_kept_for_too_long_is_refused_with_words() {
    let surface = Surface::plain().await;
    let id = surface.raise("node/node1").await;
    let link = links(id, "node/node1")["ack"].clone();
    let seals = Seals::of(&key());
    let made = Link {
        incident: id,
        key: "node/node1".to_owned(),
        answer: Answer::Acknowledge,
        channel: "mail".to_owned(),
        expires_at_s: clock::wall().0 / 1_000 + 3_600,
    };
    let others = Seals::of(&ClusterKey::parse(&"b".repeat(64)).unwrap());
    let (content, _) = link.split_once('.').unwrap();
    let (_, signature) = path(&seals, &made.instead(Answer::TakeOver))
        .split_once('.')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let for_a_session = format!("/act/{}", seals.seal(Purpose::Session, &made));
    for forged in [
        path(&others, &made),
        format!("{content}.{signature}"),
        link[..link.len() - 2].to_owned(),
        for_a_session,
        "/act/x".to_owned(),
    ] {
        assert_eq!(get(&surface, &forged).await.code, 403, "{forged}");
        let (code, page) = press(&surface, &forged, "").await;
        assert!(code == 403 && page.contains("This link is none of this cluster"), "{forged}: {page}");
    }
    let old = path(&seals, &Link { expires_at_s: clock::wall().0 / 1_000 - 1, ..made });
    let (code, page) = press(&surface, &old, "").await;
    assert!(code == 410 && page.contains("more than a day old"), "{page}");
    assert_eq!(acknowledged_by(&surface, id).await, None);
}

#[tokio::test]
async fn a_name_that_somebody_types_is_one_line_and_short() {
    let surface = Surface::plain().await;
    let id = surface.raise("node/node1").await;
    let name = format!("by=%0d%0a{}", "x".repeat(500));
    assert_eq!(press(&surface, &links(id, "node/node1")["ack"], &name).await.0, 200);
    assert_eq!(acknowledged_by(&surface, id).await.unwrap(), format!("link/mail ({})", "x".repeat(60)));
}

#[test]
fn people_are_called_by_their_names() {
    let called = ["link/ops (anna)", "link/ops", "key/anna (page)", "key/anna", "anna"].map(person);
    assert_eq!(called, ["anna", "somebody who reads ops", "anna", "anna", "anna"]);
}
