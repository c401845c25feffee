//! Thousands of monitors in one request.

use serde_json::{Value, json};

use super::{PATH, faults};
use crate::api::support::{Surface, TestAnswer};

async fn bulk(surface: &Surface, query: &str, body: &str) -> TestAnswer {
    let key = surface.key("write").await;
    surface.send("POST", &format!("{PATH}/bulk{query}"), Some(&key), body).await
}

fn item(number: u32) -> Value {
    json!({"name": format!("web {number}"), "type": "http", "url": "http://example.com", "ref": format!("web-{number}")})
}

fn changes(answer: &TestAnswer) -> Vec<String> {
    let body = answer.json();
    let items = body["items"].as_array().unwrap_or_else(|| panic!("{body}"));
    items.iter().map(|item| item["change"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_request_of_many_is_all_or_nothing_and_names_the_item_at_fault() {
    let surface = Surface::plain().await;
    let mut items: Vec<Value> = (0..2_000).map(item).collect();
    items[1_700]["url"] = json!("ftp://x");
    items[1_701]["interval"] = json!("often");
    let answer = bulk(&surface, "", &json!(items).to_string()).await;
    let fields: Vec<String> = faults(&answer).into_iter().map(|fault| fault.0).collect();
    assert_eq!((answer.code, fields), (400, ["items[1700].url", "items[1701].interval"].map(str::to_owned).to_vec()));
    items[1_701]["interval"] = json!(5);
    let key = surface.key("read").await;
    assert_eq!(surface.send("GET", PATH, Some(&key), "").await.json()["items"], json!([]));
    items[1_700]["url"] = json!("http://x");
    let answer = bulk(&surface, "", &json!(items).to_string()).await;
    assert_eq!((answer.code, changes(&answer).len()), (201, 2_000));
    let last = &answer.json()["items"][1_999];
    let shown = surface.send("GET", &format!("{PATH}/{}", last["id"]), Some(&key), "").await.json();
    assert_eq!((&shown["name"], &shown["ref"]), (&json!("web 1999"), &last["ref"]));
}

#[tokio::test]
async fn an_upsert_changes_what_differs_and_nothing_else() {
    let surface = Surface::plain().await;
    let lines: Vec<String> = (0..3).map(|number| item(number).to_string()).collect();
    assert_eq!(changes(&bulk(&surface, "", &lines.join("\n")).await), ["created"; 3]);
    let again = bulk(&surface, "", &lines.join("\n")).await;
    assert_eq!((again.code, faults(&again).len()), (409, 3));
    let items = json!([item(0), {"ref": "web-1", "interval": 5}, item(7)]);
    let answer = bulk(&surface, "?upsert=true", &items.to_string()).await;
    assert_eq!((answer.code, changes(&answer)), (201, ["unchanged", "updated", "created"].map(str::to_owned).to_vec()));
    let trail = super::editing::trail(&surface).await;
    assert_eq!((&trail[0]["what"], trail.len()), (&json!("monitor.bulk"), 2));
    assert_eq!(trail[0]["after"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_no_list_of_monitors_is_placed() {
    let surface = Surface::plain().await;
    for (body, detail) in [
        ("", "there is no item; send a JSON array or one object a line"),
        ("[]", "there is no item; send a JSON array or one object a line"),
        ("[1]", "items[0]: must be an object"),
        ("{}\n{oops}", "line 2, column 2: key must be a string"),
    ] {
        let answer = bulk(&surface, "", body).await;
        assert_eq!((answer.code, answer.json()["detail"].as_str()), (400, Some(detail)), "{body}");
    }
    let twice = json!([item(1), item(1)]).to_string();
    let answer = bulk(&surface, "?upsert=true", &twice).await;
    assert_eq!((answer.code, faults(&answer)[0].0.as_str()), (409, "items[1].ref"));
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once_and_nothing_that_only_follows_from_it() {
    let surface = Surface::plain().await;
    bulk(&surface, "", &json!([item(0)]).to_string()).await;
    let items = json!([
        {"ref": "web-0", "name": "again", "type": "http", "url": "http://x", "interval": "often"},
        {"name": "no kind", "type": 5},
        {"name": "bad url", "type": "http", "url": "nowhere"},
        {"name": "no url", "type": "http"},
        {"name": "lost", "type": "ping", "hostname": "h", "parent_ref": "nobody"},
    ]);
    let answer = bulk(&surface, "", &items.to_string()).await;
    let fields: Vec<String> = faults(&answer).into_iter().map(|fault| fault.0).collect();
    let expected = ["[0].interval", "[0].ref", "[1].type", "[2].url", "[3].url"].map(|field| format!("items{field}"));
    assert_eq!((answer.code, fields), (400, expected.to_vec()));
    let wrong = json!([{"ref": "web-0", "interval": "often"}, {"ref": " ", "interval": 5}]).to_string();
    let answer = bulk(&surface, "?upsert=true", &wrong).await;
    let fields: Vec<String> = faults(&answer).into_iter().map(|fault| fault.0).collect();
    assert_eq!(fields, ["items[0].interval", "items[1].ref"]);
}

#[tokio::test]
async fn a_group_is_named_by_its_ref_also_when_the_same_request_makes_it() {
    let surface = Surface::plain().await;
    let made = bulk(&surface, "", &json!([item(1)]).to_string()).await.json();
    let below = |number: u32, group: &str| {
        let mut below = item(number);
        below["parent_ref"] = json!(group);
        below
    };
    let group = |name: &str| json!({"name": name, "type": "group", "ref": name});
    // Below a group that comes later, below one that is below it, and below a monitor that becomes a group.
    let mut inner = group("inner");
    inner["parent_ref"] = json!("outer");
    let mut turned = group("web-1");
    turned["url"] = Value::Null;
    let items = json!([below(2, "inner"), inner, group("outer"), below(3, "web-1"), turned]).to_string();
    let dry = bulk(&surface, "?upsert=true&dry_run=true", &items).await;
    assert_eq!((dry.code, changes(&dry).len()), (200, 5));
    let answer = bulk(&surface, "?upsert=true", &items).await;
    assert_eq!((answer.code, changes(&answer)[4].as_str()), (201, "updated"));
    let ids: Vec<Value> = answer.json()["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
    assert_eq!(ids[4], made["items"][0]["id"]);
    let key = surface.key("read").await;
    for (child, parent) in [(0, 1), (1, 2), (3, 4)] {
        let shown = surface.send("GET", &format!("{PATH}/{}", ids[child]), Some(&key), "").await.json();
        assert_eq!(shown["parent"], ids[parent], "{shown}");
    }
    assert_eq!(changes(&bulk(&surface, "?upsert=true", &items).await), ["unchanged"; 5]);
}

#[tokio::test]
async fn a_group_that_cannot_be_is_refused_by_the_name_it_was_given() {
    let surface = Surface::plain().await;
    let group = |name: &str, parent: &str| json!({"name": name, "type": "group", "ref": name, "parent_ref": parent});
    let of = |field: &str| format!("items[0].{field}");
    for (items, code, field) in [
        (json!([group("a", "nobody")]), 400, of("parent_ref")),
        (json!([group("a", "b"), item(1), group("b", "a")]), 409, of("parent_ref")),
        (json!([group("a", "a")]), 409, of("parent_ref")),
        (json!([group("a", "web-1"), item(1)]), 400, of("parent_ref")),
        (json!([{"name": "a", "type": "group", "parent": 1, "parent_ref": "b"}]), 400, of("parent_ref")),
    ] {
        let answer = bulk(&surface, "?upsert=true", &items.to_string()).await;
        assert_eq!((answer.code, faults(&answer)[0].0.clone()), (code, field), "{}", answer.json());
    }
    let key = surface.key("read").await;
    assert_eq!(surface.send("GET", PATH, Some(&key), "").await.json()["items"], json!([]));
}
