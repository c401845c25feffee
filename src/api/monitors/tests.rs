//! Monitors over HTTP, on an embedded database.

use serde_json::{Value, json};

use crate::api::support::{Surface, TestAnswer};

const PATH: &str = "/api/v1/monitors";

async fn post(surface: &Surface, body: &Value) -> TestAnswer {
    let key = surface.key("write").await;
    surface.send("POST", PATH, Some(&key), &body.to_string()).await
}

fn faults(answer: &TestAnswer) -> Vec<(String, String)> {
    let body = answer.json();
    let text = |error: &Value, name: &str| error[name].as_str().unwrap().to_owned();
    body["errors"].as_array().unwrap().iter().map(|error| (text(error, "field"), text(error, "message"))).collect()
}

#[tokio::test]
async fn a_monitor_gets_kumas_defaults() {
    let surface = Surface::plain().await;
    let made =
        post(&surface, &json!({"name": "web", "type": "http", "url": "https://example.com", "interval": 30})).await;
    assert_eq!(made.code, 201);
    let body = made.json();
    assert_eq!(made.header("location"), format!("{PATH}/{}", body["id"]));
    for (field, value) in [
        ("interval", json!(30)),
        ("retry_interval", json!(30)),
        ("timeout", json!(24.0)),
        ("accepted_statuscodes", json!(["200-299"])),
        ("method", json!("GET")),
        ("maxredirects", json!(10)),
        ("active", json!(true)),
        ("effective_node", json!(null)),
        ("made_by", json!("api")),
    ] {
        assert_eq!(body[field], value, "{field}");
    }
}

#[tokio::test]
async fn what_was_sent_is_shown_without_its_secrets() {
    let surface = Surface::plain().await;
    let body = json!({
        "name": "login", "type": "keyword", "url": "https://example.com/login", "keyword": "welcome",
        "headers": {"Accept": "text/html"}, "basic_auth_user": "bot", "basic_auth_pass": "hunter2",
        "ref": "login-1", "tags": ["team-a"], "channels": ["ops"], "active": false, "upside_down": true
    });
    let shown = post(&surface, &body).await.json();
    let secrets = ["basic_auth_pass", "headers"];
    for (field, value) in body.as_object().unwrap().iter().filter(|(field, _)| !secrets.contains(&field.as_str())) {
        assert_eq!(&shown[field], value, "{field}");
    }
    assert_eq!((&shown["auth_method"], &shown["hidden"]), (&json!("basic"), &json!(secrets)));
    assert!(!shown.to_string().contains("hunter2"));
}

#[tokio::test]
async fn only_an_admin_who_asks_sees_secrets_and_that_stands_in_the_trail() {
    let surface = Surface::plain().await;
    let body = json!({
        "name": "shop", "type": "http", "url": "https://joe:s3cret@example.com/", "body": "{\"key\": \"s3cret\"}",
        "method": "POST", "headers": {"Authorization": "Bearer s3cret"}, "ref": "shop", "active": false
    });
    let made = post(&surface, &body).await.json();
    let (reader, writer, admin) = (surface.key("read").await, surface.key("write").await, surface.key("admin").await);
    let paths = [format!("{PATH}/{}", made["id"]), format!("{PATH}/by-ref/shop"), PATH.to_owned()];
    for path in &paths {
        for key in [&reader, &writer, &admin] {
            let shown = surface.send("GET", path, Some(key), "").await.json().to_string();
            assert!(!shown.contains("s3cret") && shown.contains("https://not-shown@example.com/"), "{shown}");
        }
        let asked = format!("{path}?secrets=true");
        for key in [&reader, &writer] {
            assert_eq!(surface.send("GET", &asked, Some(key), "").await.code, 403);
        }
        let shown = surface.send("GET", &asked, Some(&admin), "").await.json();
        let shown = shown["items"].get(0).unwrap_or(&shown);
        for field in ["url", "body", "headers"] {
            assert_eq!(shown[field], body[field], "{field}");
        }
    }
    let trail = surface.send("GET", "/api/v1/audit", Some(&admin), "").await.json();
    let reveals: Vec<_> =
        trail["items"].as_array().unwrap().iter().filter(|deed| deed["what"] == "monitor.reveal").collect();
    assert_eq!((reveals.len(), &reveals[0]["who"]), (3, &json!("key/admin")));
    assert!(!trail.to_string().contains("s3cret"), "{trail}");
}

