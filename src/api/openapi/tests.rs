use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::api::document;
use crate::api::support::Surface;

const METHODS: [&str; 6] = ["get", "put", "post", "delete", "head", "patch"];

fn written() -> Value {
    serde_json::to_value(document()).unwrap()
}

/// Path, method, operation.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let methods = METHODS.iter().filter(|method| item.get(**method).is_some());
        methods.map(|method| (path.clone(), (*method).to_owned(), item[method].clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

/// Every `$ref` below.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn everything_that_is_named_is_there_and_each_operation_bears_a_name_of_its_own() {
    let document = written();
    assert_eq!(document["openapi"], "3.1.0");
    let mut named = BTreeSet::new();
    references(&document, &mut named);
    for name in named {
        assert!(document.pointer(name.trim_start_matches('#')).is_some(), "{name} is named but not there");
    }
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap().to_owned();
        assert!(ids.insert(id.clone()), "{id} stands for two operations, one is {method} {path}");
        assert!(operation["summary"].is_string(), "{method} {path} has no words");
        assert!(operation["tags"][0].is_string(), "{method} {path} has no tag");
    }
}

#[test]
fn what_needs_a_key_says_so_and_says_how_it_refuses() {
    let document = written();
    for (path, method, operation) in operations(&document) {
        let is_keyed = path.starts_with("/api/v1/");
        // Where a key is optional (the first way in needs none), an operator may hide the rest; gateways have a key of their own.
        if operation["security"][0] == json!({}) || path == "/lb/pushes" {
            let words = operation["description"].as_str().unwrap_or_default();
            assert!(!words.contains("Needs a key with scope"), "{method} {path}: {words}");
            continue;
        }
        assert_eq!(operation.get("security").is_some(), is_keyed, "{method} {path}");
        if !is_keyed {
            continue;
        }
        for code in ["401", "429", "503"] {
            let kind = &operation["responses"][code]["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(kind, "#/components/schemas/Problem", "{method} {path} {code}");
        }
        let scope = operation["security"][0]["key"][0].as_str().unwrap();
        assert!(operation["description"].as_str().unwrap().contains(&format!("scope `{scope}`")), "{method} {path}");
    }
}

/// Asks with a field nobody knows; the answer names those that are known.
async fn known(surface: &Surface, key: &str, method: &str, path: &str, body: &str) -> Option<BTreeSet<String>> {
    let answer = surface.send(&method.to_uppercase(), path, Some(key), body).await.json();
    let errors = answer["errors"].as_array()?.clone();
    let unknown = errors.iter().find(|error| error["field"] == "zz_nobody_knows")?["message"].as_str()?.to_owned();
    let names = unknown.strip_prefix("unknown field; known are ")?;
    Some(names.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn with_names(path: &str) -> String {
    path.replace("{name}", "backup").replace("{id}", "1").replace("{ref}", "shop").replace("{slug}", "shop")
}

#[tokio::test]
async fn the_parameters_of_the_document_are_those_that_handlers_read() {
    let (document, surface) = (written(), Surface::plain().await);
    let key = surface.key("admin").await;
    for (path, method, operation) in operations(&document) {
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let of_query = parameters.iter().filter(|parameter| parameter["in"] == "query");
        let written: BTreeSet<String> =
            of_query.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect();
        let asked = format!("{}?zz_nobody_knows=1", with_names(&path));
        if let Some(read) = known(&surface, &key, &method, &asked, "{}").await {
            assert_eq!(written, read, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_fields_of_the_document_are_those_that_handlers_read() {
    let (document, surface) = (written(), Surface::plain().await);
    let key = surface.key("admin").await;
    let heartbeat = r#"{"name": "backup", "period_s": 60}"#;
    assert_eq!(surface.send("POST", "/api/v1/heartbeats", Some(&key), heartbeat).await.code, 201);
    let mut compared = 0;
    for (path, method, operation) in operations(&document) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let Some(name) = schema["$ref"].as_str() else { continue };
        let schema = document.pointer(name.trim_start_matches('#')).unwrap();
        let Some(fields) = schema["properties"].as_object() else { continue };
        let written: BTreeSet<String> = fields.keys().cloned().collect();
        let body = json!({"zz_nobody_knows": 1}).to_string();
        if let Some(read) = known(&surface, &key, &method, &with_names(&path), &body).await {
            assert_eq!(written, read, "{method} {path}");
            compared += 1;
        }
    }
    assert!(compared >= 1, "{compared}");
}

/// Values just beyond what a schema says of a field.
fn beyond(schema: &Value) -> Vec<Value> {
    let bound = |name: &str| schema[name].as_u64().and_then(|bound| usize::try_from(bound).ok());
    let long = bound("maxLength").map(|most| json!("x".repeat(most + 1)));
    let large = schema["maximum"].as_i64().map(|most| json!(most + 1));
    let small = schema["minimum"].as_i64().map(|least| json!(least - 1));
    let many = bound("maxItems").map(|most| json!(vec!["x"; most + 1]));
    let odd = schema.get("pattern").map(|_| json!("zz nobody says this"));
    [long, large, small, many, odd].into_iter().flatten().collect()
}

#[tokio::test]
async fn the_bounds_of_the_document_are_those_that_handlers_hold() {
    let (document, surface) = (written(), Surface::plain().await);
    let key = surface.key("admin").await;
    let heartbeat = r#"{"name": "backup", "period_s": 60}"#;
    assert_eq!(surface.send("POST", "/api/v1/heartbeats", Some(&key), heartbeat).await.code, 201);
    let mut held = 0;
    for (path, method, operation) in operations(&document).into_iter().filter(|(path, ..)| path.starts_with("/api/v1/"))
    {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let name = schema["$ref"].as_str().or_else(|| schema["oneOf"][0]["$ref"].as_str()).unwrap_or_default();
        let fields = document.pointer(name.trim_start_matches('#')).and_then(|schema| schema["properties"].as_object());
        for (field, schema) in fields.into_iter().flatten() {
            for value in beyond(schema) {
                let body = json!({ field: value }).to_string();
                let answer = surface.send(&method.to_uppercase(), &with_names(&path), Some(&key), &body).await;
                let errors = answer.json()["errors"].as_array().cloned().unwrap_or_default();
                assert!(errors.iter().any(|error| error["field"] == field.as_str()), "{method} {path} {body:.80}");
                held += 1;
            }
        }
    }
    assert!(held >= 40, "{held}");
}

/// The properties of an object's schema and of those it is made of, and the names of those that must be there.
fn members(document: &Value, schema: &Value) -> (serde_json::Map<String, Value>, BTreeSet<String>) {
    let schema = resolved(document, schema);
    let mut properties = schema["properties"].as_object().cloned().unwrap_or_default();
    let names = schema["required"].as_array().cloned().unwrap_or_default();
    let mut required: BTreeSet<String> = names.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let (more, names) = members(document, part);
        properties.extend(more);
        required.extend(names);
    }
    (properties, required)
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    schema["$ref"].as_str().map_or(schema, |name| document.pointer(name.trim_start_matches('#')).unwrap())
}

/// What an answer says beyond its schema, and what it lacks of it.
fn differences(document: &Value, schema: &Value, answer: &Value, place: &str) -> Vec<String> {
    let schema = resolved(document, schema);
    if let Some(ways) = schema["oneOf"].as_array() {
        let tried = ways.iter().filter(|way| way["type"] != "null" || answer.is_null());
        return tried.map(|way| differences(document, way, answer, place)).min_by_key(Vec::len).unwrap_or_default();
    }
    match answer {
        Value::Object(fields) => {
            let (properties, required) = members(document, schema);
            let is_open = properties.is_empty() || !schema["additionalProperties"].is_null();
            let unknown = fields.keys().filter(|name| !is_open && !properties.contains_key(*name));
            let missing = required.iter().filter(|name| !fields.contains_key(*name));
            let mut found: Vec<String> = unknown.map(|name| format!("{place}.{name} is not in the document")).collect();
            found.extend(missing.map(|name| format!("{place}.{name} is only in the document")));
            for (name, value) in fields {
                let below = properties.get(name).map(|schema| (schema, format!("{place}.{name}")));
                found.extend(below.iter().flat_map(|(schema, place)| differences(document, schema, value, place)));
            }
            found
        }
        Value::Array(items) => {
            items.iter().flat_map(|item| differences(document, &schema["items"], item, &format!("{place}[]"))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![],
    }
}

/// Also those whose types know nothing of the document, because the decision core writes them.
#[tokio::test]
async fn answers_have_the_fields_that_the_document_names() {
    let (document, surface) = (written(), Surface::plain().await);
    let key = surface.key("admin").await;
    surface.add_node("1").await;
    surface.raise("node/node1").await;
    for (path, body) in [
        ("heartbeats", r#"{"name": "backup", "period_s": 60}"#),
        ("monitors", r#"{"name": "a", "type": "http", "url": "http://t/", "ref": "shop"}"#),
        ("checks", r#"{"name": "backup", "type": "http", "url": "http://t/"}"#),
        ("pages", r#"{"slug": "shop", "title": "a", "groups": [{"components": [{"name": "b", "check": "backup"}]}]}"#),
        ("pages/shop/incidents", r#"{"title": "a", "text": "b"}"#),
    ] {
        assert_eq!(surface.send("POST", &format!("/api/v1/{path}"), Some(&key), body).await.code, 201);
    }
    let mut compared = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        if method != "get" {
            continue;
        }
        let answer = surface.send("GET", &with_names(&path), Some(&key), "").await;
        let schema = &operation["responses"][answer.code.to_string()]["content"]["application/json"]["schema"];
        if !schema.is_null() {
            assert_eq!(differences(&document, schema, &answer.json(), ""), [""; 0], "{path}");
            compared.insert(path);
        }
    }
    for path in [
        "/status",
        "/api/v1/nodes/{id}",
        "/api/v1/monitors",
        "/api/v1/heartbeats",
        "/api/v1/incidents/{id}",
        "/api/v1/checks",
        "/api/v1/checks/{name}",
        "/api/v1/pages/{slug}",
        "/api/v1/pages/{slug}/incidents",
    ] {
        assert!(compared.contains(path), "{path}: {compared:?}");
    }
}

/// What is registered with its annotation stands in the document; the router takes nothing without one.
#[test]
fn no_route_is_undocumented() {
    let router = include_str!("../../api.rs");
    assert!(!router.contains(".route("), "register handlers by routes!, or the document does not know them");
    let registered = router.matches("routes!(").count();
    assert!(registered >= 40, "{registered}: the routes are elsewhere");
    assert!(written()["paths"].as_object().unwrap().len() >= registered);
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let surface = Surface::plain().await;
    let page = surface.get("/api/v1/docs/").await;
    assert_eq!(page.code, 200);
    assert!(page.header("content-security-policy").starts_with("default-src 'self'"));
    let html = String::from_utf8(page.body).unwrap();
    let named: Vec<&str> = html.split(['"', '\'']).filter(|text| text.starts_with("./")).collect();
    assert!(named.len() >= 4, "{html}");
    assert!(!html.contains("//"), "something is elsewhere: {html}");
    for asset in named {
        let answer = surface.get(&format!("/api/v1/docs/{}", asset.trim_start_matches("./"))).await;
        assert_eq!(answer.code, 200, "{asset}");
        if asset.ends_with("swagger-initializer.js") {
            let script = String::from_utf8(answer.body).unwrap();
            assert!(
                script.contains("/api/v1/openapi.json") && script.contains("\"validatorUrl\": \"none\""),
                "{script}"
            );
        }
    }
    assert_eq!(surface.get("/api/v1/openapi.json").await.json()["openapi"], "3.1.0");
}
