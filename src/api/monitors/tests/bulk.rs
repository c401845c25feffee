//! Thousands of monitors in one request.

use serde_json::{Value, json};

use super::{PATH, faults};
use crate::api::support::{Answer, Surface};

async fn bulk(surface: &Surface, query: &str, body: &str) -> Answer {
    let key = surface.key("write").await;
    surface.send("POST", &format!("{PATH}/bulk{query}"), Some(&key), body).await
}

fn item(number: u32) -> Value {
    json!({"name": format!("web {number}"), "type": "http", "url": "http://example.com", "ref": format!("web-{number}")})
}

fn changes(answer: &Answer) -> Vec<String> {
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
    assert_eq!((answer.code, faults(&answer)[0].0.as_str()), (400, "items[1701].interval"));
    items[1_701]["interval"] = json!(5);
    let answer = bulk(&surface, "", &json!(items).to_string()).await;
    assert_eq!((answer.code, faults(&answer)[0].0.as_str()), (400, "items[1700].url"));
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
    let admin = surface.key("admin").await;
    let trail = surface.send("GET", "/api/v1/audit", Some(&admin), "").await.json();
    assert_eq!((&trail["items"][0]["what"], trail["items"].as_array().unwrap().len()), (&json!("monitor.bulk"), 2));
    assert_eq!(trail["items"][0]["after"].as_array().unwrap().len(), 2);
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
