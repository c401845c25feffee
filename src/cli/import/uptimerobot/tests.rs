use serde_json::{Value, json};

use super::became::{Became, all};
use super::robot::read;

/// As `getMonitors` of version 2 answers.
const TWO: &str = r#"{"stat": "ok", "pagination": {"offset": 0, "limit": 50, "total": 7}, "monitors": [
  {"id": 1, "friendly_name": "My Shop (EU)", "url": "https://shop.example.com/", "type": 1, "sub_type": "", "keyword_type": null,
   "keyword_value": "", "http_username": "", "http_password": "", "port": "", "interval": 300, "timeout": 30, "status": 2,
   "http_method": 2, "http_auth_type": 1, "custom_http_statuses": "404:0_200:1"},
  {"id": 2, "friendly_name": "Basket", "url": "https://shop.example.com/basket", "type": 2, "keyword_type": 2, "keyword_value": "Total",
   "keyword_case_type": 1, "http_username": "joe", "http_password": "s3", "interval": 60, "timeout": 60, "status": 0},
  {"id": 3, "friendly_name": "Gate", "url": "gate.example.com", "type": 3, "interval": 300, "status": 9},
  {"id": 4, "friendly_name": "Gate", "url": "gate.example.com", "type": 4, "sub_type": "99", "port": "2222", "interval": 300, "status": 2},
  {"id": 5, "friendly_name": "Mail", "url": "mail.example.com", "type": 4, "sub_type": "4", "port": "", "interval": 300, "status": 2},
  {"id": 6, "friendly_name": "Backup", "url": "https://heartbeat.uptimerobot.com/m6-abc", "type": 5, "interval": 86400, "status": 2},
  {"id": 7, "friendly_name": "", "url": "https://old.example.com/", "type": 1, "http_auth_type": 2, "http_username": "x", "interval": 300}
]}"#;

/// As version 3 lists them.
const THREE: &str = r#"{"nextLink": null, "data": [
  {"id": 11, "friendlyName": "API", "url": "https://api.example.com/v1", "type": "HTTP", "status": "UP", "interval": 60, "timeout": 15,
   "httpMethodType": "POST", "authType": "NONE", "postValueType": "RAW_JSON", "postValueData": {"a": 1},
   "customHttpHeaders": {"X-Key": "k"}, "successHttpResponseCodes": ["2xx", "401"], "followRedirections": false,
   "checkSSLErrors": false, "tags": [{"id": 1, "name": "prod"}], "assignedAlertContacts": []},
  {"id": 12, "friendlyName": "Error page", "url": "https://api.example.com/", "type": "KEYWORD", "status": "PAUSED", "interval": 300,
   "timeout": 30, "keywordType": "ALERT_EXISTS", "keywordValue": "Exception", "keywordCaseType": 0},
  {"id": 13, "friendlyName": "Job", "type": "HEARTBEAT", "status": "PAUSED", "interval": 3600, "gracePeriod": 300, "url": "x"},
  {"id": 14, "friendlyName": "Zone", "type": "DNS", "status": "UP", "interval": 300, "url": "example.com"}
]}"#;

fn became(text: &str) -> Vec<(String, Value, Vec<String>)> {
    let lines = all(&read(text).unwrap());
    let told = lines.into_iter().map(|line| {
        let what = match line.what {
            Became::Check(fields) => json!({ "check": fields }),
            Became::Heartbeat(fields) => json!({ "heartbeat": fields }),
            Became::Nothing(why) => json!(why),
        };
        (line.name, what, line.without)
    });
    told.collect()
}

#[test]
fn monitors_of_the_second_version_become_checks_and_heartbeats() {
    let lines = became(TWO);
    let names: Vec<&str> = lines.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["my-shop-eu", "basket", "gate-3", "gate-4", "mail", "backup", "uptimerobot-7"]);
    let shop = json!({"name": "my-shop-eu", "type": "http", "url": "https://shop.example.com/", "method": "GET", "interval": 300,
        "timeout": 30, "paused": false, "accepted_statuscodes": ["200"]});
    assert_eq!(lines[0].1, json!({ "check": shop }));
    assert_eq!(lines[0].2, ["the status code 404 as down"]);
    let basket = &lines[1].1["check"];
    assert_eq!(
        (&basket["keyword"], &basket["invert_keyword"], &basket["paused"]),
        (&json!("Total"), &json!(false), &json!(true))
    );
    assert_eq!(
        (&basket["auth_method"], &basket["basic_auth_pass"], &basket["timeout"]),
        (&json!("basic"), &json!("s3"), &Value::Null)
    );
    assert_eq!(basket["accepted_statuscodes"], json!(["200-299", "300-399"]));
    assert_eq!(lines[1].2.len(), 2, "{:?}", lines[1].2);
    assert_eq!(lines[2].1["check"]["type"], "ping");
    assert_eq!((&lines[3].1["check"]["port"], &lines[4].1["check"]["port"]), (&json!(2222), &json!(25)));
    assert_eq!(lines[5].1, json!({"heartbeat": {"name": "backup", "period_s": 86_400}}));
    assert_eq!(lines[6].1, "it signs in by DIGEST, which no check does by itself");
}

#[test]
fn monitors_of_the_third_version_become_checks_and_heartbeats() {
    let lines = became(THREE);
    let api = json!({"name": "api", "type": "http", "url": "https://api.example.com/v1", "method": "POST", "interval": 60,
        "timeout": 15, "paused": false, "accepted_statuscodes": ["200-299", "401"], "maxredirects": 0, "ignore_tls": true,
        "headers": {"X-Key": "k"}, "http_body_encoding": "json", "body": "{\"a\":1}", "tags": ["prod"]});
    assert_eq!(lines[0].1, json!({ "check": api }));
    let page = &lines[1].1["check"];
    assert_eq!(
        (&page["invert_keyword"], &page["paused"], &page["method"]),
        (&json!(true), &json!(true), &json!("GET"))
    );
    assert_eq!(lines[2].1, json!({"heartbeat": {"name": "job", "period_s": 3600, "grace_s": 300, "paused": true}}));
    assert_eq!(lines[3].1, "of type DNS, which is not taken over");
}

#[test]
fn what_they_become_is_what_a_check_may_be() {
    for (_, what, _) in [became(TWO), became(THREE)].concat() {
        let Some(fields) = what.get("check").and_then(Value::as_object) else { continue };
        let (draft, faults) = crate::check::Draft::read_what_can_be(fields);
        assert_eq!(faults, []);
        assert_eq!(crate::check::created(&draft, &crate::check::Guard::default()).err(), None, "{what}");
    }
}

#[test]
fn pages_may_stand_one_after_another_and_anything_else_is_told() {
    assert_eq!(became(&format!("{TWO}\n{THREE}")).len(), 11);
    for (text, words) in [
        ("nothing", "it is no JSON"),
        ("{}", "neither `data` (version 3) nor `monitors` (version 2)"),
        (r#"{"data": []}"#, "it holds no monitor"),
        (r#"{"stat": "fail", "error": {"message": "api_key is wrong"}}"#, "UptimeRobot refused: api_key is wrong"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_form_is_sent_as_one() {
    let text = r#"[{"id": 1, "friendly_name": "F", "type": 1, "url": "https://a.example/", "http_method": 3, "post_type": 1,
        "post_value": "{\"a\": \"b c\", \"n\": 1}"}]"#;
    let check = &became(text)[0].1["check"];
    assert_eq!((&check["http_body_encoding"], &check["body"]), (&json!("form"), &json!("a=b+c&n=1")));
}