#[tokio::test]
async fn what_kuma_sends_of_credentials_and_headers_is_taken() {
    let surface = Surface::plain().await;
    let base = json!({"name": "api", "type": "http", "url": "https://example.com/", "active": false});
    let with = |more: Value| {
        let mut body = base.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for more in [
        json!({"auth_method": "basic", "basic_auth_user": "", "basic_auth_pass": "t0ken"}),
        json!({"auth_method": "basic", "basic_auth_pass": "t0ken"}),
        json!({"basic_auth_user": "", "basic_auth_pass": "t0ken"}),
        json!({"auth_method": "basic", "basic_auth_user": "bot"}),
        json!({"headers": {"X-Retry": 3, "X-Ratio": 0.5, "X-Debug": true, "Accept": null}}),
    ] {
        let answer = post(&surface, &with(more.clone())).await;
        assert_eq!(answer.code, 201, "{more}: {}", answer.json());
        if more.get("basic_auth_pass").is_some() {
            assert_eq!(answer.json()["auth_method"], "basic", "{more}");
        }
    }
    for (more, field) in [
        (json!({"auth_method": "basic"}), "basic_auth_user"),
        (json!({"auth_method": "ntlm", "basic_auth_pass": "x"}), "basic_auth_user"),
        (json!({"headers": {"X": {"a": 1}}}), "headers"),
        (json!({"headers": {"X": "a\nb"}}), "headers"),
    ] {
        let answer = post(&surface, &with(more.clone())).await;
        assert_eq!((answer.code, faults(&answer)[0].0.as_str()), (400, field), "{more}");
    }
}

#[tokio::test]
async fn an_address_that_was_veiled_is_not_stored() {
    let surface = Surface::plain().await;
    let body = json!({"name": "shop", "type": "http", "url": "https://not-shown@example.com/"});
    let answer = post(&surface, &body).await;
    assert_eq!((answer.code, faults(&answer)[0].0.as_str()), (400, "url"));
}

#[tokio::test]
async fn every_fault_is_named_at_once() {
    let surface = Surface::plain().await;
    let answer = post(&surface, &json!({"type": "http", "url": "ftp://x", "interval": 0, "intervall": 5})).await;
    let fields: Vec<String> = faults(&answer).into_iter().map(|(field, _)| field).collect();
    assert_eq!((answer.code, fields), (400, ["interval", "intervall"].map(str::to_owned).to_vec()));
    let answer = post(&surface, &json!({"type": "http", "url": "ftp://x"})).await;
    let fields: Vec<String> = faults(&answer).into_iter().map(|(field, _)| field).collect();
    assert_eq!((answer.code, fields), (400, ["name", "url"].map(str::to_owned).to_vec()));
    assert_eq!(answer.header("content-type"), "application/problem+json");
}

#[tokio::test]
async fn each_type_names_what_it_cannot_do_without() {
    let surface = Surface::plain().await;
    let table = [
        (json!({"name": "x", "type": "http"}), "url", "is missing: type http needs it"),
        (json!({"name": "x", "type": "keyword", "url": "http://x"}), "keyword", "is missing: type keyword needs it"),
        (json!({"name": "x", "type": "port", "hostname": "h"}), "port", "is missing: type port needs it"),
        (
            json!({"name": "x", "type": "port", "hostname": "https://joe@shop.example:8443/a", "port": 443}),
            "hostname",
            "must be a host name or an IP address and nothing else: write shop.example",
        ),
        (
            json!({"name": "x", "type": "ping", "hostname": "joe@10.0.0.1"}),
            "hostname",
            "must be a host name or an IP address and nothing else: write 10.0.0.1",
        ),
        (
            json!({"name": "x", "type": "dns", "hostname": "dns://example.com"}),
            "hostname",
            "must be a host name or an IP address and nothing else: write example.com",
        ),
        (json!({"name": "x", "type": "ping"}), "hostname", "is missing: type ping needs it"),
        (
            json!({"name": "x", "type": "mqtt", "hostname": "h"}),
            "type",
            "a monitor of type mqtt needs the column mqtt_topic, which this database's table `monitor` does not have",
        ),
        (json!({"name": "x"}), "type", "is missing"),
        (json!({"name": 5, "type": "ping", "hostname": "h"}), "name", "must be text, not a number"),
        (
            json!({"name": "x", "type": "http", "url": "http://x", "accepted_statuscodes": ["2xx"]}),
            "accepted_statuscodes",
            "\"2xx\" is neither a code (\"404\") nor a range (\"200-299\")",
        ),
        (
            json!({"name": "x", "type": "http", "url": "http://x", "node_id": "node9"}),
            "node_id",
            "there is no node node9; `komainu nodes list` shows them, without node_id the leader chooses",
        ),
        (
            json!({"name": "x", "type": "http", "url": "http://x", "timeout": 0}),
            "timeout",
            "must be a number from 0.1 to 86400",
        ),
    ];
    for (body, field, message) in table {
        let answer = post(&surface, &body).await;
        assert_eq!((answer.code, faults(&answer)), (400, vec![(field.to_owned(), message.to_owned())]), "{body}");
    }
}

#[tokio::test]
async fn a_ref_names_one_monitor() {
    let surface = Surface::plain().await;
    let body = json!({"name": "web", "type": "http", "url": "https://example.com", "ref": "web-1"});
    assert_eq!(post(&surface, &body).await.code, 201);
    let again = post(&surface, &body).await;
    assert_eq!((again.code, faults(&again)[0].0.as_str()), (409, "ref"));
    let key = surface.key("read").await;
    let found = surface.send("GET", &format!("{PATH}?ref=web-1"), Some(&key), "").await.json();
    assert_eq!(found["items"][0]["name"], "web");
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let surface = Surface::plain().await;
    for number in 1..=3 {
        post(&surface, &json!({"name": format!("web {number}"), "type": "http", "url": "http://x"})).await;
    }
    post(&surface, &json!({"name": "gateway", "type": "ping", "hostname": "h", "active": false})).await;
    let key = surface.key("read").await;
    let get = async |query: &str| surface.send("GET", &format!("{PATH}?{query}"), Some(&key), "").await.json();
    let first = get("limit=2&type=http").await;
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let second = get(&format!("limit=2&type=http&cursor={}", first["next"].as_str().unwrap())).await;
    assert_eq!((second["items"][0]["name"].as_str(), &second["next"]), (Some("web 3"), &json!(null)));
    assert_eq!(get("active=false").await["items"][0]["name"], "gateway");
    assert_eq!(get("text=gate").await["items"].as_array().unwrap().len(), 1);
    assert_eq!(get("node=node1").await["items"], json!([]));
    assert_eq!(get("limit=0").await["errors"][0]["field"], "limit");
    assert_eq!(get("cursor=x").await["status"], 400);
}

#[tokio::test]
async fn a_deleted_monitor_is_gone() {
    let surface = Surface::plain().await;
    let id = post(&surface, &json!({"name": "x", "type": "ping", "hostname": "h"})).await.json()["id"].clone();
    let key = surface.key("write").await;
    let path = format!("{PATH}/{id}");
    assert_eq!(surface.send("GET", &path, Some(&key), "").await.code, 200);
    assert_eq!(surface.send("DELETE", &path, Some(&key), "").await.code, 204);
    for method in ["GET", "DELETE"] {
        assert_eq!(surface.send(method, &path, Some(&key), "").await.code, 404);
    }
    assert_eq!(surface.send("GET", &format!("{PATH}/seven"), Some(&key), "").await.code, 404);
}

#[tokio::test]
async fn a_reader_makes_nothing() {
    let surface = Surface::plain().await;
    let key = surface.key("read").await;
    assert_eq!(surface.send("POST", PATH, Some(&key), "{}").await.code, 403);
    assert_eq!(surface.send("POST", PATH, Some("kmn_wrong"), "{}").await.code, 401);
}

#[tokio::test]
async fn a_body_over_its_limit_is_413_and_garbage_is_placed() {
    let surface = Surface::plain().await;
    let key = surface.key("write").await;
    let long = format!("{{\"name\": \"{}\"}}", "x".repeat(1024 * 1024));
    let answer = surface.send("POST", PATH, Some(&key), &long).await;
    assert_eq!(
        (answer.code, answer.json()["detail"].as_str()),
        (413, Some("the body is longer than 1048576 bytes; send less"))
    );
    let answer = surface.send("POST", PATH, Some(&key), "{\n\"name\": oops}").await;
    assert_eq!((answer.code, answer.json()["detail"].as_str()), (400, Some("line 2, column 9: expected value")));
}

mod bulk;
mod editing;

#[tokio::test]
async fn a_monitor_says_whether_a_second_opinion_is_wanted_and_shows_what_holds() {
    let surface = Surface::plain().await;
    let body = json!({"name": "shop", "type": "http", "url": "https://example.com", "second_opinion": "require"});
    let made = post(&surface, &body).await;
    let key = surface.key("write").await;
    let (shown, tag) = (made.json(), made.header("etag"));
    assert_eq!((made.code, &shown["second_opinion"]), (201, &json!("require")));
    let opinion = json!({
        "asked": "require", "from": "monitor", "left_out": null, "seen": null, "words": null, "seen_at": null, "waiting_since": null
    });
    assert_eq!(shown["opinion"], opinion);
    let path = format!("{PATH}/{}", shown["id"]);
    let edit = async |body: Value| surface.send("PATCH", &path, Some(&key), &body.to_string()).await;
    let taken_back = edit(json!({"second_opinion": null})).await;
    assert_eq!((taken_back.code, &taken_back.json()["opinion"]["from"]), (200, &json!("default")));
    assert_ne!(taken_back.header("etag"), tag, "it is a part of what people edit");
    for sent in [json!("maybe"), json!(true), json!(["note"])] {
        let refused = edit(json!({"second_opinion": sent})).await;
        let expected = [("second_opinion".to_owned(), "must be off, note or require".to_owned())];
        assert_eq!((refused.code, faults(&refused)), (400, expected.to_vec()));
    }
    assert_eq!(edit(json!({"opinion": {}})).await.code, 400, "it is shown, not set");
    let pushed = post(&surface, &json!({"name": "job", "type": "push", "second_opinion": "note"})).await.json();
    assert_eq!(pushed["opinion"]["left_out"], "watchdogs cannot look at monitors of type push");
}
