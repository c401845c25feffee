use serde_json::{Value, json};

use crate::api::support::Surface;

const PATH: &str = "/api/v1/maintenances";

async fn ask(surface: &Surface, (method, path): (&str, &str), body: &Value) -> (u16, Value) {
    let key = surface.key("write").await;
    let answer = surface.send(method, path, Some(&key), &body.to_string()).await;
    (answer.code, if answer.code == 204 { Value::Null } else { answer.json() })
}

fn one_off() -> Value {
    json!({"name": "disks", "title": "New disks", "subjects": ["tag/shop", "node/node1"], "duration_s": 7_200})
}

#[tokio::test]
async fn a_window_is_made_shown_edited_ended_and_deleted_and_all_of_it_stands_in_the_trail() {
    let surface = Surface::plain().await;
    surface.add_node("node1").await;
    let rehearsed = ask(&surface, ("POST", &format!("{PATH}?dry_run=true")), &one_off()).await;
    assert_eq!(rehearsed, (204, Value::Null));
    let (code, made) = ask(&surface, ("POST", PATH), &one_off()).await;
    assert_eq!((code, &made["state"], &made["author"]), (201, &"active".into(), &"key/write".into()), "{made}");
    assert_eq!(made["subjects"], json!(["node/node1", "tag/shop"]));
    assert_eq!((&made["next_from"], &made["next_until"]), (&made["starts_at"], &made["ends_at"]));
    assert_eq!(ask(&surface, ("POST", PATH), &one_off()).await.0, 409, "each has its own name");
    let place = format!("{PATH}/disks");
    let (code, edited) =
        ask(&surface, ("PATCH", &place), &json!({"title": "Newer disks", "public_title": "Works"})).await;
    assert_eq!(
        (code, &edited["title"], &edited["ends_at"]),
        (200, &"Newer disks".into(), &made["ends_at"]),
        "{edited}"
    );
    let key = surface.key("read").await;
    assert_eq!(surface.send("GET", &place, Some(&key), "").await.json(), edited);
    let (_, quiet) = ask(&surface, ("PATCH", &place), &json!({"public_title": null})).await;
    assert_eq!(quiet["public_title"], Value::Null);
    let silences = surface.send("GET", "/api/v1/silences", Some(&key), "").await.json();
    assert_eq!(silences["items"], json!([]), "it is no silence to people");
    let (code, ended) = ask(&surface, ("POST", &format!("{place}/end")), &json!({})).await;
    assert_eq!((code, &ended["state"], &ended["next_from"]), (200, &"expired".into(), &Value::Null), "{ended}");
    assert_eq!(ask(&surface, ("POST", &format!("{place}/end")), &json!({})).await.0, 409, "it is over");
    assert_eq!(ask(&surface, ("DELETE", &place), &json!({})).await.0, 204);
    assert_eq!(surface.send("GET", &place, Some(&key), "").await.code, 404);
    let admin = surface.key("admin").await;
    let trail = surface.send("GET", "/api/v1/audit", Some(&admin), "").await.json();
    let deeds = trail["items"].as_array().unwrap().iter().filter_map(|deed| deed["what"].as_str());
    let deeds: Vec<_> = deeds.filter(|what| what.starts_with("maintenance.")).collect();
    let expected = ["delete", "end", "edit", "edit", "create"].map(|what| format!("maintenance.{what}"));
    assert_eq!(deeds, expected);
}

#[tokio::test]
async fn a_window_that_comes_again_is_ended_for_this_time_only() {
    let surface = Surface::plain().await;
    let body = json!({"name": "nightly", "title": "x", "subjects": ["tag/a"], "cron": "* * * * *", "lasts_s": 60});
    let (code, made) = ask(&surface, ("POST", PATH), &body).await;
    assert_eq!((code, &made["state"], &made["ends_at"]), (201, &"active".into(), &Value::Null), "{made}");
    let (code, ended) = ask(&surface, ("POST", &format!("{PATH}/nightly/end")), &json!({})).await;
    assert_eq!(code, 200, "{ended}");
    // The minute may have turned between the two.
    assert!(ended["starts_at"].as_i64() >= made["next_until"].as_i64(), "{ended}");
    assert!(ended["next_from"].as_i64() >= made["next_until"].as_i64(), "{ended}");
    let (code, over) =
        ask(&surface, ("PATCH", &format!("{PATH}/nightly")), &json!({"cron": null, "duration_s": 3_600})).await;
    assert_eq!((code, &over["cron"], &over["lasts_s"]), (200, &Value::Null, &Value::Null), "once from now on: {over}");
}

