use serde_json::{Value, json};

use crate::api::support::Surface;

const PATH: &str = "/alertmanager/api/v2";

fn silence(changes: &Value) -> String {
    let mut body = json!({
        "matchers": [{"name": "kind", "value": "node", "isRegex": false, "isEqual": true}],
        "startsAt": "2020-01-01T00:00:00.000Z", "endsAt": "2030-01-01T00:00:00.000+02:00",
        "createdBy": "ada", "comment": "a new switch",
    });
    body["endsAt"] = in_an_hour().into();
    body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    body.to_string()
}

fn in_an_hour() -> String {
    let at = jiff::Timestamp::from_millisecond(crate::clock::wall().0 + 3_600_000).unwrap();
    at.to_string()
}

async fn get(surface: &Surface, key: &str, path: &str) -> Value {
    surface.send("GET", &format!("{PATH}{path}"), Some(key), "").await.json()
}

#[tokio::test]
async fn a_silence_is_made_found_replaced_and_ended_in_alertmanagers_words() {
    let surface = Surface::plain().await;
    let key = surface.key("write").await;
    let post = async |changes: Value| {
        let answer = surface.send("POST", &format!("{PATH}/silences"), Some(&key), &silence(&changes)).await;
        (answer.code, answer.json())
    };
    let (code, made) = post(json!({})).await;
    assert_eq!(code, 200, "{made}");
    let first = made["silenceID"].as_str().unwrap().to_owned();
    let shown = get(&surface, &key, &format!("/silence/{first}")).await;
    assert_eq!((&shown["status"]["state"], &shown["createdBy"]), (&json!("active"), &json!("ada")));
    assert_eq!(shown["matchers"], json!([{"name": "kind", "value": "node", "isRegex": false, "isEqual": true}]));
    let (_, other) = post(json!({"id": first, "comment": "it takes longer"})).await;
    let other = other["silenceID"].as_str().unwrap().to_owned();
    assert_ne!(first, other);
    let states = async |query: &str| {
        let all = get(&surface, &key, &format!("/silences{query}")).await;
        let of =
            |one: &Value| (one["id"].as_str().unwrap().to_owned(), one["status"]["state"].as_str().unwrap().to_owned());
        all.as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let expected = [(other.clone(), "active".to_owned()), (first.clone(), "expired".to_owned())];
    assert_eq!(states("").await, expected);
    assert_eq!(states("?filter=kind%3D%22node%22").await.len(), 2);
    assert_eq!(states("?filter=kind%3D%22node%22&filter=alertname%3Dx").await.len(), 0);
    let path = format!("{PATH}/silence/{other}");
    assert_eq!(surface.send("DELETE", &path, Some(&key), "").await.code, 200);
    assert!(states("").await.iter().all(|(_, state)| state == "expired"));
    assert_eq!(surface.send("DELETE", &format!("{PATH}/silence/nobody"), Some(&key), "").await.code, 404);
}

#[tokio::test]
async fn each_fault_of_a_silence_is_a_text_that_names_its_field() {
    let surface = Surface::plain().await;
    let key = surface.key("write").await;
    let matcher = |name: &str, value: &str, is_regex: bool| json!({"matchers": [{"name": name, "value": value, "isRegex": is_regex}]});
    for (changes, words) in [
        (json!({"matchers": []}), "matchers: must have 1 to 20"),
        (matcher("instance", "x", false), "there is no label instance"),
        (matcher("key", "(", true), "matchers: \"(\" is no regular expression"),
        (matcher("tag", ".*", true), "matchers: must name something"),
        (json!({"endsAt": "2020-01-01T00:00:00Z"}), "endsAt: must be after"),
        (json!({"endsAt": "2099-01-01T00:00:00Z"}), "endsAt: must be at most 30 days"),
        (json!({"endsAt": "soon"}), "line 1"),
        (json!({"comment": " "}), "comment: is missing"),
        (json!({"createdBy": "x".repeat(101)}), "createdBy: must have at most"),
        (json!({"startsAt": null}), "line 1"),
    ] {
        let answer = surface.send("POST", &format!("{PATH}/silences"), Some(&key), &silence(&changes)).await;
        let said = answer.json();
        assert!(answer.code == 400 && said.as_str().is_some_and(|text| text.contains(words)), "{changes}: {said}");
    }
    let read = surface.key("read").await;
    let path = format!("{PATH}/silences");
    assert_eq!(surface.send("POST", &path, Some(&read), &silence(&json!({}))).await.code, 403);
    assert_eq!(surface.send("GET", &path, None, "").await.code, 401);
    assert_eq!(surface.send("GET", &format!("{path}?filter=x"), Some(&read), "").await.code, 400);
}

#[tokio::test]
async fn what_is_wrong_is_an_alert_and_says_what_silences_it() {
    let surface = Surface::plain().await;
    let key = surface.key("write").await;
    surface.raise("node/node1").await;
    surface.raise("capacity").await;
    let names = async |query: &str| {
        let all = get(&surface, &key, &format!("/alerts{query}")).await;
        all.as_array()
            .unwrap()
            .iter()
            .map(|one| one["labels"]["alertname"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("").await, ["capacity", "node/node1"]);
    assert_eq!(names("?filter=kind%3Dnode").await, ["node/node1"]);
    assert_eq!(names("?filter=alertname%3D~%22cap.%2A%22").await, ["capacity"]);
    let made = surface.send("POST", &format!("{PATH}/silences"), Some(&key), &silence(&json!({}))).await.json();
    let alerts = get(&surface, &key, "/alerts?filter=kind%3Dnode").await;
    let status = json!({"state": "suppressed", "silencedBy": [made["silenceID"]], "inhibitedBy": []});
    assert_eq!(alerts[0]["status"], status);
    assert_eq!(names("?silenced=false").await, ["capacity"]);
    assert_eq!(names("?active=false").await, ["node/node1"]);
    assert_eq!(surface.send("GET", &format!("{PATH}/alerts?active=perhaps"), Some(&key), "").await.code, 400);
    let groups = get(&surface, &key, "/alerts/groups").await;
    let kinds: Vec<_> = groups.as_array().unwrap().iter().map(|group| &group["labels"]["kind"]).collect();
    assert!(kinds.is_empty() || kinds == [&json!("capacity"), &json!("node")], "{groups}");
    let status = get(&surface, &key, "/status").await;
    assert_eq!(status["cluster"]["status"], "ready");
    assert!(status["config"]["original"].as_str().unwrap().contains("receiver:"));
    let refused = surface.send("POST", &format!("{PATH}/alerts"), Some(&key), "[]").await;
    assert!(refused.code == 400 && refused.json().as_str().unwrap().contains("heartbeat"));
}
