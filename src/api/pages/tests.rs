use serde_json::{Value, json};

use crate::api::support::Surface;

const PATH: &str = "/api/v1/pages";

fn shop() -> Value {
    json!({"title": "Shop", "groups": [{"name": "Web", "components": [
        {"name": "Front", "monitor": 7}, {"name": "Mail", "check": "mail"}, {"name": "Backups", "heartbeat": "backup"}]}]})
}

async fn with_shop() -> (Surface, String) {
    let surface = Surface::plain().await.lasting();
    let key = surface.key("write").await;
    let made = surface.send("PUT", &format!("{PATH}/shop"), Some(&key), &shop().to_string()).await;
    assert_eq!(made.code, 201, "{}", made.json());
    (surface, key)
}

fn ids(page: &Value) -> Vec<String> {
    let components = page["groups"][0]["components"].as_array().unwrap();
    components.iter().map(|component| component["id"].as_str().unwrap().to_owned()).collect()
}

async fn trail(surface: &Surface) -> Vec<Value> {
    let key = surface.key("admin").await;
    let trail = surface.send("GET", "/api/v1/audit?subject=page/shop", Some(&key), "").await.json();
    trail["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_page_is_made_shown_changed_and_deleted() {
    let surface = Surface::plain().await.lasting();
    let key = surface.key("write").await;
    let mut body = shop();
    body["slug"] = json!("shop");
    let made = surface.send("POST", PATH, Some(&key), &body.to_string()).await;
    assert_eq!((made.code, made.header("location").as_str()), (201, "/api/v1/pages/shop"), "{}", made.json());
    let page = made.json();
    assert_eq!((&page["language"], &page["has_password"]), (&json!("en"), &json!(false)));
    assert!(ids(&page).iter().all(|id| id.len() == 24), "{page}");
    let again = surface.send("POST", PATH, Some(&key), &body.to_string()).await;
    assert_eq!((again.code, &again.json()["errors"][0]["field"]), (409, &json!("slug")));
    let path = format!("{PATH}/shop");
    let changed = surface.send("PATCH", &path, Some(&key), r#"{"title": "The shop", "noindex": true}"#).await;
    assert_eq!((changed.code, &changed.json()["title"]), (200, &json!("The shop")));
    assert_eq!(ids(&changed.json()), ids(&page));
    assert_eq!(surface.send("GET", PATH, Some(&key), "").await.json()["items"][0]["slug"], "shop");
    assert_eq!(surface.send("DELETE", &path, Some(&key), "").await.code, 204);
    assert_eq!(surface.send("GET", &path, Some(&key), "").await.code, 404);
    let deeds: Vec<Value> = trail(&surface).await.iter().map(|deed| deed["what"].clone()).collect();
    assert_eq!(deeds, ["page.delete", "page.edit", "page.create"]);
}

#[tokio::test]
async fn what_is_put_replaces_all_but_the_password_and_ids_stay() {
    let (surface, key) = with_shop().await;
    let path = format!("{PATH}/shop");
    let before =
        surface.send("PATCH", &path, Some(&key), r#"{"footer": "x", "password": "correct horse"}"#).await.json();
    assert_eq!(before["has_password"], true);
    let after = surface.send("PUT", &path, Some(&key), &shop().to_string()).await;
    assert_eq!((after.code, &after.json()["footer"], &after.json()["has_password"]), (200, &json!(""), &json!(true)));
    assert_eq!(ids(&after.json()), ids(&before));
    let opened = surface.send("PATCH", &path, Some(&key), r#"{"password": null}"#).await;
    assert_eq!(opened.json()["has_password"], false);
    let told = Value::from(trail(&surface).await).to_string();
    assert!(told.contains("(changed)") && !told.contains("correct horse"), "{told}");
}

#[tokio::test]
async fn an_edit_of_what_was_changed_since_is_refused() {
    let (surface, key) = with_shop().await;
    let path = format!("{PATH}/shop");
    let etag = surface.send("GET", &path, Some(&key), "").await.header("etag");
    let first = surface
        .send_with(
            "PATCH",
            &path,
            &[("authorization", &format!("Bearer {key}")), ("if-match", &etag)],
            r#"{"footer": "a"}"#,
        )
        .await;
    assert_eq!(first.code, 200);
    let second = surface
        .send_with(
            "PATCH",
            &path,
            &[("authorization", &format!("Bearer {key}")), ("if-match", &etag)],
            r#"{"footer": "b"}"#,
        )
        .await;
    assert_eq!(second.code, 412);
}

#[tokio::test]
async fn a_rehearsal_judges_and_writes_nothing() {
    let (surface, key) = with_shop().await;
    let new = format!("{PATH}/new?dry_run=true");
    assert_eq!(surface.send("PUT", &new, Some(&key), &shop().to_string()).await.code, 204);
    assert_eq!(surface.send("GET", &format!("{PATH}/new"), Some(&key), "").await.code, 404);
    let bad = json!({"title": "", "groups": [{"components": [{"name": "x"}]}]}).to_string();
    let refused = surface.send("PUT", &new, Some(&key), &bad).await;
    let fields: Vec<&str> = vec!["groups[0].components[0]", "title"];
    let json = refused.json();
    let mut told: Vec<&str> =
        json["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
    told.sort_unstable();
    assert_eq!((refused.code, told), (400, fields));
    for slug in ["Shop", "assets", "a.b"] {
        let refused = surface.send("PUT", &format!("{PATH}/{slug}"), Some(&key), &shop().to_string()).await;
        assert_eq!((refused.code, &refused.json()["errors"][0]["field"]), (400, &json!("slug")), "{slug}");
    }
}

#[tokio::test]
async fn an_incident_is_told_updated_and_resolved() {
    let (surface, key) = with_shop().await;
    let page = surface.send("GET", &format!("{PATH}/shop"), Some(&key), "").await.json();
    let front = ids(&page)[0].clone();
    let incidents = format!("{PATH}/shop/incidents");
    let body =
        json!({"title": "Slow", "impact": "minor", "components": [front], "text": "We look into it."}).to_string();
    let told = surface.send("POST", &incidents, Some(&key), &body).await;
    assert_eq!((told.code, &told.json()["status"]), (201, &json!("investigating")), "{}", told.json());
    let path = format!("{incidents}/{}", told.json()["id"].as_str().unwrap());
    let more = surface
        .send("POST", &format!("{path}/updates"), Some(&key), r#"{"text": "Over.", "status": "resolved"}"#)
        .await;
    assert_eq!((more.code, &more.json()["status"]), (201, &json!("resolved")));
    assert!(more.json()["resolved_at"].is_i64(), "{}", more.json());
    let said: Vec<Value> =
        more.json()["updates"].as_array().unwrap().iter().map(|update| update["text"].clone()).collect();
    assert_eq!(said, ["We look into it.", "Over."]);
    assert_eq!(more.json()["updates"][1]["by"], "key/write");
    for (field, body) in [
        ("title", json!({"text": "x"})),
        ("status", json!({"title": "x", "status": "scheduled"})),
        ("impact", json!({"title": "x", "impact": "huge"})),
        ("components", json!({"title": "x", "components": ["nobody"]})),
        ("from_incident", json!({"from_incident": 99})),
    ] {
        let refused = surface.send("POST", &incidents, Some(&key), &body.to_string()).await;
        assert_eq!((refused.code, &refused.json()["errors"][0]["field"]), (400, &json!(field)), "{body}");
    }
    assert_eq!(surface.send("DELETE", &path, Some(&key), "").await.code, 204);
    assert_eq!(surface.send("GET", &path, Some(&key), "").await.code, 404);
}

#[tokio::test]
async fn an_incident_of_komainu_is_told_with_one_request_and_without_its_words() {
    let (surface, key) = with_shop().await;
    let id = surface.raise("later/1").await;
    let incidents = format!("{PATH}/shop/incidents");
    let untitled = surface.send("POST", &incidents, Some(&key), &json!({"from_incident": id}).to_string()).await;
    assert_eq!(
        (untitled.code, &untitled.json()["errors"][0]["field"]),
        (400, &json!("title")),
        "it is about nothing here"
    );
    let told = surface
        .send("POST", &incidents, Some(&key), &json!({"from_incident": id, "title": "Slow"}).to_string())
        .await
        .json();
    assert_eq!((&told["incident"], &told["impact"]), (&json!(id), &json!("major")));
}

#[tokio::test]
async fn a_maintenance_is_planned_and_moved() {
    let (surface, key) = with_shop().await;
    let path = format!("{PATH}/shop/maintenances");
    let planned =
        surface.send("POST", &path, Some(&key), r#"{"title": "New disks", "starts_at": 1000, "ends_at": 2000}"#).await;
    assert_eq!((planned.code, &planned.json()["status"]), (201, &json!("scheduled")), "{}", planned.json());
    let one = format!("{path}/{}", planned.json()["id"].as_str().unwrap());
    let moved = surface.send("PATCH", &one, Some(&key), r#"{"ends_at": 3000}"#).await;
    assert_eq!((moved.code, &moved.json()["ends_at"]), (200, &json!(3_000)));
    let refused = surface.send("PATCH", &one, Some(&key), r#"{"starts_at": 3000}"#).await;
    assert_eq!((refused.code, &refused.json()["errors"][0]["field"]), (400, &json!("ends_at")));
    assert_eq!(surface.send("GET", &format!("{PATH}/nowhere/maintenances"), Some(&key), "").await.code, 404);
}

#[tokio::test]
async fn whoever_may_only_read_writes_no_page() {
    let (surface, _) = with_shop().await;
    let reader = surface.key("read").await;
    assert_eq!(surface.send("GET", &format!("{PATH}/shop"), Some(&reader), "").await.code, 200);
    for (method, path) in [
        ("PUT", "/shop"),
        ("PATCH", "/shop"),
        ("DELETE", "/shop"),
        ("POST", "/shop/incidents"),
        ("POST", "/shop/maintenances"),
    ] {
        let refused = surface.send(method, &format!("{PATH}{path}"), Some(&reader), "{}").await;
        assert_eq!(refused.code, 403, "{method} {path}");
    }
}
