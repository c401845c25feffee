//! Subscriptions as visitors meet them.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Links, letter, payload};
use crate::api::support::{KEY, Surface, TestAnswer};
use crate::check::Guard;
use crate::keys::ClusterKey;
use crate::pages::Way;
use crate::store::subscriptions::claim::{self, Due, End};
use crate::subscriptions::Subscriptions;
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::time::Wall;

const ME: Incarnation = Incarnation(7);

fn text(answer: &TestAnswer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// A page that takes both ways, shown.
async fn shop() -> (Surface, Value) {
    let surface = Surface::plain().await.lasting();
    let key = surface.key("write").await;
    let page = json!({"title": "Shop", "subscribe": ["mail", "webhook"], "groups": [{"name": "Web", "components": [
        {"name": "Front", "check": "front"}, {"name": "Mail", "check": "mail"}]}]});
    let made = surface.send("PUT", "/api/v1/pages/shop", Some(&key), &page.to_string()).await;
    assert_eq!(made.code, 201, "{}", made.json());
    for _ in 0..500 {
        if surface.get("/pages/shop").await.code == 200 {
            return (surface, made.json());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the page never became visible");
}

async fn subscribe(surface: &Surface, form: &str) -> TestAnswer {
    surface.send("POST", "/pages/shop/subscribe", None, form).await
}

/// What waits for one way.
async fn due(surface: &Surface, way: Way) -> Vec<Due> {
    claim::claim(&surface.state.store, way, ME, 10).await.unwrap()
}

/// Everything that waits is sent, as it were.
async fn told(surface: &Surface, way: Way) -> Vec<Due> {
    let all = due(surface, way).await;
    for one in &all {
        assert!(claim::begin(&surface.state.store, one, ME).await.unwrap());
        claim::end(&surface.state.store, one, ME, &End::Told).await.unwrap();
    }
    all
}

fn links(key: &ClusterKey) -> Links<'_> {
    Links { key, base: "https://status.example" }
}

fn key() -> ClusterKey {
    ClusterKey::parse(KEY).unwrap()
}

/// The path of the first link in a mail that leads to this.
fn path(mail: &str, deed: &str) -> String {
    let at = mail.find(&format!("https://status.example/pages/shop/{deed}/")).unwrap_or_else(|| panic!("{mail}"));
    let link = mail[at..].split_whitespace().next().unwrap();
    link.strip_prefix("https://status.example").unwrap().to_owned()
}

/// Somebody who subscribed and pressed the button.
async fn subscribed(surface: &Surface, form: &str) -> String {
    assert_eq!(subscribe(surface, form).await.code, 200);
    let way = if form.contains("way=mail") { Way::Mail } else { Way::Webhook };
    let greeted = told(surface, way).await;
    let key = key();
    let said = match way {
        Way::Mail => letter(&links(&key), &greeted[0]).unwrap().text,
        Way::Webhook => payload(&links(&key), &greeted[0], Wall(0))["confirm"].as_str().unwrap().to_owned(),
    };
    let place = path(&said, "confirm");
    assert_eq!(surface.get(&place).await.code, 200);
    assert_eq!(due(surface, way).await, [], "reading the link confirms nothing");
    let done = surface.send("POST", &place, None, "").await;
    assert_eq!(done.code, 200, "{}", text(&done));
    text(&done)
}

async fn tell(surface: &Surface, body: &Value) -> Value {
    let key = surface.key("write").await;
    let answer = surface.send("POST", "/api/v1/pages/shop/incidents", Some(&key), &body.to_string()).await;
    assert_eq!(answer.code, 201, "{}", answer.json());
    answer.json()
}

#[tokio::test]
async fn whoever_confirms_is_told_what_is_said_from_then_on_and_leaves_with_one_post() {
    let (surface, _) = shop().await;
    tell(&surface, &json!({"title": "Before", "text": "Nobody hears it."})).await;
    subscribed(&surface, "way=mail&address=jane%40example.com").await;
    assert_eq!(due(&surface, Way::Mail).await, []);
    let told_at = tell(&surface, &json!({"title": "Slow", "impact": "minor", "text": "We look."})).await;
    let [mail] = told(&surface, Way::Mail).await.try_into().unwrap();
    let key = key();
    let mail = letter(&links(&key), &mail).unwrap();
    assert_eq!((mail.to.to_string().as_str(), mail.subject.as_str()), ("jane@example.com", "[Shop] Slow"));
    assert!(!mail.is_reply && mail.text.contains("We look.") && mail.text.contains("Investigating"), "{}", mail.text);
    let write = surface.key("write").await;
    let updates = format!("/api/v1/pages/shop/incidents/{}/updates", told_at["id"].as_str().unwrap());
    let over = json!({"text": "Over.", "status": "resolved"}).to_string();
    assert_eq!(surface.send("POST", &updates, Some(&write), &over).await.code, 201);
    let [end] = told(&surface, Way::Mail).await.try_into().unwrap();
    let end = letter(&links(&key), &end).unwrap();
    assert_eq!((&end.subject, &end.thread, end.is_reply), (&mail.subject, &mail.thread, true));
    assert_ne!(end.id, mail.id);
    let place = path(&end.text, "unsubscribe");
    assert!(end.unsubscribe.unwrap().ends_with(&place));
    assert!(text(&surface.get(&place).await).contains("<form method=\"post\">"));
    tell(&surface, &json!({"title": "More"})).await;
    assert_eq!(due(&surface, Way::Mail).await.len(), 1, "reading the link ends nothing");
    let left = surface.send("POST", &place, None, "List-Unsubscribe=One-Click").await;
    assert_eq!(left.code, 200, "{}", text(&left));
    tell(&surface, &json!({"title": "Again"})).await;
    assert_eq!(due(&surface, Way::Mail).await, []);
    assert_eq!(surface.send("POST", &place, None, "").await.code, 200, "twice is once");
}

#[tokio::test]
async fn an_answer_does_not_say_whether_an_address_is_there_and_nobody_is_written_to_twice_in_an_hour() {
    let (surface, _) = shop().await;
    subscribed(&surface, "way=mail&address=jane%40example.com").await;
    let known = subscribe(&surface, "way=mail&address=jane%40example.com").await;
    let unknown = subscribe(&surface, "way=mail&address=john%40example.com").await;
    assert_eq!((known.code, text(&known)), (unknown.code, text(&unknown)));
    let greeted = told(&surface, Way::Mail).await;
    assert_eq!(greeted.iter().map(|due| due.address.as_str()).collect::<Vec<_>>(), ["john@example.com"]);
    for tag in 1..=4 {
        assert_eq!(subscribe(&surface, &format!("way=mail&address=john%2B{tag}%40example.com")).await.code, 200);
    }
    assert_eq!(told(&surface, Way::Mail).await.len(), 2, "one mailbox is asked three times in an hour");
}

#[tokio::test]
async fn an_address_tries_so_often_and_no_more() {
    let (surface, _) = shop().await;
    let mut codes = vec![];
    for at in 0..12 {
        codes.push(subscribe(&surface, &format!("way=mail&address=p{at}%40a{at}.example.com")).await.code);
    }
    assert_eq!((codes[9], codes[11]), (200, 429), "{codes:?}");
}

#[tokio::test]
async fn what_is_no_address_is_refused_with_words_and_the_form_again() {
    let (surface, _) = shop().await;
    for address in ["a%40b.example%0D%0ABcc%3A+c%40d.example", "", "a%40localhost", "%22%3E%3Cscript%3E%40b.example"] {
        let answer = subscribe(&surface, &format!("way=mail&address={address}")).await;
        assert_eq!(answer.code, 400, "{address}");
        let html = text(&answer);
        assert!(html.contains("not a mail address") && !html.contains("<script>"), "{html}");
    }
    for url in
        ["http%3A%2F%2F127.0.0.1%2F", "http%3A%2F%2F169.254.169.254%2F", "http%3A%2F%2F%5B%3A%3Affff%3A127.0.0.1%5D%2F"]
    {
        let answer = subscribe(&surface, &format!("way=webhook&address={url}")).await;
        assert_eq!((answer.code, text(&answer).contains("not the address of a webhook")), (400, true), "{url}");
    }
    assert_eq!(subscribe(&surface, "way=pigeon&address=x").await.code, 404);
    assert_eq!((due(&surface, Way::Mail).await, due(&surface, Way::Webhook).await), (vec![], vec![]));
}

#[tokio::test]
async fn a_webhook_is_shown_its_secret_once_and_by_nobody_who_only_asks() {
    let (surface, _) = shop().await;
    let form = "way=webhook&address=https%3A%2F%2Fhooks.example%2Fx";
    let asked = subscribe(&surface, form).await;
    assert!(!text(&asked).contains("whsec_"), "{}", text(&asked));
    let [greeting] = told(&surface, Way::Webhook).await.try_into().unwrap();
    let key = key();
    let place = path(payload(&links(&key), &greeting, Wall(0))["confirm"].as_str().unwrap(), "confirm");
    let confirmed = text(&surface.send("POST", &place, None, "").await);
    assert!(confirmed.contains("whsec_"), "{confirmed}");
    let again = surface.send("POST", &place, None, "").await;
    assert!(again.code == 200 && !text(&again).contains("whsec_"), "{}", text(&again));
    tell(&surface, &json!({"title": "Slow", "text": "We look."})).await;
    let [news] = told(&surface, Way::Webhook).await.try_into().unwrap();
    let body = payload(&links(&key), &news, Wall(0));
    assert_eq!((&body["type"], &body["incident"]["name"]), (&json!("incident.created"), &json!("Slow")));
    assert_eq!(body["incident"]["incident_updates"][0]["body"], "We look.");
    let leave = path(body["meta"]["unsubscribe"].as_str().unwrap(), "unsubscribe");
    assert_eq!(surface.send("POST", &leave, None, "").await.code, 200);
}

#[tokio::test]
async fn whoever_chose_components_is_told_of_those_only() {
    let (surface, page) = shop().await;
    let id = |at: usize| page["groups"][0]["components"][at]["id"].as_str().unwrap().to_owned();
    subscribed(&surface, &format!("way=mail&address=jane%40example.com&c.{}=1&c.nothing=1", id(1))).await;
    tell(&surface, &json!({"title": "Front", "components": [id(0)]})).await;
    assert_eq!(told(&surface, Way::Mail).await, []);
    tell(&surface, &json!({"title": "Mail", "components": [id(1)]})).await;
    assert_eq!(told(&surface, Way::Mail).await.len(), 1);
    tell(&surface, &json!({"title": "All"})).await;
    assert_eq!(told(&surface, Way::Mail).await.len(), 1);
}

#[tokio::test]
async fn forged_and_worn_out_links_do_nothing_and_say_so() {
    let (surface, _) = shop().await;
    assert_eq!(subscribe(&surface, "way=mail&address=jane%40example.com").await.code, 200);
    let [greeting] = told(&surface, Way::Mail).await.try_into().unwrap();
    let key = key();
    let place = path(&letter(&links(&key), &greeting).unwrap().text, "confirm");
    let forged = place.replacen(['a', 'b'], "c", 1);
    for deed in ["confirm", "unsubscribe"] {
        for ticket in ["x", &"0".repeat(88), &"0".repeat(56), "%0d%0a"] {
            for method in ["GET", "POST"] {
                let answer = surface.send(method, &format!("/pages/shop/{deed}/{ticket}"), None, "").await;
                assert_eq!((answer.code, text(&answer).contains("not valid")), (404, true), "{method} {deed} {ticket}");
            }
        }
    }
    assert!(forged == place || surface.send("POST", &forged, None, "").await.code == 404);
    let mut lease = surface.state.store.lease("test").await.unwrap();
    let late = "UPDATE komainu_page_subscriber SET asked_at = asked_at - 86400001";
    lease.execute("test", late, vec![]).await.unwrap();
    drop(lease);
    assert_eq!(surface.send("POST", &place, None, "").await.code, 404, "a day later it is over");
}

#[tokio::test]
async fn without_a_database_the_form_says_that_nothing_was_changed() {
    let (surface, _) = shop().await;
    let mut lease = surface.state.store.lease("test").await.unwrap();
    lease.execute("test", "ALTER TABLE komainu_page_subscriber RENAME TO gone", vec![]).await.unwrap();
    drop(lease);
    let form = surface.get("/pages/shop/subscribe").await;
    assert_eq!(form.code, 200, "the form is answered from memory");
    let answer = subscribe(&surface, "way=mail&address=jane%40example.com").await;
    assert_eq!((answer.code, text(&answer).contains("Nothing was changed")), (503, true), "{}", text(&answer));
    assert!(text(&answer).contains("value=\"jane@example.com\""), "what was written is there still");
}

#[tokio::test]
async fn a_watchdog_without_a_mail_server_offers_no_mail_and_says_where_it_is_set() {
    let mut surface = Surface::plain().await;
    surface.state.subscriptions = Subscriptions::new(false, Guard::default(), false);
    let surface = surface.lasting();
    let key = surface.key("write").await;
    let page = json!({"title": "Shop", "subscribe": ["mail"]}).to_string();
    let refused = surface.send("PUT", "/api/v1/pages/shop", Some(&key), &page).await.json();
    assert_eq!(refused["errors"][0]["field"], "subscribe", "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("[pages] mail"), "{refused}");
}

#[tokio::test]
async fn keys_see_and_add_and_remove_subscribers_and_readers_see_no_address() {
    let (surface, _) = shop().await;
    let (write, read) = (surface.key("write").await, surface.key("read").await);
    let all = "/api/v1/pages/shop/subscribers";
    let jane = json!({"kind": "mail", "address": "Jane@Example.com", "confirmed": true}).to_string();
    assert_eq!(surface.send("POST", &format!("{all}?dry_run=true"), Some(&write), &jane).await.code, 204);
    let added = surface.send("POST", all, Some(&write), &jane).await;
    assert_eq!((added.code, &added.json()["status"]), (201, &json!("confirmed")), "{}", added.json());
    assert_eq!(surface.send("POST", all, Some(&write), &jane).await.code, 409);
    assert_eq!(surface.send("POST", all, Some(&read), &jane).await.code, 403);
    let hook = json!({"kind": "webhook", "address": "http://10.0.0.1:90/x", "confirmed": true}).to_string();
    let hook = surface.send("POST", all, Some(&write), &hook).await;
    assert!(hook.json()["secret"].as_str().unwrap().starts_with("whsec_"), "{}", hook.json());
    for (field, body) in [
        ("address", json!({"kind": "mail", "address": "a@b.example\r\nBcc: x@y.example"})),
        ("address", json!({"kind": "webhook", "address": "http://169.254.169.254/"})),
        ("components", json!({"kind": "mail", "address": "a@b.example", "components": ["x"]})),
        ("kind", json!({"kind": "post", "address": "a@b.example"})),
    ] {
        let refused = surface.send("POST", all, Some(&write), &body.to_string()).await;
        assert_eq!((refused.code, &refused.json()["errors"][0]["field"]), (400, &json!(field)), "{}", refused.json());
    }
    let shown = |answer: &TestAnswer| answer.json()["items"][0]["address"].as_str().unwrap().to_owned();
    assert_eq!(shown(&surface.send("GET", all, Some(&write), "").await), "Jane@example.com");
    let masked = surface.send("GET", all, Some(&read), "").await;
    assert_eq!(shown(&masked), "J…@….com");
    assert!(!text(&masked).contains("10.0.0.1:90/x") && !text(&masked).contains("Jane@"), "{}", text(&masked));
    let one = added.header("location");
    assert_eq!(surface.send("GET", &one, Some(&read), "").await.header("etag"), added.header("etag"));
    let stale = [("authorization", format!("Bearer {write}")), ("if-match", "\"x\"".to_owned())];
    let stale: Vec<(&str, &str)> = stale.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(surface.send_with("DELETE", &one, &stale, "").await.code, 412);
    assert_eq!(surface.send("DELETE", &one, Some(&write), "").await.code, 204);
    assert_eq!(surface.send("DELETE", &one, Some(&write), "").await.code, 404);
    let admin = surface.key("admin").await;
    let trail = text(&surface.send("GET", "/api/v1/audit?limit=50", Some(&admin), "").await);
    assert!(trail.contains("page.subscribe") && trail.contains("page.unsubscribe"), "{trail}");
    assert!(!trail.to_lowercase().contains("jane") && !trail.contains("10.0.0.1"), "{trail}");
}