#[tokio::test]
async fn each_fault_of_a_window_is_named_by_its_field() {
    let surface = Surface::plain().await;
    let with = |changes: Value| {
        let mut body = one_off();
        body["subjects"] = json!(["tag/shop"]);
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        body
    };
    for (body, field, word) in [
        (with(json!({"name": "a b"})), "name", "a letter or a digit"),
        (with(json!({"title": " "})), "title", "missing"),
        (with(json!({"subjects": []})), "subjects", "1 to 500"),
        (with(json!({"subjects": ["shop"]})), "subjects", "must be monitor/ID"),
        (with(json!({"subjects": ["channel/ops"]})), "subjects", "must be monitor/ID"),
        (with(json!({"subjects": ["check/nobody", "tag/x"]})), "subjects", "there is no check/nobody"),
        (with(json!({"duration_s": null})), "duration_s", "missing"),
        (with(json!({"ends_at": 1})), "duration_s", "not by both"),
        (with(json!({"duration_s": null, "ends_at": 1})), "ends_at", "after its start"),
        (with(json!({"duration_s": null, "ends_at": "2099-01-01T00:00:00Z"})), "ends_at", "30 days"),
        (with(json!({"starts_at": "tomorrow"})), "starts_at", "with its offset"),
        (with(json!({"duration_s": null, "cron": "0 2 * * *"})), "lasts_s", "missing"),
        (with(json!({"duration_s": null, "cron": "0 * * * *", "lasts_s": 7_200})), "lasts_s", "before the next"),
        (with(json!({"duration_s": null, "cron": "0 2 31 2 *", "lasts_s": 60})), "cron", "never"),
        (with(json!({"duration_s": null, "cron": "0 2 * * 0", "lasts_s": 700_000})), "lasts_s", "604800"),
        (with(json!({"public_text": "x"})), "public_title", "missing"),
        (with(json!({"colour": "red"})), "colour", "unknown field"),
    ] {
        let (code, answer) = ask(&surface, ("POST", PATH), &body).await;
        let errors = answer["errors"].as_array().cloned().unwrap_or_default();
        let named = errors
            .iter()
            .any(|error| error["field"] == field && error["message"].as_str().unwrap_or_default().contains(word));
        assert!(code == 400 && named, "{body}: {answer}");
    }
}

/// What the page says of maintenances, to keys and to the public.
async fn said(surface: &Surface, slug: &str) -> Vec<Value> {
    let key = surface.key("read").await;
    let path = format!("/api/v1/pages/{slug}/maintenances");
    surface.send("GET", &path, Some(&key), "").await.json()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn pages_that_show_a_subject_say_so_before_and_nothing_that_is_private() {
    let surface = Surface::plain().await.lasting();
    for (name, tags) in [("front", json!(["web"])), ("back", json!([]))] {
        let check = json!({"name": name, "type": "http", "url": "https://secret-target.example/", "tags": tags});
        assert_eq!(ask(&surface, ("POST", "/api/v1/checks"), &check).await.0, 201);
    }
    for (slug, check) in [("shop", "front"), ("office", "back")] {
        let page = json!({"title": slug, "groups": [{"name": "", "components": [{"name": "Shown", "check": check}]}]});
        assert_eq!(ask(&surface, ("PUT", &format!("/api/v1/pages/{slug}")), &page).await.0, 201);
    }
    let quiet = json!({"name": "quiet", "title": "secret-title", "subjects": ["check/front"], "duration_s": 60});
    assert_eq!(ask(&surface, ("POST", PATH), &quiet).await.0, 201);
    assert!(said(&surface, "shop").await.is_empty(), "it has no words for the public");
    let body = json!({"name": "secret-name", "title": "secret-title", "subjects": ["tag/web"], "cron": "* * * * *",
        "lasts_s": 60, "public_title": "New disks", "public_text": "The shop may be slow."});
    assert_eq!(ask(&surface, ("POST", PATH), &body).await.0, 201);
    let shown = said(&surface, "shop").await;
    assert_eq!((shown.len(), &shown[0]["title"], &shown[0]["status"]), (1, &"New disks".into(), &"scheduled".into()));
    // As people said it last; the page goes by the clock.
    assert_eq!(shown[0]["updates"][0]["text"], "The shop may be slow.", "{shown:?}");
    assert!(said(&surface, "office").await.is_empty(), "it shows nothing of it");
    let public = async |path: &str| surface.get_publicly(path).await;
    let page = loop {
        let page = String::from_utf8(public("/pages/shop").await.body).unwrap();
        if page.contains("New disks") {
            break page;
        }
        tokio::task::yield_now().await;
    };
    for path in ["/pages/shop/api/v2/summary.json", "/pages/shop/feed.atom", "/pages/shop/feed.json"] {
        let text = String::from_utf8(public(path).await.body).unwrap();
        assert!(text.contains("New disks") && !text.contains("secret") && !text.contains("web\""), "{path}: {text}");
    }
    assert!(!page.contains("secret"), "{page}");
    let (_, edited) =
        ask(&surface, ("PATCH", &format!("{PATH}/secret-name")), &json!({"public_title": "Newer disks"})).await;
    assert_eq!(edited["public_title"], "Newer disks");
    assert!(said(&surface, "shop").await.iter().any(|one| one["title"] == "Newer disks"));
    assert_eq!(ask(&surface, ("DELETE", &format!("{PATH}/secret-name")), &json!({})).await.0, 204);
    let left = said(&surface, "shop").await;
    assert!(left.iter().all(|one| one["status"] == "completed"), "{left:?}");
}
